import { describe, expect, test } from 'vitest'
import { Relays } from '../../../../src/membership/memberlist/protocol/relay.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import type { IndirectPing } from '../../../../src/membership/memberlist/wire/messages.ts'
import { CoreBench } from './core-bench.ts'
import { alive, endpointOf } from './machine.ts'

/** `m1`, asked by `m3` to ping `m2`, with news that waits to be said. */
class RelayBench extends CoreBench {
  readonly relays: Relays

  constructor(settings: Partial<ProtocolSettings> = {}) {
    super(settings)
    this.members(3)
    this.core.announceSelf()
    this.relays = new Relays(this.core)
  }

  relay(over: Partial<IndirectPing> = {}): void {
    const question: IndirectPing = {
      kind: 'indirect-ping',
      seqNo: 50,
      target: alive(2).address,
      port: 7946,
      node: 'm2',
      nack: true,
    }
    this.relays.relay({ ...question, ...over }, endpointOf(3))
  }

  /** All packets: when, where to, and what is in them. */
  packets() {
    this.take()
    return this.effects.flatMap(({ atMs, effect }) =>
      effect.kind === 'send-packet'
        ? [[atMs - 1000, Number(effect.to.address.split('.')[3]), ...effect.messages.map(({ kind }) => kind)]]
        : [],
    )
  }
}

describe('relaying', () => {
  test('pings the target twice, says after 0.8 timeouts that it is silent, and still passes its answer on', () => {
    const bench = new RelayBench()
    bench.relay()
    bench.run(900)
    bench.ackLast(Uint8Array.of(7))
    bench.run(5000)
    expect(bench.packets()).toEqual([
      [0, 2, 'ping', 'alive'],
      [250, 2, 'ping', 'alive'],
      [400, 3, 'nack', 'alive'],
      [900, 3, 'ack', 'alive'],
    ])
    expect(bench.sent('nack')[0]?.message.seqNo).toBe(50)
    expect(bench.sent('ack')[0]?.message).toMatchObject({ seqNo: 50, payload: Uint8Array.of(7) })
    expect(bench.sent('ping')[0]?.message).toMatchObject({ node: 'm2', source: { node: 'm1' } })
  })

  test('says nothing against one that has answered', () => {
    const bench = new RelayBench()
    bench.relay()
    bench.ackLast()
    bench.run(5000)
    expect(bench.packets()).toEqual([
      [0, 2, 'ping', 'alive'],
      [0, 3, 'ack', 'alive'],
    ])
  })

  test('says nothing where no nack is wanted', () => {
    const bench = new RelayBench()
    bench.relay({ nack: false })
    bench.run(5000)
    expect(bench.sent('nack')).toEqual([])
    expect(bench.sent('ack')).toEqual([])
  })

  test.each([
    ['that is not known', { node: 'm99' }],
    ['at another port', { port: 7950 }],
  ])('to a member %s carries no news, there or back', (_, over) => {
    const bench = new RelayBench()
    bench.relay(over)
    bench.run(900)
    bench.ackLast()
    expect(bench.packets().map(([, , ...kinds]) => kinds)).toEqual([['ping'], ['ping'], ['nack'], ['ack']])
  })

  test.each([
    [{ port: 0 }, false],
    [{ port: 1 }, true],
    [{ port: 65_535 }, true],
    [{ port: 65_536 }, false],
    [{ target: new Uint8Array(4) }, false],
  ])('of %j is done: %s', (over, isDone) => {
    const bench = new RelayBench()
    bench.relay(over)
    expect(bench.sent('ping')).toHaveLength(Number(isDone))
    expect(bench.core.counters.refused.malformed).toBe(Number(!isDone))
    const fields = { event: 'message.refused', reason: 'malformed', kind: 'indirect-ping', from: '10.0.0.3' }
    expect(bench.of('log').map((log) => log.fields)).toEqual(isDone ? [] : [fields])
  })

  test('has so many under way at once, answered or not', () => {
    const bench = new RelayBench({ maxRelays: 2 })
    const overloaded = () => {
      const before = bench.core.counters.refused.overloaded
      bench.relay()
      return bench.core.counters.refused.overloaded - before
    }
    expect([overloaded(), overloaded(), overloaded()]).toEqual([0, 0, 1])
    const fields = { event: 'message.refused', reason: 'overloaded', kind: 'indirect-ping', from: '10.0.0.3' }
    expect(bench.of('log').map((log) => log.fields)).toEqual([fields])
    bench.ackLast()
    expect([overloaded(), overloaded()]).toEqual([0, 1])
    bench.run(999)
    expect(overloaded()).toBe(1)
    bench.run(1)
    expect([overloaded(), overloaded(), overloaded()]).toEqual([0, 0, 1])
  })

  test('for others has bytes of its own for who never answered, in a ring without keys', () => {
    const bench = new RelayBench({ keyed: false })
    while (bench.core.contacts.spend(endpointOf(2), 1000, 'probe', bench.nowMs));
    bench.relay()
    expect(bench.sent('ping').map(({ to }) => to)).toEqual([2])
  })
})

import { describe, expect, test } from 'vitest'
import { Reconnect } from '../../../../src/membership/memberlist/protocol/reconnect.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { CoreBench, NotedExchanges } from './core-bench.ts'

/** `m1`, and `m2` to `m<count>`, of which some are lost; a look every five seconds, from 6000 ms on. */
class ReconnectBench extends CoreBench {
  readonly exchanges = new NotedExchanges(this)
  readonly others
  readonly reconnect: Reconnect
  readonly #chance: { value: number }

  constructor(count: number, settings: Partial<ProtocolSettings> = {}, chance = { value: 0 }) {
    super(settings, { chance: () => chance.value })
    this.#chance = chance
    this.others = this.members(count)
    this.reconnect = new Reconnect(this.core, this.exchanges)
  }

  set random(value: number) {
    this.#chance.value = value
  }

  fall(n: number, state: 'dead' | 'left' = 'dead'): void {
    const record = this.others[n - 2]!
    this.core.members.setState(record, state, this.nowMs)
    this.reconnect.note(record)
  }

  /** Looks so often, and gives whom it pinged. */
  look(times = 1): number[] {
    this.clear()
    // With chance at 0 an interval is half as long.
    this.run(2500 * times)
    return this.sent('ping').map(({ to }) => to)
  }
}

describe('looking for the lost', () => {
  test('begins an interval after the start, and with none not at all', () => {
    const bench = new ReconnectBench(3)
    bench.reconnect.start()
    expect(bench.core.deadlines.nextMs).toBe(3500)
    bench.random = 0.5
    bench.run(2500)
    expect(bench.core.deadlines.nextMs).toBe(8500)
    const off = new ReconnectBench(3, { reconnectIntervalMs: 0 })
    off.reconnect.start()
    expect(off.core.deadlines.nextMs).toBe(Infinity)
    const brief = new ReconnectBench(3, { reconnectIntervalMs: 1 })
    brief.reconnect.start()
    expect(brief.core.deadlines.nextMs).toBe(1000.5)
  })

  test('pings one with what is held against it, and three times of four not over a stream', () => {
    const bench = new ReconnectBench(3)
    bench.fall(2)
    bench.reconnect.start()
    expect(bench.look()).toEqual([2])
    expect(bench.of('send-packet')[0]?.messages).toMatchObject([
      { kind: 'ping', node: 'm2' },
      { kind: 'dead', node: 'm2', incarnation: 1, from: 'm1' },
    ])
    expect(bench.look(7)).toEqual([2, 2, 2, 2, 2])
    expect(bench.exchanges.times).toEqual([11_000])
    // While one is under way there is no second one.
    bench.exchanges.started[0]!.end(undefined)
    bench.look(1)
    expect(bench.exchanges.times).toEqual([11_000])
    bench.look(3)
    expect(bench.exchanges.started).toMatchObject([
      { atMs: 11_000, to: '10.0.0.2', join: false },
      { atMs: 31_000 },
    ])
  })

  test('exchanges states with one that answers', () => {
    const bench = new ReconnectBench(3)
    bench.fall(2)
    bench.reconnect.start()
    bench.look()
    bench.run(1)
    expect(bench.exchanges.started).toEqual([])
    bench.ackLast()
    expect(bench.exchanges.started).toMatchObject([{ atMs: 3501, to: '10.0.0.2', join: false }])
    const silent = new ReconnectBench(3)
    silent.fall(2)
    silent.reconnect.start()
    silent.look(2)
    expect(silent.exchanges.started).toEqual([])
  })

  test('pings one that is off the list without a word about it', () => {
    const bench = new ReconnectBench(3)
    bench.fall(2)
    bench.core.members.remove(bench.others[0]!)
    bench.reconnect.start()
    expect(bench.look()).toEqual([2])
    expect(bench.of('send-packet')[0]?.messages).toMatchObject([{ kind: 'ping' }])
    expect(bench.of('send-packet')[0]?.messages).toHaveLength(1)
  })

  // Of six that live and one that is lost, half of the time.
  test.each([
    [1, 7, 0.499, 1],
    [1, 7, 0.5, 0],
    [1, 7, 0.51, 0],
    [2, 8, 0.5, 1],
    [1, 4, 0.99, 1],
  ])('with %i lost of %i and chance at %d pings %i', (lost, count, random, pings) => {
    const bench = new ReconnectBench(count)
    for (let n = 2; n < 2 + lost; n++) bench.fall(n)
    bench.reconnect.start()
    bench.random = random
    expect(bench.look()).toHaveLength(pings)
  })

  test('is of any of them, by chance', () => {
    const bench = new ReconnectBench(6)
    for (const n of [2, 3, 4]) bench.fall(n)
    bench.reconnect.start()
    expect(bench.look()).toEqual([2])
    bench.random = 0.5
    expect(bench.look(2)).toEqual([3])
    bench.random = 0.99
    expect(bench.look(3)).toEqual([4])
  })

  test.each([
    ['left', (bench: ReconnectBench) => bench.fall(2, 'left')],
    [
      'left, and is off the list',
      (bench: ReconnectBench) => {
        bench.fall(2, 'left')
        bench.core.members.remove(bench.others[0]!)
      },
    ],
    ['was let go', (bench: ReconnectBench) => bench.reconnect.letGo('m2')],
    ['lives again', ({ core, others }: ReconnectBench) => core.members.setState(others[0]!, 'alive', 0)],
    [
      'is suspected, and so lives',
      ({ core, others }: ReconnectBench) => core.members.setState(others[0]!, 'suspect', 0),
    ],
    [
      'is said to have left',
      ({ core, others }: ReconnectBench) => core.members.setState(others[0]!, 'left', 0),
    ],
    ['is lost when we leave', ({ core }: ReconnectBench) => (core.leaving = true)],
  ])('is not of one that %s', (_, change: (bench: ReconnectBench) => unknown) => {
    const bench = new ReconnectBench(3)
    bench.fall(2)
    change(bench)
    bench.reconnect.start()
    expect(bench.look(5)).toEqual([])
    expect(bench.exchanges.started).toEqual([])
  })

  test('goes on for as long as it is set to', () => {
    for (const [lostKeptMs, pings] of [
      [2500, 1],
      [2499, 0],
    ] as const) {
      const bench = new ReconnectBench(3, { lostKeptMs })
      bench.fall(2)
      bench.reconnect.start()
      expect(bench.look()).toHaveLength(pings)
      expect(bench.look()).toEqual([])
    }
  })

  test('is of 1024 at most: the longest lost makes room', () => {
    const bench = new ReconnectBench(1)
    const records = Array.from({ length: 1025 }, (_, i) => bench.member(i + 2, { port: 1000 + i, host: 2 }))
    for (const [i, record] of records.entries()) {
      bench.core.members.setState(record, 'dead', bench.nowMs)
      if (i < 1024) bench.reconnect.note(record)
    }
    // Lost anew, the first one is the last to make room.
    bench.reconnect.note(records[0]!)
    bench.reconnect.start()
    bench.look()
    expect(bench.of('send-packet')[0]?.messages[0]).toMatchObject({ node: 'm3' })
    bench.reconnect.note(records[1024]!)
    bench.look()
    expect(bench.of('send-packet')[0]?.messages[0]).toMatchObject({ node: 'm4' })
  })
})

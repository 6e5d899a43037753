import { describe, expect, test } from 'vitest'
import { type Ask, ask } from '../../../../src/membership/memberlist/protocol/ask.ts'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { CoreBench } from './core-bench.ts'
import { alive, dead, endpointOf } from './machine.ts'

/** Asks for `m2` at its place at 1 s; `7` waits to be said. */
class AskBench extends CoreBench {
  readonly ends: (Uint8Array | undefined)[] = []
  /** What was in the packets of the answers. */
  readonly said: (readonly Message[])[] = []
  readonly #seqNo: number

  constructor(over: Partial<Ask> = {}, settings: Partial<ProtocolSettings> = {}) {
    super(settings)
    this.core.queueMessage(alive(7))
    ask(this.core, { place: endpointOf(2), name: 'm2', ...over }, (payload, said) => {
      this.ends.push(payload)
      this.said.push(said)
    })
    this.#seqNo = [...this.core.pending.keys()][0]!
  }

  /** What was sent up to a time. */
  sentBy(ms: number): string[] {
    this.run(ms - this.nowMs)
    return this.effects.flatMap(({ effect, atMs }) => {
      if (effect.kind === 'send-packet') {
        const words = effect.messages.map((one) => ('node' in one ? `${one.kind} ${one.node}` : one.kind))
        return [`${atMs}: ${words.join(', ')}`]
      }
      if (effect.kind !== 'start-stream-probe') return []
      const ping = { seqNo: this.#seqNo, node: 'm2' }
      expect(effect).toMatchObject({ probe: this.#seqNo, to: endpointOf(2), ping })
      return [`${atMs}: stream for ${effect.timeoutMs} ms`]
    })
  }

  ack(said: readonly Message[] = []): void {
    this.core.pending.get(this.#seqNo)?.acked(Uint8Array.of(5), endpointOf(2), said)
  }

  endStream(outcome: 'acked' | 'refused' | 'failed'): void {
    this.core.pendingStreams.get(this.#seqNo)?.(outcome)
  }
}

describe('a question', () => {
  test('is a ping with what waits to be said, and over when nobody answers in a probe interval', () => {
    const bench = new AskBench()
    bench.sentBy(1999)
    expect(bench.ends).toEqual([])
    expect(bench.sentBy(2000)).toEqual(['1000: ping m2, alive m7'])
    expect(bench.ends).toEqual([undefined])
    expect([bench.core.pending.size, bench.core.deadlines.nextMs]).toEqual([0, Infinity])
    expect(bench.core.contacts.isReached(endpointOf(2), 2000)).toBe(false)
  })

  test('waits as long as it is told', () => {
    const bench = new AskBench({ timeoutMs: 3000 })
    bench.sentBy(3999)
    expect(bench.ends).toEqual([])
    bench.sentBy(4000)
    expect(bench.ends).toEqual([undefined])
  })

  test('says along what it is to, without news where that is not wanted', () => {
    expect(new AskBench({ say: [dead(2)] }).sentBy(1000)).toEqual(['1000: ping m2, dead m2, alive m7'])
    expect(new AskBench({ say: [dead(2)], fill: false }).sentBy(1000)).toEqual(['1000: ping m2, dead m2'])
  })

  test.each([
    ['neither', {}, {}, []],
    ['a ping', { repeat: true }, {}, ['1250: ping m2']],
    ['a stream', { stream: true }, {}, ['1250: stream for 750 ms']],
    ['both', { repeat: true, stream: true }, {}, ['1250: ping m2', '1250: stream for 750 ms']],
    [
      'both, where that is switched off',
      { repeat: true, stream: true },
      { repeatPings: false, streamProbes: false },
      [],
    ],
    ['a stream, for a moment', { stream: true }, { probeIntervalMs: 250 }, ['1250: stream for 1 ms']],
  ])('is put again after half of the timeout: by %s', (_, over, settings, again) => {
    const bench = new AskBench({ fill: false, timeoutMs: 1000, ...over }, settings)
    expect(bench.sentBy(1249)).toHaveLength(1)
    expect(bench.sentBy(1250)).toEqual(['1000: ping m2', ...again])
    expect(bench.sentBy(9000)).toHaveLength(1 + again.length)
  })

  test('is answered by an ack, once', () => {
    const bench = new AskBench({ repeat: true, stream: true })
    const { core } = bench
    bench.sentBy(1100)
    bench.ack([alive(2), alive(3)])
    bench.ack()
    expect([bench.ends, bench.said]).toEqual([[Uint8Array.of(5)], [[alive(2), alive(3)]]])
    expect(core.contacts.hasAnswered(endpointOf(2), 'm2', 1100)).toBe(true)
    expect([core.pending.size, core.deadlines.nextMs]).toEqual([0, Infinity])
    expect(bench.sentBy(9000)).toHaveLength(1)
  })

  test('is answered over a stream that is acked, and by no other', () => {
    const bench = new AskBench({ stream: true })
    const { core } = bench
    bench.sentBy(1250)
    bench.endStream('refused')
    bench.endStream('failed')
    expect(bench.ends).toEqual([])
    bench.endStream('acked')
    expect([bench.ends, bench.said]).toEqual([[new Uint8Array(0)], [[]]])
    expect([core.pending.size, core.pendingStreams.size]).toEqual([0, 0])
    const silent = new AskBench({ stream: true })
    silent.sentBy(2000)
    expect([silent.ends, silent.core.pendingStreams.size]).toEqual([[undefined], 0])
  })

  test.each([
    ['probe', undefined, 1],
    ['answer', 'answer', 0],
    ['round', 'round', 1],
  ] as const)('to a place that never answered is on the account of a %s', (_, purpose, count) => {
    const over = purpose === undefined ? {} : { purpose }
    const bench = new AskBench({ ...over, stream: true, repeat: true }, { keyed: false })
    expect(bench.sentBy(1000)).toHaveLength(count)
    expect(bench.sentBy(1250)).toHaveLength(count * 3)
  })
})

import { describe, expect, test } from 'vitest'
import { estimateSize } from '../../../../lab/sim/message-size.ts'
import { type Ask, ask } from '../../../../src/membership/memberlist/protocol/ask.ts'
import { Core } from '../../../../src/membership/memberlist/protocol/core.ts'
import { PRESETS, type ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { alive, dead, endpointOf } from './machine.ts'

/** Asks for `m2` at its place at 1 s; `7` waits to be said. */
function asking(over: Partial<Ask> = {}, settings: Partial<ProtocolSettings> = {}) {
  const identity = { name: 'm1', endpoint: endpointOf(1), meta: new Uint8Array(0) }
  const merged = { ...PRESETS.lan, keyed: true, ...settings }
  const core = new Core(identity, merged, { random: () => 0.5, sizeOf: estimateSize })
  core.nowMs = 1000
  core.queueMessage(alive(7))
  const ends: (Uint8Array | undefined)[] = []
  ask(core, { place: endpointOf(2), name: 'm2', ...over }, (payload) => ends.push(payload))
  const [seqNo] = core.pending.keys()
  const sent: string[] = []
  const at = (ms: number) => {
    core.nowMs = ms
    core.deadlines.runDue(ms)
    for (const effect of core.takeEffects()) {
      if (effect.kind === 'send-packet')
        sent.push(
          `${ms}: ${effect.messages.map((message) => ('node' in message ? `${message.kind} ${message.node}` : message.kind)).join(', ')}`,
        )
      if (effect.kind === 'start-stream-probe') {
        expect(effect).toMatchObject({ probe: seqNo, to: endpointOf(2), ping: { seqNo, node: 'm2' } })
        sent.push(`${ms}: stream for ${effect.timeoutMs} ms`)
      }
    }
    return sent
  }
  const ack = () => core.pending.get(seqNo!)?.acked(Uint8Array.of(5), endpointOf(2))
  const stream = (outcome: 'acked' | 'refused' | 'failed') => core.pendingStreams.get(seqNo!)?.(outcome)
  at(1000)
  return { core, ends, at, ack, stream, sent, seqNo }
}

describe('a question', () => {
  test('is a ping with what waits to be said, and over when nobody answers in a probe interval', () => {
    const { at, ends, core } = asking()
    at(1999)
    expect(ends).toEqual([])
    expect(at(2000)).toEqual(['1000: ping m2, alive m7'])
    expect(ends).toEqual([undefined])
    expect([core.pending.size, core.deadlines.nextMs]).toEqual([0, Infinity])
    expect(core.contacts.isReached(endpointOf(2), 2000)).toBe(false)
  })

  test('waits as long as it is told', () => {
    const { at, ends } = asking({ timeoutMs: 3000 })
    at(3999)
    expect(ends).toEqual([])
    at(4000)
    expect(ends).toEqual([undefined])
  })

  test('says along what it is to, without news where that is not wanted', () => {
    expect(asking({ say: [dead(2)] }).sent).toEqual(['1000: ping m2, dead m2, alive m7'])
    expect(asking({ say: [dead(2)], fill: false }).sent).toEqual(['1000: ping m2, dead m2'])
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
    const { at } = asking({ fill: false, timeoutMs: 1000, ...over }, settings)
    at(1249)
    expect(at(1250)).toEqual(['1000: ping m2', ...again])
    expect(at(9000)).toHaveLength(1 + again.length)
  })

  test('is answered by an ack, once', () => {
    const { at, ends, ack, core } = asking({ repeat: true, stream: true })
    core.nowMs = 1100
    ack()
    ack()
    expect(ends).toEqual([Uint8Array.of(5)])
    expect(core.contacts.hasAnswered(endpointOf(2), 'm2', 1100)).toBe(true)
    expect([core.pending.size, core.deadlines.nextMs]).toEqual([0, Infinity])
    expect(at(9000)).toHaveLength(1)
  })

  test('is answered over a stream that is acked, and by no other', () => {
    const { at, ends, stream, core } = asking({ stream: true })
    at(1250)
    stream('refused')
    stream('failed')
    expect(ends).toEqual([])
    stream('acked')
    expect(ends).toEqual([new Uint8Array(0)])
    expect([core.pending.size, core.pendingStreams.size]).toEqual([0, 0])
    const silent = asking({ stream: true })
    silent.at(2000)
    expect([silent.ends, silent.core.pendingStreams.size]).toEqual([[undefined], 0])
  })

  test.each([
    ['probe', undefined, 1],
    ['answer', 'answer', 0],
    ['round', 'round', 1],
  ] as const)('to a place that never answered is on the account of a %s', (_, purpose, count) => {
    const over = purpose === undefined ? {} : { purpose }
    const { sent, at } = asking({ ...over, stream: true, repeat: true }, { keyed: false })
    expect(sent).toHaveLength(count)
    expect(at(1250)).toHaveLength(count * 3)
  })
})

import { describe, expect, test } from 'vitest'
import { GossipRounds } from '../../../../src/membership/memberlist/protocol/gossip.ts'
import type { MemberRecord } from '../../../../src/membership/memberlist/protocol/members.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { CoreBench } from './core-bench.ts'
import { numberOf } from './effect-log.ts'
import { alive, endpointOf } from './machine.ts'

/** Gossip of `m1` from 1 s on. */
function gossiping(settings: Partial<ProtocolSettings> = {}) {
  const bench = new CoreBench(settings)
  const { core } = bench
  const gossip = new GossipRounds(core, { isEvicted: () => false })
  core.onQueued = () => {
    gossip.wake()
  }
  /** What was sent up to a time. */
  const at = (ms: number) => {
    bench.run(ms - bench.nowMs)
    return bench.effects.flatMap(({ effect, atMs }) =>
      effect.kind === 'send-packet'
        ? [`${atMs} to ${numberOf(effect.to)}: ${effect.messages.map(({ kind }) => kind).join(', ')}`]
        : [],
    )
  }
  const add = (n: number, state: MemberRecord['state'] = 'alive', sinceMs = core.clockMs) => {
    core.members.setState(bench.member(n), state, sinceMs)
  }
  const say = (n = 99) => core.queueMessage(alive(n), { space: 'member', name: `m${n}` })
  return { core, at, add, say }
}

/** To whom, each once, in order of their numbers. */
const receivers = (sent: readonly string[]) =>
  [...new Set(sent.map((line) => Number(line.split(' ')[2]!.slice(0, -1))))].sort((a, b) => a - b)

describe('gossip', () => {
  test('goes nearly at once, then in intervals, until all was said', () => {
    const { at, add, say, core } = gossiping({ retransmitMult: 1, gossipNodes: 1 })
    for (const n of [2, 3]) add(n)
    say()
    // Three of them are told, of which this one is one.
    expect(at(1009)).toEqual([])
    expect(at(5000).map((line) => line.replace(/ to \d/, ''))).toEqual([
      '1010: alive',
      '1210: alive',
      '1410: alive',
    ])
    expect(core.deadlines.nextMs).toBe(Infinity)
    say()
    expect(at(5010)).toHaveLength(4)
    // What comes soon after waits for the interval.
    at(5020)
    say(98)
    expect(at(5209)).toHaveLength(4)
    expect(at(5210)).toHaveLength(5)
  })

  test('is one packet of all that waits, to as many as are wanted', () => {
    const { at, add, say } = gossiping()
    for (let n = 2; n <= 6; n++) add(n)
    say(98)
    say(99)
    const sent = at(1010)
    expect(sent).toHaveLength(3)
    expect(receivers(sent)).toHaveLength(3)
    for (const line of sent) expect(line).toMatch(/^1010 to \d: alive, alive$/)
  })

  test('goes to suspects as to the alive, so that they can refute', () => {
    const { at, add, say } = gossiping()
    add(2)
    for (const n of [3, 4]) add(n, 'suspect')
    say()
    expect(receivers(at(1010))).toEqual([2, 3, 4])
  })

  test.each([
    ['alive', 'dead', 30_000, [2]],
    ['alive', 'dead', 29_999, [2, 3]],
    ['suspect', 'left', 29_999, [2, 3]],
  ] as const)('goes to one that fell lately besides one that is %s', (living, fallen, agoMs, told) => {
    const { at, add, say, core } = gossiping({ gossipNodes: 1 })
    at(40_000)
    add(2, living)
    add(3, fallen, 40_010 - agoMs)
    say()
    const sent = at(40_010)
    expect(receivers(sent)).toEqual(told)
    // That one comes on top.
    expect(core.queue.count).toBe(1)
    const [item] = core.queue.look(1000, 1)
    expect(item).toBeDefined()
    expect(sent).toHaveLength(told.length)
  })

  test('goes to the fallen where nobody else is, as long as they may answer', () => {
    const { at, add, say, core } = gossiping({ gossipNodes: 2 })
    for (const n of [2, 3, 4]) add(n, 'dead')
    add(5, 'dead', -29_000)
    say()
    const sent = at(1010)
    expect(sent).toHaveLength(2)
    for (const n of receivers(sent)) expect([2, 3, 4]).toContain(n)
    // And waits without a timer where there is nobody.
    const alone = gossiping()
    alone.say()
    expect([alone.at(9000), alone.core.deadlines.nextMs, alone.core.queue.count]).toEqual([[], Infinity, 1])
    alone.add(2)
    alone.say(98)
    expect(receivers(alone.at(9010))).toEqual([2])
    expect(core.queue.count).toBe(1)
  })

  test('greets first who has not answered yet, where there are no keys', () => {
    const { core, at, add, say } = gossiping({ keyed: false, gossipNodes: 2, retransmitMult: 1 })
    for (const n of [2, 3]) add(n)
    core.contacts.answered(endpointOf(2), 'm2', 1000)
    say()
    expect(at(1010).toSorted()).toEqual(['1010 to 2: alive', '1010 to 3: ping'])
    const [seqNo] = core.pending.keys()
    core.pending.get(seqNo!)?.acked(new Uint8Array(0), endpointOf(3), [])
    expect(core.takeEffects()).toMatchObject([
      { kind: 'send-packet', to: endpointOf(3), messages: [{ kind: 'alive' }] },
    ])
    // It counts as said twice, of three times.
    expect(core.queue.count).toBe(1)
    // One that stays silent gets nothing, and one is not greeted where all is said.
    const silent = gossiping({ keyed: false, gossipNodes: 2, retransmitMult: 1 })
    silent.add(2)
    silent.say()
    expect(silent.at(1011)).toEqual(['1010 to 2: ping'])
    const asked = silent.at(3000).length
    expect(silent.core.queue.count).toBe(1)
    silent.core.queue.remove({ space: 'member', name: 'm99' })
    const sent = silent.at(9000)
    expect(sent).toHaveLength(asked)
    expect(sent.every((line) => line.endsWith(': ping'))).toBe(true)
    expect(silent.core.deadlines.nextMs).toBe(Infinity)
  })
})

import { describe, expect, test } from 'vitest'
import { estimateSize } from '../../../../lab/sim/message-size.ts'
import { Core, createRecord } from '../../../../src/membership/memberlist/protocol/core.ts'
import { GossipRounds } from '../../../../src/membership/memberlist/protocol/gossip.ts'
import type { MemberRecord } from '../../../../src/membership/memberlist/protocol/members.ts'
import { PRESETS, type ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { alive, endpointOf } from './machine.ts'

/** Gossip of `m1` from 1 s on; chance is always in the middle. */
function gossiping(settings: Partial<ProtocolSettings> = {}) {
  const identity = { name: 'm1', endpoint: endpointOf(1), meta: new Uint8Array(0) }
  const merged = { ...PRESETS.lan, keyed: true, ...settings }
  const core = new Core(identity, merged, { random: () => 0.5, sizeOf: estimateSize })
  const gossip = new GossipRounds(core)
  core.onQueued = () => {
    gossip.wake()
  }
  const sent: string[] = []
  const at = (ms: number) => {
    while (core.deadlines.nextMs <= ms) {
      core.nowMs = core.deadlines.nextMs
      core.clockMs = core.nowMs
      core.deadlines.runDue(core.nowMs)
      for (const effect of core.takeEffects()) {
        if (effect.kind !== 'send-packet') continue
        const words = effect.messages.map((message) => message.kind)
        sent.push(`${core.nowMs} to ${effect.to.address.split('.')[3]}: ${words.join(', ')}`)
      }
    }
    core.nowMs = ms
    core.clockMs = ms
    return sent
  }
  const add = (n: number, state: MemberRecord['state'] = 'alive', sinceMs = core.clockMs) => {
    const { address, meta, vsn } = alive(n)
    const record = createRecord(`m${n}`, endpointOf(n), address, meta, vsn)
    core.members.add(record)
    core.members.setState(record, state, sinceMs)
    return record
  }
  const say = (n = 99) => core.queueMessage(alive(n), { space: 'member', name: `m${n}` })
  at(1000)
  return { core, at, add, say, sent }
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
    const { core, at, add, say, sent } = gossiping({ keyed: false, gossipNodes: 2, retransmitMult: 1 })
    for (const n of [2, 3]) add(n)
    core.contacts.answered(endpointOf(2), 'm2', 1000)
    say()
    at(1010)
    expect(sent.toSorted()).toEqual(['1010 to 2: alive', '1010 to 3: ping'])
    const [seqNo] = core.pending.keys()
    core.pending.get(seqNo!)?.acked(new Uint8Array(0), endpointOf(3))
    expect(core.takeEffects()).toMatchObject([
      { kind: 'send-packet', to: endpointOf(3), messages: [{ kind: 'alive' }] },
    ])
    // It counts as said twice, of three times.
    expect(core.queue.count).toBe(1)
    // One that stays silent gets nothing, and one is not greeted where all is said.
    const silent = gossiping({ keyed: false, gossipNodes: 2, retransmitMult: 1 })
    silent.add(2)
    silent.say()
    silent.at(1011)
    expect(silent.sent).toEqual(['1010 to 2: ping'])
    silent.at(3000)
    expect(silent.core.queue.count).toBe(1)
    const asked = silent.sent.length
    silent.core.queue.remove({ space: 'member', name: 'm99' })
    expect(silent.at(9000)).toHaveLength(asked)
    expect(silent.sent.every((line) => line.endsWith(': ping'))).toBe(true)
    expect(silent.core.deadlines.nextMs).toBe(Infinity)
  })
})

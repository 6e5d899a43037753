import { describe, expect, test } from 'vitest'
import { alive, Machine, suspect } from './machine.ts'

const NO_BYTES = new Uint8Array(0)

/** `m2` is silent, and this machine has just asked the others to look for it. */
function asking(count: number) {
  const machine = new Machine({ witnesses: 'auto' }, {}, 1, () => true).withMembers(count)
  // It has answered before.
  machine.run(3000 * count)
  machine.answering.delete(2)
  machine.runUntil('member-changed', ({ change, member }) => change === 'suspected' && member.name === 'm2')
  const asked = machine
    .sent('indirect-ping')
    .filter(({ message, atMs }) => message.node === 'm2' && atMs === machine.nowMs)
  const nack = (from: readonly number[]) => {
    for (const n of from) machine.packet(n, { kind: 'nack', seqNo: asked[0]!.message.seqNo })
  }
  return { machine, witnesses: asked.map(({ to }) => to), nack }
}

describe('who suspects a member', () => {
  test('declares it dead when all have spoken and found it silent, not within 2.5 s of its last packet', () => {
    const { machine, witnesses, nack } = asking(6)
    machine.packet(2, { kind: 'user', payload: NO_BYTES })
    const heardMs = machine.nowMs
    nack(witnesses)
    machine.runUntil('member-changed', ({ change }) => change === 'died')
    expect(machine.nowMs - heardMs).toBeGreaterThanOrEqual(2499)
    expect(machine.protocol.counters.declaredDeadBy.witnesses).toBe(1)
    const log = machine.of('log').find(({ fields }) => fields['event'] === 'suspect.declared-dead')
    expect(log?.fields['evidence']).toBe('witnesses')
    // They have the news from here at once.
    expect(new Set(machine.sent('dead').map(({ to }) => to))).toEqual(new Set([3, 4, 5, 6]))
  })

  test('waits for one that has heard it lately', () => {
    const { machine, witnesses, nack } = asking(6)
    machine.packet(witnesses[0]!, alive(2))
    nack(witnesses.slice(1))
    machine.run(2700)
    expect(machine.state(2)).toBe('suspect')
    nack(witnesses.slice(0, 1))
    expect(machine.state(2)).toBe('dead')
  })
})

describe('where three or more are suspected at once', () => {
  const questionsOn = (machine: Machine, n: number) =>
    machine.sent('indirect-ping').filter(({ message }) => message.node === `m${n}`)

  /** This machine probes `m2` when `m6` says that it suspects it, and two more. */
  function probing() {
    const machine = new Machine({ witnesses: 'auto' }, {}, 1, () => true).withMembers(30)
    machine.run(60_000)
    machine.answering.delete(2)
    machine.clear()
    machine.runUntil(
      'send-packet',
      ({ to, messages }) => to.address === '10.0.0.2' && messages[0]?.kind === 'ping',
    )
    for (const n of [7, 8]) machine.answering.delete(n)
    machine.packet(6, suspect(2, 1, 'm6'), suspect(7, 1, 'm6'), suspect(8, 1, 'm6'))
    return machine
  }

  test('who finds one silent leaves the question to another who suspects it', () => {
    const machine = probing()
    machine.run(1100)
    expect(machine.state(2)).toBe('suspect')
    expect(questionsOn(machine, 2)).toEqual([])
  })

  test('and at once where the other is silent itself', () => {
    const machine = probing()
    machine.packet(9, suspect(6, 1, 'm9'))
    machine.run(1100)
    expect(questionsOn(machine, 2)).toHaveLength(12)
  })

  test('others are asked as soon as those that are left of the first cannot be enough, once', () => {
    const { machine, witnesses } = asking(60)
    expect(witnesses).toHaveLength(12)
    const [, ...fallen] = witnesses.slice(0, 7)
    machine.clear()
    machine.packet(61, ...fallen.slice(1).map((n) => suspect(n, 1, 'm60')))
    expect(questionsOn(machine, 2)).toEqual([])
    machine.packet(61, suspect(fallen[0]!, 1, 'm60'))
    const again = questionsOn(machine, 2).map(({ to }) => to)
    expect(again).toHaveLength(12)
    expect(again.filter((to) => fallen.includes(to))).toEqual([])
    machine.packet(61, ...again.map((n) => suspect(n, 1, 'm60')))
    machine.run(4000)
    expect(questionsOn(machine, 2)).toHaveLength(12)
  })
})

describe('a witness', () => {
  test('pings several times, and says that it was silent only 2.5 s after its last packet', () => {
    const machine = new Machine().withMembers(6)
    machine.run(18_000)
    machine.answering.delete(2)
    machine.packet(2, { kind: 'user', payload: NO_BYTES })
    const heardMs = machine.nowMs
    machine.clear()
    machine.packet(3, suspect(2, 1, 'm3'), {
      kind: 'indirect-ping',
      seqNo: 77,
      target: alive(2).address,
      port: 7946,
      node: 'm2',
      nack: true,
      source: { address: alive(3).address, port: 7946, node: 'm3' },
    })
    // That it has heard it is said at once, by what is known of it.
    expect(
      machine
        .sent('alive')
        .filter(({ to }) => to === 3)
        .map(({ message }) => message.node),
    ).toEqual(['m2'])
    machine.run(2400)
    expect(machine.sent('nack')).toEqual([])
    machine.run(300)
    const nacks = machine.sent('nack')
    expect(nacks.map(({ to, message }) => [to, message.seqNo])).toEqual([
      [3, 77],
      [3, 77],
    ])
    expect(nacks[0]!.atMs - heardMs).toBeGreaterThanOrEqual(2499)
    expect(machine.sent('ping').filter(({ to }) => to === 2).length).toBeGreaterThanOrEqual(8)
  })
})

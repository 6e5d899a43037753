import { describe, expect, test } from 'vitest'
import { alive, dead, endpointOf, Machine, node, suspect } from './machine.ts'

/** `m2` is silent, and declared dead by us 4 s after this, unless something comes between. */
function aboutToDeclareDead(settings = {}): Machine {
  const machine = new Machine({ pushPullIntervalMs: 0, ...settings }).withMembers(8)
  machine.answering.delete(2)
  machine.packet(3, suspect(2, 1, 'm3'), suspect(2, 1, 'm4'), suspect(2, 1, 'm5'))
  machine.clear()
  return machine
}

const stateWith = (incarnation: number, state: number) => ({
  kind: 'push-pull-received' as const,
  stream: 1,
  from: endpointOf(3),
  state: { join: false, nodes: [node(3), node(1, incarnation, state)], userState: new Uint8Array(0) },
})

describe('a member that was given up by others', () => {
  test.each([
    ['word of its death', (machine: Machine) => machine.packet(3, dead(1, 1, 'm3'))],
    ['a state in which it is dead', (machine: Machine) => machine.handle(stateWith(1, 2))],
  ])('puts off its deadlines when %s reaches it', (_, learn) => {
    const machine = aboutToDeclareDead()
    machine.run(3500)
    learn(machine)
    machine.run(3500)
    expect(machine.state(2)).toBe('suspect')
    // It is not spared for ever.
    machine.run(4500)
    expect(machine.state(2)).toBe('dead')
  })

  test('does so a limited number of times', () => {
    const machine = aboutToDeclareDead()
    for (let i = 0; i < 200 && machine.state(2) === 'suspect'; i++) {
      machine.packet(3, dead(1, 1000, 'm3'))
      machine.packet(3, dead(1, machine.protocol.member('m1')!.incarnation, 'm3'))
      machine.run(500)
    }
    expect(machine.state(2)).toBe('dead')
  })

  test('keeps nothing of a death that others have confirmed or refuted meanwhile', () => {
    const machine = aboutToDeclareDead({ retransmitMult: 1000 })
    machine.run(4500)
    // A later life of it, and its end, are not ours.
    machine.answering.add(2)
    machine.packet(3, alive(2, 5))
    machine.answering.delete(2)
    machine.packet(3, dead(2, 5, 'm3'))
    machine.packet(3, dead(1, 1, 'm3'))
    machine.clear()
    machine.run(900)
    expect(
      machine.sent('dead').some(({ message }) => message.node === 'm2' && message.incarnation === 5),
    ).toBe(true)
  })
})

describe('word of a death from a member that is dead here', () => {
  test('is taken as suspicion, and sent on as such', () => {
    const machine = new Machine().withMembers(6)
    machine.packet(3, dead(2, 1, 'm3'))
    machine.clear()
    machine.packet(2, dead(4, 1, 'm2'))
    expect(machine.changes()).toEqual(['m4 suspected'])
    machine.run(300)
    expect(machine.sent('suspect').some(({ message }) => message.node === 'm4')).toBe(true)
    expect(machine.sent('dead').some(({ message }) => message.node === 'm4')).toBe(false)
    machine.packet(3, dead(4, 1, 'm3'))
    expect(machine.state(4)).toBe('dead')
  })
})

describe('a member that nobody answers', () => {
  /** Nobody answers any more, for so long. */
  function unanswered(ms: number) {
    const machine = new Machine({ witnesses: 'off' }).withMembers(30)
    machine.run(60_000)
    machine.answering.clear()
    machine.run(ms)
    return machine
  }

  test('tells nobody of the deaths that it finds', () => {
    const machine = unanswered(5000)
    const { member } = machine.runUntil('member-changed', ({ change }) => change === 'died')
    const untilMs = machine.nowMs
    machine.run(5000)
    const told = machine
      .sent('dead')
      .filter(({ message, atMs }) => message.node === member.name && atMs > untilMs)
    // But for pings to the dead itself.
    expect(told.filter(({ to }) => `m${to}` !== member.name)).toEqual([])
  })

  test.each([
    ['puts off what is due once somebody answers again', 12_000, 'suspect'],
    ['does not after a short time', 2000, 'dead'],
  ])('%s', (_, silentMs, state) => {
    const machine = unanswered(silentMs)
    // New suspicions, of later lives, which end 6 s from now; after half of that the suspects are pinged.
    for (const n of [2, 6]) machine.packet(3, suspect(n, 2, 'm3'), suspect(n, 2, 'm4'), suspect(n, 2, 'm5'))
    machine.run(4500)
    machine.answering.add(6)
    machine.run(2500)
    expect(machine.state(2)).toBe(state)
  })
})

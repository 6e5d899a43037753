import { describe, expect, test } from 'vitest'
import { alive, dead, Machine } from './protocol/machine.ts'

/** `m4` was dead, and its name has come back from another port. */
function takenOver(): Machine {
  const machine = new Machine().withMembers(4)
  machine.answering.delete(4)
  machine.packet(2, dead(4))
  machine.packet(3, alive(4, 1, { port: 9999 }))
  machine.clear()
  return machine
}

describe('a name that has just been taken over', () => {
  test('is not taken for dead on late word of what it was, in the same incarnation', () => {
    const machine = takenOver()
    machine.run(300)
    machine.packet(3, dead(4))
    machine.packet(2, dead(4, 1, 'm4'))
    expect(machine.state(4)).toBe('alive')
    expect(machine.changes()).toEqual([])
  })

  test('is told of together with the fall, so that nobody takes it for a conflict', () => {
    const machine = takenOver()
    machine.run(100)
    const packets = machine
      .of('send-packet')
      .map(({ messages }) =>
        messages.flatMap((message) =>
          (message.kind === 'alive' || message.kind === 'dead') && message.node === 'm4'
            ? [message.kind]
            : [],
        ),
      )
    expect(packets).not.toEqual([])
    for (const kinds of packets) expect(kinds.toSorted()).toEqual(['alive', 'dead'])
  })

  test('is told of alone once it has said more of itself, or fallen', () => {
    const machine = takenOver()
    machine.packet(3, alive(4, 2, { port: 9999 }))
    machine.run(100)
    expect(machine.sent('dead')).toEqual([])
    const told = machine.sent('alive').filter(({ message }) => message.node === 'm4')
    expect(new Set(told.map(({ message }) => message.incarnation))).toEqual(new Set([2]))
    const fallen = takenOver()
    fallen.packet(3, dead(4, 2))
    fallen.run(100)
    expect(fallen.sent('alive').filter(({ message }) => message.node === 'm4')).toEqual([])
    expect(new Set(fallen.sent('dead').map(({ message }) => message.incarnation))).toEqual(new Set([2]))
  })

  test('leaves by itself in a later incarnation, as one that learned of its fall has', () => {
    const machine = takenOver()
    machine.packet(3, alive(4, 2, { port: 9999 }), dead(4, 2, 'm4'))
    expect(machine.state(4)).toBe('left')
  })

  test('falls to word of a later incarnation', () => {
    const machine = takenOver()
    machine.packet(3, alive(4, 2, { port: 9999 }), dead(4, 2))
    expect(machine.state(4)).toBe('dead')
  })

  test('falls to any word of its incarnation once the old word has had its time', () => {
    const machine = takenOver()
    machine.answering.add(4)
    machine.run(4000)
    expect(machine.state(4)).toBe('alive')
    machine.packet(3, dead(4))
    expect(machine.state(4)).toBe('dead')
  })

  test('is declared dead by us', () => {
    const machine = takenOver()
    machine.run(60_000)
    expect(machine.changes()).toContain('m4 died')
  })
})

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

  test('falls to our own verdict', () => {
    const machine = takenOver()
    machine.run(60_000)
    expect(machine.changes()).toContain('m4 died')
  })
})

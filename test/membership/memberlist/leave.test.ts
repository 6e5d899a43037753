import { describe, expect, test } from 'vitest'
import { dead, Machine } from './protocol/machine.ts'

describe('leaving', () => {
  test('counts nobody who is known to be dead', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.delete(3)
    machine.packet(2, dead(3))
    machine.clear()
    machine.handle({ kind: 'leave' })
    expect(machine.of('left')).toEqual([{ kind: 'left', acknowledgedBy: 1, others: 1 }])
  })

  test('waits no longer for a member that turns out to be dead meanwhile', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.delete(3)
    machine.handle({ kind: 'leave' })
    expect(machine.of('left')).toEqual([])
    machine.run(500)
    machine.packet(2, dead(3))
    machine.run(500)
    // It was among the others when leaving began.
    expect(machine.of('left')).toEqual([{ kind: 'left', acknowledgedBy: 1, others: 2 }])
  })
})

test('a member of old memberlist leaves with word that names nobody', () => {
  const machine = new Machine().withMembers(3)
  machine.packet(2, dead(3, 1, ''))
  expect(machine.state(3)).toBe('left')
  expect(machine.changes()).toEqual(['m3 left'])
})

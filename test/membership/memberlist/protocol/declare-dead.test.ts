import { describe, expect, test } from 'vitest'
import { alive, endpointOf, Machine } from './machine.ts'

const declare = (machine: Machine, name: string, address: string) => {
  machine.handle({ kind: 'declare-dead', name, address })
}

describe('a member that somebody knows to be gone', () => {
  test('is dead at once, and the others are told', () => {
    const machine = new Machine().withMembers(3)
    declare(machine, 'm2', endpointOf(2).address)
    expect(machine.protocol.member('m2')).toMatchObject({ state: 'dead', incarnation: 1 })
    machine.run(1000)
    const words = machine.sent('dead')
    expect(words.map(({ message }) => message)).toContainEqual({
      kind: 'dead',
      incarnation: 1,
      node: 'm2',
      from: 'm1',
    })
    // The member itself hears of it as well, so that it can refute it.
    expect(new Set(words.map(({ to }) => to))).toEqual(new Set([2, 3]))
  })

  test('can deny it', () => {
    const machine = new Machine().withMembers(3)
    declare(machine, 'm2', endpointOf(2).address)
    machine.packet(2, alive(2, 2))
    expect(machine.protocol.member('m2')).toMatchObject({ state: 'alive', incarnation: 2 })
  })

  test('is left alone at another address, when it is not known, and when it is ourselves', () => {
    const machine = new Machine().withMembers(3)
    declare(machine, 'm2', endpointOf(9).address)
    declare(machine, 'nobody', endpointOf(2).address)
    declare(machine, 'm1', endpointOf(1).address)
    for (const name of ['m1', 'm2', 'm3']) expect(machine.protocol.member(name)?.state).toBe('alive')
  })

  test('that has left is not called dead', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(2, { kind: 'dead', incarnation: 1, node: 'm2', from: 'm2' })
    declare(machine, 'm2', endpointOf(2).address)
    expect(machine.protocol.member('m2')?.state).toBe('left')
  })
})

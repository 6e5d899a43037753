import { describe, expect, test } from 'vitest'
import { alive, dead, Machine } from './protocol/machine.ts'

const LIVING = [2, 3, 4]
const FALLEN = [6, 7, 8, 9, 10, 11, 12, 13]
const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1)

/** `m2` to `m5` live, eight others died a moment ago, and there is no news left to tell. */
function afterChurn(seed: number): Machine {
  const machine = new Machine({}, {}, seed).withMembers(13)
  for (const n of FALLEN) {
    machine.answering.delete(n)
    machine.packet(2, dead(n))
  }
  for (let i = 0; i < 100 && machine.protocol.queuedCount > 0; i++) machine.run(100)
  expect(machine.protocol.queuedCount).toBe(0)
  machine.clear()
  return machine
}

describe('gossip while some have just died', () => {
  test.each(SEEDS)('tells all the living at the first go, seed %i', (seed) => {
    const machine = afterChurn(seed)
    // So that the next gossip need not wait for the interval since the last one.
    machine.run(1000)
    machine.packet(5, dead(5, 1, 'm5'))
    machine.run(30)
    const told = machine.sent('dead').flatMap(({ message, to }) => (message.node === 'm5' ? [to] : []))
    expect(told).toEqual(expect.arrayContaining(LIVING))
  })

  test.each(SEEDS)('tells the dead as well, but no more than one of them each time, seed %i', (seed) => {
    const machine = afterChurn(seed)
    machine.answering.add(14)
    machine.packet(2, alive(14))
    machine.run(2000)
    const told = machine.sent('alive').filter(({ message }) => message.node === 'm14')
    const toFallen = told.filter(({ to }) => FALLEN.includes(to))
    expect(toFallen.length).toBeGreaterThan(0)
    expect(new Set(toFallen.map(({ atMs }) => atMs)).size).toBe(toFallen.length)
    for (const n of [...LIVING, 5]) expect(told.map(({ to }) => to)).toContain(n)
  })

  test('tells the dead when nobody else is there, and comes to an end', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.clear()
    machine.packet(2, dead(2), dead(3))
    machine.run(20_000)
    expect(new Set(machine.sent('dead').map(({ to }) => to))).toEqual(new Set([2, 3]))
    expect(machine.protocol.queuedCount).toBe(0)
  })
})

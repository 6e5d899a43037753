import { describe, expect, test } from 'vitest'
import type { Alive } from '../../../../src/membership/memberlist/wire/messages.ts'
import { alive, dead, endpointOf, Machine, suspect } from './machine.ts'

test.each<[string, Partial<Alive>]>([
  ['a name of 255 characters', { node: 'x'.repeat(255) }],
  ['port 1', { port: 1 }],
  ['port 65535', { port: 65_535 }],
  ['metadata of 512 bytes', { meta: new Uint8Array(512) }],
  ['one protocol version only', { vsn: Uint8Array.of(2, 2, 2, 0, 0, 0) }],
])('a member with %s is taken', (_, over) => {
  const machine = new Machine()
  machine.packet(2, alive(2, 1, over))
  expect(machine.protocol.member(over.node ?? 'm2')).toMatchObject({ state: 'alive' })
})

describe('which of two messages about a member counts', () => {
  const tell = {
    alive: (incarnation: number) => alive(2, incarnation),
    suspect: (incarnation: number) => suspect(2, incarnation, 'm3'),
    dead: (incarnation: number) => dead(2, incarnation, 'm3'),
    left: (incarnation: number) => dead(2, incarnation, 'm2'),
  }
  type State = keyof typeof tell
  const states = Object.keys(tell) as State[]

  /** The later life counts; in one life the worse news, and a leave, which is the member's own word, most of all. */
  function expected(state: State, told: State, incarnation: number): [State, number] {
    const isFallen = state === 'dead' || state === 'left'
    if (told === 'suspect' && isFallen) return [state, 5]
    if (incarnation === 6) return [told, 6]
    const isWorse = states.indexOf(told) > states.indexOf(state)
    return incarnation === 5 && isWorse ? [told, 5] : [state, 5]
  }

  test.each(
    states.flatMap((state) =>
      states.flatMap((told) => [4, 5, 6].map((incarnation) => [state, told, incarnation] as const)),
    ),
  )('%s in incarnation 5, and %s in %i', (state, told, incarnation) => {
    const machine = new Machine({ reconnectIntervalMs: 0 })
    machine.packet(3, alive(2, 5), alive(3))
    if (state !== 'alive') machine.packet(3, tell[state](5))
    expect(machine.protocol.member('m2')).toMatchObject({ state, incarnation: 5 })
    // It answers when it is asked whether it lives again.
    machine.answering.add(2)
    machine.packet(3, tell[told](incarnation))
    const [newState, newIncarnation] = expected(state, told, incarnation)
    expect(machine.protocol.member('m2')).toMatchObject({ state: newState, incarnation: newIncarnation })
  })
})

describe('a dead member is forgotten', () => {
  const start = (maxMembers = 100) => {
    const quiet = { reconnectIntervalMs: 0, pushPullIntervalMs: 0 }
    const machine = new Machine({ ...quiet, deadKeptMs: 10_000, maxMembers })
    machine.answering.add(2).add(3)
    machine.packet(3, alive(2), alive(3))
    machine.answering.delete(2)
    machine.packet(3, dead(2, 1, 'm3'))
    return machine
  }
  const isKnown = (machine: Machine) => machine.state(2) !== undefined

  test('after its time', () => {
    const machine = start()
    machine.run(9999)
    expect(machine.state(2)).toBe('dead')
    machine.run(2)
    expect(isKnown(machine)).toBe(false)
    expect(machine.changes().at(-1)).toBe('m2 forgotten')
  })

  test('once, when a newcomer needed its room', () => {
    const machine = start(3)
    machine.answering.add(4)
    machine.packet(4, alive(4))
    machine.run(20_000)
    expect(machine.changes().filter((change) => change === 'm2 forgotten')).toHaveLength(1)
    expect(machine.state(4)).toBe('alive')
  })

  test('not when it lives again', () => {
    const machine = start()
    machine.answering.add(2)
    machine.packet(3, alive(2, 2))
    machine.run(30_000)
    expect(machine.state(2)).toBe('alive')
  })

  test.each([
    ['when it died again', [alive(2, 2), dead(2, 2, 'm3')]],
    ['when it says after all that it left', [dead(2, 1, 'm2')]],
  ])('%s, after that', (_, messages) => {
    const machine = start()
    machine.run(8000)
    machine.answering.add(2)
    machine.packet(3, messages[0]!)
    machine.answering.delete(2)
    machine.packet(3, ...messages.slice(1))
    machine.run(9999)
    expect(isKnown(machine)).toBe(true)
    machine.run(2)
    expect(isKnown(machine)).toBe(false)
  })
})

test.each([
  ['alone, a member contacts eight seeds at a time', [], 8],
  ['among others, one', [alive(100)], 1],
])('%s', (_, others, atOnce) => {
  const machine = new Machine({ reconnectIntervalMs: 0, pushPullIntervalMs: 0 })
  machine.answering.add(100)
  machine.packet(100, ...others)
  machine.handle({ kind: 'join', seeds: Array.from({ length: 20 }, (_seed, i) => endpointOf(i + 2)) })
  /** Refuses what is under way, until nothing is. */
  const refuse = () => {
    let count = 0
    for (
      let started = machine.of('start-push-pull');
      started.length > 0;
      started = machine.of('start-push-pull')
    ) {
      machine.clear()
      count += started.length
      for (const { exchange } of started)
        machine.handle({ kind: 'push-pull-failed', exchange, outcome: 'failed', message: 'no' })
    }
    return count
  }
  expect(refuse()).toBe(20)
  for (let round = 0; round < 3; round++) {
    machine.runUntil('start-push-pull')
    expect(refuse()).toBe(atOnce)
  }
})

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { tryParseAddress } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'
import { alive, dead, endpointOf, Machine, node, suspect } from './machine.ts'

const at = (n: number) => ({ address: tryParseAddress(endpointOf(n).address)! })

describe('alive', () => {
  test.each([
    ['the dead come back with a higher incarnation', dead(2, 3, 'm3'), 4, ['m2 joined']],
    ['but not with the same', dead(2, 3, 'm3'), 3, []],
    ['the left come back with a higher incarnation', dead(2, 3, 'm2'), 4, ['m2 joined']],
  ])('%s', (_, fall, incarnation, changes) => {
    const machine = new Machine()
    machine.answering.add(2)
    machine.packet(2, alive(2, 3), alive(3))
    machine.packet(3, fall)
    machine.clear()
    machine.packet(2, alive(2, incarnation))
    expect(machine.changes()).toEqual(changes)
  })

  test.each<[string, Partial<Extract<Message, { kind: 'alive' }>>, string]>([
    ['no name', { node: '' }, 'malformed'],
    ['a name that clears the terminal', { node: '\x1b[2J' }, 'malformed'],
    ['a name that turns the line round', { node: 'a\u202eb' }, 'malformed'],
    ['a multicast address', { address: Uint8Array.of(224, 0, 0, 1) }, 'malformed'],
    ['a name of 256 characters', { node: 'x'.repeat(256) }, 'malformed'],
    ['an address of 5 bytes', { address: Uint8Array.of(1, 2, 3, 4, 5) }, 'malformed'],
    ['the unspecified address', { address: new Uint8Array(4) }, 'malformed'],
    ['port 0', { port: 0 }, 'malformed'],
    ['port 65536', { port: 65_536 }, 'malformed'],
    ['metadata of 513 bytes', { meta: new Uint8Array(513) }, 'malformed'],
    ['five version bytes', { vsn: Uint8Array.of(1, 5, 2, 0, 0) }, 'malformed'],
    ['protocol 0', { vsn: Uint8Array.of(0, 5, 2, 0, 0, 0) }, 'version-incompatible'],
    ['versions upside down', { vsn: Uint8Array.of(5, 1, 2, 0, 0, 0) }, 'version-incompatible'],
    ['an incarnation near the end', { incarnation: 2 ** 31 }, 'incarnation-out-of-range'],
    ['the last incarnation', { incarnation: 2 ** 32 - 1 }, 'incarnation-out-of-range'],
  ])('with %s is refused and counted', (_, over, reason) => {
    const machine = new Machine()
    machine.packet(2, alive(2, 1, over))
    expect(machine.protocol.members()).toHaveLength(1)
    expect(machine.protocol.counters.refused).toMatchObject({ [reason]: 1 })
  })

  test('incarnations rise no faster than a budget over time, however many steps they take', () => {
    const machine = new Machine().withMembers(2)
    const startedMs = machine.nowMs
    let incarnation = 1
    for (let i = 0; i < 3000; i++) {
      incarnation = Math.min(2 ** 31 - 1, machine.protocol.member('m2')!.incarnation + 2 ** 20 - 64)
      machine.packet(
        3,
        suspect(2, incarnation, 'm1'),
        alive(2, incarnation + 1),
        suspect(1, incarnation, 'm3'),
      )
      machine.run(10)
    }
    const seconds = (machine.nowMs - startedMs) / 1000
    expect(machine.protocol.member('m2')!.incarnation).toBeLessThan(2 ** 20 + 16 * seconds + 10)
    expect(machine.protocol.member('m1')!.incarnation).toBeLessThan(2 ** 21 + 32 * seconds + 10)
    // What the others took of it this member can exceed.
    machine.packet(3, suspect(1, 2 ** 20 + 16 * Math.floor(seconds), 'm3'))
    expect(machine.protocol.member('m1')!.state).toBe('alive')
  })

  test('at the limit those who never answered make room for one that has, without a word to others', () => {
    const machine = new Machine({ maxMembers: 4, keyed: false })
    machine.handle({ kind: 'join', seeds: [endpointOf(2)] })
    const { exchange } = machine.of('start-push-pull')[0]!
    const state = { join: false, nodes: [node(2), node(3), node(4)], userState: new Uint8Array(0) }
    machine.handle({ kind: 'push-pull-answered', exchange, state })
    expect(machine.protocol.members()).toHaveLength(4)
    machine.answering.add(2).add(5).add(6).add(7)
    machine.clear()
    // Nobody answers there.
    machine.packet(2, alive(8))
    machine.run(500)
    expect([3, 4].map((n) => machine.state(n))).toEqual(['alive', 'alive'])
    machine.packet(2, alive(5))
    machine.packet(2, alive(6))
    expect([2, 3, 4, 5, 6].map((n) => machine.state(n))).toEqual([
      'alive',
      undefined,
      undefined,
      'alive',
      'alive',
    ])
    expect(
      machine
        .changes()
        .filter((change) => /m[34]/.test(change))
        .sort(),
    ).toEqual(['m3 died', 'm3 forgotten', 'm4 died', 'm4 forgotten'])
    expect(machine.sent('dead')).toEqual([])
    // All have answered: nobody has to go.
    machine.packet(2, alive(7))
    expect(machine.state(7)).toBeUndefined()
    expect(machine.protocol.members()).toHaveLength(4)
  })
})

describe('facts in any order', () => {
  const fact = fc.record({
    kind: fc.constantFrom('alive', 'dead', 'left'),
    incarnation: fc.integer({ min: 1, max: 4 }),
  })
  const facts = fc.array(fact, { minLength: 1, maxLength: 6 })
  const say = ({ kind, incarnation }: { kind: string; incarnation: number }): Message =>
    kind === 'alive' ? alive(2, incarnation) : dead(2, incarnation, kind === 'left' ? 'm2' : 'm3')
  const after = (messages: readonly Message[]) => {
    const machine = new Machine()
    // Who comes back from the dead is asked first.
    machine.answering.add(2)
    machine.packet(3, alive(3), alive(2, 0), ...messages)
    const { state, incarnation } = machine.protocol.member('m2')!
    return { state, incarnation }
  }

  test('the higher incarnation wins; with equal ones left beats dead beats alive', () => {
    const rank = { alive: 0, dead: 1, left: 2 }
    fc.assert(
      fc.property(facts, (list) => {
        const all = [{ kind: 'alive', incarnation: 0 }, ...list]
        const best = all.reduce((a, b) => {
          const higher = b.incarnation - a.incarnation || rank[b.kind as 'dead'] - rank[a.kind as 'dead']
          return higher > 0 ? b : a
        })
        expect(after(list.map(say))).toEqual({ state: best.kind, incarnation: best.incarnation })
      }),
    )
  })
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

describe('a name from another address', () => {
  test('has the old one probed at once, and declared dead in a second when it is silent', () => {
    const machine = new Machine().withMembers(3)
    machine.run(10_000)
    machine.answering.delete(2)
    machine.run(3000)
    if (machine.state(2) === 'suspect') machine.packet(2, alive(2, 2))
    machine.clear()
    const startedMs = machine.nowMs
    machine.packet(9, alive(2, 1, at(9)))
    for (let i = 0; i < 20; i++) {
      machine.run(200)
      for (const { message, to } of machine.sent('indirect-ping'))
        machine.packet(to, { kind: 'nack', seqNo: message.seqNo })
    }
    const taken = machine.effects.find(
      ({ effect }) => effect.kind === 'member-changed' && effect.change === 'joined',
    )
    expect(taken!.atMs - startedMs).toBeLessThan(2500)
  })
})

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

  test('is declared dead by us', () => {
    const machine = takenOver()
    machine.run(60_000)
    expect(machine.changes()).toContain('m4 died')
  })
})

describe('cluster names', () => {
  test('a member without one takes any, and writes no field', () => {
    const machine = new Machine()
    machine.packet(2, alive(2), alive(3, 1, { clusterName: 'red' }))
    expect(machine.protocol.livingCount).toBe(3)
    machine.run(100)
    const own = machine.sent('alive').filter(({ message }) => message.node === 'm1')
    expect(own.length).toBeGreaterThan(0)
    for (const { message } of own) expect(message).not.toHaveProperty('clusterName')
  })
})

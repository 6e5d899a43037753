import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { tryParseAddress } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'
import { alive, dead, endpointOf, Machine, node, suspect } from './machine.ts'

const at = (n: number) => ({ address: tryParseAddress(endpointOf(n).address)! })

describe('alive', () => {
  test('makes a member known, and is sent on', () => {
    const machine = new Machine()
    machine.packet(2, alive(2, 3, { meta: Uint8Array.of(7) }))
    expect(machine.protocol.member('m2')).toEqual({
      name: 'm2',
      endpoint: endpointOf(2),
      state: 'alive',
      stateSinceMs: 1000,
      incarnation: 3,
      meta: Uint8Array.of(7),
      versions: { pMin: 1, pMax: 5, pCur: 2, dMin: 0, dMax: 0, dCur: 0 },
    })
    expect(machine.protocol.livingCount).toBe(2)
    machine.packet(3, alive(3))
    machine.run(300)
    expect(machine.sent('alive').some(({ message, to }) => message.node === 'm2' && to === 3)).toBe(true)
  })

  test.each([
    ['a higher incarnation', 4, ['m2 updated']],
    ['the same incarnation', 3, []],
    ['a lower incarnation', 2, []],
  ])('with %s and other metadata', (_, incarnation, changes) => {
    const machine = new Machine()
    machine.packet(2, alive(2, 3))
    machine.clear()
    machine.packet(2, alive(2, incarnation, { meta: Uint8Array.of(7) }))
    expect(machine.changes()).toEqual(changes)
  })

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

  test('an incarnation far above the known one is refused', () => {
    const machine = new Machine().withMembers(2)
    machine.packet(2, alive(2, 2 ** 20 + 2), suspect(2, 2 ** 20 + 2, 'm1'), dead(2, 2 ** 20 + 2, 'm3'))
    expect(machine.protocol.member('m2')).toMatchObject({ state: 'alive', incarnation: 1 })
    expect(machine.protocol.counters.refused['incarnation-out-of-range']).toBe(3)
    machine.packet(2, alive(2, 2 ** 20 + 1))
    expect(machine.protocol.member('m2')?.incarnation).toBe(2 ** 20 + 1)
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

  test('without keys, very many that are new at once are asked one after the other, and none is lost', () => {
    const machine = new Machine({ keyed: false })
    for (let n = 10; n < 210; n++) {
      machine.answering.add(n)
      machine.packet(2, alive(n))
    }
    expect(machine.protocol.livingCount).toBeGreaterThan(50)
    expect(machine.protocol.livingCount).toBeLessThan(150)
    machine.run(15_000)
    expect(machine.protocol.livingCount).toBe(201)
  })

  test('the delegate can refuse a member', () => {
    const machine = new Machine({}, { refuseAlive: ({ name }) => (name === 'm2' ? 'not today' : undefined) })
    machine.packet(2, alive(2), alive(3))
    expect(machine.state(2)).toBeUndefined()
    expect(machine.state(3)).toBe('alive')
    expect(machine.protocol.counters.refused['delegate-refused']).toBe(1)
  })

  test('at the limit the dead make room, the living do not', () => {
    const machine = new Machine({ maxMembers: 4 })
    machine.packet(2, alive(2), alive(3), alive(4), alive(5))
    expect(machine.state(5)).toBeUndefined()
    expect(machine.protocol.counters.refused['too-many-members']).toBe(1)
    machine.packet(2, dead(3, 1, 'm2'), alive(5))
    expect(machine.state(3)).toBeUndefined()
    expect(machine.state(5)).toBe('alive')
    expect(machine.protocol.members()).toHaveLength(4)
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
      ...['alive', undefined, undefined],
      ...['alive', 'alive'],
    ])
    expect(
      machine
        .changes()
        .filter((change) => /m[34]/.test(change))
        .sort(),
    ).toEqual([...['m3 died', 'm3 forgotten', 'm4 died', 'm4 forgotten']])
    expect(machine.sent('dead')).toEqual([])
    // All have answered: nobody has to go.
    machine.packet(2, alive(7))
    expect(machine.state(7)).toBeUndefined()
    expect(machine.protocol.members()).toHaveLength(4)
  })
})

describe('dead', () => {
  test.each([
    [dead(2, 1, 'm3'), 'dead', 'm2 died'],
    [dead(2, 1, 'm2'), 'left', 'm2 left'],
  ])('from another or from itself', (message, state, change) => {
    const machine = new Machine().withMembers(3)
    machine.packet(3, message)
    expect(machine.state(2)).toBe(state)
    expect(machine.changes()).toEqual([change])
    expect(machine.protocol.livingCount).toBe(2)
  })

  test('with a lower incarnation, or of a stranger, says nothing', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(2, alive(2, 3))
    machine.packet(3, dead(2, 2, 'm3'), suspect(2, 2, 'm3'), dead(9), suspect(9))
    expect(machine.state(2)).toBe('alive')
    expect(machine.protocol.members()).toHaveLength(3)
  })

  test('the fallen are listed for a while, then forgotten', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(3, dead(2, 1, 'm3'))
    machine.run(59_000)
    expect(machine.state(2)).toBe('dead')
    machine.run(2000)
    expect(machine.state(2)).toBeUndefined()
    expect(machine.changes()).toEqual(['m2 died', 'm2 forgotten'])
  })

  test('who comes back is not forgotten', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(3, dead(2, 1, 'm3'))
    machine.run(30_000)
    machine.packet(2, alive(2, 2))
    machine.run(100_000)
    expect(machine.state(2)).toBe('alive')
  })
})

describe('laws', () => {
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

  test('the order of facts does not matter', () => {
    fc.assert(
      fc.property(facts, fc.integer({ min: 1, max: 1e6 }), (list, seed) => {
        const random = seededRandom(seed)
        const shuffled = list.map((value) => ({ value, key: random() }))
        shuffled.sort((a, b) => a.key - b.key)
        expect(after(shuffled.map(({ value }) => say(value)))).toEqual(after(list.map(say)))
      }),
    )
  })

  test('saying it twice changes nothing', () => {
    fc.assert(
      fc.property(facts, (list) => {
        expect(after([...list, ...list].map(say))).toEqual(after(list.map(say)))
      }),
    )
  })

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

describe('a name from another address', () => {
  test.each([
    ['dead', dead(2, 5, 'm3')],
    ['left', dead(2, 5, 'm2')],
  ])('replaces a %s member at once, in a lower incarnation too', (_, fall) => {
    const machine = new Machine().withMembers(3)
    machine.packet(2, alive(2, 5))
    machine.answering.delete(2)
    machine.packet(3, fall)
    machine.clear()
    machine.packet(9, alive(2, 1, at(9)))
    expect(machine.protocol.member('m2')).toMatchObject({
      state: 'alive',
      incarnation: 1,
      endpoint: endpointOf(9),
    })
    expect(machine.changes()).toEqual(['m2 joined'])
    // Word of the old one that is still under way does not hit the new one.
    machine.packet(3, dead(2, 5, 'm3'), suspect(2, 4, 'm3'), alive(2, 5))
    expect(machine.protocol.member('m2')).toMatchObject({ state: 'alive', endpoint: endpointOf(9) })
    // Word of the new one does.
    machine.packet(3, dead(2, 1, 'm3'))
    expect(machine.state(2)).toBe('dead')
  })

  test('is bound to what it was elsewhere for a minute only', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.delete(2)
    machine.packet(2, alive(2, 5))
    machine.packet(3, dead(2, 5, 'm2'))
    machine.packet(9, alive(2, 1, at(9)))
    machine.answering.add(9)
    machine.packet(9, dead(2, 2, 'm2'))
    expect(machine.state(2)).toBe('alive')
    machine.run(61_000)
    machine.packet(9, dead(2, 2, 'm2'))
    expect(machine.state(2)).toBe('left')
  })

  test('does not replace a living one: that is a conflict, told at a limited rate', () => {
    const machine = new Machine().withMembers(3)
    for (let i = 0; i < 5; i++) machine.packet(9, alive(2, 2 + i, at(9)))
    expect(machine.protocol.member('m2')).toMatchObject({
      state: 'alive',
      endpoint: endpointOf(2),
      incarnation: 1,
    })
    expect(machine.of('conflict-found')).toMatchObject([{ known: { name: 'm2' }, claimedBy: endpointOf(9) }])
    // The one it concerns is told.
    expect(machine.sent('alive').filter(({ message }) => message.address[3] === 9)).toMatchObject([{ to: 2 }])
  })

  test('is taken as soon as the living one falls', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(9, alive(2, 1, at(9)))
    machine.packet(3, dead(2, 1, 'm3'))
    expect(machine.protocol.member('m2')).toMatchObject({ state: 'alive', endpoint: endpointOf(9) })
    expect(machine.changes()).toEqual(['m2 died', 'm2 joined'])
  })

  test('but not a minute later', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(9, alive(2, 1, at(9)))
    machine.run(61_000)
    machine.packet(3, dead(2, 1, 'm3'))
    expect(machine.state(2)).toBe('dead')
  })

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

describe('cluster names', () => {
  test('a member with one refuses what carries another, or none', () => {
    const machine = new Machine({ clusterName: 'blue' })
    machine.packet(2, alive(2), alive(3, 1, { clusterName: 'red' }), alive(4, 1, { clusterName: 'blue' }))
    machine.packet(2, { ...dead(4), clusterName: '' }, { ...suspect(4), clusterName: 'red' })
    expect(machine.protocol.members().map(({ name }) => name)).toEqual(['m1', 'm4'])
    expect(machine.state(4)).toBe('alive')
    expect(machine.protocol.counters.refused['cluster-name-differs']).toBe(4)
    machine.run(100)
    expect(machine.sent('alive').every(({ message }) => message.clusterName === 'blue')).toBe(true)
  })

  test('the empty name takes the empty and the absent', () => {
    const machine = new Machine({ clusterName: '' })
    machine.packet(2, alive(2), alive(3, 1, { clusterName: '' }), alive(4, 1, { clusterName: 'blue' }))
    expect(machine.protocol.members().map(({ name }) => name)).toEqual(['m1', 'm2', 'm3'])
  })

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

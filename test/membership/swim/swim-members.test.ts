import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SwimMembers } from '../../../src/membership/swim/swim-members.ts'
import type { NodeMember } from '../../../src/membership/swim/swim-members.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const node = (host: string, fields: Partial<NodeMember> & { readonly name?: string } = {}): NodeMember => {
  const { name, ...rest } = fields
  return {
    host,
    state: 'alive',
    incarnation: 1,
    meta: { ServicePort: '8000', ...(name === undefined ? {} : { Name: name }) },
    ...rest,
  }
}

describe('members by name', () => {
  test('have the address and port of the gossip, and decoded metadata', () => {
    const clock = new VirtualClock()
    const { members } = new SwimMembers(clock).view([
      node('10.0.0.1:7946', { meta: { ServicePort: '8000', Weight: 3, Zone: 'z', Name: 'a', Extra: 1 } }),
    ])
    expect(members).toHaveLength(1)
    expect(members[0]).toMatchObject({
      name: 'a',
      address: '10.0.0.1',
      port: 7946,
      state: 'alive',
      stateSinceMs: clock.wallNow(),
      metadata: { servicePort: '8000', weight: 3, zone: 'z', name: 'a' },
    })
    expect(new TextDecoder().decode(members[0]?.meta)).toBe(
      '{"ServicePort":"8000","Weight":3,"Zone":"z","Name":"a","Extra":1}',
    )
  })

  test('the mark of a leave is no metadata', () => {
    const { members } = new SwimMembers(new VirtualClock()).view([
      node('10.0.0.1:1', { state: 'left', meta: { ServicePort: '8000', Name: 'a', Left: true } }),
    ])
    expect(new TextDecoder().decode(members[0]?.meta)).toBe('{"ServicePort":"8000","Name":"a"}')
  })

  test('without a name they are called by their address', () => {
    const { members } = new SwimMembers(new VirtualClock()).view([
      node('10.0.0.1:1'),
      node('10.0.0.2:1', { meta: undefined }),
      node('10.0.0.3:1', { meta: { Name: 'no service port' } }),
    ])
    expect(members.map(({ name, metadata }) => [name, metadata?.servicePort])).toEqual([
      ['10.0.0.1:1', '8000'],
      ['10.0.0.2:1', undefined],
      ['10.0.0.3:1', undefined],
    ])
  })

  test('that did not change are the same objects; a state has its own beginning', async () => {
    const clock = new VirtualClock()
    const view = new SwimMembers(clock)
    const first = view.view([node('10.0.0.1:1'), node('10.0.0.2:1')]).members
    await clock.advance(1000)
    const second = view.view([
      node('10.0.0.1:1', { incarnation: 9 }),
      node('10.0.0.2:1', { state: 'suspect' }),
    ]).members
    expect(second[0]).toBe(first[0])
    expect(second[1]).not.toBe(first[1])
    expect(second[1]?.stateSinceMs).toBe(clock.wallNow())
    await clock.advance(1000)
    const third = view.view([
      node('10.0.0.1:1', { incarnation: 10, meta: { ServicePort: '8001' } }),
      node('10.0.0.2:1', { state: 'suspect' }),
    ]).members
    expect(third[0]?.metadata?.servicePort).toBe('8001')
    expect(third[0]?.stateSinceMs).toBe(first[0]?.stateSinceMs)
    expect(third[1]).toBe(second[1])
  })
})

describe('two members with the same name', () => {
  const view = (...nodes: NodeMember[]) => new SwimMembers(new VirtualClock()).view(nodes)
  const old = node('10.0.0.1:1', { name: 'a', incarnation: 100 })
  const young = node('10.0.0.2:1', { name: 'a', incarnation: 200 })

  test('the newer one stands for both', () => {
    const { members, conflicts } = view(old, young)
    expect(members.map(({ address }) => address)).toEqual(['10.0.0.2'])
    expect(conflicts).toEqual([{ name: 'a', winner: '10.0.0.2:1', losers: ['10.0.0.1:1'] }])
  })

  test('one that lives goes before one that is gone, without a conflict', () => {
    for (const state of ['dead', 'left'] as const) {
      const { members, conflicts } = view(old, { ...young, state })
      expect(members.map(({ address }) => address)).toEqual(['10.0.0.1'])
      expect(conflicts).toEqual([])
    }
  })

  test('any set comes to the same, in whatever order it is seen', () => {
    const anyNode = fc
      .record({
        n: fc.nat(5),
        state: fc.constantFrom('alive', 'suspect', 'dead', 'left' as const),
        incarnation: fc.nat(2),
        name: fc.constantFrom('a', 'b'),
      })
      .map(({ n, ...fields }) => node(`10.0.0.${n}:1`, fields))
    const nodes = fc.uniqueArray(anyNode, { selector: ({ host }) => host, maxLength: 6 })
    fc.assert(
      fc.property(
        nodes.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
        ),
        ([list, shuffled]) => {
          const one = view(...list).members.map(({ name, address }) => `${name} ${address}`)
          const other = view(...shuffled).members.map(({ name, address }) => `${name} ${address}`)
          expect(other.sort()).toEqual(one.sort())
          expect(new Set(one.map((entry) => entry.slice(0, 1))).size).toBe(one.length)
        },
      ),
    )
  })
})

import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'
import { createRecord } from '../../../../src/membership/memberlist/protocol/core.ts'
import { tryParseAddress } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import { MemberTable } from '../../../../src/membership/memberlist/protocol/members.ts'

function record(address: string, port = 7946) {
  const bytes = tryParseAddress(address)!
  return createRecord(`${address}:${port}`, { address, port }, bytes, new Uint8Array(0), new Uint8Array(6))
}

/** A table with `counts[i]` members at the i-th address. */
function table(...counts: number[]) {
  const members = new MemberTable(seededRandom(1), 1000)
  const all = counts.flatMap((count, i) =>
    Array.from({ length: count }, (_, n) => record(`10.0.0.${i + 1}`, 7000 + n)),
  )
  for (const one of all) members.add(one)
  return { members, all }
}

const addressesOf = (records: readonly { endpoint: { address: string } }[]) =>
  records.map(({ endpoint }) => endpoint.address).sort()

describe('members by place', () => {
  test('are found where they live, and counted by address', () => {
    const { members, all } = table(2, 1)
    const [first, second, third] = all as [(typeof all)[0], (typeof all)[0], (typeof all)[0]]
    expect(members.livingAt(first.endpoint)).toBe(first)
    expect(members.livingAt({ address: '10.0.0.1', port: 1 })).toBeUndefined()
    expect([members.countAt('10.0.0.1'), members.countAt('10.0.0.2'), members.countAt('10.0.0.3')]).toEqual([
      2, 1, 0,
    ])
    members.setState(first, 'suspect', 0)
    expect(members.livingAt(first.endpoint)).toBe(first)
    members.setState(first, 'dead', 0)
    expect(members.livingAt(first.endpoint)).toBeUndefined()
    expect(members.countAt('10.0.0.1')).toBe(1)
    members.setState(first, 'alive', 0)
    expect(members.countAt('10.0.0.1')).toBe(2)
    const before = second.endpoint
    members.move(second, { address: '10.0.0.3', port: 1 }, tryParseAddress('10.0.0.3')!)
    expect(members.livingAt(before)).toBeUndefined()
    expect(members.livingAt({ address: '10.0.0.3', port: 1 })).toBe(second)
    members.remove(third)
    expect(members.countAt('10.0.0.2')).toBe(0)
    // Of the fallen only the address changes.
    members.setState(second, 'left', 0)
    members.move(second, { address: '10.0.0.2', port: 1 }, tryParseAddress('10.0.0.2')!)
    members.remove(second)
    expect([members.countAt('10.0.0.2'), members.countAt('10.0.0.3')]).toEqual([0, 0])
  })
})

describe('whom news is told', () => {
  test('members at different addresses, however many are at one', () => {
    const { members } = table(60, 1, 1)
    for (let i = 0; i < 20; i++) {
      expect(addressesOf(members.nextToTell(3, () => true))).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3'])
    }
  })

  test('several at one address where there are too few', () => {
    const { members } = table(5, 1)
    for (let i = 0; i < 20; i++) {
      const told = members.nextToTell(3, () => true)
      expect(addressesOf(told)).toEqual(['10.0.0.1', '10.0.0.1', '10.0.0.2'])
      expect(new Set(told).size).toBe(3)
    }
  })

  test('all in turn where each has an address of its own', () => {
    const { members, all } = table(1, 1, 1, 1, 1, 1)
    const told = [...members.nextToTell(3, () => true), ...members.nextToTell(3, () => true)]
    expect(new Set(told)).toEqual(new Set(all))
  })
})

describe('who reaches a member in our stead', () => {
  test('others at other addresses, though few', () => {
    const { members, all } = table(60, 1, 1)
    expect(addressesOf(members.relaysFor(all[0]!, 3))).toEqual(['10.0.0.2', '10.0.0.3'])
  })

  test('its neighbours where there is nobody else, and never itself or a suspect', () => {
    const { members, all } = table(4)
    members.setState(all[3]!, 'suspect', 0)
    expect(new Set(members.relaysFor(all[0]!, 3))).toEqual(new Set([all[1], all[2]]))
    expect(members.relaysFor(all[0]!, 1)).toHaveLength(1)
  })

  test('nobody where there is nobody', () => {
    const { members, all } = table(1)
    expect(members.relaysFor(all[0]!, 3)).toEqual([])
  })
})

describe('neighbours', () => {
  test('are others at its address, as many as are wanted', () => {
    const { members, all } = table(6, 3)
    const near = members.neighboursOf(all[0]!, 4, () => true)
    expect(near).toHaveLength(4)
    expect(near).not.toContain(all[0])
    expect(new Set(addressesOf(near))).toEqual(new Set(['10.0.0.1']))
    expect(members.neighboursOf(all[0]!, 4, (other) => other === all[2])).toEqual([all[2]])
  })
})

import { describe, expect, test } from 'vitest'
import { Rotation } from '../../../../src/membership/memberlist/protocol/rotation.ts'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'

interface Item {
  readonly id: number
  rotations: number
  gone: boolean
}

function rotationOf(count: number, shuffles: boolean) {
  const items: Item[] = Array.from({ length: count }, (_, id) => ({ id, rotations: 0, gone: false }))
  const rotation = new Rotation<Item>(1, shuffles, seededRandom(count), (item) => !item.gone)
  for (const item of items) rotation.add(item)
  return { items, rotation }
}

describe('Rotation', () => {
  test('shuffled, each comes once in a round and in another order in the next', () => {
    const { rotation } = rotationOf(20, true)
    const rounds = [1, 2, 3].map(() => Array.from({ length: 20 }, () => rotation.next(1, () => true)[0]!.id))
    for (const round of rounds) expect(new Set(round).size).toBe(20)
    expect(rounds[0]).not.toEqual(rounds[1])
  })

  test('not shuffled, any run of as many as there are misses nobody', () => {
    const { rotation } = rotationOf(7, false)
    const ids = Array.from({ length: 40 }, () => rotation.next(1, () => true)[0]!.id)
    for (let i = 0; i + 7 <= ids.length; i++) expect(new Set(ids.slice(i, i + 7)).size).toBe(7)
  })

  test('who joins comes within a round, and nobody else is passed over', () => {
    for (let steps = 0; steps < 12; steps++) {
      const { rotation, items } = rotationOf(10, false)
      const before = Array.from({ length: steps }, () => rotation.next(1, () => true)[0]!.id)
      const late: Item = { id: 99, rotations: 0, gone: false }
      rotation.add(late)
      const after = Array.from({ length: 22 }, () => rotation.next(1, () => true)[0]!.id)
      expect(after).toContain(99)
      for (const { id } of items) expect([...before.slice(-10), ...after.slice(0, 11)]).toContain(id)
    }
  })

  test('gives different ones, only those accepted, and none that are gone', () => {
    const { rotation, items } = rotationOf(5, true)
    items[2]!.gone = true
    for (let i = 0; i < 10; i++) {
      const chosen = rotation.next(4, ({ id }) => id !== 0).map(({ id }) => id)
      expect(new Set(chosen).size).toBe(chosen.length)
      for (const id of chosen) expect([1, 3, 4]).toContain(id)
    }
    expect(rotation.next(3, () => false)).toEqual([])
  })

  test('who comes back is in once', () => {
    const { rotation, items } = rotationOf(3, true)
    items[0]!.gone = true
    for (let i = 0; i < 7; i++) rotation.next(1, () => true)
    items[0]!.gone = false
    rotation.add(items[0]!)
    rotation.add(items[0]!)
    for (let i = 0; i < 3; i++) rotation.next(1, () => true)
    const ids = Array.from({ length: 30 }, () => rotation.next(1, () => true)[0]!.id)
    expect(ids.filter((id) => id === 0).length).toBeGreaterThanOrEqual(9)
    expect(ids.filter((id) => id === 0).length).toBeLessThanOrEqual(11)
  })

  test('empty, it gives nothing', () => {
    expect(new Rotation<Item>(1, true, seededRandom(1), () => true).next(3, () => true)).toEqual([])
  })
})

import { describe, expect, test } from 'vitest'
import { Rotation } from '../../../../src/membership/memberlist/protocol/rotation.ts'
import { collectionsOf } from '../../../../lab/sim/collections.ts'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'

interface Item {
  readonly id: number
  gone: boolean
}

function rotationOf(count: number) {
  const items: Item[] = Array.from({ length: count }, (_, id) => ({ id, gone: false }))
  const rotation = new Rotation<Item>(seededRandom(count), (item) => !item.gone)
  for (const item of items) rotation.add(item)
  return { items, rotation }
}

describe('Rotation', () => {
  test('any run of as many as there are misses nobody', () => {
    const { rotation } = rotationOf(7)
    const ids = Array.from({ length: 40 }, () => rotation.next(1, () => true)[0]!.id)
    for (let i = 0; i + 7 <= ids.length; i++) expect(new Set(ids.slice(i, i + 7)).size).toBe(7)
  })

  test('who joins comes within a round, and nobody else is passed over', () => {
    for (let steps = 0; steps < 12; steps++) {
      const { rotation, items } = rotationOf(10)
      const before = Array.from({ length: steps }, () => rotation.next(1, () => true)[0]!.id)
      const late: Item = { id: 99, gone: false }
      rotation.add(late)
      const after = Array.from({ length: 22 }, () => rotation.next(1, () => true)[0]!.id)
      expect(after).toContain(99)
      for (const { id } of items) expect([...before.slice(-10), ...after.slice(0, 11)]).toContain(id)
    }
  })

  test('gives different ones, only those accepted, and none that are gone', () => {
    const { rotation, items } = rotationOf(5)
    items[2]!.gone = true
    for (let i = 0; i < 10; i++) {
      const chosen = rotation.next(4, ({ id }) => id !== 0).map(({ id }) => id)
      expect(new Set(chosen).size).toBe(chosen.length)
      for (const id of chosen) expect([1, 3, 4]).toContain(id)
    }
    expect(rotation.next(3, () => false)).toEqual([])
  })

  test('empty, it gives nothing', () => {
    expect(new Rotation<Item>(seededRandom(1), () => true).next(3, () => true)).toEqual([])
  })

  describe('with chance in our hands', () => {
    /** Items are put in at the end, unless `random` is set. */
    class Steady {
      random = 0.999
      readonly items: Item[] = []
      readonly rotation: Rotation<Item>

      constructor(count: number) {
        this.rotation = new Rotation<Item>(
          () => this.random,
          (item) => !item.gone,
        )
        for (let i = 0; i < count; i++) this.add()
      }

      add(): Item {
        const item = { id: this.items.length, gone: false }
        this.items.push(item)
        this.rotation.add(item)
        return item
      }

      next(count: number): number[] {
        return this.rotation.next(count, () => true).map(({ id }) => id)
      }

      /** How many it holds, those that have gone included. */
      get length(): number {
        return collectionsOf(this.rotation).get('#order')!
      }
    }

    test('each gives way to the next, over the end of a round, and those that go are passed over', () => {
      const steady = new Steady(5)
      expect([steady.next(2), steady.next(2), steady.next(2), steady.next(9)]).toEqual([
        [0, 1],
        [2, 3],
        [4, 0],
        [1, 2, 3, 4, 0],
      ])
      steady.items[2]!.gone = true
      expect([steady.next(2), steady.next(2)]).toEqual([
        [1, 3],
        [4, 0],
      ])
      // Only with the new round it was taken out.
      expect(steady.length).toBe(4)
    })

    test('a newcomer changes places with one at random', () => {
      const steady = new Steady(4)
      steady.random = 0.25
      steady.add()
      expect(steady.next(5)).toEqual([0, 4, 2, 3, 1])
      steady.random = 0
      steady.add()
      // The round was over: who gave way to it, to the end, comes once more.
      expect(steady.next(6)).toEqual([0, 5, 4, 2, 3, 1])
    })

    test('those that go make room once there are 64, and as many as stayed, more than stayed', () => {
      const steady = new Steady(10)
      for (let i = 10; i < 64; i++) steady.add().gone = true
      expect(steady.length).toBe(64)
      steady.add()
      expect(steady.length).toBe(11)
      // Ten stayed then.
      for (let i = 11; i < 84; i++) steady.add().gone = true
      expect(steady.length).toBe(84)
      steady.add()
      expect(steady.length).toBe(12)
    })

    test('is empty once all have gone, and takes them again', () => {
      const steady = new Steady(3)
      expect(steady.next(2)).toEqual([0, 1])
      for (const item of steady.items) item.gone = true
      expect(steady.next(2)).toEqual([])
      expect(steady.length).toBe(0)
      for (const item of steady.items) {
        item.gone = false
        steady.rotation.add(item)
      }
      expect(new Set(steady.next(3))).toEqual(new Set([0, 1, 2]))
    })

    test('making room in the middle of a round passes nobody over and comes to nobody twice', () => {
      const steady = new Steady(10)
      for (const id of [1, 6]) steady.items[id]!.gone = true
      expect(steady.next(2)).toEqual([0, 2])
      for (let i = 10; i < 64; i++) steady.add().gone = true
      steady.add()
      expect(steady.length).toBe(9)
      expect(steady.next(9)).toEqual([3, 4, 5, 7, 8, 9, 64, 0, 2])
    })
  })
})

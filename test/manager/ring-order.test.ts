import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { CHANGES_KEPT, HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { DIGESTS_KEPT, orderRings } from '../../src/manager/ring-order.ts'
import { fateOf, VirtualClock } from '../support/virtual-clock.ts'

test.each([
  ['the same ring, whatever was before', ['c', 'b'], ['c', 'a'], 'same'],
  ['theirs is one of mine', ['c', 'b', 'a'], ['a'], 'ahead'],
  ['theirs is one of mine, and they say what they had', ['c', 'b'], ['b', 'a'], 'ahead'],
  ['mine is one of theirs', ['a'], ['c', 'b', 'a'], 'behind'],
  ['neither has had the other', ['c', 'a'], ['b', 'a'], 'unknown'],
  ['a ring came back, as after a restart', ['a', 'b', 'a', 'z'], ['b', 'a', 'z'], 'ahead'],
  ['a ring came back, and one has only just joined', ['a', 'b', 'a'], ['b', 'a'], 'ahead'],
  ['it came back, and each had other rings long before', ['a', 'b', 'a', 'z'], ['b', 'a', 'y', 'x'], 'ahead'],
  ['one after the other restarts', ['a', 'c', 'a', 'b', 'a', 'z'], ['c', 'a', 'b', 'a', 'z'], 'ahead'],
  ['the second of two restarts begins', ['b', 'a', 'b', 'a', 'z'], ['a', 'b', 'a', 'z'], 'ahead'],
  ['one saw a ring on the way that the other has not', ['a', 'b', 'c', 'a', 'z'], ['b', 'a', 'z'], 'unknown'],
  [
    'one restarts again and again, as far as both remember',
    ['a', 'b', 'a', 'b'],
    ['b', 'a', 'b', 'a'],
    'unknown',
  ],
  ['nobody has had any', ['a'], [], 'unknown'],
  ['mine was one of theirs, and each had others before', ['a', 'b'], ['c', 'a', 'c'], 'behind'],
  ['each had the other one, and mine knows of nothing before it', ['a', 'b'], ['b', 'a', 'c'], 'ahead'],
  ['each had the other one, and both know of nothing before', ['a', 'b'], ['b', 'a', 'c', 'a'], 'unknown'],
  ['mine is the only one that I had, and none of theirs', ['a'], ['b', 'c'], 'unknown'],
  ['one who has had none', [], ['a'], 'unknown'],
  ['one who has had none, and the other several', [], ['b', 'a'], 'unknown'],
] as const)('%s', (_, mine, theirs, expected) => {
  expect(orderRings(mine, theirs)).toBe(expected)
  const backwards = { same: 'same', ahead: 'behind', behind: 'ahead', unknown: 'unknown' } as const
  expect(orderRings(theirs, mine)).toBe(backwards[expected])
})

test('two members on one way through any rings are never put in the wrong order', () => {
  const ways = fc.record({
    way: fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 2, maxLength: 80 }),
    back: fc.integer({ min: 1, max: 8 }),
    joined: fc.integer({ min: 0, max: 70 }),
    sent: fc.constantFrom(1, 4, 16, DIGESTS_KEPT),
  })
  let settled = 0
  fc.assert(
    fc.property(ways, ({ way, back, joined, sent }) => {
      const rings = way.filter((ring, i) => ring !== way[i - 1])
      const older = rings.slice(0, -back)
      fc.pre(older.length > 0 && older.at(-1) !== rings.at(-1))
      const mine = rings.toReversed().slice(0, DIGESTS_KEPT)
      const theirs = older
        .slice(Math.min(joined, older.length - 1))
        .toReversed()
        .slice(0, DIGESTS_KEPT)
      const order = orderRings(mine, theirs.slice(0, sent))
      if (order === 'ahead') settled++
      // Who has only just joined may have seen too little of a way on which everything recurs.
      if (theirs.length > 8 && sent > 8) expect(order).not.toBe('behind')
    }),
    { seed: 3, numRuns: 3000 },
  )
  expect(settled).toBeGreaterThan(2000)
})

test('a manager keeps the digests of its last rings, the current one first', async () => {
  const clock = new VirtualClock()
  const manager = new HashRingManager({ clock, foldWindowMs: 1 })
  const run = manager.run()
  const digests = [manager.snapshot.ring.digest]
  const change = async (done: Promise<void>) => {
    await clock.advance(1)
    expect(await fateOf(done)).toBeUndefined()
    digests.unshift(manager.snapshot.ring.digest)
  }
  for (let i = 0; i < DIGESTS_KEPT - 1; i++) await change(manager.addNode({ ringKey: `n${i}`, weight: 1 }))
  expect(manager.digests).toEqual(digests)
  expect(new Set(digests).size).toBe(64)
  // Neither an address nor that it was off the ring makes another ring.
  const moved = manager.addNode({ ringKey: 'n0', weight: 1, port: 80 })
  await clock.advance(1)
  expect(await fateOf(moved)).toBeUndefined()
  manager.noteOffRing('n0')
  expect(manager.digests).toEqual(digests)
  await change(manager.removeNode('n0'))
  expect(manager.digests).toEqual(digests.slice(0, DIGESTS_KEPT))
  manager.stop()
  expect(await fateOf(run)).toBeUndefined()
})

test('a manager keeps the records of its last changes, the newest first, and no more than it says', async () => {
  const clock = new VirtualClock()
  const manager = new HashRingManager({ clock, foldWindowMs: 1 })
  const run = manager.run()
  expect(manager.recentChanges).toEqual([])
  for (let i = 0; i < CHANGES_KEPT + 2; i++) {
    const key = `n${i % 2}`
    const done = i % 4 < 2 ? manager.addNode({ ringKey: key, weight: 1 }) : manager.removeNode(key)
    await clock.advance(1)
    expect(await fateOf(done)).toBeUndefined()
  }
  const { recentChanges } = manager
  expect(recentChanges).toHaveLength(200)
  expect(recentChanges.map(({ epoch }) => epoch)).toEqual(
    recentChanges.map((_, i) => manager.snapshot.epoch - i),
  )
  expect(recentChanges[0]!.records).toMatchObject([{ node: `n${(CHANGES_KEPT + 1) % 2}`, count: 1 }])
  manager.stop()
  expect(await fateOf(run)).toBeUndefined()
})

import { expect, test } from 'vitest'
import { CHANGES_KEPT, HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { DIGESTS_KEPT, orderRings } from '../../src/manager/ring-order.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

test.each([
  ['the same ring, whatever was before', ['c', 'b'], ['c', 'a'], 'same'],
  ['theirs is one of mine', ['c', 'b', 'a'], ['a'], 'ahead'],
  ['theirs is one of mine, and they say what they had', ['c', 'b'], ['b', 'a'], 'ahead'],
  ['mine is one of theirs', ['a'], ['c', 'b', 'a'], 'behind'],
  ['neither has had the other', ['c', 'a'], ['b', 'a'], 'unknown'],
  ['each has had the other: a ring came back', ['a', 'b', 'a'], ['b', 'a'], 'unknown'],
  ['nobody has had any', ['a'], [], 'unknown'],
  ['one who has had none', [], ['a'], 'unknown'],
] as const)('%s', (_, mine, theirs, expected) => {
  expect(orderRings(mine, theirs)).toBe(expected)
  const backwards = { same: 'same', ahead: 'behind', behind: 'ahead', unknown: 'unknown' } as const
  expect(orderRings(theirs, mine)).toBe(backwards[expected])
})

test('a manager keeps the digests of its last rings, the current one first', async () => {
  const clock = new VirtualClock()
  const manager = new HashRingManager({ clock, foldWindowMs: 1 })
  const run = manager.run()
  const digests = [manager.snapshot.ring.digest]
  const change = async (done: Promise<void>) => {
    await Promise.all([done, clock.advance(1)])
    digests.unshift(manager.snapshot.ring.digest)
  }
  for (let i = 0; i < DIGESTS_KEPT - 1; i++) await change(manager.addNode({ ringKey: `n${i}`, weight: 1 }))
  expect(manager.digests).toEqual(digests)
  expect(new Set(digests).size).toBe(DIGESTS_KEPT)
  // Neither an address nor that it was off the ring makes another ring.
  await Promise.all([manager.addNode({ ringKey: 'n0', weight: 1, port: 80 }), clock.advance(1)])
  manager.noteOffRing('n0')
  expect(manager.digests).toEqual(digests)
  await change(manager.removeNode('n0'))
  expect(manager.digests).toEqual(digests.slice(0, DIGESTS_KEPT))
  manager.stop()
  await run
})

test('a manager keeps the records of its last changes, the newest first, and no more than it says', async () => {
  const clock = new VirtualClock()
  const manager = new HashRingManager({ clock, foldWindowMs: 1 })
  const run = manager.run()
  for (let i = 0; i < CHANGES_KEPT + 2; i++) {
    const key = `n${i % 2}`
    const done = i % 4 < 2 ? manager.addNode({ ringKey: key, weight: 1 }) : manager.removeNode(key)
    await Promise.all([done, clock.advance(1)])
  }
  const { recentChanges } = manager
  expect(recentChanges).toHaveLength(CHANGES_KEPT)
  expect(recentChanges.map(({ epoch }) => epoch)).toEqual(
    recentChanges.map((_, i) => manager.snapshot.epoch - i),
  )
  expect(recentChanges[0]!.records).toMatchObject([{ node: `n${(CHANGES_KEPT + 1) % 2}`, count: 1 }])
  manager.stop()
  await run
})

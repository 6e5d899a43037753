import { expect, test } from 'vitest'
import { HashRing } from '../../../src/ring/hash-ring.ts'

const keys = Array.from({ length: 300 }, (_, i) => `key-${i}`)

test('a ring of more than 65,536 nodes tells its last nodes apart, also when it shrinks below that', () => {
  const many = Array.from({ length: 65_537 }, (_, i) => ({
    ringKey: `n-${String(i).padStart(5, '0')}`,
    weight: 1,
  }))
  const ring = HashRing.of(many)
  expect(ring.pointCount).toBe(65_537 * 120)
  const smaller = ring.remove('n-00000')
  const sample = ['n-00001', 'n-32768', 'n-65535', 'n-65536']
  for (const [table, arcs] of [
    [ring, ring.shares()],
    [smaller, smaller.shares()],
  ] as const) {
    for (const ringKey of sample) {
      const share = arcs.get(ringKey)! * table.size
      // 120 arcs each of a mean of 1 / 120: a standard deviation of 9 %.
      expect(Math.abs(share - 1)).toBeLessThan(0.6)
    }
  }
  expect(new Set(keys.map((key) => ring.ownerOf(key))).size).toBeGreaterThan(290)
  const moved = keys.filter((key) => ring.ownerOf(key) !== smaller.ownerOf(key))
  expect(moved.every((key) => ring.ownerOf(key)?.ringKey === 'n-00000')).toBe(true)
})

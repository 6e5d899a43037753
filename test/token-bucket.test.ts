import { expect, test } from 'vitest'
import { TokenBucket } from '../src/token-bucket.ts'

test('allows a burst, then the rate, and no more after a long rest', () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3 }, 0)
  const take = (times: number, atMs: number) =>
    Array.from({ length: times }, () => bucket.tryTake(atMs)).filter(Boolean).length
  expect(take(5, 0)).toBe(3)
  expect(bucket.waitMs).toBe(100)
  expect(take(5, 100)).toBe(1)
  expect(take(5, 150)).toBe(0)
  expect(bucket.waitMs).toBe(50)
  expect(take(5, 200)).toBe(1)
  expect(take(9, 3_600_200)).toBe(3)
})

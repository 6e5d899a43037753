import { expect, test } from 'vitest'
import { TokenBucket } from '../src/token-bucket.ts'

test('allows a burst, then the rate, and no more after a long rest', () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3 })
  const take = (times: number, atMs: number) =>
    Array.from({ length: times }, () => bucket.tryTake(atMs)).filter(Boolean).length
  expect(take(5, 0)).toBe(3)
  expect(bucket.waitMs(0)).toBe(100)
  expect(take(5, 100)).toBe(1)
  expect(bucket.waitMs(150)).toBe(50)
  expect(take(5, 150)).toBe(0)
  expect(take(5, 200)).toBe(1)
  expect(take(9, 3_600_200)).toBe(3)
})

test('gives several tokens at once or none of them, and nothing for a clock that goes back', () => {
  const bucket = new TokenBucket({ perSecond: 1000, burst: 50 })
  expect(bucket.tryTake(1000, 51)).toBe(false)
  expect(bucket.tryTake(1000, 40)).toBe(true)
  expect(bucket.tokens(1000)).toBe(10)
  expect(bucket.tokens(0)).toBe(10)
  expect(bucket.tryTake(0, 11)).toBe(false)
  expect(bucket.tryTake(1, 11)).toBe(true)
})

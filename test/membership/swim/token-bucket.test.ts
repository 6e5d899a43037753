import { expect, test } from 'vitest'
import { TokenBucket } from '../../../src/membership/swim/token-bucket.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

test('allows a burst, then the rate, and no more after a long rest', async () => {
  const clock = new VirtualClock()
  const bucket = new TokenBucket(clock, { perSecond: 10, burst: 3 })
  const take = (times: number) => Array.from({ length: times }, () => bucket.tryTake()).filter(Boolean).length
  expect(take(5)).toBe(3)
  await clock.advance(100)
  expect(take(5)).toBe(1)
  await clock.advance(50)
  expect(take(5)).toBe(0)
  await clock.advance(50)
  expect(take(5)).toBe(1)
  await clock.advance(3_600_000)
  expect(take(9)).toBe(3)
})

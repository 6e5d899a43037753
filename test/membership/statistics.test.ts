import { expect, test } from 'vitest'
import {
  createTwoWayCount,
  PROBE_BOUNDS_SECONDS,
  PUSH_PULL_BOUNDS_BYTES,
  PUSH_PULL_BOUNDS_SECONDS,
  seedStatistics,
} from '../../src/membership/statistics.ts'

/** 1, 2.5, 5, 10, 25 and so on, in thousandths. */
const steps = [0.1, 1, 10, 100, 1000].flatMap((power) => [1, 2.5, 5].map((step) => (step * power) / 1000))

test('bounds are the usual steps', () => {
  expect(PROBE_BOUNDS_SECONDS).toEqual(steps.filter((step) => step >= 0.0005 && step <= 2.5))
  expect(PUSH_PULL_BOUNDS_SECONDS).toEqual([...steps.filter((step) => step >= 0.001 && step <= 2.5), 10])
  expect(PUSH_PULL_BOUNDS_BYTES).toEqual([4, 5, 6, 7, 8, 9, 10, 11].map((power) => 4 ** power))
  expect(createTwoWayCount()).toEqual({ sent: 0, received: 0 })
})

test('seeds are unresolved until the first round, and after it when they failed', () => {
  const status = { rounds: 0, addresses: ['a', 'b', 'c'], failures: ['x'] }
  expect(seedStatistics(5, status)).toEqual({ resolved: 0, unresolved: 5, addresses: 3 })
  expect(seedStatistics(5, { ...status, rounds: 1 })).toEqual({ resolved: 4, unresolved: 1, addresses: 3 })
})

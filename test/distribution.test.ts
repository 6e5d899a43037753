import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Distribution } from '../src/distribution.ts'

describe('Distribution', () => {
  test('a value on a bound is within it; one above all goes to the last count', () => {
    const distribution = new Distribution([1, 2, 4])
    expect([0, 1, 1.5, 2, 4, 4.1, Infinity].map((value) => distribution.add(value))).toEqual([
      0, 0, 1, 1, 2, 3, 3,
    ])
    expect(distribution.counts).toEqual([2, 2, 1, 2])
    expect(distribution.count).toBe(7)
  })

  test('counts and sums any values', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 50 })), (values) => {
        const bounds = [0, 10, 20]
        const distribution = new Distribution(bounds)
        for (const value of values) distribution.add(value)
        expect(distribution.sum).toBe(values.reduce((sum, value) => sum + value, 0))
        expect(distribution.count).toBe(values.length)
        expect(distribution.counts).toEqual(
          [...bounds, Infinity].map(
            (bound, i) =>
              values.filter((value) => value <= bound && value > (bounds[i - 1] ?? -Infinity)).length,
          ),
        )
      }),
    )
  })

  test('takes values that were counted elsewhere', () => {
    const distribution = new Distribution([1])
    distribution.add(0.5)
    distribution.addCounts([2, 3], 10)
    expect([distribution.counts, distribution.sum, distribution.count]).toEqual([[3, 3], 10.5, 6])
  })
})

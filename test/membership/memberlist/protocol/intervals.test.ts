import { describe, expect, test } from 'vitest'
import {
  confirmedTimeoutMs,
  expectedConfirmations,
  pushPullIntervalMs,
  quietMs,
  retransmitLimit,
  suspicionTimeoutMs,
} from '../../../../src/membership/memberlist/protocol/intervals.ts'

describe('suspicionTimeoutMs', () => {
  test.each([
    [4, 1, 1000, 4000],
    [4, 10, 1000, 4000],
    [4, 50, 1000, 6795.88],
    [4, 100, 1000, 8000],
    [4, 1000, 1000, 12_000],
    [6, 100, 5000, 60_000],
    [3, 0, 1000, 3000],
  ])('mult %i, %i members, interval %i ms: %d ms', (mult, n, intervalMs, expected) => {
    expect(suspicionTimeoutMs(mult, n, intervalMs)).toBeCloseTo(expected, 1)
  })
})

describe('expectedConfirmations', () => {
  test.each([
    [4, 2, 0],
    [4, 3, 0],
    [4, 4, 2],
    [4, 100, 2],
    [6, 5, 0],
    [6, 6, 4],
    [3, 3, 1],
    [2, 100, 0],
    [1, 100, 0],
  ])('mult %i among %i living: %i', (mult, n, expected) => {
    expect(expectedConfirmations(mult, n)).toBe(expected)
  })
})

describe('confirmedTimeoutMs', () => {
  test.each([
    [0, 3, 2000, 30_000, 30_000],
    [1, 3, 2000, 30_000, 16_000],
    [2, 3, 2000, 30_000, 7810.48],
    [3, 3, 2000, 30_000, 2000],
    [4, 3, 2000, 30_000, 2000],
    [0, 0, 2000, 30_000, 2000],
    [0, 1, 2000, 30_000, 30_000],
    [1, 1, 2000, 30_000, 2000],
    [0, 2, 4000, 4000, 4000],
  ])('%i of %i confirmations between %i and %i ms: %d ms', (c, k, minMs, maxMs, expected) => {
    expect(confirmedTimeoutMs(c, k, minMs, maxMs)).toBeCloseTo(expected, 1)
  })
})

describe('retransmitLimit', () => {
  test.each([
    [4, 1, 4],
    [4, 4, 4],
    [4, 6, 6],
    [4, 9, 9],
    [4, 11, 11],
    [4, 12, 12],
    [4, 99, 12],
    [4, 100, 12],
    [4, 999, 12],
    [4, 1000, 16],
    [2, 9, 6],
  ])('mult %i among %i living: %i', (mult, n, expected) => {
    expect(retransmitLimit(mult, n)).toBe(expected)
  })
})

describe('pushPullIntervalMs', () => {
  test.each([
    [1, 30_000],
    [32, 30_000],
    [33, 60_000],
    [64, 60_000],
    [65, 90_000],
    [128, 90_000],
    [1000, 180_000],
  ])('%i living: %i ms', (n, expected) => {
    expect(pushPullIntervalMs(30_000, n)).toBe(expected)
  })
})

test.each([
  [200, 2500],
  [1000, 2500],
  [5000, 12_500],
])(
  'with probes %i ms apart nobody is found dead within %i ms of his last packet',
  (probeIntervalMs, expected) => {
    expect(quietMs({ probeIntervalMs })).toBe(expected)
  },
)

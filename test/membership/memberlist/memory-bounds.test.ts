import { totalmem } from 'node:os'
import { expect, test } from 'vitest'
import { memoryBounds } from '../../../src/membership/memberlist/memory-bounds.ts'
import { memoryLimitBytes } from '../../../src/memory-limit.ts'

const MIB = 1024 * 1024

test.each([
  [16, { maxMembers: 1000, maxHeldBytes: 8 * MIB }],
  [96, { maxMembers: 1000, maxHeldBytes: 8 * MIB }],
  [208, { maxMembers: 10_000, maxHeldBytes: 32 * MIB }],
  [320, { maxMembers: 20_000, maxHeldBytes: 64 * MIB }],
  [64_000, { maxMembers: 20_000, maxHeldBytes: 64 * MIB }],
])('a limit of %i MiB bounds what peers can make a member hold', (limitMib, bounds) => {
  expect(memoryBounds(limitMib * MIB)).toEqual(bounds)
})

test('the limit of this process is no more than the machine has', () => {
  expect(memoryLimitBytes()).toBeGreaterThan(16 * MIB)
  expect(memoryLimitBytes()).toBeLessThanOrEqual(totalmem())
})

import { describe, expect, test } from 'vitest'
import { PRESETS } from '../../../../src/membership/memberlist/protocol/settings.ts'

describe('presets', () => {
  // The values that memberlist documents for its three configurations.
  test.each([
    ['probeIntervalMs', 1000, 5000, 1000],
    ['probeTimeoutMs', 500, 3000, 200],
    ['indirectChecks', 3, 3, 1],
    ['suspicionMult', 4, 6, 3],
    ['suspicionMaxTimeoutMult', 6, 6, 6],
    ['retransmitMult', 4, 4, 2],
    ['gossipNodes', 3, 4, 3],
    ['gossipIntervalMs', 200, 500, 100],
    ['gossipToTheDeadMs', 30_000, 60_000, 15_000],
    ['pushPullIntervalMs', 30_000, 60_000, 15_000],
    ['streamTimeoutMs', 10_000, 30_000, 1000],
    ['awarenessMaxMultiplier', 8, 8, 8],
    ['packetBudgetBytes', 1400, 1400, 1400],
  ] as const)('%s is %i, %i, %i', (key, lan, wan, local) => {
    expect([PRESETS.lan[key], PRESETS.wan[key], PRESETS.local[key]]).toEqual([lan, wan, local])
  })

  test('cannot be changed', () => {
    for (const preset of Object.values(PRESETS)) expect(Object.isFrozen(preset)).toBe(true)
  })
})

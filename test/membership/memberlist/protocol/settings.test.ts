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

  // What goes beyond memberlist.
  test.each([
    ['keyed', false, false, false],
    ['repeatPings', true, true, true],
    ['tellSuspects', true, true, true],
    ['checkSuspects', true, true, true],
    ['streamProbes', true, true, true],
    ['refusedSuspicionMult', 0.6, 0.6, 0.6],
    ['witnesses', 'auto', 'auto', 'auto'],
    ['stallThresholdMs', 50, 50, 50],
    ['deadKeptMs', 60_000, 120_000, 30_000],
    ['rejoinIntervalMs', 10_000, 20_000, 5000],
    ['reconnectIntervalMs', 5000, 10_000, 2000],
    ['lostKeptMs', 3_600_000, 3_600_000, 3_600_000],
    ['leaveTimeoutMs', 5000, 5000, 5000],
    ['maxMembers', 20_000, 20_000, 20_000],
    ['maxQueued', 8192, 8192, 8192],
    ['maxRelays', 256, 256, 256],
  ] as const)('%s is %s, %s, %s', (key, lan, wan, local) => {
    expect([PRESETS.lan[key], PRESETS.wan[key], PRESETS.local[key]]).toEqual([lan, wan, local])
  })

  test('cannot be changed', () => {
    for (const preset of [PRESETS, ...Object.values(PRESETS)]) expect(Object.isFrozen(preset)).toBe(true)
  })
})

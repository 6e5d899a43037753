import { expect, test } from 'vitest'
import { SWIM_PRESETS, swimSettings } from '../../../src/membership/swim/swim-settings.ts'

test.each(['lan', 'wan', 'local'] as const)('%s leaves a stalled peer the time to answer', (preset) => {
  const { probeTimeoutMs, indirectTimeoutMs, suspicionMs } = SWIM_PRESETS[preset]
  expect(probeTimeoutMs + indirectTimeoutMs + suspicionMs).toBeGreaterThan(1500)
})

test('single settings override, those of the seeds too', () => {
  const settings = swimSettings('lan', { suspicionMs: 7000, seeds: { settledMs: 1 } })
  expect(settings.suspicionMs).toBe(7000)
  expect(settings.seeds.settledMs).toBe(1)
  expect(settings.seeds.aloneMinMs).toBe(SWIM_PRESETS.lan.seeds.aloneMinMs)
  expect(SWIM_PRESETS.lan.suspicionMs).toBe(2500)
})

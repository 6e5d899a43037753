import { expect, test } from 'vitest'
import { isRingmanError } from '../../../src/errors.ts'
import { SWIM_PRESETS, swimSettings } from '../../../src/membership/swim/swim-settings.ts'

test.each(['lan', 'wan', 'local'] as const)('the preset %s passes its own checks', (preset) => {
  expect(swimSettings(preset)).toEqual(SWIM_PRESETS[preset])
})

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

test('all bad values are refused in one message', () => {
  try {
    swimSettings('lan', { probeIntervalMs: 0, datagramBytes: 100, maxMembers: 1.5 })
    expect.fail('was accepted')
  } catch (error) {
    expect(isRingmanError(error) && error.code).toBe('CONFIG_INVALID')
    for (const key of ['probeIntervalMs', 'datagramBytes', 'maxMembers']) {
      expect((error as Error).message).toContain(key)
    }
  }
})

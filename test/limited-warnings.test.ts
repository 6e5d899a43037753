import { expect, test } from 'vitest'
import { LimitedWarnings } from '../src/limited-warnings.ts'
import { RecordingLogger } from './support/recording-logger.ts'
import { VirtualClock } from './support/virtual-clock.ts'

test('writes the first of an interval, and with the next one how many were left out', async () => {
  const clock = new VirtualClock()
  const logger = new RecordingLogger()
  const warnings = new LimitedWarnings(clock, logger, 1000)
  const written: boolean[] = []
  for (const afterMs of [0, 0, 999, 1, 1000, 500, 500]) {
    await clock.advance(afterMs)
    written.push(warnings.warn({ event: 'test', at: clock.now() }, 'a warning'))
  }
  expect(written).toEqual([true, false, false, true, true, false, true])
  expect(logger.lines).toEqual(
    [{ at: 0 }, { at: 1000, suppressed: 2 }, { at: 2000 }, { at: 3000, suppressed: 1 }].map((fields) => ({
      level: 'warn',
      fields: { event: 'test', ...fields },
      message: 'a warning',
    })),
  )
})

test('limits each kind alone, and all begin again after a reset', () => {
  const logger = new RecordingLogger()
  const warnings = new LimitedWarnings(new VirtualClock(), logger, 1000)
  expect(warnings.reset()).toBe(false)
  const write = () => {
    warnings.warn({ event: 'a' }, 'a warning')
    warnings.warn({ event: 'b' }, 'a warning', 'one')
    warnings.warn({ event: 'b' }, 'a warning', 'other')
  }
  write()
  write()
  expect(logger.lines.map(({ fields }) => fields['event'])).toEqual(['a', 'b', 'b'])
  expect(warnings.reset()).toBe(true)
  write()
  expect(logger.lines).toHaveLength(6)
})

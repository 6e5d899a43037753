import { expect, test } from 'vitest'
import { LimitedWarning } from '../../src/membership/limited-warning.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

test('writes the first of an interval, and with the next one how many were left out', async () => {
  const clock = new VirtualClock()
  const logger = new RecordingLogger()
  const warning = new LimitedWarning(clock, logger, 1000)
  const written: boolean[] = []
  for (const afterMs of [0, 0, 999, 1, 1000, 500, 500]) {
    await clock.advance(afterMs)
    written.push(warning.warn({ event: 'test', at: clock.now() }, 'a warning'))
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

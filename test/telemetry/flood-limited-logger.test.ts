import { describe, expect, test } from 'vitest'
import { FLOOD_BUDGETS, limitFloods } from '../../src/telemetry/flood-limited-logger.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

function setUp() {
  const clock = new VirtualClock()
  const inner = new RecordingLogger()
  return { clock, inner, logger: limitFloods(inner, clock) }
}

describe('limitFloods', () => {
  test('lets through what is no flood, as it is', () => {
    const { inner, logger } = setUp()
    const child = logger.child({ component: 'http' })
    for (let i = 0; i < FLOOD_BUDGETS.regular.burst; i++)
      child.warn({ event: 'a.happened', i }, 'It happened')
    expect(inner.lines).toHaveLength(FLOOD_BUDGETS.regular.burst)
    expect(inner.lines[7]).toEqual({
      level: 'warn',
      fields: { component: 'http', event: 'a.happened', i: 7 },
      message: 'It happened',
    })
  })

  test('holds a flood back, counts it, and writes its last line', async () => {
    const { clock, inner, logger } = setUp()
    const { burst } = FLOOD_BUDGETS.regular
    for (let i = 0; i < 10_000; i++) logger.info({ event: 'a.happened', i }, 'It happened')
    expect(inner.lines).toHaveLength(burst)
    await clock.advance(1001)
    expect(inner.lines).toHaveLength(burst + 1)
    expect(inner.lines.at(-1)?.fields).toEqual({
      event: 'a.happened',
      i: 9999,
      suppressed: 10_000 - burst - 1,
    })
    await clock.advance(3_600_000)
    expect(inner.lines).toHaveLength(burst + 1)
  })

  test('of a flood that goes on lets one line in a second through', async () => {
    const { clock, inner, logger } = setUp()
    for (let i = 0; i < 6000; i++) {
      for (let j = 0; j < 10; j++) logger.error({ event: 'a.happened' }, 'It happened')
      await clock.advance(10)
    }
    const { burst } = FLOOD_BUDGETS.regular
    expect(inner.lines.length).toBeGreaterThanOrEqual(burst + 58)
    expect(inner.lines.length).toBeLessThanOrEqual(burst + 61)
    const told = inner.lines.reduce((sum, { fields }) => sum + 1 + Number(fields['suppressed'] ?? 0), 0)
    expect(told).toBeGreaterThan(58_000)
  })

  test('one event does not take the room of another, nor do details that of what everybody is to see', () => {
    const { inner, logger } = setUp()
    for (let i = 0; i < 5000; i++) {
      logger.warn({ event: 'a.happened' }, 'It happened')
      logger.debug({ event: 'b.happened' }, 'It happened')
    }
    logger.info({ event: 'b.happened' }, 'It happened')
    logger.child({}).info({ event: 'c.happened' }, 'It happened')
    const count = (event: string, level: string) =>
      inner.of(event).filter((line) => line.level === level).length
    expect(count('a.happened', 'warn')).toBe(FLOOD_BUDGETS.regular.burst)
    expect(count('b.happened', 'debug')).toBe(FLOOD_BUDGETS.detailed.burst)
    expect(count('b.happened', 'info')).toBe(1)
    expect(count('c.happened', 'info')).toBe(1)
  })

  test('events without end share one budget', () => {
    const { inner, logger } = setUp()
    for (let i = 0; i < 5000; i++) logger.info({ event: `made-up.${i}` }, 'It happened')
    expect(inner.lines.length).toBeLessThanOrEqual(500 + FLOOD_BUDGETS.regular.burst)
  })

  test('a level that is off uses nothing up', () => {
    const clock = new VirtualClock()
    const inner = new RecordingLogger()
    let debug = false
    const logger = limitFloods(
      Object.assign(inner, { isLevelEnabled: (level: string) => level !== 'debug' || debug }),
      clock,
    )
    for (let i = 0; i < 5000; i++) logger.debug({ event: 'a.happened' }, 'It happened')
    debug = true
    logger.debug({ event: 'a.happened' }, 'It happened')
    expect(inner.lines).toHaveLength(1)
  })

  test('a line that is held back keeps the context of its moment', async () => {
    const clock = new VirtualClock()
    const inner = new RecordingLogger()
    let trace = 'first'
    const logger = limitFloods(inner, clock, () => ({ trace_id: trace }))
    for (let i = 0; i <= FLOOD_BUDGETS.regular.burst; i++) logger.info({ event: 'a.happened' }, 'It happened')
    trace = 'second'
    await clock.advance(2000)
    expect(inner.lines.at(-1)?.fields['trace_id']).toBe('first')
  })
})

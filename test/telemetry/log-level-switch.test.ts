import { describe, expect, test } from 'vitest'
import { nextLogLevel, switchLogLevel, createLogger, type LogLevel } from '../../src/telemetry/logger.ts'
import { serve, STATIC } from '../support/child-process.ts'

describe('the switch of the log level', () => {
  test.each<[configured: LogLevel, steps: LogLevel[]]>([
    ['info', ['debug', 'trace', 'info', 'debug']],
    ['warn', ['info', 'debug', 'trace', 'warn']],
    ['silent', ['info', 'debug', 'trace', 'silent']],
    ['debug', ['trace', 'debug']],
    ['trace', ['trace']],
  ])('goes from %s through %j', (configured, steps) => {
    let level = configured
    for (const step of steps) {
      level = nextLogLevel(level, configured)
      expect(level).toBe(step)
    }
  })

  test.each<LogLevel>(['info', 'error', 'silent'])(
    'says each step, also where %s is configured',
    (configured) => {
      const lines: string[] = []
      const logger = createLogger({
        level: configured,
        format: 'json',
        destination: { write: (line) => void lines.push(line) },
      })
      const child = logger.child({ component: 'ring' })
      const seen: LogLevel[] = []
      do {
        switchLogLevel(logger, configured)
        seen.push(logger.level)
        child.debug({ event: 'x' }, 'Did something')
      } while (logger.level !== configured)
      const events = lines.map((line) => (JSON.parse(line) as { event: string }).event)
      expect(events.filter((event) => event === 'log-level.changed')).toHaveLength(seen.length)
      // A child from before follows: at debug and at trace.
      expect(events.filter((event) => event === 'x')).toHaveLength(2)
    },
  )

  test('is a signal to the process', async () => {
    await using member = serve(STATIC)
    await member.ready()
    member.signal('SIGUSR2')
    await member.event('log-level.changed', ({ from, to }) => from === 'info' && to === 'debug')
    member.signal('SIGUSR2')
    await member.event('log-level.changed', ({ to }) => to === 'trace')
    member.signal('SIGUSR2')
    await member.event('log-level.changed', ({ from, to }) => from === 'trace' && to === 'info')
    member.signal('SIGTERM')
    expect((await member.ended).code).toBe(0)
  })
})

import { LOG_LEVELS, type LogLevel, type LeveledLogger } from './logger.ts'

/** The signal that asks for more lines. Node keeps SIGUSR1 for its debugger. */
export const LOG_LEVEL_SIGNAL = 'SIGUSR2'

/** What the switch goes through, before it is back at the start. */
const STEPS: readonly LogLevel[] = ['info', 'debug', 'trace']

/**
 * The level after this one: the next that says more, of info, debug and trace, and after trace the configured one.
 */
export function nextLogLevel(current: LogLevel, configured: LogLevel): LogLevel {
  // Levels are listed with the least severe first.
  const more = STEPS.find((step) => LOG_LEVELS.indexOf(step) < LOG_LEVELS.indexOf(current))
  return more ?? configured
}

/** Goes one level on, and says so in a line that both levels let through, if either lets anything. */
export function switchLogLevel(logger: LeveledLogger, configured: LogLevel): void {
  const from = logger.level
  const to = nextLogLevel(from, configured)
  const say = () => {
    logger.info({ event: 'log-level.changed', from, to }, 'Changed the log level')
  }
  // The line is one for whichever of the two levels shows more.
  if (LOG_LEVELS.indexOf(from) < LOG_LEVELS.indexOf(to)) say()
  logger.level = to
  if (LOG_LEVELS.indexOf(from) >= LOG_LEVELS.indexOf(to)) say()
}

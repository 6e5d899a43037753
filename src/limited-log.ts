import type { Clock } from './clock.ts'
import type { LogFields, Logger } from './logger.ts'

/** Milliseconds between two lines of a kind that others can cause. */
export const LIMITED_LOG_INTERVAL_MS = 10_000

/** One kind of line that others can cause, written at most once in an interval. */
export class LimitedLog {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #intervalMs: number
  #lastMs: number | undefined
  #suppressed = 0

  /** @param intervalMs - @default {@link LIMITED_LOG_INTERVAL_MS} */
  constructor(clock: Clock, logger: Logger, intervalMs: number = LIMITED_LOG_INTERVAL_MS) {
    this.#clock = clock
    this.#logger = logger
    this.#intervalMs = intervalMs
  }

  /**
   * Writes the line, with the number of those left out since the last one (`suppressed`), or leaves it out.
   *
   * @returns Whether it was written.
   */
  write(level: 'debug' | 'info' | 'warn' | 'error', fields: LogFields, message: string): boolean {
    const nowMs = this.#clock.now()
    if (this.#lastMs !== undefined && nowMs - this.#lastMs < this.#intervalMs) {
      this.#suppressed += 1
      return false
    }
    this.#logger[level](
      this.#suppressed === 0 ? fields : { ...fields, suppressed: this.#suppressed },
      message,
    )
    this.#lastMs = nowMs
    this.#suppressed = 0
    return true
  }
}

import type { Clock } from '../clock.ts'
import type { LogFields, Logger } from '../logger.ts'

/** One kind of warning that others can cause, written at most once in `intervalMs`. */
export class LimitedWarning {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #intervalMs: number
  #lastMs = -Infinity
  #suppressed = 0

  constructor(clock: Clock, logger: Logger, intervalMs: number) {
    this.#clock = clock
    this.#logger = logger
    this.#intervalMs = intervalMs
  }

  /**
   * Writes the line, with the number of those left out since the last one, or leaves it out.
   *
   * @returns Whether it was written.
   */
  warn(fields: LogFields, message: string): boolean {
    const nowMs = this.#clock.now()
    if (nowMs - this.#lastMs < this.#intervalMs) {
      this.#suppressed += 1
      return false
    }
    this.#logger.warn(this.#suppressed === 0 ? fields : { ...fields, suppressed: this.#suppressed }, message)
    this.#lastMs = nowMs
    this.#suppressed = 0
    return true
  }
}

import type { Clock } from './clock.ts'
import type { LogFields, Logger } from './logger.ts'

/** Warnings that others can cause: of each kind at most one in an interval. */
export class LimitedWarnings {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #intervalMs: number
  readonly #kinds = new Map<string, { readonly atMs: number; suppressed: number }>()

  /** @param intervalMs - Least time between two of a kind, in milliseconds. */
  constructor(clock: Clock, logger: Logger, intervalMs = 10_000) {
    this.#clock = clock
    this.#logger = logger
    this.#intervalMs = intervalMs
  }

  /**
   * Writes the line, with the number of those of its kind left out since the last one, or leaves it out.
   *
   * @param kind - One of a closed list: each is remembered.
   * @returns Whether it was written.
   */
  warn(
    fields: LogFields & { readonly event: string },
    message: string,
    kind: string = fields.event,
  ): boolean {
    const nowMs = this.#clock.now()
    const last = this.#kinds.get(kind)
    if (last !== undefined && nowMs - last.atMs < this.#intervalMs) {
      last.suppressed += 1
      return false
    }
    const suppressed = last?.suppressed ?? 0
    this.#logger.warn(suppressed === 0 ? fields : { ...fields, suppressed }, message)
    this.#kinds.set(kind, { atMs: nowMs, suppressed: 0 })
    return true
  }

  /**
   * Forgets all: the next line of each kind is written.
   *
   * @returns Whether a line was written since the last time.
   */
  reset(): boolean {
    const isWritten = this.#kinds.size > 0
    this.#kinds.clear()
    return isWritten
  }
}

import type { Clock } from './clock.ts'
import type { LogFields, Logger } from './logger.ts'

/** Of each kind of line at most one in an interval. Pure: times are arguments, in monotonic milliseconds. */
export class LineLimit {
  readonly #intervalMs: number
  readonly #kinds = new Map<string, { readonly atMs: number; suppressed: number }>()

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  /**
   * Says whether a line is to be written.
   *
   * @param kind - One of a closed list: each is remembered.
   * @returns Its fields, with the number of lines of its kind left out since the last one; undefined to leave it out.
   */
  take<T extends LogFields>(kind: string, fields: T, nowMs: number): T | undefined {
    const last = this.#kinds.get(kind)
    if (last !== undefined && nowMs - last.atMs < this.#intervalMs) {
      last.suppressed += 1
      return undefined
    }
    this.#kinds.set(kind, { atMs: nowMs, suppressed: 0 })
    return last === undefined || last.suppressed === 0 ? fields : { ...fields, suppressed: last.suppressed }
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

/** Warnings that others can cause: of each kind at most one in an interval. */
export class LimitedWarnings extends LineLimit {
  readonly #clock: Clock
  readonly #logger: Logger

  /** @param intervalMs - Least time between two of a kind, in milliseconds. */
  constructor(clock: Clock, logger: Logger, intervalMs = 10_000) {
    super(intervalMs)
    this.#clock = clock
    this.#logger = logger
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
    const written = this.take(kind, fields, this.#clock.now())
    if (written !== undefined) this.#logger.warn(written, message)
    return written !== undefined
  }
}

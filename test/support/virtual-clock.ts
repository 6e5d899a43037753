import type { Clock } from '../../src/clock.ts'

interface Timer {
  readonly dueMs: number
  readonly order: number
  readonly fn: () => void
}

/** A clock that stands still until a test moves it. Timers fire in order of due time, then of creation. */
export class VirtualClock implements Clock {
  #nowMs = 0
  #stalledMs = 0
  #order = 0
  readonly #wallOriginMs: number
  readonly #timers = new Set<Timer>()

  /** @param wallOriginMs - What `wallNow` says at the start, in milliseconds since the Unix epoch. */
  constructor(wallOriginMs = Date.UTC(2026, 0, 1)) {
    this.#wallOriginMs = wallOriginMs
  }

  /** Timers that have not fired. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#nowMs + this.#stalledMs
  }

  wallNow(): number {
    return this.#wallOriginMs + this.now()
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, fn }
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  /**
   * Moves the time on, firing what falls due. Before the first timer and after each one, everything that waits
   * on settled promises runs.
   */
  async advance(byMs: number): Promise<void> {
    const endMs = this.#nowMs + byMs
    await settle()
    for (let next = this.#nextDue(endMs); next !== undefined; next = this.#nextDue(endMs)) {
      this.#timers.delete(next)
      this.#nowMs = next.dueMs
      next.fn()
      await settle()
    }
    this.#nowMs = endMs
  }

  /** Moves the time on while something is under way, and returns what comes of it. */
  async during<T>(byMs: number, work: Promise<T>): Promise<T> {
    const [result] = await Promise.all([work, this.advance(byMs)])
    return result
  }

  /** Time goes by in which nothing runs: all timers are late by so much. */
  stall(byMs: number): void {
    this.#stalledMs += byMs
  }

  #nextDue(endMs: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.dueMs > endMs) continue
      if (
        first === undefined ||
        timer.dueMs < first.dueMs ||
        (timer.dueMs === first.dueMs && timer.order < first.order)
      ) {
        first = timer
      }
    }
    return first
  }
}

/** What became of a promise by now: its value, its error, or `pending`; no test waits for one that never settles. */
export function fateOf(promise: Promise<unknown>): Promise<unknown> {
  const rejection = promise.catch((error: unknown) => error)
  return Promise.race([rejection, settle().then(() => 'pending')])
}

/** Lets every promise that can settle without timers or I/O do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

import type { Clock } from '../../clock.ts'

/** Between two looks at the clock, in milliseconds. */
const BEAT_MS = 50

/**
 * Notices when the event loop of this process stood still: what timers concluded meanwhile (a probe without an
 * answer, a suspicion without a denial) says nothing about others, as their answers may wait unread.
 */
export class LoopMonitor {
  readonly #clock: Clock
  readonly #thresholdMs: number
  /** The longest delay so far, in milliseconds. */
  longestMs = 0
  stalls = 0
  /** How long they were in all, in milliseconds. */
  stalledMs = 0
  #beatAtMs = 0
  #stallEndedAtMs = -Infinity
  #cancel: (() => void) | undefined

  /** @param thresholdMs - A delay beyond this many milliseconds is a stall. */
  constructor(clock: Clock, thresholdMs: number) {
    this.#clock = clock
    this.#thresholdMs = thresholdMs
  }

  start(): void {
    this.#beatAtMs = this.#clock.now()
    this.#beat()
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  /**
   * Whether any part of a stall lies after `sinceMs` (in the clock's `now`). It also sees the stall that is just
   * over, when the caller's timer fires before the monitor's own.
   */
  stalledSince(sinceMs: number): boolean {
    this.#look()
    return this.#stallEndedAtMs > sinceMs
  }

  #beat(): void {
    this.#cancel = this.#clock.after(BEAT_MS, () => {
      const lateMs = this.#look()
      if (lateMs > this.#thresholdMs) {
        this.stalls += 1
        this.stalledMs += lateMs
      }
      this.#beatAtMs = this.#clock.now()
      this.#beat()
    })
  }

  /** @returns How late the beat is. */
  #look(): number {
    const nowMs = this.#clock.now()
    const lateMs = nowMs - this.#beatAtMs - BEAT_MS
    this.longestMs = Math.max(this.longestMs, lateMs)
    if (lateMs > this.#thresholdMs) this.#stallEndedAtMs = nowMs
    return lateMs
  }
}

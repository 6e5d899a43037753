import { Deadlines } from '../../src/membership/memberlist/protocol/deadlines.ts'

/** Simulated time. Things of one moment happen in the order in which they were set. */
export class SimClock {
  nowMs = 0
  readonly #deadlines = new Deadlines()

  /** Calls `run` at `atMs`, or now if that is past. */
  at(atMs: number, run: () => void): void {
    this.#deadlines.set(Math.max(atMs, this.nowMs), run)
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run)
  }

  /** Lets everything happen up to `untilMs`. */
  runUntil(untilMs: number): void {
    while (this.#deadlines.nextMs <= untilMs) {
      this.nowMs = this.#deadlines.nextMs
      this.#deadlines.runDue(this.nowMs)
    }
    this.nowMs = untilMs
  }
}

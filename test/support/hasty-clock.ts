import type { Clock } from '../../src/clock.ts'

/** A clock on which every wait is over at once. */
export class HastyClock implements Clock {
  #nowMs = 0

  now(): number {
    return this.#nowMs
  }

  wallNow(): number {
    return this.#nowMs
  }

  after(delayMs: number, fn: () => void): () => void {
    this.#nowMs += delayMs
    const turn = setImmediate(fn)
    return () => clearImmediate(turn)
  }
}

import { systemClock, type Clock } from '../../src/clock.ts'

/** Real time that knows how many of its timers are pending, for tests on real sockets. */
export class CountingClock implements Clock {
  readonly #pending = new Set<object>()

  get pendingTimers(): number {
    return this.#pending.size
  }

  now(): number {
    return systemClock.now()
  }

  wallNow(): number {
    return systemClock.wallNow()
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = {}
    this.#pending.add(timer)
    const cancel = systemClock.after(delayMs, () => {
      this.#pending.delete(timer)
      fn()
    })
    return () => {
      this.#pending.delete(timer)
      cancel()
    }
  }
}

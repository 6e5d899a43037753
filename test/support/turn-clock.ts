import type { Clock } from '../../src/clock.ts'

interface Timer {
  readonly dueMs: number
  readonly fn: () => void
}

/** Resolves some turns of the event loop later: what was sent on loopback between parts of this process has come by then. */
export async function turns(count = 10): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/**
 * Time for members that talk over real sockets of this process: it goes on by a millisecond with each turn of the event loop,
 * for as long as anything waits for it. What was sent on loopback comes in the turns after, so that a busy machine is late
 * for nothing, and an idle one waits for nothing.
 */
export class TurnClock implements Clock {
  /** What `wallNow` said at the start, in milliseconds since the Unix epoch: a test may step it. */
  wallOriginMs = Date.UTC(2026, 0, 1)
  #nowMs = 0
  #turns = false
  readonly #timers = new Set<Timer>()

  get pendingTimers(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#nowMs
  }

  wallNow(): number {
    return this.wallOriginMs + this.#nowMs
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), fn }
    this.#timers.add(timer)
    if (!this.#turns) setImmediate(this.#turn)
    this.#turns = true
    return () => {
      this.#timers.delete(timer)
    }
  }

  /** Resolves when so many milliseconds have gone by. */
  advance(byMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(byMs, resolve)
    })
  }

  /** Resolves once `check` holds, which is looked at each millisecond; rejects after `withinMs`. */
  async until(check: () => boolean, withinMs = 30_000): Promise<void> {
    for (const endMs = this.#nowMs + withinMs; !check(); await this.advance(1)) {
      if (this.#nowMs >= endMs) throw new Error(`not within ${withinMs} ms: ${String(check)}`)
    }
  }

  readonly #turn = () => {
    this.#nowMs++
    const due = [...this.#timers].filter(({ dueMs }) => dueMs <= this.#nowMs)
    for (const timer of due.sort((a, b) => a.dueMs - b.dueMs)) {
      // One that was called before may have cancelled it.
      if (this.#timers.delete(timer)) timer.fn()
    }
    this.#turns = this.#timers.size > 0
    if (this.#turns) setImmediate(this.#turn)
  }
}

/** Time as a dependency, so that tests and simulations run on their own. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin; never goes back. Use it for durations. */
  now(): number
  /** Milliseconds since the Unix epoch; may jump. Use it only for what people read. */
  wallNow(): number
  /**
   * Calls `fn` once, `delayMs` (at least 0) milliseconds from now.
   *
   * @returns A function that cancels the call; harmless after it has happened.
   */
  after(delayMs: number, fn: () => void): () => void
}

/** Longest delay of a timer of Node.js, 24.8 days; it would take a longer one for a millisecond. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

/** @param holds - Whether a pending `after` keeps the process alive. */
function clockOfProcess(holds: boolean): Clock {
  return {
    now: () => performance.now(),
    wallNow: () => Date.now(),
    after(delayMs, fn) {
      // What is due at once comes in the next turn of the event loop, which a timer would put off by a millisecond.
      if (delayMs === 0) {
        const turn = setImmediate(fn)
        return () => clearImmediate(turn)
      }
      const timer = setTimeout(fn, Math.min(delayMs, LONGEST_DELAY_MS))
      if (!holds) timer.unref()
      return () => clearTimeout(timer)
    },
  }
}

/**
 * The clock of this process; a wait of more than 24 days ends then. A pending `after` does not keep the process alive, unless it is
 * due at once.
 */
export const systemClock: Clock = clockOfProcess(false)

/** The same, but a pending `after` keeps the process alive: for waits that somebody awaits. */
export const holdingClock: Clock = clockOfProcess(true)

/** Resolves after `delayMs`, or at once when `signal` aborts; it never rejects. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve()
      return
    }
    const finish = () => {
      cancel()
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const cancel = clock.after(delayMs, finish)
    signal?.addEventListener('abort', finish, { once: true })
  })
}

/** A source of chance: each call gives a number in `[0, 1)`. */
export type Random = () => number

/** Chance as V8 gives it; not for secrets. */
export const systemRandom: Random = () => Math.random()

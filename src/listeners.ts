import { silentLogger, type Logger } from './logger.ts'

/**
 * Functions that are called with each new value, in the order in which they subscribed. One that throws keeps neither
 * the others from being called nor the caller from going on: the error is logged, or where nobody logs it becomes a
 * warning of the process.
 */
export class Listeners<T> {
  readonly #logger: Logger
  readonly #all = new Set<(value: T) => void>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** @returns A function that ends the subscription. */
  add(listener: (value: T) => void): () => void {
    // A wrapper, so that the same function subscribed twice is two subscriptions.
    const entry = (value: T) => listener(value)
    this.#all.add(entry)
    return () => this.#all.delete(entry)
  }

  call(value: T): void {
    for (const listener of [...this.#all]) {
      // An earlier listener may have ended this subscription, or all of them.
      if (!this.#all.has(listener)) continue
      try {
        listener(value)
      } catch (err) {
        if (this.#logger === silentLogger) process.emitWarning(err instanceof Error ? err : String(err))
        else this.#logger.error({ event: 'listener.failed', err }, 'Failed in a listener')
      }
    }
  }

  /** Ends every subscription. */
  clear(): void {
    this.#all.clear()
  }
}

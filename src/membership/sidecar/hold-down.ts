import type { Clock } from '../../clock.ts'

export interface HoldDownOptions<T> {
  readonly clock: Clock
  /** Time after an applied change during which the next ones wait, in milliseconds; 0 applies each at once. */
  readonly holdDownMs: number
  /** The number of waiting items, at least 1, at which they wait no longer. */
  readonly capacity: number
  /**
   * Applies an item that stands for `folded` items before it as well.
   *
   * @returns Whether that changed anything: only a change is followed by a hold-down.
   */
  readonly apply: (item: T, folded: number) => boolean
}

/**
 * Folds a burst of states into few changes. The first is applied at once; those that come within the hold-down
 * after it wait for its end, or until `capacity` of them wait. Each stands for all before it, so that only the
 * newest is kept: offering never blocks, and memory does not grow with the burst.
 */
export class HoldDown<T> {
  readonly #options: HoldDownOptions<T>
  #waiting: { readonly item: T } | undefined
  #waitingCount = 0
  #cancel: (() => void) | undefined

  constructor(options: HoldDownOptions<T>) {
    this.#options = options
  }

  /** Items that wait, 0 to `capacity - 1`. */
  get waitingCount(): number {
    return this.#waitingCount
  }

  offer(item: T): void {
    this.#waiting = { item }
    this.#waitingCount += 1
    if (this.#cancel === undefined || this.#waitingCount >= this.#options.capacity) this.#flush()
  }

  /** Forgets what waits and releases the timer. */
  close(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#waiting = undefined
    this.#waitingCount = 0
  }

  #flush(): void {
    const early = this.#cancel !== undefined
    this.#cancel?.()
    this.#cancel = undefined
    const { clock, holdDownMs, apply } = this.#options
    const waiting = this.#waiting
    const folded = this.#waitingCount - 1
    this.#waiting = undefined
    this.#waitingCount = 0
    if (waiting === undefined) return
    // Held down before the item is applied: an offer from within `apply` waits like any other.
    if (holdDownMs > 0) {
      this.#cancel = clock.after(holdDownMs, () => {
        this.#cancel = undefined
        this.#flush()
      })
    }
    if (!apply(waiting.item, folded) && !early && this.#waiting === undefined) {
      this.#cancel?.()
      this.#cancel = undefined
    }
  }
}

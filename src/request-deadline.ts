import type { Clock } from './clock.ts'
import type { RingmanError } from './errors.ts'

/** Why a request ends, for what listens to its signal. Without it each end would make an error with a stack, heard or not. */
const OVER = new DOMException('the request is over', 'AbortError')

/** Ends a request when its time is up, or when its owner's signal aborts. */
export class RequestDeadline {
  readonly #clock: Clock
  readonly #abort = new AbortController()
  readonly #owner: AbortSignal
  readonly #onOwnerAbort = () => this.#abort.abort(OVER)
  #cancel: (() => void) | undefined
  #problem: RingmanError | undefined

  constructor(clock: Clock, owner: AbortSignal) {
    this.#clock = clock
    this.#owner = owner
    if (owner.aborted) this.#onOwnerAbort()
    owner.addEventListener('abort', this.#onOwnerAbort, { once: true })
  }

  /** Aborts when the request is to end. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Why the time was up; undefined when it was not. */
  get problem(): RingmanError | undefined {
    return this.#problem
  }

  /** Sets the time, in place of the one before: in `delayMs` the request fails with what `problem` makes. */
  set(delayMs: number, problem: () => RingmanError): void {
    this.lift()
    if (this.#abort.signal.aborted) return
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#problem = problem()
      this.#abort.abort(OVER)
    })
  }

  /** No more time limit: what was waited for has come. */
  lift(): void {
    this.#cancel?.()
  }

  /** Releases the timer, the signal's listener and the connection. */
  end(): void {
    this.lift()
    this.#owner.removeEventListener('abort', this.#onOwnerAbort)
    this.#abort.abort(OVER)
  }
}

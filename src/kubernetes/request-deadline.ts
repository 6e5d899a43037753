import type { Clock } from '../clock.ts'
import type { RingmanError } from '../errors.ts'
import { apiError, type ApiErrorKind } from './api-error.ts'

/** Ends a request when its time is up, or when its owner's signal aborts. */
export class RequestDeadline {
  readonly #clock: Clock
  readonly #abort = new AbortController()
  readonly #owner: AbortSignal
  readonly #onOwnerAbort = () => {
    this.#abort.abort()
  }
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

  /** Sets the time anew: in `delayMs` the request fails with this kind and message. */
  set(delayMs: number, kind: ApiErrorKind, message: string): void {
    this.#cancel?.()
    if (this.#abort.signal.aborted) return
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#problem = apiError(kind, message)
      this.#abort.abort()
    })
  }

  /** Releases the timer, the signal's listener and the connection. */
  end(): void {
    this.#cancel?.()
    this.#owner.removeEventListener('abort', this.#onOwnerAbort)
    this.#abort.abort()
  }
}

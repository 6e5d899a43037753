import type { Clock } from '../../clock.ts'

/** Allows `perSecond` actions a second on average and `burst` at once. */
export class TokenBucket {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #filledAtMs: number

  constructor(clock: Clock, limits: { readonly perSecond: number; readonly burst: number }) {
    this.#clock = clock
    this.#perSecond = limits.perSecond
    this.#burst = limits.burst
    this.#tokens = limits.burst
    this.#filledAtMs = clock.now()
  }

  /** Takes one token, if there is one. */
  tryTake(): boolean {
    const nowMs = this.#clock.now()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * this.#perSecond)
    this.#filledAtMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}

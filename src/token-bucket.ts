/** What a {@link TokenBucket} allows. */
export interface TokenRate {
  /** Actions at once. */
  readonly burst: number
  /** Actions in a second from then on, on average. */
  readonly perSecond: number
}

/** Allows a burst of actions, and then so many in a second. Times are in monotonic milliseconds. */
export class TokenBucket {
  readonly #rate: TokenRate
  #tokens: number
  #filledAtMs: number

  constructor(rate: TokenRate, nowMs: number) {
    this.#rate = rate
    this.#tokens = rate.burst
    this.#filledAtMs = nowMs
  }

  /** Takes one token, if there is one. */
  tryTake(nowMs: number): boolean {
    const { burst, perSecond } = this.#rate
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * perSecond)
    this.#filledAtMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Milliseconds from the last try until there is a token. */
  get waitMs(): number {
    return Math.ceil((Math.max(0, 1 - this.#tokens) / this.#rate.perSecond) * 1000)
  }
}

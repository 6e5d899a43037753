/** What a {@link TokenBucket} allows. */
export interface TokenRate {
  /** Tokens at once. */
  readonly burst: number
  /** Tokens in a second from then on, on average. */
  readonly perSecond: number
}

/** Allows a burst, and then so much in a second. Pure: times are arguments, in monotonic milliseconds. */
export class TokenBucket {
  readonly #rate: TokenRate
  #tokens: number
  #filledAtMs = -Infinity

  /** It begins full. */
  constructor(rate: TokenRate) {
    this.#rate = rate
    this.#tokens = rate.burst
  }

  /** How many tokens there are now. */
  tokens(nowMs: number): number {
    const grown = (Math.max(0, nowMs - this.#filledAtMs) / 1000) * this.#rate.perSecond
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + grown)
    this.#filledAtMs = nowMs
    return this.#tokens
  }

  /** Takes `count` tokens, or none if there are fewer. */
  tryTake(nowMs: number, count = 1): boolean {
    if (this.tokens(nowMs) < count) return false
    this.#tokens -= count
    return true
  }

  /** Milliseconds until there is a token. */
  waitMs(nowMs: number): number {
    return Math.ceil((Math.max(0, 1 - this.tokens(nowMs)) / this.#rate.perSecond) * 1000)
  }
}

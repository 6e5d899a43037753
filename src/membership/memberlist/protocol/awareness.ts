/**
 * What this member thinks of its own health: 0 is well; missed nacks, failed probes, refuted suspicions and stalls of its
 * own raise the score, answered probes lower it. Timeouts grow with it, so that a slow member suspects less.
 *
 * @see Lifeguard (arXiv:1707.00788), local health multiplier
 */
export class Awareness {
  readonly #limit: number
  #score = 0

  /** @param limit - Scores stay below it; 1 keeps the score at 0. */
  constructor(limit: number) {
    this.#limit = Math.max(1, limit)
  }

  get score(): number {
    return this.#score
  }

  /** Adds `delta`, within 0 to the limit minus 1. */
  adjust(delta: number): void {
    this.#score = Math.min(this.#limit - 1, Math.max(0, this.#score + delta))
  }

  scale(ms: number): number {
    return ms * (this.#score + 1)
  }
}

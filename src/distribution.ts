/** How often values fell into which range. Cheap to add to: no label, no hashing, no allocation. */
export interface DistributionView {
  /** Upper bounds, ascending; a value equal to a bound is within it. */
  readonly bounds: readonly number[]
  /** Values within each bound and above the one before; the last count, one more than bounds, is of those above all. */
  readonly counts: readonly number[]
  /** All values added up. */
  readonly sum: number
  readonly count: number
}

/** A {@link DistributionView} that can be added to. */
export class Distribution implements DistributionView {
  readonly bounds: readonly number[]
  readonly #counts: number[]
  #sum = 0
  #count = 0

  /** @param bounds - Upper bounds, ascending. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  get counts(): readonly number[] {
    return this.#counts
  }

  get sum(): number {
    return this.#sum
  }

  get count(): number {
    return this.#count
  }

  /**
   * Adds a value, in the unit of the bounds.
   *
   * @returns The index of the count that it went to.
   */
  add(value: number): number {
    let index = 0
    while (index < this.bounds.length && value > (this.bounds[index] as number)) index++
    ;(this.#counts[index] as number) += 1
    this.#sum += value
    this.#count += 1
    return index
  }

  /** Adds `count` values that are known by their range only, and all of them together as `sum`. */
  addCounts(counts: readonly number[], sum: number): void {
    for (const [index, count] of counts.entries()) {
      if (index > this.bounds.length) break
      ;(this.#counts[index] as number) += count
      this.#count += count
    }
    this.#sum += sum
  }
}

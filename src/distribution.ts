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
  /** Everything in one piece of memory: the counts, then the sum. */
  readonly #cells: Float64Array

  /**
   * @param bounds - Upper bounds, ascending.
   * @param cells - Where to count: two more than bounds. @default new ones
   */
  constructor(bounds: readonly number[], cells: Float64Array = new Float64Array(bounds.length + 2)) {
    this.bounds = bounds
    this.#cells = cells
  }

  get counts(): readonly number[] {
    return Array.from(this.#cells.subarray(0, -1))
  }

  get sum(): number {
    return this.#cells[this.bounds.length + 1] as number
  }

  get count(): number {
    return this.counts.reduce((total, count) => total + count, 0)
  }

  /**
   * Adds a value, in the unit of the bounds.
   *
   * @returns The index of the count that it went to.
   */
  add(value: number): number {
    let index = 0
    while (index < this.bounds.length && value > (this.bounds[index] as number)) index++
    ;(this.#cells[index] as number) += 1
    ;(this.#cells[this.bounds.length + 1] as number) += value
    return index
  }

  /** Adds `count` values that are known by their range only, and all of them together as `sum`. */
  addCounts(counts: readonly number[], sum: number): void {
    for (const [index, count] of counts.entries()) {
      if (index > this.bounds.length) break
      ;(this.#cells[index] as number) += count
    }
    ;(this.#cells[this.bounds.length + 1] as number) += sum
  }
}

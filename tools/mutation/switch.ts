/** What the planted sources ask, in the process that runs the tests: which mutant is on, and what of the source is reached. */
export class Switch {
  /** The number of the mutant that is on; -1 without one. */
  on = -1
  /** Whether the mutant that is on was come by. */
  isMet = false
  /** Whether a loop has gone round without end. No loop goes on for long then. */
  isEndless = false
  /** The same of the loops of a test, which would run into a time limit. */
  isTestEndless = false
  /** A loop goes round without end when it takes more rounds than this: it is raised by what runs without a mutant. */
  roundLimit = LEAST_ROUND_LIMIT
  /** The test that failed with the mutant that is on, and whether it ran into its time limit. */
  failedTest: string | undefined
  isOutOfTime = false
  /** Places that were come by without a mutant: see {@link takeReached}. */
  readonly #reached = new Set<number>()

  readonly isPlanted = (from: number, to: number): boolean => {
    if (this.on < 0) this.#reached.add(from)
    if (this.on < from || this.on > to) return false
    this.isMet = true
    return true
  }

  readonly countRound = (round: number): void => {
    if (!this.#isTooMany(round) && !this.isEndless) return
    this.isEndless = true
    throw new Error('endless loop')
  }

  readonly countRoundOfTest = (round: number): void => {
    if (!this.#isTooMany(round) && !this.isTestEndless) return
    this.isTestEndless = true
    throw new Error('endless loop in a test')
  }

  #isTooMany(round: number): boolean {
    if (round < this.roundLimit) return false
    if (this.on < 0) this.roundLimit = round * 2
    return this.on >= 0
  }

  set(id: number): void {
    this.on = id
    this.isMet = false
    this.isEndless = false
    this.isTestEndless = false
    this.isOutOfTime = false
  }

  /** The places that were come by since the last time. */
  takeReached(): number[] {
    const reached = [...this.#reached]
    this.#reached.clear()
    return reached
  }
}

/** More rounds than the loops of most tests make. */
export const LEAST_ROUND_LIMIT = 100_000

declare global {
  // oxlint-disable-next-line no-var -- what a global is declared by
  var mutation: Switch
}

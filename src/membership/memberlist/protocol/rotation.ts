/** What a rotation needs to know of those in it; each rotation has its own slot. */
export interface Rotating {
  /** Rotations that hold it, a bit each. */
  rotations: number
}

/** A rotation is never longer than twice those that stayed and this many. */
const SLACK = 64

/**
 * Everybody in turn, in a random order; who joins comes in at a random place. Shuffled again for each round, nobody
 * waits longer than two rounds and no order is kept up; not shuffled, any run of as many as there are misses nobody.
 *
 * @see SWIM (Das, Gupta, Motivala 2002), section 4.3
 */
export class Rotation<T extends Rotating> {
  readonly #bit: number
  readonly #shuffles: boolean
  readonly #stays: (item: T) => boolean
  readonly #random: () => number
  readonly #order: T[] = []
  #cursor = 0
  /** How many stayed when those that do not were last dropped. */
  #keptCount = 0

  /**
   * @param bit - This rotation's own bit in `rotations`.
   * @param shuffles - Whether each round has an order of its own.
   * @param stays - Whether an item takes part in the next round; others are dropped until added again.
   */
  constructor(bit: number, shuffles: boolean, random: () => number, stays: (item: T) => boolean) {
    this.#bit = bit
    this.#shuffles = shuffles
    this.#random = random
    this.#stays = stays
  }

  /** Adds an item, unless it is still in. */
  add(item: T): void {
    if ((item.rotations & this.#bit) !== 0) return
    if (this.#order.length >= this.#keptCount * 2 + SLACK) this.#dropGone()
    item.rotations |= this.#bit
    this.#order.push(item)
    this.#swap(Math.floor(this.#random() * this.#order.length), this.#order.length - 1)
  }

  /** The next ones that `accept` takes, all different: at most `count`, fewer when there are no more. */
  next(count: number, accept: (item: T) => boolean): T[] {
    const chosen: T[] = []
    for (let tries = this.#order.length; tries > 0 && chosen.length < count; tries--) {
      if (this.#cursor >= this.#order.length) this.#nextRound()
      const item = this.#order[this.#cursor++]
      if (item !== undefined && this.#stays(item) && accept(item) && !chosen.includes(item)) chosen.push(item)
    }
    return chosen
  }

  #nextRound(): void {
    this.#dropGone()
    for (let i = this.#shuffles ? this.#order.length - 1 : 0; i > 0; i--)
      this.#swap(i, Math.floor(this.#random() * (i + 1)))
    this.#cursor = 0
  }

  /** Drops those that do not stay, and leaves the others where they are in the round. */
  #dropGone(): void {
    const order = this.#order
    let kept = 0
    let cursor = 0
    for (const [i, item] of order.entries()) {
      if (!this.#stays(item)) {
        item.rotations &= ~this.#bit
        continue
      }
      order[kept++] = item
      if (i < this.#cursor) cursor++
    }
    order.length = kept
    this.#keptCount = kept
    this.#cursor = cursor
  }

  #swap(i: number, j: number): void {
    const order = this.#order
    const item = order[i]!
    order[i] = order[j]!
    order[j] = item
  }
}

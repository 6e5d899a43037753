/** A rotation is never longer than twice those that stayed and this many. */
const SLACK = 64

/** All items in turn, in a random order: any run of as many as there are misses none. A new one comes in at a random place. */
export class Rotation<T> {
  readonly #stays: (item: T) => boolean
  readonly #random: () => number
  readonly #order: T[] = []
  #cursor = 0
  /** How many stayed when those that do not were last dropped. */
  #keptCount = 0

  /** @param stays - Whether an item takes part in the next round; others are dropped. */
  constructor(random: () => number, stays: (item: T) => boolean) {
    this.#random = random
    this.#stays = stays
  }

  add(item: T): void {
    const order = this.#order
    if (order.length >= this.#keptCount * 2 + SLACK) this.#dropGone()
    const at = Math.floor(this.#random() * (order.length + 1))
    order.push(order[at] ?? item)
    order[at] = item
  }

  /** The next ones that `accept` takes, all different: at most `count`, fewer when there are no more. */
  next(count: number, accept: (item: T) => boolean): T[] {
    const chosen: T[] = []
    for (let tries = this.#order.length; tries > 0 && chosen.length < count; tries--) {
      if (this.#cursor >= this.#order.length) {
        this.#dropGone()
        this.#cursor = 0
      }
      const item = this.#order[this.#cursor++]
      if (item !== undefined && this.#stays(item) && accept(item) && !chosen.includes(item)) chosen.push(item)
    }
    return chosen
  }

  /** Drops those that do not stay, and leaves the others where they are in the round. */
  #dropGone(): void {
    const order = this.#order
    let kept = 0
    let cursor = 0
    for (const [i, item] of order.entries()) {
      if (!this.#stays(item)) continue
      order[kept++] = item
      if (i < this.#cursor) cursor++
    }
    order.length = kept
    this.#keptCount = kept
    this.#cursor = cursor
  }
}

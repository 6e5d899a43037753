/**
 * Long work in pieces, one in each turn of the event loop, whoever asked for it: a crowd of large requests holds the
 * loop no longer than one does, and connections, probes and small requests come in between.
 */
export class Turns {
  readonly #waiting: (() => void)[] = []

  /** Resolves in a turn that no other caller gets, in the order of the calls. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      if (this.#waiting.length === 1) setImmediate(this.#give)
    })
  }

  readonly #give = (): void => {
    this.#waiting[0]?.()
    // Not before: who asks again at once stands behind the others.
    this.#waiting.shift()
    if (this.#waiting.length > 0) setImmediate(this.#give)
  }
}

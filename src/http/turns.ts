/**
 * Long work in pieces, one in each turn of the event loop, whoever asked for it: a crowd of large requests holds the
 * loop no longer than one does, and connections, probes and small requests come in between. Work that has begun goes
 * before work that has not, so that what pieces hold between two turns is that of one request and not of all.
 */
export class Turns {
  readonly #waiting: (() => void)[] = []
  readonly #begun: (() => void)[] = []
  #scheduled = false

  /** Resolves in a turn that no other caller gets, in the order of the calls. */
  begin(): Promise<void> {
    return this.#stand(this.#waiting)
  }

  /** The same for the next piece of work that has begun. */
  goOn(): Promise<void> {
    return this.#stand(this.#begun)
  }

  #stand(line: (() => void)[]): Promise<void> {
    return new Promise((resolve) => {
      line.push(resolve)
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled || this.#begun.length + this.#waiting.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const next = this.#begun.shift() ?? this.#waiting.shift()
      next?.()
      this.#schedule()
    })
  }
}

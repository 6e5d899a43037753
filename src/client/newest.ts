/**
 * A value that changes, for readers of any speed: each gets the newest, and what came and went while it was busy is left
 * out. Nothing queues.
 */
export class Newest<T> {
  #newest: { readonly value: T } | undefined
  #ended = false
  #fault: Error | undefined
  readonly #waiting = new Set<() => void>()

  publish(value: T): void {
    this.#newest = { value }
    this.#wake()
  }

  /** No value comes any more. @param fault - What readers are to fail with. */
  end(fault?: Error): void {
    this.#ended = true
    this.#fault = fault
    this.#wake()
  }

  /** The value now, if there is one, and whenever it is another; it ends, without an error, when `signal` aborts. */
  async *read(signal?: AbortSignal): AsyncGenerator<T, void, void> {
    let seen: unknown
    for (;;) {
      if (signal?.aborted === true) return
      const newest = this.#newest
      if (newest !== undefined && newest !== seen) {
        seen = newest
        yield newest.value
      } else if (this.#ended) {
        if (this.#fault !== undefined) throw this.#fault
        return
      } else {
        await this.#change(signal)
      }
    }
  }

  #change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        this.#waiting.delete(finish)
        signal?.removeEventListener('abort', finish)
        resolve()
      }
      this.#waiting.add(finish)
      signal?.addEventListener('abort', finish, { once: true })
    })
  }

  #wake(): void {
    for (const finish of [...this.#waiting]) finish()
  }
}

/**
 * A bounded queue of commands with one reader: senders wait, in order, while it is full. It is Go's buffered
 * channel, without its trap: after `close` nothing is delivered, and waiting senders are told.
 */
export class Mailbox<T> {
  readonly #capacity: number
  readonly #queue: T[] = []
  readonly #senders: { readonly command: T; readonly accept: (accepted: boolean) => void }[] = []
  #reader: ((command: T | undefined) => void) | undefined
  #closed = false

  /** @param capacity - Commands that wait without holding up their sender, integer >= 1. */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Commands accepted and not yet received. */
  get pending(): number {
    return this.#queue.length
  }

  /** Senders that wait for room. */
  get waiting(): number {
    return this.#senders.length
  }

  /** Resolves true once the mailbox has taken the command, false if it closed first. */
  send(command: T): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false)
    const reader = this.#reader
    if (reader !== undefined) {
      this.#reader = undefined
      reader(command)
      return Promise.resolve(true)
    }
    if (this.#queue.length < this.#capacity) {
      this.#queue.push(command)
      return Promise.resolve(true)
    }
    return new Promise((accept) => this.#senders.push({ command, accept }))
  }

  /** Resolves with the next command, or undefined once the mailbox is closed. One reader at a time. */
  receive(): Promise<T | undefined> {
    const command = this.#queue.shift()
    const sender = this.#senders.shift()
    if (sender !== undefined) {
      this.#queue.push(sender.command)
      sender.accept(true)
    }
    if (command !== undefined || this.#closed) return Promise.resolve(command)
    return new Promise((resolve) => {
      this.#reader = resolve
    })
  }

  /** Refuses further commands and drops those not yet received, which it returns. */
  close(): T[] {
    this.#closed = true
    const dropped = this.#queue.splice(0)
    for (const sender of this.#senders.splice(0)) sender.accept(false)
    this.#reader?.(undefined)
    return dropped
  }
}

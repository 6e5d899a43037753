import type { Member } from './member.ts'

/** Orders members of different names by name, in UTF-16 order: the order in which sources publish them. */
export function byName(a: Member, b: Member): number {
  return a.name < b.name ? -1 : 1
}

/**
 * Holds a source's current set and tells its subscribers, with the promises that
 * {@link import('./source.ts').MembershipSource} makes about publishing.
 */
export class MemberSet {
  #current: readonly Member[] = Object.freeze([])
  readonly #listeners = new Set<(members: readonly Member[]) => void>()
  readonly #onListenerError: (error: unknown) => void
  #publishing = false
  #queue: (readonly Member[])[] = []

  /** @param onListenerError - Called with what a listener threw, after the other listeners were called. */
  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError
  }

  get current(): readonly Member[] {
    return this.#current
  }

  subscribe(listener: (members: readonly Member[]) => void): () => void {
    // A wrapper, so that the same function subscribed twice is two subscriptions.
    const entry = (members: readonly Member[]) => {
      listener(members)
    }
    this.#listeners.add(entry)
    return () => {
      this.#listeners.delete(entry)
    }
  }

  /** Replaces the set and calls every listener; a publish from within a listener waits its turn. */
  publish(members: Iterable<Member>): void {
    this.#queue.push(Object.freeze([...members].sort(byName)))
    if (this.#publishing) return
    this.#publishing = true
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        this.#current = next
        for (const listener of [...this.#listeners]) {
          // An earlier listener may have ended this subscription, or all of them.
          if (!this.#listeners.has(listener)) continue
          try {
            listener(next)
          } catch (error) {
            this.#onListenerError(error)
          }
        }
      }
    } finally {
      this.#publishing = false
    }
  }

  /** Ends every subscription; later publishes still replace `current`. */
  close(): void {
    this.#listeners.clear()
  }
}

import { Listeners } from '../listeners.ts'
import type { Logger } from '../logger.ts'
import type { Member } from './member.ts'

/** Orders members of different names by name, in UTF-16 order: the order in which sources publish them. */
export function byName(a: Pick<Member, 'name'>, b: Pick<Member, 'name'>): number {
  return a.name < b.name ? -1 : 1
}

/** The member of that name, among members in this order. */
export function findByName(members: readonly Member[], name: string): Member | undefined {
  let low = 0
  let high = members.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (members[middle]!.name < name) low = middle + 1
    else high = middle
  }
  return members[low]?.name === name ? members[low] : undefined
}

/**
 * Holds a source's current set and tells its subscribers, with the promises that
 * {@link import('./source.ts').MembershipSource} makes about publishing.
 */
export class MemberSet {
  #current: readonly Member[] = Object.freeze([])
  readonly #listeners: Listeners<readonly Member[]>
  #publishing = false
  #queue: (readonly Member[])[] = []

  /** @param logger - Told of what a listener throws. */
  constructor(logger: Logger) {
    this.#listeners = new Listeners(logger)
  }

  get current(): readonly Member[] {
    return this.#current
  }

  subscribe(listener: (members: readonly Member[]) => void): () => void {
    return this.#listeners.add(listener)
  }

  /** Replaces the set and calls every listener; a publish from within a listener waits its turn. */
  publish(members: Iterable<Member>): void {
    this.#queue.push(Object.freeze([...members].sort(byName)))
    if (this.#publishing) return
    this.#publishing = true
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        this.#current = next
        this.#listeners.call(next)
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

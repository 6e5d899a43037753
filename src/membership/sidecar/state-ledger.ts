import type { Instant } from './catalog.ts'
import type { Selection } from './instances.ts'

export interface Entry {
  readonly lastChanged: Instant
  readonly selection: Selection
}

/**
 * What became of a state: `accepted` is the newest now; `confirmed` says what is known already; `not-newer` is
 * passed over; `doubtful` is passed over too, but would be accepted if Sidecar said the same once more.
 */
export type Offered = 'accepted' | 'confirmed' | 'not-newer' | 'doubtful'

/**
 * Decides which of the states that come on several ways (posted, fetched, streamed) is the one to follow. Pure.
 *
 * The rule is Sidecar's: only a state whose `LastChanged` is newer counts. That time is taken from the clock of
 * the host that changed last, and from 80 s ago where a service was not heard of any more, so that it can go
 * back while the state goes on. A posted state that is not newer may simply be late. But what Sidecar answers
 * when asked is what it knows then: the same answer twice, with no other state accepted in between, is
 * followed, whatever its time.
 */
export class StateLedger {
  #newest: Entry | undefined
  #version = 0
  #doubt: { readonly entry: Entry; readonly version: number } | undefined

  /** The number of states accepted: tells whether one was between two moments. */
  get version(): number {
    return this.#version
  }

  /** The selection of the newest accepted state, applied already or not; undefined before any was. */
  get newest(): Selection | undefined {
    return this.#newest?.selection
  }

  /** Takes a state that Sidecar sent by itself, on the way for an unknown time. */
  offerPosted(entry: Entry): Offered {
    if (this.#newest !== undefined && entry.lastChanged <= this.#newest.lastChanged) return 'not-newer'
    return this.#accept(entry)
  }

  /**
   * Takes a state that Sidecar gave as its present one.
   *
   * @param askedAtVersion - {@link StateLedger.version} from before it was asked for.
   */
  offerPresent(entry: Entry, askedAtVersion: number): Offered {
    if (this.#newest === undefined || entry.lastChanged > this.#newest.lastChanged) return this.#accept(entry)
    if (entry.selection.signature === this.#newest.selection.signature) {
      this.#doubt = undefined
      return 'confirmed'
    }
    if (askedAtVersion !== this.#version) return 'not-newer'
    const doubt = this.#doubt
    if (
      doubt?.version === this.#version &&
      doubt.entry.lastChanged === entry.lastChanged &&
      doubt.entry.selection.signature === entry.selection.signature
    ) {
      return this.#accept(entry)
    }
    this.#doubt = { entry, version: this.#version }
    return 'doubtful'
  }

  #accept(entry: Entry): Offered {
    this.#newest = entry
    this.#version += 1
    this.#doubt = undefined
    return 'accepted'
  }
}

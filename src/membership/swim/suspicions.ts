import type { Clock } from '../../clock.ts'

/** How often the end of a suspicion may be put off because this process itself stood still. */
const EXTENSION_LIMIT = 3

export interface SuspicionsOptions {
  readonly clock: Clock
  /** How long a suspicion lasts, asked when it begins, in milliseconds. */
  readonly timeoutMs: () => number
  /** Whether this process stood still after `sinceMs`. */
  readonly stalledSince: (sinceMs: number) => boolean
  /** How long after a stall the answers that waited meanwhile may take to be read, in milliseconds. */
  readonly graceMs: number
  /** Called when a suspicion ended without a denial. */
  readonly onExpired: (host: string, incarnation: number) => void
}

interface Suspicion {
  readonly incarnation: number
  extensions: number
  cancel: () => void
}

/**
 * One timer per suspect and incarnation, from the first suspicion on: unlike the library's, it is not begun again
 * by each further failed probe, and it also runs for a suspicion that came by gossip. So a dead member is always
 * removed, by everyone who heard of the suspicion.
 */
export class Suspicions {
  readonly #options: SuspicionsOptions
  readonly #entries = new Map<string, Suspicion>()

  constructor(options: SuspicionsOptions) {
    this.#options = options
  }

  /** Begins a suspicion; one of the same or a later incarnation goes on as it is. */
  begin(host: string, incarnation: number): void {
    const known = this.#entries.get(host)
    if (known !== undefined && known.incarnation >= incarnation) return
    known?.cancel()
    const suspicion: Suspicion = { incarnation, extensions: 0, cancel: () => {} }
    this.#entries.set(host, suspicion)
    this.#arm(host, suspicion, this.#options.timeoutMs())
  }

  /** Ends a suspicion without consequence. */
  clear(host: string): void {
    this.#entries.get(host)?.cancel()
    this.#entries.delete(host)
  }

  stop(): void {
    for (const { cancel } of this.#entries.values()) cancel()
    this.#entries.clear()
  }

  #arm(host: string, suspicion: Suspicion, delayMs: number): void {
    const { clock, stalledSince, graceMs, onExpired } = this.#options
    suspicion.cancel = clock.after(delayMs, () => {
      if (suspicion.extensions < EXTENSION_LIMIT && stalledSince(clock.now() - graceMs)) {
        suspicion.extensions += 1
        this.#arm(host, suspicion, graceMs)
        return
      }
      this.#entries.delete(host)
      onExpired(host, suspicion.incarnation)
    })
  }
}

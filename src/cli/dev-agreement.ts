import type { Clock } from '../clock.ts'

/** What a member says of a change of its ring. */
export interface ReportedChange {
  readonly digest: string
  /** Ring keys. */
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

/** A ring that all members hold. */
export interface AgreedRing {
  readonly digest: string
  readonly ringKeys: ReadonlySet<string>
  /** Whole milliseconds from the first sign of the change until the last member had it. */
  readonly afterMs: number
}

export interface AgreementOptions {
  readonly clock: Clock
  /**
   * Called once for each ring that all members come to hold, unless it is the one they agreed on before and
   * `onDisagreed` was not called since.
   */
  readonly onAgreed: (ring: AgreedRing) => void
  /** Called once when members have not agreed for `patienceMs`: how many hold which digest. */
  readonly onDisagreed: (digests: ReadonlyMap<string, number>) => void
  readonly patienceMs: number
}

interface Holder {
  digest: string | undefined
  readonly ringKeys: Set<string>
}

/** Follows what several members say of their rings, and tells when they all hold the same one. */
export class RingAgreement {
  readonly #options: AgreementOptions
  readonly #holders = new Map<string, Holder>()
  #agreedDigest: string | undefined
  #unsettledSinceMs: number | undefined
  #cancelPatience: (() => void) | undefined

  constructor(options: AgreementOptions) {
    this.#options = options
  }

  /** Counts a member in; until its first report nothing is agreed. */
  join(name: string): void {
    this.#holders.set(name, { digest: undefined, ringKeys: new Set() })
    this.#settle()
  }

  /** Counts a member out. */
  lose(name: string): void {
    this.#holders.delete(name)
    this.#settle()
  }

  /** Takes one change of one member's ring; they come in order. */
  report(name: string, change: ReportedChange): void {
    const holder = this.#holders.get(name)
    if (holder === undefined) return
    holder.digest = change.digest
    for (const key of change.removed) holder.ringKeys.delete(key)
    for (const key of change.added) holder.ringKeys.add(key)
    this.#settle()
  }

  /** Calls nobody any more. */
  stop(): void {
    this.#holders.clear()
    this.#cancelPatience?.()
  }

  #settle(): void {
    const { clock, onAgreed, onDisagreed, patienceMs } = this.#options
    const holders = [...this.#holders.values()]
    const [first] = holders
    if (first === undefined) return
    const { digest } = first
    if (digest === undefined || holders.some((holder) => holder.digest !== digest)) {
      this.#unsettledSinceMs ??= clock.now()
      this.#cancelPatience ??= clock.after(patienceMs, () => {
        this.#agreedDigest = undefined
        const digests = [...this.#holders.values()].map((holder) => holder.digest ?? 'none')
        onDisagreed(
          new Map([...Map.groupBy(digests, (held) => held)].map(([held, all]) => [held, all.length])),
        )
      })
      return
    }
    const afterMs = Math.round(clock.now() - (this.#unsettledSinceMs ?? clock.now()))
    this.#unsettledSinceMs = undefined
    this.#cancelPatience?.()
    this.#cancelPatience = undefined
    if (digest === this.#agreedDigest) return
    this.#agreedDigest = digest
    onAgreed({ digest, ringKeys: new Set(first.ringKeys), afterMs })
  }
}

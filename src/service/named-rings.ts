import type { RingService } from './ring-service.ts'

/** A ring besides the process's own, known by its name. */
export interface NamedRing {
  /** `NAMESPACE/NAME`. */
  readonly name: string
  readonly service: RingService
  /** See `fingerprintOf`. */
  readonly fingerprint: string
  /** `metadata.uid` of the HashRing: versions are in order for one of them; undefined where it is not known. */
  readonly uid: string | undefined
  /** Puts the rings of this name in order: what the status says of the ring that is held; undefined when it says nothing. */
  readonly version: number | undefined
  /** Whether its brake is on: it stays as it is, also while its health has something else to tell. */
  readonly braked: boolean
  /** Fractions of all keys that got another owner, added up over its changes in this process. */
  readonly movedShare: number
  /**
   * Calls `listener` when the version changed and the ring did not.
   *
   * @returns A function that ends the subscription.
   */
  onVersion(listener: () => void): () => void
}

/** What is told of one ring in a list of all. */
export interface NamedRingSummary {
  readonly name: string
  readonly accepted: boolean
  /** Why it is not accepted; undefined for one that is. */
  readonly reason: string | undefined
  readonly ring: NamedRing | undefined
}

/** The rings that a process knows by name. */
export interface NamedRings {
  /**
   * @throws {RingmanError} `RING_NOT_FOUND`; `RING_NOT_ACCEPTED` with the reason; `RINGS_NOT_LISTED` while nobody has said
   *   yet which rings there are.
   */
  get(name: string): NamedRing
  /** All that are known by now, in no order. */
  known(): readonly NamedRingSummary[]
  /** All of them, by name. @throws {RingmanError} `RINGS_NOT_LISTED`. */
  list(): readonly NamedRingSummary[]
  /** Whether all rings can be asked, in a sentence. */
  readonly readiness: { readonly ok: boolean; readonly message: string }
}

import type { HashRing } from '../ring/hash-ring.ts'
import type { ChangeRecord, RingDifference } from './change-record.ts'

/** The ring at one moment. Immutable; the manager swaps in a new one at each change. */
export interface RingSnapshot {
  readonly ring: HashRing
  /** This process's count of ring changes, from 0; it only compares within one process. */
  readonly epoch: number
  /** When this snapshot became the current one, in the manager's monotonic milliseconds. */
  readonly changedAtMs: number
}

/** One step from a ring to the next, which is the same ring when the only cause is `was-off-ring`. */
export interface RingChange extends RingDifference {
  readonly previous: RingSnapshot
  readonly current: RingSnapshot
  /** Why, one record for each cause. */
  readonly records: readonly ChangeRecord[]
}

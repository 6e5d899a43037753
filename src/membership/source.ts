import type { SourceHealth } from './condition.ts'
import type { Member } from './member.ts'
import type { SourceStatistics } from './statistics.ts'

/** Where members come from. */
export type SourceKind = 'memberlist' | 'swim' | 'sidecar' | 'kubernetes' | 'static'

/**
 * The port through which members reach the ring. It is level-triggered: a source publishes its whole set of
 * members at each change, so that a missed or repeated event cannot leave a stale node.
 *
 * Promises of every source (`test/contract/` holds each one to them):
 * - When `start` is called `members` is empty and stays so until it is about to resolve; then it is populated: with
 *   this process itself, if the source makes it a member. A listener from before hears of that first set.
 * - `members` is immutable, has unique names, is sorted by name (UTF-16 order), and is a new array at each
 *   change; listeners are called after it was replaced, in the order of the changes, never re-entrantly.
 * - A listener that throws keeps neither others from being called nor the source from going on; the error is logged.
 * - `leave` tells the others, marks this process `left` and publishes that; the source goes on following the
 *   others until `stop`. Leaving twice, or before `start`, does nothing.
 * - After `stop` nothing is published and every socket and timer is released. It is idempotent and works at
 *   any moment, also while `start` is under way, which then rejects. A stopped source cannot be started again.
 */
export interface MembershipSource {
  readonly kind: SourceKind
  /** The name of this process among the members; undefined when the source only watches others. */
  readonly selfName: string | undefined
  /** The current set, sorted by name; members that are `dead` or `left` stay listed for a while. */
  readonly members: readonly Member[]
  /**
   * Whether the source has heard of the members at all: tells "there are none" from "nobody has said yet". Left
   * out by a source that is populated by its start.
   */
  readonly populated?: boolean
  /**
   * Resolves when the source is populated; it does not wait for other members.
   *
   * @throws {RingmanError} `SOURCE_FAILED` when it cannot start (a port in use, a failed first fetch), or when
   *   `signal` aborts or `stop` is called first.
   */
  start(signal: AbortSignal): Promise<void>
  /** Tells the others that this process goes. Resolves when that was sent as surely as the source can. */
  leave(): Promise<void>
  stop(): Promise<void>
  /** Settles when the source is over: resolves after `stop`, rejects if a background loop dies. */
  readonly done: Promise<void>
  /**
   * Calls `listener` with the new set after each change, beginning with the next.
   *
   * @returns A function that ends the subscription.
   */
  subscribe(listener: (members: readonly Member[]) => void): () => void
  /**
   * The condition this source is in, with a sentence and flat facts such as the seconds since the last confirmation.
   * It works at any moment.
   */
  health(): SourceHealth
  /** What this source has counted, for metrics; it works at any moment. Left out by a source with nothing to count. */
  statistics?(): SourceStatistics
}

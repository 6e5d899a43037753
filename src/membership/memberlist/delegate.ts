import type { Delegate } from './protocol/dependencies.ts'
import type { MemberView } from './protocol/effects.ts'
import type { Endpoint } from './protocol/endpoint.ts'

/**
 * What an application can hook into the protocol: memberlist's Delegate, EventDelegate, PingDelegate,
 * MergeDelegate, ConflictDelegate and AliveDelegate in one. Every method is optional, synchronous, called on the
 * event loop, and must return quickly: nothing is received while it runs. One that throws ends the node.
 */
export interface MemberlistDelegate extends Delegate {
  /** A user message arrived (Go: NotifyMsg). The bytes are the callee's to keep. */
  notifyMessage?(payload: Uint8Array): void
  /** This member's state for a push/pull (Go: LocalState). @param join - Whether it is the first with that peer. */
  localState?(join: boolean): Uint8Array
  /** A peer's state from a push/pull, not empty (Go: MergeRemoteState). */
  mergeRemoteState?(state: Uint8Array, join: boolean): void
  /** A member is there, for the first time or again (Go: NotifyJoin). */
  joined?(member: MemberView): void
  /** A member left or died (Go: NotifyLeave). */
  left?(member: MemberView): void
  /** A member has other metadata or another address (Go: NotifyUpdate). */
  updated?(member: MemberView): void
  /** A direct probe was answered (Go: NotifyPingComplete). @param durationMs - From ping to answer. */
  pingCompleted?(member: MemberView, durationMs: number, payload: Uint8Array): void
  /** Another process claims a living member's name (Go: NotifyConflict). */
  conflicted?(known: MemberView, claimedBy: Endpoint): void
}

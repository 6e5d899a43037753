import type { Delegate } from './protocol/dependencies.ts'
import type { MemberView } from './protocol/effects.ts'
import type { Endpoint } from './protocol/endpoint.ts'

/**
 * What an application can hook into the protocol: memberlist's Delegate, EventDelegate, PingDelegate,
 * MergeDelegate, ConflictDelegate and AliveDelegate in one. Every method is optional, synchronous, called on the
 * event loop, and must return quickly: nothing is received while it runs. One that throws ends the node.
 */
export interface MemberlistDelegate {
  /** A user message arrived (Go: NotifyMsg). The bytes are the callee's to keep. */
  notifyMessage?(payload: Uint8Array): void
  /**
   * User messages to send along with gossip that is sent anyway (Go: GetBroadcasts).
   *
   * @param overheadBytes - What each message costs on top of its length.
   * @param limitBytes - The most that all of them, overhead included, may take.
   */
  broadcasts?(overheadBytes: number, limitBytes: number): readonly Uint8Array[]
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
  /** Bytes for the answers to pings; a few dozen at most (Go: AckPayload). */
  ackPayload?(): Uint8Array
  /** A direct probe was answered (Go: NotifyPingComplete). @param durationMs - From ping to answer. */
  pingCompleted?(member: MemberView, durationMs: number, payload: Uint8Array): void
  /** Whether to refuse to merge with a peer that sent these members (Go: NotifyMerge): a string says why. */
  refuseMerge?(members: readonly MemberView[], join: boolean): string | undefined
  /** Another process claims a living member's name (Go: NotifyConflict). */
  conflicted?(known: MemberView, claimedBy: Endpoint): void
  /** Whether to ignore what is said about a member (Go: NotifyAlive): a string says why. */
  refuseAlive?(member: MemberView): string | undefined
}

/** What the protocol machine asks of the application, by the hooks that there are. */
export function machineDelegateOf(delegate: MemberlistDelegate | undefined): Delegate {
  if (delegate === undefined) return {}
  return {
    refuseAlive: (member) => delegate.refuseAlive?.(member),
    // What it is told costs a view of each of the members.
    ...(delegate.refuseMerge === undefined
      ? {}
      : { refuseMerge: (members, join) => delegate.refuseMerge?.(members, join) }),
    ackPayload: () => delegate.ackPayload?.() ?? new Uint8Array(),
    userBroadcasts: (overheadBytes, limitBytes) => delegate.broadcasts?.(overheadBytes, limitBytes) ?? [],
  }
}

import type { MemberState, ProtocolVersions } from '../../member.ts'
import type { Ack, Message, Ping, PushPull } from '../wire/messages.ts'
import type { Refusal } from './counters.ts'
import type { Endpoint } from './endpoint.ts'
import type { QueueOutcome } from './gossip-queue.ts'

/** Everything the machine asks for or tells. The shell carries effects out in their order, and never waits. */
export type Effect =
  /** Send these messages in one datagram; more than one as a compound. They fit the packet budget. */
  | { readonly kind: 'send-packet'; readonly to: Endpoint; readonly messages: readonly Message[] }
  | StartStreamProbeEffect
  | { readonly kind: 'answer-stream-ping'; readonly stream: number; readonly ack: Ack }
  | StartPushPullEffect
  /** Send this state back on the stream. `state.userState` is empty, as in {@link StartPushPullEffect}. */
  | { readonly kind: 'answer-push-pull'; readonly stream: number; readonly state: PushPull }
  /** Answer with a memberlist error message (or just close) and close the stream. */
  | { readonly kind: 'refuse-stream'; readonly stream: number; readonly reason: Refusal }
  | MemberChangedEffect
  /** Another process claims the name of a member that is not dead. The member known stays. Repeated at a limited rate. */
  | { readonly kind: 'conflict-found'; readonly known: MemberView; readonly claimedBy: Endpoint }
  /** Bytes from a peer for the application's delegate. */
  | { readonly kind: 'user-message'; readonly payload: Uint8Array }
  /** A peer's user state from a push/pull, for the application's delegate; never empty. */
  | { readonly kind: 'remote-state'; readonly payload: Uint8Array; readonly join: boolean }
  | ProbeFinishedEffect
  | JoinFinishedEffect
  | LeftEffect
  | BroadcastFinishedEffect
  /** By which ways a member answered; the end of `check-reach`. */
  | { readonly kind: 'reach-checked'; readonly id: number; readonly udp: boolean; readonly tcp: boolean }
  | LogEffect

/**
 * Connect, send `ping`, wait for its ack. Always ends in the event `stream-probe-finished` with the same `probe`,
 * also when it cannot be begun.
 */
export interface StartStreamProbeEffect {
  readonly kind: 'start-stream-probe'
  readonly probe: number
  readonly to: Endpoint
  readonly ping: Ping
  /** Time for all of it together. */
  readonly timeoutMs: number
}

/**
 * Connect, send `state`, read the peer's. Always ends in `push-pull-answered` or `push-pull-failed` with the same
 * `exchange`. `state.userState` is empty: the shell puts its delegate's local state there.
 */
export interface StartPushPullEffect {
  readonly kind: 'start-push-pull'
  readonly exchange: number
  readonly to: Endpoint
  readonly state: PushPull
  readonly timeoutMs: number
}

/** A member as the machine knows it. Immutable. */
export interface MemberView {
  readonly name: string
  readonly endpoint: Endpoint
  readonly state: MemberState
  /** When the state began, on the clock that events come with. */
  readonly stateSinceMs: number
  readonly incarnation: number
  readonly meta: Uint8Array
  readonly versions: ProtocolVersions
  /** Where another process of this name answers; undefined unless the name is contested. */
  readonly rival: Endpoint | undefined
}

/**
 * What happened to a member:
 * `joined` new, or back from dead or left; `updated` other metadata, endpoint or versions; `suspected`;
 * `restored` from suspect to alive; `died`; `left` by itself; `forgotten`: no longer listed; `contested`: another
 * process of its name answers at `rival`; `uncontested`: not any more.
 */
export type MemberChange =
  | 'joined'
  | 'updated'
  | 'suspected'
  | 'restored'
  | 'died'
  | 'left'
  | 'forgotten'
  | 'contested'
  | 'uncontested'

/** The set of members changed; the whole of it is `Protocol.members()`. This member's own changes are told too. */
export interface MemberChangedEffect {
  readonly kind: 'member-changed'
  readonly change: MemberChange
  /** After the change. */
  readonly member: MemberView
}

/** A probe of the rounds is over. */
export interface ProbeFinishedEffect {
  readonly kind: 'probe-finished'
  readonly member: MemberView
  /** How the member answered; `none` when it did not. */
  readonly via: 'direct' | 'relay' | 'stream' | 'none'
  /** From the first ping to the answer. */
  readonly durationMs: number
  /** What the peer's delegate put into its ack; empty for answers over a stream. */
  readonly payload: Uint8Array
}

/**
 * Why an exchange came to nothing. `refused`: nothing listens there; `rejected`: somebody is there, and one of the two
 * will not have the other; `failed`: all else.
 */
export interface ExchangeFailure {
  readonly outcome: 'refused' | 'rejected' | 'failed'
  /** For a human; of `rejected` a phrase to stand behind the address. */
  readonly message: string
}

/** Every seed of a `join` has answered or failed. */
export interface JoinFinishedEffect {
  readonly kind: 'join-finished'
  /** Seeds that answered, and seeds that were alive members already. */
  readonly reached: readonly Endpoint[]
  readonly failed: readonly (ExchangeFailure & { readonly seed: Endpoint })[]
}

/** This member has left; the machine goes on following the others. */
export interface LeftEffect {
  readonly kind: 'left'
  /** Peers that are known to have got the message; 0 when none answered in time, or when there was none. */
  readonly acknowledgedBy: number
  /** Others that counted as living here when leaving began; news of a death may have come later. */
  readonly others: number
}

export interface BroadcastFinishedEffect {
  readonly kind: 'broadcast-finished'
  readonly id: number
  readonly outcome: QueueOutcome
}

/** One line for the log. Lines that peers can cause come at a limited rate. */
export interface LogEffect {
  readonly kind: 'log'
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  /** With `event: 'noun.past-participle'`. */
  readonly fields: Readonly<Record<string, string | number | boolean>> & { readonly member?: never }
}

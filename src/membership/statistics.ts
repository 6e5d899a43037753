import type { DistributionView } from '../distribution.ts'
import type { ListWatchCounts } from '../kubernetes/list-watch.ts'

/**
 * What a source has counted since it began, for metrics: read when somebody asks, so that it costs a source no more
 * than the counting. Counts only rise. What a source's protocol does not have is left out; what it has and has not
 * happened yet is 0.
 *
 * Nothing in here grows with what peers send: every record has a closed list of keys.
 */
export interface SourceStatistics {
  /**
   * Milliseconds since the source was last confirmed. Left out where there is nothing to confirm: before the first
   * time, and for gossip while no other member lives.
   */
  readonly staleMs?: number | undefined
  readonly seeds?: SeedStatistics
  readonly joins?: JoinStatistics
  readonly gossip?: GossipStatistics
  readonly sidecar?: SidecarStatistics
  /** Of following the Kubernetes API. */
  readonly kubernetes?: ListWatchCounts
}

/** What became of the seeds when they were resolved last. */
export interface SeedStatistics {
  /** Seeds with addresses, and seeds without (all of them before the first round). */
  readonly resolved: number
  readonly unresolved: number
  /** Addresses of other processes that they gave. */
  readonly addresses: number
}

/** Attempts to join through an address. */
export interface JoinStatistics {
  readonly completed: number
  readonly failed: number
  /** Somebody answers and refuses this member, or is refused by it: another label, key or cluster name. */
  readonly refused?: number
}

/** A count for each direction. */
export interface TwoWayCount {
  sent: number
  received: number
}

/** Messages of both gossip protocols; `indirect-ping` is `ping-req` in npm `swim`, `sync` and `update` are its own. */
export const GOSSIP_MESSAGE_TYPES = {
  ping: '',
  'indirect-ping': 'Asks a third member to probe.',
  ack: '',
  nack: '',
  alive: '',
  suspect: '',
  dead: 'Also says that a member left.',
  user: "An application's own.",
  'push-pull': 'A whole state.',
  error: 'A peer says why it refused.',
  sync: "A list of members in npm `swim`'s protocol.",
  update: "News of one member in npm `swim`'s protocol.",
} as const

export type GossipMessageType = keyof typeof GOSSIP_MESSAGE_TYPES

/** Why something that came was not taken. For memberlist the words are those of the log's field `reason`. */
export const GOSSIP_DROP_REASONS = {
  'label-differs': 'The sender has another label, or one of the two has none. Another cluster sends here.',
  'cluster-name-differs': 'The sender is of another cluster name.',
  'not-encrypted': 'It is not encrypted, and this member requires it.',
  'cannot-decrypt': 'No key of the keyring fits.',
  'encrypted-unexpectedly': 'It is encrypted, and this member has no key.',
  'crc-mismatch': 'The checksum is wrong.',
  malformed: 'It is not a well-formed message.',
  'nested-too-deep': 'Messages are wrapped into each other too often.',
  'too-large': 'It is larger, or asks for more, than the limits allow.',
  'unknown-type': 'The message type is unknown, or does not belong there.',
  'version-incompatible': 'A member speaks no protocol version that all others understand.',
  'delegate-refused': "The application's delegate refused it.",
  'too-many-members': 'More members than the limit: in all, or without keys at one address.',
  'incarnation-out-of-range': 'An incarnation that no honest member comes to.',
  'not-for-us':
    'A ping for a member of another name: the address has a new owner, and the sender has not heard.',
  overloaded: 'More at once than is allowed.',
  evicted: 'It is about a member that an operator has evicted for a time.',
  'connections-exhausted': 'One connection too many, or more in one connection than is allowed.',
  'destination-unknown': 'A request to probe a host that is no member.',
  'rate-limited': 'More requests that cost an answer than are allowed in the time.',
  'self-address': "It claims to come from this process's own address.",
  'library-failed': 'A fault of ringman.',
} as const

export type GossipDropReason = keyof typeof GOSSIP_DROP_REASONS

/** Upper bounds in seconds for round trips of probes. */
export const PROBE_BOUNDS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/** Upper bounds in seconds for push/pulls. */
export const PUSH_PULL_BOUNDS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

/** Upper bounds in bytes for the states of push/pulls: powers of 4 up to what is taken at all. */
export const PUSH_PULL_BOUNDS_BYTES = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304]

/** What went over the network, and what the gossip made of it. */
export interface GossipStatistics {
  /** Datagrams sent; datagrams received and taken. */
  readonly packets: TwoWayCount
  /** Messages in datagrams and streams. */
  readonly messages: Readonly<Partial<Record<GossipMessageType, TwoWayCount>>>
  /** Their bytes as encoded; of one that came in a stream, the stream's. */
  readonly messageBytes?: Readonly<Partial<Record<GossipMessageType, TwoWayCount>>>
  /** Payload on the sockets; what was dropped counts. */
  readonly bytes: { readonly udp: TwoWayCount; readonly tcp?: TwoWayCount }
  readonly drops: Readonly<Partial<Record<GossipDropReason, number>>>
  /** Datagrams that the system refused to send. */
  readonly sendFailures: number
  /** Probes that ended, by the way the answer came. */
  readonly probes?: Readonly<Record<'direct' | 'relay' | 'stream' | 'failed', number>>
  /** Round trips of `direct` ones, in seconds. */
  readonly probeSeconds?: DistributionView
  /** Suspicions that began with a failed probe of this member. */
  readonly suspicions: number
  /** Suspect and dead messages about this member that it refuted. */
  readonly refutations: number
  /** Times that others held this member for dead, so that it was off their rings. */
  readonly heldDead: number
  /** Members that this one declared dead, by what spoke against them. */
  readonly declaredDead: {
    readonly silence: number
    readonly refusal?: number
    readonly witnesses?: number
    readonly kubernetes?: number
  }
  /** Times that two members were found with one name. */
  readonly conflicts: number
  /** 0 is well. */
  readonly healthScore?: number
  readonly pushPulls?: Readonly<Record<'completed' | 'failed' | 'answered', number>>
  /** Of those begun here and answered. */
  readonly pushPullSeconds?: DistributionView
  readonly pushPullBytes?: { readonly sent: DistributionView; readonly received: DistributionView }
  /** Messages that wait to be sent on, and those that were dropped instead. */
  readonly queueDepth?: number
  /** The ids of the keys in use, in order: the first one encrypts. Safe to show. */
  readonly keyIds?: readonly string[]
  readonly queueDrops?: Readonly<Record<'full' | 'too-large', number>>
  /** Members that answer over TCP and not over UDP. */
  readonly udpBlockedMembers?: number
  /** Times that this process was found stalled, and for how long in all. */
  readonly stalls: number
  readonly stalledMs: number
}

/** Nitro Sidecar. */
export interface SidecarStatistics {
  readonly fetches: { readonly completed: number; readonly failed: number }
  readonly updates: Readonly<Record<'accepted' | 'ignored' | 'refused' | 'folded', number>>
  /** Left out when the stream is not asked for. */
  readonly streamUp?: boolean
  /** Living instances that have no place on the ring. */
  readonly skippedInstances: number
}

/** A count for each direction, at zero. */
export function createTwoWayCount(): TwoWayCount {
  return { sent: 0, received: 0 }
}

/** What a round of the seed resolver says of `seedCount` seeds. */
export function seedStatistics(
  seedCount: number,
  status: {
    readonly rounds: number
    readonly addresses: readonly unknown[]
    readonly failures: readonly unknown[]
  },
): SeedStatistics {
  const unresolved = status.rounds === 0 ? seedCount : status.failures.length
  return { resolved: seedCount - unresolved, unresolved, addresses: status.addresses.length }
}

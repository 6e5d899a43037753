import { assertNever } from '../errors.ts'
import type { RingSnapshot } from '../manager/snapshot.ts'
import type { HandoverPhase, Member } from '../membership/member.ts'
import { ringKeyOf, type RingKeyMode } from '../membership/placement.ts'

/** Why a member owns nothing. */
export interface OffRingReason {
  readonly code:
    | 'STATE_DEAD'
    | 'STATE_LEFT'
    | 'DRAINED'
    | 'PENDING'
    | 'METADATA_MISSING'
    | 'RING_KEY_TAKEN'
    | 'RING_BEHIND'
  /** For a human, one sentence. */
  readonly message: string
}

/** A member as `/v1/members` shows it. */
export interface MemberAnswer {
  readonly name: string
  readonly address: string
  /** The membership protocol's port; 0 where the source has none. */
  readonly port: number
  readonly state: Member['state']
  /** ISO 8601, UTC. */
  readonly stateSince: string
  /** Milliseconds since the Unix epoch. */
  readonly stateSinceMs: number
  /** Whether it is the member that answers. */
  readonly self: boolean
  /** Null when its metadata does not name a service port. */
  readonly ringKey: string | null
  readonly weight: number | null
  readonly zone: string | null
  /** Of the member's ringman; null where it does not say. */
  readonly version: string | null
  /** What it is in the middle of; left out while it is nothing. */
  readonly handover?: HandoverPhase
  readonly onRing: boolean
  /** Null while it is on the ring. */
  readonly offRingReason: OffRingReason | null
}

/** How a member is shown, beside a ring. */
export function memberAnswer(
  member: Member,
  context: {
    readonly snapshot: RingSnapshot
    readonly mode: RingKeyMode
    readonly selfName: string | undefined
  },
): MemberAnswer {
  const ringKey = ringKeyOf(member, context.mode) ?? null
  const { phase = 'owning' } = member.metadata?.handover ?? {}
  const reason = offRingReason(member, ringKey, context.snapshot)
  return {
    name: member.name,
    address: member.address,
    port: member.port,
    state: member.state,
    stateSince: toIso(member.stateSinceMs),
    stateSinceMs: member.stateSinceMs,
    self: member.name === context.selfName,
    ringKey,
    weight: member.metadata === undefined ? null : (member.metadata.weight ?? 1),
    zone: member.metadata?.zone ?? null,
    version: member.metadata?.version ?? null,
    ...(phase === 'owning' ? {} : { handover: phase }),
    onRing: reason === null,
    offRingReason: reason,
  }
}

function offRingReason(member: Member, ringKey: string | null, { ring }: RingSnapshot): OffRingReason | null {
  const holder = ringKey === null ? undefined : ring.get(ringKey)
  const { state } = member
  switch (state) {
    case 'alive':
    case 'suspect':
      if (ringKey === null) {
        return { code: 'METADATA_MISSING', message: 'Its metadata does not name a service port.' }
      }
      if (member.metadata?.drained === true) {
        return { code: 'DRAINED', message: 'It was drained: an operator took it off the ring.' }
      }
      if (holder === undefined && member.metadata?.handover?.phase === 'pending') {
        return { code: 'PENDING', message: 'It warms up for the keys that it is to own.' }
      }
      if (holder === undefined) {
        return { code: 'RING_BEHIND', message: 'The ring has not taken it in yet.' }
      }
      return holder.name === undefined || holder.name === member.name
        ? null
        : {
            code: 'RING_KEY_TAKEN',
            message: `The member ${JSON.stringify(holder.name)} has the same ring key and stands for both.`,
          }
    case 'dead':
      return { code: 'STATE_DEAD', message: 'It is dead: it did not answer.' }
    case 'left':
      return { code: 'STATE_LEFT', message: 'It left the cluster.' }
    default:
      return assertNever(state)
  }
}

/** A time from a source, which may have got it from another machine; out of range it is the epoch's begin. */
function toIso(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString()
}

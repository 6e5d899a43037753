import type { RingSnapshot } from '../manager/snapshot.ts'
import type { Member } from '../membership/member.ts'
import { ringKeyOf, type RingKeyMode } from '../membership/placement.ts'
import type { RingNode } from '../ring/node.ts'

/** Why a member owns nothing, in one sentence for a human. */
export const OFF_RING_REASONS = {
  STATE_DEAD: 'It is dead: it did not answer.',
  STATE_LEFT: 'It left the cluster.',
  DRAINED: 'It was drained: an operator took it off the ring.',
  PENDING: 'It warms up for the keys that it is to own.',
  METADATA_MISSING: 'Its metadata does not name a service port.',
  RING_KEY_TAKEN: 'Another member has the same ring key and stands for both.',
  RING_BEHIND: 'The ring has not taken it in yet.',
} as const

type OffRingCode = keyof typeof OFF_RING_REASONS

/** A member as `/v1/members` shows it, beside a ring; null stands for what is not known. */
export function memberAnswer(
  member: Member,
  context: {
    readonly snapshot: RingSnapshot
    readonly mode: RingKeyMode
    readonly selfName: string | undefined
  },
) {
  const ringKey = ringKeyOf(member, context.mode) ?? null
  const { phase = 'owning' } = member.metadata?.handover ?? {}
  const holder = ringKey === null ? undefined : context.snapshot.ring.get(ringKey)
  const reason = offRingReason(member, ringKey, holder)
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

function offRingReason(
  member: Member,
  ringKey: string | null,
  holder: RingNode | undefined,
): { readonly code: OffRingCode; readonly message: string } | null {
  const code = offRingCode(member, ringKey, holder)
  if (code === undefined) return null
  const message =
    code === 'RING_KEY_TAKEN'
      ? `The member ${JSON.stringify(holder?.name)} has the same ring key and stands for both.`
      : OFF_RING_REASONS[code]
  return { code, message }
}

function offRingCode(
  { state, metadata, name }: Member,
  ringKey: string | null,
  holder: RingNode | undefined,
): OffRingCode | undefined {
  if (state === 'dead') return 'STATE_DEAD'
  if (state === 'left') return 'STATE_LEFT'
  if (ringKey === null) return 'METADATA_MISSING'
  if (metadata?.drained === true) return 'DRAINED'
  if (holder === undefined) return metadata?.handover?.phase === 'pending' ? 'PENDING' : 'RING_BEHIND'
  return holder.name === undefined || holder.name === name ? undefined : 'RING_KEY_TAKEN'
}

/** A time from a source, which may have got it from another machine; out of range it is the epoch's begin. */
function toIso(ms: number): string {
  return new Date(Number.isNaN(new Date(ms).getTime()) ? 0 : ms).toISOString()
}

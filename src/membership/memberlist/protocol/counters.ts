import type { Refusal } from './effects.ts'

/**
 * By what a member was found dead: `silence`, the suspicion's time was over; `refusal`, its port refused; `witnesses`, many
 * looked for it at once and in vain; `kubernetes`, its pod is not ready.
 */
export type DeathEvidence = 'silence' | 'refusal' | 'witnesses' | 'kubernetes'

/** What the machine has counted since it began. Only ever rising. */
export interface Counters {
  packetsSent: number
  messagesSent: number
  /** Suspicions that began here by our own probes. */
  suspicionsRaised: number
  /** Suspect and dead messages about this member that it refuted. */
  refutations: number
  /** Times that others held this member for dead, once for each of its incarnations. */
  heldDead: number
  /** Members declared dead by this member itself. */
  declaredDead: number
  readonly declaredDeadBy: Record<DeathEvidence, number>
  pushPullsStarted: number
  pushPullsCompleted: number
  pushPullsAnswered: number
  pushPullsFailed: number
  /** Those that were to join through a seed: refused are the failed ones that the peer, or this member, would not have. */
  joinsCompleted: number
  joinsFailed: number
  joinsRefused: number
  /** Times that this process was found stalled, and for how long in all. */
  stalls: number
  stalledMs: number
  /** Messages dropped from a full queue. */
  dropped: number
  /** Messages that were not queued because no packet can hold them. */
  oversized: number
  /** Messages and streams refused, by reason. */
  readonly refused: Record<Refusal, number>
}

/** Counters at zero. */
export function createCounters(): Counters {
  return {
    packetsSent: 0,
    messagesSent: 0,
    suspicionsRaised: 0,
    refutations: 0,
    heldDead: 0,
    declaredDead: 0,
    declaredDeadBy: { silence: 0, refusal: 0, witnesses: 0, kubernetes: 0 },
    pushPullsStarted: 0,
    pushPullsCompleted: 0,
    pushPullsAnswered: 0,
    pushPullsFailed: 0,
    joinsCompleted: 0,
    joinsFailed: 0,
    joinsRefused: 0,
    stalls: 0,
    stalledMs: 0,
    dropped: 0,
    oversized: 0,
    refused: {
      'cluster-name-differs': 0,
      'version-incompatible': 0,
      'delegate-refused': 0,
      'too-many-members': 0,
      malformed: 0,
      'incarnation-out-of-range': 0,
      'not-for-us': 0,
      overloaded: 0,
      evicted: 0,
    },
  }
}

/** Counters at zero. They only ever rise. */
export function createCounters() {
  return {
    packetsSent: 0,
    messagesSent: 0,
    /** Suspicions that began here by our own probes. */
    suspicionsRaised: 0,
    /** Suspect and dead messages about this member that it refuted. */
    refutations: 0,
    /** Times that others held this member for dead, once for each of its incarnations. */
    heldDead: 0,
    /** Members declared dead by this member itself. */
    declaredDead: 0,
    declaredDeadBy: {
      /** The suspicion's time was over. */
      silence: 0,
      /** Its port refused. */
      refusal: 0,
      /** Many looked for it at once and in vain. */
      witnesses: 0,
      /** Its pod is not ready. */
      kubernetes: 0,
    },
    pushPullsStarted: 0,
    pushPullsCompleted: 0,
    pushPullsAnswered: 0,
    pushPullsFailed: 0,
    /** Those that were to join through a seed: refused are the failed ones that the peer, or this member, would not have. */
    joinsCompleted: 0,
    joinsFailed: 0,
    joinsRefused: 0,
    /** Times that this process was found stalled, and for how long in all. */
    stalls: 0,
    stalledMs: 0,
    /** Messages dropped from a full queue. */
    dropped: 0,
    /** Messages that were not queued because no packet can hold them. */
    oversized: 0,
    /** Messages and streams refused, by reason. */
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

/** What the machine has counted since it began. */
export type Counters = ReturnType<typeof createCounters>

/** By what a member was found dead. */
export type DeathEvidence = keyof Counters['declaredDeadBy']

/** Why a stream or a message was refused. */
export type Refusal = keyof Counters['refused']

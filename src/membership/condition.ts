/** What a condition means for the process that is in it. */
export interface ConditionRow {
  /**
   * What it does to readiness, if nothing else is in the way: `allowed`; `kept`, who is ready stays so, and nobody becomes
   * it (else two halves that refuse each other would both stop serving); `denied`.
   */
  readonly readiness: 'allowed' | 'kept' | 'denied'
  /** How bad it is when it lasts for minutes. A source that trusts its members has `none`. */
  readonly severity: 'none' | 'warning' | 'critical'
  /** One sentence, for the documents. The sentence for the case at hand is `SourceHealth.message`. */
  readonly meaning: string
}

/**
 * What a process knows about its own membership: it is in exactly one of these at a time. This is the one closed list:
 * sources report a condition, `RingService.health` adds the stages of the process (starting, draining, stopped), and
 * readiness, HTTP, metrics and alerts read that and judge nothing for themselves. A condition is listed once something
 * can report it.
 */
export const CONDITIONS = {
  well: {
    readiness: 'allowed',
    severity: 'none',
    meaning: 'It follows its members, and nothing speaks against them.',
  },
  starting: {
    readiness: 'denied',
    severity: 'warning',
    meaning: 'The source has not started yet, or its seeds have not answered for the first time.',
  },
  pending: {
    readiness: 'denied',
    severity: 'none',
    meaning: 'It warms up for the keys that it is to own, and owns none yet.',
  },
  releasing: {
    readiness: 'denied',
    severity: 'none',
    meaning: 'It is leaving, and owns its keys until those that come after it are warm.',
  },
  waiting: {
    readiness: 'allowed',
    severity: 'warning',
    meaning: 'The source has started, and nobody has said yet who the members are.',
  },
  alone: {
    readiness: 'allowed',
    severity: 'warning',
    meaning: 'It has seeds, and no other member: nobody there, or nobody that answers.',
  },
  refused: {
    readiness: 'kept',
    severity: 'warning',
    meaning:
      'It has no other member, and a seed answers and refuses it: label, key or cluster name differ, or it was evicted.',
  },
  contested: { readiness: 'allowed', severity: 'critical', meaning: 'Two processes answer under one name.' },
  unlisted: {
    readiness: 'denied',
    severity: 'critical',
    meaning: 'Two processes answer under the name of this one, and the others list the other one.',
  },
  unreachable: {
    readiness: 'denied',
    severity: 'critical',
    meaning: 'The others declared it dead: nobody reaches it at the address that it advertises.',
  },
  'udp-blocked': {
    readiness: 'allowed',
    severity: 'warning',
    meaning: 'Members answer over TCP and not over UDP.',
  },
  stale: {
    readiness: 'allowed',
    severity: 'warning',
    meaning: 'Nothing was heard for too long: its members may be out of date.',
  },
  misconfigured: {
    readiness: 'allowed',
    severity: 'warning',
    meaning: 'What the source is pointed at makes no ring, or only a part of one.',
  },
  braked: {
    readiness: 'allowed',
    severity: 'critical',
    meaning: 'Too many nodes stopped serving at once: the ring stays as it was.',
  },
  unsure: {
    readiness: 'kept',
    severity: 'warning',
    meaning:
      'It did not run, or heard from no other member, for longer than the bound that was set: what it says may be old.',
  },
  draining: {
    readiness: 'denied',
    severity: 'none',
    meaning: 'It was drained by an operator, or it has left or is leaving, and takes no new work.',
  },
  stopped: { readiness: 'denied', severity: 'warning', meaning: 'The source was stopped.' },
} as const satisfies Record<string, ConditionRow>

export type Condition = keyof typeof CONDITIONS

/** What a process says of its membership. */
export interface SourceHealth {
  readonly condition: Condition
  /** Whether it trusts its members: the severity of the condition is `none`. */
  readonly ok: boolean
  /** For a human, one sentence without a full stop; the reason when not `ok`. */
  readonly message: string
  /** Flat facts behind the message. */
  readonly detail: Readonly<Record<string, string | number | boolean>>
}

export function healthIn(
  condition: Condition,
  message: string,
  detail: SourceHealth['detail'] = {},
): SourceHealth {
  return { condition, ok: CONDITIONS[condition].severity === 'none', message, detail }
}

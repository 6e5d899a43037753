import type { Condition } from '../membership/condition.ts'
import type { SurveyedMember } from './doctor-survey.ts'

/** How bad a finding is: the ring is wrong or will be; something is not as it should be; worth knowing. */
export type Severity = 'critical' | 'warning' | 'note'

/** The runbook of an alert, by the name of its file. */
const runbook = (name: string) => `docs/runbooks/ringman-${name}.md`

/** What can be found, and the page that says more; undefined where there is none. */
export const RUNBOOKS = {
  NAME_TWICE: runbook('name-contested'),
  PLAIN_AMONG_KEYED: runbook('gossip-drops-by-key-or-label'),
  KEYS_DIFFER: runbook('gossip-drops-by-key-or-label'),
  LABELS_DIFFER: runbook('gossip-drops-by-key-or-label'),
  CLUSTER_NAMES_DIFFER: runbook('gossip-drops-by-key-or-label'),
  RING_KEYS_DIFFER: runbook('digests-differ'),
  RING_EMPTY: runbook('ring-empty'),
  MEMBER_SILENT: undefined,
  NOT_REACHED: runbook('islands'),
  RINGS_DIFFER: runbook('digests-differ'),
  UDP_BLOCKED: runbook('source-not-ok'),
  TCP_BLOCKED: undefined,
  ADMIN_UNREACHABLE: undefined,
  STRANGERS: runbook('gossip-drops-by-key-or-label'),
  MEMBER_NOT_WELL: runbook('source-not-ok'),
  NOT_READY: runbook('members-differ-from-ready-pods'),
  FILE_UNUSABLE: undefined,
  SEEDS_STALE: undefined,
  SEEDS_UNRESOLVED: runbook('source-not-ok'),
  CLOCK_OFF: undefined,
  SETTINGS_DIFFER: undefined,
  WEIGHT_CAPPED: runbook('share-out-of-balance'),
  WEIGHTS_DIFFER: runbook('share-out-of-balance'),
  WEIGHT_BY_HAND: undefined,
  LABEL_CHANGING: undefined,
  KEY_CHANGING: undefined,
  VERSIONS_DIFFER: undefined,
  DRAINED: undefined,
  EVICTED: undefined,
} as const satisfies Record<string, string | undefined>

export type FindingCode = keyof typeof RUNBOOKS

/** Where a member's condition has a page of its own. */
export const CONDITION_RUNBOOKS: Readonly<Record<string, string>> = {
  pending: runbook('handover-stuck'),
  releasing: runbook('handover-stuck'),
  refused: runbook('member-refused'),
  contested: runbook('name-contested'),
  unlisted: runbook('name-contested'),
  unreachable: runbook('member-unreachable'),
  stale: runbook('source-stale'),
  braked: runbook('hash-ring-braked'),
} satisfies Partial<Record<Condition, string>>

/** Something that is wrong, in plain sentences. */
export interface Finding {
  readonly code: FindingCode
  readonly severity: Severity
  /** Names of the members that it is about. */
  readonly members: readonly string[]
  /** What is wrong. */
  readonly summary: string
  /** What that means. */
  readonly meaning: string
  /** What to do. */
  readonly advice: string
  /** The page of the documentation that says more. */
  readonly runbook?: string | undefined
}

/** The finding of this code, with its runbook. */
export function finding(
  code: FindingCode,
  severity: Severity,
  members: readonly string[],
  texts: Pick<Finding, 'summary' | 'meaning' | 'advice' | 'runbook'>,
): Finding {
  return { code, severity, members, runbook: RUNBOOKS[code], ...texts }
}

/** The finding about these members; none where there are none. */
export function found(...given: Parameters<typeof finding>): Finding[] {
  const one = finding(...given)
  return one.members.length === 0 ? [] : [one]
}

/** Names, pairs and addresses that a sentence lists at most. */
const LISTED = 5

export function namesOf(members: readonly (SurveyedMember | { readonly name: string })[]): string[] {
  return [...new Set(members.map((one) => ('report' in one ? one.report : one).name))]
}

/** What most have; of several as frequent the first in order, so that the answer is the same each time. */
export function mostFrequent(values: readonly string[]): string {
  const counts = [...Map.groupBy(values, (value) => value)].map(([value, { length }]) => ({ value, length }))
  return counts.sort((a, b) => b.length - a.length || (a.value < b.value ? -1 : 1))[0]?.value ?? ''
}

/** Those that have something else than most, and what most have. */
export function unlike<T>(all: readonly T[], valueOf: (one: T) => string) {
  const usual = mostFrequent(all.map(valueOf))
  return { usual, odd: all.filter((one) => valueOf(one) !== usual) }
}

export function say(names: readonly string[], one: string, many: string): string {
  return `${list(names.map(quote))} ${names.length > 1 ? many : one}`
}

export function list(texts: readonly string[], between = ', '): string {
  const more = texts.length - LISTED
  return `${texts.slice(0, LISTED).join(between)}${more > 0 ? ` and ${more} more` : ''}`
}

export function quote(name: string): string {
  return JSON.stringify(name)
}

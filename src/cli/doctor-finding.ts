import type { SurveyedMember } from './doctor-survey.ts'

/** How bad a finding is: the ring is wrong or will be; something is not as it should be; worth knowing. */
export type Severity = 'critical' | 'warning' | 'note'

/** Something that is wrong, in plain sentences. */
export interface Finding {
  readonly code: string
  readonly severity: Severity
  /** Names of the members that it is about. */
  readonly members: readonly string[]
  /** What is wrong. */
  readonly summary: string
  /** What that means. */
  readonly meaning: string
  /** What to do. */
  readonly advice: string
}

/** The finding about these members; none where there are none. */
export function found(
  code: string,
  severity: Severity,
  members: readonly string[],
  texts: Pick<Finding, 'summary' | 'meaning' | 'advice'>,
): Finding[] {
  return members.length === 0 ? [] : [{ code, severity, members, ...texts }]
}

/** Names, pairs and addresses that a sentence lists at most. */
const LISTED = 5

export function namesOf(members: readonly SurveyedMember[]): string[] {
  return [...new Set(members.map(({ report }) => report.name))]
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

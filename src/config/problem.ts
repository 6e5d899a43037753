import { RingmanError } from '../errors.ts'
import type { Origin } from './setting.ts'
import { describeOrigin } from './setting.ts'

/** One thing that is wrong with a configuration. */
export interface ConfigProblem {
  /** The setting's file key, or the unknown name as it was given. */
  readonly key: string
  readonly origin: Origin
  /** What was given, already hidden where it is secret; absent where there is nothing to show. */
  readonly given?: string
  /** What is wrong or what is allowed, a phrase without full stop. */
  readonly message: string
}

/** Characters of a given value that a message shows. */
const GIVEN_LIMIT = 80

/** Hides what may be a secret in a text: whatever is before an `@`, such as a password, and the query of a URL. */
export function hideSecrets(text: string): string {
  return text.replace(/^.*@/s, '…@').replace(/\?.*$/s, '?…')
}

/** A value as messages show it: without what may be a secret, quoted, on one line, cut to a readable length. */
export function quoteGiven(value: unknown): string {
  const shown = typeof value === 'string' ? hideSecrets(value) : value
  const text = JSON.stringify(shown) ?? String(shown)
  return text.length <= GIVEN_LIMIT ? text : `${text.slice(0, GIVEN_LIMIT)}…`
}

/**
 * All problems as one error.
 *
 * @param problems - At least one.
 * @returns `CONFIG_INVALID`; `detail.keys` lists the keys in the order of the problems.
 */
export function configError(problems: readonly ConfigProblem[]): RingmanError {
  const lines = problems.map(({ key, origin, given, message }) => {
    // Nobody gave it: the message says where it would be given.
    if (origin.kind === 'default' && given === undefined) return message
    const place = origin.kind === 'default' ? `${key} by default` : describeOrigin(origin)
    return `${place}${given === undefined ? '' : ` ${given}`}: ${message}`
  })
  const message =
    lines.length === 1
      ? `bad configuration: ${lines[0]}`
      : `bad configuration, ${lines.length} problems:\n${lines.map((line) => `  ${line}`).join('\n')}`
  return new RingmanError('CONFIG_INVALID', message, { detail: { keys: problems.map(({ key }) => key) } })
}

/**
 * The known name that an unknown one was most likely meant to be: the same but for case and separators, or within
 * two slips of the finger (one, for a name of up to five letters).
 */
export function nearest(unknown: string, known: Iterable<string>): string | undefined {
  const given = normalise(unknown)
  let best: string | undefined
  let bestDistance = given.length <= 5 ? 2 : 3
  for (const name of known) {
    const distance = editDistance(given, normalise(name))
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** The phrase about an unknown name. */
export function unknownMessage(what: string, unknown: string, known: Iterable<string>): string {
  const suggestion = nearest(unknown, known)
  return suggestion === undefined
    ? `there is no such ${what}`
    : `there is no such ${what}; did you mean ${suggestion}?`
}

function normalise(name: string): string {
  return name.slice(0, 64).replaceAll(/[-_]/g, '').toLowerCase()
}

/** Optimal string alignment distance: insert, delete, replace, swap neighbours. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1)
      row.push(least)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}

import { inspect } from 'node:util'
import { configInvalid, type RingmanError } from '../errors.ts'
import { shortened } from '../printable.ts'
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
  const isNumber = typeof shown === 'number' || typeof shown === 'bigint'
  return shortened(isNumber ? String(shown) : written(shown), GIVEN_LIMIT)
}

/** As JSON, but for what is none: a list of a file may have itself in it, or thousands of lists in each other. */
function written(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return inspect(value, { breakLength: Infinity, compact: true })
  }
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
  return configInvalid(message, { detail: { keys: problems.map(({ key }) => key) } })
}

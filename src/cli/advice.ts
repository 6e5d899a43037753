import { isSettableIn, variableOf, type SettingTable } from '../config/setting.ts'
import { isRingmanError, RingmanError, type ErrorCode } from '../errors.ts'

/**
 * The error that ended a command, with what its user can do where the message does not say it: parts that programs share know no
 * flags and no commands.
 *
 * @param table - The settings of the command.
 * @param given - Their values.
 */
export function withAdvice(
  error: unknown,
  table: SettingTable,
  given: Readonly<Record<string, unknown>>,
): unknown {
  if (!isRingmanError(error)) return error
  const advice = adviceFor(error, table, given)
  if (advice === undefined) return error
  const { code, message, cause, detail } = error
  return new RingmanError(code, `${message}; ${advice}`, { cause, detail })
}

/** Codes of exit 3: it could not be reached, or is no member. */
const NOBODY_ANSWERED: ReadonlySet<ErrorCode> = new Set(['RESPONSE_INVALID', 'TIMEOUT', 'UNREACHABLE'])

function adviceFor(
  { code, detail }: RingmanError,
  table: SettingTable,
  given: Readonly<Record<string, unknown>>,
): string | undefined {
  // What a member refuses of a plan is about its nodes.
  if (code === 'PLAN_INVALID' && detail['url'] === undefined) return undefined
  if (code === 'UNAUTHORIZED' && table['tokenFile'] === undefined) return undefined
  return NOBODY_ANSWERED.has(code) ? howToReach(table, given) : ADVICE[code]
}

const ADVICE: Partial<Record<ErrorCode, string>> = {
  PLAN_INVALID: '`ringman nodes` lists those that there are',
  RING_EMPTY: '`ringman nodes` says of each member why it is not on the ring',
  RING_NOT_FOUND: '`ringman rings` lists those that there are',
  UNAUTHORIZED: "give the member's own by --token-file",
}

function howToReach(table: SettingTable, given: Readonly<Record<string, unknown>>): string | undefined {
  const { url, adminPort } = table
  // kubectl says for itself what it cannot reach.
  if (given['kube'] !== undefined) return undefined
  if (adminPort !== undefined) return `name its port by --admin-port or ${variableOf('adminPort')}`
  // Of several, each has been told of.
  if (url === undefined || (Array.isArray(given['url']) && given['url'].length > 1)) return undefined
  return isSettableIn(url, 'variable')
    ? `name a member by --url or ${variableOf('url')}`
    : "name a member's admin port by --url"
}

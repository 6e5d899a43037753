import { isSettableIn, variableOf, type SettingTable } from '../config/setting.ts'
import { isRingmanError, RingmanError, type ErrorCode } from '../errors.ts'
import { exitCodeOf } from './exit-code.ts'

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

function adviceFor(
  error: RingmanError,
  table: SettingTable,
  given: Readonly<Record<string, unknown>>,
): string | undefined {
  const { code, detail } = error
  // What a member refuses of a plan is about its nodes.
  if (code === 'PLAN_INVALID' && detail['url'] === undefined) return undefined
  if (code === 'UNAUTHORIZED' && table['tokenFile'] === undefined) return undefined
  // 3: nobody answered.
  if (exitCodeOf(error) !== 3) return ADVICE[code]
  // Of several, each has been told of; and kubectl says for itself what it cannot reach.
  if ((Array.isArray(given['url']) && given['url'].length > 1) || given['kube'] !== undefined)
    return undefined
  return code === 'TIMEOUT' ? '--timeout waits longer' : howToReach(table)
}

const ADVICE: Partial<Record<ErrorCode, string>> = {
  PLAN_INVALID: '`ringman nodes` lists those that there are',
  RING_EMPTY: '`ringman nodes` says of each member why it is not on the ring',
  RING_NOT_FOUND: '`ringman rings` lists those that there are',
  UNAUTHORIZED: "give the member's own by --token-file",
}

function howToReach({ url, adminPort }: SettingTable): string | undefined {
  if (adminPort !== undefined) return `name its port by --admin-port or ${variableOf('adminPort')}`
  if (url === undefined) return undefined
  return isSettableIn(url, 'variable')
    ? `name a member by --url or ${variableOf('url')}`
    : "name a member's admin port by --url"
}

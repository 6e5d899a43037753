import { isSettableIn, variableOf, type SettingTable } from '../config/setting.ts'
import { isRingmanError, RingmanError } from '../errors.ts'

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
  { code, detail }: RingmanError,
  table: SettingTable,
  given: Readonly<Record<string, unknown>>,
): string | undefined {
  const { url, adminPort, tokenFile } = table
  switch (code) {
    case 'UNREACHABLE':
    case 'TIMEOUT':
    case 'RESPONSE_INVALID':
      if (given['kube'] !== undefined) return undefined
      if (adminPort !== undefined) return `name its port by --admin-port or ${variableOf('adminPort')}`
      // Of several, each has been told of.
      if (url === undefined || (Array.isArray(given['url']) && given['url'].length > 1)) return undefined
      return isSettableIn(url, 'variable')
        ? `name a member by --url or ${variableOf('url')}`
        : "name a member's admin port by --url"
    case 'RING_EMPTY':
      return '`ringman nodes` says of each member why it is not on the ring'
    case 'RING_NOT_FOUND':
      return '`ringman rings` lists those that there are'
    case 'PLAN_INVALID':
      // What a member refuses is about its nodes.
      return detail['url'] === undefined ? undefined : '`ringman nodes` lists those that there are'
    case 'UNAUTHORIZED':
      return tokenFile === undefined ? undefined : "give the member's own by --token-file"
    default:
      return undefined
  }
}

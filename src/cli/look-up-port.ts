import { Members } from '../client/members.ts'
import { DEFAULT_ADMIN_PORT } from '../config/value-type.ts'
import { isRingmanError, RingmanError } from '../errors.ts'

/**
 * The error for a look-up port that was asked what only an admin port answers.
 *
 * @param error - What came of asking.
 * @param url - Base URL of what was asked.
 * @returns Undefined where it is something else.
 */
export async function lookUpPortError(
  error: RingmanError,
  url: string,
  timeoutMs: number,
): Promise<RingmanError | undefined> {
  if (error.code !== 'NOT_FOUND') return undefined
  try {
    // Every admin port has reports.
    await new Members({ url, timeoutMs }).json(`${url}/v1/report`)
    return undefined
  } catch (other) {
    if (!isRingmanError(other)) throw other
    if (other.code !== 'NOT_FOUND') return undefined
  }
  return new RingmanError(
    'UNREACHABLE',
    `${url} is a look-up port, and this is for the admin port (--admin-port, ${DEFAULT_ADMIN_PORT} unless set)`,
    { cause: error },
  )
}

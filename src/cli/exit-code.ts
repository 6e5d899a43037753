import { isRingmanError, type ErrorCode } from '../errors.ts'

/** What the command's exit codes mean; `docs/cli.md` shows this table. */
export const EXIT_CODES = {
  0: 'Done; for `serve` and `dev`: stopped as asked; for `evict`: the member is off the ring of the one that was asked, and the lines say who else did it',
  1: 'Failed: something went wrong at run time, and standard error or the log says what; for `healthcheck`: the member says that it is not alive, or not ready',
  2: 'Wrong usage: unknown flags, bad values, or a request that the member refused as wrong',
  3: "No member answered: it could not be reached, or did not answer in time; or the URL is not a ringman member's, or names its look-up port where the admin port is needed",
  4: 'The ring has no nodes',
  5: 'The members do not agree; for `agree` also: one of them gave no answer, or fewer than `--expect` were found',
  6: '`doctor` found something wrong',
  129: 'A second SIGHUP ended `serve` or `dev` at once',
  130: 'A second SIGINT (Ctrl-C) ended `serve` or `dev` at once; a repeat within half a second is ignored: npm sends each Ctrl-C a second time',
  131: 'A second SIGQUIT ended `serve` or `dev` at once',
  143: 'A second SIGTERM ended `serve` or `dev` at once',
} as const

/** One of the exit codes. */
export type ExitCode = keyof typeof EXIT_CODES

const BY_ERROR_CODE: Partial<Record<ErrorCode, ExitCode>> = {
  BODY_INVALID: 2,
  BODY_TOO_LARGE: 2,
  CONFIG_INVALID: 2,
  FORBIDDEN: 2,
  KEY_EMPTY: 2,
  KEY_INVALID: 2,
  KEY_MISSING: 2,
  KEY_REPEATED: 2,
  KEY_TOO_LONG: 2,
  N_OUT_OF_RANGE: 2,
  NOT_FOUND: 2,
  PARAMETER_INVALID: 2,
  PLAN_INVALID: 2,
  UNAUTHORIZED: 2,
  RESPONSE_INVALID: 3,
  TIMEOUT: 3,
  UNREACHABLE: 3,
  RING_EMPTY: 4,
  MEMBERS_DISAGREE: 5,
}

/** The exit code for an error that ended a command. */
export function exitCodeOf(error: unknown): ExitCode {
  return (isRingmanError(error) ? BY_ERROR_CODE[error.code] : undefined) ?? 1
}

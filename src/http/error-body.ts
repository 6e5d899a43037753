import { isRingmanError, type ErrorCode } from '../errors.ts'

/** How an error code looks over HTTP. */
export interface ErrorStatus {
  readonly status: number
  /** Short and always the same for a code; the `title` of the problem. */
  readonly title: string
  /** Seconds after which a client may try again. */
  readonly retryAfterSeconds?: number
}

/**
 * Every code that a client gets to see. An error with any other code, and anything else that is thrown,
 * becomes `INTERNAL` without its message.
 */
export const ERROR_STATUSES: Readonly<Partial<Record<ErrorCode, ErrorStatus>>> = {
  ACTION_REFUSED: { status: 409, title: 'Action refused' },
  BODY_INVALID: { status: 400, title: 'Invalid body' },
  BODY_TOO_LARGE: { status: 413, title: 'Body too large' },
  CONTENT_TYPE_UNSUPPORTED: { status: 415, title: 'Unsupported content type' },
  FORBIDDEN: { status: 403, title: 'Forbidden' },
  KEY_EMPTY: { status: 400, title: 'Empty key' },
  KEY_INVALID: { status: 400, title: 'Invalid key' },
  KEY_MISSING: { status: 400, title: 'Missing key' },
  KEY_REPEATED: { status: 400, title: 'Repeated key' },
  KEY_TOO_LONG: { status: 400, title: 'Key too long' },
  MANAGER_NOT_RUNNING: { status: 503, title: 'Ring manager not running', retryAfterSeconds: 1 },
  METHOD_NOT_ALLOWED: { status: 405, title: 'Method not allowed' },
  MISDIRECTED: { status: 421, title: 'Misdirected request' },
  N_OUT_OF_RANGE: { status: 400, title: 'Number of owners out of range' },
  NOT_FOUND: { status: 404, title: 'Not found' },
  OVERLOADED: { status: 503, title: 'Overloaded', retryAfterSeconds: 1 },
  PARAMETER_INVALID: { status: 400, title: 'Invalid parameter' },
  PLAN_INVALID: { status: 400, title: 'Invalid plan' },
  RING_NOT_ACCEPTED: { status: 503, title: 'Ring not accepted', retryAfterSeconds: 5 },
  RING_NOT_FOUND: { status: 404, title: 'Ring not found' },
  RINGS_NOT_LISTED: { status: 503, title: 'Rings not listed', retryAfterSeconds: 1 },
  RING_EMPTY: { status: 503, title: 'Empty ring', retryAfterSeconds: 1 },
  TIMEOUT: { status: 504, title: 'Timeout' },
  TOO_MANY_WATCHERS: { status: 503, title: 'Too many watchers', retryAfterSeconds: 5 },
  UNAUTHORIZED: { status: 401, title: 'Unauthorized' },
  UNREACHABLE: { status: 502, title: 'Unreachable' },
}

const INTERNAL_STATUS: ErrorStatus = { status: 500, title: 'Internal error' }

/** The body of an `application/problem+json` answer (RFC 9457), with the stable `code` beside its members. */
export interface Problem {
  /** `urn:ringman:error:` and the code in lower case with dashes. */
  readonly type: string
  readonly title: string
  readonly status: number
  /** For a human: what was given and what is allowed. */
  readonly detail: string
  readonly code: ErrorCode
}

/** What a client is told of an error, and after how many seconds it may try again. `INTERNAL` is a fault of ours, to be logged. */
export function problemOf(error: unknown): {
  readonly problem: Problem
  readonly retryAfterSeconds: number | undefined
} {
  const shown = isRingmanError(error) && Object.hasOwn(ERROR_STATUSES, error.code) ? error : undefined
  const code: ErrorCode = shown?.code ?? 'INTERNAL'
  const { status, title, retryAfterSeconds } = ERROR_STATUSES[code] ?? INTERNAL_STATUS
  const type = `urn:ringman:error:${code.toLowerCase().replaceAll('_', '-')}`
  const detail = shown?.message ?? 'A fault of ringman itself; its log says more.'
  return { problem: { type, title, status, detail, code }, retryAfterSeconds }
}

import { type ErrorCode, messageOf, RingmanError } from '../errors.ts'
import { shortened } from '../printable.ts'

/**
 * What went wrong with a request to the API server:
 * - `unreachable`: no connection, or none that got as far as an answer; `cut`: it broke off within the answer.
 * - `timeout`, `stalled`: nothing came in time, before the answer or within a watch.
 * - `unauthorized` (401), `forbidden` (403), `not-found` (404), `conflict` (409), `expired` (410), `invalid` (422),
 *   `throttled` (429).
 * - `server`: any other status that is no success.
 * - `malformed`, `too-large`: an answer that is not understood, or larger than allowed.
 * - `credentials`: the configuration or the credentials cannot be read.
 */
export type ApiErrorKind =
  | 'unreachable'
  | 'cut'
  | 'timeout'
  | 'stalled'
  | 'unauthorized'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'expired'
  | 'invalid'
  | 'throttled'
  | 'server'
  | 'malformed'
  | 'too-large'
  | 'credentials'

const CODES: Readonly<Partial<Record<ApiErrorKind, ErrorCode>>> = {
  timeout: 'TIMEOUT',
  stalled: 'TIMEOUT',
  malformed: 'BODY_INVALID',
  'too-large': 'BODY_TOO_LARGE',
}

/** Characters of the server's own words that a message takes. */
const WORDS_LIMIT = 300

/** A `RingmanError` about a request to the API server; {@link apiErrorKindOf} tells its kind. */
export function apiError(
  kind: ApiErrorKind,
  message: string,
  options: { readonly cause?: unknown; readonly status?: number; readonly retryAfterMs?: number } = {},
): RingmanError {
  const { cause, ...facts } = options
  const detail = { kubernetes: kind, ...facts }
  return new RingmanError(CODES[kind] ?? 'SOURCE_FAILED', message, { cause, detail })
}

/** The kind of an error that {@link apiError} made; undefined for every other. */
export function apiErrorKindOf(error: unknown): ApiErrorKind | undefined {
  return error instanceof RingmanError ? (error.detail['kubernetes'] as ApiErrorKind | undefined) : undefined
}

/** How long the server asked to be left alone, in milliseconds; 0 when it did not. */
export function retryAfterMsOf(error: unknown): number {
  const value = error instanceof RingmanError ? error.detail['retryAfterMs'] : undefined
  return typeof value === 'number' ? value : 0
}

/** The server's words on one line, cut to a readable length. */
export function quoteWords(text: string): string {
  return shortened(text.replaceAll(/[\s\p{C}]+/gu, ' ').trim(), WORDS_LIMIT)
}

/** Why a connection failed. */
export function reasonOf(error: unknown): string {
  return quoteWords(messageOf(error))
}

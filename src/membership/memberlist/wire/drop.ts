import { type ErrorDetail, isRingmanError, RingmanError } from '../../../errors.ts'

/** Why bytes off the network were dropped, each in words for people. The list is closed. */
export const DROP_REASONS = {
  'cannot-decrypt': 'no key of the keyring fits: the sender has another key, or the bytes were changed',
  'crc-mismatch': 'the checksum is wrong: the bytes were changed on their way',
  'encrypted-unexpectedly': 'it is encrypted, and this member has no key',
  'label-differs': 'the sender has another label, or only the sender or only this member has one',
  malformed: 'it is not a well-formed message',
  'nested-too-deep': 'messages are wrapped into each other more often than is allowed',
  'not-encrypted': 'it is not encrypted, and this member requires it',
  'too-large': 'it is larger, or asks for more, than the limits allow',
  'unknown-type': 'the message type is unknown, or does not belong here',
} as const

export type DropReason = keyof typeof DROP_REASONS

/** Why something was dropped, and small facts about it that are safe to log. */
export interface Drop {
  readonly reason: DropReason
  readonly detail: ErrorDetail
}

/** What comes of a datagram or a stream of which nothing is kept. */
export interface Dropped extends Drop {
  readonly ok: false
}

export function dropped(reason: DropReason, detail: ErrorDetail): Dropped {
  return { ok: false, reason, detail }
}

/** The drop that a codec's `WIRE_MALFORMED` means; another error is thrown on. */
export function dropOf(error: unknown): Dropped {
  if (!isRingmanError(error) || error.code !== 'WIRE_MALFORMED') throw error
  const isOverLimit = error.detail['limit'] !== undefined
  return dropped(isOverLimit ? 'too-large' : 'malformed', { ...error.detail, message: error.message })
}

/** The error for bytes that are not a well-formed message. `message` says what was found and what is allowed. */
export function malformed(message: string, detail: ErrorDetail = {}): RingmanError {
  return new RingmanError('WIRE_MALFORMED', message, { detail })
}

/**
 * The same error for bytes that may be well formed but ask for more than a limit allows. It carries
 * `detail.limit`, by which {@link dropOf} knows it.
 */
export function overLimit(limit: string, allowed: number): RingmanError {
  return malformed(`more than ${limit} (${allowed}) allows`, { limit, allowed })
}

/** The error for a message that this process tried to send and that the protocol cannot carry: a bug. */
export function unsendable(message: string): RingmanError {
  return new RingmanError('INTERNAL', message)
}

import { type ErrorDetail, RingmanError } from '../../../errors.ts'

/** The error for bytes that are not a well-formed message. `message` says what was found and what is allowed. */
export function malformed(message: string, detail: ErrorDetail = {}): RingmanError {
  return new RingmanError('WIRE_MALFORMED', message, { detail })
}

/**
 * The same error for bytes that may be well formed but ask for more than a limit allows. It carries
 * `detail.limit`, by which {@link isOverLimit} knows it.
 */
export function overLimit(limit: string, allowed: number): RingmanError {
  return malformed(`more than ${limit} (${allowed}) allows`, { limit, allowed })
}

/** Whether `error` was made by {@link overLimit}. */
export function isOverLimit(error: RingmanError): boolean {
  return error.detail['limit'] !== undefined
}

/** The error for a message that this process tried to send and that the protocol cannot carry: a bug. */
export function unsendable(message: string): RingmanError {
  return new RingmanError('INTERNAL', message)
}

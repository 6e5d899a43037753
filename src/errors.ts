/**
 * Every code that a `RingmanError` can carry, with its one-line meaning. The list is closed: callers switch
 * on codes, never on message text. `docs/errors.md` documents the same list, and a test holds them together.
 */
export const ERROR_CODES = {
  ACTION_REFUSED: 'The member does not do what an operator asked for; the message says why.',
  BODY_INVALID: 'The request body is not what the route takes (bad JSON, wrong fields).',
  BODY_TOO_LARGE: 'The request body is larger than the limit.',
  CLAIM_LOST: 'The key that was claimed has another owner now, or this member cannot know.',
  CONFIG_INVALID: 'The configuration has unknown keys or values that are not allowed.',
  CONTENT_TYPE_UNSUPPORTED: 'The request body has a content type that the route does not take.',
  FORBIDDEN: 'The request comes from a web page of elsewhere, or names a host that is not allowed.',
  INTERNAL: 'A fault of ringman itself.',
  KEY_EMPTY: 'The key is empty.',
  KEY_INVALID: 'The key is not valid percent-encoded text.',
  KEY_MISSING: 'The request names no key.',
  KEY_REPEATED: 'The request names the key more than once.',
  KEY_TOO_LONG: 'The key is longer than the limit.',
  LISTEN_FAILED: 'A server could not listen on its address.',
  MANAGER_NOT_RUNNING: 'The ring manager has not been started, or has been stopped.',
  MEMBERS_DISAGREE: 'Members that were asked for the same keys gave different answers, or not all answered.',
  METADATA_TOO_LARGE: 'The encoded member metadata is larger than 512 bytes.',
  METHOD_NOT_ALLOWED: 'The path exists, but not with this HTTP method.',
  MISDIRECTED: 'The request came to a member that does not own its key.',
  N_OUT_OF_RANGE: 'The number of owners asked for is not an integer within the limits.',
  NODE_INVALID: 'A ring node has an empty ring key or a weight that is not a positive integer.',
  NOT_FOUND: 'There is nothing at this path.',
  NOT_OWNER: 'Another member owns the key.',
  OVERLOADED: 'The process already holds as many bytes of requests or answers as it may.',
  PARAMETER_INVALID: 'A query parameter is unknown, repeated or not in its form.',
  PLAN_INVALID: 'The planned change names nodes that are not there, or are there already.',
  RESPONSE_INVALID: 'What answered a request is not ringman, or not a version that this one understands.',
  RING_EMPTY: 'No nodes in ring.',
  RING_NOT_ACCEPTED: 'The HashRing of this name makes no ring: its status says why.',
  RING_NOT_FOUND: 'There is no ring of this name.',
  RINGS_NOT_LISTED: 'Nobody has said yet which rings there are.',
  RING_STALE: 'No member has confirmed the copy of the ring for as long as the caller allows.',
  RING_UNKNOWN: 'No member has given its ring to this client yet.',
  SOURCE_FAILED: 'The membership source could not start, or stopped working.',
  TIMEOUT: 'An operation did not finish in its time.',
  TOO_MANY_WATCHERS: 'The number of open ring watches is at its limit.',
  UNAUTHORIZED: 'The token is missing or wrong.',
  UNREACHABLE: 'No member could be reached.',
  UNSURE: 'This member was stopped or cut off, and cannot know what it owns.',
  WIRE_MALFORMED: 'Bytes from the network are not a well-formed message.',
} as const

/** One of the closed list of error codes. */
export type ErrorCode = keyof typeof ERROR_CODES

/** Small, flat facts about an error, safe to log and to show: never a key, a secret or a whole message. */
export type ErrorDetail = Readonly<Record<string, string | number | boolean | readonly string[]>>

const brand = Symbol.for('ringman.error')

/**
 * The one error class of ringman. Recognise it with {@link isRingmanError}, which also holds when two copies
 * of the package are loaded, and tell errors apart by `code`.
 */
export class RingmanError extends Error {
  override readonly name = 'RingmanError'
  readonly code: ErrorCode
  readonly detail: ErrorDetail
  readonly [brand] = true

  /**
   * @param code - What went wrong, from {@link ERROR_CODES}.
   * @param message - For a human: what was wrong and what is allowed.
   */
  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly detail?: ErrorDetail } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.detail = options.detail ?? {}
  }
}

/** A `CONFIG_INVALID`. @param message - What was wrong and what is allowed. */
export function configInvalid(
  message: string,
  options?: ConstructorParameters<typeof RingmanError>[2],
): RingmanError {
  return new RingmanError('CONFIG_INVALID', message, options)
}

/** Whether `value` is a {@link RingmanError}, of this copy of the package or of another. */
export function isRingmanError(value: unknown): value is RingmanError {
  return value instanceof Error && brand in value
}

/** What a caught value says. Where every address of a name refused, Node's error has a code and no message. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.message !== '') return error.message
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

/** Marks a place that the type checker proves unreachable; reached at run time, it is a bug. */
export function assertNever(value: never): never {
  throw new RingmanError('INTERNAL', `unexpected value: ${JSON.stringify(value)}`)
}

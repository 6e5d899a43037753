import { ERROR_CODES, isRingmanError, RingmanError, type ErrorCode } from '../errors.ts'
import { traceHeaders } from '../tracing.ts'

/** How the client makes requests: `fetch`, or something that behaves like it. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** Largest answer that is read, in bytes. */
const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024

/** Largest error body that is read, in bytes. */
const PROBLEM_LIMIT_BYTES = 64 * 1024

/** How long a request may take, and what else ends it. */
export interface Patience {
  /** Milliseconds. */
  readonly timeoutMs: number
  /** A request that it aborts rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Asks one member and reads its JSON.
 *
 * @throws {RingmanError} `UNREACHABLE`; `TIMEOUT`; the code that the member gave; `RESPONSE_INVALID` for anything that
 *   is not an answer of ringman.
 */
export async function requestJson(
  fetch: Fetch,
  url: string,
  init: RequestInit,
  patience: Patience,
): Promise<unknown> {
  const timeout = AbortSignal.timeout(patience.timeoutMs)
  const signal = patience.signal === undefined ? timeout : AbortSignal.any([timeout, patience.signal])
  // The query holds a key, which does not belong in messages.
  const [place = url] = url.split('?', 1)
  try {
    const headers = { ...(init.headers as Record<string, string> | undefined), ...traceHeaders() }
    const response = await fetch(url, { ...init, headers, redirect: 'error', signal })
    if (!response.ok) throw await problemOf(response, place)
    return parseJson(await readText(response, ANSWER_LIMIT_BYTES, place), place)
  } catch (error) {
    throw translate(error, place, timeout, patience)
  }
}

/**
 * Asks one member for a stream of events. The time limit is for the answer's head; throws as {@link requestJson}.
 *
 * @returns The stream; `signal` ends it too.
 */
export async function openEventStream(
  fetch: Fetch,
  url: string,
  patience: Patience & { readonly signal: AbortSignal },
): Promise<ReadableStream<Uint8Array>> {
  const timeout = new AbortController()
  const timer = setTimeout(() => {
    timeout.abort()
  }, patience.timeoutMs)
  try {
    const response = await fetch(url, {
      headers: { accept: 'text/event-stream', ...traceHeaders() },
      redirect: 'error',
      signal: AbortSignal.any([timeout.signal, patience.signal]),
    })
    if (!response.ok) throw await problemOf(response, url)
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false
    if (!isStream || response.body === null) throw notRingman(url, 'it sends no events')
    return response.body
  } catch (error) {
    throw translate(error, url, timeout.signal, patience)
  } finally {
    clearTimeout(timer)
  }
}

/** The error for an answer that ringman would not give, or not this version of it. */
export function notRingman(url: string, why: string, cause?: unknown): RingmanError {
  return new RingmanError('RESPONSE_INVALID', `what answered at ${url} is not ringman: ${why}`, { cause })
}

/** What a request failed with, as the caller is to see it. */
function translate(error: unknown, url: string, timeout: AbortSignal, patience: Patience): unknown {
  if (isRingmanError(error)) return error
  if (patience.signal?.aborted === true) return patience.signal.reason
  if (timeout.aborted) {
    return new RingmanError('TIMEOUT', `${url} did not answer within ${patience.timeoutMs} ms`, {
      cause: error,
    })
  }
  return new RingmanError('UNREACHABLE', `cannot reach ${url}: ${reasonOf(error)}`, { cause: error })
}

/** The innermost message: `fetch` hides what went wrong in causes, several addresses of a host in `errors`. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  if (error instanceof Error && error.cause !== undefined) return reasonOf(error.cause)
  return error instanceof Error ? error.message : String(error)
}

/** The error behind an `application/problem+json`. */
async function problemOf(response: Response, url: string): Promise<RingmanError> {
  const type = response.headers.get('content-type') ?? ''
  if (!type.startsWith('application/problem+json')) {
    await response.body?.cancel()
    return notRingman(url, `status ${response.status} without a problem document`)
  }
  const problem = parseJson(await readText(response, PROBLEM_LIMIT_BYTES, url), url)
  const { code, detail, title } = (problem ?? {}) as Record<string, unknown>
  if (typeof code !== 'string' || !Object.hasOwn(ERROR_CODES, code)) {
    return notRingman(url, `status ${response.status} with a code that is not known here`)
  }
  const message = typeof detail === 'string' ? detail : typeof title === 'string' ? title : code
  return new RingmanError(code as ErrorCode, message, { detail: { status: response.status, url } })
}

function parseJson(text: string, url: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw notRingman(url, 'its answer is not JSON', error)
  }
}

/** Reads a body, and stops reading at the limit. */
async function readText(response: Response, limitBytes: number, url: string): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  if (response.body === null) return text
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    bytes += chunk.byteLength
    if (bytes > limitBytes) throw notRingman(url, `its answer is longer than ${limitBytes} bytes`)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

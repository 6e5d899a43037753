import { holdingClock, systemRandom, type Clock, type Random } from '../clock.ts'
import {
  configInvalid,
  ERROR_CODES,
  type ErrorCode,
  isRingmanError,
  messageOf,
  RingmanError,
} from '../errors.ts'
import { RING_NAME } from '../kubernetes-names.ts'
import { collectBytes } from '../growing-buffer.ts'
import { jsonExcess, type JsonLimits } from '../json-size.ts'
import { unknownNames } from '../unknown-name.ts'
import type { Shape } from './shape.ts'
import {
  fetchTransport,
  nodeTransport,
  type ClientTls,
  type Fetch,
  type Question,
  type RawAnswer,
  type Transport,
} from './transport.ts'

/** How members are reached. */
export interface MemberOptions {
  /**
   * Base URL of a member, of a Service of members, or of a name with the addresses of many, such as
   * `http://ringman.default.svc:8080`; any member answers for all.
   */
  readonly url?: string
  /** Several, in the place of `url`. */
  readonly urls?: readonly string[]
  /** `NAMESPACE/NAME` of the HashRing whose ring is meant. @default the ring of the members themselves */
  readonly ring?: string | undefined
  /** Milliseconds that one member may take to answer. @default 5000 */
  readonly timeoutMs?: number
  /** Milliseconds without a sign of life after which a watch goes to the next member. @default 45_000 */
  readonly silenceMs?: number
  /** Longest answer that is read, a ring apart, in bytes. @default 64 MiB */
  readonly answerLimitBytes?: number
  /** Headers of each request, such as `authorization`; a function is asked for each, so that a token may change. */
  readonly headers?: HeaderSource
  /** Authorities, and a certificate of the client's own, for `https:`; a function is asked for each request. */
  readonly tls?: ClientTls | (() => ClientTls)
  /** Sends the requests in the place of Node's own HTTP: for proxies and tests. Not together with `tls`. */
  readonly fetch?: Fetch
  readonly clock?: Clock
  readonly random?: Random
}

/** The names of {@link MemberOptions}; the compiler sees that none is missing. */
const MEMBER_OPTIONS = {
  url: true,
  urls: true,
  ring: true,
  timeoutMs: true,
  silenceMs: true,
  answerLimitBytes: true,
  headers: true,
  tls: true,
  fetch: true,
  clock: true,
  random: true,
} satisfies Record<keyof MemberOptions, true>

/** What members are asked with beside the options. */
export interface MembersExtras {
  /** Headers that hand the caller's trace on. @default none */
  readonly traceHeaders?: () => Headers
  /** The names of further options, which the caller checks. @default none */
  readonly names?: readonly string[]
  /** What is wrong with those. @default nothing */
  readonly problems?: readonly string[]
}

type Headers = Readonly<Record<string, string>>
type HeaderSource = Headers | (() => Headers | Promise<Headers>)

const URLS_TWICE = 'url and urls are both given: url is for one alone, urls for several'

/** Largest answer that is read, in bytes. */
const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024

/** Largest ring that is read, in bytes; as an event of a watch, in characters. */
export const RING_LIMIT = 16 * 1024 * 1024

/** Largest error body that is read, in bytes. */
const PROBLEM_LIMIT_BYTES = 64 * 1024

/** What is wrong with a number of milliseconds. A value of another type is not shown, only its type: showing it would load code. */
export function problemsOfTime(name: string, ms: unknown): string[] {
  const isNumber = typeof ms === 'number'
  return isNumber && ms > 0 ? [] : [`${name} must be a number above 0, got ${isNumber ? ms : typeof ms}`]
}

/** The members that a client knows by URL, and how they are asked. */
export class Members {
  /** Base URLs without a slash at the end; at least one. */
  readonly urls: readonly string[]
  /** Where the routes of the ring are on each member: `/v1`, or `/v1/rings/NAMESPACE/NAME`. */
  readonly root: string
  readonly timeoutMs: number
  readonly silenceMs: number
  readonly clock: Clock
  readonly random: Random
  readonly #answerLimitBytes: number
  readonly #headers: HeaderSource
  readonly #traceHeaders: () => Headers
  readonly #transport: Transport

  /** @throws {RingmanError} `CONFIG_INVALID`, all that is wrong in one message. */
  constructor(options: MemberOptions, extras: MembersExtras = {}) {
    const { traceHeaders = () => ({}), names = [] } = extras
    const {
      url,
      urls = url === undefined ? [] : [url],
      ring,
      timeoutMs = 5000,
      silenceMs = 45_000,
      headers = {},
      tls,
    } = options
    const isList = Array.isArray(urls)
    const given: readonly string[] = isList ? urls : []
    const problems = [
      ...unknownNames('option', options, [...Object.keys(MEMBER_OPTIONS), ...names]),
      ...(isList ? [] : ['urls is a list; one alone is given as url']),
      ...(url === undefined || options.urls === undefined ? [] : [URLS_TWICE]),
      ...(given.length === 0 ? ['a client needs the URL of at least one member'] : []),
      ...given.flatMap((each) => problemOfUrl(each) ?? []),
      ...problemsOfTime('timeoutMs', timeoutMs),
      ...problemsOfTime('silenceMs', silenceMs),
      ...(ring === undefined || RING_NAME.test(ring)
        ? []
        : [`ring is the NAMESPACE/NAME of a HashRing, got ${JSON.stringify(ring)}`]),
      ...(tls !== undefined && options.fetch !== undefined
        ? ['tls is not for a fetch of your own: give it to that fetch']
        : []),
      ...(extras.problems ?? []),
    ]
    if (problems.length > 0) throw configInvalid(problems.join('; '))
    this.urls = given.map((base) => base.replace(/\/+$/, ''))
    this.root = ring === undefined ? '/v1' : `/v1/rings/${ring}`
    this.timeoutMs = timeoutMs
    this.silenceMs = silenceMs
    this.clock = options.clock ?? holdingClock
    this.random = options.random ?? systemRandom
    this.#answerLimitBytes = options.answerLimitBytes ?? ANSWER_LIMIT_BYTES
    this.#headers = headers
    this.#traceHeaders = traceHeaders
    this.#transport =
      options.fetch === undefined
        ? nodeTransport({ tls, random: this.random })
        : fetchTransport(options.fetch)
  }

  /**
   * Asks for JSON.
   *
   * @throws {RingmanError} `UNREACHABLE`; `TIMEOUT`; the code that the member gave; `RESPONSE_INVALID` for anything that
   *   is not an answer of ringman. Where `signal` aborts, its reason.
   */
  async json(url: string, question: Partial<Question> = {}, signal?: AbortSignal): Promise<unknown> {
    return this.#within(url, signal, async (limit) => {
      const answer = await this.#send(url, 'application/json', question, limit)
      const place = placeOf(url)
      if (answer.status !== 200) throw await problemOf(answer, place)
      return parseJson(await readText(answer, this.#answerLimitBytes, place), place, 'its answer')
    })
  }

  /**
   * Asks for a ring's JSON unless it is still what an entity tag stands for; throws as {@link json}, and `UNSURE` where
   * nothing has changed for a member that cannot know.
   *
   * @returns Undefined where nothing has changed.
   */
  async jsonUnless(
    url: string,
    etag: string | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly value: unknown; readonly etag: string | undefined } | undefined> {
    return this.#within(url, signal, async (limit) => {
      const headers: Headers = etag === undefined ? {} : { 'if-none-match': etag }
      const answer = await this.#send(url, 'application/json', { headers, alone: true }, limit)
      if (answer.status === 304 && etag !== undefined) {
        answer.discard()
        if (answer.header('ringman-unsure') === 'true') throw unsure()
        return undefined
      }
      if (answer.status !== 200) throw await problemOf(answer, url)
      const newTag = answer.header('etag')
      const value = parseJson(await readText(answer, RING_LIMIT, url), url, 'its answer')
      return { value, etag: newTag !== undefined && ENTITY_TAG.test(newTag) ? newTag : undefined }
    })
  }

  /**
   * Asks for a stream of events. The time limit is for the head of the answer; throws as {@link json}.
   *
   * @param signal - Ends the stream, too.
   */
  async events(url: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    return this.#within(url, signal, async (limit) => {
      const answer = await this.#send(url, 'text/event-stream', { alone: true }, limit)
      if (answer.status !== 200) throw await problemOf(answer, url)
      if (answer.header('content-type')?.startsWith('text/event-stream') !== true) {
        answer.discard()
        throw notRingman(url, 'it sends no events')
      }
      return answer.body
    })
  }

  async #send(
    url: string,
    accept: string,
    question: Partial<Question>,
    signal: AbortSignal,
  ): Promise<RawAnswer> {
    const own = typeof this.#headers === 'function' ? await this.#headers() : this.#headers
    const headers = { accept, ...question.headers, ...this.#traceHeaders(), ...own }
    return this.#transport(url, { ...question, headers }, signal)
  }

  /** Does `work` within the time limit, and says of any other failure what it means to the caller. */
  async #within<T>(
    url: string,
    signal: AbortSignal | undefined,
    work: (limit: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const timeout = new AbortController()
    const cancel = this.clock.after(this.timeoutMs, () => timeout.abort())
    try {
      return await work(signal === undefined ? timeout.signal : AbortSignal.any([timeout.signal, signal]))
    } catch (error) {
      // An answer whose end is that of its connection may just look short then.
      signal?.throwIfAborted()
      const place = placeOf(url)
      if (!timeout.signal.aborted) throw isRingmanError(error) ? error : unreachable(place, error)
      const message = `${place} did not answer within ${this.timeoutMs} ms`
      throw new RingmanError('TIMEOUT', message, { cause: error })
    } finally {
      cancel()
    }
  }
}

/** What is kept of an entity tag to be sent back: nothing that is long or could be more than one header. */
const ENTITY_TAG = /^(?:W\/)?"[\x21\x23-\x7e]{1,200}"$/

function problemOfUrl(text: unknown): string | undefined {
  if (typeof text !== 'string')
    return `a member's URL is given as text (the href of a URL), got ${typeof text}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    return `a member's URL is http://HOST[:PORT][/PATH] or https://…, got ${JSON.stringify(text)}`
  }
  // Not quoted: it may hold a password.
  if (url.username + url.password !== '')
    return 'a member\'s URL has no user or password: give them by "headers"'
  return url.search + url.hash === ''
    ? undefined
    : `a member's URL ends with its path, got ${JSON.stringify(text)}`
}

/** A URL as messages show it: the query holds a key, which does not belong there. */
function placeOf(url: string): string {
  return url.split('?', 1)[0] ?? url
}

/** The error for an answer that ringman would not give, or not this version of it. */
export function notRingman(url: string, why: string, cause?: unknown): RingmanError {
  return new RingmanError('RESPONSE_INVALID', `what answered at ${url} is not ringman: ${why}`, { cause })
}

/**
 * Reads an answer of a member.
 *
 * @throws {RingmanError} `RESPONSE_INVALID`.
 */
export function readAnswer<T>(shape: Shape<T>, answer: unknown, url: string): T {
  try {
    return shape(answer, 'its answer')
  } catch (error) {
    throw isRingmanError(error) ? notRingman(url, error.message, error) : error
  }
}

/** The error for a member that says that it is unsure. */
export function unsure(): RingmanError {
  return new RingmanError(
    'UNSURE',
    'a member was stopped or cut off, so that its ring may be old; another one is asked',
  )
}

/** The error for a member that cannot be reached, or is no more. */
export function unreachable(url: string, cause: unknown): RingmanError {
  return new RingmanError('UNREACHABLE', `cannot reach ${url}: ${reasonOf(cause)}`, { cause })
}

/** The innermost message: `fetch` hides what went wrong in causes, several addresses of a host in `errors`. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0])
  if (error instanceof Error && error.cause !== undefined) return reasonOf(error.cause)
  return messageOf(error)
}

/** The error behind an `application/problem+json`. */
async function problemOf(answer: RawAnswer, url: string): Promise<RingmanError> {
  const { status } = answer
  if (answer.header('content-type')?.startsWith('application/problem+json') !== true) {
    answer.discard()
    return notRingman(url, `status ${status} without a problem document`)
  }
  const problem = parseJson(await readText(answer, PROBLEM_LIMIT_BYTES, url), url, 'its answer')
  const { code, detail, title } = (problem ?? {}) as Record<string, unknown>
  if (typeof code !== 'string' || !Object.hasOwn(ERROR_CODES, code)) {
    return notRingman(url, `status ${status} with a code that is not known here`)
  }
  const message = typeof detail === 'string' ? detail : typeof title === 'string' ? title : code
  return new RingmanError(code as ErrorCode, message, { detail: { status, url } })
}

/** Far more than a ring of the largest size, with all that newer members may say of it. */
const JSON_LIMITS: JsonLimits = { maxValues: 1_000_000, maxDepth: 32 }

/**
 * Reads JSON that a member sent.
 *
 * @param what - What it is, for the message: `its answer`.
 * @throws {RingmanError} `RESPONSE_INVALID`, before anything is made of it where it holds too much.
 */
export function parseJson(text: string, url: string, what: string): unknown {
  const excess = jsonExcess(text, JSON_LIMITS)
  if (excess !== undefined) throw notRingman(url, `${what} ${excess}`)
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw notRingman(url, `${what} is not JSON`, error)
  }
}

/** Reads a body, and stops reading at the limit. */
async function readText(answer: RawAnswer, limitBytes: number, url: string): Promise<string> {
  const bytes = await collectBytes(answer.body, limitBytes, () =>
    notRingman(url, `its answer is longer than ${limitBytes} bytes`),
  )
  return new TextDecoder().decode(bytes)
}

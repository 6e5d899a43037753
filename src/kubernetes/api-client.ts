import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import { collectBytes } from '../growing-buffer.ts'
import { RequestDeadline } from '../request-deadline.ts'
import { isObject, objectIn } from '../is-object.ts'
import { apiError, apiErrorKindOf, quoteWords, reasonOf, type ApiErrorKind } from './api-error.ts'
import {
  ALL_NAMESPACES,
  pathOf,
  resourceOf,
  ruleOf,
  type ApiKind,
  type ApiSelection,
  type PartialSelection,
} from './api-resource.ts'
import type { ApiAnswer, ApiRequest, ApiTransport } from './api-transport.ts'
import { LineSplitter } from './line-splitter.ts'

/** Bounds of what the API server may send, and of how long it may take. */
const DEFAULT_SETTINGS = {
  /** Time for a whole page of a list, and for the head of a watch, in milliseconds. */
  requestTimeoutMs: 30_000,
  /** A watch that brings nothing for so long is given up, in milliseconds; bookmarks come each minute. */
  stallMs: 90_000,
  /** Largest page of a list in bytes. */
  pageLimitBytes: 32 * 1024 * 1024,
  /** Longest line of a watch in bytes; the server's objects have 1.5 MiB at most. */
  lineLimitBytes: 4 * 1024 * 1024,
}

export type ApiClientSettings = Readonly<typeof DEFAULT_SETTINGS>

export interface ApiPage {
  readonly items: readonly unknown[]
  /** The version of the whole list, by which a watch goes on from it. */
  readonly version: string
  /** Asks for the next page; undefined for the last one. */
  readonly next: string | undefined
}

export interface ApiEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'
  readonly object: Readonly<Record<string, unknown>>
  /** The version that a later watch goes on from. */
  readonly version: string
}

/** An object to be made or changed. */
export interface ApiWrite {
  readonly kind: ApiKind
  readonly namespace: string
  /** Of the object to change; undefined to make one. */
  readonly name?: string
  readonly subresource?: 'status'
  /** How `body` is meant: a whole new object, a merge patch (RFC 7386), or a list of operations (RFC 6902). */
  readonly type: 'application/json' | 'application/merge-patch+json' | 'application/json-patch+json'
  readonly body: object
}

/** Bytes of an error's body that are read. */
const ERROR_LIMIT_BYTES = 64 * 1024

const utf8 = new TextDecoder('utf-8', { fatal: true })

export class ApiClient {
  readonly transport: ApiTransport
  readonly #clock: Clock
  readonly #settings: ApiClientSettings

  constructor(transport: ApiTransport, clock: Clock, settings: Partial<ApiClientSettings> = {}) {
    this.transport = transport
    this.#clock = clock
    this.#settings = { ...DEFAULT_SETTINGS, ...settings }
  }

  /**
   * Completes a selection: without a namespace it is the configuration's.
   *
   * @throws {RingmanError} Kind `credentials`, `timeout`.
   */
  async complete(selection: PartialSelection, signal: AbortSignal): Promise<ApiSelection> {
    const { namespace } = selection
    if (namespace !== undefined) return { ...selection, namespace }
    const { requestTimeoutMs } = this.#settings
    const late = `the credentials did not come within ${requestTimeoutMs} ms`
    const own = await this.#within(late, signal, (limit) => this.transport.namespace(limit))
    if (own !== undefined) return { ...selection, namespace: own }
    throw apiError('credentials', 'the namespace is not known: --kubernetes-namespace names it')
  }

  /**
   * Lists, as the server knows it at this moment: never from a cache that may be behind.
   *
   * @param page - `limit` objects at most, 0 for all; `next` as the page before gave it.
   * @throws {RingmanError} See `ApiErrorKind`.
   */
  async list(
    selection: ApiSelection,
    page: { readonly limit: number; readonly next?: string | undefined },
    signal: AbortSignal,
  ): Promise<ApiPage> {
    const query = {
      ...queryOf(selection),
      ...(page.limit > 0 ? { limit: String(page.limit) } : {}),
      ...(page.next === undefined ? {} : { continue: page.next }),
    }
    return this.#whole(signal, async (limit) => {
      const request = { path: pathOf(selection), query }
      const { body } = await this.#send(request, { ...selection, verb: 'list' }, limit)
      return parsePage(await collect(body, this.#settings.pageLimitBytes, 'a page of the list'))
    })
  }

  /**
   * Follows changes from `version` on: yields an empty batch when the stream has begun, then what each chunk of bytes
   * brings, until the server ends the stream, as it does after `timeoutMs`.
   *
   * @throws {RingmanError} See `ApiErrorKind`: `expired` when `version` is too old, whichever way the server says so.
   */
  async *watch(
    selection: ApiSelection,
    from: { readonly version: string; readonly timeoutMs: number },
    signal: AbortSignal,
  ): AsyncGenerator<readonly ApiEvent[], void, undefined> {
    const { requestTimeoutMs, stallMs, lineLimitBytes } = this.#settings
    const deadline = new RequestDeadline(this.#clock, signal)
    deadline.set(requestTimeoutMs, () => apiError('timeout', `no answer within ${requestTimeoutMs} ms`))
    const listen = () => {
      deadline.set(stallMs, () => apiError('stalled', `the watch brought nothing for ${stallMs} ms`))
    }
    try {
      const query = {
        ...queryOf(selection),
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: from.version,
        timeoutSeconds: String(Math.max(1, Math.ceil(from.timeoutMs / 1000))),
      }
      const request = { path: pathOf(selection), query }
      const { body } = await this.#send(request, { ...selection, verb: 'watch' }, deadline.signal)
      listen()
      yield []
      const splitter = new LineSplitter(lineLimitBytes)
      for await (const chunk of body) {
        const events: ApiEvent[] = []
        let failure: unknown
        try {
          for (const line of splitter.push(chunk)) events.push(parseEvent(line))
        } catch (error) {
          // What came before the bad line counts.
          failure = error
        }
        if (events.length > 0) {
          listen()
          yield events
        }
        if (failure !== undefined) throw failure as Error
      }
      if (splitter.heldBytes > 0) throw apiError('cut', 'the watch ended within a line')
    } catch (error) {
      throw explain(deadline, error)
    } finally {
      deadline.end()
    }
  }

  /**
   * Makes an object, or changes one. A body with `metadata.resourceVersion` changes only that version of it.
   *
   * @returns The object as the server has it now.
   * @throws {RingmanError} See `ApiErrorKind`: `conflict` when there is one of this name already, or another version.
   */
  async write(write: ApiWrite, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const { kind, namespace, name, subresource, type, body } = write
    const target = [pathOf({ kind, namespace }), name, subresource].filter((part) => part !== undefined)
    const named = subresource === undefined ? kind : { ...kind, plural: `${kind.plural}/${subresource}` }
    return this.#whole(signal, async (limit) => {
      const answer = await this.#send(
        {
          method: name === undefined ? 'POST' : 'PATCH',
          path: target.join('/'),
          body: { type, text: JSON.stringify(body) },
        },
        { kind: named, namespace, verb: name === undefined ? 'create' : 'patch' },
        limit,
      )
      return parseJson(await collect(answer.body, this.#settings.lineLimitBytes, 'the answer'), 'the answer')
    })
  }

  /** A request whose answer is to be whole in time. */
  #whole<T>(signal: AbortSignal, work: (limit: AbortSignal) => Promise<T>): Promise<T> {
    return this.#within(`no whole answer within ${this.#settings.requestTimeoutMs} ms`, signal, work)
  }

  async #within<T>(late: string, signal: AbortSignal, work: (limit: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = new RequestDeadline(this.#clock, signal)
    deadline.set(this.#settings.requestTimeoutMs, () => apiError('timeout', late))
    try {
      return await work(deadline.signal)
    } catch (error) {
      throw explain(deadline, error)
    } finally {
      deadline.end()
    }
  }

  async #send(request: ApiRequest, action: ApiAction, signal: AbortSignal): Promise<ApiAnswer> {
    let answer
    try {
      answer = await this.transport.send(request, signal)
    } catch (error) {
      if (apiErrorKindOf(error) !== undefined) throw error
      throw apiError('unreachable', `${this.transport.server} cannot be reached: ${reasonOf(error)}`, {
        cause: error,
      })
    }
    if (answer.status >= 200 && answer.status <= 299) return answer
    throw await this.#refusal(action, answer)
  }

  async #refusal({ kind, namespace, verb }: ApiAction, answer: ApiAnswer): Promise<RingmanError> {
    const { status, retryAfterMs } = answer
    const words = await readWords(answer)
    const said = words === '' ? `${status}` : `${status}: ${words}`
    const facts = { status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
    const everywhere = namespace === ALL_NAMESPACES
    const where = everywhere ? 'all namespaces' : `the namespace "${namespace}"`
    const role = everywhere ? 'a ClusterRole needs' : 'a Role there needs'
    const rule = ruleOf(kind, verb === 'list' || verb === 'watch' ? ['list', 'watch'] : [verb])
    const resource = resourceOf(kind)
    if (status === 403) {
      return apiError(
        'forbidden',
        `the API server does not let this account ${verb} ${resource} in ${where} (${said}); ` +
          `${role} the rule ${rule}, and a ${everywhere ? 'ClusterRoleBinding' : 'RoleBinding'} that gives it to the account`,
        facts,
      )
    }
    const refusal = REFUSALS[status]
    return refusal === undefined
      ? apiError('server', `the API server answered ${verb} ${resource} with ${said}`, facts)
      : apiError(refusal.kind, `${refusal.words.replace('RESOURCE', () => resource)} (${said})`, facts)
  }
}

/** What other refusals mean, by status. */
const REFUSALS: Readonly<Record<number, { readonly kind: ApiErrorKind; readonly words: string }>> = {
  401: { kind: 'unauthorized', words: 'the API server does not accept the credentials' },
  404: { kind: 'not-found', words: 'the API server has no RESOURCE' },
  409: { kind: 'conflict', words: 'the API server has another version of it' },
  410: { kind: 'expired', words: 'the version is too old' },
  422: { kind: 'invalid', words: 'the API server does not take this of RESOURCE' },
  429: { kind: 'throttled', words: 'the API server asks to wait' },
}

/** What a request wants, for the messages of its refusal. */
interface ApiAction {
  readonly kind: ApiKind
  readonly namespace: string
  readonly verb: 'list' | 'watch' | 'create' | 'patch'
}

function queryOf({ labelSelector, fieldSelector }: ApiSelection): Record<string, string> {
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  }
}

/** What broke off an answer: the deadline, the reader's own judgement, or the connection. */
function explain(deadline: RequestDeadline, error: unknown): RingmanError {
  if (deadline.problem !== undefined) return deadline.problem
  if (error instanceof RingmanError) return error
  return apiError('cut', `the connection broke off: ${reasonOf(error)}`, { cause: error })
}

async function collect(
  body: AsyncIterable<Uint8Array>,
  limitBytes: number,
  what: string,
): Promise<Uint8Array> {
  return collectBytes(body, limitBytes, () =>
    apiError('too-large', `${what} is larger than ${limitBytes} bytes`),
  )
}

/** The message of an error's `Status` object, or whatever text there is. */
async function readWords({ body }: ApiAnswer): Promise<string> {
  let bytes
  try {
    bytes = await collect(body, ERROR_LIMIT_BYTES, 'the error')
  } catch {
    // The status alone says enough when the rest of the answer does not come.
    return ''
  }
  // Proxies answer in HTML and plain text.
  const text = new TextDecoder().decode(bytes)
  const message = objectIn(text)?.['message']
  return quoteWords(typeof message === 'string' ? message : text)
}

function parseJson(bytes: Uint8Array, what: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(utf8.decode(bytes))
  } catch (error) {
    throw apiError('malformed', `${what} is not JSON`, { cause: error })
  }
  if (!isObject(value)) throw apiError('malformed', `${what} is not a JSON object`)
  return value
}

function parsePage(bytes: Uint8Array): ApiPage {
  const { items, metadata } = parseJson(bytes, 'the list')
  const { resourceVersion, continue: next } = isObject(metadata) ? metadata : {}
  // Go writes the empty list as null in places.
  const list = items ?? []
  if (!Array.isArray(list) || typeof resourceVersion !== 'string' || resourceVersion === '') {
    throw apiError('malformed', 'the answer is not a list of Kubernetes')
  }
  return {
    items: list,
    version: resourceVersion,
    next: typeof next === 'string' && next !== '' ? next : undefined,
  }
}

function parseEvent(line: Uint8Array): ApiEvent {
  const { type, object } = parseJson(line, 'a line of the watch')
  if (!isObject(object)) throw apiError('malformed', 'a line of the watch has no object')
  if (type === 'ERROR') throw errorOf(object)
  if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED' && type !== 'BOOKMARK') {
    throw apiError('malformed', 'a line of the watch has a type that Kubernetes does not have')
  }
  const { metadata } = object
  const version = isObject(metadata) ? metadata['resourceVersion'] : undefined
  if (typeof version !== 'string' || version === '') {
    throw apiError('malformed', 'an object of the watch has no version')
  }
  return { type, object, version }
}

/** The `Status` of an `ERROR` line: the stream had begun with 200, so that it is the only news of the failure. */
function errorOf({ code, reason, message }: Readonly<Record<string, unknown>>): RingmanError {
  const expired = code === 410 || reason === 'Expired' || reason === 'Gone'
  const kind: ApiErrorKind = expired ? 'expired' : code === 429 ? 'throttled' : 'server'
  const words = typeof message === 'string' ? quoteWords(message) : 'no reason given'
  const facts = typeof code === 'number' ? { status: code } : {}
  return apiError(kind, `the watch ended with an error: ${words}`, facts)
}

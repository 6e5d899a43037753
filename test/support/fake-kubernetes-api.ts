import { isIPv4, isIPv6 } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../../src/clock.ts'
import type { ApiAnswer, ApiRequest, ApiTransport } from '../../src/kubernetes/api-transport.ts'
import { FakeStream } from './fake-kubernetes-stream.ts'

/** An object as the API has it, as far as tests need it. */
export interface FakeObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly generation?: number
    readonly annotations?: Readonly<Record<string, string>>
    readonly uid?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly resourceVersion?: string
    readonly deletionTimestamp?: string
  }
  readonly [field: string]: unknown
}

/** The collections that tests use. */
export const COLLECTIONS = {
  slices: '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
  pods: '/api/v1/namespaces/default/pods',
  /** Of all namespaces: names of objects are unique within one. */
  allSlices: '/apis/discovery.k8s.io/v1/endpointslices',
  hashRings: '/apis/ringman.dev/v1alpha1/hashrings',
  configMaps: '/api/v1/configmaps',
} as const

/** What is to go wrong with a request. */
export type FakeFault =
  | { readonly kind: 'refuse' }
  | { readonly kind: 'hang' }
  | {
      readonly kind: 'status'
      readonly status: number
      readonly retryAfterSeconds?: number
      readonly text?: string
    }
  /** The body breaks off after so many bytes: with an error, or as if that were all. */
  | { readonly kind: 'cut'; readonly afterBytes: number; readonly clean: boolean }
  /** The whole body is this. */
  | { readonly kind: 'body'; readonly text: string }
  /** The head comes, the body does not. */
  | { readonly kind: 'mute' }

/** A request, as the fake saw it. */
export interface FakeRequest {
  readonly path: string
  readonly query: URLSearchParams
  readonly verb: 'list' | 'watch' | 'create' | 'patch'
  readonly token: string | undefined
}

/** A write that was accepted. */
export interface FakeWrite {
  readonly verb: 'create' | 'patch'
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
}

/** A write as it comes in. */
export interface FakeWriteRequest {
  readonly method: string
  /** The content type. */
  readonly type: string
  readonly text: string
}

interface HistoryEntry {
  readonly version: number
  readonly collection: string
  readonly before: FakeObject | undefined
  readonly after: FakeObject | undefined
}

interface Watcher {
  readonly collection: string
  readonly matches: (object: FakeObject) => boolean
  readonly stream: FakeStream
}

/** An answer: from here it goes to a transport in memory, or over a socket. */
export interface FakeAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Undefined for a connection that is never answered. */
  readonly stream: FakeStream
}

/** Thrown for a connection that is refused. */
export class FakeRefusal extends Error {
  readonly code = 'ECONNREFUSED'
}

/**
 * The part of the API server that lists and watches take: versions, label and field selectors, pages with tokens that
 * expire, watches with bookmarks and a time limit, a history that is compacted, tokens, RBAC, and faults on demand. Where
 * the real server has a choice of two ways to say something, `random` chooses.
 *
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
export class FakeKubernetesApi {
  readonly clock: Clock
  readonly random: () => number
  readonly requests: FakeRequest[] = []
  /** Events, ConfigMaps and statuses, in the order in which they were written. */
  readonly writes: FakeWrite[] = []
  /** Asked for each request; undefined lets it be answered as it should be. */
  faultFor: (request: FakeRequest) => FakeFault | undefined = () => undefined
  /** Accepted tokens; undefined accepts everybody. */
  tokens: Set<string> | undefined
  /** What RBAC refuses, such as `watch /api/v1/namespaces/default/pods`. */
  readonly forbidden = new Set<string>()
  /** How often a watch gets a bookmark, in milliseconds; 0 for never, as old servers do. */
  bookmarkEveryMs = 60_000
  /** Whether chunks of a watch are cut at random places. */
  chop = false
  #version = 1000
  #oldestVersion = 1000
  readonly #collections = new Map<string, Map<string, FakeObject>>()
  readonly #history: HistoryEntry[] = []
  readonly #watchers = new Set<Watcher>()
  /** Snapshots that continue tokens lead to, by version. */
  readonly #snapshots = new Map<string, readonly FakeObject[]>()
  readonly #open = new Set<FakeStream>()

  constructor(clock: Clock, random: () => number = () => 0.5) {
    this.clock = clock
    this.random = random
  }

  /** Answers that are not over: each holds a connection. */
  get openCount(): number {
    return this.#open.size
  }

  get watchCount(): number {
    return this.#watchers.size
  }

  /** The streams of the open watches. */
  get streams(): FakeStream[] {
    return Array.from(this.#watchers, ({ stream }) => stream)
  }

  objects(collection: string): FakeObject[] {
    return [...(this.#collections.get(collection)?.values() ?? [])]
  }

  get(collection: string, name: string): FakeObject | undefined {
    return this.#collections.get(collection)?.get(name)
  }

  /**
   * Creates or replaces an object.
   *
   * @throws {Error} for a slice that the real server would not take.
   */
  put(collection: string, object: FakeObject): void {
    const problem = collection.endsWith('/endpointslices') ? problemOfSlice(object) : undefined
    if (problem !== undefined)
      throw new Error(`the real API server would refuse this EndpointSlice: ${problem}`)
    const objects = this.#collectionOf(collection)
    const version = ++this.#version
    const { name } = object.metadata
    const key = keyOf(object)
    const before = objects.get(key)
    const after = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: object.metadata.uid ?? `uid-${name}`,
        resourceVersion: String(version),
      },
    }
    objects.set(key, after)
    this.#record({ version, collection, before, after })
  }

  /** @param name - `NAMESPACE/NAME` where the collection is of all namespaces. */
  remove(collection: string, name: string): void {
    const objects = this.#collectionOf(collection)
    const before = objects.get(name)
    if (before === undefined) return
    objects.delete(name)
    this.#record({ version: ++this.#version, collection, before, after: undefined })
  }

  /** Forgets the history: watches from an earlier version and continue tokens get 410. */
  compact(): void {
    this.#oldestVersion = ++this.#version
    this.#history.length = 0
    this.#snapshots.clear()
  }

  /** Sends every watch a bookmark. */
  bookmark(): void {
    for (const { stream } of this.#watchers) this.#sendBookmark(stream)
  }

  /** Ends every connection, as a server does that goes. */
  dropAll(): void {
    for (const stream of this.#open) stream.fail(new Error('read ECONNRESET'))
  }

  /** @throws {FakeRefusal} */
  answer(
    path: string,
    query: URLSearchParams,
    token: string | undefined,
    write?: FakeWriteRequest,
  ): FakeAnswer {
    const reading = query.get('watch') === 'true' ? 'watch' : 'list'
    const verb = write === undefined ? reading : write.method === 'POST' ? 'create' : 'patch'
    const request = { path, query, verb, token } as const
    this.requests.push(request)
    const fault = this.faultFor(request)
    if (fault?.kind === 'refuse') throw new FakeRefusal('connect ECONNREFUSED')
    const stream = new FakeStream(this.chop ? this.random : undefined)
    this.#open.add(stream)
    stream.onClose = () => {
      this.#open.delete(stream)
    }
    if (fault?.kind === 'hang') return { status: 0, headers: {}, stream }
    if (fault?.kind === 'mute') return { status: 200, headers: {}, stream }
    if (fault?.kind === 'body') return whole(200, fault.text, stream)
    if (fault?.kind === 'status') {
      const answer = refusal(fault.status, fault.text ?? 'as the test wants it', stream)
      const { retryAfterSeconds } = fault
      return retryAfterSeconds === undefined
        ? answer
        : { ...answer, headers: { ...answer.headers, 'retry-after': String(retryAfterSeconds) } }
    }
    if (fault?.kind === 'cut') stream.limit(fault.afterBytes, fault.clean)
    if (this.tokens !== undefined && (token === undefined || !this.tokens.has(token))) {
      return refusal(401, 'Unauthorized', stream)
    }
    if (this.forbidden.has(`${verb} ${path}`)) {
      return refusal(
        403,
        `pods is forbidden: User "system:serviceaccount:default:ring" cannot ${verb}`,
        stream,
      )
    }
    if (write !== undefined && (verb === 'create' || verb === 'patch')) {
      return this.#write(verb, path, write.type, JSON.parse(write.text), stream)
    }
    const [, root = '', namespace, plural = ''] = /^(.*)\/namespaces\/([^/]+)(\/[^/]+)$/.exec(path) ?? []
    const isWhole = COLLECTION_PATHS.includes(path)
    const collection = isWhole ? path : root + plural
    if (!COLLECTION_PATHS.includes(collection)) return refusal(404, 'the server could not find it', stream)
    const matches = matcherOf(query, isWhole ? undefined : namespace)
    if (matches === undefined) return refusal(400, 'unable to parse requirement', stream)
    const wanted = { collection, matches }
    return verb === 'watch' ? this.#watch(wanted, query, stream) : this.#list(wanted, query, stream)
  }

  /** The way to this API without sockets. `token` is asked for at each request. */
  transport(token: () => string | undefined = () => undefined): ApiTransport & { renewals: number } {
    const transport = {
      server: 'the fake API server',
      renewals: 0,
      namespace: () => Promise.resolve('default'),
      renewCredentials: () => {
        transport.renewals += 1
      },
      send: async (request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer> => {
        await Promise.resolve()
        signal.throwIfAborted()
        const { path, query = {}, method = 'GET', body } = request
        const write = body && { method, type: body.type, text: body.text }
        const { status, headers, stream } = this.answer(path, new URLSearchParams(query), token(), write)
        const onAbort = () => {
          stream.fail(new Error('aborted'))
          stream.close()
        }
        signal.addEventListener('abort', onAbort, { once: true })
        if (status === 0) {
          return new Promise<never>((_resolve, reject) => {
            stream.onFail = reject
          })
        }
        const retryAfter = headers['retry-after']
        return {
          status,
          body: stream,
          ...(retryAfter === undefined ? {} : { retryAfterMs: 1000 * Number(retryAfter) }),
        }
      },
    }
    return transport
  }

  /** Takes statuses of HashRings and ConfigMaps as the real server does, and everything else as it is. */
  #write(
    verb: 'create' | 'patch',
    path: string,
    type: string,
    body: unknown,
    stream: FakeStream,
  ): FakeAnswer {
    const [, root = '', namespace = '', plural = '', name, subresource] =
      /^(.*)\/namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+)(?:\/([^/]+))?)?$/.exec(path) ?? []
    const collection = `${root}/${plural}`
    let result = body
    if (collection === COLLECTIONS.hashRings || collection === COLLECTIONS.configMaps) {
      const key = `${namespace}/${name ?? (body as FakeObject).metadata.name}`
      const before = this.get(collection, key)
      if (verb === 'create') {
        if (before !== undefined) return refusal(409, 'already exists', stream)
        const made = body as FakeObject
        this.put(collection, { ...made, metadata: { ...made.metadata, namespace } })
      } else {
        if (before === undefined) return refusal(404, 'not found', stream)
        const after = patched(before, type, body)
        if (after === undefined)
          return refusal(422, 'the server rejected our request: testing failed', stream)
        if (after.metadata.resourceVersion !== before.metadata.resourceVersion) {
          return refusal(
            409,
            'the object has been modified; please apply your changes to the latest version',
            stream,
          )
        }
        const kept = subresource === 'status' ? { ...before, status: after['status'] } : after
        // What changes nothing makes no new version.
        if (!isDeepStrictEqual(kept, before)) this.put(collection, kept)
      }
      result = this.get(collection, key)
    }
    this.writes.push({ verb, path, body: body as FakeWrite['body'] })
    return whole(verb === 'create' ? 201 : 200, JSON.stringify(result), stream)
  }

  #list({ collection, matches }: Wanted, query: URLSearchParams, stream: FakeStream): FakeAnswer {
    const limit = Number(query.get('limit') ?? 0)
    const token = query.get('continue')
    let version = String(this.#version)
    let offset = 0
    let all: readonly FakeObject[]
    if (token === null) {
      all = this.#inOrder(collection).filter(matches)
    } else {
      const [of = '', at = ''] = atob(token).split('/')
      const snapshot = this.#snapshots.get(of)
      if (snapshot === undefined) {
        return refusal(
          410,
          'The provided continue parameter is too old to display a consistent list result.',
          stream,
        )
      }
      all = snapshot
      version = of
      offset = Number(at)
    }
    const items = limit > 0 ? all.slice(offset, offset + limit) : all
    const more = offset + items.length < all.length
    if (more) this.#snapshots.set(version, all)
    const metadata = {
      resourceVersion: version,
      ...(more ? { continue: btoa(`${version}/${offset + items.length}`) } : {}),
    }
    return whole(200, JSON.stringify({ kind: 'List', apiVersion: 'v1', metadata, items }), stream)
  }

  #watch({ collection, matches }: Wanted, query: URLSearchParams, stream: FakeStream): FakeAnswer {
    const from = Number(query.get('resourceVersion') ?? 0)
    if (from < this.#oldestVersion) {
      const message = `too old resource version: ${from} (${this.#oldestVersion})`
      if (this.random() < 0.5) return refusal(410, message, stream)
      stream.sendLine({ type: 'ERROR', object: statusOf(410, 'Expired', message) })
      stream.end()
      return { status: 200, headers: {}, stream }
    }
    if (from > this.#version) return refusal(504, 'Timeout: Too large resource version', stream)
    const watcher = { collection, matches, stream }
    for (const entry of this.#history) {
      if (entry.version > from) this.#tell(watcher, entry)
    }
    this.#watchers.add(watcher)
    const bookmarks = query.get('allowWatchBookmarks') === 'true' && this.bookmarkEveryMs > 0
    const seconds = Number(query.get('timeoutSeconds') ?? 0)
    const cancelEnd = seconds > 0 ? this.clock.after(seconds * 1000, () => stream.end()) : () => {}
    let cancelBookmark = () => {}
    const scheduleBookmark = () => {
      cancelBookmark = this.clock.after(this.bookmarkEveryMs, () => {
        this.#sendBookmark(stream)
        scheduleBookmark()
      })
    }
    if (bookmarks) scheduleBookmark()
    const { onClose } = stream
    stream.onClose = () => {
      cancelEnd()
      cancelBookmark()
      this.#watchers.delete(watcher)
      onClose()
    }
    return { status: 200, headers: {}, stream }
  }

  #sendBookmark(stream: FakeStream): void {
    const metadata = { resourceVersion: String(this.#version), creationTimestamp: null }
    stream.sendLine({ type: 'BOOKMARK', object: { kind: 'EndpointSlice', metadata } })
  }

  #record(entry: HistoryEntry): void {
    this.#history.push(entry)
    for (const watcher of this.#watchers) this.#tell(watcher, entry)
  }

  #tell({ collection, matches, stream }: Watcher, entry: HistoryEntry): void {
    if (entry.collection !== collection) return
    const was = entry.before !== undefined && matches(entry.before)
    const is = entry.after !== undefined && matches(entry.after)
    if (is) stream.sendLine({ type: was ? 'MODIFIED' : 'ADDED', object: entry.after })
    else if (was && entry.before !== undefined) {
      const { metadata } = entry.before
      const object = { ...entry.before, metadata: { ...metadata, resourceVersion: String(entry.version) } }
      stream.sendLine({ type: 'DELETED', object })
    }
  }

  /** As etcd has them: by namespace and name. */
  #inOrder(collection: string): FakeObject[] {
    return [...this.#collectionOf(collection)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object)
  }

  #collectionOf(collection: string): Map<string, FakeObject> {
    let objects = this.#collections.get(collection)
    if (objects === undefined) {
      objects = new Map()
      this.#collections.set(collection, objects)
    }
    return objects
  }
}

/** What a list or a watch is about. */
interface Wanted {
  readonly collection: string
  readonly matches: (object: FakeObject) => boolean
}

function matcherOf(query: URLSearchParams, namespace: string | undefined): Wanted['matches'] | undefined {
  const selected = selectorOf(query)
  if (selected === undefined) return undefined
  return (object) => selected(object) && (namespace === undefined || object.metadata.namespace === namespace)
}

/**
 * What a query selects; undefined for what is no selector.
 *
 * @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
 */
function selectorOf(query: URLSearchParams): ((object: FakeObject) => boolean) | undefined {
  const parts = (query.get('labelSelector') ?? '').split(/,(?![^(]*\))/).filter((part) => part !== '')
  const labels = parts.map((part) => requirementOf(part.trim()))
  const fields = (query.get('fieldSelector') ?? '').split(',').filter((part) => part !== '')
  const byField = fields.map((part) => /^metadata\.(name|namespace)(!=|==?)(.*)$/.exec(part))
  if (labels.includes(undefined) || byField.includes(null)) return undefined
  return ({ metadata }) =>
    byField.every((found) => {
      const [, field, operator, value] = found ?? []
      return (metadata[field as 'name'] === value) === (operator !== '!=')
    }) && labels.every((matches) => matches?.(metadata.labels ?? {}))
}

const LABEL = String.raw`(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?`
const ABSENT = new RegExp(`^!\\s*(${LABEL})$`)
const PRESENT = new RegExp(`^(${LABEL})$`)
const EQUALITY = new RegExp(String.raw`^(${LABEL})\s*(!=|==?)\s*([-A-Za-z0-9_.]{0,63})$`)
const SET = new RegExp(String.raw`^(${LABEL})\s+(in|notin)\s*\(([-A-Za-z0-9_., ]*)\)$`)

function requirementOf(part: string): ((labels: Readonly<Record<string, string>>) => boolean) | undefined {
  const absent = ABSENT.exec(part)?.[1]
  if (absent !== undefined) return (labels) => labels[absent] === undefined
  const present = PRESENT.exec(part)?.[1]
  if (present !== undefined) return (labels) => labels[present] !== undefined
  const [, key = '', , operator, values = ''] = EQUALITY.exec(part) ?? SET.exec(part) ?? []
  if (operator === undefined) return undefined
  const allowed = values.split(',').map((value) => value.trim())
  const isNegative = operator === '!=' || operator === 'notin'
  // A label that is not there is unlike every value.
  return (labels) => allowed.includes(labels[key] ?? '\0') !== isNegative
}

/** Why the real server would not take an EndpointSlice; undefined for one that it takes. */
function problemOfSlice({ addressType, endpoints, ports }: FakeObject): string | undefined {
  const isRight = ADDRESS_TYPES[addressType as keyof typeof ADDRESS_TYPES] as
    ((text: string) => boolean) | undefined
  if (isRight === undefined) return 'addressType: Unsupported value'
  const all = (endpoints ?? []) as readonly { readonly addresses?: readonly string[] }[]
  if (all.length > 1000) return 'endpoints: Too many'
  for (const { addresses = [] } of all) {
    if (addresses.length === 0 || addresses.length > 100) return 'addresses: must contain 1 to 100'
    if (!addresses.every(isRight)) return 'addresses: Invalid value'
  }
  const named = (ports ?? []) as readonly { name?: string | null; protocol?: string }[]
  if (new Set(named.map(({ name }) => name ?? '')).size < named.length) return 'ports: Duplicate value'
  for (const { protocol = 'TCP' } of named) {
    if (!['TCP', 'UDP', 'SCTP'].includes(protocol)) return 'protocol: Unsupported value'
  }
  return undefined
}

const ADDRESS_TYPES = {
  IPv4: isIPv4,
  IPv6: isIPv6,
  FQDN: (text: string) => /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text),
}

const COLLECTION_PATHS = Object.values<string>(COLLECTIONS)

function keyOf({ metadata: { namespace, name } }: FakeObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

/** An object after a patch; undefined where an operation of it fails. */
function patched(object: FakeObject, type: string, body: unknown): FakeObject | undefined {
  if (type !== 'application/json-patch+json') return merge(object, body) as FakeObject
  const result = structuredClone(object) as Record<string, unknown>
  for (const { op, path, value } of body as { op: string; path: string; value: unknown }[]) {
    const fields = path
      .slice(1)
      .split('/')
      .map((field) => field.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = fields.pop() ?? ''
    let parent: unknown = result
    for (const field of fields) parent = (parent as Record<string, unknown> | undefined)?.[field]
    if (typeof parent !== 'object' || parent === null) return undefined
    const holder = parent as Record<string, unknown>
    if (op !== 'add' && !(last in holder)) return undefined
    if (op === 'test' && !isDeepStrictEqual(holder[last], value)) return undefined
    if (op === 'add' || op === 'replace') holder[last] = value
    if (op === 'remove') delete holder[last]
  }
  return result as FakeObject
}

/** A merge patch (RFC 7386). */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const merged = typeof target === 'object' && target !== null ? { ...target } : {}
  for (const [field, value] of Object.entries(patch) as [keyof typeof merged, unknown][]) {
    if (value === null) delete merged[field]
    else Object.assign(merged, { [field]: merge(merged[field], value) })
  }
  return merged
}

function statusOf(code: number, reason: string, message: string): object {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, code }
}

function refusal(status: number, message: string, stream: FakeStream): FakeAnswer {
  return whole(status, JSON.stringify(statusOf(status, '', message)), stream)
}

function whole(status: number, text: string, stream: FakeStream): FakeAnswer {
  stream.send(text)
  stream.end()
  return { status, headers: { 'content-type': 'application/json' }, stream }
}

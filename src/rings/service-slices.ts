import { setImmediate } from 'node:timers'
import { sleep } from '../clock.ts'
import { isRingmanError, type RingmanError } from '../errors.ts'
import type { Basics } from '../basics.ts'
import type { ApiClient } from '../kubernetes/api-client.ts'
import { ALL_NAMESPACES, ENDPOINT_SLICES } from '../kubernetes/api-resource.ts'
import { ListWatch, type ListWatchSettings } from '../kubernetes/list-watch.ts'
import {
  parseEndpointSlice,
  SERVICE_LABEL,
  type EndpointSlice,
} from '../membership/kubernetes/endpoint-slice.ts'
import type { OpenSliceFeed } from '../membership/kubernetes/slice-feed.ts'

export interface ServiceSlicesDeps extends Basics {
  readonly client: ApiClient
  /** Namespaces that are watched, each by a watch of its own; `[ALL_NAMESPACES]` for all by one. */
  readonly namespaces: readonly string[]
  readonly listWatch?: Partial<ListWatchSettings> | undefined
}

/** EndpointSlices that are held at most: those of the Services that are followed. */
const SLICES_LIMIT = 100_000

/** How long one turn of the event loop may spend on telling of changes, in milliseconds. */
const TURN_MS = 5

/** Endpoints of Services that become known in one turn: their first rings are made right after it. */
const TURN_ENDPOINTS = 200

/** Wait before the slices of a Service are listed again, in milliseconds; it doubles. */
const RETRY_MIN_MS = 500
const RETRY_MAX_MS = 30_000

/** A Service whose slices somebody follows. */
interface Followed {
  readonly namespace: string
  readonly service: string
  /** By name. */
  slices: Map<string, EndpointSlice>
  /** The version of the list of its own: what is not newer than that is known already. */
  listedAt: string
  readonly known: PromiseWithResolvers<void>
  isKnown: boolean
  readonly followers: Set<Follower>
  readonly abort: AbortController
}

interface Follower {
  readonly onSlices: () => void
  readonly onFailure: (error: RingmanError) => void
}

/**
 * The EndpointSlices of many Services by one watch for all namespaces, or one for each that is named. Slices of Services
 * that nobody follows are read and forgotten. A Service that is followed later than the watch began is listed once by
 * itself; what the watch tells of it that is older than this list is passed over.
 *
 * Changes are told a few at a time, so that a list of everything does not hold the event loop.
 */
export class ServiceSlices {
  readonly done: Promise<unknown>
  readonly #deps: ServiceSlicesDeps
  readonly #watches: ReadonlyMap<string, ListWatch<EndpointSlice>>
  readonly #followed = new Map<string, Followed>()
  /** Whose slice it is, by `NAMESPACE/SLICE`. */
  readonly #owners = new Map<string, Followed>()
  readonly #changed = new Set<Followed>()
  #turnDue = false
  #stopped = false

  constructor(deps: ServiceSlicesDeps) {
    this.#deps = deps
    this.#watches = new Map(
      deps.namespaces.map((namespace) => [
        namespace,
        new ListWatch<EndpointSlice>({
          ...deps,
          selection: { kind: ENDPOINT_SLICES, namespace, labelSelector: SERVICE_LABEL },
          parse: parseNamed,
          wants: (slice) => this.#followed.has(`${slice.namespace}/${slice.service}`),
          onObjects: (objects, changed) => {
            if (changed === undefined) this.#takeAll(namespace, objects)
            else this.#take(objects, changed)
          },
          onFailure: (error) => {
            for (const followed of this.#followed.values()) {
              if (namespace === ALL_NAMESPACES || namespace === followed.namespace) tellOf(error, followed)
            }
          },
          logger: deps.logger.child({ component: 'endpoint-slices' }),
          settings: { maxObjects: SLICES_LIMIT, ...deps.listWatch },
        }),
      ]),
    )
    this.done = Promise.all(Array.from(this.#watches.values(), ({ done }) => done))
    this.done.catch(() => {})
  }

  /** Begins. Services that are followed by now need no list of their own. */
  start(): void {
    for (const watch of this.#watches.values()) watch.start()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const { abort } of this.#followed.values()) abort.abort()
    await Promise.all(Array.from(this.#watches.values(), (watch) => watch.stop()))
  }

  /** The slices of a Service, for one source. */
  feed(namespace: string, service: string): OpenSliceFeed {
    const watch = this.#watchOf(namespace)
    return (onSlices, onFailure) => {
      const follower: Follower = { onSlices, onFailure }
      let followed: Followed | undefined
      return {
        namespace,
        get objects() {
          return followed?.slices ?? new Map<string, EndpointSlice>()
        },
        get status() {
          return { ...watch.status, listed: followed?.isKnown === true }
        },
        get listed() {
          return followed?.known.promise ?? Promise.reject(new Error('nobody follows these slices yet'))
        },
        done: watch.done,
        start: () => {
          followed = this.#followed.get(`${namespace}/${service}`) ?? this.#follow(namespace, service)
          followed.followers.add(follower)
        },
        stop: () => {
          followed?.followers.delete(follower)
          if (followed?.followers.size === 0) this.#forget(followed)
          return Promise.resolve()
        },
      }
    }
  }

  #follow(namespace: string, service: string): Followed {
    const followed: Followed = {
      namespace,
      service,
      slices: new Map(),
      listedAt: '',
      isKnown: false,
      followers: new Set(),
      known: Promise.withResolvers(),
      abort: new AbortController(),
    }
    this.#followed.set(`${namespace}/${service}`, followed)
    if (this.#watchOf(namespace).status.listed) void this.#listOne(followed)
    return followed
  }

  #forget(followed: Followed): void {
    const { namespace, service, slices, abort } = followed
    abort.abort()
    this.#changed.delete(followed)
    this.#followed.delete(`${namespace}/${service}`)
    for (const name of slices.keys()) this.#owners.delete(`${namespace}/${name}`)
  }

  /**
   * The slices of a Service as the API server has them at this moment, and not as a watch may tell them later.
   *
   * @throws {RingmanError} See `ApiErrorKind`.
   */
  async listNow(
    namespace: string,
    service: string,
    signal: AbortSignal,
  ): Promise<{ readonly slices: readonly EndpointSlice[]; readonly version: string }> {
    const selection = { kind: ENDPOINT_SLICES, namespace, labelSelector: `${SERVICE_LABEL}=${service}` }
    const { items, version } = await this.#deps.client.list(selection, { limit: 0 }, signal)
    return { slices: items.flatMap((item) => parseEndpointSlice(item) ?? []), version }
  }

  #watchOf(namespace: string): ListWatch<EndpointSlice> {
    const watch = this.#watches.get(namespace) ?? this.#watches.get(ALL_NAMESPACES)
    if (watch === undefined) throw new Error(`the namespace ${namespace} is not watched`)
    return watch
  }

  /** Lists the slices of a Service that was followed after the watch had begun. */
  async #listOne(followed: Followed): Promise<void> {
    const { clock, random } = this.#deps
    const { signal } = followed.abort
    for (let waitMs = RETRY_MIN_MS; !signal.aborted; waitMs = Math.min(RETRY_MAX_MS, 2 * waitMs)) {
      try {
        const { slices, version } = await this.listNow(followed.namespace, followed.service, signal)
        if (signal.aborted) return
        followed.listedAt = version
        const named = new Map(slices.map((slice) => [slice.name, slice]))
        // What the watch told meanwhile may be newer than the list.
        for (const slice of followed.slices.values()) {
          if (isNewer(slice.version, version)) named.set(slice.name, slice)
        }
        this.#replace(followed, named)
        this.#tell()
        return
      } catch (error) {
        if (signal.aborted) return
        if (isRingmanError(error)) tellOf(error, followed)
        await sleep(clock, waitMs * (0.5 + 0.5 * random()), signal)
      }
    }
  }

  #takeAll(watched: string, objects: ReadonlyMap<string, EndpointSlice>): void {
    const byService = new Map<Followed, Map<string, EndpointSlice>>()
    for (const followed of this.#followed.values()) {
      if (watched === ALL_NAMESPACES || followed.namespace === watched) byService.set(followed, new Map())
    }
    for (const slice of objects.values()) {
      const followed = this.#followed.get(`${slice.namespace}/${slice.service}`)
      if (followed !== undefined) byService.get(followed)?.set(localName(slice), slice)
    }
    for (const [followed, slices] of byService) {
      followed.listedAt = ''
      this.#replace(followed, slices)
    }
    this.#tell()
  }

  #take(objects: ReadonlyMap<string, EndpointSlice>, changed: ReadonlySet<string>): void {
    for (const key of changed) {
      const slice = objects.get(key)
      const before = this.#owners.get(key)
      const followed = slice && this.#followed.get(`${slice.namespace}/${slice.service}`)
      if (before !== undefined && before !== followed) {
        before.slices.delete(key.slice(before.namespace.length + 1))
        this.#owners.delete(key)
        this.#changed.add(before)
      }
      if (slice === undefined || followed === undefined) continue
      const name = localName(slice)
      const held = followed.slices.get(name)
      if (!isNewer(slice.version, held?.version ?? followed.listedAt)) continue
      followed.slices.set(name, slice)
      this.#owners.set(key, followed)
      this.#changed.add(followed)
    }
    this.#tell()
  }

  #replace(followed: Followed, slices: Map<string, EndpointSlice>): void {
    const { namespace } = followed
    for (const name of followed.slices.keys()) this.#owners.delete(`${namespace}/${name}`)
    for (const name of slices.keys()) this.#owners.set(`${namespace}/${name}`, followed)
    followed.slices = slices
    this.#changed.add(followed)
  }

  /** Tells of what changed: at once, and what takes too long for one turn of the event loop in the next ones. */
  #tell(): void {
    if (this.#turnDue) return
    this.#turnDue = true
    this.#tellSome()
  }

  #tellSome(): void {
    const { clock } = this.#deps
    const endMs = clock.now() + TURN_MS
    let found = 0
    for (const followed of this.#changed) {
      this.#changed.delete(followed)
      const isListed = followed.listedAt !== '' || this.#watchOf(followed.namespace).status.listed
      if (!followed.isKnown && isListed) {
        followed.isKnown = true
        followed.known.resolve()
        for (const { endpoints } of followed.slices.values()) found += endpoints.length
      }
      for (const { onSlices } of [...followed.followers]) onSlices()
      if (clock.now() >= endMs || found >= TURN_ENDPOINTS) break
    }
    this.#turnDue = this.#changed.size > 0 && !this.#stopped
    if (this.#turnDue) setImmediate(() => this.#tellSome())
  }
}

function tellOf(error: RingmanError, { followers }: Followed): void {
  for (const { onFailure } of [...followers]) onFailure(error)
}

/** Names are unique within a namespace; the watch of all needs them unique among all. */
function parseNamed(value: unknown): EndpointSlice | undefined {
  const slice = parseEndpointSlice(value)
  return slice && { ...slice, name: `${slice.namespace}/${slice.name}` }
}

function localName({ namespace, name }: EndpointSlice): string {
  return name.slice(namespace.length + 1)
}

/**
 * Whether a version of an object is newer than another one: they are numbers that rise. Where they are not, what comes
 * later counts as newer.
 *
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
 */
function isNewer(version: string, than: string): boolean {
  if (!/^\d+$/.test(version) || !/^\d+$/.test(than)) return version !== than
  return version.length === than.length ? version > than : version.length > than.length
}

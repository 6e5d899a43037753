import { setImmediate } from 'node:timers/promises'
import { sleep } from '../clock.ts'
import { counted } from '../counted.ts'
import { RingmanError } from '../errors.ts'
import type { ApiClient } from '../kubernetes/api-client.ts'
import { ALL_NAMESPACES } from '../kubernetes/api-resource.ts'
import { ListWatch, type ListWatchSettings, type ListWatchStatus } from '../kubernetes/list-watch.ts'
import { Listeners } from '../listeners.ts'
import type { Logger } from '../logger.ts'
import type { Basics } from '../basics.ts'
import type { KeptPlaces } from '../membership/kubernetes/kubernetes-source.ts'
import type { NamedRing, NamedRings, NamedRingSummary } from '../service/named-rings.ts'
import { HASH_RINGS, parseHashRing, type HashRingResource, type HashRingSpec } from './hash-ring-resource.ts'
import { NO_RINGS, type KeptRings, type RingPeers } from './ring-peers.ts'
import { ServiceSlices } from './service-slices.ts'
import { WorkloadRing } from './workload-ring.ts'

export interface HashRingControllerDeps extends Basics {
  readonly client: ApiClient
  /** Namespaces whose HashRings make rings; none for all. */
  readonly namespaces: readonly string[]
  /** Whether a ring may be written to a ConfigMap. */
  readonly mayPublish: boolean
  readonly peers: Pick<RingPeers, 'ask' | 'withNodes'>
  readonly listWatch?: Partial<ListWatchSettings> | undefined
}

export interface HashRingEntry {
  /** Undefined for a ring that was taken from another pod. */
  resource: HashRingResource | undefined
  /** Why it makes no ring; undefined for one that does. */
  refusal: string | undefined
  /** The ring that is answered from. */
  ring: WorkloadRing | undefined
  /** The one that takes its place once its members are known, because the spec has changed. */
  next: WorkloadRing | undefined
  /** What of the spec makes another ring; the rest can be adjusted. */
  identity: string
}

const WITHOUT_RING = { ring: undefined, next: undefined, identity: '' }

/** HashRings and rings of other pods are waited for as long, in milliseconds, before those others' rings are taken. */
const PATIENCE_MS = 5000

/** How soon the other pods are asked again where none had rings and the API server does not answer, in milliseconds. */
const ASK_AGAIN_MS = 1000

/** How long one turn of the event loop may spend on making rings, in milliseconds. */
const TURN_MS = 5

/** The rings that this process makes of HashRings, by their names. */
export class HashRingController implements NamedRings {
  readonly #over = Promise.withResolvers<void>()
  /** Rejects when one of the watches breaks; resolves after `stop`. */
  readonly done = this.#over.promise
  readonly slices: ServiceSlices
  readonly #deps: HashRingControllerDeps
  readonly #logger: Logger
  readonly #watches: readonly ListWatch<HashRingResource>[]
  readonly #entries = new Map<string, HashRingEntry>()
  readonly #listeners: Listeners<HashRingEntry>
  readonly #abort = new AbortController()
  #kept = NO_RINGS
  #listed = false
  #areTaken = false
  #stopping: Promise<void> | undefined

  constructor(deps: HashRingControllerDeps) {
    this.#deps = deps
    this.#logger = deps.logger.child({ component: 'hash-rings' })
    this.#listeners = new Listeners(this.#logger)
    const namespaces = deps.namespaces.length === 0 ? [ALL_NAMESPACES] : deps.namespaces
    this.#watches = namespaces.map(
      (namespace) =>
        new ListWatch<HashRingResource>({
          ...deps,
          selection: { kind: HASH_RINGS, namespace },
          parse: parseHashRing,
          onObjects: (objects, changed) => {
            if (!this.#listed) return
            if (changed === undefined) this.#takeAll()
            else for (const name of changed) this.#take(name, objects.get(name))
          },
          logger: this.#logger,
          settings: deps.listWatch,
        }),
    )
    this.slices = new ServiceSlices({ ...deps, namespaces, logger: this.#logger })
    this.done.catch(() => {})
    for (const { done } of [this.slices, ...this.#watches]) done.catch(this.#over.reject)
  }

  /** How well the HashRings are known, for each watch. */
  get status(): readonly ListWatchStatus[] {
    return this.#watches.map(({ status }) => status)
  }

  get entries(): ReadonlyMap<string, HashRingEntry> {
    return this.#entries
  }

  /** Calls `listener` when a HashRing or its ring changed. @returns A function that ends the subscription. */
  subscribe(listener: (entry: HashRingEntry) => void): () => void {
    return this.#listeners.add(listener)
  }

  /** Begins; it waits for nothing. Once only. */
  start(): void {
    this.#run().catch(this.#over.reject)
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      this.#abort.abort()
      this.#listeners.clear()
      const rings = Array.from(this.#entries.values(), ({ ring, next }) => [ring, next]).flat()
      this.#entries.clear()
      await Promise.all([
        ...this.#watches.map((watch) => watch.stop()),
        this.slices.stop(),
        ...rings.map((ring) => ring?.close()),
      ])
      this.#over.resolve()
    })()
    return this.#stopping
  }

  get(name: string): NamedRing {
    const entry = this.#entries.get(name)
    if (entry?.ring !== undefined) return entry.ring
    if (entry?.refusal !== undefined) {
      throw new RingmanError('RING_NOT_ACCEPTED', `the HashRing ${name} makes no ring: ${entry.refusal}`)
    }
    throw entry === undefined && this.#listed
      ? new RingmanError('RING_NOT_FOUND', `there is no HashRing ${name}`)
      : new RingmanError('RINGS_NOT_LISTED', this.readiness.message)
  }

  list(): readonly NamedRingSummary[] {
    if (!this.#listed && this.#entries.size === 0) {
      throw new RingmanError('RINGS_NOT_LISTED', this.readiness.message)
    }
    return [...this.known()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  known(): readonly NamedRingSummary[] {
    return Array.from(this.#entries, ([name, { refusal: reason, ring }]) => {
      return { name, accepted: reason === undefined, reason, ring }
    })
  }

  get readiness(): { readonly ok: boolean; readonly message: string } {
    const problem = this.status.find((status) => status.problem !== undefined)?.problem
    const why = problem === undefined ? '' : `: ${problem}`
    if (!this.#listed) {
      const taken = `, and the rings are those that ${this.#kept.from ?? 'another pod'} had`
      const message = `The HashRings have not been listed yet${this.#areTaken ? taken : ''}${why}`
      return { ok: this.#areTaken, message }
    }
    const entries = [...this.#entries.values()]
    const unknown = entries.filter(({ ring, refusal }) => ring === undefined && refusal === undefined).length
    const rings = counted(entries.length, 'ring')
    return unknown > 0
      ? { ok: false, message: `No EndpointSlices yet for ${unknown} of ${rings}${why}` }
      : { ok: true, message: `${rings} of HashRings can be asked${why}` }
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    const { clock, peers } = this.#deps
    for (const watch of this.#watches) watch.start()
    const isKnown = () => this.status.every(({ listed: isListed }) => isListed)
    const listed = Promise.all(this.#watches.map((watch) => watch.listed))
    // Whoever stops it meanwhile is not told of a list that does not come.
    listed.catch(() => {})
    const asked = peers.ask(signal).then((kept) => void (this.#kept = kept))
    await Promise.race([Promise.allSettled([listed, asked]), sleep(clock, PATIENCE_MS, signal)])
    if (signal.aborted) return
    if (!isKnown()) {
      await asked
      // Gossip may bring the other pods later; without the API server there is nobody else to ask.
      while (!isKnown() && this.#kept.from === undefined && !signal.aborted) {
        await Promise.race([listed, sleep(clock, ASK_AGAIN_MS, signal)])
        if (!isKnown()) this.#kept = await peers.ask(signal)
      }
    }
    if (!isKnown()) {
      this.#kept = await peers.withNodes(this.#kept, signal)
      await this.#takeFromPeers(this.#kept)
    }
    await Promise.race([listed, sleep(clock, Infinity, signal)])
    if (signal.aborted) return
    await this.#takeInTurns()
    if (signal.aborted) return
    this.#listed = true
    // What came meanwhile.
    this.#takeAll()
    // The Services are known by now whose slices are wanted.
    this.slices.start()
  }

  /** Takes what a write of this process came to, before the watch tells of it. */
  takeWritten(before: HashRingResource, after: HashRingResource): void {
    const entry = this.#entries.get(after.name)
    if (entry?.resource === before) this.#take(after.name, after)
  }

  /** Takes the rings of another pod as they are, until all of them can be asked. */
  async #takeFromPeers({ from = '', rings }: KeptRings): Promise<void> {
    const started: Promise<void>[] = []
    for (const [name, kept] of rings) {
      const ring = WorkloadRing.taken(name, kept, from, this.#deps)
      const entry: HashRingEntry = { ...WITHOUT_RING, resource: undefined, refusal: undefined, next: ring }
      this.#entries.set(name, entry)
      started.push(this.#swapIn(entry, ring))
    }
    await Promise.all(started)
    this.#areTaken = rings.size > 0
    if (rings.size > 0) {
      const message = 'Took the rings from another pod, because the API server does not answer'
      this.#logger.warn({ event: 'rings.taken', from, rings: rings.size }, message)
    }
  }

  /** Takes the HashRings a few at a time, so that many of them do not hold the event loop. */
  async #takeInTurns(): Promise<void> {
    const { clock } = this.#deps
    let endMs = clock.now() + TURN_MS
    for (const { objects } of this.#watches) {
      for (const name of [...objects.keys()]) {
        this.#take(name, objects.get(name))
        if (clock.now() < endMs) continue
        await setImmediate()
        if (this.#abort.signal.aborted) return
        endMs = clock.now() + TURN_MS
      }
    }
  }

  #takeAll(): void {
    const names = new Set<string>()
    for (const { objects } of this.#watches) {
      for (const [name, resource] of objects) {
        names.add(name)
        this.#take(name, resource)
      }
    }
    for (const name of this.#entries.keys()) if (!names.has(name)) this.#take(name, undefined)
  }

  /** Makes the ring of a HashRing what its spec says. */
  #take(name: string, resource: HashRingResource | undefined): void {
    const entry = this.#entries.get(name)
    if (resource === undefined) {
      if (entry === undefined) return
      this.#entries.delete(name)
      this.#drop(entry.ring)
      this.#drop(entry.next)
      this.#logger.info({ event: 'hash-ring.deleted', hashRing: name }, 'Dropped the ring of a HashRing')
      return
    }
    const { spec } = resource
    const refusal = this.#refusalOf(resource)
    const made: HashRingEntry = Object.assign(entry ?? { ...WITHOUT_RING }, { resource, refusal })
    this.#entries.set(name, made)
    if (spec === undefined || refusal !== undefined) {
      this.#drop(made.ring)
      this.#drop(made.next)
      Object.assign(made, WITHOUT_RING)
    } else this.#follow(made, resource, spec)
    this.#listeners.call(made)
  }

  #refusalOf({ spec, problem }: HashRingResource): string | undefined {
    if (spec === undefined) return problem
    if (spec.publish !== undefined && !this.#deps.mayPublish) {
      return 'spec.publish is set, and this installation may not write ConfigMaps (rings.publish of the chart)'
    }
    return undefined
  }

  #follow(entry: HashRingEntry, resource: HashRingResource, spec: HashRingSpec): void {
    const { name, namespace, uid, status, acceptLoss } = resource
    const identity = JSON.stringify([uid, spec.service, spec.port, spec.ringKey])
    if (entry.identity !== identity) {
      const isFirst = entry.identity === ''
      entry.identity = identity
      this.#drop(entry.next)
      const openFeed = this.slices.feed(namespace, spec.service)
      const kept = isFirst ? this.#keptOf(name, spec) : undefined
      const ring = WorkloadRing.following(resource, spec, openFeed, kept, this.#deps)
      entry.next = ring
      ring.takeVersion(status)
      void this.#swapIn(entry, ring)
      return
    }
    for (const ring of [entry.ring, entry.next]) {
      ring?.takeVersion(status)
      ring?.source?.adjust({ holdRestartingMs: spec.holdMs, brake: spec.brake })
    }
    const { ring } = entry
    if (acceptLoss !== undefined && acceptLoss === ring?.service.manager.snapshot.ring.digest) {
      ring.source?.acceptLoss()
    }
  }

  #keptOf(name: string, { holdMs }: HashRingSpec): KeptPlaces | undefined {
    const kept = this.#kept.rings.get(name)
    if (kept === undefined) return undefined
    const wallMs = this.#deps.clock.wallNow()
    const held = Array.from(kept.heldSinceMs, ([member, sinceMs]) => {
      const leftMs = Math.min(holdMs, Math.max(0, sinceMs + holdMs - wallMs))
      return [member, leftMs] as const
    })
    const frozen = kept.braked
      ? kept.nodes?.map(({ ringKey, name: member = ringKey, address = '', port = 0, zone }) => ({
          name: member,
          uid: '',
          address,
          port,
          zone,
          serving: false,
          terminating: false,
        }))
      : undefined
    return { held: new Map(held), frozen }
  }

  /** Answers from a ring once its members are known, and drops the one before it. */
  #swapIn(entry: HashRingEntry, ring: WorkloadRing): Promise<void> {
    ring.service.done.catch(this.#over.reject)
    return ring.service.start().then(
      () => {
        if (entry.next !== ring) return
        entry.next = undefined
        this.#drop(entry.ring)
        entry.ring = ring
        ring.service.manager.subscribe(() => {
          if (entry.ring === ring) this.#listeners.call(entry)
        })
        this.#listeners.call(entry)
      },
      (err: unknown) => {
        // One that is dropped before it has started says so too.
        if (entry.next !== ring || this.#abort.signal.aborted) return
        this.#logger.error({ event: 'hash-ring.failed', hashRing: ring.name, err }, 'Failed to make a ring')
      },
    )
  }

  #drop(ring: WorkloadRing | undefined): void {
    ring?.close().catch((err: unknown) => {
      this.#logger.error({ event: 'hash-ring.failed', hashRing: ring.name, err }, 'Failed to close a ring')
    })
  }
}

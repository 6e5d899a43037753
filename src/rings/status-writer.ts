import { sleep } from '../clock.ts'
import { counted } from '../counted.ts'
import { isRingmanError } from '../errors.ts'
import type { ApiClient } from '../kubernetes/api-client.ts'
import { apiErrorKindOf } from '../kubernetes/api-error.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import type { Logger } from '../logger.ts'
import type { ChangeRecord } from '../manager/change-record.ts'
import type { EndpointSlice } from '../membership/kubernetes/endpoint-slice.ts'
import type { RingService } from '../service/ring-service.ts'
import { TokenBucket } from '../token-bucket.ts'
import type { Basics } from '../basics.ts'
import type { HashRingController, HashRingEntry } from './hash-ring-controller.ts'
import {
  HASH_RING_GROUP,
  HASH_RING_TYPE,
  HASH_RINGS,
  parseHashRing,
  type HashRingResource,
} from './hash-ring-resource.ts'
import {
  percent,
  saysAlready,
  statusOf,
  timeOf,
  watchersFields,
  type Agreement,
  type Publication,
} from './hash-ring-status.ts'
import { standingOf, type Standing } from './installations.ts'
import { publishRing } from './ring-publication.ts'
import type { RingPeers } from './ring-peers.ts'
import type { WorkloadRing } from './workload-ring.ts'

export interface StatusWriterDeps extends Basics {
  readonly controller: HashRingController
  /** The ring of the pods themselves: who owns a HashRing's name there writes its status. */
  readonly own: RingService
  readonly peers: Pick<RingPeers, 'fingerprints'>
  readonly client: ApiClient
  readonly installation: string
  /** This pod's name, for events. */
  readonly podName: string
}

/** How often what changed is written, in milliseconds: several changes of one moment are one write. */
const ROUND_MS = 250
/** How often every ring is looked at, in milliseconds. */
const SWEEP_MS = 2000
/** Status writes of one ring: a workload that flaps gets a write every ten seconds. */
const WRITES = { burst: 6, perSecond: 0.1 }
const AT_A_TIME = 8
/** Pods are asked for their rings this often while something is new, and while nothing is, in milliseconds. */
const ASK_SOON_MS = 1000
const ASK_SELDOM_MS = 15_000
/** How long after a failed write of a ConfigMap it is tried again, and after a good one looked at again, in milliseconds. */
const PUBLISH_AGAIN_MS = 10_000
const PUBLISH_CHECK_MS = 300_000
/** A status that another installation writes may be behind for as long, in milliseconds. */
const LEFT_MS = 30_000
/** How long a difference may last before it is one, in milliseconds. */
const DIFFERENCE_MS = 5000

const EVENTS = { group: 'events.k8s.io', version: 'v1', plural: 'events' }

/** What is remembered of a ring whose status this pod writes. */
interface WrittenRing {
  /** `metadata.uid`: one that is made again under its name is another one. */
  readonly uid: string | undefined
  readonly bucket: TokenBucket
  agreement: Agreement
  /** Since when another pod holds another ring, in monotonic milliseconds; undefined while all are the same. */
  differsSinceMs: number | undefined
  publication: Publication | undefined
  /** When the ConfigMap is to be written or looked at again, in monotonic milliseconds. */
  publishAtMs: number
  publishedTo: string
  /** Since when the status of another installation has been behind; undefined while it is not. */
  leftSinceMs: number | undefined
  busy: boolean
}

/**
 * Writes the status of the HashRings whose names this pod owns on the pods' own ring, their events, and the ConfigMaps
 * that they ask for.
 *
 * There is no leader: two pods that both believe to own a name for a moment do no harm, since each write names the
 * version of the object that it changes. A ring gets a number only after its slices were listed, not from a cache, and
 * are those that the ring was made of: so an older ring never gets a higher number.
 */
export class StatusWriter {
  readonly #deps: StatusWriterDeps
  readonly #logger: Logger
  readonly #warnings: LimitedWarnings
  readonly #abort = new AbortController()
  readonly #records = new Map<string, WrittenRing>()
  readonly #dirty = new Set<string>()
  #unsubscribe = () => {}
  #loops: Promise<unknown> = Promise.resolve()
  #newsAtMs = -Infinity
  writes = 0

  constructor(deps: StatusWriterDeps) {
    this.#deps = deps
    this.#logger = deps.logger.child({ component: 'hash-ring-status' })
    this.#warnings = new LimitedWarnings(deps.clock, this.#logger, 60_000)
  }

  /** What is known of whether all pods hold a ring; undefined for one whose status another pod writes. */
  settled(name: string): boolean | undefined {
    return this.#records.get(name)?.agreement.settled
  }

  start(): void {
    const { controller } = this.#deps
    this.#unsubscribe = controller.subscribe((entry) => {
      const name = entry.resource?.name
      if (name === undefined) return
      this.#dirty.add(name)
      this.#newsAtMs = this.#deps.clock.now()
    })
    this.#loops = Promise.all([this.#write(), this.#ask()]).catch((err: unknown) => {
      this.#logger.error({ event: 'hash-ring-status.failed', err }, 'Failed in writing statuses')
    })
  }

  async stop(): Promise<void> {
    this.#unsubscribe()
    this.#abort.abort()
    await this.#loops
  }

  #owns(name: string): boolean {
    const { own } = this.#deps
    try {
      return own.state === 'running' && !own.unsure && own.owns(name)
    } catch {
      // The own ring is empty, or ends.
      return false
    }
  }

  #recordOf(name: string): WrittenRing {
    const uid = this.#deps.controller.entries.get(name)?.resource?.uid
    let record = this.#records.get(name)
    if (record === undefined || record.uid !== uid) {
      record = {
        uid,
        bucket: new TokenBucket(WRITES),
        agreement: { settled: undefined, message: 'The pods have not been asked yet' },
        differsSinceMs: undefined,
        publication: undefined,
        publishAtMs: -Infinity,
        publishedTo: '',
        leftSinceMs: undefined,
        busy: false,
      }
      this.#records.set(name, record)
    }
    return record
  }

  async #write(): Promise<void> {
    const { clock, controller } = this.#deps
    const { signal } = this.#abort
    const running = new Set<Promise<void>>()
    let sweepAtMs = 0
    while (!signal.aborted) {
      const nowMs = clock.now()
      if (nowMs >= sweepAtMs) {
        sweepAtMs = nowMs + SWEEP_MS
        for (const name of controller.entries.keys()) this.#dirty.add(name)
        for (const name of this.#records.keys()) {
          if (!controller.entries.has(name) || !this.#owns(name)) this.#records.delete(name)
        }
      }
      for (const name of [...this.#dirty]) {
        if (running.size >= AT_A_TIME) break
        this.#dirty.delete(name)
        const entry = controller.entries.get(name)
        if (entry?.resource === undefined || !this.#owns(name)) continue
        const record = this.#recordOf(name)
        if (record.busy) continue
        const writing = this.#writeOne(entry, entry.resource, record)
          .catch((error: unknown) => this.#fail(name, error))
          .finally(() => running.delete(writing))
        running.add(writing)
      }
      await sleep(clock, ROUND_MS, signal)
    }
    await Promise.all(running)
  }

  #fail(name: string, error: unknown): void {
    if (this.#abort.signal.aborted) return
    // Somebody else wrote meanwhile: the watch tells of it, and the next round looks again.
    if (apiErrorKindOf(error) === 'conflict') return
    this.#warnings.warn(
      { event: 'hash-ring-status.not-written', hashRing: name, err: error },
      'Could not write the status of a HashRing; it is tried again',
      apiErrorKindOf(error) ?? 'other',
    )
  }

  async #writeOne(entry: HashRingEntry, resource: HashRingResource, record: WrittenRing): Promise<void> {
    const { ring } = entry
    // The first members are on their way: there is nothing to say yet.
    if (ring === undefined && entry.refusal === undefined) return
    record.busy = true
    try {
      const isNew = ring !== undefined && ring.fingerprint !== resource.status.fingerprint
      const standing = this.#standingOf(resource, record, isNew)
      if (standing.role === 'bystander') {
        await this.#standBy(resource, standing)
        return
      }
      const wanted = this.#wanted(entry, resource, record, isNew, standing)
      if (!saysAlready(resource.status.whole, wanted)) {
        if (!record.bucket.tryTake(this.#deps.clock.now())) return
        if (ring !== undefined && isNew && !(await this.#isUpToDate(ring, resource))) return
        // The ring may have changed meanwhile; then what was listed is not what it was made of.
        if (isNew && !saysAlready(this.#wanted(entry, resource, record, isNew, standing), wanted)) return
        await this.#patch(resource, wanted)
        if (ring !== undefined && isNew) await this.#tell(resource, ring, wanted)
      }
      if (ring !== undefined) await this.#publish(resource, ring, record)
    } finally {
      record.busy = false
    }
  }

  #standingOf({ status, generation }: HashRingResource, record: WrittenRing, isNew: boolean): Standing {
    const { clock, installation } = this.#deps
    const isBehind = isNew || status.whole['observedGeneration'] !== generation
    record.leftSinceMs = isBehind ? (record.leftSinceMs ?? clock.now()) : undefined
    const isLeft = record.leftSinceMs !== undefined && clock.now() - record.leftSinceMs >= LEFT_MS
    return standingOf(installation, status.watchers, clock.wallNow(), isLeft)
  }

  /** Leaves the status to another installation, and says there that this one is there as well. */
  async #standBy(
    resource: HashRingResource,
    { writer, watchers }: Standing & { readonly role: 'bystander' },
  ): Promise<void> {
    if (watchers === undefined) return
    this.#warnings.warn(
      { event: 'hash-ring-status.left', hashRing: resource.name, installation: writer },
      'Left the status of a HashRing to another installation of ringman, which makes the same ring',
      writer,
    )
    await this.#patch(resource, watchersFields(watchers))
  }

  #wanted(
    entry: HashRingEntry,
    resource: HashRingResource,
    record: WrittenRing,
    isNew: boolean,
    { watchers }: Standing & { readonly role: 'writer' },
  ) {
    return statusOf(resource, entry, {
      version: resource.status.version + (isNew ? 1 : 0),
      agreement: record.agreement,
      publication: resource.spec?.publish && (record.publication ?? published(resource)),
      watchers,
      change: isNew ? entry.ring?.lastChange : undefined,
      time: timeOf(this.#deps.clock.wallNow()),
    })
  }

  /** Whether the slices that the ring was made of are those that the API server has at this moment. */
  async #isUpToDate(ring: WorkloadRing, resource: HashRingResource): Promise<boolean> {
    const { spec, namespace } = resource
    if (spec === undefined || ring.source === undefined) return false
    const { slices } = await this.#deps.controller.slices.listNow(namespace, spec.service, this.#abort.signal)
    return sameVersions(slices, ring.source.slices)
  }

  async #patch(resource: HashRingResource, status: object): Promise<void> {
    const { client, controller } = this.#deps
    const { namespace, localName, version } = resource
    const where = { kind: HASH_RINGS, namespace, name: localName, subresource: 'status' } as const
    const body = { metadata: { resourceVersion: version }, status }
    const patch = { ...where, type: 'application/merge-patch+json', body } as const
    const object = await client.write(patch, this.#abort.signal)
    this.writes += 1
    const written = parseHashRing(object)
    // The watch will say the same a moment later; until then nothing is to be written twice.
    if (written !== undefined) controller.takeWritten(resource, written)
  }

  /** Tells of a ring with a new number in an event, which `kubectl describe` shows. */
  async #tell(
    { namespace, localName, uid }: HashRingResource,
    ring: WorkloadRing,
    status: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const { client, podName, clock, random } = this.#deps
    const { lastChange } = ring
    const id = Math.floor(random() * 2 ** 32).toString(16)
    const body = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: `${localName.slice(0, 200)}.${clock.wallNow().toString(16)}${id}`, namespace },
      eventTime: `${new Date(clock.wallNow()).toISOString().slice(0, -1)}000Z`,
      reportingController: `${HASH_RING_GROUP}/ringman`,
      reportingInstance: podName.slice(0, 128),
      action: 'ChangeRing',
      reason: 'RingChanged',
      type: ring.braked || lastChange?.cause === 'dead' ? 'Warning' : 'Normal',
      regarding: { ...HASH_RING_TYPE, namespace, name: localName, uid },
      note: noteOf(Number(status['version']), ring, lastChange),
    }
    await client.write({ kind: EVENTS, namespace, type: 'application/json', body }, this.#abort.signal)
  }

  async #publish(resource: HashRingResource, ring: WorkloadRing, record: WrittenRing): Promise<void> {
    const { publish } = resource.spec ?? {}
    const { version, fingerprint } = resource.status
    record.publication ??= published(resource)
    if (publish === undefined || version === 0 || fingerprint !== ring.fingerprint) return
    const { client, clock } = this.#deps
    const target = JSON.stringify(publish)
    if (record.publishedTo !== target) record.publishAtMs = -Infinity
    const isDone = record.publication.version === version && record.publication.problem === undefined
    const isWaiting = isDone || record.publication.problem !== undefined
    if (isWaiting && clock.now() < record.publishAtMs) return
    record.publishedTo = target
    try {
      const { signal } = this.#abort
      const held = ring.service.manager.snapshot.ring
      const isWritten = await publishRing(client, resource, publish, held, version, signal)
      // What somebody else deletes or changes is put right after a while.
      record.publishAtMs = clock.now() + PUBLISH_CHECK_MS
      if (!isWritten || isDone) return
      record.publication = { version, problem: undefined }
      this.#dirty.add(resource.name)
    } catch (error) {
      if (!isRingmanError(error) || apiErrorKindOf(error) === 'conflict') throw error
      record.publication = { ...record.publication, problem: error.message }
      record.publishAtMs = clock.now() + PUBLISH_AGAIN_MS
      this.#dirty.add(resource.name)
      throw error
    }
  }

  /** Asks the pods for their rings, and finds out where they differ. */
  async #ask(): Promise<void> {
    const { clock, peers, controller } = this.#deps
    const { signal } = this.#abort
    let askedAtMs = -Infinity
    let isOpen = false
    // It wakes up often, since news may come at any time; others are asked only when it is time.
    for (; !signal.aborted; await sleep(clock, ASK_SOON_MS, signal)) {
      const nowMs = clock.now()
      const isNews = nowMs - this.#newsAtMs < ASK_SELDOM_MS
      if (!isOpen && !isNews && nowMs - askedAtMs < ASK_SELDOM_MS) continue
      askedAtMs = nowMs
      isOpen = false
      const rings = Array.from(controller.entries.values(), ({ ring }) => ring)
      const owned = rings.flatMap((ring) => (ring && this.#owns(ring.name) ? [ring] : []))
      if (owned.length === 0) continue
      const told = await peers.fingerprints(signal)
      for (const ring of owned) isOpen = this.#compare(ring, told) || isOpen
    }
  }

  /** @returns Whether a pod has another ring. */
  #compare(ring: WorkloadRing, told: ReadonlyMap<string, ReadonlyMap<string, string> | undefined>): boolean {
    const { clock } = this.#deps
    const record = this.#recordOf(ring.name)
    const differing = [...told].filter(([, rings]) => rings?.get(ring.name) !== ring.fingerprint)
    if (differing.length === 0) {
      record.differsSinceMs = undefined
      const pods = told.size + 1
      const message = pods === 1 ? 'The only pod holds this ring' : `All ${pods} pods hold this ring`
      record.agreement = { settled: true, message }
      return false
    }
    record.differsSinceMs ??= clock.now()
    if (clock.now() - record.differsSinceMs >= DIFFERENCE_MS) {
      const names = differing.map(([pod, rings]) => (rings === undefined ? `${pod} (no answer)` : pod))
      const more = names.length > 5 ? ` and ${names.length - 5} more` : ''
      const message = `Another ring, or none, is held by ${names.slice(0, 5).join(', ')}${more}`
      record.agreement = { settled: false, message }
      this.#dirty.add(ring.name)
    }
    return true
  }
}

function published({ status }: HashRingResource): Publication {
  const { publishedVersion } = status.whole
  return {
    version: Number.isSafeInteger(publishedVersion) ? (publishedVersion as number) : 0,
    problem: undefined,
  }
}

function sameVersions(a: Iterable<EndpointSlice>, b: Iterable<EndpointSlice>): boolean {
  const versions = (slices: Iterable<EndpointSlice>) =>
    Array.from(slices, ({ version }) => version)
      .sort()
      .join(' ')
  return versions(a) === versions(b)
}

/** What `kubectl describe` shows of a change. */
function noteOf(version: number, ring: WorkloadRing, change: ChangeRecord | undefined): string {
  const { ring: held } = ring.service.manager.snapshot
  const now = `version ${version} has ${counted(held.size, 'node')}`
  if (change === undefined) return `The ring was published: ${now}`
  const { cause, node, count, movedShare } = change
  const who = count === 1 ? node.slice(0, 300) : `${count} nodes`
  return `${who}: ${cause}, ${percent(movedShare)} of the keys moved; ${now}`
}

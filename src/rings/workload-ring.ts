import type { Basics } from '../basics.ts'
import { Listeners } from '../listeners.ts'
import type { ChangeRecord } from '../manager/change-record.ts'
import { HashRingManager } from '../manager/hash-ring-manager.ts'
import { KubernetesSource, type KeptPlaces } from '../membership/kubernetes/kubernetes-source.ts'
import type { OpenSliceFeed } from '../membership/kubernetes/slice-feed.ts'
import type { RingKeyMode } from '../membership/placement.ts'
import type { MembershipSource } from '../membership/source.ts'
import { StaticSource } from '../membership/static/static-source.ts'
import type { HashRing } from '../ring/hash-ring.ts'
import { fingerprintOf } from '../service/fingerprint.ts'
import type { NamedRing } from '../service/named-rings.ts'
import { RingService } from '../service/ring-service.ts'
import type { HashRingResource, HashRingSpec, HashRingStatus } from './hash-ring-resource.ts'
import type { KeptRing } from './ring-peers.ts'

/** Versions that are remembered for each ring: a status may tell of a ring that is not held any more, or not yet. */
const VERSIONS_LIMIT = 16

type Surroundings = Omit<Basics, 'random'>

/** The ring of one workload, in this process. */
export class WorkloadRing implements NamedRing {
  readonly name: string
  readonly service: RingService
  /** What makes it; undefined for a ring that was taken from another pod. */
  readonly source: KubernetesSource | undefined
  readonly uid: string | undefined
  readonly #takenBraked: boolean
  readonly #listeners: Listeners<void>
  /** By fingerprint, the oldest first. */
  readonly #versions = new Map<string, number>()
  #fingerprinted: { readonly ring: HashRing; readonly fingerprint: string } | undefined
  /** Why it changed last; undefined as long as it did not. */
  lastChange: ChangeRecord | undefined
  movedShare = 0

  private constructor(
    name: string,
    source: MembershipSource,
    ringKeyMode: RingKeyMode,
    { clock, logger }: Surroundings,
    known: { readonly uid?: string; readonly braked?: boolean },
  ) {
    const own = logger.child({ hashRing: name })
    this.name = name
    this.uid = known.uid
    this.#takenBraked = known.braked ?? false
    this.source = source instanceof KubernetesSource ? source : undefined
    const manager = new HashRingManager({ clock, logger: own })
    this.service = new RingService({ source, manager, logger: own, clock, ringKeyMode })
    this.#listeners = new Listeners(own)
    manager.subscribe(({ records }) => {
      this.lastChange = records[0]
      for (const { movedShare } of records) this.movedShare += movedShare
    })
  }

  /** A ring that follows a Service. @param kept - What another pod knows from memory. */
  static following(
    { name, uid }: Pick<HashRingResource, 'name' | 'uid'>,
    spec: HashRingSpec,
    openFeed: OpenSliceFeed,
    kept: KeptPlaces | undefined,
    surroundings: Surroundings,
  ): WorkloadRing {
    const source = new KubernetesSource(
      {
        slices: { serviceName: spec.service },
        port: spec.port,
        holdRestartingMs: spec.holdMs,
        brake: spec.brake,
        portSetting: 'spec.service.port',
        // The API server may be away for hours.
        startTimeoutMs: Infinity,
      },
      { ...surroundings, openFeed, kept, logger: surroundings.logger.child({ hashRing: name }) },
    )
    return new WorkloadRing(name, source, spec.ringKey, surroundings, { uid })
  }

  /** A ring as another pod has it, for as long as the API server does not answer. */
  static taken(
    name: string,
    { ringKey, nodes = [], braked }: Pick<KeptRing, 'ringKey' | 'nodes' | 'braked'>,
    from: string,
    surroundings: Surroundings,
  ): WorkloadRing {
    const source = new StaticSource(
      nodes.map(({ ringKey: key, name: member = key, address = '', port = 0, zone }) => {
        return { name: member, address, port, zone }
      }),
      surroundings.clock,
      surroundings.logger,
      {
        kind: 'kubernetes',
        condition: 'stale',
        message: `The API server has not answered since this process started, and the nodes are those that ${from} had`,
      },
    )
    return new WorkloadRing(name, source, ringKey, surroundings, { braked })
  }

  get fingerprint(): string {
    const { ring } = this.service.manager.snapshot
    if (this.#fingerprinted?.ring !== ring) this.#fingerprinted = { ring, fingerprint: fingerprintOf(ring) }
    return this.#fingerprinted.fingerprint
  }

  get version(): number | undefined {
    return this.#versions.get(this.fingerprint)
  }

  get braked(): boolean {
    return this.source?.braked ?? this.#takenBraked
  }

  takeVersion({ version, fingerprint }: Pick<HashRingStatus, 'version' | 'fingerprint'>): void {
    if (version === 0 || this.#versions.get(fingerprint) === version) return
    this.#versions.delete(fingerprint)
    this.#versions.set(fingerprint, version)
    const [oldest = ''] = this.#versions.keys()
    if (this.#versions.size > VERSIONS_LIMIT) this.#versions.delete(oldest)
    if (fingerprint === this.fingerprint) this.#listeners.call()
  }

  onVersion(listener: () => void): () => void {
    return this.#listeners.add(listener)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.service.stop()
  }
}

import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { messageOf, RingmanError } from '../../errors.ts'
import { getOrMake } from '../../get-or-make.ts'
import { NodeDnsResolver, type DnsResolver } from '../../seeds/dns-resolver.ts'
import { SeedResolver, type PodDirectory, type SeedSettings } from '../../seeds/seed-resolver.ts'
import { formatHostPort } from '../../addresses.ts'
import type { Seed } from '../../seeds/seed.ts'
import { noTracer, withSpan } from '../../tracing.ts'
import type { SourceHealth } from '../condition.ts'
import { leadsToThisMachine } from '../advertised-address.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import {
  decodeMetadata,
  encodeMetadata,
  type Member,
  type MemberMetadata,
  METADATA_LEVEL,
  WEIGHT_LIMIT,
} from '../member.ts'
import type { GossipReport, MemberControl } from '../control.ts'
import type { MembershipSource } from '../source.ts'
import { SourceBase } from '../source-base.ts'
import type { SourceStatistics } from '../statistics.ts'
import type { FollowedFile } from './followed-file.ts'
import { followKeyring, followLabels, type GossipFileOptions } from './gossip-files.ts'
import { describeKeys, keyId, type Keyring } from './keyring.ts'
import { describeLabels } from './labels.ts'
import { DEFAULT_GOSSIP_PORT, MemberlistNode } from './memberlist-node.ts'
import { DEFAULT_BIND_HOST, type MemberlistNodeOptions } from './node-options.ts'
import type { JoinFinishedEffect, MemberView } from './protocol/effects.ts'
import { sameEndpoint, type Endpoint } from './protocol/endpoint.ts'
import { describeHealth, isRefusal } from './memberlist-health.ts'
import { memberlistStatistics } from './memberlist-statistics.ts'

/** Milliseconds that the time of day must be off by before the times of states follow it. */
const CLOCK_STEP_MS = 1000

export interface MemberlistSourceOptions extends Omit<MemberlistNodeOptions, 'meta'> {
  /** What this member says of itself. */
  readonly metadata: MemberMetadata
  /** The port at which it answers look-ups over HTTP, asked for at the start. @default it does not */
  readonly httpPort?: (() => number | undefined) | undefined
  /** Its admin port, asked for at the start. @default none */
  readonly adminPort?: (() => number | undefined) | undefined
  /** Addresses to join through; none makes a cluster of one, which others can join. @default none */
  readonly seeds?: readonly Seed[]
  readonly seedSettings?: Partial<SeedSettings> | undefined
  /** A file of keys, followed while the source runs; see `parseKeyring`. In place of `keyring`. */
  readonly keyringFile?: string | undefined
  /** A file of labels, followed while the source runs; see `parseLabels`. In place of `label`. */
  readonly labelFile?: string | undefined
  /** @default the DNS of this machine */
  readonly dns?: DnsResolver
  /** Knows the pods that `pods:` seeds mean. */
  readonly pods?: PodDirectory | undefined
}

const LONGEST_HANDOVER = { phase: 'weighing', number: 2 ** 32 - 1, weight: WEIGHT_LIMIT } as const

/** Seeds are asked every few seconds while this member is alone. */
const REFUSAL_WARNING_MS = 60_000

/** Members by HashiCorp memberlist's protocol: ours, wire-compatible with the Go library. */
export class MemberlistSource extends SourceBase implements MembershipSource, MemberControl {
  readonly kind = 'memberlist'
  readonly selfName: string
  /** The node behind the source: counters, broadcasts, delegates. */
  readonly node: MemberlistNode
  readonly #options: MemberlistSourceOptions
  readonly #resolver: SeedResolver
  readonly #keyringFile: FollowedFile<Keyring> | undefined
  readonly #labelFile: FollowedFile<readonly string[]> | undefined
  readonly #refusalWarnings: LimitedWarnings
  /** What metadata means is found out once, while the bytes live. */
  readonly #decoded = new WeakMap<Uint8Array, { readonly metadata: MemberMetadata | undefined }>()
  /** Adds up with the monotonic time to the time of day. */
  #wallOriginMs = 0
  readonly #messageListeners: ((payload: Uint8Array) => void)[] = []
  #lastJoin: JoinFinishedEffect | undefined
  /** What this member says of itself now. */
  #own: MemberMetadata
  #beganAtMs = 0

  /** @throws {RingmanError} `METADATA_TOO_LARGE`. */
  constructor(options: MemberlistSourceOptions) {
    super(options.logger)
    const { name, clock, random, logger } = options
    this.#own = options.metadata
    const encodeOwn = () => this.#encodeOwn()
    this.#options = options
    // What is too large is so by now, in every state of a hand-over.
    this.#encodeOwn(this.#own.handover && { handover: LONGEST_HANDOVER })
    this.selfName = name
    this.#refusalWarnings = new LimitedWarnings(clock, logger, REFUSAL_WARNING_MS)
    this.node = new MemberlistNode(
      {
        ...options,
        get meta() {
          return encodeOwn()
        },
        isWitness: (meta) => this.#decode(meta)?.witness === true,
      },
      {
        onMembers: () => {
          if (this.stage === 'running') this.#publish()
        },
        onJoinFinished: (result) => {
          this.#lastJoin = result
          this.#warnOfRefusal(result)
        },
        onUserMessage: (payload) => {
          for (const listener of this.#messageListeners) listener(payload)
        },
      },
    )
    this.node.done.catch(this.fail)
    this.#resolver = new SeedResolver({
      seeds: options.seeds ?? [],
      defaultPort:
        options.gossipPort === undefined || options.gossipPort === 0
          ? DEFAULT_GOSSIP_PORT
          : options.gossipPort,
      dns: options.dns ?? new NodeDnsResolver(),
      clock,
      random,
      logger,
      isSelf: ({ address, port }) => this.#isSelf({ address, port }),
      onAddresses: (addresses) => this.node.join(addresses),
      family: () => isIP(this.node.endpoint?.address ?? ''),
      pods: options.pods,
      settings: options.seedSettings,
    })
    const follow = <T>(
      path: string | undefined,
      open: (options: GossipFileOptions<T>) => FollowedFile<T>,
      onChange: (content: T) => void,
    ) => (path === undefined ? undefined : open({ path, clock, logger, onChange }))
    this.#keyringFile = follow(options.keyringFile, followKeyring, (keyring) => this.node.setKeyring(keyring))
    this.#labelFile = follow(options.labelFile, followLabels, (labels) => this.node.setLabels(labels))
  }

  /** What others are told of this member's gossip; undefined before `start`. */
  get gossipAddress(): { readonly host: string; readonly port: number } | undefined {
    const { endpoint } = this.node
    return endpoint === undefined ? undefined : { host: endpoint.address, port: endpoint.port }
  }

  protected async open(ending: AbortSignal): Promise<void> {
    const { clock } = this.#options
    this.#wallOriginMs = clock.wallNow() - clock.now()
    if (this.#keyringFile !== undefined) this.node.setKeyring(await this.#keyringFile.start())
    if (this.#labelFile !== undefined) this.node.setLabels(await this.#labelFile.start())
    await this.node.start(ending)
  }

  protected begin(): void {
    this.#beganAtMs = this.#options.clock.now()
    this.#publish()
    this.#resolver.start()
  }

  declareDead(name: string, address: string): boolean {
    return this.stage === 'running' && this.node.declareDead(name, address)
  }

  get unusableFiles(): MemberControl['unusableFiles'] {
    return [this.#keyringFile, this.#labelFile].flatMap((file) =>
      file?.failure === undefined ? [] : [{ what: file.what, reason: file.failure }],
    )
  }

  get keyed(): boolean {
    const { keyringFile, keyring = [], requireEncryption = true } = this.#options
    return requireEncryption && (keyringFile !== undefined || keyring.length > 0)
  }

  forget(name: string): boolean {
    return this.stage === 'running' && this.node.forget(name)
  }

  evict(name: string, forMs: number): void {
    if (this.stage === 'running') this.node.evict(name, forMs)
  }

  updateOwn(change: Partial<MemberMetadata>): void {
    this.#own = { ...this.#own, ...change }
    if (this.stage === 'running') this.node.updateMetadata(this.#encodeOwn())
  }

  /** In a packet first; where that brought no answer, UDP may be blocked. */
  sendTo({ address, port }: Member, payload: Uint8Array, attempt: number): void {
    const to = { address, port }
    this.node.sendPacket(to, payload)
    if (attempt > 0) void this.node.send(to, payload)
  }

  onMessage(listener: (payload: Uint8Array) => void): void {
    this.#messageListeners.push(listener)
  }

  report(): GossipReport {
    const { clusterName, requireEncryption = true } = this.#options
    const { endpoint, keyring, labels, drops } = this.node
    const [label = '', ...otherLabels] = labels
    const { addresses, failures } = this.#resolver.status
    return {
      address: endpoint?.address ?? null,
      port: endpoint?.port ?? null,
      label,
      otherLabels,
      clusterName: clusterName ?? null,
      keys: keyring.map(keyId),
      requireEncryption,
      drops: Object.fromEntries(Object.entries(drops).filter(([, count]) => count > 0)),
      lastDrops: this.node.lastDrops,
      contested: this.node.contested().map(({ name, endpoint: place, rival = place }) => ({
        name,
        places: [place, rival].map(formatHostPort),
      })),
      seedAddresses: addresses.map(formatHostPort),
      seedRefusals: (this.#lastJoin?.failed ?? []).filter(isRefusal).map(({ seed }) => formatHostPort(seed)),
      seedFailures: failures,
      evicted: this.node.evicted(),
    }
  }

  async checkReach(name: string): ReturnType<MemberControl['checkReach']> {
    const { udp, tcp } = await this.node.checkReach(name)
    return { udp: this.#options.tcpOnly === true ? null : udp, tcp }
  }

  async reload(dryRun: boolean): ReturnType<MemberControl['reload']> {
    const looks = [
      await lookAt(this.#keyringFile, dryRun, this.node.keyring, describeKeys),
      await lookAt(this.#labelFile, dryRun, this.node.labels, describeLabels),
    ].filter((look) => look !== undefined)
    const details = looks.map(({ said }) => said)
    if (looks.some(({ failed }) => failed)) throw new RingmanError('ACTION_REFUSED', details.join('. '))
    return { changed: looks.some(({ isNew }) => isNew), details }
  }

  #encodeOwn(change: Partial<MemberMetadata> = {}): Uint8Array {
    const { httpPort, adminPort } = this.#options
    return encodeMetadata({
      ...this.#own,
      ...change,
      witness: true,
      httpPort: httpPort?.(),
      level: METADATA_LEVEL,
      adminPort: adminPort?.(),
    })
  }

  podUnready(name: string, address: string): void {
    if (this.stage === 'running') this.node.podUnready(name, address)
  }

  override async leave(): Promise<void> {
    if (this.stage !== 'running') return
    const { tracer = noTracer } = this.#options
    const { acknowledgedBy, others } = await withSpan(tracer, 'gossip.leave', {}, async (span) => {
      const left = await this.node.leave()
      span.setAttributes({
        'ringman.leave.acknowledged_by': left.acknowledgedBy,
        'ringman.leave.others': left.others,
      })
      return left
    })
    this.#options.logger.info(
      { event: 'member.left', acknowledgedBy, others },
      others > 0 && acknowledgedBy === 0 ? 'Left the cluster; nobody acknowledged it' : 'Left the cluster',
    )
  }

  protected async close(): Promise<void> {
    this.#resolver.stop()
    this.#keyringFile?.stop()
    this.#labelFile?.stop()
    await this.node.stop()
  }

  health(): SourceHealth {
    return describeHealth({
      node: this.node,
      seeds: this.#options.seeds ?? [],
      seedStatus: this.#resolver.status,
      lastJoin: this.#lastJoin,
      state: this.stage,
      uptimeMs: this.#options.clock.now() - this.#beganAtMs,
    })
  }

  statistics(): SourceStatistics {
    const { seeds = [], clock } = this.#options
    return memberlistStatistics(this.node, seeds.length, this.#resolver.status, clock.now())
  }

  #warnOfRefusal(result: JoinFinishedEffect): void {
    const refusing = result.failed.find(isRefusal)
    if (refusing === undefined) return
    const { seed, message } = refusing
    this.#refusalWarnings.warn(
      { event: 'seed.refused', address: formatHostPort(seed), reason: message },
      'A seed answers and refuses this member, or is refused by it; the reason says why',
    )
  }

  /** Own is what is advertised, and what is bound: a host name may lead to loopback, or another interface. */
  #isSelf(place: Endpoint): boolean {
    const { endpoint, gossipPort } = this.node
    if (endpoint !== undefined && sameEndpoint(place, endpoint)) return true
    const { bindHost = DEFAULT_BIND_HOST, interfaces = networkInterfaces } = this.#options
    return place.port === gossipPort && leadsToThisMachine(place.address, bindHost, interfaces())
  }

  #publish(): void {
    const { clock } = this.#options
    const originMs = clock.wallNow() - clock.now()
    // A clock that is corrected moves by less; one that steps takes the times of all states with it.
    if (Math.abs(originMs - this.#wallOriginMs) > CLOCK_STEP_MS) this.#wallOriginMs = originMs
    this.#resolver.setAlone(this.node.livingCount <= 1)
    this.set.publish(this.node.members().map((view) => this.#toMember(view)))
  }

  #decode(meta: Uint8Array): MemberMetadata | undefined {
    return getOrMake(this.#decoded, meta, () => ({ metadata: decodeMetadata(meta) })).metadata
  }

  #toMember({ name, endpoint, state, stateSinceMs, meta, versions }: MemberView): Member {
    return {
      name,
      address: endpoint.address,
      port: endpoint.port,
      state,
      stateSinceMs: Math.round(this.#wallOriginMs + stateSinceMs),
      meta,
      metadata: this.#decode(meta),
      versions,
    }
  }
}

/** Reads a followed file again, and says what came of it, or would come of it. */
async function lookAt<T>(
  file: FollowedFile<T> | undefined,
  dryRun: boolean,
  inUse: T,
  describe: (content: T, would?: boolean) => string,
) {
  if (file === undefined) return undefined
  try {
    const { content, isNew } = await file.reload(dryRun)
    return { isNew, failed: false, said: describe(content, dryRun && isNew) }
  } catch (error) {
    const said = `Its ${file.what} cannot be used: ${messageOf(error)}. ${describe(inUse)}, as before`
    return { isNew: false, failed: true, said }
  }
}

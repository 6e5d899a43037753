import { networkInterfaces } from 'node:os'
import { isIPv4, isIPv6 } from 'node:net'
import type { Tracer } from '@opentelemetry/api'
import { configInvalid, RingmanError } from '../../errors.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import type { Logger } from '../../logger.ts'
import { noTracer, withSpan } from '../../tracing.ts'
import type { Basics } from '../../basics.ts'
import { NodeDnsResolver, type DnsResolver } from '../../seeds/dns-resolver.ts'
import { SeedResolver, type PodDirectory } from '../../seeds/seed-resolver.ts'
import { formatHostPort } from '../../addresses.ts'
import { formatSeed, type Seed, type SeedAddress } from '../../seeds/seed.ts'
import type { SourceHealth } from '../condition.ts'
import type { Member, MemberMetadata } from '../member.ts'
import { leadsToThisMachine, type NetworkInterfaces } from '../advertised-address.ts'
import type { MembershipSource } from '../source.ts'
import { SourceBase } from '../source-base.ts'
import { seedStatistics, type SourceStatistics } from '../statistics.ts'
import { checkBindAddress, chooseIPv4Address } from './ipv4-address.ts'
import { openUdpSocket, type GossipSocket, type OpenGossipSocket } from './gossip-socket.ts'
import { SwimMembers, type ViewedMembers } from './swim-members.ts'
import { describeHealth } from './swim-health.ts'
import type { DatagramFault } from './datagram-guard.ts'
import { SwimNode } from './swim-node.ts'
import { swimSettings, type SwimOverrides, type SwimPreset, type SwimSettings } from './swim-settings.ts'
import { sharedDrops, SwimTraffic } from './swim-traffic.ts'

export interface SwimSourceOptions extends Basics {
  /** This member's name, unique in the cluster. */
  readonly name: string
  /** IPv4 address to bind the gossip socket to, `0.0.0.0` for all. */
  readonly bindHost: string
  /** UDP port of the gossip; 0 takes a free one. */
  readonly gossipPort: number
  /** IPv4 address that others are told. @default the one bound to, or the only one there is */
  readonly advertise?: string | undefined
  /** @default the port bound to */
  readonly advertisePort?: number | undefined
  /** What this member says of itself; its `name` is replaced by the one above. */
  readonly metadata: MemberMetadata
  /** The port at which it answers look-ups over HTTP, asked for at the start. @default it does not */
  readonly httpPort?: (() => number | undefined) | undefined
  readonly seeds: readonly Seed[]
  readonly preset: SwimPreset
  /** Single settings that differ from the preset. */
  readonly settings?: SwimOverrides
  readonly tracer?: Tracer
  /** @default the system's DNS */
  readonly dns?: DnsResolver
  /** Knows the pods that `pods:` seeds mean. */
  readonly pods?: PodDirectory | undefined
  readonly openSocket?: OpenGossipSocket
  /** This machine's addresses, to choose the advertised one. @default os.networkInterfaces() */
  readonly interfaces?: () => NetworkInterfaces
}

const NOT_RESOLVED = { rounds: 0, addresses: [], failures: [] }

/**
 * Members by gossip with npm `swim`: each probes the others over UDP, and news travels with the probes. Made for
 * a network that is trusted, as the protocol has no encryption and no label; `docs/swim.md` lists the limits.
 */
export class SwimSource extends SourceBase implements MembershipSource {
  readonly kind = 'swim'
  readonly selfName: string
  readonly #options: SwimSourceOptions
  readonly #logger: Logger
  readonly #warnings: LimitedWarnings
  readonly #tracer: Tracer
  readonly #view: SwimMembers
  readonly #settings: SwimSettings
  #socket: GossipSocket | undefined
  #node: SwimNode | undefined
  #seeds: SeedResolver | undefined
  #gossipAddress: { readonly host: string; readonly port: number } | undefined
  #conflicts: ViewedMembers['conflicts'] = []
  #conflictsFound = 0
  #sendErrors = 0
  #lastSendError: string | undefined
  #leaving: Promise<void> | undefined

  constructor(options: SwimSourceOptions) {
    super(options.logger)
    this.#options = options
    this.selfName = options.name
    this.#settings = swimSettings(options.preset, options.settings)
    this.#logger = options.logger.child({ component: 'swim' })
    this.#warnings = new LimitedWarnings(options.clock, this.#logger)
    this.#tracer = options.tracer ?? noTracer
    this.#view = new SwimMembers(options.clock)
  }

  /** Where others reach this process; undefined before `start` resolves. */
  get gossipAddress(): { readonly host: string; readonly port: number } | undefined {
    return this.#gossipAddress
  }

  get drops(): ReadonlyMap<DatagramFault, number> {
    return this.#node?.drops ?? new Map()
  }

  override leave(): Promise<void> {
    if (this.stage !== 'running' || this.#node === undefined) return this.#leaving ?? Promise.resolve()
    this.#leaving ??= (async (node) => {
      this.#logger.info({ event: 'member.left' }, 'Left the cluster')
      await withSpan(this.#tracer, 'gossip.leave', {}, () => node.leave())
    })(this.#node)
    return this.#leaving
  }

  protected async close(): Promise<void> {
    this.#seeds?.stop()
    this.#node?.stop()
    await this.#socket?.close()
  }

  health(): SourceHealth {
    return describeHealth({
      state: this.#node?.left === true && this.stage === 'running' ? 'left' : this.stage,
      members: this.set.current,
      selfName: this.selfName,
      seedTexts: this.#options.seeds.map((seed) => formatSeed(seed)),
      seeds: this.#seeds?.status,
      conflicts: this.#conflicts,
      drops: this.drops,
      sendErrors: this.#sendErrors,
      lastSendError: this.#lastSendError,
      longestStallMs: this.#node?.monitor.longestMs ?? 0,
    })
  }

  statistics(): SourceStatistics {
    const node = this.#node
    const { seeds, clock } = this.#options
    const { packets, bytes, messages, heardAtMs, suspicions, refutations, heldDead, declaredDead } =
      node?.traffic ?? new SwimTraffic()
    const isAlone = node === undefined || node.liveHosts.length === 0
    return {
      ...(heardAtMs === undefined || isAlone ? {} : { staleMs: clock.now() - heardAtMs }),
      seeds: seedStatistics(seeds.length, this.#seeds?.status ?? NOT_RESOLVED),
      gossip: {
        packets,
        messages,
        bytes: { udp: bytes },
        drops: sharedDrops(this.drops),
        sendFailures: this.#sendErrors,
        suspicions,
        refutations,
        heldDead,
        declaredDead: { silence: declaredDead },
        conflicts: this.#conflictsFound,
        stalls: node?.monitor.stalls ?? 0,
        stalledMs: node?.monitor.stalledMs ?? 0,
      },
    }
  }

  protected async open(ending: AbortSignal): Promise<void> {
    const { name, bindHost, gossipPort, advertise, advertisePort, metadata, seeds, preset } = this.#options
    checkBindAddress(bindHost)
    for (const seed of seeds) {
      if (seed.kind === 'address' && isIPv6(seed.address)) {
        throw configInvalid(
          `the seed ${formatSeed(seed)} is of no use: the swim source knows no IPv6 (use the memberlist source); IPv4 addresses and names are allowed`,
        )
      }
    }
    const host = chooseIPv4Address({
      advertise,
      bindHost,
      local: preset === 'local',
      interfaces: (this.#options.interfaces ?? networkInterfaces)(),
    })

    const socket = await this.#openSocket(bindHost, gossipPort)
    this.#socket = socket
    if (ending.aborted) {
      await socket.close()
      return
    }

    const port = advertisePort ?? socket.port
    this.#gossipAddress = { host, port }
    const { clock, random } = this.#options
    this.#node = new SwimNode({
      host: `${host}:${port}`,
      metadata: { ...metadata, name, httpPort: this.#options.httpPort?.() },
      settings: this.#settings,
      clock,
      random,
      logger: this.#logger,
      send: (bytes, to) => this.#socket?.send(bytes, to),
      onChange: () => this.#publish(),
    })
    this.#seeds = this.#createSeedResolver(socket.port)
  }

  protected begin(): void {
    this.#node?.start()
    this.#publish()
    // A listener may have stopped the source just now; then there is nothing to resolve any more.
    this.#seeds?.start()
    const { host, port } = this.#gossipAddress ?? {}
    this.#logger.info(
      {
        event: 'source.started',
        address: `${host}:${port}`,
        bound: `${this.#options.bindHost}:${this.#socket?.port}`,
      },
      'Started to gossip',
    )
  }

  #publish(): void {
    if (this.#node === undefined || this.stage !== 'running') return
    const { members, conflicts } = this.#view.view(this.#node.members())
    this.#reportConflicts(conflicts)
    this.#seeds?.setAlone(this.#node.liveHosts.length === 0)
    const known = new Set<Member>(this.set.current)
    if (members.length === known.size && members.every((member) => known.has(member))) return
    this.set.publish(members)
  }

  #reportConflicts(conflicts: ViewedMembers['conflicts']): void {
    const known = new Set(this.#conflicts.map(({ name }) => name))
    for (const conflict of conflicts) {
      if (known.has(conflict.name)) continue
      this.#conflictsFound += 1
      this.#logger.warn(
        { event: 'member.conflicted', name: conflict.name, winner: conflict.winner, losers: conflict.losers },
        'Found two members with the same name; the newer one stands for both',
      )
    }
    this.#conflicts = conflicts
  }

  #createSeedResolver(boundPort: number): SeedResolver {
    const { clock, random, seeds, dns, pods, gossipPort } = this.#options
    return new SeedResolver({
      seeds,
      // A seed without a port has the port that this cluster uses; with 0 there is no such thing but one's own.
      defaultPort: gossipPort === 0 ? boundPort : gossipPort,
      dns: dns ?? new NodeDnsResolver(),
      family: () => 4,
      pods,
      clock,
      random,
      logger: this.#logger,
      isSelf: (address) => this.#isSelf(address, boundPort),
      onAddresses: (addresses) => this.#contact(addresses),
      settings: this.#settings.seeds,
    })
  }

  /** Own is what is advertised, and what is bound. */
  #isSelf({ address, port }: SeedAddress, boundPort: number): boolean {
    const { bindHost, interfaces } = this.#options
    if (this.#gossipAddress?.host === address && this.#gossipAddress.port === port) return true
    return port === boundPort && leadsToThisMachine(address, bindHost, (interfaces ?? networkInterfaces)())
  }

  /** Speaks to a few of the seeds that are not among the live members: to join, and to bring islands together. */
  #contact(addresses: readonly SeedAddress[]): void {
    const node = this.#node
    if (node === undefined) return
    const live = new Set(node.liveHosts)
    const strangers = addresses
      .filter(({ address }) => isIPv4(address))
      .map((address) => formatHostPort(address))
      .filter((host) => !live.has(host))
    const chosen: string[] = []
    while (chosen.length < this.#settings.seedContacts && strangers.length > 0) {
      chosen.push(...strangers.splice(Math.floor(this.#options.random() * strangers.length), 1))
    }
    if (chosen.length === 0) return
    // It is datagrams: when and whether somebody answers is not known here, so that the span is but a moment.
    const span = this.#tracer.startSpan('gossip.join', {
      root: true,
      attributes: { 'ringman.join.seeds': addresses.length, 'ringman.join.contacts': chosen.length },
    })
    node.contact(chosen)
    span.end()
  }

  #openSocket(bindHost: string, port: number): Promise<GossipSocket> {
    return (this.#options.openSocket ?? openUdpSocket)(bindHost, port, {
      onDatagram: (bytes, from) => {
        if (this.stage === 'running') this.#node?.receive(bytes, from)
      },
      onSendError: (error, host) => {
        this.#sendErrors += 1
        this.#lastSendError = 'code' in error ? String(error.code) : error.message
        this.#warnings.warn(
          { event: 'datagram.unsent', host, err: error, count: this.#sendErrors },
          'Failed to send a datagram',
        )
      },
      // Without its socket a source is over; the process ends with the reason, and is started again.
      onFailure: (error) => {
        this.#node?.stop()
        this.#seeds?.stop()
        const message = `the gossip socket failed: ${error.message}`
        this.fail(new RingmanError('SOURCE_FAILED', message, { cause: error }))
      },
    })
  }
}

import type { Effect } from '../../src/membership/memberlist/protocol/effects.ts'
import { type Endpoint, sameEndpoint } from '../../src/membership/memberlist/protocol/endpoint.ts'
import { isLiving } from '../../src/membership/member.ts'
import { PRESETS, type ProtocolSettings } from '../../src/membership/memberlist/protocol/settings.ts'
import { seededRandom } from './seeded-random.ts'
import { SimClock } from './sim-clock.ts'
import { SimMember, type SimMemberOptions } from './sim-member.ts'
import { type Conditions, SimNetwork } from './sim-network.ts'

const PORT = 7946
/** How often a wait looks. */
const LOOK_MS = 10

/** A member that somebody holds for dead while its process runs. */
export interface FalseRemoval {
  readonly atMs: number
  readonly by: string
  readonly member: string
}

/** Processes on a simulated network. Everything follows from the seed. */
export class SimCluster {
  readonly seed: number
  readonly clock = new SimClock()
  readonly network: SimNetwork
  readonly settings: ProtocolSettings
  /** The process that goes by a name now, running or not. */
  readonly members = new Map<string, SimMember>()
  readonly falseRemovals: FalseRemoval[] = []
  readonly random: () => number
  #nextAddress = 1

  constructor(seed: number, settings: ProtocolSettings = PRESETS.lan, conditions?: Conditions) {
    this.seed = seed
    this.settings = settings
    this.random = seededRandom(seed)
    this.network = new SimNetwork(this.clock, seededRandom(seed ^ 0x5eed), conditions)
  }

  /** A cluster whose members know each other and have come to rest. */
  static settled(seed: number, count: number, settings?: ProtocolSettings): SimCluster {
    const cluster = new SimCluster(seed, settings)
    cluster.startMany(count)
    if (cluster.runUntil(() => cluster.isConverged(), 60_000) === undefined)
      throw new Error(`seed ${seed}: no start`)
    cluster.run(5000)
    return cluster
  }

  get nowMs(): number {
    return this.clock.nowMs
  }

  /** Processes that run. */
  get running(): SimMember[] {
    return [...this.members.values()].filter((member) => member.running)
  }

  /** A fresh endpoint. */
  endpoint(): Endpoint {
    const n = this.#nextAddress++
    return { address: `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`, port: PORT }
  }

  /** Starts a process; without `endpoint` at a fresh one. */
  start(
    name: string,
    {
      seeds = [],
      ...options
    }: Partial<Omit<SimMemberOptions, 'name'>> & { readonly seeds?: readonly Endpoint[] } = {},
  ): SimMember {
    const random = seededRandom(Math.floor(this.random() * 2 ** 32))
    const endpoint = options.endpoint ?? this.endpoint()
    const member = new SimMember(this.clock, this.network, random, {
      settings: this.settings,
      ...options,
      name,
      endpoint,
    })
    member.onEffect = (effect, by) => {
      this.#watch(effect, by)
    }
    this.members.set(name, member)
    member.start(seeds)
    return member
  }

  /** Starts `count` members, `node-0` and on, over `spreadMs`; each joins through the first `seedCount`. */
  startMany(count: number, spreadMs = 500, seedCount = 3): SimMember[] {
    const endpoints = Array.from({ length: count }, () => this.endpoint())
    const seeds = endpoints.slice(0, seedCount)
    const members: SimMember[] = []
    for (const [i, endpoint] of endpoints.entries()) {
      this.clock.after((i * spreadMs) / count, () => {
        members.push(this.start(`node-${i}`, { endpoint, seeds }))
      })
    }
    this.run(spreadMs)
    return members
  }

  get(name: string): SimMember {
    const member = this.members.get(name)
    if (member === undefined) throw new Error(`no member ${name}`)
    return member
  }

  /** Lets time pass. */
  run(ms: number): void {
    this.clock.runUntil(this.clock.nowMs + ms)
  }

  /**
   * Lets time pass until `holds`.
   *
   * @returns Milliseconds it took; undefined when it did not within `limitMs`.
   */
  runUntil(holds: () => boolean, limitMs: number): number | undefined {
    const startMs = this.nowMs
    while (!holds()) {
      if (this.nowMs - startMs >= limitMs) return undefined
      this.run(LOOK_MS)
    }
    return this.nowMs - startMs
  }

  /** Parts the network: only members of the same group reach each other; those in no group reach nobody. */
  partition(groups: readonly (readonly SimMember[])[]): void {
    const groupOf = new Map<string, number>()
    for (const [i, group] of groups.entries())
      for (const member of group) groupOf.set(member.endpoint.address, i)
    this.network.passes = (from, to) => {
      const group = groupOf.get(from)
      return group !== undefined && group === groupOf.get(to)
    }
  }

  heal(): void {
    this.network.passes = () => true
  }

  /** Whether `by` lists `name` as living (alive or suspect). */
  lists(by: SimMember, name: string): boolean {
    const view = by.protocol.member(name)
    return view !== undefined && isLiving(view)
  }

  /** Whether nobody that runs lists `name` as living. */
  isGoneEverywhere(name: string): boolean {
    return this.running.every((member) => member.name === name || !this.lists(member, name))
  }

  /** Whether everybody that runs lists exactly those that run as living, at the endpoints where they are. */
  isConverged(expected: readonly SimMember[] = this.running): boolean {
    for (const member of expected) {
      if (member.protocol.livingCount !== expected.length) return false
    }
    return expected.every((by) =>
      expected.every((other) => {
        const view = by.protocol.member(other.name)
        return view !== undefined && isLiving(view) && sameEndpoint(view.endpoint, other.endpoint)
      }),
    )
  }

  #watch(effect: Effect, by: SimMember): void {
    if (effect.kind !== 'member-changed' || effect.change !== 'died') return
    const member = this.members.get(effect.member.name)
    if (member?.running !== true || member.endpoint.address !== effect.member.endpoint.address) return
    if (!this.network.passes(by.endpoint.address, member.endpoint.address)) return
    this.falseRemovals.push({ atMs: this.nowMs, by: by.name, member: member.name })
  }
}

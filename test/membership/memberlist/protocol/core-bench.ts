import { Core, createRecord } from '../../../../src/membership/memberlist/protocol/core.ts'
import type { Delegate } from '../../../../src/membership/memberlist/protocol/dependencies.ts'
import type { Effect } from '../../../../src/membership/memberlist/protocol/effects.ts'
import type { Endpoint } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import type { ExchangeEnd } from '../../../../src/membership/memberlist/protocol/exchanges.ts'
import type { MemberRecord } from '../../../../src/membership/memberlist/protocol/members.ts'
import { PRESETS, type ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { estimateSize } from '../../../../lab/sim/message-size.ts'
import { EffectLog, numberOf } from './effect-log.ts'
import { alive, endpointOf } from './machine.ts'

/** What the parts of `m1` share, for the test of one part alone. Chance is always in the middle, so that times are exact. */
export class CoreBench extends EffectLog {
  readonly core: Core

  constructor(
    settings: Partial<ProtocolSettings> = {},
    {
      chance = () => 0.5,
      delegate = {},
      isWitness = () => true,
    }: { chance?: () => number; delegate?: Delegate; isWitness?: (meta: Uint8Array) => boolean } = {},
  ) {
    super()
    const identity = { name: 'm1', endpoint: endpointOf(1), meta: Uint8Array.of(1) }
    const dependencies = { random: chance, sizeOf: estimateSize, delegate, isWitness }
    this.core = new Core(identity, { ...PRESETS.lan, keyed: true, ...settings }, dependencies)
    this.core.self.incarnation = 1
    this.at(1000)
  }

  get nowMs(): number {
    return this.core.nowMs
  }

  at(ms: number): void {
    this.core.nowMs = ms
    this.core.clockMs = ms
  }

  /** Lists `m<n>` as alive, at its own address or that of `m<host>`. */
  member(n: number, { host = n, port = 7946, vsn = alive(n).vsn } = {}): MemberRecord {
    const { node, meta } = alive(n)
    const place = { ...endpointOf(host), port }
    const record = createRecord(node, place, alive(host).address, meta, vsn)
    record.incarnation = 1
    this.core.members.add(record)
    return record
  }

  /** Lists `m2` to `m<count>`. */
  members(count: number): MemberRecord[] {
    return Array.from({ length: count - 1 }, (_, i) => this.member(i + 2))
  }

  /** Acks our ping in the last packet that has one. */
  ackLast(payload = new Uint8Array(0)): void {
    const { message, to } = this.sent('ping').at(-1)!
    this.core.pending.get(message.seqNo)?.acked(payload, endpointOf(to), [])
  }

  /** Runs what falls due, each at its time. */
  run(ms: number): void {
    const endMs = this.nowMs + ms
    this.take()
    while (this.core.deadlines.nextMs <= endMs) {
      this.at(this.core.deadlines.nextMs)
      this.core.deadlines.runDue(this.nowMs)
      this.take()
    }
    this.at(endMs)
    this.take()
  }

  /** Gathers the effects since the last time, and gives those. */
  take(): readonly Effect[] {
    const effects = [...this.core.takeEffects()]
    this.keep(effects, this.nowMs)
    return effects
  }

  override get effects() {
    this.take()
    return super.effects
  }

  override clear(): void {
    this.take()
    super.clear()
  }
}

/** Exchanges that are only noted: the test ends them. */
export class NotedExchanges {
  readonly started: {
    readonly atMs: number
    readonly to: string
    readonly join: boolean
    readonly end: ExchangeEnd
  }[] = []
  readonly #bench: CoreBench

  constructor(bench: CoreBench) {
    this.#bench = bench
  }

  start(to: Endpoint, join: boolean, end: ExchangeEnd): void {
    this.started.push({ atMs: this.#bench.nowMs, to: to.address, join, end })
  }

  /** When they were begun. */
  get times(): number[] {
    return this.started.map(({ atMs }) => atMs)
  }

  /** To whom, by the last number of the address. */
  get places(): number[] {
    return this.started.map(({ to }) => numberOf({ address: to }))
  }
}

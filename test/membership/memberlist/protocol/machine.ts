import type { Delegate } from '../../../../src/membership/memberlist/protocol/dependencies.ts'
import type { Effect } from '../../../../src/membership/memberlist/protocol/effects.ts'
import { type Endpoint, tryParseAddress } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import type { ProtocolEvent } from '../../../../src/membership/memberlist/protocol/events.ts'
import { Protocol } from '../../../../src/membership/memberlist/protocol/protocol.ts'
import { PRESETS, type ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import type {
  Alive,
  Dead,
  Message,
  PushPullNode,
  Suspect,
} from '../../../../src/membership/memberlist/wire/messages.ts'
import { estimateSize, sizeOfPacket } from '../../../../lab/sim/message-size.ts'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'
import { EffectLog, type EffectOf, numberOf } from './effect-log.ts'

const VSN = Uint8Array.of(1, 5, 2, 0, 0, 0)

/** Member `n`'s endpoint: `10.0.0.n:7946`; this machine's is `10.0.0.1`. */
export function endpointOf(n: number): Endpoint {
  return { address: `10.0.0.${n}`, port: 7946 }
}

/** What member `n` (or whoever goes by `node`) says of itself. */
export function alive(n: number, incarnation = 1, over: Partial<Alive> = {}): Alive {
  return {
    kind: 'alive',
    incarnation,
    node: `m${n}`,
    address: tryParseAddress(endpointOf(n).address)!,
    port: 7946,
    meta: new Uint8Array(0),
    vsn: VSN,
    ...over,
  }
}

export function suspect(n: number, incarnation = 1, from = 'm2'): Suspect {
  return { kind: 'suspect', incarnation, node: `m${n}`, from }
}

export function dead(n: number, incarnation = 1, from = 'm2'): Dead {
  return { kind: 'dead', incarnation, node: `m${n}`, from }
}

/** Member `n` as a push/pull carries it; states are 0 alive, 1 suspect, 2 dead, 3 left. */
export function node(n: number, incarnation = 1, state = 0): PushPullNode {
  const { address, port, meta, vsn } = alive(n)
  return { name: `m${n}`, address, port, meta, incarnation, state, vsn }
}

/** One machine, `m1`, with its time, and what it asked for. */
export class Machine extends EffectLog {
  readonly protocol: Protocol
  /** Members whose pings are acked as soon as they are sent. */
  readonly answering = new Set<number>()
  nowMs = 1000

  /** @param chance - A seed, or what chance says: with always the same number all times can be told exactly. */
  constructor(
    settings: Partial<ProtocolSettings> = {},
    delegate: Delegate = {},
    chance: number | (() => number) = 1,
    isWitness?: (meta: Uint8Array) => boolean,
  ) {
    super()
    // With keys, so that what is sent to whom does not wait for who has answered.
    const merged = { ...PRESETS.lan, keyed: true, ...settings }
    const identity = { name: 'm1', endpoint: endpointOf(1), meta: Uint8Array.of(1) }
    this.protocol = new Protocol(identity, merged, {
      random: typeof chance === 'number' ? seededRandom(chance) : chance,
      sizeOf: estimateSize,
      delegate,
      ...(isWitness === undefined ? {} : { isWitness }),
    })
    this.handle({ kind: 'start' })
  }

  /** Makes `m2` to `m<count>` known, and has their pings answered. */
  withMembers(count: number): this {
    for (let n = 2; n <= count; n++) {
      this.answering.add(n)
      this.packet(2, alive(n))
    }
    this.clear()
    return this
  }

  handle(event: ProtocolEvent): readonly Effect[] {
    const effects = this.protocol.handle(event, this.nowMs)
    this.keep(effects, this.nowMs)
    for (const effect of effects) {
      if (effect.kind !== 'send-packet') continue
      const n = numberOf(effect.to)
      if (!this.answering.has(n)) continue
      for (const message of effect.messages) {
        if (message.kind === 'ping')
          this.packet(n, { kind: 'ack', seqNo: message.seqNo, payload: new Uint8Array(0) })
      }
    }
    return effects
  }

  /** A packet from member `n`. */
  packet(n: number, ...messages: Message[]): readonly Effect[] {
    return this.packetFrom(endpointOf(n), ...messages)
  }

  packetFrom(from: Endpoint, ...messages: Message[]): readonly Effect[] {
    return this.handle({ kind: 'packet-received', from, sizeBytes: sizeOfPacket(messages), messages })
  }

  /** Ticks as they fall due, for `ms`. */
  run(ms: number): void {
    const endMs = this.nowMs + ms
    while (this.protocol.nextDueMs <= endMs) {
      this.tick()
    }
    this.nowMs = endMs
  }

  /** Ticks once, as soon as something is due. */
  tick(): void {
    this.nowMs = Math.max(this.nowMs, this.protocol.nextDueMs)
    this.handle({ kind: 'tick' })
    // Or the shell would tick again and again in this moment.
    if (this.protocol.nextDueMs <= this.nowMs) throw new Error(`after a tick at ${this.nowMs} ms one is due`)
  }

  /** Ticks until something of this kind was asked for, and gives it. */
  runUntil<K extends Effect['kind']>(
    kind: K,
    accept: (effect: EffectOf<K>) => boolean = () => true,
    limitMs = 120_000,
  ): EffectOf<K> {
    const untilMs = this.nowMs + limitMs
    let seen = this.effects.length
    while (this.nowMs < untilMs) {
      this.tick()
      for (; seen < this.effects.length; seen++) {
        const { effect } = this.effects[seen]!
        if (effect.kind === kind && accept(effect as EffectOf<K>)) return effect as EffectOf<K>
      }
    }
    throw new Error(`no ${kind} within ${limitMs} ms`)
  }

  state(n: number): string | undefined {
    return this.protocol.member(`m${n}`)?.state
  }
}

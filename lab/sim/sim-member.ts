import type { Delegate } from '../../src/membership/memberlist/protocol/dependencies.ts'
import type { Effect } from '../../src/membership/memberlist/protocol/effects.ts'
import type { Endpoint } from '../../src/membership/memberlist/protocol/endpoint.ts'
import type { ProtocolEvent } from '../../src/membership/memberlist/protocol/events.ts'
import type { MemberTable } from '../../src/membership/memberlist/protocol/members.ts'
import { Protocol } from '../../src/membership/memberlist/protocol/protocol.ts'
import type { ProtocolSettings } from '../../src/membership/memberlist/protocol/settings.ts'
import type { Ack, PushPull } from '../../src/membership/memberlist/wire/messages.ts'
import { estimateSize, sizeOfPacket } from './message-size.ts'
import type { SimClock } from './sim-clock.ts'
import type { SimNetwork } from './sim-network.ts'

/** Events that a frozen process finds in its sockets when it goes on; the rest was dropped by the kernel. */
const INBOX_LIMIT = 512

export interface SimMemberOptions {
  readonly name: string
  readonly endpoint: Endpoint
  /** What others are told, where that is not `endpoint`. */
  readonly advertise?: Endpoint
  readonly settings: ProtocolSettings
  readonly meta?: Uint8Array
  readonly delegate?: Delegate
  readonly members?: MemberTable
}

/** A process that runs one machine: the shell of the simulator. */
export class SimMember {
  readonly name: string
  readonly endpoint: Endpoint
  readonly protocol: Protocol
  /** What the machine told, in order, if `keepEffects` was set. */
  readonly effects: { readonly atMs: number; readonly effect: Effect }[] = []
  keepEffects = false
  /** Sees every effect as it comes. */
  onEffect: ((effect: Effect, member: SimMember) => void) | undefined
  running = false
  readonly #clock: SimClock
  readonly #network: SimNetwork
  readonly #budgetBytes: number
  readonly #answers = new Map<number, (value: PushPull | Ack | undefined) => void>()
  #nextStream = 0
  #timerMs = Infinity
  #timerRun = 0
  #frozen = false
  #inbox: ProtocolEvent[] = []

  constructor(clock: SimClock, network: SimNetwork, random: () => number, options: SimMemberOptions) {
    this.name = options.name
    this.endpoint = options.endpoint
    this.#clock = clock
    this.#network = network
    this.#budgetBytes = options.settings.packetBudgetBytes
    const identity = {
      name: options.name,
      endpoint: options.advertise ?? options.endpoint,
      meta: options.meta ?? new Uint8Array(0),
    }
    this.protocol = new Protocol(identity, options.settings, {
      random,
      sizeOf: estimateSize,
      isWitness: () => true,
      ...(options.delegate === undefined ? {} : { delegate: options.delegate }),
      ...(options.members === undefined ? {} : { members: options.members }),
    })
  }

  start(seeds: readonly Endpoint[]): void {
    this.running = true
    this.#network.listen(this.endpoint, {
      packet: (from, messages) => {
        this.handle({ kind: 'packet-received', from, sizeBytes: sizeOfPacket(messages), messages })
      },
      streamPing: (ping, answer) => {
        this.handle({ kind: 'stream-ping-received', stream: this.#open(answer), ping })
      },
      pushPull: (from, state, answer) => {
        this.handle({ kind: 'push-pull-received', stream: this.#open(answer), from, state })
      },
    })
    this.handle({ kind: 'start' })
    if (seeds.length > 0) this.handle({ kind: 'join', seeds })
  }

  /** SIGKILL: the process is gone, its host answers for it. */
  kill(): void {
    this.running = false
    this.#timerRun++
    this.#network.close(this.endpoint)
  }

  /** SIGSTOP, or a stalled event loop: nothing runs, the kernel goes on taking what comes. */
  freeze(): void {
    this.#frozen = true
  }

  /** Goes on: first the late timers, as Node does, then what waits in the sockets. */
  thaw(): void {
    if (!this.#frozen) return
    this.#frozen = false
    const inbox = this.#inbox
    this.#inbox = []
    if (!this.running) return
    this.handle({ kind: 'tick' })
    for (const event of inbox) this.handle(event)
  }

  handle(event: ProtocolEvent): void {
    if (!this.running) return
    if (this.#frozen) {
      if (this.#inbox.length < INBOX_LIMIT) this.#inbox.push(event)
      return
    }
    for (const effect of this.protocol.handle(event, this.#clock.nowMs)) {
      if (this.keepEffects) this.effects.push({ atMs: this.#clock.nowMs, effect })
      this.onEffect?.(effect, this)
      this.#perform(effect)
    }
    this.#setTimer()
  }

  #open(answer: ((value: PushPull | undefined) => void) | ((value: Ack | undefined) => void)): number {
    this.#answers.set(++this.#nextStream, answer as (value: PushPull | Ack | undefined) => void)
    return this.#nextStream
  }

  #answer(stream: number, value: PushPull | Ack | undefined): void {
    this.#answers.get(stream)?.(value)
    this.#answers.delete(stream)
  }

  #setTimer(): void {
    const dueMs = this.protocol.nextDueMs
    if (dueMs >= this.#timerMs || dueMs === Infinity) return
    this.#timerMs = dueMs
    const run = ++this.#timerRun
    this.#clock.at(dueMs, () => {
      if (run === this.#timerRun) this.#tick()
    })
  }

  #tick(): void {
    this.#timerMs = Infinity
    // A frozen process ticks when it thaws.
    if (this.#frozen) return
    if (this.protocol.nextDueMs <= this.#clock.nowMs) this.handle({ kind: 'tick' })
    else this.#setTimer()
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'send-packet': {
        const sizeBytes = sizeOfPacket(effect.messages)
        if (sizeBytes > this.#budgetBytes) throw new Error(`packet of ${sizeBytes} bytes is over the budget`)
        this.#network.sendPacket(this.endpoint, effect.to, effect.messages)
        return
      }
      case 'start-stream-probe':
        this.#network.streamPing(this.endpoint, effect.to, effect.ping, effect.timeoutMs, (outcome) => {
          this.handle({ kind: 'stream-probe-finished', probe: effect.probe, outcome })
        })
        return
      case 'start-push-pull':
        this.#network.pushPull(this.endpoint, effect.to, effect.state, effect.timeoutMs, (result) => {
          const { exchange } = effect
          if ('outcome' in result) this.handle({ kind: 'push-pull-failed', exchange, ...result })
          else this.handle({ kind: 'push-pull-answered', exchange, state: result })
        })
        return
      case 'answer-stream-ping':
        this.#answer(effect.stream, effect.ack)
        return
      case 'answer-push-pull':
        this.#answer(effect.stream, effect.state)
        return
      case 'refuse-stream':
        this.#answer(effect.stream, undefined)
        return
      case 'member-changed':
      case 'conflict-found':
      case 'user-message':
      case 'remote-state':
      case 'reach-checked':
      case 'probe-finished':
      case 'join-finished':
      case 'left':
      case 'broadcast-finished':
      case 'log':
        return
    }
  }
}

import { networkInterfaces } from 'node:os'
import { assertNever, RingmanError } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import { memoryLimitBytes } from '../../memory-limit.ts'
import { detach, noTracer } from '../../tracing.ts'
import { chooseAdvertisedAddress } from '../advertised-address.ts'
import type { GossipReport } from '../control.ts'
import type { GossipTraffic } from './gossip-traffic.ts'
import { GossipTransport } from './gossip-transport.ts'
import { JoinTrace } from './join-trace.ts'
import type { Keyring } from './keyring.ts'
import { checkOptions, DEFAULT_BIND_HOST, type MemberlistNodeOptions } from './node-options.ts'
import type { Counters } from './protocol/counters.ts'
import type {
  BroadcastFinishedEffect,
  Effect,
  JoinFinishedEffect,
  LeftEffect,
  MemberChangedEffect,
  MemberView,
} from './protocol/effects.ts'
import type { Endpoint } from './protocol/endpoint.ts'
import type { ProtocolEvent } from './protocol/events.ts'
import { Protocol } from './protocol/protocol.ts'
import { memoryBounds } from './memory-bounds.ts'
import { PRESETS, type ProtocolSettings } from './protocol/settings.ts'
import { refusalText } from './refusal.ts'
import type { StreamAnswer } from './stream-client.ts'
import { UdpReachability } from './udp-reachability.ts'
import type { DropReason } from './wire/drop.ts'
import { checkMetadata, isLiving } from '../member.ts'

/** Memberlist's default port. */
export const DEFAULT_GOSSIP_PORT = 7946

/** A leave that nobody heard of. */
const UNTOLD: LeftEffect = { kind: 'left', acknowledgedBy: 0, others: 0 }

/** By which ways a member answers. */
export interface Reach {
  readonly udp: boolean
  readonly tcp: boolean
}

/** What a node tells its owner. */
export interface MemberlistNodeEvents {
  /** Members changed; `members()` has the whole set. Called once for all that one event brought about. */
  readonly onMembers?: (changes: readonly MemberChangedEffect[]) => void
  readonly onJoinFinished?: (result: JoinFinishedEffect) => void
  /** A user message arrived; the delegate gets it too. */
  readonly onUserMessage?: (payload: Uint8Array) => void
}

/**
 * A member of a memberlist cluster: the shell around the pure protocol machine. It owns the sockets, the one
 * timer and the randomness; it carries out effects and turns what happens into events.
 */
export class MemberlistNode {
  readonly options: MemberlistNodeOptions
  readonly #over = Promise.withResolvers<void>()
  /** Resolves after `stop`; rejects when a socket breaks, a delegate throws, or the machine has a bug. */
  readonly done = this.#over.promise
  readonly #events: MemberlistNodeEvents
  readonly #logger: Logger
  readonly #joinTrace: JoinTrace
  readonly #transport: GossipTransport
  readonly #udp: UdpReachability
  readonly #settings: ProtocolSettings
  readonly #broadcasts = new Map<number, (outcome: BroadcastFinishedEffect['outcome']) => void>()
  readonly #reaching = new Map<number, (reached: Reach) => void>()
  #leaving: PromiseWithResolvers<LeftEffect> | undefined
  #machine: Protocol | undefined
  #endpoint: Endpoint | undefined
  #cancelTimer: (() => void) | undefined
  #timerDueMs = Infinity
  #nextId = 1
  #stopped = false

  constructor(options: MemberlistNodeOptions, events: MemberlistNodeEvents = {}) {
    this.options = options
    this.#events = events
    this.#logger = options.logger
    this.#joinTrace = new JoinTrace(options.tracer ?? noTracer)
    this.#udp = new UdpReachability(options.clock, options.logger)
    const { maxMembers, maxHeldBytes } = memoryBounds(memoryLimitBytes())
    this.#settings = {
      ...PRESETS[options.preset ?? 'lan'],
      maxMembers,
      clusterName: options.clusterName,
      ...options.settings,
    }
    this.#transport = new GossipTransport({
      node: { ...options, streamLimits: { maxHeldBytes, ...options.streamLimits } },
      settings: this.#settings,
      onEvent: (event) => this.#handle(event),
      onUserMessage: (payload) => this.#guard(() => this.#noteMessage(payload)),
      onError: (error) => this.#fail(error),
    })
    this.done.catch(() => {})
  }

  /** What others are told; undefined before `start`. */
  get endpoint(): Endpoint | undefined {
    return this.#endpoint
  }

  /** The port that the sockets have; undefined before `start`. */
  get gossipPort(): number | undefined {
    return this.#transport.port
  }

  get livingCount(): number {
    return this.#machine?.livingCount ?? 0
  }

  /** 0 is well; see `awarenessMaxMultiplier`. */
  get healthScore(): number {
    return this.#machine?.healthScore ?? 0
  }

  get queuedCount(): number {
    return this.#machine?.queuedCount ?? 0
  }

  get counters(): Readonly<Counters> | undefined {
    return this.#machine?.counters
  }

  get drops(): Readonly<Record<DropReason, number>> {
    return this.#transport.drops.counts
  }

  get lastDrops(): GossipReport['lastDrops'] {
    return this.#transport.drops.last
  }

  /** Members whose names are used twice, this one perhaps among them. */
  contested(): MemberView[] {
    return this.#machine?.contested() ?? []
  }

  /** Whom an operator evicted, with the milliseconds for which they are not taken. */
  evicted(): GossipReport['evicted'] {
    return this.#machine?.evicted() ?? []
  }

  /** Whether this member itself is evicted, as the member that answered last says. */
  get isEvicted(): boolean {
    return this.#machine?.isEvicted(this.options.clock.now()) ?? false
  }

  /** Whether the others list another process of this member's name, and not this one. */
  get isUnlisted(): boolean {
    return this.#machine?.isUnlisted ?? false
  }

  /**
   * What this member advertises, while the others hold it for dead and none of them reaches it there, and whether that is
   * one of this host's addresses.
   */
  get unreachedAt(): { readonly endpoint: Endpoint; readonly isOwn: boolean } | undefined {
    const endpoint = this.#endpoint
    if (endpoint === undefined || this.#machine?.isUnreached !== true) return undefined
    const interfaces = Object.values((this.options.interfaces ?? networkInterfaces)())
    const isOwn = interfaces.some((list = []) => list.some(({ address }) => address === endpoint.address))
    return { endpoint, isOwn }
  }

  /** Members that answer over TCP and not over UDP. */
  get udpBlockedCount(): number {
    return this.#udp.blockedCount
  }

  /** Connections of peers that were closed because there were too many, or too much in them. */
  get refusedConnections(): number {
    return this.#transport.refusedConnections
  }

  /** Datagrams that the system refused to send. */
  get sendFailures(): number {
    return this.#transport.sendFailures
  }

  /** What went over the network. */
  get traffic(): GossipTraffic {
    return this.#transport.traffic
  }

  /** Sockets that are open, listeners and connections. */
  get openSockets(): number {
    return this.#transport.openSockets
  }

  members(): MemberView[] {
    return this.#machine?.members() ?? []
  }

  member(name: string): MemberView | undefined {
    return this.#machine?.member(name)
  }

  /**
   * Opens the sockets and becomes alive, alone.
   *
   * @throws {RingmanError} `CONFIG_INVALID` for a name, address or metadata that cannot be used; `SOURCE_FAILED`
   *   when the port cannot be had, or `signal` aborts, or it was stopped.
   */
  async start(signal: AbortSignal): Promise<void> {
    const { name, bindHost = DEFAULT_BIND_HOST, meta = new Uint8Array(), preset = 'lan' } = this.options
    this.#checkStart(signal)
    checkOptions(this.options, bindHost, meta)
    const address = chooseAdvertisedAddress({
      advertise: this.options.advertise,
      bindHost,
      local: preset === 'local',
      interfaces: (this.options.interfaces ?? networkInterfaces)(),
    })
    const port = await this.#transport.open(bindHost, this.options.gossipPort ?? DEFAULT_GOSSIP_PORT)
    if (this.#stopped || signal.aborted) {
      await this.#transport.close()
      this.#checkStart(signal)
    }
    this.#endpoint = { address, port: this.options.advertisePort ?? port }
    const { codec } = this.#transport
    this.#machine = new Protocol(
      { name, endpoint: this.#endpoint, meta },
      {
        ...this.#settings,
        // A longer label leaves less.
        get packetBudgetBytes() {
          return codec.packetBudgetBytes
        },
        keyed: codec.isKeyed,
      },
      {
        random: this.options.random,
        sizeOf: codec.sizeOf,
        delegate: this.options.delegate,
        isWitness: this.options.isWitness,
      },
    )
    this.#handle({ kind: 'start' })
  }

  /** The seeds are these from now on: those not alive here are contacted now, and again at intervals. */
  join(seeds: readonly Endpoint[]): void {
    this.#joinTrace.begin(seeds.length)
    this.#transport.noteSeeds(seeds)
    this.#handle({ kind: 'join', seeds })
  }

  /**
   * Leaves the cluster, telling the others; it goes on following them until `stop`.
   *
   * @returns How many of the others are known to have got the message.
   */
  leave(): Promise<LeftEffect> {
    if (this.#leaving === undefined) {
      if (this.#machine === undefined || this.#stopped) return Promise.resolve(UNTOLD)
      this.#leaving = Promise.withResolvers()
      this.#handle({ kind: 'leave' })
    }
    return this.#leaving.promise
  }

  /**
   * Declares another living member dead, as if it had been suspected in vain: the others are told and take it, and the
   * member can deny it. For those who know better than gossip that it is gone.
   *
   * @param address - Where it is; one that is elsewhere by now is left alone.
   * @returns Whether it was living there.
   */
  declareDead(name: string, address: string): boolean {
    const known = this.member(name)
    if (known?.endpoint.address !== address || !isLiving(known) || name === this.options.name) return false
    this.#handle({ kind: 'declare-dead', name, address })
    return true
  }

  /**
   * Takes a member that is dead, or left, off the list.
   *
   * @returns Whether there was one.
   */
  forget(name: string): boolean {
    const state = this.member(name)?.state
    this.#handle({ kind: 'forget', name })
    return state === 'dead' || state === 'left'
  }

  /** By which ways a member answers just now; it takes six seconds at most. */
  checkReach(name: string): Promise<Reach> {
    if (this.#machine === undefined || this.#stopped) return Promise.resolve({ udp: false, tcp: false })
    const id = this.#nextId++
    return new Promise((resolve) => {
      this.#reaching.set(id, resolve)
      this.#handle({ kind: 'check-reach', id, name })
    })
  }

  /** Declares another member dead, and takes nobody of its name for `forMs`. */
  evict(name: string, forMs: number): void {
    this.#handle({ kind: 'evict', name, forMs })
  }

  /** Tells that the pod of a member at this address is not ready, which is evidence if the member is suspected. */
  podUnready(name: string, address: string): void {
    this.#handle({ kind: 'pod-unready', name, address })
  }

  /** @throws {RingmanError} `METADATA_TOO_LARGE` above 512 bytes. */
  updateMetadata(meta: Uint8Array): void {
    checkMetadata(meta)
    this.#handle({ kind: 'update-metadata', meta })
  }

  /**
   * Hands bytes to the delegates of as many members as news is sent to by one member (`retransmitMult`), along with
   * gossip, best effort. As in Go, they go no further by themselves: in a larger cluster each delegate that hears
   * of something new has to broadcast it as well, and to know what it has heard before.
   *
   * @param topic - A later broadcast with the same topic takes the place of this one while it waits.
   */
  broadcast(payload: Uint8Array, topic?: string): Promise<BroadcastFinishedEffect['outcome']> {
    if (this.#machine === undefined || this.#stopped) return Promise.resolve('dropped')
    const id = this.#nextId++
    return new Promise((resolve) => {
      this.#broadcasts.set(id, resolve)
      this.#handle({ kind: 'broadcast', id, payload, topic })
    })
  }

  /** Sends bytes to one member's delegate in a packet, which may be lost; a few hundred bytes at most. */
  sendPacket(to: Endpoint, payload: Uint8Array): void {
    this.#handle({ kind: 'send-message', to, payload })
  }

  /** Sends bytes to one member's delegate over TCP. */
  send(to: Endpoint, payload: Uint8Array): Promise<StreamAnswer> {
    return this.#transport.sendUserMessage(to, payload)
  }

  /** From now on the first of these keys encrypts and all of them decrypt. */
  setKeyring(keyring: Keyring): void {
    this.#transport.codec.setKeyring(keyring)
  }

  /** From now on the first of these labels is sent and all of them are accepted; an empty one stands for no label. See `parseLabels`. */
  setLabels(labels: readonly string[]): void {
    this.#transport.codec.setLabels(labels)
  }

  get labels(): readonly string[] {
    return this.#transport.codec.labels
  }

  get keyring(): Keyring {
    return this.#transport.codec.keyring
  }

  /** Releases sockets and timers. Without a `leave` before it, the others will find this member dead. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#leaving?.resolve(UNTOLD)
    for (const resolve of this.#broadcasts.values()) resolve('dropped')
    this.#broadcasts.clear()
    for (const resolve of this.#reaching.values()) resolve({ udp: false, tcp: false })
    this.#reaching.clear()
    await this.#transport.close()
    this.#over.resolve()
  }

  #checkStart(signal: AbortSignal): void {
    if (this.#machine !== undefined) throw new RingmanError('SOURCE_FAILED', 'the member was started already')
    if (this.#stopped || signal.aborted) {
      throw new RingmanError('SOURCE_FAILED', 'the member was stopped before it had started', {
        ...(signal.aborted ? { cause: signal.reason } : {}),
      })
    }
  }

  #fail(error: unknown): void {
    if (!this.#stopped) this.#over.reject(error)
  }

  /** Runs code that is not ours: what it throws ends the node. */
  #guard(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Gives an event to the machine and carries out what it asks for. */
  #handle(event: ProtocolEvent): void {
    const machine = this.#machine
    if (machine === undefined || this.#stopped) return
    const changes: MemberChangedEffect[] = []
    this.#guard(() => {
      for (const effect of machine.handle(event, this.options.clock.now())) this.#carryOut(effect, changes)
      if (changes.length > 0) this.#events.onMembers?.(changes)
    })
    this.#setTimer(machine.nextDueMs)
  }

  #setTimer(dueMs: number): void {
    if (this.#stopped || (dueMs === this.#timerDueMs && this.#cancelTimer !== undefined)) return
    this.#cancelTimer?.()
    this.#timerDueMs = dueMs
    this.#cancelTimer =
      dueMs === Infinity
        ? undefined
        : detach(() =>
            this.options.clock.after(Math.max(0, dueMs - this.options.clock.now()), () => {
              this.#cancelTimer = undefined
              this.#handle({ kind: 'tick' })
            }),
          )
  }

  #carryOut(effect: Effect, changes: MemberChangedEffect[]): void {
    const { delegate } = this.options
    switch (effect.kind) {
      case 'send-packet':
        this.#transport.sendPacket(effect.to, effect.messages, this.#endpoint?.port ?? DEFAULT_GOSSIP_PORT)
        break
      case 'start-stream-probe':
        void this.#transport.probe(effect)
        break
      case 'answer-stream-ping':
        this.#transport.answer(effect.stream, effect.ack)
        break
      case 'start-push-pull':
        void this.#transport.pushPull(
          effect,
          this.#localState(effect.state.join),
          this.#joinTrace.spanOf(effect),
        )
        break
      case 'answer-push-pull': {
        const pushPull = { ...effect.state, userState: this.#localState(effect.state.join) }
        this.#transport.answer(effect.stream, { kind: 'push-pull', pushPull })
        break
      }
      case 'refuse-stream':
        this.#transport.answer(effect.stream, { kind: 'error', text: refusalText(effect.reason) })
        break
      case 'member-changed':
        this.#noteMember(effect)
        changes.push(effect)
        break
      case 'conflict-found':
        this.traffic.conflicts++
        delegate?.conflicted?.(effect.known, effect.claimedBy)
        break
      case 'user-message':
        this.#noteMessage(effect.payload)
        break
      case 'remote-state':
        delegate?.mergeRemoteState?.(effect.payload, effect.join)
        break
      case 'probe-finished':
        this.traffic.addProbe(effect)
        if (this.options.tcpOnly !== true) this.#udp.add(effect)
        if (effect.via === 'direct')
          delegate?.pingCompleted?.(effect.member, effect.durationMs, effect.payload)
        break
      case 'join-finished':
        this.#joinTrace.end(effect)
        this.#events.onJoinFinished?.(effect)
        break
      case 'left':
        this.#leaving?.resolve(effect)
        break
      case 'reach-checked':
        this.#reaching.get(effect.id)?.(effect)
        this.#reaching.delete(effect.id)
        break
      case 'broadcast-finished':
        this.#broadcasts.get(effect.id)?.(effect.outcome)
        this.#broadcasts.delete(effect.id)
        break
      case 'log':
        this.#logger[effect.level](effect.fields, effect.message)
        break
      default:
        assertNever(effect)
    }
  }

  #noteMessage(payload: Uint8Array): void {
    this.#events.onUserMessage?.(payload)
    this.options.delegate?.notifyMessage?.(payload)
  }

  #noteMember({ change, member }: MemberChangedEffect): void {
    const { delegate, name } = this.options
    this.#transport.noteMember(member, change !== 'forgotten')
    if (member.name === name) return
    switch (change) {
      case 'joined':
        delegate?.joined?.(member)
        break
      case 'updated':
        delegate?.updated?.(member)
        break
      case 'died':
      case 'left':
        this.#udp.forget(member.name)
        delegate?.left?.(member)
        break
      case 'suspected':
      case 'restored':
      case 'forgotten':
      case 'contested':
      case 'uncontested':
        break
      default:
        assertNever(change)
    }
  }

  #localState(join: boolean): Uint8Array {
    return this.options.delegate?.localState?.(join) ?? new Uint8Array()
  }
}

import { assertNever } from '../../../errors.ts'
import { isLiving, METADATA_LIMIT_BYTES } from '../../member.ts'
import type { IndirectPing, Message, Ping } from '../wire/messages.ts'
import { ask } from './ask.ts'
import { Contests } from './contests.ts'
import { Core, NO_BYTES } from './core.ts'
import type { Counters } from './counters.ts'
import type { Dependencies, Identity } from './dependencies.ts'
import type { Effect, MemberView } from './effects.ts'
import { type Endpoint, sameEndpoint, tryEndpoint } from './endpoint.ts'
import type { ProtocolEvent } from './events.ts'
import { Exchanges } from './exchanges.ts'
import { GossipRounds } from './gossip.ts'
import type { QueueOutcome } from './gossip-queue.ts'
import { Inquiries } from './inquiry.ts'
import { Leave } from './leave.ts'
import { type MemberRecord, viewOf } from './members.ts'
import { Merge } from './merge.ts'
import { Prober } from './probe.ts'
import { PushPullRounds } from './push-pull-rounds.ts'
import { Reconnect } from './reconnect.ts'
import { SelfDefence } from './refute.ts'
import { Rejoin } from './rejoin.ts'
import { Relays } from './relay.ts'
import type { ProtocolSettings } from './settings.ts'
import { suspectMessage, Suspicions } from './suspicion.ts'

/**
 * Far more than adding and taking off the time lost can be out by: without it a tick at `nextDueMs` might find nothing
 * due yet, and the shell would tick again in the same moment.
 */
const ROUNDING_MS = 0.001
/** Others call this member dead, or do not list it, for so many probe intervals, and nobody pings it: then nobody reaches it. */
const UNREACHED_INTERVALS = 10
/** Time for the sockets to be read after a stall. */
const INBOX_MS = 25
/** Long stalls have their due this often at most. */
const LONG_STALL_EVERY_MS = 10_000
/** How long a member may take to answer an operator's question whether it is reached: longer than any that is only busy. */
const REACH_MS = 3000

/**
 * HashiCorp memberlist's protocol (SWIM with Lifeguard) as a machine: events and time in, effects out.
 *
 * The shell calls `handle` for each event, carries out the effects, and after each call sets its one timer to
 * `nextDueMs`, when it sends `{ kind: 'tick' }`. That is all. A machine does nothing before its `start` event.
 */
export class Protocol {
  readonly #core: Core
  readonly #merge: Merge
  readonly #suspicions: Suspicions
  readonly #prober: Prober
  readonly #relays: Relays
  readonly #inquiries: Inquiries
  readonly #exchanges: Exchanges
  readonly #pushPullRounds: PushPullRounds
  readonly #rejoin: Rejoin
  readonly #reconnect: Reconnect
  readonly #leave: Leave
  readonly #contests: Contests
  #started = false
  /** Time lost to stalls: the shell's clock less this is the machine's. */
  #lostMs = 0
  #longStallMs = -Infinity
  #blamedMs = -Infinity

  /** @throws {RingmanError} `CONFIG_INVALID` for an identity or settings that no cluster could take. */
  constructor(identity: Identity, settings: ProtocolSettings, dependencies: Dependencies) {
    const core = new Core(identity, settings, dependencies)
    const fetch = (record: MemberRecord, end: () => void = () => {}) => {
      this.#exchanges.start(record.endpoint, false, end)
    }
    const suspicions = new Suspicions(core, {
      declareDead: (record, evidence) => this.#merge.declareSuspectDead(record, evidence),
      askForState: fetch,
    })
    this.#core = core
    this.#suspicions = suspicions
    this.#contests = new Contests(core, fetch)
    this.#merge = new Merge(core, suspicions, new SelfDefence(core, this.#contests), {
      contests: this.#contests,
      fetch,
      fell: (record) => {
        this.#reconnect.note(record)
        // Those that had answered too lately to be in doubt when it was first silent.
        if (record.state === 'dead') this.#prober.probeNeighbours(record)
      },
      letGo: (name) => this.#reconnect.letGo(name),
      suspected: () => {
        this.#prober.suspected()
        this.#inquiries.suspected()
      },
      listed: () => this.#pushPullRounds.noteListed(),
      missed: () => this.#pushPullRounds.catchUp(),
      claimed: (record) => {
        // Peers can repeat a claim as often as they like; one probe at a time says enough.
        if (core.nowMs - record.lastAckMs > settings.probeIntervalMs) this.#prober.probe(record)
      },
    })
    this.#prober = new Prober(core, {
      silent: (record, probedMs) => {
        this.#merge.raiseSuspicion(record)
        this.#inquiries.begin(record, probedMs)
        if (this.#merge.isClaimed(record)) suspicions.addEvidence(record, 'refusal')
        this.#prober.probeNeighbours(record)
      },
      refused: (record) => {
        if (settings.refusedSuspicionMult <= 0 || core.nowMs < record.refusalsDistrustedUntilMs) return
        this.#merge.raiseSuspicion(record)
        suspicions.addEvidence(record, 'refusal')
        this.#prober.probeNeighbours(record)
      },
    })
    this.#relays = new Relays(core)
    this.#inquiries = new Inquiries(core, (record) => this.#merge.declareSuspectDead(record, 'witnesses'))
    this.#exchanges = new Exchanges(core, this.#merge)
    this.#pushPullRounds = new PushPullRounds(core, this.#exchanges, this.#prober)
    this.#rejoin = new Rejoin(core, this.#exchanges)
    this.#reconnect = new Reconnect(core, this.#exchanges)
    this.#leave = new Leave(core, this.#contests, () => this.#pushPullRounds.hasten())
    const gossip = new GossipRounds(core, this.#merge)
    core.onQueued = () => gossip.wake()
    this.#contests.onElsewhere = (alive) => this.#merge.alive(alive, { by: 'itself' })
  }

  /**
   * Takes one event.
   *
   * @param nowMs - Monotonic milliseconds; a time before an earlier call's counts as that one's.
   * @returns What to do, in order.
   */
  handle(event: ProtocolEvent, nowMs: number): readonly Effect[] {
    const core = this.#core
    core.clockMs = Math.max(core.clockMs, nowMs)
    if (!this.#started && event.kind !== 'start') return []
    this.#findStall()
    core.nowMs = core.clockMs - this.#lostMs
    this.#apply(event)
    core.deadlines.runDue(core.nowMs + ROUNDING_MS)
    return core.takeEffects()
  }

  /** When the next tick is due, on the clock of `handle`; `Infinity` before `start`. */
  get nextDueMs(): number {
    return this.#core.deadlines.nextMs + this.#lostMs
  }

  /** Every member known, this one included, in no order. Costs as much as there are members. */
  members(): MemberView[] {
    return Array.from(this.#core.members.all(), viewOf)
  }

  member(name: string): MemberView | undefined {
    const record = this.#core.members.get(name)
    return record === undefined ? undefined : viewOf(record)
  }

  contested(): MemberView[] {
    return this.#contests.contested().map(viewOf)
  }

  evicted(): { readonly name: string; readonly forMs: number }[] {
    return this.#merge.evicted()
  }

  /** @param nowMs - On the clock of `handle`: its eviction ends in time, also where nothing falls due then. */
  isEvicted(nowMs: number): boolean {
    return nowMs - this.#lostMs < this.#core.evictedUntilMs
  }

  get isUnlisted(): boolean {
    return this.#contests.isUnlisted
  }

  /** Whether others hold this member for dead again and again, and none of them reaches it to ask. */
  get isUnreached(): boolean {
    const { calledDead, settings } = this.#core
    return (
      calledDead !== undefined &&
      calledDead.lastMs - calledDead.firstMs >= UNREACHED_INTERVALS * settings.probeIntervalMs
    )
  }

  get livingCount(): number {
    return this.#core.livingCount
  }

  /** 0 (well) to `awarenessMaxMultiplier - 1`. */
  get healthScore(): number {
    return this.#core.awareness.score
  }

  get queuedCount(): number {
    return this.#core.queue.count
  }

  get counters(): Readonly<Counters> {
    return this.#core.counters
  }

  #apply(event: ProtocolEvent): void {
    const core = this.#core
    switch (event.kind) {
      case 'start':
        this.#start()
        return
      case 'tick':
        return
      case 'packet-received':
        this.#receive(event.from, event.messages, event.sizeBytes)
        return
      case 'stream-probe-finished':
        core.pendingStreams.get(event.probe)?.(event.outcome)
        return
      case 'stream-ping-received':
        this.#answerStream(event.stream, event.ping)
        return
      case 'push-pull-received':
        if (core.livingCount === 1) this.#pushPullRounds.catchUp(0)
        this.#exchanges.received(event.stream, event.from, event.state)
        return
      case 'push-pull-answered':
        this.#exchanges.answered(event.exchange, event.state)
        return
      case 'push-pull-failed':
        this.#exchanges.failed(event.exchange, event.outcome, event.message)
        return
      case 'join':
        this.#rejoin.join(event.seeds)
        return
      case 'leave':
        this.#leave.start()
        return
      case 'update-metadata':
        this.#updateMetadata(event.meta)
        return
      case 'broadcast':
        this.#broadcast(event.id, event.payload, event.topic)
        return
      case 'send-message':
        core.send(event.to, [{ kind: 'user', payload: event.payload }], false, 'probe')
        return
      case 'declare-dead':
        this.#merge.declareDead(event.name, event.address)
        return
      case 'forget':
        this.#forget(event.name)
        return
      case 'evict':
        this.#merge.evict(event.name, event.forMs)
        return
      case 'pod-unready':
        this.#podUnready(event.name, event.address)
        return
      case 'check-reach':
        this.#checkReach(event.id, event.name)
        return
      default:
        assertNever(event)
    }
  }

  #podUnready(name: string, address: string): void {
    const record = this.#core.members.get(name)
    if (record?.endpoint.address === address) this.#suspicions.addEvidence(record, 'kubernetes')
  }

  #start(): void {
    if (this.#started) return
    this.#started = true
    const core = this.#core
    core.self.incarnation = 1
    core.self.sinceMs = core.clockMs
    core.announceSelf()
    core.tell('joined', core.self)
    this.#prober.start()
    this.#pushPullRounds.start()
    this.#reconnect.start()
  }

  /**
   * A deadline found late means that this process did not run: what fell due meanwhile is put off by as much, and a
   * little more, so that the answers that wait in the sockets are heard first. After a long stall, in which packets
   * may have been lost, there is more time, and probes begin again; but only now and then, so that a process that
   * stalls again and again still declares the dead dead.
   */
  #findStall(): void {
    const core = this.#core
    const { settings, clockMs } = core
    const lateMs = clockMs - this.nextDueMs
    if (settings.stallThresholdMs <= 0 || lateMs < settings.stallThresholdMs) return
    // Shorter ones lose no packet, and the time lost is given back: they say nothing against what this member sees.
    const isBlamed = lateMs >= settings.probeTimeoutMs / 2
    const isLong = isBlamed && clockMs - this.#longStallMs >= LONG_STALL_EVERY_MS
    this.#lostMs += lateMs + Math.min(lateMs, isLong ? settings.probeTimeoutMs : INBOX_MS)
    core.nowMs = clockMs - this.#lostMs
    core.counters.stalls++
    core.counters.stalledMs += lateMs
    if (isBlamed && clockMs - this.#blamedMs >= settings.probeIntervalMs) {
      this.#blamedMs = clockMs
      core.awareness.adjust(1)
    }
    if (isLong) {
      this.#longStallMs = clockMs
      this.#prober.restart()
    }
    // After so long a time others may have declared us dead, and news of it may have been lost.
    if (lateMs >= settings.suspicionMult * settings.probeIntervalMs) this.#pushPullRounds.hasten()
    core.logLimited('warn', 'loop.stalled', 'This process was stalled; the time lost counts against nobody', {
      event: 'loop.stalled',
      lateMs: Math.round(lateMs),
    })
  }

  #receive(from: Endpoint, messages: readonly Message[], sizeBytes: number): void {
    const core = this.#core
    core.contacts.received(from, sizeBytes, core.nowMs)
    const self = core.self
    // A peer that pings us with a suspicion that we have refuted has missed the refutation: we send it again.
    const missedUs = messages.some(
      (message) =>
        (message.kind === 'suspect' || message.kind === 'dead') &&
        message.node === self.name &&
        message.incarnation < self.incarnation,
    )
    // Facts first, so that an answer to a ping of this packet already carries what we say to them.
    for (const message of messages) this.#learn(message, from, messages)
    // No member puts two questions of a kind into one packet: a sender that does wants many answers to one packet.
    for (const kind of ['ping', 'indirect-ping'] as const) {
      const [question, ...more] = messages.filter((message) => message.kind === kind)
      if (question?.kind === 'ping') this.#answer(question, from, missedUs)
      else if (question?.kind === 'indirect-ping') {
        const replyTo = this.#replyTo(question, from)
        const [first] = messages
        const isInquiry = first?.kind === 'suspect' && first.node === question.node
        if (isInquiry) this.#inquiries.witness(question, replyTo)
        else this.#relays.relay(question, replyTo)
      }
      if (more.length > 0) core.refuse('overloaded', { kind, from: from.address })
    }
  }

  #learn(message: Message, from: Endpoint, said: readonly Message[]): void {
    switch (message.kind) {
      case 'alive':
        this.#merge.alive(message, { by: 'packet', from })
        this.#inquiries.vouched(message, from)
        return
      case 'suspect':
        this.#merge.suspect(message)
        return
      case 'dead':
        this.#merge.dead(message)
        return
      case 'ack':
        this.#core.pending.get(message.seqNo)?.acked(message.payload, from, said)
        return
      case 'nack':
        this.#core.pending.get(message.seqNo)?.nacked?.(from)
        return
      case 'user':
        this.#core.emit({ kind: 'user-message', payload: message.payload })
        return
      case 'ping':
      case 'indirect-ping':
        return
      default:
        assertNever(message)
    }
  }

  #answer(ping: Ping, from: Endpoint, missedUs: boolean): void {
    const core = this.#core
    // Our own one came back: it is we who are where it went.
    if (core.pending.has(ping.seqNo)) return
    if (ping.node !== '' && ping.node !== core.self.name) {
      core.refuse('not-for-us', { meant: ping.node.slice(0, 255), from: from.address })
      return
    }
    if (core.leaving) {
      // Who pings a member that has left has missed it, or asks whether the name lives here.
      core.send(from, [core.ownLeave()], false)
      return
    }
    core.calledDead = undefined
    const asker = ping.source === undefined ? undefined : core.members.get(ping.source.node)
    const place = placeOf(ping)
    if (asker !== undefined && sameEndpoint(asker.endpoint, from)) asker.pingedUsMs = core.nowMs
    const to = this.#replyTo(ping, from)
    const isKnown = asker !== undefined && place !== undefined && sameEndpoint(asker.endpoint, place)
    // Where it says it is, nobody answered so far: it gets no news, and no chance to refute that it is suspected.
    const isElsewhere = place !== undefined && !sameEndpoint(place, to)
    // Whoever pings us and is dead or suspect here is told, so that it can refute.
    const isTold = isKnown && (!isElsewhere || asker.state === 'dead')
    const told = isTold ? suspectMessage(core, asker) : []
    const alive = missedUs ? [core.ownAlive()] : []
    core.send(to, [this.#ack(ping), ...told, ...alive], !isElsewhere)
  }

  /**
   * Where an answer goes: where the asker says that it is, if a member answered us there; else where the packet came from.
   * So nobody is sent what he did not ask for.
   */
  #replyTo(message: Ping | IndirectPing, from: Endpoint): Endpoint {
    const { contacts } = this.#core
    const place = placeOf(message)
    const name = message.source?.node ?? ''
    return place !== undefined && contacts.hasAnswered(place, name, -Infinity) ? place : from
  }

  #answerStream(stream: number, ping: Ping): void {
    const { leaving, pending, self } = this.#core
    const isOurs = pending.has(ping.seqNo)
    if (leaving || isOurs || (ping.node !== '' && ping.node !== self.name)) {
      if (!isOurs) this.#core.refuse('not-for-us', { meant: ping.node.slice(0, 255) })
      this.#core.emit({ kind: 'refuse-stream', stream, reason: 'not-for-us' })
      return
    }
    this.#core.calledDead = undefined
    this.#core.emit({ kind: 'answer-stream-ping', stream, ack: this.#ack(ping) })
  }

  #ack(ping: Ping): Extract<Message, { kind: 'ack' }> {
    return { kind: 'ack', seqNo: ping.seqNo, payload: this.#core.delegate.ackPayload?.() ?? NO_BYTES }
  }

  #forget(name: string): void {
    const record = this.#core.members.get(name)
    if (record === undefined || record === this.#core.self || isLiving(record)) return
    this.#reconnect.letGo(name)
    this.#merge.forget(record)
  }

  #checkReach(id: number, name: string): void {
    const core = this.#core
    const record = core.members.get(name)
    const reached = { udp: false, tcp: false }
    let waiting = 2
    const end = () => {
      if (--waiting === 0) core.emit({ kind: 'reach-checked', id, ...reached })
    }
    if (record === undefined) {
      core.emit({ kind: 'reach-checked', id, ...reached })
      return
    }
    const place = record.endpoint
    ask(core, { place, name, repeat: true, fill: false, timeoutMs: REACH_MS }, (payload) => {
      reached.udp = payload !== undefined
      end()
    })
    const seqNo = core.takeSeqNo()
    const finish = (isAcked: boolean) => {
      if (!core.pendingStreams.delete(seqNo)) return
      reached.tcp = isAcked
      end()
    }
    core.deadlines.set(core.nowMs + 2 * REACH_MS, () => finish(false))
    core.pendingStreams.set(seqNo, (outcome) => finish(outcome === 'acked'))
    core.pingOverStream(place, core.pingFor(record, seqNo), REACH_MS, 'probe')
  }

  #updateMetadata(meta: Uint8Array): void {
    const core = this.#core
    if (core.leaving || meta.length > METADATA_LIMIT_BYTES) {
      core.log('warn', 'Did not take new metadata', { event: 'metadata.refused', sizeBytes: meta.length })
      return
    }
    core.self.meta = meta
    core.self.incarnation++
    core.announceSelf()
    core.tell('updated', core.self)
  }

  #broadcast(id: number, payload: Uint8Array, topic: string | undefined): void {
    const core = this.#core
    const message: Message = { kind: 'user', payload }
    const finished = (outcome: QueueOutcome) => core.emit({ kind: 'broadcast-finished', id, outcome })
    if (core.sizeInPacket(message) > core.settings.packetBudgetBytes / 2) {
      finished('dropped')
      return
    }
    core.queueMessage(message, topic === undefined ? undefined : { space: 'user', name: topic }, finished)
  }
}

/** Where the asker says that it is. */
function placeOf({ source }: Ping | IndirectPing): Endpoint | undefined {
  return source === undefined ? undefined : tryEndpoint(source.address, source.port)
}

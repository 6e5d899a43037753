import { configInvalid } from '../../../errors.ts'
import { LineLimit } from '../../../limited-warnings.ts'
import { COMPOUND_HEADER_BYTES, COMPOUND_PART_BYTES, MAX_COMPOUND_PARTS } from '../wire/compound.ts'
import type { Alive, Message, Ping, PushPull, PushPullNode } from '../wire/messages.ts'
import { Awareness } from './awareness.ts'
import { Contacts, type Purpose } from './contacts.ts'
import { createCounters, type Counters, type Refusal } from './counters.ts'
import { Deadlines } from './deadlines.ts'
import type { Delegate, Dependencies, Identity } from './dependencies.ts'
import type { Effect, LogEffect, MemberChange } from './effects.ts'
import { type Endpoint, formatAddress, tryParseAddress } from './endpoint.ts'
import type { StreamProbeOutcome } from './events.ts'
import { GossipQueue, type QueueOutcome, type QueueTopic } from './gossip-queue.ts'
import { retransmitLimit } from './intervals.ts'
import { hashName, type MemberRecord, MemberTable, viewOf, vsnOf } from './members.ts'
import { DeclaredDead } from './declared-dead.ts'
import type { ProtocolSettings } from './settings.ts'

/** What waits for the answer to one of our sequence numbers. */
export interface PendingAnswer {
  /** @param said - All that was in the packet. */
  acked: (payload: Uint8Array, from: Endpoint, said: readonly Message[]) => void
  nacked?: (from: Endpoint) => void
}

/** So many suspects at once are a mass failure. */
const MASS_SUSPECTS = 3
/** About what a ping over a stream sends, with what TCP adds. */
const STREAM_BYTES = 300
/** Type byte and nothing else: what a user message adds to its payload. */
const USER_MESSAGE_BYTES = 1
/** A kind of log line that peers can cause comes at most this often. */
const LOG_INTERVAL_MS = 10_000

export const NO_BYTES = new Uint8Array(0)

/**
 * What the parts of the machine share: who we are, who the others are, what waits to be said, what is due, and
 * the effects of the event at hand.
 */
export class Core {
  readonly settings: ProtocolSettings
  readonly delegate: Delegate
  /** Whether a member with this metadata looks for suspects as this one does. */
  readonly isWitness: (meta: Uint8Array) => boolean
  readonly random: () => number
  readonly members: MemberTable
  readonly queue: GossipQueue
  readonly declaredDead: DeclaredDead
  readonly contacts: Contacts
  readonly deadlines = new Deadlines()
  readonly awareness: Awareness
  readonly counters: Counters = createCounters()
  readonly self: MemberRecord
  /** By sequence number of our pings. */
  readonly pending = new Map<number, PendingAnswer>()
  /** By number of our probes over streams. */
  readonly pendingStreams = new Map<number, (outcome: StreamProbeOutcome) => void>()
  /** The machine's own time: the shell's less what was lost to stalls. Deadlines are on it. */
  nowMs = 0
  /** The shell's time. What is shown to others is on it. */
  clockMs = 0
  /** When others held this member for dead, or did not list it, first and last since one of them reached it; on the machine's own time. */
  calledDead: { readonly firstMs: number; readonly lastMs: number } | undefined
  /** The highest incarnation of this member that others held for dead. */
  #heldDeadUpTo = -Infinity
  /** Until when this member itself is evicted, as the member that answered last says; on the machine's own time. */
  evictedUntilMs = -Infinity
  /** Where this member joins through, itself left out. */
  seeds: readonly Endpoint[] = []
  /** When somebody answered us last; on the machine's own time. */
  answeredMs: number | undefined
  leaving = false
  onQueued: () => void = () => {}
  #effects: Effect[] = []
  readonly #sizeOf: (message: Message) => number
  readonly #lines = new LineLimit(LOG_INTERVAL_MS)

  /** @throws {RingmanError} `CONFIG_INVALID` for an identity or settings that no cluster could take. */
  constructor(identity: Identity, settings: ProtocolSettings, dependencies: Dependencies) {
    this.settings = settings
    this.random = dependencies.random
    this.#sizeOf = dependencies.sizeOf
    this.delegate = dependencies.delegate ?? {}
    this.isWitness = dependencies.isWitness ?? (() => false)
    this.members = dependencies.members ?? new MemberTable(dependencies.random, settings.probeIntervalMs)
    this.queue = new GossipQueue(settings.maxQueued)
    this.declaredDead = new DeclaredDead(this.queue)
    this.contacts = new Contacts(settings.maxMembers)
    this.awareness = new Awareness(settings.awarenessMaxMultiplier)
    this.self = createSelf(identity, settings)
    this.members.addSelf(this.self)
  }

  /** Living members, this one included while it has not left. */
  get livingCount(): number {
    return this.members.living.length + (this.self.state === 'alive' ? 1 : 0)
  }

  /** Whether several are silent at once: more may have gone with them. */
  get isMassFailure(): boolean {
    return this.settings.witnesses !== 'off' && this.members.suspectCount >= MASS_SUSPECTS
  }

  /** Notes that another member holds this one for dead. */
  noteCalledDead(incarnation: number): void {
    // Once for each incarnation: the news comes from several peers, and also after a suspicion that was refuted.
    if (incarnation > this.#heldDeadUpTo) {
      this.#heldDeadUpTo = incarnation
      this.counters.heldDead++
    }
    this.noteUnlisted()
  }

  /** Notes that another member does not list this one as living. */
  noteUnlisted(): void {
    this.calledDead = { firstMs: this.calledDead?.firstMs ?? this.nowMs, lastMs: this.nowMs }
  }

  takeEffects(): readonly Effect[] {
    const effects = this.#effects
    this.#effects = []
    return effects
  }

  emit(effect: Effect): void {
    this.#effects.push(effect)
  }

  tell(change: MemberChange, record: MemberRecord): void {
    this.emit({ kind: 'member-changed', change, member: viewOf(record) })
  }

  /** A sequence number that nothing of ours waits on, and that nobody can guess: who acks it has had our ping. */
  takeSeqNo(): number {
    let seqNo = Math.floor(this.random() * 2 ** 32)
    while (this.pending.has(seqNo) || this.pendingStreams.has(seqNo)) seqNo = (seqNo + 1) >>> 0
    return seqNo
  }

  /** A ping for `record`, that says where to answer. */
  pingFor(record: { readonly name: string }, seqNo: number): Ping {
    const { addressBytes, endpoint, name } = this.self
    return {
      kind: 'ping',
      seqNo,
      node: record.name,
      source: { address: addressBytes, port: endpoint.port, node: name },
    }
  }

  /** Whether somebody has answered us there, or keys prevent forgery. Only such a place gets gossip. */
  isReached(place: Endpoint): boolean {
    return this.settings.keyed || this.contacts.isReached(place, this.nowMs)
  }

  /**
   * Sends one packet, unless its receiver never answered and has had enough (see `Contacts.spend`). Where the receiver has
   * answered, and `fill` is not false, news fills the room that is left. That does not count as sending the news: the packet
   * may be a ping to a silent member, or the tenth nack to the same one.
   */
  send(to: Endpoint, messages: readonly Message[], fill = true, purpose: Purpose = 'answer'): void {
    let room = this.settings.packetBudgetBytes - COMPOUND_HEADER_BYTES
    for (const message of messages) room -= this.sizeInPacket(message)
    const isReached = this.isReached(to)
    const more = fill && isReached ? this.#look(room, MAX_COMPOUND_PARTS - messages.length) : []
    const all = [...messages, ...more]
    if (all.length === 0) return
    const sizeBytes = this.settings.packetBudgetBytes - room
    if (!isReached && !this.contacts.spend(to, sizeBytes, purpose, this.nowMs)) return
    this.counters.packetsSent++
    this.counters.messagesSent += all.length
    this.emit({ kind: 'send-packet', to, messages: all })
  }

  /** Tries a ping over a stream; its end goes to what waits for `ping.seqNo` in `pendingStreams`. */
  pingOverStream(to: Endpoint, ping: Ping, timeoutMs: number, purpose: Purpose): void {
    if (!this.isReached(to) && !this.contacts.spend(to, STREAM_BYTES, purpose, this.nowMs)) return
    this.emit({ kind: 'start-stream-probe', probe: ping.seqNo, to, ping, timeoutMs })
  }

  /**
   * Sends a packet of what waits to be said to each of several. It is the same news for all: if each packet had what was left
   * by the one before, some news would go to the same member again and again, and miss others.
   */
  gossipTo(places: readonly Endpoint[]): void {
    if (places.length === 0) return
    const roomBytes = this.settings.packetBudgetBytes - COMPOUND_HEADER_BYTES
    const limit = retransmitLimit(this.settings.retransmitMult, this.livingCount)
    const news = this.queue.take(roomBytes, MAX_COMPOUND_PARTS, limit, places.length)
    for (const place of places)
      this.send(place, this.#withBroadcasts(news, roomBytes, MAX_COMPOUND_PARTS), false)
  }

  #look(roomBytes: number, maxCount: number): Message[] {
    // The application's messages go to a number of members that is counted, and what fills a packet is not.
    const news = this.queue.look(roomBytes, maxCount).filter(({ kind }) => kind !== 'user')
    return this.#withBroadcasts(news, roomBytes, maxCount)
  }

  /** News, and what the application has to say besides, as far as there is room for it. */
  #withBroadcasts(news: Message[], roomBytes: number, maxCount: number): Message[] {
    const overheadBytes = COMPOUND_PART_BYTES + USER_MESSAGE_BYTES
    if (this.delegate.broadcasts === undefined || news.length >= maxCount) return news
    let leftBytes = news.reduce((left, message) => left - this.sizeInPacket(message), roomBytes)
    if (leftBytes <= overheadBytes) return news
    const all = [...news]
    const payloads = this.delegate.broadcasts(overheadBytes, leftBytes) ?? []
    for (const payload of payloads.slice(0, maxCount - news.length)) {
      leftBytes -= payload.length + overheadBytes
      if (leftBytes >= 0) all.push({ kind: 'user', payload })
    }
    return all
  }

  /**
   * Queues a message to be sent on. One that no packet can hold is not queued, as it would only keep others from their
   * turn: it is counted, and left to push/pulls.
   *
   * @returns Whether it was queued.
   */
  queueMessage(message: Message, topic?: QueueTopic, finished?: (outcome: QueueOutcome) => void): boolean {
    const sizeBytes = this.sizeInPacket(message)
    if (sizeBytes > this.settings.packetBudgetBytes - COMPOUND_HEADER_BYTES) {
      this.counters.oversized++
      // What waits on the same topic is older.
      if (topic !== undefined) this.queue.remove(topic)
      finished?.('dropped')
      return false
    }
    this.counters.dropped += this.queue.offer(message, sizeBytes, topic, finished)
    this.onQueued()
    return true
  }

  sizeInPacket(message: Message): number {
    return this.#sizeOf(message) + COMPOUND_PART_BYTES
  }

  aliveMessage({ name: node, incarnation, address, port, meta, vsn }: PushPullNode): Alive {
    return { kind: 'alive', incarnation, node, address, port, meta, vsn, ...this.clusterName }
  }

  /** That a member is suspect or dead in its incarnation; from itself, that it left. @param from - Who says so. */
  fallMessage<K extends 'suspect' | 'dead'>(
    kind: K,
    { name, incarnation }: { readonly name: string; readonly incarnation: number },
    from = this.self.name,
  ) {
    return { kind, incarnation, node: name, from, ...this.clusterName }
  }

  ownAlive(): Message {
    return this.aliveMessage(nodeOf(this.self))
  }

  /** Our own leave: a dead message from ourselves. */
  ownLeave(): Message {
    return this.fallMessage('dead', this.self)
  }

  announceSelf(): void {
    const message = this.ownAlive()
    if (this.queueMessage(message, { space: 'member', name: this.self.name })) return
    this.log('warn', 'What this member says of itself fits no packet, and spreads by push/pull only', {
      event: 'self.oversized',
      bytes: this.sizeInPacket(message),
      limit: this.settings.packetBudgetBytes - COMPOUND_HEADER_BYTES,
    })
  }

  /** The cluster name as messages carry it: a field, or none. */
  get clusterName(): { readonly clusterName?: string } {
    const { clusterName } = this.settings
    return clusterName === undefined ? {} : { clusterName }
  }

  /** Whether a message with this cluster name is for our cluster. */
  isOurCluster(message: { readonly clusterName?: string }): boolean {
    const ours = this.settings.clusterName
    return ours === undefined || (message.clusterName ?? '') === ours
  }

  localState(join: boolean): PushPull {
    const nodes = Array.from(this.members.all(), nodeOf)
    return { join, nodes, userState: NO_BYTES, ...this.clusterName }
  }

  /** Counts something refused, and logs it at a limited rate. */
  refuse(reason: Refusal, fields: LogEffect['fields'] = {}): void {
    this.counters.refused[reason]++
    this.logLimited('warn', `message.refused ${reason}`, 'Refused a message', {
      event: 'message.refused',
      reason,
      ...fields,
    })
  }

  log(level: LogEffect['level'], message: string, fields: LogEffect['fields']): void {
    this.emit({ kind: 'log', level, message, fields })
  }

  /** Logs unless a line of the same `kind` (of a small fixed set) came within {@link LOG_INTERVAL_MS}. */
  logLimited(level: LogEffect['level'], kind: string, message: string, fields: LogEffect['fields']): void {
    const written = this.#lines.take(kind, fields, this.clockMs)
    if (written !== undefined) this.log(level, message, written)
  }

  /** `ms` times 0.5 to 1.5, so that members do not act at once. */
  jitter(ms: number): number {
    return ms * (0.5 + this.random())
  }
}

/** States as push/pull numbers them. */
export const STATE_NUMBERS = { alive: 0, suspect: 1, dead: 2, left: 3 } as const

export function nodeOf({
  name,
  addressBytes: address,
  endpoint,
  meta,
  incarnation,
  state,
  vsn,
}: MemberRecord): PushPullNode {
  return { name, address, port: endpoint.port, meta, incarnation, state: STATE_NUMBERS[state], vsn }
}

function createSelf(identity: Identity, settings: ProtocolSettings): MemberRecord {
  const { name, endpoint, meta } = identity
  const addressBytes = tryParseAddress(endpoint.address) ?? NO_BYTES
  const address = formatAddress(addressBytes)
  if (name === '' || address === undefined) {
    throw configInvalid(
      `a member needs a name and an address that others can reach, not "${name}" at "${endpoint.address}"`,
    )
  }
  for (const key of [
    'probeIntervalMs',
    'probeTimeoutMs',
    'gossipIntervalMs',
    'suspicionMult',
    'retransmitMult',
  ] as const) {
    if (!(settings[key] > 0)) {
      throw configInvalid(`${key} is ${settings[key]}; it must be above 0`)
    }
  }
  return createRecord(name, { address, port: endpoint.port }, addressBytes, meta, vsnOf(settings.versions))
}

/** A record that is alive in incarnation 0 and in no group yet. */
export function createRecord(
  name: string,
  endpoint: Endpoint,
  addressBytes: Uint8Array,
  meta: Uint8Array,
  vsn: Uint8Array,
): MemberRecord {
  return {
    name,
    endpoint,
    addressBytes,
    meta,
    vsn,
    incarnation: 0,
    risen: 0,
    risenMs: 0,
    state: 'alive',
    sinceMs: 0,
    index: -1,
    forgotten: false,
    claim: undefined,
    previous: undefined,
    livesMs: -Infinity,
    fellMs: -Infinity,
    forgetting: undefined,
    rival: undefined,
    asking: false,
    conflictToldMs: -Infinity,
    suspicion: undefined,
    lastAckMs: -Infinity,
    probedMs: -Infinity,
    probeRank: 0,
    nameHash: hashName(name),
    pingedUsMs: -Infinity,
    refusalsDistrustedUntilMs: -Infinity,
  }
}

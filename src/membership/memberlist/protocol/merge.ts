import { TokenBucket } from '../../../token-bucket.ts'
import { isLiving, isPlainText, MAX_EVICTION_MS, METADATA_LIMIT_BYTES } from '../../member.ts'
import { MAX_EVICTED } from '../wire/limits.ts'
import type { Alive, Dead, EvictedMember, PushPull, PushPullNode, Suspect } from '../wire/messages.ts'
import { sameBytes } from '../wire/text.ts'
import { ask } from './ask.ts'
import type { Contests } from './contests.ts'
import type { DeathEvidence } from './counters.ts'
import { type Core, createRecord, nodeOf, STATE_NUMBERS } from './core.ts'
import { isDoubtful, isLate, isStale, previousOf } from './doubtful-deaths.ts'
import { type Endpoint, keyOf, sameEndpoint, tryEndpoint } from './endpoint.ts'
import { type MemberRecord, understandEachOther, versionsOf, viewOf } from './members.ts'
import { correctTo, INCARNATION_LIMIT, isBeyond, raiseTo, roomToRise } from './incarnation.ts'
import type { SelfDefence } from './refute.ts'
import { noteAnswer, type Suspicions } from './suspicion.ts'

/** Characters of a name at most. */
const NAME_LIMIT = 255
const VSN_BYTES = 6
/** Members that wait to be asked, and how long until they are looked at again. */
const WAITING_LIMIT = 1024
const WAITING_MS = 250
/** Members asked at once before they are taken. */
const ASKED_LIMIT = 256
/** Members asked for their state because what is said of them is not believed: a whole state each time. */
const FETCHES = { burst: 16, perSecond: 10 }
/** Members at one address that are listed in a ring without keys: far more than a host has, and few for who invents them. */
const PER_ADDRESS_LIMIT = 64
/** A claim on a name counts so long. */
const CLAIM_MS = 60_000
/** Members of a state that are taken in one go, and how long until the next ones are. */
const STATE_SLICE = 512
const STATE_SLICE_MS = 1
/** A member's conflict is told at most this often. */
const CONFLICT_INTERVAL_MS = 10_000

/**
 * Where a message is from, if not from the state of a peer that sent it: a packet; its member, asked where it is listed; or
 * somebody whom we asked, at `place`, for its state. `seed`: one that was given to us to join through.
 */
export type Origin =
  | { readonly by: 'packet'; readonly from: Endpoint }
  | { readonly by: 'itself' }
  | { readonly by: 'asked'; readonly seed: boolean; readonly place: Endpoint }

/** Who has to act on what was learned. */
export interface MergeListener {
  readonly contests: Contests
  /** Another member died or left. */
  fell(record: MemberRecord): void
  /** A member is not to be looked for any more. */
  letGo(name: string): void
  /** A member is to be asked for its state. */
  fetch(record: MemberRecord, end: () => void): void
  /** A member is suspect from now on. */
  suspected(): void
  /** There is one more member. */
  listed(): void
  /** There were so many new members at once that some were left out. */
  missed(): void
  /** A living member's name is claimed from another endpoint. */
  claimed(record: MemberRecord): void
}

/**
 * The rules by which news of members becomes what we hold of them. Of two facts on one member the higher
 * incarnation wins; with equal ones dead beats suspect beats alive.
 *
 * @see SWIM (Das, Gupta, Motivala 2002), section 4.2
 */
export class Merge {
  readonly #core: Core
  readonly #suspicions: Suspicions
  readonly #defence: SelfDefence
  readonly #listener: MergeListener
  /** Messages that wait for their member to answer. */
  readonly #asked = new Map<string, Alive>()
  /** Messages whose members are to be asked when there is room. */
  readonly #waiting = new Map<string, Alive>()
  /** Places at which one name is being asked for because another answers there. */
  readonly #contended = new Set<string>()
  /** Until when nobody of these names is taken, on the machine's own time. */
  readonly #evicted = new Map<string, number>()
  #fetching = false
  readonly #fetches = new TokenBucket(FETCHES)

  constructor(core: Core, suspicions: Suspicions, defence: SelfDefence, listener: MergeListener) {
    this.#core = core
    this.#suspicions = suspicions
    this.#defence = defence
    this.#listener = listener
  }

  /** Takes a message that a member is alive. @param origin - Where the message is from. */
  alive(message: Alive, origin?: Origin): void {
    const endpoint = this.#checkAlive(message)
    if (endpoint === undefined) return
    if (message.node === this.#core.self.name) {
      this.#defence.alive(message, endpoint)
      return
    }
    if (this.isEvicted(message.node)) {
      this.#core.refuse('evicted', { peer: message.node })
      return
    }
    const known = this.#core.members.get(message.node)
    const isThere = known !== undefined && isLiving(known) && sameEndpoint(known.endpoint, endpoint)
    if (!isThere && !this.#hasRoom(message, endpoint)) return
    if (known === undefined) {
      if (this.#isReal(message.node, endpoint, origin)) this.#admit(message, endpoint)
      else this.#askFirst(message, endpoint)
    } else if (!sameEndpoint(known.endpoint, endpoint)) this.#moved(known, message, endpoint, origin)
    else if (isBeyond(known, message.incarnation, this.#core.nowMs)) {
      if (origin?.by === 'asked' && sameEndpoint(origin.place, endpoint)) this.#takeOwn(known, message)
      else {
        this.#core.refuse('incarnation-out-of-range', { peer: known.name, kind: message.kind })
        this.#askForState(known)
      }
    } else if (message.incarnation > known.incarnation) {
      if (this.#isRefused(message, endpoint)) return
      if (known.state === 'dead') this.#revived(known, message, endpoint, origin)
      else this.#revive(known, message)
    }
  }

  /**
   * Whether there is room for a member at this place. In a ring without keys another address than ours has so many at
   * most, whatever their ports, and a place has one: where another is listed, {@link #contend} finds out who is there.
   */
  #hasRoom(message: Alive, place: Endpoint): boolean {
    const { members, self, settings } = this.#core
    if (settings.keyed) return true
    const other = members.livingAt(place)
    if (other !== undefined) this.#contend(message, place, other)
    else if (sameEndpoint(place, self.endpoint) || this.#isCrowded(place)) this.#refuseRoom(message, place)
    else return true
    return false
  }

  /** Whether an address has all the members that it may have. Whoever is at our own address is no stranger. */
  #isCrowded({ address }: Endpoint): boolean {
    const { members, self } = this.#core
    return address !== self.endpoint.address && members.countAt(address) >= PER_ADDRESS_LIMIT
  }

  #refuseRoom({ node }: Alive, { address, port }: Endpoint): void {
    this.#core.refuse('too-many-members', { peer: node, address, port })
  }

  /**
   * Another name is said to be where `other` is listed. That name is asked for first; if it answers, `other` is asked for, and
   * makes room if it is silent. If both answer, one process answers for every name, and one entry is enough.
   */
  #contend(message: Alive, place: Endpoint, other: MemberRecord): void {
    const core = this.#core
    if (!core.contacts.hasAnswered(place, message.node, other.lastAckMs)) {
      this.#askFirst(message, place)
      return
    }
    const key = keyOf(place)
    if (this.#contended.has(key) || this.#contended.size >= ASKED_LIMIT) return
    this.#contended.add(key)
    ask(core, { place, name: other.name, repeat: true, stream: true, fill: false }, (payload) => {
      this.#contended.delete(key)
      if (payload !== undefined) {
        noteAnswer(core, other, 'direct')
        this.#refuseRoom(message, place)
        return
      }
      if (core.members.livingAt(place) === other) this.declareDead(other.name, place.address)
      this.alive(message)
    })
  }

  /**
   * Whether a member not known so far is taken at once: with keys, where it was not silent before; without, if it has
   * answered, or is in the state of a seed. Else anybody could invent any number of members.
   */
  #isReal(name: string, place: Endpoint, origin: Origin | undefined): boolean {
    const { contacts, nowMs, settings } = this.#core
    if (contacts.hasAnswered(place, name, -Infinity)) return true
    const isBelieved = settings.keyed || (origin?.by === 'asked' && origin.seed)
    return isBelieved && !contacts.isSilent(place, name, nowMs)
  }

  /**
   * A dead member is said to live where it was: it is asked first. Not where it has answered since it died, nor where
   * others have asked; but one that was not to be reached before is asked in any case.
   */
  #revived(record: MemberRecord, message: Alive, endpoint: Endpoint, origin: Origin | undefined): void {
    const { contacts, nowMs } = this.#core
    const isReached = contacts.hasAnswered(endpoint, record.name, record.fellMs)
    const isBelieved = !contacts.isSilent(endpoint, record.name, nowMs) && this.#isBelieved(endpoint, origin)
    if (isReached || isBelieved) this.#revive(record, message)
    else this.#askFirst(message, endpoint)
  }

  /** Asks a place that was silent, less often each time; if the member answers there, its newest message is taken after all. */
  #askFirst(message: Alive, place: Endpoint): void {
    const core = this.#core
    const { node: name, incarnation } = message
    const key = `${name} ${keyOf(place)}`
    const asked = this.#asked.get(key)
    if (asked !== undefined) {
      if (incarnation > asked.incarnation) this.#asked.set(key, message)
      return
    }
    if (core.contacts.isResting(place, name, core.nowMs)) return
    if (
      this.#asked.size >= ASKED_LIMIT ||
      (!core.settings.keyed && !core.contacts.mayProbe(place, core.nowMs))
    ) {
      this.#askLater(key, message)
      return
    }
    core.contacts.asks(place, name, core.nowMs, core.settings.probeIntervalMs)
    this.#asked.set(key, message)
    ask(core, { place, name, repeat: true, stream: true, fill: false }, (payload) => {
      const newest = this.#asked.get(key) as Alive
      this.#asked.delete(key)
      if (payload !== undefined) this.alive(newest)
    })
  }

  /**
   * Whether a dead member is believed to live without being asked: if a seed that we asked says so, and in a ring with keys
   * if any peer does but the member itself, because that peer has asked. So one member asks, and not all of them.
   */
  #isBelieved(endpoint: Endpoint, origin: Origin | undefined): boolean {
    if (origin?.by === 'asked' && origin.seed) return true
    return this.#core.settings.keyed && (origin?.by !== 'packet' || !sameEndpoint(origin.from, endpoint))
  }

  /** Takes a message that a member is suspected. */
  suspect(message: Suspect): void {
    if (!this.#isOurs(message)) return
    if (message.node === this.#core.self.name) {
      this.#defence.suspectedOrDead(message)
      return
    }
    const record = this.#core.members.get(message.node)
    if (record === undefined || !isLiving(record) || message.incarnation < record.incarnation) return
    if (!this.#isPlausible(message, record) || isStale(this.#core, record, message)) return
    const topic = { space: 'member', name: record.name } as const
    // A higher incarnation is another life: between the two it refuted, and its time begins again.
    if (message.incarnation > record.incarnation) this.#suspicions.end(record)
    if (record.suspicion !== undefined) {
      if (!this.#suspicions.confirm(record, message.from)) return
      // Beside our own message, not in its place: each of those who suspect has to be heard by the others.
      const isOwn = message.from === this.#core.self.name
      this.#core.queueMessage(message, isOwn ? topic : { ...topic, space: 'confirmation' })
      return
    }
    raiseTo(record, message.incarnation, this.#core.nowMs)
    if (record.state === 'alive') this.#core.members.setState(record, 'suspect', this.#core.clockMs)
    this.#suspicions.begin(record, message.from)
    this.#core.queueMessage(message, topic)
    this.#core.tell('suspected', record)
    this.#listener.suspected()
    this.#core.logLimited('debug', 'member.suspected', 'A member was suspected', {
      event: 'member.suspected',
      peer: record.name,
      by: message.from,
    })
  }

  /** Takes a message that a member is dead, or, from itself, that it left. */
  dead(message: Dead): void {
    if (!this.#isOurs(message)) return
    if (message.node === this.#core.self.name) {
      this.#defence.suspectedOrDead(message)
      return
    }
    const record = this.#core.members.get(message.node)
    if (record === undefined || message.incarnation < record.incarnation) return
    if (!this.#isPlausible(message, record) || isStale(this.#core, record, message)) return
    if (isLate(this.#core, record, message)) return
    if (isDoubtful(this.#core, record, message)) {
      this.suspect({ ...message, kind: 'suspect' })
      return
    }
    // A member of memberlist before 0.1.6, and of the Nitro fork, leaves without naming itself as the sender.
    const state = message.from === message.node || message.from === '' ? 'left' : 'dead'
    // Of a dead or left member, what it said itself weighs more in the same incarnation.
    const isOld = state === record.state || (state === 'dead' && message.incarnation === record.incarnation)
    if (!isLiving(record) && isOld) raiseTo(record, message.incarnation, this.#core.nowMs)
    else this.#fall(record, message, state)
  }

  /** Suspects a member ourselves. */
  raiseSuspicion(record: MemberRecord): void {
    if (record.state === 'alive') this.#core.counters.suspicionsRaised++
    this.suspect(this.#core.fallMessage('suspect', record))
  }

  /** Declares a suspect dead ourselves. */
  declareSuspectDead(record: MemberRecord, evidence: DeathEvidence): void {
    const core = this.#core
    core.counters.declaredDead++
    core.counters.declaredDeadBy[evidence]++
    core.log('info', 'A suspect did not answer and was declared dead', {
      event: 'suspect.declared-dead',
      peer: record.name,
      address: record.endpoint.address,
      evidence,
    })
    this.dead(core.fallMessage('dead', record))
  }

  /** Declares a living member dead ourselves, which it can refute; one at another address is left alone. */
  declareDead(name: string, address: string): void {
    const { self, members } = this.#core
    const record = members.get(name)
    if (record === undefined || record === self || !isLiving(record)) return
    if (record.endpoint.address === address) this.dead(this.#core.fallMessage('dead', record))
  }

  /** Declares a member dead ourselves, and takes nobody of its name for a time. */
  evict(name: string, forMs: number): void {
    const { members, nowMs, self } = this.#core
    if (name === self.name) return
    this.#evicted.delete(name)
    this.#evicted.set(name, nowMs + forMs)
    const [oldest] = this.#evicted.keys()
    if (this.#evicted.size > MAX_EVICTED && oldest !== undefined) this.#evicted.delete(oldest)
    const record = members.get(name)
    if (record !== undefined) this.declareDead(name, record.endpoint.address)
    // It would take our questions for a sign that it is one of us.
    this.#listener.letGo(name)
  }

  /**
   * Evicts whom a peer that we asked says to be evicted, for no longer than an operator may. A name counts once: what an
   * operator said here is not undone, and an eviction that members tell each other comes to its end.
   */
  learnEvicted(evicted: readonly EvictedMember[], from: Endpoint): void {
    for (const { name, forMs: saidMs } of evicted) {
      if (this.#evicted.size >= MAX_EVICTED) return
      const isKnown = this.#evicted.has(name) || name === this.#core.self.name
      if (isKnown || name.length > NAME_LIMIT || !isPlainText(name)) continue
      const forMs = Math.min(saidMs, MAX_EVICTION_MS)
      this.evict(name, forMs)
      const fields = { event: 'eviction.learned', peer: name, forMs, from: from.address }
      this.#core.logLimited('info', 'eviction.learned', 'Learned from another member who is evicted', fields)
    }
  }

  /** Names of which nobody is taken, and for how many whole milliseconds more. */
  evicted(): EvictedMember[] {
    const leftMs = (untilMs: number) => Math.floor(untilMs - this.#core.nowMs)
    const left = Array.from(this.#evicted, ([name, untilMs]) => ({ name, forMs: leftMs(untilMs) }))
    return left.filter(({ forMs }) => forMs > 0)
  }

  /** Whether nobody of this name is taken just now. */
  isEvicted(name: string): boolean {
    return this.#core.nowMs < (this.#evicted.get(name) ?? -Infinity)
  }

  /**
   * Takes a peer's whole state, a large one in slices, so that look-ups do not wait for it. What it holds for dead is only
   * suspected here: its member may have refuted, and who is dead will be found silent.
   *
   * @param end - Called when all of it is taken: at once, of a small one.
   */
  state(state: PushPull, origin: Origin | undefined, end: () => void): void {
    const { self } = this.#core
    // Before anything else is believed: it may lead us to declare a member dead, which is in doubt then.
    const isDead = (node: PushPullNode) =>
      node.name === self.name && node.state === STATE_NUMBERS.dead && node.incarnation >= self.incarnation
    const ownDeath = state.nodes.find(isDead)
    if (ownDeath !== undefined) {
      this.#core.declaredDead.doubt(this.#core.nowMs)
      this.#core.noteCalledDead(ownDeath.incarnation)
    }
    const own = state.nodes.find(({ name }) => name === self.name)
    // A peer that does not list us has not reached us, or has only just heard of us.
    if (own === undefined && origin?.by === 'asked') this.#core.noteUnlisted()
    if (own !== undefined && own.state <= STATE_NUMBERS.suspect && origin?.by === 'asked') {
      const place = tryEndpoint(own.address, own.port)
      if (place !== undefined) this.#listener.contests.listed(origin.place, place)
    }
    this.#takeFrom(0, state.nodes, origin, end)
  }

  #takeFrom(at: number, nodes: readonly PushPullNode[], origin: Origin | undefined, end: () => void): void {
    const { deadlines, nowMs } = this.#core
    const next = at + STATE_SLICE
    for (const node of nodes.slice(at, next)) this.#take(node, origin)
    if (next >= nodes.length) {
      end()
      return
    }
    deadlines.set(nowMs + STATE_SLICE_MS, () => this.#takeFrom(next, nodes, origin, end))
  }

  #take(node: PushPullNode, origin: Origin | undefined): void {
    const core = this.#core
    if (node.state === STATE_NUMBERS.alive) this.alive(core.aliveMessage(node), origin)
    else if (node.state === STATE_NUMBERS.left) this.dead(core.fallMessage('dead', node, node.name))
    else {
      const known = core.members.get(node.name)
      const isNews = known === undefined || node.incarnation > known.incarnation
      // A suspect that we have not heard of is a member all the same.
      if (node.state === STATE_NUMBERS.suspect && isNews) this.alive(core.aliveMessage(node), origin)
      this.suspect(core.fallMessage('suspect', node))
    }
  }

  /** There is no room for a question now: many members are new at once. They wait for their turn, so many at most. */
  #askLater(key: string, message: Alive): void {
    if (this.#waiting.size >= WAITING_LIMIT && !this.#waiting.has(key)) {
      this.#listener.missed()
      return
    }
    this.#waiting.set(key, message)
    if (this.#waiting.size > 1) return
    const { deadlines, nowMs } = this.#core
    deadlines.set(nowMs + WAITING_MS, () => {
      const waiting = [...this.#waiting.values()]
      this.#waiting.clear()
      for (const newest of waiting) this.alive(newest)
    })
  }

  /**
   * Which member makes room for a new one when there are as many as there may be: one that has fallen, or, where the new one
   * has answered us, one that never has.
   */
  #expendable({ node }: Alive, endpoint: Endpoint): MemberRecord | undefined {
    const { contacts, members } = this.#core
    const [fallen] = members.fallen
    if (fallen !== undefined || !contacts.hasAnswered(endpoint, node, -Infinity)) return fallen
    const isUnheard = (record: MemberRecord) =>
      record.lastAckMs === -Infinity && !contacts.hasAnswered(record.endpoint, record.name, -Infinity)
    return members.randomLiving(1, isUnheard)[0]
  }

  #admit(message: Alive, endpoint: Endpoint): void {
    const core = this.#core
    if (this.#isRefused(message, endpoint)) return
    if (core.members.size >= core.settings.maxMembers) {
      const expendable = this.#expendable(message, endpoint)
      if (expendable === undefined) {
        this.#refuseRoom(message, endpoint)
        return
      }
      if (isLiving(expendable)) {
        this.#suspicions.end(expendable)
        core.members.setState(expendable, 'dead', core.clockMs)
        core.tell('died', expendable)
      }
      this.forget(expendable)
    }
    const record = this.#recordOf(message, endpoint)
    record.livesMs = core.nowMs
    core.members.add(record)
    this.#listener.listed()
    core.queueMessage(message, { space: 'member', name: record.name })
    core.tell('joined', record)
  }

  /** The same process with newer news of itself; dead, left or suspect, it is alive again. */
  #revive(record: MemberRecord, message: Alive): void {
    const { state } = record
    const changed = !sameBytes(record.meta, message.meta) || !sameBytes(record.vsn, message.vsn)
    if (record.rival === undefined) this.#core.queue.remove({ space: 'claim', name: record.name })
    this.#apply(record, message)
    this.#core.queueMessage(message, { space: 'member', name: record.name })
    if (state === 'dead' || state === 'left') this.#core.tell('joined', record)
    else if (state === 'suspect') this.#core.tell('restored', record)
    if (changed && isLiving({ state })) this.#core.tell('updated', record)
  }

  #apply(record: MemberRecord, message: Alive): void {
    this.#suspicions.end(record)
    this.#core.deadlines.cancel(record.forgetting)
    record.claim = undefined
    raiseTo(record, message.incarnation, this.#core.nowMs)
    record.meta = message.meta
    record.vsn = message.vsn
    if (!isLiving(record)) record.livesMs = this.#core.nowMs
    if (record.state !== 'alive') this.#core.members.setState(record, 'alive', this.#core.clockMs)
  }

  /** The name is claimed from another endpoint: taken over when its member has fallen, or says so itself, else a conflict. */
  #moved(record: MemberRecord, message: Alive, endpoint: Endpoint, origin: Origin | undefined): void {
    const core = this.#core
    if (this.#isRefused(message, endpoint)) return
    const previous = previousOf(core, record)
    if (origin?.by === 'itself') this.#takeOver(record, message, endpoint)
    else if (previous === undefined || !sameEndpoint(previous.endpoint, endpoint)) {
      this.#claim(record, message, endpoint)
    } else if (message.incarnation <= previous.incarnation) {
      // Late news of what the name was there before, unless it answers there again.
      this.#askBefore(record, endpoint, () => this.#claim(record, message, endpoint))
    } else if (isLiving(record) && core.contacts.hasAnswered(endpoint, record.name, previous.untilMs)) {
      this.#giveBack(record, message, endpoint)
    } else this.#claim(record, message, endpoint)
  }

  #claim(record: MemberRecord, message: Alive, endpoint: Endpoint): void {
    if (isLiving(record)) this.#conflict(record, message, endpoint)
    else this.#takeOver(record, message, endpoint)
  }

  /** Goes on only if the name answers at `endpoint`; one question for each member at a time. */
  #askBefore(record: MemberRecord, endpoint: Endpoint, then: () => void): void {
    if (record.asking) return
    record.asking = true
    ask(this.#core, { place: endpoint, name: record.name, fill: false }, (payload) => {
      record.asking = false
      if (payload !== undefined && !record.forgotten && !sameEndpoint(record.endpoint, endpoint)) then()
    })
  }

  /**
   * A place was taken over after a message that its member had left or died, and that member answers there and says that it
   * lives: that message was wrong, or forged.
   */
  #giveBack(record: MemberRecord, message: Alive, endpoint: Endpoint): void {
    const rival = record.endpoint
    const claim = this.#core.aliveMessage(nodeOf(record))
    this.#takeOver(record, message, endpoint)
    record.previous = undefined
    this.#listener.contests.claimed(record, claim, rival)
  }

  #takeOver(record: MemberRecord, message: Alive, endpoint: Endpoint): void {
    const core = this.#core
    this.#listener.contests.end(record)
    // It is taken at once, and the old place is told: if its member lives, it says so, and is given it back.
    const { name, incarnation, endpoint: place } = record
    ask(core, { place, name, say: [core.fallMessage('dead', record, name)], fill: false }, () => {})
    record.previous = { endpoint: place, incarnation, untilMs: core.nowMs }
    core.members.move(record, endpoint, message.address)
    record.refusalsDistrustedUntilMs = -Infinity
    record.incarnation = 0
    record.risen = 0
    this.#apply(record, message)
    // Beside the news of the death, not in its place: a member that has not heard that yet would take this for a conflict.
    core.queueMessage(message, { space: 'claim', name: record.name })
    core.tell('joined', record)
    core.log('info', 'A name came back from another address', {
      event: 'member.moved',
      peer: record.name,
      from: record.previous.endpoint.address,
      to: endpoint.address,
    })
  }

  #conflict(record: MemberRecord, message: Alive, endpoint: Endpoint): void {
    const core = this.#core
    const { claim } = record
    if (
      claim === undefined ||
      message.incarnation >= claim.alive.incarnation ||
      !isFresh(claim, core.clockMs)
    ) {
      record.claim = { alive: message, atMs: core.clockMs }
    }
    if (core.clockMs - record.conflictToldMs >= CONFLICT_INTERVAL_MS) {
      record.conflictToldMs = core.clockMs
      core.emit({ kind: 'conflict-found', known: viewOf(record), claimedBy: endpoint })
      core.logLimited('warn', 'conflict.found', 'A name was claimed from another address', {
        event: 'conflict.found',
        peer: record.name,
        address: record.endpoint.address,
        port: record.endpoint.port,
        claimedByAddress: endpoint.address,
        claimedByPort: endpoint.port,
      })
      // Nobody sends the claim on; the one it concerns should know of it, and speak up if it lives.
      core.send(record.endpoint, [message])
    }
    this.#listener.contests.claimed(record, message, endpoint)
    this.#listener.claimed(record)
  }

  /** Whether another process lately claimed this living member's name. */
  isClaimed(record: MemberRecord): boolean {
    return record.claim !== undefined && isFresh(record.claim, this.#core.clockMs)
  }

  #fall(record: MemberRecord, message: Dead, state: 'dead' | 'left'): void {
    const core = this.#core
    const { claim } = record
    this.#suspicions.end(record)
    raiseTo(record, message.incarnation, core.nowMs)
    const { contacts, nowMs } = core
    const isUnreached =
      isLiving(record) && !contacts.hasAnswered(record.endpoint, record.name, record.livesMs)
    if (state === 'dead' && isUnreached) contacts.diedUnreached(record.endpoint, record.name, nowMs)
    record.fellMs = nowMs
    core.members.setState(record, state, core.clockMs)
    this.#listener.contests.end(record)
    core.queue.remove({ space: 'claim', name: record.name })
    // What waits about the member goes first, so that only the message offered here counts as ours.
    core.queue.remove({ space: 'member', name: record.name })
    const finished = message.from === core.self.name ? core.declaredDead.queued(record.name) : undefined
    core.queueMessage(message, { space: 'member', name: record.name }, finished)
    core.tell(state === 'left' ? 'left' : 'died', record)
    this.#listener.fell(record)
    this.#core.deadlines.cancel(record.forgetting)
    record.forgetting = core.deadlines.set(core.nowMs + core.settings.deadKeptMs, () => this.forget(record))
    if (claim !== undefined && isFresh(claim, core.clockMs)) this.alive(claim.alive)
  }

  /** Takes a fallen member off the list. */
  forget(record: MemberRecord): void {
    this.#core.deadlines.cancel(record.forgetting)
    this.#listener.contests.end(record)
    for (const space of ['member', 'claim'] as const) {
      this.#core.queue.remove({ space, name: record.name })
    }
    this.#core.members.remove(record)
    this.#core.tell('forgotten', record)
  }

  /** @returns The endpoint that the message names; undefined when it was refused and counted. */
  #checkAlive(message: Alive): Endpoint | undefined {
    if (!this.#isOurs(message)) return undefined
    const endpoint = this.#placeOf(message)
    const { node, meta, vsn } = message
    const { pMin, pMax } = versionsOf(vsn)
    const wellFormed =
      endpoint !== undefined &&
      node.length <= NAME_LIMIT &&
      meta.length <= METADATA_LIMIT_BYTES &&
      vsn.length === VSN_BYTES
    if (!wellFormed) {
      this.#core.refuse('malformed', { kind: message.kind })
      return undefined
    }
    // A member that nobody can speak with, or that contradicts itself, would keep others from joining.
    if (pMin === 0 || !understandEachOther(vsn, vsn) || !understandEachOther(vsn, this.#core.self.vsn)) {
      this.#core.refuse('version-incompatible', { peer: node, pMin, pMax })
      return undefined
    }
    return endpoint
  }

  /** The place that a message names, without making it again for each message on a known member. */
  #placeOf({ node, address, port }: Alive): Endpoint | undefined {
    const known = this.#core.members.get(node)
    const isThere = known?.endpoint.port === port && sameBytes(known.addressBytes, address)
    return isThere ? known.endpoint : tryEndpoint(address, port)
  }

  #isOurs(message: Alive | Suspect | Dead): boolean {
    if (!isPlainText(message.node)) {
      this.#core.refuse('malformed', { kind: message.kind })
      return false
    }
    const isOurCluster = this.#core.isOurCluster(message)
    if (isOurCluster && message.incarnation < INCARNATION_LIMIT) return true
    this.#core.refuse(isOurCluster ? 'incarnation-out-of-range' : 'cluster-name-differs', {
      peer: message.node.slice(0, NAME_LIMIT),
      kind: message.kind,
    })
    return false
  }

  #isPlausible(
    message: { readonly incarnation: number; readonly kind: string },
    record: MemberRecord,
  ): boolean {
    if (message.incarnation - record.incarnation <= roomToRise(record, this.#core.nowMs)) return true
    this.#core.refuse('incarnation-out-of-range', { peer: record.name, kind: message.kind })
    return false
  }

  /** What is said of a member is far from what is held of it: it is asked for its state, one member at a time. */
  #askForState(record: MemberRecord): void {
    const { nowMs } = this.#core
    if (this.#fetching || !this.#core.isReached(record.endpoint) || !this.#fetches.tryTake(nowMs, 1)) return
    this.#fetching = true
    this.#listener.fetch(record, () => {
      this.#fetching = false
    })
  }

  /**
   * A peer's own entry, fetched from where it is listed: nobody else can have said it, so its incarnation stands, whatever
   * others have made of it.
   */
  #takeOwn(record: MemberRecord, message: Alive): void {
    if (this.#isRefused(message, record.endpoint)) return
    correctTo(record, message.incarnation, this.#core.nowMs)
    this.#revive(record, message)
  }

  #recordOf({ node, address, meta, vsn, incarnation }: Alive, endpoint: Endpoint): MemberRecord {
    return { ...createRecord(node, endpoint, address, meta, vsn), incarnation, sinceMs: this.#core.clockMs }
  }

  #isRefused(message: Alive, endpoint: Endpoint): boolean {
    const reason = this.#core.delegate.refuseAlive?.(viewOf(this.#recordOf(message, endpoint)))
    if (reason === undefined) return false
    this.#core.refuse('delegate-refused', { peer: message.node, because: reason })
    return true
  }
}

function isFresh(claim: { readonly atMs: number }, clockMs: number): boolean {
  return clockMs - claim.atMs < CLAIM_MS
}

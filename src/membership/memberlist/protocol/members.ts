import { isLiving, type MemberState, type ProtocolVersions } from '../../member.ts'
import type { Alive } from '../wire/messages.ts'
import type { Deadline } from './deadlines.ts'
import type { MemberView } from './effects.ts'
import { type Endpoint, keyOf } from './endpoint.ts'
import { Rotation } from './rotation.ts'
import { shuffle } from '../../../shuffle.ts'

/** A group up to so large is searched in full; in a larger one chance has so many tries for each wanted. */
const WALK_LIMIT = 128
const TRIES = 8
/** Pings of a member put off our probes of it so many rounds. */
const PUT_OFF_ROUNDS = 2
/** One round of so many goes to the member that was quiet for longest, the others to the one that is watched. */
const WATCH_ROUNDS = 3
/** Who was probed within so many probe intervals is not watched again at once. */
const JUST_PROBED = 0.9

/** One member's time of being suspected by us, and what speaks for and against. */
export interface Suspicion {
  readonly sinceMs: number
  minMs: number
  maxMs: number
  /** Confirmations that bring the time to `minMs`. */
  k: number
  /** Who suspects, the first one included; at most `k + 1`. */
  readonly confirmations: Set<string>
  /** Since when an answer of the suspect puts the deadline off. */
  armedMs: number
  extensions: number
  dueMs: number
  deadline: Deadline | undefined
  check: Deadline | undefined
  checkSeqNo: number | undefined
  streamChecked: boolean
  evidence: Evidence | undefined
}

/**
 * Strong evidence against a suspect: its port refuses, or its name is claimed from elsewhere (`refusal`), or its pod is not
 * ready (`kubernetes`).
 */
export interface Evidence {
  readonly kind: 'refusal' | 'kubernetes'
  readonly sinceMs: number
  /** Until then the suspect can clear itself by answering. */
  readonly dueMs: number
  /** Those asked to reach it as well. */
  readonly relays: readonly MemberRecord[]
  nacked: boolean
  /** The wait is over, and a nack decides at once. Not told by the time, which a stall sets back. */
  isOver: boolean
}

/** What the machine holds of one member. */
export interface MemberRecord {
  readonly name: string
  endpoint: Endpoint
  addressBytes: Uint8Array
  meta: Uint8Array
  vsn: Uint8Array
  incarnation: number
  risen: number
  risenMs: number
  state: MemberState
  /** On the shell's clock. */
  sinceMs: number
  /** Place among the living others or among the dead and left; -1 in neither. */
  index: number
  forgotten: boolean
  /** Another process that wants this name, taken at once when the member falls. */
  claim: { readonly alive: Alive; readonly atMs: number } | undefined
  /** Where the name was before it was taken over, how far its incarnations had come there, and when that was (machine's own time). */
  previous:
    { readonly endpoint: Endpoint; readonly incarnation: number; readonly untilMs: number } | undefined
  /** When it became alive here, and when it last died or left, on the machine's own time. */
  livesMs: number
  fellMs: number
  /** When it is forgotten; run or taken back while it lives. */
  forgetting: Deadline | undefined
  /** Where another process of this name answers, while the name is contested. */
  rival: Endpoint | undefined
  /** Whether an earlier place of the name is being asked. */
  asking: boolean
  conflictToldMs: number
  suspicion: Suspicion | undefined
  /** When it last answered one of our probes, on the machine's own time. */
  lastAckMs: number
  /** When we probed it last, and when a ping of it came last from where it is, on the machine's own time. */
  probedMs: number
  /** Where it came into the order of probes, 0 to 1. */
  probeRank: number
  /** Where it is on the circle of who watches whom, 32 bits. */
  readonly nameHash: number
  pingedUsMs: number
  /** It answered over UDP while its TCP port refused: until then refusals prove nothing. On the machine's own time. */
  refusalsDistrustedUntilMs: number
}

/** Members by name, with constant-time random choice among the living and among the dead and left. */
export class MemberTable {
  readonly #byName = new Map<string, MemberRecord>()
  /** Alive or suspect, without this member. */
  readonly #living: MemberRecord[] = []
  /** Dead or left, without this member. */
  readonly #fallen: MemberRecord[] = []
  /** The living others by place; where several are listed at one, the one listed last. */
  readonly #byPlace = new Map<string, MemberRecord>()
  readonly #counts = new Map<string, number>()
  readonly #gossip: Rotation<MemberRecord>
  readonly #random: () => number
  readonly #probeIntervalMs: number
  #suspectCount = 0
  #selfHash = 0
  #probeRounds = 0

  constructor(random: () => number, probeIntervalMs: number) {
    this.#random = random
    this.#probeIntervalMs = probeIntervalMs
    this.#gossip = new Rotation<MemberRecord>(random, (record) => !record.forgotten)
  }

  get size(): number {
    return this.#byName.size
  }

  get(name: string): MemberRecord | undefined {
    return this.#byName.get(name)
  }

  all(): IterableIterator<MemberRecord> {
    return this.#byName.values()
  }

  /** The living others; not to be kept across changes. */
  get living(): readonly MemberRecord[] {
    return this.#living
  }

  /** The dead and the left; not to be kept across changes. */
  get fallen(): readonly MemberRecord[] {
    return this.#fallen
  }

  /** The living other at a place. */
  livingAt(place: Endpoint): MemberRecord | undefined {
    return this.#byPlace.get(keyOf(place))
  }

  /** How many of the living others have this address, at whatever port. */
  countAt(address: string): number {
    return this.#counts.get(address) ?? 0
  }

  /** Lists this member itself, which is in neither group and never probed. */
  addSelf(record: MemberRecord): void {
    this.#byName.set(record.name, record)
    this.#selfHash = record.nameHash
  }

  /** Lists another member, as living. */
  add(record: MemberRecord): void {
    this.#byName.set(record.name, record)
    push(this.#living, record)
    this.#settle(record)
    this.#putInOrder(record)
    this.#gossip.add(record)
  }

  remove(record: MemberRecord): void {
    this.#byName.delete(record.name)
    record.forgotten = true
    if (record.state === 'suspect') this.#suspectCount--
    if (isLiving(record)) this.#vacate(record)
    drop(isLiving(record) ? this.#living : this.#fallen, record)
  }

  /** Another member is at another place from now on. */
  move(record: MemberRecord, endpoint: Endpoint, addressBytes: Uint8Array): void {
    if (isLiving(record)) this.#vacate(record)
    record.endpoint = endpoint
    record.addressBytes = addressBytes
    if (isLiving(record)) this.#settle(record)
  }

  setState(record: MemberRecord, state: MemberState, clockMs: number): void {
    const wasLiving = isLiving(record)
    if (record.state === 'suspect') this.#suspectCount--
    if (state === 'suspect') this.#suspectCount++
    record.state = state
    record.sinceMs = clockMs
    if (wasLiving !== isLiving(record)) this.relist(record)
  }

  /** Another member has fallen, or lives again. */
  protected relist(record: MemberRecord): void {
    const lives = isLiving(record)
    drop(lives ? this.#fallen : this.#living, record)
    push(lives ? this.#living : this.#fallen, record)
    if (lives) {
      this.#settle(record)
      this.#putInOrder(record)
    } else this.#vacate(record)
  }

  #settle(record: MemberRecord): void {
    const { address } = record.endpoint
    this.#byPlace.set(keyOf(record.endpoint), record)
    this.#counts.set(address, this.countAt(address) + 1)
  }

  #vacate(record: MemberRecord): void {
    const { address } = record.endpoint
    const key = keyOf(record.endpoint)
    if (this.#byPlace.get(key) === record) this.#byPlace.delete(key)
    const left = this.countAt(address) - 1
    if (left > 0) this.#counts.set(address, left)
    else this.#counts.delete(address)
  }

  /**
   * The next member to probe. In two rounds of three it is the alive one that comes after this member when all are put
   * in a circle by the hash of their names: so each has one other that watches it, and a silent one is found within
   * two rounds. In the third it is the one of the living others with which there was nothing for longest, neither a probe of
   * ours nor a ping of its own, so that a watcher that fails is not missed. A member's own pings put that probe off by two
   * turns of all at most, because whoever is only heard, and hears nothing, has to be found too, and because anybody can
   * forge them.
   *
   * @param onlyAlive - Leaves suspects to others, who look for them.
   */
  nextToProbe(nowMs: number, onlyAlive: boolean): MemberRecord | undefined {
    const putOffMs = PUT_OFF_ROUNDS * this.#roundMs
    const isWatchRound = ++this.#probeRounds % WATCH_ROUNDS !== 0
    // Where rounds follow each other more quickly, those behind the watched one come next.
    const justProbedMs = nowMs - JUST_PROBED * this.#probeIntervalMs
    let watched: MemberRecord | undefined
    let watchedDistance = Infinity
    let next: MemberRecord | undefined
    let nextMs = Infinity
    for (const record of this.#living) {
      if (onlyAlive && record.state === 'suspect') continue
      const { pingedUsMs, livesMs, probeRank } = record
      if (isWatchRound && record.state === 'alive' && record.probedMs < justProbedMs) {
        const distance = (record.nameHash - this.#selfHash) >>> 0
        if (distance < watchedDistance) [watched, watchedDistance] = [record, distance]
      }
      // A newcomer pings everybody at once: if that counted, all of them would probe it at the same time ever after.
      const isFirst = record.probedMs === -Infinity
      const probedMs = isFirst ? livesMs - probeRank * this.#roundMs : record.probedMs
      const lastMs = isFirst ? probedMs : Math.max(probedMs, Math.min(pingedUsMs, probedMs + putOffMs))
      if (lastMs < nextMs) [next, nextMs] = [record, lastMs]
    }
    const chosen = watched ?? next
    if (chosen !== undefined) chosen.probedMs = nowMs
    return chosen
  }

  get suspectCount(): number {
    return this.#suspectCount
  }

  /** As if it had been probed at some moment of the last round, so that not all members probe a newcomer at once. */
  #putInOrder(record: MemberRecord): void {
    record.probedMs = -Infinity
    record.probeRank = this.#random()
  }

  /** Time in which each living other could be probed once. */
  get #roundMs(): number {
    return this.#living.length * this.#probeIntervalMs
  }

  /**
   * The next members that `accept` takes to tell news to, in turn, so that what one member says a few times goes to
   * different ones; at different addresses as far as there are any, so that many at one address do not keep news from the
   * others. The fallen are among them unless it refuses them.
   */
  nextToTell(count: number, accept: (record: MemberRecord) => boolean): MemberRecord[] {
    const addresses = new Set<string>()
    const chosen = this.#gossip.next(count, (record) => {
      const { address } = record.endpoint
      const isTaken = accept(record) && !addresses.has(address)
      if (isTaken) addresses.add(address)
      return isTaken
    })
    const more = (record: MemberRecord) => accept(record) && !chosen.includes(record)
    return [...chosen, ...this.#gossip.next(count - chosen.length, more)]
  }

  /** A random one of the dead and left that `accept` takes, if chance finds one in a few tries. */
  randomFallen(accept: (record: MemberRecord) => boolean): MemberRecord | undefined {
    const { fallen } = this
    for (let tries = Math.min(TRIES, fallen.length); tries > 0; tries--) {
      const record = fallen[Math.floor(this.#random() * fallen.length)] as MemberRecord
      if (accept(record)) return record
    }
    return undefined
  }

  /**
   * Up to `count` different living others to reach `record` in our stead: alive ones, at other addresses if there are
   * any, because what silenced it may have silenced its neighbours.
   */
  relaysFor(record: MemberRecord, count: number): MemberRecord[] {
    const isFit = (other: MemberRecord) => other !== record && other.state === 'alive'
    const { address } = record.endpoint
    const apart = this.randomLiving(count, (other) => isFit(other) && other.endpoint.address !== address)
    return apart.length > 0 ? apart : this.randomLiving(count, isFit)
  }

  /** Up to `count` living others at the address of `record`, at random, that `accept` takes. */
  neighboursOf(
    record: MemberRecord,
    count: number,
    accept: (other: MemberRecord) => boolean,
  ): MemberRecord[] {
    const { address } = record.endpoint
    if (this.countAt(address) < (isLiving(record) ? 2 : 1)) return []
    return this.randomLiving(
      count,
      (other) => other !== record && other.endpoint.address === address && accept(other),
    )
  }

  /**
   * Up to `count` different living others at random that `accept` takes; fewer when chance does not find them in a
   * few tries each, as in memberlist.
   */
  randomLiving(count: number, accept: (record: MemberRecord) => boolean): MemberRecord[] {
    const living = this.#living
    const chosen: MemberRecord[] = []
    if (living.length <= WALK_LIMIT) {
      for (const record of shuffle([...living], this.#random)) {
        if (chosen.length < count && accept(record)) chosen.push(record)
      }
      return chosen
    }
    for (let tries = TRIES * count; tries > 0 && chosen.length < count; tries--) {
      const record = living[Math.floor(this.#random() * living.length)] as MemberRecord
      if (accept(record) && !chosen.includes(record)) chosen.push(record)
    }
    return chosen
  }
}

export function versionsOf(vsn: Uint8Array): ProtocolVersions {
  const [pMin = 0, pMax = 0, pCur = 0, dMin = 0, dMax = 0, dCur = 0] = vsn
  return { pMin, pMax, pCur, dMin, dMax, dCur }
}

/** Whether two members, by the six bytes of their `vsn`, each speak the protocol and delegate version that the other can. */
export function understandEachOther(a: Uint8Array, b: Uint8Array): boolean {
  const hears = ({ pMin, pMax, dMin, dMax }: ProtocolVersions, { pCur, dCur }: ProtocolVersions) =>
    pCur >= pMin && pCur <= pMax && dCur >= dMin && dCur <= dMax
  const [x, y] = [versionsOf(a), versionsOf(b)]
  return hears(x, y) && hears(y, x)
}

/** Versions as the six bytes of `vsn`. */
export function vsnOf(versions: ProtocolVersions): Uint8Array {
  const { pMin, pMax, pCur, dMin, dMax, dCur } = versions
  return Uint8Array.of(pMin, pMax, pCur, dMin, dMax, dCur)
}

export function viewOf(record: MemberRecord): MemberView {
  return {
    name: record.name,
    endpoint: record.endpoint,
    state: record.state,
    stateSinceMs: record.sinceMs,
    incarnation: record.incarnation,
    meta: record.meta,
    versions: versionsOf(record.vsn),
    rival: record.rival,
  }
}

/**
 * Hash of a name, 32 bits, the same at all members.
 *
 * @see FNV-1a, and the last step of MurmurHash3, so that names that differ in their last letter lie apart.
 */
export function hashName(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function push(group: MemberRecord[], record: MemberRecord): void {
  record.index = group.length
  group.push(record)
}

function drop(group: MemberRecord[], record: MemberRecord): void {
  const last = group.pop() as MemberRecord
  if (last !== record) {
    group[record.index] = last
    last.index = record.index
  }
  record.index = -1
}

import type { Endpoint } from '../../src/membership/memberlist/protocol/endpoint.ts'
import { keyOf } from '../../src/membership/memberlist/protocol/endpoint.ts'
import { type MemberRecord, MemberTable } from '../../src/membership/memberlist/protocol/members.ts'
import { isLiving } from '../../src/membership/member.ts'

/** One round of so many goes to the member whose turn it is, the others to the one that is watched. */
const WATCH_ROUNDS = 3
/** Chance has so many tries for each member wanted. */
const TRIES = 8

/** Members that all of a crowd know, and hold alike: one record of each, which nobody may write to. */
export class SharedCrowd {
  readonly records: readonly MemberRecord[]
  readonly byName: ReadonlyMap<string, MemberRecord>
  readonly byPlace: ReadonlyMap<string, MemberRecord>
  /** In the order of the circle of who watches whom. */
  readonly circle: readonly MemberRecord[]

  constructor(records: readonly MemberRecord[]) {
    this.records = records.map((record) => Object.freeze(record))
    this.byName = new Map(records.map((record) => [record.name, record]))
    this.byPlace = new Map(records.map((record) => [keyOf(record.endpoint), record]))
    this.circle = records.toSorted((a, b) => a.nameHash - b.nameHash)
  }
}

/**
 * A table of members that shares what all hold alike, for simulations of so many members that a table of each would not fit
 * into memory. What a member looks up by name, and so may write to, is a copy of its own from then on; of all others it sees
 * the shared record, which is frozen.
 *
 * What it leaves out: it cannot list the living one by one, nor move members. `all`, and so a push/pull, has only the copies:
 * of entries that both sides hold alike nothing comes anyway, but for bytes. Turns go over the members in steps of a random
 * length, not in an order that was shuffled. The member that was quiet for longest is the one whose turn it is. Addresses have
 * one member each.
 */
export class SharedTable extends MemberTable {
  readonly #crowd: SharedCrowd
  readonly #random: () => number
  readonly #probeIntervalMs: number
  /** What this member has written to, or looked at to write to, and members that are not in the crowd. */
  readonly #own = new Map<string, MemberRecord>()
  readonly #added: MemberRecord[] = []
  readonly #forgotten = new Set<string>()
  readonly #fallen: MemberRecord[] = []
  #self: MemberRecord | undefined
  #isAttached: boolean
  #probeRounds = 0
  #step = 1
  #turn = 0
  #probeTurn = 0
  readonly #count: { readonly length: number }

  /** @param isAttached - Whether it knows the crowd from the beginning; else from {@link attach} on. */
  constructor(crowd: SharedCrowd, random: () => number, probeIntervalMs: number, isAttached: boolean) {
    super(random, probeIntervalMs)
    this.#crowd = crowd
    this.#random = random
    this.#probeIntervalMs = probeIntervalMs
    this.#isAttached = isAttached
    this.#step = stepFor(crowd.records.length, random)
    this.#turn = Math.floor(random() * crowd.records.length)
    this.#probeTurn = Math.floor(random() * crowd.records.length)
    this.#count = new Proxy([] as unknown[], {
      get: (_, key) => {
        if (key === 'length') return this.#livingCount
        throw new Error(`the shared table does not list the living one by one: ${String(key)}`)
      },
    })
  }

  /** Knows the whole crowd from now on, as after a push/pull with one of it. */
  attach(): void {
    this.#isAttached = true
    this.#step = stepFor(this.#total, this.#random)
  }

  override get size(): number {
    return this.#livingCount + this.#fallen.length + 1
  }

  override get(name: string): MemberRecord | undefined {
    const own = this.#own.get(name)
    if (own !== undefined) return own
    const shared = this.#shared(name)
    if (shared === undefined) return undefined
    const copy = { ...shared }
    this.#own.set(name, copy)
    return copy
  }

  override all(): IterableIterator<MemberRecord> {
    return this.#own.values()
  }

  /** Its length, and nothing else. */
  override get living(): readonly MemberRecord[] {
    return this.#count as readonly MemberRecord[]
  }

  override get fallen(): readonly MemberRecord[] {
    return this.#fallen
  }

  override livingAt(place: Endpoint): MemberRecord | undefined {
    const key = keyOf(place)
    const added = this.#added.find((record) => keyOf(record.endpoint) === key)
    const record = added ?? this.#crowd.byPlace.get(key)
    if (record === undefined || record.name === this.#self?.name) return undefined
    const known = this.get(record.name)
    return known !== undefined && isLiving(known) ? known : undefined
  }

  override countAt(_address: string): number {
    return 1
  }

  override addSelf(record: MemberRecord): void {
    this.#self = record
    this.#own.set(record.name, record)
  }

  override add(record: MemberRecord): void {
    this.#own.set(record.name, record)
    this.#forgotten.delete(record.name)
    record.probedMs = -Infinity
    record.probeRank = this.#random()
    if (this.#crowd.byName.has(record.name)) return
    this.#added.push(record)
    this.#step = stepFor(this.#total, this.#random)
  }

  override remove(record: MemberRecord): void {
    record.forgotten = true
    this.#own.delete(record.name)
    if (this.#crowd.byName.has(record.name)) this.#forgotten.add(record.name)
    drop(this.#added, record)
    drop(this.#fallen, record)
  }

  override move(record: MemberRecord): void {
    throw new Error(`the shared table moves nobody, not ${record.name} either`)
  }

  protected override relist(record: MemberRecord): void {
    if (isLiving(record)) drop(this.#fallen, record)
    else this.#fallen.push(record)
  }

  override nextToProbe(nowMs: number): MemberRecord | undefined {
    const isWatchRound = ++this.#probeRounds % WATCH_ROUNDS !== 0
    const record = isWatchRound ? this.#watched(nowMs - 0.9 * this.#probeIntervalMs) : this.#nextInTurn()
    const own = record === undefined ? undefined : this.get(record.name)
    if (own !== undefined) own.probedMs = nowMs
    return own
  }

  override nextToTell(count: number, accept: (record: MemberRecord) => boolean): MemberRecord[] {
    const total = this.#total
    const chosen: MemberRecord[] = []
    for (let tries = total; tries > 0 && chosen.length < count; tries--) {
      this.#turn = (this.#turn + this.#step) % total
      const record = this.#at(this.#turn)
      if (record !== undefined && accept(record) && !chosen.includes(record)) chosen.push(record)
    }
    return chosen
  }

  override randomLiving(count: number, accept: (record: MemberRecord) => boolean): MemberRecord[] {
    const chosen: MemberRecord[] = []
    for (let tries = TRIES * count; tries > 0 && chosen.length < count; tries--) {
      const record = this.#at(Math.floor(this.#random() * this.#total))
      if (record !== undefined && isLiving(record) && accept(record) && !chosen.includes(record))
        chosen.push(record)
    }
    return chosen
  }

  get #livingCount(): number {
    if (!this.#isAttached) return this.#own.size - 1 - this.#fallen.length
    const others = this.#crowd.records.length - (this.#crowd.byName.has(this.#self?.name ?? '') ? 1 : 0)
    return others + this.#added.length - this.#forgotten.size - this.#fallen.length
  }

  /** Places in the order of turns: the crowd, then who is not in it. */
  get #total(): number {
    return (this.#isAttached ? this.#crowd.records.length : 0) + this.#added.length
  }

  /** What this member holds of the one at a place in the order of turns; nothing of itself and of who is forgotten. */
  #at(place: number): MemberRecord | undefined {
    const shared = this.#isAttached ? this.#crowd.records : []
    const record = shared[place] ?? this.#added[place - shared.length]
    return record === undefined ? undefined : this.#view(record)
  }

  #view(record: MemberRecord): MemberRecord | undefined {
    if (record.name === this.#self?.name || this.#forgotten.has(record.name)) return undefined
    return this.#own.get(record.name) ?? record
  }

  #shared(name: string): MemberRecord | undefined {
    return this.#isAttached && !this.#forgotten.has(name) ? this.#crowd.byName.get(name) : undefined
  }

  /** The alive one that comes next in the circle, and was not just probed. */
  #watched(probedBeforeMs: number): MemberRecord | undefined {
    const hash = this.#self?.nameHash ?? 0
    const { circle } = this.#crowd
    let first = 0
    for (let end = circle.length; first < end;) {
      const middle = (first + end) >> 1
      if ((circle[middle]?.nameHash ?? 0) <= hash) first = middle + 1
      else end = middle
    }
    const isNext = (record: MemberRecord) => record.state === 'alive' && record.probedMs < probedBeforeMs
    let found: MemberRecord | undefined
    for (let i = 0; i < circle.length && found === undefined && this.#isAttached; i++) {
      const record = circle[(first + i) % circle.length]
      const view = record === undefined ? undefined : this.#view(record)
      if (view !== undefined && isNext(view)) found = view
    }
    const distance = ({ nameHash }: MemberRecord) => (nameHash - hash) >>> 0
    for (const record of this.#added)
      if (isNext(record) && (found === undefined || distance(record) < distance(found))) found = record
    return found
  }

  #nextInTurn(): MemberRecord | undefined {
    const total = this.#total
    for (let tries = 0; tries < total; tries++) {
      this.#probeTurn = (this.#probeTurn + this.#step) % total
      const record = this.#at(this.#probeTurn)
      if (record !== undefined && isLiving(record)) return record
    }
    return undefined
  }
}

function drop(records: MemberRecord[], record: MemberRecord): void {
  const index = records.indexOf(record)
  if (index >= 0) records.splice(index, 1)
}

/** A step that comes by each of `count` places before it comes by one again. */
function stepFor(count: number, random: () => number): number {
  for (;;) {
    const step = 1 + Math.floor(random() * Math.max(1, count - 1))
    if (greatestCommonDivisor(step, count) === 1) return step
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

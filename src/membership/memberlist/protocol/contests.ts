import { isLiving } from '../../member.ts'
import type { Alive, Message } from '../wire/messages.ts'
import { ask } from './ask.ts'
import type { Core } from './core.ts'
import type { Deadline } from './deadlines.ts'
import { type Endpoint, sameEndpoint, tryEndpoint } from './endpoint.ts'
import type { MemberRecord } from './members.ts'
import { noteAnswer } from './suspicion.ts'

/** Names looked into at once. */
const CONTESTS_LIMIT = 256
/** A contested name is looked at so often, and contested no more once the other place was silent so many times. */
const CHECK_EVERY_MS = 10_000
const SILENCES = 3
/** So many others are asked at once where they list the name of this member, while that is contested. */
const OTHERS_ASKED = 8
/** Answers of others kept. */
const LISTINGS_LIMIT = 64

interface Contest {
  readonly record: MemberRecord
  /** Where the name is listed here. */
  readonly place: Endpoint
  readonly rival: Endpoint
  /** The newest message of the rival. */
  claim: Alive
  silences: number
}

/**
 * Names that are used twice. When a living member's name is claimed from another place, both places are asked under that
 * name; it is contested while both answer, and neither says itself that it is elsewhere. So one forged message does not suffice,
 * nor one process at two addresses. Each member asks for itself, and sends the claim of a contested name on, so that all find out.
 */
export class Contests {
  readonly #core: Core
  readonly #fetch: (record: MemberRecord) => void
  readonly #byName = new Map<string, Contest>()
  /** Whether others list this member under its name, while that is claimed; who answered longest ago first. */
  readonly #listings = new Map<MemberRecord, boolean>()
  #asking: Deadline | undefined
  /** Called when a member says, where it is listed, that it is elsewhere. */
  onElsewhere: (alive: Alive) => void = () => {}

  /** @param fetch - Asks a member for its state. */
  constructor(core: Core, fetch: (record: MemberRecord) => void) {
    this.#core = core
    this.#fetch = fetch
  }

  /** The name of `record`, which lives, or of this member, is claimed from `rival`. */
  claimed(record: MemberRecord, claim: Alive, rival: Endpoint): void {
    const known = this.#byName.get(record.name)
    if (known !== undefined) {
      if (!sameEndpoint(known.rival, rival) || claim.incarnation <= known.claim.incarnation) return
      known.claim = claim
      // Once for each incarnation, so that members that came later hear of it, and it comes to an end.
      if (record.rival !== undefined) this.#core.queueMessage(claim, { space: 'claim', name: record.name })
      return
    }
    if (this.#byName.size >= CONTESTS_LIMIT) return
    const contest: Contest = { record, place: record.endpoint, rival, claim, silences: 0 }
    this.#byName.set(record.name, contest)
    this.#ask(contest)
  }

  /** Members whose names are contested, this one first. */
  contested(): MemberRecord[] {
    const { self } = this.#core
    const others = Array.from(this.#byName.values(), ({ record }) => record).filter((one) => one !== self)
    return [self, ...others].filter(({ rival }) => rival !== undefined)
  }

  /**
   * Whether this member's name is contested and most of the others list another process. Members whose own names are contested
   * do not count: those that were cut off together, and replaced elsewhere, list each other.
   */
  get isUnlisted(): boolean {
    if (this.#core.self.rival === undefined) return false
    let balance = 0
    for (const [record, isListed] of this.#listings) {
      if (isLiving(record) && record.rival === undefined) balance += isListed ? 1 : -1
    }
    return balance < 0
  }

  /**
   * A member that we asked for its state lists this member's name at `place`. What somebody sends unasked does not count: the other process
   * of the name lists itself, and where it sends from need not be where it is.
   *
   * @param at - Where it was asked; it counts if a member of another name is there.
   */
  listed(at: Endpoint, place: Endpoint): void {
    const { members, self } = this.#core
    const record = members.livingAt(at)
    if (record === undefined || !this.#byName.has(self.name)) return
    this.#listings.delete(record)
    this.#listings.set(record, sameEndpoint(place, self.endpoint))
    const [oldest] = this.#listings.keys()
    if (oldest !== undefined && this.#listings.size > LISTINGS_LIMIT) this.#listings.delete(oldest)
  }

  /** The name is not contested any more: its member has fallen, or is elsewhere. */
  end(record: MemberRecord): void {
    this.#byName.delete(record.name)
    if (record === this.#core.self) this.#listings.clear()
    if (record.rival === undefined) return
    record.rival = undefined
    this.#core.tell('uncontested', record)
  }

  #ask(contest: Contest): void {
    const core = this.#core
    const { record, rival, place } = contest
    const { name } = record
    const isSelf = record === core.self
    const places = isSelf ? [rival] : [rival, place]
    const answered = new Set(isSelf ? [place] : [])
    let waiting = places.length
    // A member that is suspected in an old incarnation sends its newest alive message along with its ack. To a place that has not
    // answered it yet it sends no more bytes than came from there, so that our own alive message makes room for its own.
    const say = [core.fallMessage('suspect', { name, incarnation: 0 }), core.ownAlive()]
    for (const at of places) {
      const isOwn = at === place
      ask(core, { place: at, name, say, repeat: true, stream: true, fill: isOwn }, (payload, said) => {
        const moved = elsewhere(said, name, at)
        if (payload !== undefined && moved === undefined) answered.add(at)
        if (isOwn && answered.has(at)) noteAnswer(core, record, 'direct')
        if (isOwn && moved !== undefined && this.#byName.get(name) === contest) this.onElsewhere(moved)
        if (--waiting > 0 || this.#byName.get(name) !== contest) return
        this.#decide(contest, answered.has(place), answered.has(rival))
      })
    }
  }

  #decide(contest: Contest, ownAnswers: boolean, rivalAnswers: boolean): void {
    const core = this.#core
    const { record, rival, place } = contest
    contest.silences = rivalAnswers ? 0 : contest.silences + 1
    const isThere = (record === core.self || isLiving(record)) && sameEndpoint(record.endpoint, place)
    const isNew = record.rival === undefined
    if (!isThere || (isNew && !(ownAnswers && rivalAnswers)) || contest.silences >= SILENCES) {
      this.end(record)
      return
    }
    if (isNew) {
      record.rival = rival
      core.tell('contested', record)
      core.log('warn', 'Two processes use one name; stop one of them, or give it another name', {
        event: 'name.contested',
        peer: record.name,
        address: place.address,
        port: place.port,
        rivalAddress: rival.address,
        rivalPort: rival.port,
      })
      core.queueMessage(contest.claim, { space: 'claim', name: record.name })
    }
    // When the rival has died, the others soon list this one.
    if (record === core.self && (isNew || !rivalAnswers)) this.#askOthers()
    core.deadlines.set(core.nowMs + CHECK_EVERY_MS, () => {
      if (this.#byName.get(record.name) === contest) this.#ask(contest)
    })
  }

  /**
   * Asks some of the others where they list this member's name, again and again while it is contested.
   *
   * @param soonMs - When they are asked again if none of them can tell: whoever has just started may know nobody yet.
   */
  #askOthers(soonMs = this.#core.settings.probeIntervalMs): void {
    const core = this.#core
    const { deadlines, nowMs, self } = core
    deadlines.cancel(this.#asking)
    if (self.rival === undefined) return
    const isAsked = ({ rival }: MemberRecord) => rival === undefined
    for (const record of core.members.randomLiving(OTHERS_ASKED, isAsked)) {
      const { endpoint: place, name } = record
      // Only those that have answered are sent a whole state.
      ask(core, { place, name, repeat: true, stream: true }, (payload) => {
        if (payload !== undefined) this.#fetch(record)
      })
    }
    const waitMs = this.#listings.size === 0 ? Math.min(soonMs, CHECK_EVERY_MS) : CHECK_EVERY_MS
    this.#asking = deadlines.set(nowMs + waitMs, () => this.#askOthers(waitMs * 2))
  }
}

/** The alive message of a member in a packet of its own, if it says that the member is not at this place. */
function elsewhere(said: readonly Message[], name: string, place: Endpoint): Alive | undefined {
  const alive = said.find((message): message is Alive => message.kind === 'alive' && message.node === name)
  const own = alive && tryEndpoint(alive.address, alive.port)
  return own === undefined || sameEndpoint(own, place) ? undefined : alive
}

import { isLiving } from '../../member.ts'
import type { Alive } from '../wire/messages.ts'
import { ask } from './ask.ts'
import type { Core } from './core.ts'
import { type Endpoint, sameEndpoint } from './endpoint.ts'
import type { MemberRecord } from './members.ts'
import { noteAnswer } from './suspicion.ts'

/** Names looked into at once. */
const CONTESTS_LIMIT = 256
/** A contested name is looked at so often, and contested no more once the other place was silent so many times. */
const CHECK_EVERY_MS = 10_000
const SILENCES = 3

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
 * name; it is contested while both answer. So one forged message does not suffice. Each member asks for itself, and sends
 * the claim of a contested name on, so that all of them find out.
 */
export class Contests {
  readonly #core: Core
  readonly #byName = new Map<string, Contest>()

  constructor(core: Core) {
    this.#core = core
  }

  /** The name of `record`, which lives, or of this member, is claimed from `rival`. */
  claimed(record: MemberRecord, claim: Alive, rival: Endpoint): void {
    const known = this.#byName.get(record.name)
    if (known !== undefined) {
      if (!sameEndpoint(known.rival, rival) || claim.incarnation <= known.claim.incarnation) return
      known.claim = claim
      // Once for each incarnation, so that members that came later hear of it, and it comes to an end.
      if (record.rival !== undefined) this.#sendOn(known)
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
    const others = Array.from(this.#byName.values(), ({ record }) => record).filter(
      (record) => record.rival !== undefined && record !== self,
    )
    return self.rival === undefined ? others : [self, ...others]
  }

  /** The name is not contested any more: its member has fallen, or is elsewhere. */
  end(record: MemberRecord): void {
    this.#byName.delete(record.name)
    if (record.rival === undefined) return
    record.rival = undefined
    this.#core.tell('uncontested', record)
  }

  #ask(contest: Contest): void {
    const core = this.#core
    const { record, rival, place } = contest
    const isSelf = record === core.self
    let waiting = isSelf ? 1 : 2
    let ownAnswers = isSelf
    let rivalAnswers = false
    const answered = () => {
      if (--waiting === 0 && this.#byName.get(record.name) === contest)
        this.#decide(contest, ownAnswers, rivalAnswers)
    }
    ask(core, { place: rival, name: record.name, repeat: true, stream: true, fill: false }, (payload) => {
      rivalAnswers = payload !== undefined
      answered()
    })
    if (isSelf) return
    ask(core, { place, name: record.name, repeat: true, stream: true }, (payload) => {
      ownAnswers = payload !== undefined
      if (ownAnswers) noteAnswer(core, record, 'direct')
      answered()
    })
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
      this.#sendOn(contest)
    }
    core.deadlines.set(core.nowMs + CHECK_EVERY_MS, () => {
      if (this.#byName.get(record.name) === contest) this.#ask(contest)
    })
  }

  #sendOn({ record, claim }: Contest): void {
    this.#core.queueMessage(claim, { space: 'claim', name: record.name })
  }
}

import type { Alive, IndirectPing } from '../wire/messages.ts'
import { type Core, NO_BYTES, nodeOf } from './core.ts'
import type { Deadline } from './deadlines.ts'
import { type Endpoint, keyOf, sameEndpoint, tryEndpoint } from './endpoint.ts'
import { planInquiry } from './evidence.ts'
import { quietMs } from './intervals.ts'
import type { MemberRecord, Suspicion } from './members.ts'
import { suspectMessage, askRelays, noteAnswer } from './suspicion.ts'

/** Members asked to look for one suspect at most. */
const WITNESSES = 12
/** A look lasts so many probe intervals at the least, and so many for each of its pings. */
const LOOK = 0.8
const LOOK_EACH = 0.1
/** Who was asked may answer so much later, in probe intervals, before others are asked. */
const GRACE = 0.4
/** So often others are asked about one suspicion. */
const ROUNDS = 2
/** Suspects that are looked for at once, on our own account or for others. */
const LOOKS_LIMIT = 32
/** Who asks one member about one suspect at once. */
const ASKERS_LIMIT = 16
/** A deadline may be run so much before its time. */
const ROUNDING_MS = 1
/** A witness says twice that the suspect was silent, so many probe intervals apart. */
const REPEAT = 0.1

type Outcome =
  /** It answered us. */
  | 'answered'
  /** It did not, but something else came from where it is, or it is elsewhere by now. */
  | 'heard'
  | 'silent'

/** One suspect that this member looks for, for itself or for others. */
interface Look {
  readonly place: Endpoint
  readonly seqNo: number
  readonly startedMs: number
  dueMs: number
  next: Deadline | undefined
  readonly ends: ((outcome: Outcome, payload: Uint8Array) => void)[]
}

/** What others were asked about one suspect, and said. */
interface Inquiry {
  readonly suspicion: Suspicion
  readonly round: number
  readonly probedMs: number
  readonly sinceMs: number
  /** Before that the suspect is not dead, if all who were asked have spoken. */
  readonly notBeforeMs: number
  readonly seqNo: number
  readonly needed: number
  readonly asked: readonly MemberRecord[]
  /** By place. `heard`: it had a packet from the suspect a short time ago; it says `silent` later, or nothing. */
  readonly witnesses: Map<string, 'asked' | 'heard' | 'silent'>
  /** Whether we ourselves looked in vain. */
  isSilent: boolean
}

/**
 * Evidence instead of waiting: who finds a member silent asks others at once to look for it as well, and looks again itself.
 * Each pings it several times, and says that it was silent (a nack) only when nothing came from it for `quietMs`. Who
 * had a packet from it a short time ago says so at once, by what it knows of it, which changes nothing in any table.
 * When enough were in vain the suspect is dead. What they make of it is in `evidence.ts`.
 *
 * An indirect ping behind the suspicion, in one packet, asks for such a look. Other members answer it as any other.
 */
export class Inquiries {
  readonly #core: Core
  readonly #declareDead: (record: MemberRecord) => void
  readonly #running = new Map<MemberRecord, Inquiry>()
  readonly #looks = new Map<MemberRecord, Look>()

  /** @param declareDead - Called with a suspect that is to be declared dead. */
  constructor(core: Core, declareDead: (record: MemberRecord) => void) {
    this.#core = core
    this.#declareDead = declareDead
  }

  /**
   * A probe of ours, begun at `probedMs`, found a suspect silent: others are asked, unless we look for it for somebody else.
   * In a mass failure many find the same member silent at once: one that hears of another's suspicion leaves the question to
   * it, and asks only if the suspect is not dead by the time it could be.
   */
  begin(record: MemberRecord, probedMs: number): void {
    const core = this.#core
    const { suspicion } = record
    if (this.#isLookedFor(record)) return
    if (!core.isMassFailure || !this.#isAsked(record)) {
      this.#ask(record, probedMs, 1)
      return
    }
    const waitMs = core.random() * core.settings.probeIntervalMs
    core.deadlines.set(probedMs + quietMs(core.settings) + waitMs, () => {
      if (record.suspicion === suspicion && !this.#isLookedFor(record)) this.#ask(record, probedMs, 1)
    })
  }

  /** A member is suspect from now on. Where it was asked, and those that are left cannot be enough, others are asked at once. */
  suspected(): void {
    for (const [record, inquiry] of this.#running) {
      const left = inquiry.asked.filter(
        ({ state, endpoint }) => state === 'alive' || inquiry.witnesses.get(keyOf(endpoint)) === 'silent',
      )
      if (left.length < inquiry.needed) this.#askAgain(record, inquiry)
    }
  }

  /** Somebody asks us to look for a suspect. */
  witness({ seqNo, target, port, node }: IndirectPing, replyTo: Endpoint): void {
    const core = this.#core
    const record = core.members.get(node)
    const place = tryEndpoint(target, port)
    if (record === undefined || place === undefined || !sameEndpoint(record.endpoint, place)) return
    if (record.state !== 'suspect' || this.#hasHeard(place))
      core.send(replyTo, [core.aliveMessage(nodeOf(record))], false)
    if (record.state !== 'suspect') return
    const isBusy = (this.#looks.get(record)?.ends.length ?? 0) >= ASKERS_LIMIT
    if (isBusy || (!this.#looks.has(record) && this.#looks.size >= LOOKS_LIMIT)) {
      core.refuse('overloaded', { kind: 'indirect-ping', from: replyTo.address })
      return
    }
    this.#look(record, core.nowMs, (outcome, payload) => {
      if (outcome === 'answered') core.send(replyTo, [{ kind: 'ack', seqNo, payload }])
      if (outcome !== 'silent') return
      const say = () => {
        if (record.state === 'suspect') core.send(replyTo, [{ kind: 'nack', seqNo }])
      }
      say()
      core.deadlines.set(core.nowMs + REPEAT * core.settings.probeIntervalMs, say)
    })
  }

  /** Somebody says that a member is alive: perhaps one whom we asked. */
  vouched({ node }: Alive, from: Endpoint): void {
    const record = this.#core.members.get(node)
    const inquiry = record && this.#running.get(record)
    if (inquiry?.witnesses.get(keyOf(from)) === 'asked') inquiry.witnesses.set(keyOf(from), 'heard')
  }

  #ask(record: MemberRecord, probedMs: number, round: number): void {
    const core = this.#core
    const { suspicion } = record
    // Of two processes of one name either may be the one that is silent.
    if (suspicion === undefined || record.rival !== undefined || !this.#mayAsk()) return
    const witnesses = core.members.randomLiving(WITNESSES, ({ state }) => state === 'alive')
    if (witnesses.length === 0) return
    const isEverybody = witnesses.length >= core.members.living.length - 1
    const seqNo = core.takeSeqNo()
    const inquiry: Inquiry = {
      suspicion,
      round,
      probedMs,
      sinceMs: core.nowMs,
      // Where not everybody is asked, another may have heard it since: then our own first ping in vain has to be that old.
      notBeforeMs: isEverybody ? core.nowMs : probedMs + quietMs(core.settings),
      seqNo,
      needed: planInquiry(witnesses.length).needed,
      asked: witnesses,
      witnesses: new Map(witnesses.map(({ endpoint }) => [keyOf(endpoint), 'asked'])),
      isSilent: false,
    }
    this.#running.set(record, inquiry)
    core.pending.set(seqNo, {
      acked: () => {
        noteAnswer(core, record, 'relay')
        this.#end(record, inquiry)
      },
      nacked: (from) => {
        if (!inquiry.witnesses.has(keyOf(from))) return
        inquiry.witnesses.set(keyOf(from), 'silent')
        this.#weigh(record, inquiry)
      },
    })
    askRelays(core, record, witnesses, seqNo, suspectMessage(core, record))
    this.#look(record, inquiry.notBeforeMs, (outcome) => {
      inquiry.isSilent = outcome === 'silent'
      if (inquiry.isSilent) this.#weigh(record, inquiry)
      else this.#end(record, inquiry)
    })
    const allHeardMs = inquiry.sinceMs + quietMs(core.settings)
    core.deadlines.set(allHeardMs, () => this.#weigh(record, inquiry))
    core.deadlines.set(allHeardMs + GRACE * core.settings.probeIntervalMs, () => {
      if (this.#running.get(record) !== inquiry) return
      this.#askAgain(record, inquiry)
    })
  }

  #askAgain(record: MemberRecord, inquiry: Inquiry): void {
    const { suspicion, probedMs, round } = inquiry
    this.#end(record, inquiry)
    if (round < ROUNDS && record.suspicion === suspicion) this.#ask(record, probedMs, round + 1)
  }

  /** Whether we look for a suspect, on our own account or for somebody else. */
  #isLookedFor(record: MemberRecord): boolean {
    return this.#running.has(record) || this.#looks.has(record)
  }

  /** Whether somebody else, who is well, suspects it and so has asked others to look for it. */
  #isAsked({ suspicion }: MemberRecord): boolean {
    const { isWitness, members, self } = this.#core
    return Array.from(suspicion?.confirmations ?? [], (name) => members.get(name)).some(
      (other) => other !== undefined && other !== self && other.state === 'alive' && isWitness(other.meta),
    )
  }

  /** Whether the rule holds here: Go members take any news of a death at once, so that it is not for clusters with them. */
  #mayAsk(): boolean {
    const { settings, isWitness, members } = this.#core
    if (settings.witnesses === 'off' || this.#running.size >= LOOKS_LIMIT) return false
    return settings.witnesses === 'always' || members.living.every(({ meta }) => isWitness(meta))
  }

  /**
   * Declares the suspect dead if enough others looked in vain, and nobody who was asked has heard it lately. Who has not
   * spoken may have heard it, until the inquiry itself is that old: since it began the suspect was pinged by so many that
   * a sign of life would not have been missed.
   */
  #weigh(record: MemberRecord, inquiry: Inquiry): void {
    if (this.#running.get(record) !== inquiry || !inquiry.isSilent) return
    const { nowMs } = this.#core
    const said = inquiry.asked.map((witness) => ({
      witness,
      answer: inquiry.witnesses.get(keyOf(witness.endpoint)),
    }))
    if (said.filter(({ answer }) => answer === 'silent').length < inquiry.needed) return
    if (said.some(({ answer }) => answer === 'heard') || this.#hasHeard(record.endpoint)) return
    const isMute = said.some(({ witness, answer }) => answer === 'asked' && witness.state === 'alive')
    const notBeforeMs = isMute ? inquiry.sinceMs + quietMs(this.#core.settings) : inquiry.notBeforeMs
    if (nowMs + ROUNDING_MS < notBeforeMs) return
    this.#end(record, inquiry)
    if (record.suspicion !== inquiry.suspicion || this.#isCutOff(inquiry)) return
    this.#declareDead(record)
    // The news begins its way at many places.
    for (const { endpoint } of inquiry.asked) {
      this.#core.send(endpoint, suspectMessage(this.#core, record), false)
    }
  }

  /** Whether we ourselves are in doubt: others hold us for dead, or more than half of them are silent. */
  #isCutOff({ sinceMs }: Inquiry): boolean {
    const { members, declaredDead } = this.#core
    return members.suspectCount > members.living.length / 2 || declaredDead.doubtedMs >= sinceMs
  }

  #end(record: MemberRecord, inquiry: Inquiry): void {
    this.#core.pending.delete(inquiry.seqNo)
    this.#running.delete(record)
  }

  #hasHeard(place: Endpoint): boolean {
    return this.#core.nowMs + ROUNDING_MS - this.#core.contacts.heardMs(place) < quietMs(this.#core.settings)
  }

  /** Pings a suspect until the look is over; one that is under way serves all who ask. */
  #look(record: MemberRecord, notBeforeMs: number, end: Look['ends'][number]): void {
    const core = this.#core
    const known = this.#looks.get(record)
    if (known !== undefined) {
      known.dueMs = Math.max(known.dueMs, notBeforeMs)
      known.ends.push(end)
      return
    }
    const place = record.endpoint
    const { tries } = planInquiry(Math.min(WITNESSES, Math.max(1, core.members.living.length - 1)))
    const look: Look = {
      place,
      seqNo: core.takeSeqNo(),
      startedMs: core.nowMs,
      dueMs: Math.max(
        core.nowMs + Math.max(LOOK, LOOK_EACH * tries) * core.settings.probeIntervalMs,
        core.contacts.heardMs(place) + quietMs(core.settings),
        notBeforeMs,
      ),
      next: undefined,
      ends: [end],
    }
    this.#looks.set(record, look)
    core.pending.set(look.seqNo, {
      acked: (payload) => {
        noteAnswer(core, record, 'direct')
        this.#endLook(record, look, 'answered', payload)
      },
    })
    this.#ping(record, look, (look.dueMs - look.startedMs) / tries)
  }

  #ping(record: MemberRecord, look: Look, waitMs: number): void {
    const core = this.#core
    if (core.nowMs + ROUNDING_MS >= look.dueMs) {
      const isHeard =
        core.contacts.heardMs(look.place) > look.startedMs || !sameEndpoint(look.place, record.endpoint)
      this.#endLook(record, look, isHeard ? 'heard' : 'silent', NO_BYTES)
      return
    }
    core.send(look.place, [core.pingFor(record, look.seqNo), ...suspectMessage(core, record)], true, 'probe')
    look.next = core.deadlines.set(Math.min(look.dueMs, core.nowMs + waitMs), () => {
      if (record.state === 'suspect') this.#ping(record, look, waitMs)
      else this.#endLook(record, look, 'heard', NO_BYTES)
    })
  }

  #endLook(record: MemberRecord, look: Look, outcome: Outcome, payload: Uint8Array): void {
    const core = this.#core
    core.deadlines.cancel(look.next)
    core.pending.delete(look.seqNo)
    this.#looks.delete(record)
    for (const end of look.ends) end(outcome, payload)
  }
}

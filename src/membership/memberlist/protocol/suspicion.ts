import { isLiving } from '../../member.ts'
import type { Dead, Message, Suspect } from '../wire/messages.ts'
import type { Core } from './core.ts'
import type { DeathEvidence } from './counters.ts'
import { sameEndpoint } from './endpoint.ts'
import { confirmedTimeoutMs, expectedConfirmations, quietMs, suspicionTimeoutMs } from './intervals.ts'
import type { Evidence, MemberRecord, Suspicion } from './members.ts'

/** What comes of a suspicion when its time is over. */
export interface SuspicionActions {
  /** The suspect is to be declared dead, which ends the suspicion. */
  declareDead(record: MemberRecord, evidence: DeathEvidence): void
  /** The suspect answers our pings, but its refutation has not reached us: it should be asked for its state. */
  askForState(record: MemberRecord): void
}

/** Answers put a deadline off so often at most. */
const EXTENSIONS_LIMIT = 8
/** Suspects are pinged so often, in probe intervals. */
const CHECK_EVERY = 0.5
/** Pings while strong evidence is weighed. */
const EVIDENCE_PINGS = 5
/** A member that answers packets while it refuses streams has a closed port, and is believed to keep it so long. */
const DISTRUST_MS = 600_000
/** Who had no answer from anybody for so many probe intervals was cut off. */
const UNANSWERED = 10
/** The shortest wait for a check over a stream. */
const STREAM_CHECK_MIN_MS = 100

/**
 * Suspicions and their time: confirmations shorten it (Lifeguard), answers to our own checks put the deadline off,
 * strong evidence that another member bears out brings it forward.
 */
export class Suspicions {
  readonly #core: Core
  readonly #actions: SuspicionActions

  constructor(core: Core, actions: SuspicionActions) {
    this.#core = core
    this.#actions = actions
  }

  begin(record: MemberRecord, from: string): void {
    const { nowMs } = this.#core
    record.suspicion = {
      sinceMs: nowMs,
      ...this.#times(),
      confirmations: new Set([from]),
      armedMs: nowMs,
      extensions: 0,
      dueMs: Infinity,
      deadline: undefined,
      check: undefined,
      checkSeqNo: undefined,
      streamChecked: false,
      evidence: undefined,
    }
    this.#arm(record, record.suspicion)
  }

  /**
   * Adds what another member says; only living members count, and only once each.
   *
   * @returns Whether it was news, to be sent on.
   */
  confirm(record: MemberRecord, from: string): boolean {
    const { suspicion } = record
    if (
      suspicion === undefined ||
      suspicion.confirmations.size > suspicion.k ||
      suspicion.confirmations.has(from)
    )
      return false
    const sender = this.#core.members.get(from)
    if (sender === undefined || sender.state === 'dead' || sender.state === 'left') return false
    suspicion.confirmations.add(from)
    if (suspicion.extensions === 0) this.#arm(record, suspicion)
    return true
  }

  end(record: MemberRecord): void {
    const { suspicion } = record
    if (suspicion === undefined) return
    record.suspicion = undefined
    this.#core.queue.remove({ space: 'confirmation', name: record.name })
    this.#core.deadlines.cancel(suspicion.deadline)
    this.#core.deadlines.cancel(suspicion.check)
    if (suspicion.checkSeqNo !== undefined) {
      this.#core.pending.delete(suspicion.checkSeqNo)
      this.#core.pendingStreams.delete(suspicion.checkSeqNo)
    }
  }

  /** Notes what speaks against a suspect besides its silence; against a member that is not suspected it counts for nothing. */
  addEvidence(record: MemberRecord, kind: Evidence['kind']): void {
    const { suspicion } = record
    const { settings, nowMs, awareness } = this.#core
    if (suspicion === undefined || suspicion.evidence !== undefined) return
    if (settings.refusedSuspicionMult <= 0) return
    if (kind === 'refusal' && nowMs < record.refusalsDistrustedUntilMs) return
    const refusalMs = settings.refusedSuspicionMult * settings.probeIntervalMs
    // A pod may not be ready because it is slow: a stall of two seconds is no death then either.
    const waitMs = awareness.scale(kind === 'refusal' ? refusalMs : Math.max(refusalMs, quietMs(settings)))
    if (nowMs + waitMs >= suspicion.dueMs) return
    const relays = this.#core.members.relaysFor(record, settings.indirectChecks)
    const evidence = { kind, sinceMs: nowMs, dueMs: nowMs + waitMs, relays, nacked: false, isOver: false }
    suspicion.evidence = evidence
    const seqNo = this.#openCheck(record, suspicion)
    askRelays(this.#core, record, relays, seqNo)
    this.#check(record, suspicion)
    this.#core.deadlines.set(nowMs + waitMs, () => {
      evidence.isOver = true
      this.#weigh(record, suspicion, evidence)
    })
  }

  /** How long a suspicion lasts among those who live now. */
  #times(): Pick<Suspicion, 'minMs' | 'maxMs' | 'k'> {
    const { settings, livingCount } = this.#core
    const minMs = suspicionTimeoutMs(settings.suspicionMult, livingCount, settings.probeIntervalMs)
    const maxMs = minMs * Math.max(1, settings.suspicionMaxTimeoutMult)
    return { minMs, maxMs, k: expectedConfirmations(settings.suspicionMult, livingCount) }
  }

  /** Sets the deadline by the confirmations so far, and the checks before it. */
  #arm(record: MemberRecord, suspicion: Suspicion): void {
    const { k, minMs, maxMs, confirmations, sinceMs } = suspicion
    this.#setDeadline(
      record,
      suspicion,
      sinceMs + confirmedTimeoutMs(confirmations.size - 1, k, minMs, maxMs),
    )
  }

  /** Where many have gone since it began, a suspicion lasts no longer than one that begins among those who are left. */
  #shorten(record: MemberRecord, suspicion: Suspicion): void {
    const { minMs, maxMs, k } = this.#times()
    if (suspicion.extensions > 0 || (minMs >= suspicion.minMs && k >= suspicion.k)) return
    suspicion.minMs = minMs
    suspicion.maxMs = maxMs
    suspicion.k = k
    this.#arm(record, suspicion)
  }

  #setDeadline(record: MemberRecord, suspicion: Suspicion, dueMs: number): void {
    const { deadlines, settings, nowMs } = this.#core
    deadlines.cancel(suspicion.deadline)
    suspicion.dueMs = dueMs
    suspicion.deadline = deadlines.set(dueMs, () => this.#decide(record, suspicion))
    if (!settings.checkSuspects || suspicion.check !== undefined) return
    // A little chance, so that those who suspect the same member do not all ask it at once.
    const chanceMs = this.#core.random() * settings.probeIntervalMs * CHECK_EVERY
    suspicion.check = deadlines.set(nowMs + suspicion.minMs / 2 + chanceMs, () => {
      this.#check(record, suspicion)
    })
  }

  #decide(record: MemberRecord, suspicion: Suspicion): void {
    const { settings, nowMs, declaredDead } = this.#core
    const answered = record.lastAckMs > suspicion.armedMs
    // Where others had given us up, it was most likely we who were cut off, and the suspect's silence shows nothing.
    const doubtful = answered || declaredDead.doubtedMs > suspicion.armedMs
    if (settings.checkSuspects && doubtful && suspicion.extensions < EXTENSIONS_LIMIT) {
      suspicion.extensions++
      suspicion.armedMs = nowMs
      suspicion.streamChecked = false
      this.#setDeadline(record, suspicion, nowMs + suspicion.minMs)
      if (answered) this.#actions.askForState(record)
      return
    }
    this.#actions.declareDead(record, 'silence')
    // Who is cut off may be heard again at any moment: the others find out themselves who is dead.
    if (settings.checkSuspects && isUnanswered(this.#core)) declaredDead.withdraw()
  }

  /** Strong evidence counts when the suspect answered nothing since, and others do not reach it either. */
  #weigh(record: MemberRecord, suspicion: Suspicion, evidence: Evidence): void {
    if (record.suspicion !== suspicion || record.lastAckMs >= evidence.sinceMs) return
    // Where there is nobody else, the host's own answer has to do.
    const borneOut = evidence.nacked || !evidence.relays.some(isLiving)
    if (borneOut) this.#actions.declareDead(record, evidence.kind)
  }

  /** Pings the suspect now and again and again until the deadline, and tries a stream once. */
  #check(record: MemberRecord, suspicion: Suspicion): void {
    const core = this.#core
    const seqNo = this.#openCheck(record, suspicion)
    core.send(record.endpoint, [core.pingFor(record, seqNo), ...suspectMessage(core, record)], true, 'probe')
    if (!suspicion.streamChecked && suspicion.evidence === undefined && core.settings.streamProbes) {
      suspicion.streamChecked = true
      this.#checkStream(record, suspicion, seqNo)
    }
    core.deadlines.cancel(suspicion.check)
    this.#shorten(record, suspicion)
    const { evidence } = suspicion
    const isUrgent = evidence?.isOver === false
    if (!isUrgent && !core.settings.checkSuspects) return
    const waitMs = isUrgent
      ? (evidence.dueMs - evidence.sinceMs) / EVIDENCE_PINGS
      : core.settings.probeIntervalMs * CHECK_EVERY
    suspicion.check = core.deadlines.set(core.nowMs + waitMs, () => this.#check(record, suspicion))
  }

  #checkStream(record: MemberRecord, suspicion: Suspicion, seqNo: number): void {
    const core = this.#core
    core.pendingStreams.set(seqNo, (outcome) => {
      core.pendingStreams.delete(seqNo)
      if (outcome === 'acked') noteAnswer(core, record, 'stream')
      else if (outcome === 'refused') this.addEvidence(record, 'refusal')
    })
    const timeoutMs = Math.max(STREAM_CHECK_MIN_MS, suspicion.dueMs - core.nowMs)
    core.pingOverStream(record.endpoint, core.pingFor(record, seqNo), timeoutMs, 'probe')
  }

  /** The sequence number of a suspicion's checks. */
  #openCheck(record: MemberRecord, suspicion: Suspicion): number {
    if (suspicion.checkSeqNo !== undefined) return suspicion.checkSeqNo
    const seqNo = this.#core.takeSeqNo()
    suspicion.checkSeqNo = seqNo
    this.#core.pending.set(seqNo, {
      acked: (_, from) => {
        noteAnswer(this.#core, record, sameEndpoint(from, record.endpoint) ? 'direct' : 'relay')
      },
      nacked: () => {
        const { evidence } = suspicion
        if (evidence === undefined) return
        evidence.nacked = true
        // The relays' nacks may come after the wait is over.
        if (evidence.isOver) this.#weigh(record, suspicion, evidence)
      },
    })
    return seqNo
  }
}

/**
 * Whether it must be we who are cut off: we had an answer from somebody once, and from nobody for long. Not where more than
 * half of the others are suspects, as when most have gone: then it takes long to come by those that answer.
 */
function isUnanswered({ answeredMs, members, nowMs, settings }: Core): boolean {
  if (answeredMs === undefined || nowMs - answeredMs <= UNANSWERED * settings.probeIntervalMs) return false
  return members.suspectCount <= members.living.length / 2
}

/** Notes that a member answered us, and by which way: what it says of its TCP port is judged by that. */
export function noteAnswer(core: Core, record: MemberRecord, via: 'direct' | 'relay' | 'stream'): void {
  // What we took for the silence of others was our own.
  if (isUnanswered(core)) core.declaredDead.doubt(core.nowMs)
  core.answeredMs = core.nowMs
  record.lastAckMs = core.nowMs
  if (via !== 'relay') core.contacts.answered(record.endpoint, record.name, core.nowMs)
  if (via === 'stream') record.refusalsDistrustedUntilMs = -Infinity
  else if (record.suspicion?.evidence?.kind === 'refusal')
    record.refusalsDistrustedUntilMs = core.nowMs + DISTRUST_MS
}

/** Asks others to reach `record` in our stead, under our sequence number. @param say - What stands before the question. */
export function askRelays(
  core: Core,
  record: MemberRecord,
  relays: readonly MemberRecord[],
  seqNo: number,
  say: readonly Message[] = [],
): void {
  const { addressBytes: target, endpoint } = record
  const { port } = endpoint
  const question = {
    ...core.pingFor(record, seqNo),
    kind: 'indirect-ping',
    target,
    port,
    nack: true,
  } as const
  for (const relay of relays) core.send(relay.endpoint, [...say, question], true, 'probe')
}

/** What we hold against a member, for a packet to it, so that it can refute: one message or none. */
export function suspectMessage(core: Core, record: MemberRecord): readonly (Suspect | Dead)[] {
  if (!core.settings.tellSuspects || record.state === 'alive' || record.state === 'left') return []
  return [core.fallMessage(record.state, record)]
}

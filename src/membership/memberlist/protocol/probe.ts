import { isLiving } from '../../member.ts'
import { type Core, NO_BYTES } from './core.ts'
import type { Deadline } from './deadlines.ts'
import type { ProbeFinishedEffect } from './effects.ts'
import { sameEndpoint } from './endpoint.ts'
import { type MemberRecord, viewOf } from './members.ts'
import { suspectMessage, askRelays, noteAnswer } from './suspicion.ts'

/** Relays of this protocol version and later say so when the target does not answer them. */
const NACK_SINCE_VERSION = 4
/** Members probed because one at their address is silent. */
const NEIGHBOURS = 4
/** In a mass failure others are probed so many times as often, until nobody new was suspected for so many probe intervals. */
const HASTE = 8
const HASTE_LASTS = 0.5

interface Probe {
  readonly record: MemberRecord
  readonly seqNo: number
  startedMs: number
  /** Waits of this probe, scaled by our health when it began. */
  readonly timeoutMs: number
  readonly intervalMs: number
  deadlines: Deadline[]
  relays: readonly MemberRecord[]
  nacks: number
  streamTried: boolean
  refused: boolean
  /** Others look for it already, many at once, so that relays and a stream would say no more. */
  isLookedFor: boolean
}

/** What a probe has to say of a member. */
export interface ProbeEnds {
  /** It did not answer in any way, from `probedMs` on. */
  silent(record: MemberRecord, probedMs: number): void
  /** Its host refuses a connection, while it did not answer our pings so far. */
  refused(record: MemberRecord): void
}

/**
 * The probe rounds: one member each `probeIntervalMs`, round-robin. A ping; a second one half-way; after
 * `probeTimeoutMs` others are asked to ping it and a stream is tried, until the interval is over.
 */
export class Prober {
  readonly #core: Core
  readonly #ends: ProbeEnds
  readonly #running = new Map<MemberRecord, Probe>()
  #nextRound: Deadline | undefined
  #suspectedMs = -Infinity

  constructor(core: Core, ends: ProbeEnds) {
    this.#core = core
    this.#ends = ends
  }

  /** Begins the rounds, at a random moment of the first interval. */
  start(): void {
    this.#setRound(this.#core.random() * this.#core.settings.probeIntervalMs)
  }

  /** A member is suspected: if that makes it a mass failure, the next round is sooner. */
  suspected(): void {
    this.#suspectedMs = this.#core.nowMs
    const waitMs = this.#roundMs
    const dueMs = this.#nextRound?.atMs ?? Infinity
    if (this.#isHasty() && dueMs - this.#core.nowMs > waitMs) this.#setRound(this.#core.random() * waitMs)
  }

  /**
   * Probes a member out of turn, unless it is being probed or has fallen.
   *
   * @param streamFirst - Whether a stream is tried along with the first ping.
   */
  probe(record: MemberRecord, streamFirst = false): void {
    if (this.#running.has(record) || !isLiving(record)) return
    const core = this.#core
    const probe: Probe = {
      record,
      seqNo: core.takeSeqNo(),
      startedMs: core.nowMs,
      timeoutMs: core.awareness.scale(core.settings.probeTimeoutMs),
      intervalMs: core.awareness.scale(core.settings.probeIntervalMs),
      deadlines: [],
      relays: [],
      nacks: 0,
      streamTried: false,
      refused: false,
      isLookedFor: false,
    }
    this.#running.set(record, probe)
    core.pending.set(probe.seqNo, {
      acked: (payload, from) => {
        const isDirect = sameEndpoint(from, record.endpoint) || probe.relays.length === 0
        this.#answered(probe, isDirect ? 'direct' : 'relay', payload)
      },
      nacked: () => {
        probe.nacks++
      },
    })
    this.#run(probe)
    if (streamFirst) this.#tryStream(probe)
  }

  /** Begins all probes under way again: while we were stalled their answers could not reach us. */
  restart(): void {
    for (const probe of this.#running.values()) {
      for (const deadline of probe.deadlines) this.#core.deadlines.cancel(deadline)
      probe.nacks = 0
      probe.relays = []
      probe.streamTried = false
      this.#run(probe)
    }
  }

  /**
   * A member is silent, or dead: some of those at its address are probed out of turn, as what silenced it may have silenced
   * them. By a stream as well at once: where the host refuses it, nothing has to be waited for.
   */
  probeNeighbours(record: MemberRecord): void {
    const { members, nowMs, self, settings } = this.#core
    const isOpen = (other: MemberRecord) =>
      other.lastAckMs < nowMs - settings.probeIntervalMs &&
      !this.#running.has(other) &&
      other.suspicion?.confirmations.has(self.name) !== true
    for (const other of members.neighboursOf(record, NEIGHBOURS, isOpen)) this.probe(other, true)
  }

  #round(): void {
    const core = this.#core
    const record = core.members.nextToProbe(core.nowMs, this.#isHasty())
    if (record !== undefined) this.probe(record)
    this.#setRound(this.#roundMs)
  }

  #setRound(waitMs: number): void {
    const { deadlines, nowMs } = this.#core
    deadlines.cancel(this.#nextRound)
    this.#nextRound = deadlines.set(nowMs + waitMs, () => this.#round())
  }

  get #roundMs(): number {
    const intervalMs = this.#core.awareness.scale(this.#core.settings.probeIntervalMs)
    return this.#isHasty() ? intervalMs / HASTE : intervalMs
  }

  /** Whether there may be more who are gone and not suspected yet, and that they are silent is not our own doing. */
  #isHasty(): boolean {
    const { awareness, nowMs, settings } = this.#core
    const isNews = nowMs - this.#suspectedMs <= HASTE_LASTS * settings.probeIntervalMs
    return isNews && this.#core.isMassFailure && awareness.score === 0
  }

  #run(probe: Probe): void {
    const { deadlines, nowMs, settings } = this.#core
    probe.startedMs = nowMs
    this.#ping(probe)
    const at = (afterMs: number, run: () => void) => deadlines.set(nowMs + afterMs, run)
    const fallbackMs = Math.min(probe.timeoutMs, probe.intervalMs)
    probe.deadlines = [
      ...(settings.repeatPings ? [at(fallbackMs / 2, () => this.#ping(probe))] : []),
      at(fallbackMs, () => this.#askOthers(probe)),
      // Never in the same moment as the question to the others.
      at(Math.max(probe.intervalMs, fallbackMs + 1), () => this.#silent(probe)),
    ]
  }

  #ping(probe: Probe): void {
    const core = this.#core
    const { record, seqNo } = probe
    core.send(record.endpoint, [core.pingFor(record, seqNo), ...suspectMessage(core, record)], true, 'round')
  }

  #askOthers(probe: Probe): void {
    const core = this.#core
    const { record, seqNo } = probe
    if (core.settings.repeatPings) this.#ping(probe)
    probe.isLookedFor = record.state === 'suspect' && this.#isHasty()
    if (probe.isLookedFor) return
    probe.relays = core.members.relaysFor(record, core.settings.indirectChecks)
    askRelays(core, record, probe.relays, seqNo)
    this.#tryStream(probe)
  }

  #tryStream(probe: Probe): void {
    const core = this.#core
    if (!core.settings.streamProbes || probe.streamTried) return
    probe.streamTried = true
    const { record, seqNo } = probe
    // Until the probe ends: begun again it tries a second stream under this number, and either may be answered.
    core.pendingStreams.set(seqNo, (outcome) => {
      if (outcome === 'acked') this.#answered(probe, 'stream', NO_BYTES)
      else if (outcome === 'refused' && !probe.refused) {
        probe.refused = true
        this.#ends.refused(record)
      }
    })
    const timeoutMs = Math.max(1, probe.intervalMs - (core.nowMs - probe.startedMs))
    core.pingOverStream(record.endpoint, core.pingFor(record, seqNo), timeoutMs, 'round')
  }

  #answered(probe: Probe, via: 'direct' | 'relay' | 'stream', payload: Uint8Array): void {
    this.#end(probe, via, payload)
    noteAnswer(this.#core, probe.record, via)
    this.#core.awareness.adjust(-1)
  }

  /**
   * Nobody reached it. What the relays did not say either counts against ourselves, unless the host refused a connection:
   * that is an answer, which reached us in time.
   */
  #silent(probe: Probe): void {
    const core = this.#core
    this.#end(probe, 'none', NO_BYTES)
    const expected = probe.relays.filter((relay) => (relay.vsn[1] ?? 0) >= NACK_SINCE_VERSION).length
    const missed = expected > 0 ? Math.max(0, expected - probe.nacks) : 1
    if (probe.refused) core.awareness.adjust(-1)
    else if (!probe.isLookedFor) core.awareness.adjust(missed)
    if (isLiving(probe.record)) this.#ends.silent(probe.record, probe.startedMs)
  }

  #end(probe: Probe, via: ProbeFinishedEffect['via'], payload: Uint8Array): void {
    const core = this.#core
    for (const deadline of probe.deadlines) this.#core.deadlines.cancel(deadline)
    core.pending.delete(probe.seqNo)
    core.pendingStreams.delete(probe.seqNo)
    this.#running.delete(probe.record)
    const durationMs = core.nowMs - probe.startedMs
    core.emit({ kind: 'probe-finished', member: viewOf(probe.record), via, durationMs, payload })
  }
}

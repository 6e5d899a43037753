import { sleep } from '../../clock.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import { TokenBucket } from '../../token-bucket.ts'
import type { Basics } from '../../basics.ts'
import type { MemberMetadata } from '../member.ts'
import {
  checkDatagram,
  INCARNATION_AHEAD_MS,
  LIBRARY_STATE,
  type DatagramFault,
  type SwimMessage,
  type UpdateData,
} from './datagram-guard.ts'
import { LoopMonitor } from './loop-monitor.ts'
import { nodeMember, type NodeMember } from './swim-members.ts'
import { Suspicions } from './suspicions.ts'
import { SwimLibrary, type LibraryMember, type ProbeFailure } from './swim-library.ts'
import { encodeSwimMeta, tryDecodeSwimMeta } from './swim-metadata.ts'
import { RECEIVE_FACTOR, type SwimSettings } from './swim-settings.ts'
import { SwimTraffic } from './swim-traffic.ts'

export interface SwimNodeOptions extends Basics {
  /** This process, `IPV4:PORT`. */
  readonly host: string
  readonly metadata: MemberMetadata
  readonly settings: SwimSettings
  readonly send: (bytes: Uint8Array, host: string) => void
  /** Members, states or metadata may have changed. */
  readonly onChange: () => void
}

interface Gone {
  readonly sinceMs: number
  toldAtMs: number
}

/** Exchanges of the whole list that are answered, and probes for others that are made. */
const SYNC_RATE = { perSecond: 50, burst: 200 }
const PING_REQ_RATE = { perSecond: 500, burst: 1000 }

/** A host that is held dead and yet speaks is told so at most once in this time. */
const TELL_EVERY_MS = 500

/** Between two looks for members that have been gone long enough. */
const REAP_EVERY_MS = 1000

/** Probes of one member whose failure does not count, one after the other, because this process stood still. */
const EXCUSE_LIMIT = 3

/**
 * The `swim` protocol of one process without its socket: npm `swim` behind the checks and the bookkeeping that
 * it lacks. It knows members by `IPV4:PORT`.
 */
export class SwimNode {
  readonly host: string
  readonly drops = new Map<DatagramFault, number>()
  readonly traffic = new SwimTraffic()
  readonly monitor: LoopMonitor
  readonly #options: SwimNodeOptions
  readonly #library: SwimLibrary
  readonly #suspicions: Suspicions
  readonly #syncs = new TokenBucket(SYNC_RATE)
  readonly #pingReqs = new TokenBucket(PING_REQ_RATE)
  readonly #warnings: LimitedWarnings
  readonly #gone = new Map<string, Gone>()
  readonly #excuses = new Map<string, number>()
  readonly #abort = new AbortController()
  /** Cancels each of what is done again and again. */
  readonly #timers = new Map<() => void, () => void>()
  #left = false
  #dirty = false

  constructor(options: SwimNodeOptions) {
    const { host, metadata, settings, clock, logger, send } = options
    this.host = host
    this.#options = options
    this.monitor = new LoopMonitor(clock, settings.stallMs)
    this.#warnings = new LimitedWarnings(clock, logger)
    this.#suspicions = new Suspicions({
      clock,
      timeoutMs: () => settings.suspicionMs * Math.max(1, Math.log10(this.#library.liveHosts.length + 1)),
      stalledSince: (sinceMs) => this.monitor.stalledSince(sinceMs),
      graceMs: settings.probeTimeoutMs,
      onExpired: (suspect, incarnation) => this.#declareDead(suspect, incarnation),
    })
    this.#library = new SwimLibrary({
      host,
      meta: encodeSwimMeta(metadata),
      // Later than any earlier run of this address had, so that the others believe this one.
      incarnation: Math.floor(clock.wallNow()),
      settings,
      clock,
      logger,
      send: (bytes, to) => {
        this.traffic.addSent(bytes)
        send(bytes, to)
      },
      onUpdate: (data) => this.#follow(data),
      onProbeFailed: (probe) => this.#suspect(probe),
    })
  }

  get left(): boolean {
    return this.#left
  }

  get liveHosts(): readonly string[] {
    return this.#library.liveHosts
  }

  /** All members, this process first, in no order. */
  members(): NodeMember[] {
    return this.#library.members.map(nodeMember)
  }

  start(): void {
    this.monitor.start()
    this.#library.start()
    this.#every(REAP_EVERY_MS, 0, () => this.#reap())
    this.#every(this.#options.settings.syncIntervalMs, 0.2, () => this.#exchange())
  }

  /** Ends every timer; nothing is sent or called afterwards. Idempotent. */
  stop(): void {
    this.#abort.abort()
    this.monitor.stop()
    this.#suspicions.stop()
    this.#library.stop()
    for (const cancel of this.#timers.values()) cancel()
  }

  /** Takes a datagram from `from` (`IPV4:PORT`), whatever is in it. It never throws. */
  receive(bytes: Uint8Array, from: string): void {
    const { settings, clock, logger } = this.#options
    this.traffic.bytes.received += bytes.byteLength
    const checked = checkDatagram(bytes, {
      maxBytes: settings.datagramBytes * RECEIVE_FACTOR,
      maxIncarnation: Math.floor(clock.wallNow()) + INCARNATION_AHEAD_MS,
    })
    if ('reason' in checked) {
      this.#drop(checked.reason, from)
      return
    }
    this.traffic.addTaken(checked.messages, clock.now())
    for (const message of checked.messages) {
      try {
        this.#take(message, from)
      } catch (error) {
        logger.error({ event: 'library.failed', err: error, kind: message.kind }, 'Failed on a message')
        this.#drop('library-failed', from)
      }
    }
    this.#flush()
  }

  /** Makes contact with members that are not known to be alive, such as seeds. */
  contact(hosts: readonly string[]): void {
    if (this.#left) return
    this.#library.sync(hosts.filter((host) => host !== this.host && this.#library.live(host) === undefined))
  }

  /**
   * Tells every live member that this process leaves, several times over, and marks it so. Resolves when all was
   * sent, or on `stop`.
   */
  async leave(): Promise<void> {
    if (this.#left) return
    this.#left = true
    const { metadata, settings, clock } = this.#options
    this.#library.markLeft({ ...encodeSwimMeta(metadata), Left: true })
    this.#dirty = true
    this.#flush()
    for (let round = 0; round < settings.leaveRepeats && !this.#abort.signal.aborted; round++) {
      if (round > 0) await sleep(clock, settings.leaveIntervalMs, this.#abort.signal)
      const hosts = this.#abort.signal.aborted ? [] : this.#library.liveHosts
      for (const host of hosts) this.#library.sendUpdate(this.#library.local.data(), host)
    }
  }

  #take(message: SwimMessage, from: string): void {
    switch (message.kind) {
      case 'ping':
        this.#takePing(message, from)
        return
      case 'ping-req': {
        const { destination } = message.data
        if (destination !== this.host && this.#library.live(destination) === undefined) {
          this.#drop('destination-unknown', from)
        } else if (!this.#pingReqs.tryTake(this.#options.clock.now())) this.#drop('rate-limited', from)
        else this.#library.deliver(message, from)
        return
      }
      case 'ack':
        this.#excuses.delete(from)
        this.#library.deliver(message, from)
        return
      case 'sync':
        if (message.data.host === this.host) this.#drop('self-address', from)
        else if (this.#isBeyondLimit(message.data)) this.#drop('member-limit', from)
        else if (!this.#syncs.tryTake(this.#options.clock.now())) this.#drop('rate-limited', from)
        else this.#library.deliver(message, from)
        return
      case 'update':
        this.#takeUpdate(message.data, from)
        return
    }
  }

  #takePing(message: Extract<SwimMessage, { data: { seq: number } }>, from: string): void {
    const live = this.#library.live(from)
    const faulty = live === undefined ? this.#library.faulty(from) : undefined
    if (live === undefined && faulty === undefined) {
      // News goes to members only: a stranger gets no more bytes than it sent, and uses none of it up.
      this.#library.sendPlainAck(message.data.seq, from)
      return
    }
    this.#library.deliver(message, from)
    if (faulty !== undefined) this.#tellGone(faulty)
  }

  /** Who speaks is not dead: it is told that it is held for dead, and refutes it with its next incarnation. */
  #tellGone(member: LibraryMember): void {
    const gone = this.#gone.get(member.host)
    const nowMs = this.#options.clock.now()
    if (gone === undefined || nowMs - gone.toldAtMs < TELL_EVERY_MS) return
    if (nodeMember(member).state === 'left') return
    gone.toldAtMs = nowMs
    this.#library.sendUpdate(member.data(), member.host)
  }

  #takeUpdate(data: UpdateData, from: string): void {
    const { local } = this.#library
    if (data.host === this.host) {
      const { incarnation } = local
      this.#library.deliver({ kind: 'update', data }, from)
      // Whoever holds this process for suspect or dead hears of the denial at once; after a leave, of the leave.
      if (local.incarnation !== incarnation && data.state !== LIBRARY_STATE.alive) {
        if (!this.#left) this.traffic.refutations++
        if (!this.#left && data.state === LIBRARY_STATE.faulty) this.traffic.heldDead++
        this.#library.sendUpdate(local.data(), from)
      }
      return
    }
    if (this.#isBeyondLimit(data)) {
      this.#drop('member-limit', from)
      return
    }
    // "Dead" of a live member is second-hand news, say of an island that just came back: each process waits its own time
    // for the denial. Who died is suspected everywhere at about the same time, so that this costs nothing.
    const secondHand =
      data.state === LIBRARY_STATE.faulty &&
      this.#library.live(data.host) !== undefined &&
      tryDecodeSwimMeta(data.meta)?.left !== true
    this.#library.deliver(
      { kind: 'update', data: secondHand ? { ...data, state: LIBRARY_STATE.suspect } : data },
      from,
    )
  }

  #isBeyondLimit({ host, state }: UpdateData): boolean {
    return (
      state !== LIBRARY_STATE.faulty &&
      this.#library.live(host) === undefined &&
      this.#library.liveHosts.length >= this.#options.settings.maxMembers
    )
  }

  /** Keeps the timers in step with every state that the library accepted. */
  #follow(data: UpdateData): void {
    if (data.host === this.host) return
    this.#dirty = true
    if (data.state !== LIBRARY_STATE.faulty) {
      this.#gone.delete(data.host)
      if (data.state === LIBRARY_STATE.suspect) this.#suspicions.begin(data.host, data.incarnation)
      else this.#suspicions.clear(data.host)
      return
    }
    this.#suspicions.clear(data.host)
    this.#excuses.delete(data.host)
    this.#gone.delete(data.host)
    this.#gone.set(data.host, { sinceMs: this.#options.clock.now(), toldAtMs: -Infinity })
    if (this.#gone.size > this.#options.settings.maxGone) this.#reap()
  }

  #suspect({ host, incarnation, startedAtMs }: ProbeFailure): void {
    const member = this.#library.live(host)
    // It has shown itself alive meanwhile, or is gone.
    if (member === undefined || member.incarnation !== incarnation) return
    const excuses = this.#excuses.get(host) ?? 0
    if (excuses < EXCUSE_LIMIT && this.monitor.stalledSince(startedAtMs)) {
      this.#excuses.set(host, excuses + 1)
      this.#library.probe(host)
      return
    }
    this.#excuses.delete(host)
    if (member.state === LIBRARY_STATE.suspect) return
    this.#options.logger.debug(
      { event: 'member.suspected', host },
      'Suspected a member: it answered no probe',
    )
    this.traffic.suspicions++
    this.#library.apply({ ...member.data(), state: LIBRARY_STATE.suspect })
    this.#flush()
  }

  #declareDead(host: string, incarnation: number): void {
    const member = this.#library.live(host)
    if (member === undefined || member.incarnation !== incarnation) return
    this.traffic.declaredDead++
    this.#library.apply({ ...member.data(), state: LIBRARY_STATE.faulty })
    this.#flush()
  }

  /** Forgets members that have been gone for long, the oldest beyond the limit, and what is kept of nobody. */
  #reap(): void {
    const { clock, settings } = this.#options
    const nowMs = clock.now()
    for (const [host, { sinceMs }] of this.#gone) {
      // In order of time, as each entry was put at the end.
      if (nowMs - sinceMs < settings.goneRetentionMs && this.#gone.size <= settings.maxGone) break
      this.#gone.delete(host)
      this.#library.forget(host)
      this.#dirty = true
    }
    for (const host of this.#excuses.keys()) {
      if (this.#library.live(host) === undefined) this.#excuses.delete(host)
    }
    this.#flush()
  }

  /** Compares the whole list with a member, to mend what gossip lost, and tries one that is dead: it may be back. */
  #exchange(): void {
    if (this.#left) return
    const dead = this.members().flatMap(({ host, state }) => (state === 'dead' ? [host] : []))
    const hosts = [this.#oneOf(this.#library.liveHosts), this.#oneOf(dead)]
    this.#library.sync(hosts.filter((host) => host !== undefined))
  }

  #oneOf(hosts: readonly string[]): string | undefined {
    return hosts[Math.floor(this.#options.random() * hosts.length)]
  }

  #drop(reason: DatagramFault, from: string): void {
    const count = (this.drops.get(reason) ?? 0) + 1
    this.drops.set(reason, count)
    this.#warnings.warn({ event: 'datagram.dropped', reason, from, count }, 'Dropped a datagram', reason)
  }

  #flush(): void {
    if (!this.#dirty) return
    this.#dirty = false
    this.#options.onChange()
  }

  /** Calls `fn` every `intervalMs`, give or take the fraction `jitter`, until `stop`. */
  #every(intervalMs: number, jitter: number, fn: () => void): void {
    const { clock, random } = this.#options
    const arm = () => {
      const delayMs = intervalMs * (1 + jitter * (2 * random() - 1))
      const cancel = clock.after(delayMs, () => {
        arm()
        fn()
      })
      this.#timers.set(fn, cancel)
    }
    arm()
  }
}

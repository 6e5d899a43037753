import { context, trace, type Span, type Tracer } from '@opentelemetry/api'
import { sleep, type Clock, type Random } from '../clock.ts'
import { assertNever, RingmanError } from '../errors.ts'
import { Listeners } from '../listeners.ts'
import type { Logger } from '../logger.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import type { RingChange } from '../manager/snapshot.ts'
import type { MemberControl } from '../membership/control.ts'
import { CONDITIONS, healthIn, type SourceHealth } from '../membership/condition.ts'
import type { HandoverPhase, Member, MemberMetadata } from '../membership/member.ts'
import { findByName } from '../membership/member-set.ts'
import {
  placeInSteps,
  placeMembers,
  ringKeyOf,
  type KnownNodes,
  type RingKeyMode,
} from '../membership/placement.ts'
import type { MembershipSource } from '../membership/source.ts'
import type { HashRing } from '../ring/hash-ring.ts'
import type { MovedStretches } from '../ring/moved.ts'
import type { RingNode } from '../ring/node.ts'
import { DeathGathering } from './death-gathering.ts'
import { detach, noTracer, withSpan } from '../tracing.ts'
import { Handover } from './handover.ts'
import { nextOwner } from './next-owner.ts'
import { Ownership } from './ownership.ts'
import { LOOK_MS, Sureness } from './sureness.ts'

/** How long the farewell to the other members may take, in milliseconds. */
export const FAREWELL_TIMEOUT_MS = 5000

/** A look that comes later by this much, in milliseconds, means that the process stood still. */
const STALL_MS = 1000

/** How long after a stall the others may take to say that they held this process for dead, in milliseconds. */
const AFTERMATH_MS = 10_000

/** Nodes that each list of a log line names; a source can bring thousands at once. */
const NAMED_LIMIT = 100

export interface RingServiceDeps {
  readonly source: MembershipSource
  readonly manager: HashRingManager
  /** What an operator can have the source do. @default nothing */
  readonly control?: MemberControl | undefined
  readonly logger: Logger
  readonly clock: Clock
  readonly ringKeyMode: RingKeyMode
  /** The member that this process belongs to, where the source only watches others. @default the source's own name */
  readonly ownName?: string | undefined
  /** Look-ups are unsure after a stall of this many milliseconds; 0 for never. @default 0 */
  readonly unsureAfterMs?: number
  /** Look-ups are unsure while no other member was heard for this many milliseconds; 0 for never. @default 0 */
  readonly maxSilenceMs?: number
  /** While others are suspected, a death waits for them this many milliseconds at most; 0 for never. @default 0 */
  readonly gatherDeathsMs?: number
  /** How keys are handed over, where the source's members do so. @default they are not */
  readonly handover?: HandoverOptions | undefined
  /** @default none */
  readonly tracer?: Tracer | undefined
}

/** How a member hands keys over: see `docs/ownership.md`. */
export interface HandoverOptions {
  readonly warm: (ranges: MovedStretches, from: RingNode, signal: AbortSignal) => Promise<void> | void
  /** Milliseconds that warming up may take. */
  readonly timeoutMs: number
  readonly random: Random
}

/**
 * Keeps the ring equal to what the source says: the one arrow from members to nodes.
 *
 * `start` resolves when the ring holds the source's first set; `leave` takes this process off the ring and
 * tells the others; `stop` ends everything, in the reverse order of the start. `done` rejects if the source or
 * the manager dies, so that the process can end with the reason.
 */
export class RingService implements AsyncDisposable {
  readonly source: MembershipSource
  readonly manager: HashRingManager
  readonly ringKeyMode: RingKeyMode
  readonly control: MemberControl | undefined
  /** What this process's own member owns, what moves, and its claims. */
  readonly ownership: Ownership
  readonly sureness: Sureness
  readonly #over = Promise.withResolvers<void>()
  /** Resolves after `stop`; rejects when a background loop died. */
  readonly done = this.#over.promise
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #tracer: Tracer
  readonly #ownName: string | undefined
  readonly #abort = new AbortController()
  #state: 'new' | 'starting' | 'running' | 'leaving' | 'stopped' = 'new'
  #farewell: Promise<void> | undefined
  #evicted = false
  #stopping: Promise<void> | undefined
  #startedAtMs = 0
  /** From the first change of members that the ring does not have yet to the ring that has it. */
  #swap: Span | undefined
  #placing = 0
  readonly #gathering: DeathGathering
  #cancelGathering: (() => void) | undefined
  #cancelLook: (() => void) | undefined
  #stall: { readonly fromMs: number; readonly toMs: number } | undefined
  readonly #unsureListeners: Listeners<boolean>
  /** What they heard last. */
  #toldUnsure = false
  #heldDead = 0
  #offRingAtMs = -Infinity
  /** The members that the ring is made of, or is about to be. */
  #placed: readonly Member[] = []
  readonly #nodes: KnownNodes = new WeakMap()
  readonly #handover: Handover | undefined
  /** The ring once all moves are done, found once for each ring and set of members. */
  #after:
    { readonly members: readonly Member[]; readonly ring: HashRing; readonly after: HashRing } | undefined
  /** Found once for each set of members: look-ups ask for it. */
  #own: { readonly members: readonly Member[]; readonly ringKey: string | undefined } | undefined

  constructor(deps: RingServiceDeps) {
    this.source = deps.source
    this.manager = deps.manager
    this.ringKeyMode = deps.ringKeyMode
    this.control = deps.control
    this.#logger = deps.logger.child({ component: 'ring' })
    this.#clock = deps.clock
    this.#tracer = deps.tracer ?? noTracer
    this.#ownName = deps.ownName
    const { unsureAfterMs = 0, maxSilenceMs = 0 } = deps
    this.sureness = new Sureness(deps.clock, { unsureAfterMs, maxSilenceMs })
    this.#unsureListeners = new Listeners(this.#logger)
    this.#gathering = new DeathGathering(deps.gatherDeathsMs ?? 0)
    this.ownership = new Ownership({
      manager: this.manager,
      ringKey: () => this.ownRingKey,
      unsureBecause: () => this.#unsureBecause(),
      later: setImmediate,
    })
    this.#handover = this.#createHandover(deps.handover)
    // Whoever awaits `done` still sees the rejection; without a waiter it must not end the process.
    this.done.catch(() => {
      this.ownership.stop()
      this.#handover?.stop()
    })
  }

  get state(): 'new' | 'starting' | 'running' | 'leaving' | 'stopped' {
    return this.#state
  }

  /**
   * The ring key of this process's own member; undefined where it has none. The node with this key may carry another
   * member's name: where two members come to one ring key, one of them stands for both.
   */
  get ownRingKey(): string | undefined {
    const { members, selfName = this.#ownName } = this.source
    if (this.#own?.members !== members) {
      const own = selfName === undefined ? undefined : findByName(members, selfName)
      this.#own = { members, ringKey: own === undefined ? undefined : ringKeyOf(own, this.ringKeyMode) }
    }
    return this.#own.ringKey
  }

  /**
   * Whether this process's own member owns a key.
   *
   * @throws {RingmanError} `KEY_EMPTY`, `KEY_INVALID`, `RING_EMPTY`, `MANAGER_NOT_RUNNING`.
   */
  owns(key: string | Uint8Array): boolean {
    return this.manager.getNode(key).ringKey === this.ownRingKey
  }

  /**
   * Whether look-ups may be old just now: this process stood still for longer than the bound that was set, and has not had
   * the time to hear from the others again; or it has not heard from any of them for longer than the bound for that.
   */
  get unsure(): boolean {
    return this.#unsureBecause() !== undefined
  }

  /** Tells `listener` when look-ups become {@link unsure}, and when no longer, within 250 ms. @returns Call it to hear no more. */
  onUnsure(listener: (unsure: boolean) => void): () => void {
    return this.#unsureListeners.add(listener)
  }

  #unsureBecause(): string | undefined {
    const { sureness } = this
    if (sureness.doubt === 'silence') this.#listen()
    switch (sureness.doubt) {
      case undefined:
        return undefined
      case 'stood-still':
        return 'This process stood still, and its look-ups may be old for a moment'
      case 'silence':
        return `No other member was heard for ${Math.floor(sureness.silentMs / 1000)} s: this one may be cut off`
      default:
        return assertNever(sureness.doubt)
    }
  }

  /** What this member's hand-overs came to; undefined where it does none. */
  get handover(): Pick<Handover, 'outcomes' | 'warmUps' | 'oldestMs'> | undefined {
    return this.#handover
  }

  /** The ring once all moves that are under way are done: the current one where there are none. */
  get ringAfterMoves(): HashRing {
    const { ring } = this.manager.snapshot
    const members = this.#placed
    if (this.#after?.ring !== ring || this.#after.members !== members) {
      this.#after = { members, ring, after: this.afterMovesOf(ring) }
    }
    return this.#after.after
  }

  /** The same for a ring that is not the current one yet; made anew by each call. */
  afterMovesOf(ring: HashRing): HashRing {
    const members = this.#placed
    const isMoving = members.some(({ metadata }) => (metadata?.handover?.phase ?? 'owning') !== 'owning')
    return isMoving ? ring.with(placeMembers(members, this.ringKeyMode, () => true)) : ring
  }

  /** The owner of a key once the moves under way are done, where that is another one than now. */
  nextOwnerOf(key: string | Uint8Array): RingNode | undefined {
    return nextOwner(this.manager.snapshot.ring, this.ringAfterMoves, key)
  }

  #createHandover(options: HandoverOptions | undefined): Handover | undefined {
    const { source, control } = this
    const { selfName } = source
    if (options === undefined || control === undefined || selfName === undefined) return undefined
    const { warm, timeoutMs, random } = options
    const handover = new Handover({
      clock: this.#clock,
      random,
      logger: this.#logger,
      selfName,
      ringKeyMode: this.ringKeyMode,
      timeoutMs,
      warm: (ranges, from, signal, ended) => {
        const warmed = async () => warm(ranges, from, signal)
        warmed().then(
          () => ended(),
          (error: unknown) => ended(error ?? new Error('no reason was given')),
        )
      },
      members: () => this.#placed,
      ring: () => this.manager.snapshot.ring,
      isSettled: () => source.health().condition !== 'starting',
      place: (then) => void this.#place(source.members).then(then, this.#failUnlessStopped),
      control,
    })
    control.onMessage((payload) => handover.received(payload))
    return handover
  }

  /** Finds out when another member was heard last. One that is the only one there is has nobody to hear. */
  #listen(): void {
    const nowMs = this.#clock.now()
    const { members, selfName } = this.source
    const staleMs = this.source.statistics?.().staleMs
    if (staleMs !== undefined) this.sureness.noteHeard(nowMs - staleMs)
    else if (!members.some(({ name, state }) => name !== selfName && state !== 'left'))
      this.sureness.noteHeard(nowMs)
  }

  /** The standing condition of this process: its own stage, and while it runs that of its source. */
  health(): SourceHealth {
    switch (this.#state) {
      case 'new':
      case 'starting':
        return healthIn('starting', `The source ${this.source.kind} has not started yet`)
      case 'stopped':
        return healthIn('stopped', `The source ${this.source.kind} was stopped`)
      case 'leaving':
        if (this.#handover?.phase === 'releasing') {
          return healthIn('releasing', 'This process is leaving, and owns its keys until others are warm')
        }
        if (!this.#evicted) return healthIn('draining', 'This process is leaving and takes no new work')
        return healthIn('draining', 'This process has left the ring: an operator evicted it')
      case 'running':
        return this.#healthWhileRunning()
      default:
        return assertNever(this.#state)
    }
  }

  /** Whether this process's own member was taken off the ring by hand. */
  get drained(): boolean {
    const { members, selfName } = this.source
    return members.find(({ name }) => name === selfName)?.metadata?.drained === true
  }

  /** Takes this member off the ring; it gossips on and answers look-ups. */
  drain(): Promise<void> {
    return this.#move('releasing', { drained: true })
  }

  /** Takes this member back onto the ring after {@link drain}. */
  return(): Promise<void> {
    return this.#move('pending', { drained: undefined })
  }

  /** Gives this member another weight, 1 to 1000, until it is restarted. */
  setWeight(weight: number): Promise<void> {
    return this.#move('weighing', { weight: weight === 1 ? undefined : weight })
  }

  /** Moves keys by a hand-over, or where this member does none by saying so. Resolves when it is done. */
  async #move(phase: Exclude<HandoverPhase, 'owning'>, change: Partial<MemberMetadata>): Promise<void> {
    const handover = this.#handover
    if (handover === undefined) this.control?.updateOwn(change)
    else await new Promise<void>((resolve) => handover.move(phase, change, resolve))
  }

  #healthWhileRunning(): SourceHealth {
    if (this.drained) {
      const isEmpty = this.manager.snapshot.ring.size === 0
      const rest = isEmpty ? ', which is empty now: nobody owns any key until a member is returned' : ''
      return healthIn('draining', `This member was drained: an operator took it off the ring${rest}`)
    }
    const why = this.#unsureBecause()
    if (why !== undefined) return healthIn('unsure', why)
    if (this.#handover?.phase === 'releasing') {
      return healthIn('releasing', 'This member is being drained, and owns its keys until others are warm')
    }
    const health = this.source.health()
    return this.#handover?.phase === 'pending' && CONDITIONS[health.condition].readiness === 'allowed'
      ? healthIn('pending', 'This process warms up for the keys that it is to own')
      : health
  }

  /** Whether members have changed and the ring is not made of them yet. */
  get isPlacing(): boolean {
    return this.#placing > 0
  }

  /** Milliseconds since `start` was called, 0 before. */
  get uptimeMs(): number {
    return this.#state === 'new' ? 0 : this.#clock.now() - this.#startedAtMs
  }

  /**
   * @throws {RingmanError} `SOURCE_FAILED` when the source cannot start; everything is stopped again then.
   */
  async start(): Promise<void> {
    if (this.#state !== 'new') throw new RingmanError('SOURCE_FAILED', 'a ring can be started only once')
    this.#state = 'starting'
    this.#startedAtMs = this.#clock.now()
    const attributes = { 'ringman.source': this.source.kind }
    await withSpan(this.#tracer, 'ring.start', { attributes }, (span) =>
      // The loops, timers and sockets of the source are no part of what started it.
      detach(() => this.#start(span)),
    )
  }

  async #start(span: Span): Promise<void> {
    this.manager.run().catch(this.fail)
    this.manager.subscribe((change) => this.#report(change))
    this.source.done.catch(this.fail)
    try {
      await this.source.start(this.#abort.signal)
      this.source.subscribe((members) => this.#follow(members))
      await this.#place(this.source.members, trace.setSpan(context.active(), span))
    } catch (error) {
      await this.stop()
      throw error
    }
    // `stop` may have been called while the source started.
    if (this.#state !== 'starting') return
    this.#state = 'running'
    this.#handover?.start()
    this.sureness.noteHeard(this.#clock.now())
    if (this.source.selfName !== undefined || this.sureness.isBounded) this.#scheduleLook()
    this.sureness.running = true
  }

  #scheduleLook(): void {
    this.sureness.look()
    this.#cancelLook = this.#clock.after(LOOK_MS, () => {
      // One that leaves is off the ring because it said so.
      if (this.#state === 'running') this.#look()
      if (this.#state === 'running') this.#scheduleLook()
    })
  }

  /** Finds out whether this process stood still, and whether the others took it off their rings meanwhile. */
  #look(): void {
    const nowMs = this.#clock.now()
    const wallMs = this.#clock.wallNow()
    const { sureness } = this
    if (sureness.lateMs >= STALL_MS) this.#stall = { fromMs: sureness.looked.wallMs, toMs: wallMs }
    sureness.noteStall()
    if (sureness.bounds.maxSilenceMs > 0) this.#listen()
    const { unsure } = this
    if (unsure) this.ownership.becomeUnsure()
    if (unsure !== this.#toldUnsure) this.#unsureListeners.call((this.#toldUnsure = unsure))
    const { heldDead = 0 } = this.source.statistics?.().gossip ?? {}
    const wasHeldDead = heldDead > this.#heldDead
    this.#heldDead = heldDead
    // What is said right after the start is about an earlier life, and a liar is told of once in a while only.
    const isNews = this.uptimeMs > AFTERMATH_MS && nowMs - this.#offRingAtMs > AFTERMATH_MS
    const { ownRingKey } = this
    if (!wasHeldDead || !isNews || ownRingKey === undefined) return
    this.#offRingAtMs = nowMs
    const stall =
      this.#stall !== undefined && wallMs - this.#stall.toMs < AFTERMATH_MS ? this.#stall : undefined
    this.#stall = undefined
    this.#logger.warn(
      {
        event: 'ring.rejoined',
        ...(stall === undefined ? {} : { from: new Date(stall.fromMs).toISOString() }),
        to: new Date(wallMs).toISOString(),
        stalled: stall !== undefined,
      },
      'Was off the ring: the others held this member for dead',
    )
    this.manager.noteOffRing(ownRingKey)
  }

  /**
   * Leaves the ring, if this process is on it, and tells the others, for five seconds at most; a farewell that fails is
   * logged. Then look-ups go on for `drainMs`, and name other members. A second call waits for the same farewell.
   *
   * @returns Rejects with what `done` rejects with, when the ring dies during the drain.
   */
  async leave(drainMs = 0): Promise<void> {
    if (this.#state === 'starting' || this.#state === 'running') {
      const isOnRing = this.#state === 'running'
      this.#state = 'leaving'
      this.sureness.running = false
      this.#farewell = this.#leave(isOnRing)
    }
    await this.#farewell
    if (this.#state === 'leaving' && drainMs > 0) {
      await Promise.race([sleep(this.#clock, drainMs), this.done])
    }
  }

  /** Leaves as {@link leave}, because an operator wants it; the process goes on until somebody stops it. */
  evict(): Promise<void> {
    this.#evicted = true
    return this.leave()
  }

  async #leave(isOnRing: boolean): Promise<void> {
    const handover = isOnRing ? this.#handover : undefined
    if (handover !== undefined) await new Promise<void>((resolve) => handover.leave(resolve))
    // Whoever stops a ring does not wait for others to be warm.
    if (this.#state === 'leaving') await this.#sayFarewell()
  }

  async #sayFarewell(): Promise<void> {
    const startedMs = this.#clock.now()
    const attributes = { 'ringman.source': this.source.kind }
    const said = new AbortController()
    const saying = withSpan(this.#tracer, 'ring.leave', { attributes }, async () => {
      await this.source.leave()
      await this.#place(this.source.members)
    })
      .then(() => {
        const tookMs = Math.round(this.#clock.now() - startedMs)
        this.#logger.info({ event: 'ring.left', tookMs }, 'Left the ring')
      })
      .catch((err: unknown) => {
        const message = 'Failed to tell the others that this member leaves'
        this.#logger.error({ event: 'leave.failed', err }, message)
      })
      .finally(() => said.abort())
    await Promise.race([saying, sleep(this.#clock, FAREWELL_TIMEOUT_MS, said.signal)])
    if (!said.signal.aborted) this.#logger.error({ event: 'leave.timed-out' }, 'Gave up telling the others')
  }

  /** What belongs to this ring can go no further: `done` rejects. */
  readonly fail = (error: unknown): void => this.#over.reject(error)

  /** Stops the source, then the manager. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      this.#state = 'stopped'
      this.sureness.running = false
      this.#cancelLook?.()
      this.#cancelGathering?.()
      this.#abort.abort()
      this.ownership.stop()
      this.#handover?.stop()
      await this.source.stop()
      this.manager.stop()
      this.#over.resolve()
    })()
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #follow(members: readonly Member[]): void {
    this.#place(members).catch(this.#failUnlessStopped)
    this.#handover?.changed()
  }

  readonly #failUnlessStopped = (error: unknown): void => {
    if (this.#state !== 'stopped') this.fail(error)
  }

  async #place(members: readonly Member[], around = context.active()): Promise<void> {
    const attributes = { 'ringman.source': this.source.kind }
    this.#swap ??= this.#tracer.startSpan('ring.swap', { attributes }, around)
    this.#placing++
    try {
      const nowMs = this.#clock.now()
      const gathered = this.#gathering.take(members, nowMs)
      this.#placed = gathered.members
      this.#cancelGathering?.()
      this.#cancelGathering =
        gathered.untilMs === undefined
          ? undefined
          : this.#clock.after(gathered.untilMs - nowMs, () => this.#follow(this.source.members))
      await this.manager.setNodes(
        () => placeInSteps(gathered.members, this.ringKeyMode, this.#handover?.isDone, this.#nodes),
        (name) => {
          const member = findByName(members, name)
          return member && stateOf(member)
        },
      )
    } finally {
      this.#placing--
      // Members changed and the ring did not: there is nothing to tell of.
      if (this.#placing === 0) this.#swap = undefined
    }
  }

  #report({ current, added, removed, updated, records }: RingChange): void {
    const swap = this.#swap ?? this.#tracer.startSpan('ring.swap', { root: true })
    this.#swap = undefined
    swap.setAttributes({
      'ringman.ring.digest': current.ring.digest,
      'ringman.ring.epoch': current.epoch,
      'ringman.ring.nodes': current.ring.size,
      'ringman.ring.added': added.length,
      'ringman.ring.removed': removed.length,
      'ringman.ring.updated': updated.length,
    })
    const excess = [added, removed, updated].map(({ length }) => Math.max(0, length - NAMED_LIMIT))
    const unnamed = excess.reduce((sum, count) => sum + count)
    // The last member to leave leaves an empty ring, which is no fault.
    const isEmptied = current.ring.size === 0 && this.#state !== 'leaving'
    context.with(trace.setSpan(context.active(), swap), () => {
      this.#logger[isEmptied ? 'warn' : 'info'](
        {
          event: 'ring.changed',
          epoch: current.epoch,
          digest: current.ring.digest,
          nodes: current.ring.size,
          causes: Object.fromEntries(records.map(({ cause, count }) => [cause, count])),
          movedShare: records.reduce((sum, { movedShare }) => sum + movedShare, 0),
          added: namesOf(added),
          removed: namesOf(removed),
          updated: namesOf(updated),
          ...(unnamed > 0 ? { unnamed } : {}),
        },
        isEmptied ? 'Changed the ring: it is empty, and nobody owns a key' : 'Changed the ring',
      )
    })
    swap.end()
  }
}

/** The state by which a change says why a node went. One that is off the ring though it lives is about to leave. */
function stateOf({ state, metadata }: Member): string {
  return state !== 'dead' && metadata?.handover !== undefined ? 'left' : state
}

function namesOf(nodes: readonly RingNode[]): string[] {
  return nodes.slice(0, NAMED_LIMIT).map(({ ringKey }) => ringKey)
}

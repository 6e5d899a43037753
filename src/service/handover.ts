import type { Random } from '../clock.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import type { MemberControl } from '../membership/control.ts'
import { isLiving, type HandoverPhase, type Member, type MemberMetadata } from '../membership/member.ts'
import { placeMembers, ringKeyOf, type IsDone, type RingKeyMode } from '../membership/placement.ts'
import type { HashRing } from '../ring/hash-ring.ts'
import type { MovedStretches, Stretch } from '../ring/moved.ts'
import { decodeHandoverMessage, encodeHandoverMessage, type HandoverMessage } from './handover-message.ts'
import { zeros } from '../zeros.ts'
import type { Basics } from '../basics.ts'
import { WARM_OUTCOMES, WarmUp, without, type WarmCall } from './warm-up.ts'

/** How long the new owners wait at most until the old ones know, once everything is warm, in milliseconds. */
export const SWITCH_LIMIT_MS = 1000

/** How often a member that has not answered is asked again, in milliseconds: whether it is warm, and whether it has switched. */
const ASK_AGAIN_MS = { warm: 1000, switch: 200 }

/** How often a member that moves looks at the time, in milliseconds. */
const LOOK_MS = 100

/** While more members than this go at once, nobody works out what the ring would be without each single one. */
const MAX_SINGLE_MOVES = 16

/** Nor more than what takes some ten milliseconds: so many nodes, all rings of single moves together. */
const MAX_SINGLE_NODES = 2000

/** Up to so many members are all told at once that a move is done; in larger clusters those that gain, and the others by gossip. */
const TOLD_LIMIT = 64

/** Names that a line names of those that do not hand over. */
const NAMED_LIMIT = 10

/** What a member's own hand-over came to. */
export const HANDOVER_OUTCOMES = {
  warmed: 'Whoever gained keys had warmed up first.',
  'timed-out': 'The time was up before everybody was warm.',
  'not-possible': 'There are members that do not hand over, and nobody waited.',
  'broken-off': 'The member left while it was pending, or was stopped.',
} as const

export type HandoverOutcome = keyof typeof HANDOVER_OUTCOMES

/** What a hand-over is made of. Nothing in it is asynchronous, so that the simulator runs it too. */
export interface HandoverDeps extends Basics {
  readonly selfName: string
  readonly ringKeyMode: RingKeyMode
  /** Milliseconds that warming up may take. */
  readonly timeoutMs: number
  readonly warm: WarmCall
  /** The members that the ring is made of, sorted by name. */
  readonly members: () => readonly Member[]
  /** The ring that this process acts on: others are made from it, because that is quicker. */
  readonly ring: () => HashRing
  /** Whether the others were heard, or there is nobody to be heard: a member that starts knows nobody for a moment. */
  readonly isSettled: () => boolean
  /** Makes the ring of the members again, and calls back when it is the current one. */
  readonly place: (then: () => void) => void
  readonly control: Pick<MemberControl, 'updateOwn' | 'sendTo'>
}

/** A move of this member itself. */
interface OwnMove {
  readonly phase: Exclude<HandoverPhase, 'owning'>
  readonly number: number
  /** What this member says of itself when it is over; a member that leaves says that another way. */
  readonly result: Partial<MemberMetadata> | undefined
  /** Called when it is over. */
  readonly whenOver: () => void
  beganMs: number
  /** Undefined while members warm up. */
  outcome: HandoverOutcome | undefined
  switchUntilMs: number
  /** Whether this member itself has given up what it loses. */
  hasLet: boolean
  readonly asked: Map<string, { atMs: number; attempt: number; answered: boolean }>
}

/** What the members come to. */
interface Outlook {
  readonly members: readonly Member[]
  readonly doneVersion: number
  /** Those alive or suspect, by name. */
  readonly living: ReadonlyMap<string, Member>
  /** The ring of now. */
  readonly now: HashRing
  /** What moves until all moves are done, once somebody asked. */
  inTheEnd: MovedStretches | undefined
  /** This member's part of it, once somebody asked. */
  ownGains: MovedStretches | undefined
  /** What `moves` depends on besides `now`. */
  readonly movesKey: string
  /** What moves with each member that moves, as far as somebody asked. */
  readonly moves: Map<string, MovedStretches[]>
}

/**
 * Planned moves without a cold start and without two owners: a member that joins is pending until it is warm, one that leaves
 * stays until those after it are. There is no coordinator: each move is led by the member that moves, and everybody works out
 * from the ring what it gains and loses by it.
 *
 * ```
 * the member that moves           those that gain            those that lose
 *   phase and number by gossip ─▶   (all can see it)
 *   warm? ────────────────────────▶ fetch what they gain
 *         ◀──────────────── warmed
 *   switch? ─────────────────────────────────────────────▶ take the move for done
 *         ◀──────────────────────────────────────── switched
 *   takes the move for done itself, and says so by gossip
 * ```
 */
export class Handover {
  /** Whether a member's move counts as done here, before it says so by gossip. */
  readonly isDone: IsDone
  readonly outcomes = zeros(HANDOVER_OUTCOMES)
  readonly warmUps = zeros(WARM_OUTCOMES)
  readonly #deps: HandoverDeps
  readonly #warnings: LimitedWarnings
  readonly #done = new Map<string, number>()
  #doneVersion = 0
  /** Members whose moves count as done in the ring that is being made. */
  readonly #placing = new Set<string>()
  readonly #warming = new Map<string, WarmUp>()
  /** Who waits to hear that this member is warm: the number of the move, and how often it asked. */
  readonly #askers = new Map<string, { readonly number: number; readonly attempt: number }>()
  /** Since when each move of another member is seen here. */
  readonly #seen = new Map<string, { readonly number: number; readonly sinceMs: number }>()
  #own: OwnMove | undefined
  #outlook: Outlook | undefined
  #cancelLook: (() => void) | undefined
  #isStepping = false
  #stepAgain = false
  #isStopped = false

  constructor(deps: HandoverDeps) {
    this.#deps = deps
    this.#warnings = new LimitedWarnings(deps.clock, deps.logger)
    this.isDone = ({ name, metadata }) =>
      metadata?.handover !== undefined && this.#done.get(name) === metadata.handover.number
  }

  /** Begins to come onto the ring, where this member was started as pending. */
  start(): void {
    const state = this.#self?.metadata?.handover
    if (state?.phase === 'pending') this.#begin('pending', state.number, {}, () => {})
    this.changed()
  }

  /** What this member itself is in the middle of. */
  get phase(): OwnMove['phase'] | undefined {
    return this.#own?.phase
  }

  /** For how many milliseconds the oldest move that is under way, of any member, has been seen here; 0 for none. */
  get oldestMs(): number {
    let sinceMs = Infinity
    for (const seen of this.#seen.values()) sinceMs = Math.min(sinceMs, seen.sinceMs)
    return sinceMs === Infinity ? 0 : this.#deps.clock.now() - sinceMs
  }

  /** The members changed. */
  changed(): void {
    const nowMs = this.#deps.clock.now()
    const moving = new Map<string, number>()
    const { living } = this.#look()
    for (const { name, metadata } of living.values()) {
      if (metadata?.handover !== undefined && metadata.handover.phase !== 'owning') {
        moving.set(name, metadata.handover.number)
      }
    }
    for (const name of this.#askers.keys()) if (!living.has(name)) this.#askers.delete(name)
    for (const [name, number] of this.#done) {
      if (moving.get(name) === number) continue
      this.#done.delete(name)
      this.#doneVersion++
    }
    for (const [name, { number }] of this.#seen) if (moving.get(name) !== number) this.#seen.delete(name)
    for (const [name, number] of moving)
      if (!this.#seen.has(name)) this.#seen.set(name, { number, sinceMs: nowMs })
    this.#step()
  }

  /** Gives its keys up as soon as those that come after this member are warm, and calls `whenOver`, which is to leave. */
  leave(whenOver: () => void): void {
    const own = this.#own
    if (own?.phase === 'pending' && own.outcome === undefined) {
      this.#own = undefined
      this.#count(own, 'broken-off')
      this.#warming.get(this.#deps.selfName)?.end()
      whenOver()
      return
    }
    this.move('releasing', undefined, whenOver)
  }

  /**
   * Gives its keys up (`releasing`), comes back onto the ring (`pending`) or takes another weight (`weighing`), as soon as
   * whoever gains by it is warm, and calls `whenOver`.
   *
   * @param change - What this member says of itself: one that comes back from now on, the others when the move is over;
   *   undefined where it says that it is over another way.
   */
  move(phase: OwnMove['phase'], change: OwnMove['result'], whenOver: () => void): void {
    // One that is under way is taken for done.
    if (this.#own !== undefined) this.#finish(this.#own)
    const number = nextHandoverNumber(this.#deps.random)
    const isComing = phase === 'pending'
    this.#begin(phase, number, isComing ? {} : change, whenOver)
    const handover = { phase, number, ...(phase === 'weighing' && { weight: change?.weight ?? 1 }) }
    this.#deps.control.updateOwn({ ...(isComing && change), handover })
    this.changed()
  }

  /** A message came from another member. Bytes of another kind are ignored. */
  received(payload: Uint8Array): void {
    const message = decodeHandoverMessage(payload)
    if (message === undefined || this.#isStopped) return
    const sender = this.#look().living.get(message.from)
    if (sender === undefined || sender.name === this.#deps.selfName) return
    const { step, from, number, attempt } = message
    switch (step) {
      case 'warm':
        this.#askers.set(from, { number, attempt })
        break
      case 'switch':
        this.#switch(sender, message)
        break
      case 'warmed':
      case 'switched': {
        const asked = this.#own?.number === number ? this.#own.asked.get(from) : undefined
        const isSwitching = this.#own?.outcome !== undefined
        if (asked !== undefined && isSwitching === (step === 'switched')) asked.answered = true
        break
      }
    }
    this.#step()
  }

  stop(): void {
    this.#isStopped = true
    this.#cancelLook?.()
    this.#cancelLook = undefined
    for (const warming of this.#warming.values()) warming.end()
    this.#warming.clear()
    const own = this.#own
    this.#own = undefined
    if (own === undefined) return
    if (own.outcome === undefined) this.#count(own, 'broken-off')
    own.whenOver()
  }

  #begin(phase: OwnMove['phase'], number: number, result: OwnMove['result'], whenOver: () => void): void {
    const begun = { outcome: undefined, switchUntilMs: Infinity, hasLet: false, asked: new Map() }
    this.#own = { phase, number, result, whenOver, beganMs: this.#deps.clock.now(), ...begun }
  }

  /** Another member's move is done, it says: from now on this member's ring has it, and then it answers. */
  #switch(sender: Member, { number, attempt }: HandoverMessage): void {
    const state = sender.metadata?.handover
    // Gossip is still to bring what this is about; it will be asked again.
    if (state?.number !== number || state.phase === 'owning') return
    // It is told as soon as that counts here, however often it asks.
    if (this.#placing.has(sender.name)) return
    const answer = () => this.#tell(sender, { step: 'switched', number, attempt })
    if (this.#done.get(sender.name) === number) {
      answer()
      return
    }
    this.#setDone(sender.name, number)
    this.#placing.add(sender.name)
    this.#deps.place(() => {
      this.#placing.delete(sender.name)
      answer()
    })
  }

  #setDone(name: string, number: number): void {
    if (this.#done.get(name) === number) return
    this.#done.set(name, number)
    this.#doneVersion++
  }

  /** Does all that can be done now. What it calls may call it. */
  #step(): void {
    this.#stepAgain = true
    if (this.#isStepping) return
    this.#isStepping = true
    while (this.#stepAgain && !this.#isStopped && !this.#mustLetGo) {
      this.#stepAgain = false
      this.#stepOthers()
      if (this.#own !== undefined) this.#stepOwn(this.#own)
    }
    this.#isStepping = false
    const isBusy = this.#own !== undefined || [...this.#warming.values()].some(({ isDone }) => !isDone)
    if (!isBusy || this.#isStopped) return
    this.#cancelLook ??= this.#deps.clock.after(LOOK_MS, () => {
      this.#cancelLook = undefined
      this.#step()
    })
  }

  /** Warms up for the moves of others, and tells those who asked when it is done. */
  #stepOthers(): void {
    const { selfName } = this.#deps
    const movers = new Map<string, Member>()
    for (const member of this.#look().living.values()) {
      const phase = member.metadata?.handover?.phase
      if (member.name !== selfName && phase !== undefined && phase !== 'owning')
        movers.set(member.name, member)
    }
    for (const [name, warming] of this.#warming) {
      const number = name === selfName ? this.#own?.number : movers.get(name)?.metadata?.handover?.number
      if (number === warming.number && !this.#done.has(name)) continue
      warming.end()
      this.#warming.delete(name)
    }
    for (const mover of movers.values()) {
      const { phase, number } = mover.metadata!.handover!
      // What a member that comes on shifts between others is next to nothing, where weights differ.
      if (phase === 'pending' || this.isDone(mover)) continue
      this.#warm(mover, number)
    }
    for (const [name, { number, attempt }] of this.#askers) {
      const mover = movers.get(name)
      const state = mover?.metadata?.handover
      // Gossip is still to bring what this is about.
      if (mover === undefined || state?.number !== number) continue
      if (this.#warming.get(name)?.isDone === false) continue
      this.#askers.delete(name)
      this.#tell(mover, { step: 'warmed', number, attempt })
    }
  }

  /** Fetches what this member gains by a move, of its own or another's, for as long as there is time. */
  #warm(mover: Member, number: number): WarmUp {
    const nowMs = this.#deps.clock.now()
    let warming = this.#warming.get(mover.name)
    if (warming === undefined) {
      const untilMs = nowMs + this.#deps.timeoutMs
      warming = new WarmUp({ number, untilMs }, this.#deps.warm, (outcome, from, error) => {
        this.warmUps[outcome]++
        if (outcome === 'failed') {
          const fields = { event: 'handover.warm-failed', from: from.ringKey, err: error }
          this.#warnings.warn(fields, 'Failed to warm up what comes from another member; it will be cold')
        }
        this.#step()
      })
      this.#warming.set(mover.name, warming)
    }
    if (nowMs >= warming.untilMs) warming.end()
    else warming.update(this.#gainsBy(mover), (node) => this.#look().now.get(node.ringKey) !== undefined)
    return warming
  }

  /** What this member is to get when a member moves, in ascending order. */
  #gainsBy(mover: Member): readonly Stretch[] {
    const ownKey = this.#ownKey
    if (ownKey === undefined) return []
    return this.#moveOf(mover).reduce<Stretch[]>((gains, moved) => {
      const more = without([...moved.gainedBy(ownKey)], gains)
      return [...gains, ...more].sort((a, b) => a.start - b.start)
    }, [])
  }

  #stepOwn(own: OwnMove): void {
    const { clock, timeoutMs, selfName, isSettled } = this.#deps
    const nowMs = clock.now()
    const self = this.#self
    const isInTime = nowMs - own.beganMs < timeoutMs
    // The others have not been heard yet, or this member's list of members does not have the move yet.
    const isTooEarly = self?.metadata?.handover?.number !== own.number || !isSettled()
    if (isTooEarly && isInTime) return
    if (self === undefined || isTooEarly) {
      if (own.outcome === undefined) this.#count(own, 'timed-out')
      this.#finish(own)
      return
    }
    if (own.outcome === undefined) {
      const outcome = isInTime ? this.#isWarm(self, own) : 'timed-out'
      if (outcome === undefined) return
      this.#warming.get(selfName)?.end()
      this.#beginSwitch(own, outcome, nowMs)
    }
    if (own.phase === 'releasing' && !own.hasLet) return
    const isKnown = own.outcome === 'not-possible' || this.#ask(own, 'switch', this.#mustKnow(self))
    if (isKnown || nowMs >= own.switchUntilMs) this.#finish(own)
  }

  /** Whether all that gain are warm, or nobody will be. */
  #isWarm(self: Member, own: OwnMove): HandoverOutcome | undefined {
    const { living } = this.#look()
    const unable = [...living.values()].filter(({ metadata }) => metadata !== undefined && !metadata.handover)
    if (unable.length > 0) {
      const names = unable.slice(0, NAMED_LIMIT).map(({ name }) => name)
      this.#warnings.warn(
        { event: 'handover.not-possible', members: unable.length, names },
        'There are members that do not hand over: nobody waits until others are warm',
      )
      return 'not-possible'
    }
    const isSelfWarm = this.#warm(self, own.number).isDone
    const areOthersWarm = this.#ask(own, 'warm', this.#parties(self, 'to'))
    return isSelfWarm && areOthersWarm ? 'warmed' : undefined
  }

  /** The old owners, and whoever is about to take keys over himself: he may take them from this member. */
  #mustKnow(self: Member): Set<string> {
    const names = this.#parties(self, 'from')
    for (const { name, metadata } of this.#look().living.values()) {
      if (name !== self.name && (metadata?.handover?.phase ?? 'owning') !== 'owning') names.add(name)
    }
    return names
  }

  #beginSwitch(own: OwnMove, outcome: HandoverOutcome, nowMs: number): void {
    this.#count(own, outcome)
    own.outcome = outcome
    own.switchUntilMs = nowMs + SWITCH_LIMIT_MS
    own.asked.clear()
    if (own.phase !== 'releasing') return
    // It is an old owner itself, so it lets go before anybody is told.
    this.#setDone(this.#deps.selfName, own.number)
    this.#deps.place(() => {
      own.hasLet = true
      this.#step()
    })
  }

  /** The old owners know: the new ones may own. */
  #finish(own: OwnMove): void {
    if (own.outcome === undefined) this.#count(own, 'broken-off')
    const self = this.#self
    if (self !== undefined && own.outcome !== 'not-possible') {
      const { living } = this.#look()
      const told = living.size <= TOLD_LIMIT ? living.keys() : this.#parties(self, 'to')
      for (const name of told) {
        const other = name === self.name ? undefined : living.get(name)
        if (other !== undefined) this.#tell(other, { step: 'switch', number: own.number, attempt: 0 })
      }
    }
    this.#own = undefined
    if (own.result !== undefined) {
      this.#deps.control.updateOwn({ ...own.result, handover: { phase: 'owning', number: own.number } })
    }
    own.whenOver()
  }

  /**
   * Asks members for an answer, those that have not given it again and again.
   *
   * @returns Whether all have answered.
   */
  #ask(own: OwnMove, step: 'warm' | 'switch', names: ReadonlySet<string>): boolean {
    const nowMs = this.#deps.clock.now()
    let waiting = 0
    for (const name of names) {
      const member = this.#look().living.get(name)
      if (member === undefined) continue
      const asked = own.asked.get(member.name)
      if (asked?.answered === true) continue
      waiting++
      if (asked !== undefined && nowMs - asked.atMs < ASK_AGAIN_MS[step]) continue
      const attempt = asked === undefined ? 0 : asked.attempt + 1
      own.asked.set(member.name, { atMs: nowMs, attempt, answered: false })
      this.#tell(member, { step, number: own.number, attempt })
    }
    return waiting === 0
  }

  /** The names of the other members that lose (`from`) or gain (`to`) something by a move. */
  #parties(mover: Member, side: 'from' | 'to'): Set<string> {
    const names = new Set<string>()
    for (const stretches of this.#moveOf(mover)) {
      for (const { [side]: node } of stretches) if (node?.name !== undefined) names.add(node.name)
    }
    names.delete(mover.name)
    return names
  }

  /**
   * What moves when one member does: by that alone; and of what it has, once all moves under way are done, so that it does
   * not matter which is done first. While very many go at once, only the latter.
   */
  #moveOf(mover: Member): readonly MovedStretches[] {
    const outlook = this.#look()
    const { moves, now } = outlook
    let move = moves.get(mover.name)
    if (move === undefined) {
      const isMover: IsDone = (member) => member.name === mover.name
      const moverKey = ringKeyOf(mover, this.#deps.ringKeyMode)
      outlook.inTheEnd ??= now.movedTo(this.#ringOf(() => true))
      const isSingle = moves.size < Math.min(MAX_SINGLE_MOVES, MAX_SINGLE_NODES / now.size)
      if (!isSingle && !this.isDone(mover) && mover.name !== this.#deps.selfName) {
        // Of what others do only this member's own gains are asked: there are few.
        outlook.ownGains ??= outlook.inTheEnd.gainedBy(this.#ownKey)
        move = [outlook.ownGains.lostBy(moverKey)]
      } else {
        const before = this.#ringOf((member) => !isMover(member) && this.isDone(member))
        const single = before.movedTo(this.#ringOf((member) => isMover(member) || this.isDone(member)))
        const inTheEnd = before === now ? outlook.inTheEnd : before.movedTo(this.#ringOf(() => true))
        move = [single, inTheEnd.lostBy(moverKey)]
      }
      moves.set(mover.name, move)
    }
    return move
  }

  #ringOf(isDone: IsDone): HashRing {
    const { members, ringKeyMode, ring } = this.#deps
    return ring().with(placeMembers(members(), ringKeyMode, isDone))
  }

  /** Found once for each state of the members, and what moves once for each state of the moves. */
  #look(): Outlook {
    const members = this.#deps.members()
    const last = this.#outlook
    if (last?.members === members && last.doneVersion === this.#doneVersion) return last
    const living = new Map<string, Member>()
    const moving: string[] = []
    for (const member of members) {
      const { name, metadata } = member
      if (!isLiving(member)) continue
      living.set(name, member)
      const { phase = 'owning', number = 0 } = metadata?.handover ?? {}
      if (phase !== 'owning') moving.push(`${number} ${this.isDone(member)} ${name}`)
    }
    const now = this.#ringOf(this.isDone)
    const movesKey = moving.join('\n')
    const isSame = last?.now === now && last.movesKey === movesKey
    const moves = isSame ? last.moves : new Map<string, MovedStretches[]>()
    const [inTheEnd, ownGains] = isSame ? [last.inTheEnd, last.ownGains] : []
    const doneVersion = this.#doneVersion
    return (this.#outlook = { members, doneVersion, living, now, movesKey, moves, inTheEnd, ownGains })
  }

  get #self(): Member | undefined {
    return this.#look().living.get(this.#deps.selfName)
  }

  get #ownKey(): string | undefined {
    return this.#self && ringKeyOf(this.#self, this.#deps.ringKeyMode)
  }

  /** Whether this member is still on the ring from when it knew nobody else. That loss is told before anything is fetched. */
  get #mustLetGo(): boolean {
    const isOn = (ring: HashRing) => ring.get(this.#ownKey ?? '') !== undefined
    return this.#own?.phase === 'pending' && isOn(this.#deps.ring()) && !isOn(this.#look().now)
  }

  #tell(to: Member, message: Omit<HandoverMessage, 'from'>): void {
    const payload = encodeHandoverMessage({ ...message, from: this.#deps.selfName })
    this.#deps.control.sendTo(to, payload, message.attempt)
  }

  #count(own: OwnMove, outcome: HandoverOutcome): void {
    this.outcomes[outcome]++
    const { clock, logger } = this.#deps
    const tookMs = Math.round(clock.now() - own.beganMs)
    logger[outcome === 'timed-out' ? 'warn' : 'info'](
      { event: 'handover.ended', phase: own.phase, outcome, tookMs },
      HANDOVER_OUTCOMES[outcome],
    )
  }
}

/** By chance, so that a member that starts again does not take up where the last one under its name was. */
export function nextHandoverNumber(random: Random): number {
  return 1 + Math.floor(random() * (2 ** 32 - 1))
}

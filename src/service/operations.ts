import { atOnce } from '../at-once.ts'
import { formatDuration } from '../duration.ts'
import { assertNever, isRingmanError, RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { MemberControl } from '../membership/control.ts'
import { isLiving, type Member, type MemberMetadata } from '../membership/member.ts'
import { placeMembers, WEIGHT_SPAN } from '../membership/placement.ts'
import { HashRing } from '../ring/hash-ring.ts'
import { sumMoves, type RingMove } from '../ring/plan.ts'
import type { Steps } from '../ring/steps.ts'
import { formatHostPort } from '../addresses.ts'
import type { RingService } from './ring-service.ts'

/** What an operator can have a member do. */
export const ACTIONS = ['forget', 'evict', 'drain', 'return', 'weight', 'reload'] as const

export type Action = (typeof ACTIONS)[number]

/** Moves that an answer names at most, the largest. */
const MOVES_NAMED = 1000
/** Members that a refusal names at most. */
const NAMED_LIMIT = 5
/** Other members that are told at the same time. */
const AT_ONCE = 16
/** How long an evicted member is not taken back, in milliseconds. */
export const DEFAULT_EVICTION_MS = 600_000

/** What is asked of this member. */
export interface ActionRequest {
  readonly action: Action
  /** Whom to forget or to evict. */
  readonly name?: string | undefined
  /** For `weight`: 1 to 1000. */
  readonly weight?: number | undefined
  /** For `evict`: how long the member is not taken back. @default DEFAULT_EVICTION_MS */
  readonly forMs?: number | undefined
  /** Whether only to say what would happen. */
  readonly dryRun: boolean
  /** Whether another member passes it on: then nobody else is told. */
  readonly relayed: boolean
  /** For the log: who wants it, from which address, and why. */
  readonly by: string
  readonly address: string
  readonly reason: string
}

/** What came of it, or would come of it. */
export interface ActionResult {
  readonly action: Action
  readonly member: string
  readonly dryRun: boolean
  /** Whether something was changed, or would be. */
  readonly changed: boolean
  /** For a human, one sentence. */
  readonly message: string
  /** Fraction of the keys that get another owner. */
  readonly movedShare: number
  readonly moves: readonly RingMove[]
  /** For a human: what other members said, and the like; each a sentence. */
  readonly details: readonly string[]
}

/** Has the admin port of another member do something; rejects with a `RingmanError`. */
export type TellMember = (member: Member, request: ActionRequest) => Promise<void>

/** What came of looking at a request: what it changes in the members, and how it is done. */
interface Prepared {
  readonly message: string
  /** A member as it will be; undefined where it goes. */
  readonly after?: (member: Member) => Member | undefined
  /** Does it, and says more about it. Left out where nothing is to be done. */
  readonly run?: Run | undefined
  /** In its place where it is only tried out: says what the plan cannot. */
  readonly look?: Run | undefined
}

type Run = () => Promise<Partial<ActionResult> | undefined> | Partial<ActionResult> | undefined

interface Plan {
  readonly result: ActionResult
  readonly run: Run | undefined
}

/** Behind what is said of an eviction in a ring without keys, where nobody is refused. */
const ANY_TIME = '. Started again, it is taken back at once, whatever time was given: this ring has no keys'

/** What operators do by hand. Each action is refused with its reason where it would be done by halves. */
export class Operations {
  readonly #ring: RingService
  readonly #tell: TellMember
  readonly #logger: Logger

  constructor(ring: RingService, tell: TellMember, logger: Logger) {
    this.#ring = ring
    this.#tell = tell
    this.#logger = logger.child({ component: 'admin' })
  }

  /** What this member is, and what it can be asked to do. */
  describe() {
    const { source, drained } = this.#ring
    return {
      name: source.selfName ?? null,
      source: source.kind,
      keyed: this.#ring.control?.keyed ?? false,
      drained,
      weight: this.#self?.metadata?.weight ?? 1,
      actions: this.#ring.control === undefined ? [] : ACTIONS,
    }
  }

  /**
   * Does what is asked, in steps, with waits between them.
   *
   * @throws {RingmanError} `ACTION_REFUSED`, `NOT_FOUND` where there is no such member.
   */
  *plan(request: ActionRequest): Steps<Plan> {
    const { action, dryRun } = request
    const { control } = this.#ring
    if (control === undefined) {
      throw refused(
        `with the source ${this.#ring.source.kind} this process is no member that could be told to ${action}`,
      )
    }
    const prepared = this.#prepare(control, request)
    const { movedShare, moves } = yield* this.#moves(prepared.after)
    const member = request.name ?? this.#ring.source.selfName ?? ''
    const changed = prepared.run !== undefined
    const { message, run, look } = prepared
    return {
      result: { action, member, dryRun, changed, message, movedShare, moves, details: [] },
      run: dryRun ? look : run,
    }
  }

  /** Ends what {@link plan} began. */
  async finish(request: ActionRequest, { result, run }: Plan): Promise<ActionResult> {
    if (run === undefined || result.dryRun) return { ...result, ...(await run?.()) }
    const { action, weight, forMs, by, address, reason, relayed } = request
    const { member: peer, movedShare } = result
    const values = { ...(weight === undefined ? {} : { weight }), ...(forMs === undefined ? {} : { forMs }) }
    const fields = { action, peer, ...values, by, address, reason, relayed, movedShare }
    try {
      const outcome = await run()
      this.#logger.warn({ event: 'admin.action', ...fields }, 'Did what an operator asked for')
      return { ...result, ...outcome }
    } catch (err) {
      if (isRingmanError(err) && err.code === 'ACTION_REFUSED') {
        const failed = { event: 'admin.failed', ...fields, code: err.code, because: err.message }
        this.#logger.warn(failed, 'Did not do what an operator asked for')
      } else {
        const failed = { event: 'admin.failed', ...fields, err }
        this.#logger.error(failed, 'Failed to do what an operator asked for')
      }
      throw err
    }
  }

  get #self(): Member | undefined {
    const { members, selfName } = this.#ring.source
    return members.find(({ name }) => name === selfName)
  }

  #prepare(control: MemberControl, request: ActionRequest): Prepared {
    switch (request.action) {
      case 'forget':
        return this.#forget(control, request)
      case 'evict':
        return this.#evict(control, request)
      case 'drain':
        return this.#drain()
      case 'return':
        return this.#return()
      case 'weight':
        return this.#weight(request.weight ?? 1)
      case 'reload':
        return reload(control)
      default:
        return assertNever(request.action)
    }
  }

  #forget(control: MemberControl, { name = '' }: ActionRequest): Prepared {
    const { state } = this.#find(name)
    if (state !== 'dead' && state !== 'left') {
      const why = 'only a member that is dead or left can be forgotten: evict it'
      throw refused(`${quote(name)} is ${state}, and ${why}`)
    }
    return {
      message: `${quote(name)} is off the list of this member`,
      run: () => void control.forget(name),
    }
  }

  #evict(control: MemberControl, request: ActionRequest): Prepared {
    const { name = '', forMs = DEFAULT_EVICTION_MS, relayed } = request
    const { selfName } = this.#ring.source
    const after = (one: Member) => (one.name === name ? undefined : one)
    const span = formatDuration(forMs)
    if (name === selfName) {
      if (this.#ring.state === 'leaving') return { message: 'This member has left already' }
      // Who was told by another member goes: that one has taken it off the ring.
      if (!relayed) this.#checkOthers()
      return {
        message: `This member leaves the ring; its look-ups name others until it is stopped${control.keyed ? '' : ANY_TIME}`,
        after,
        run: async () => {
          const told = relayed || !control.keyed ? [] : this.#tellAll(request)
          await this.#ring.evict()
          return { details: await told }
        },
      }
    }
    if (!control.keyed) {
      const { address, metadata } = this.#find(name)
      const where =
        metadata?.adminPort === undefined
          ? 'at its own admin port'
          : `at its own admin port: --url http://${formatHostPort({ address, port: metadata.adminPort })}`
      throw refused(
        `this ring has no keys, so that whatever this member said of ${quote(name)} could be forged by anybody; evict it ${where}`,
      )
    }
    const message = `${quote(name)} is off the ring, and not taken back for ${span}`
    if (relayed) {
      const run = () => {
        control.evict(name, forMs)
        return {}
      }
      // Another member knows that it is there.
      const isUnknown = this.#ring.source.members.every((one) => one.name !== name)
      return isUnknown ? { message: `${quote(name)} is not taken for ${span}`, run } : { message, after, run }
    }
    const member = this.#find(name)
    if (member.metadata?.level === undefined) {
      throw refused(
        `${quote(name)} is a Go member, or one of an older version, which cannot be evicted: it would go on saying that it lives, and members like it would believe it; stop its process`,
      )
    }
    this.#checkOthers(name)
    return {
      message,
      after,
      run: async () => {
        const told = this.#tellAll(request, member)
        control.evict(name, forMs)
        return { details: await told }
      },
      look: async () => {
        const { udp, tcp } = await control.checkReach(name)
        const silent = `${quote(name)} does not answer now, so it would not leave by itself: the others refuse it`
        return { details: udp === true || tcp ? [] : [silent] }
      },
    }
  }

  #drain(): Prepared {
    const own = this.#self
    if (own?.metadata?.drained === true) return { message: 'This member is drained already' }
    const unaware = this.#living.filter(
      ({ name, metadata }) => name !== own?.name && metadata?.level === undefined,
    )
    if (unaware.length > 0) {
      throw refused(
        `Go members, and those of older versions, do not know of draining and would go on sending keys here: ${list(unaware)}; stop this process instead, which leaves the ring`,
      )
    }
    this.#checkOthers()
    const message = 'This member is off the ring, gossips on and answers look-ups; it is not ready'
    return this.#adjust(message, () => this.#ring.drain(), { drained: true })
  }

  /** @throws {RingmanError} `ACTION_REFUSED` where the ring would be empty without this member, or the one of this name. */
  #checkOthers(leaving = this.#ring.source.selfName): void {
    const placed = this.#living.filter(({ metadata }) => metadata?.drained !== true)
    if (placed.length > 0 && placed.every(({ name }) => name === leaving))
      throw refused(`no other member is on the ring, and without ${quote(leaving ?? '')} it would be empty`)
  }

  #return(): Prepared {
    if (this.#ring.state === 'leaving') throw refused('this member has left; restart it to return')
    if (!this.#ring.drained) return { message: 'This member was not drained' }
    return this.#adjust('This member is on the ring again', () => this.#ring.return(), { drained: false })
  }

  #weight(weight: number): Prepared {
    const counts = this.#whatCounts(weight)
    if ((this.#self?.metadata?.weight ?? 1) === weight)
      return { message: `Its weight is ${weight} already${counts}` }
    const unaware = this.#living.filter(
      ({ metadata }) => metadata?.level === undefined && metadata?.witness !== true,
    )
    if (unaware.length > 0) {
      const why = 'Go members give all members the same weight and would disagree on owners'
      throw refused(`${why}: ${list(unaware)}`)
    }
    const message = `Its weight is ${weight}${counts}, until it is restarted`
    return this.#adjust(message, () => this.#ring.setWeight(weight), { weight })
  }

  /** What a weight of this member counts for, where that is less than it is. */
  #whatCounts(weight: number): string {
    const { source, ringKeyMode } = this.#ring
    const nodes = placeMembers(source.members.map(this.#with({ weight })), ringKeyMode)
    const counted = nodes.find(({ name }) => name === source.selfName)?.weight ?? weight
    return counted < weight ? ` and counts for ${counted} (at most ${WEIGHT_SPAN} times the median)` : ''
  }

  #adjust(message: string, run: () => Promise<void>, change: Partial<MemberMetadata>): Prepared {
    if (this.#ring.state !== 'running') throw refused(`this member is ${this.#ring.state}`)
    return { message, after: this.#with(change), run: () => run().then(() => undefined) }
  }

  /** Members as they will be once this one has changed what it says of itself. */
  #with(change: Partial<MemberMetadata>): (member: Member) => Member {
    const { selfName } = this.#ring.source
    return (member) =>
      member.name === selfName && member.metadata !== undefined
        ? { ...member, metadata: { ...member.metadata, ...change } }
        : member
  }

  get #living(): readonly Member[] {
    return this.#ring.source.members.filter(isLiving)
  }

  #find(name: string): Member {
    const member = this.#ring.source.members.find((one) => one.name === name)
    if (member !== undefined) return member
    const why = `this member knows no member called ${quote(name)}; \`ringman nodes\` lists those that it knows`
    throw new RingmanError('NOT_FOUND', why)
  }

  /** What moves if members become what `after` makes of them. */
  *#moves(after: Prepared['after']): Steps<Pick<ActionResult, 'movedShare' | 'moves'>> {
    if (after === undefined) return { movedShare: 0, moves: [] }
    const { source, ringKeyMode, manager } = this.#ring
    const members = source.members.flatMap((member) => after(member) ?? [])
    const next = HashRing.of(placeMembers(members, ringKeyMode))
    // What members said a moment ago is about to be on the ring: it moves by itself.
    const now = this.#ring.isPlacing
      ? HashRing.of(placeMembers(source.members, ringKeyMode))
      : manager.snapshot.ring
    const moved = yield* now.movedInSteps(next)
    return { movedShare: moved.share, moves: (yield* sumMoves(moved)).slice(0, MOVES_NAMED) }
  }

  /** Has all others do the same, `first` before them. */
  async #tellAll(request: ActionRequest, ...first: readonly Member[]): Promise<string[]> {
    const { selfName, members } = this.#ring.source
    const has = ({ name, state }: Member) => name !== selfName && name !== request.name && state !== 'left'
    return atOnce(AT_ONCE, [...first, ...members.filter(has)], (member) => this.#tellOne(member, request))
  }

  async #tellOne(member: Member, request: ActionRequest): Promise<string> {
    const name = quote(member.name)
    if (member.state === 'dead' && member.name !== request.name) return `${name} is dead, and was not told`
    if (member.metadata?.adminPort === undefined) {
      return `${name} has no admin port, and was not told`
    }
    try {
      await this.#tell(member, { ...request, relayed: true })
      return member.name === request.name ? `${name} left` : `${name} does not take it back either`
    } catch (error) {
      if (!isRingmanError(error)) throw error
      return `${name} ${error.code === 'TIMEOUT' ? 'may not have done it' : 'did not do it'}: ${error.message}`
    }
  }
}

function reload(control: MemberControl): Prepared {
  const again = async (dryRun: boolean) => {
    const { changed, details } = await control.reload(dryRun)
    if (changed) return { changed, details }
    // Each file has its sentence.
    const message = details.length === 0 ? 'This member follows no files' : 'Its files have nothing new'
    return { changed, details, message }
  }
  return {
    message: 'The files that this member follows are read again',
    run: () => again(false),
    look: () => again(true),
  }
}

function refused(why: string): RingmanError {
  return new RingmanError('ACTION_REFUSED', why)
}

function list(members: readonly Member[]): string {
  const more = members.length - NAMED_LIMIT
  const names = members.slice(0, NAMED_LIMIT).map(({ name }) => quote(name))
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 255))
}

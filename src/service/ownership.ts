import { RingmanError, type ErrorDetail } from '../errors.ts'
import type { ChangeCause, ChangeRecord } from '../manager/change-record.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import { orderRings } from '../manager/ring-order.ts'
import type { RingChange } from '../manager/snapshot.ts'
import { HashRing } from '../ring/hash-ring.ts'
import { hashKey } from '../ring/key-hash.ts'
import type { MovedStretches } from '../ring/moved.ts'
import type { RingNode } from '../ring/node.ts'
import { zeros } from '../zeros.ts'
import { Claims, everywhere, type Claim, type LostStretch } from './claims.ts'

/** What a change of the ring means for one node. */
export interface MovedEvent {
  /** What it owns now and did not own before; `from` of each stretch is who did. */
  readonly gained: MovedStretches
  /** What it owned before and does not own now; `to` of each stretch is who does. */
  readonly lost: MovedStretches
  /**
   * Why: of several causes the one that moved most. With `was-off-ring` nothing is gained or lost: the others had taken the
   * node off their rings for a while, so that others may have acted as the owner of everything it has.
   */
  readonly cause: ChangeCause
  /** Every cause, with what it moved. */
  readonly records: readonly ChangeRecord[]
  /** Of the rings before and after. */
  readonly digests: { readonly before: string; readonly after: string }
  /** This process's count of ring changes after this one. */
  readonly epoch: number
}

/**
 * What a member knows about a key that somebody sent it for: it is the owner or is not, by the ring that both have; or the
 * rings differ, and the other side's is older (`you-are-behind`), its own is (`i-am-behind`), or nobody can say.
 */
export const CHECK_VERDICTS = ['mine', 'not-mine', 'you-are-behind', 'i-am-behind', 'unknown'] as const

export type CheckVerdict = (typeof CHECK_VERDICTS)[number]

/** The answer of {@link Ownership.check}. */
export interface OwnershipCheck {
  readonly verdict: CheckVerdict
  /** Whether this member owns the key by its own ring, whatever the verdict. */
  readonly mine: boolean
  /** The owner by its own ring. */
  readonly owner: RingNode
  /** The digest of its own ring. */
  readonly digest: string
  readonly epoch: number
}

/** What became of a request that came to a member that forwards. */
const FORWARD_OUTCOMES = ['served', 'forwarded', 'stood-in', 'refused', 'failed', 'program-failed'] as const

export type ForwardOutcome = (typeof FORWARD_OUTCOMES)[number]

/** What {@link Ownership} asks of the member that it is about. */
export interface OwnMember {
  readonly manager: HashRingManager
  /** The ring key of the member's node; undefined where there is none. */
  readonly ringKey: () => string | undefined
  /** Why the member cannot know what it owns just now; undefined while it can. */
  readonly unsureBecause: () => string | undefined
  /** Calls a function in a later turn of the event loop. */
  readonly later: (turn: () => void) => void
}

/** What a member owns, what moves, and its claims. */
export class Ownership {
  readonly #member: OwnMember
  readonly #claims: Claims
  /** How many checks had which verdict. */
  readonly checks = zeros(CHECK_VERDICTS)
  /** What became of requests, where this member forwards them. */
  readonly forwards = zeros(FORWARD_OUTCOMES)
  /** The ring key that claims were made under. */
  #claimedAs: string | undefined

  constructor(member: OwnMember) {
    this.#member = member
    this.#claims = new Claims(member.later)
    member.manager.subscribe((change) => this.#follow(change))
  }

  /** How many claims are held. */
  get claimCount(): number {
    return this.#claims.count
  }

  /**
   * All stretches of a node on the current ring, each with it as `to`.
   *
   * @param node - Ring key, or the name of a member. @default this member
   */
  owned(node?: string): MovedStretches {
    const { ring } = this.#member.manager.snapshot
    return HashRing.empty.movedTo(ring).gainedBy(this.#ringKeyOf(ring, node))
  }

  /**
   * Calls `listener` after each change of the ring by which a node gains or loses something, or was off the others' rings.
   * What it throws is logged and stops nothing.
   *
   * @param node - Ring key, or the name of a member. @default this member
   * @returns A function that ends the subscription.
   */
  onMoved(listener: (event: MovedEvent) => void, node?: string): () => void {
    const { manager } = this.#member
    let before = this.#ringKeyOf(manager.snapshot.ring, node)
    return manager.subscribe(({ current, previous, moved, records }) => {
      const after = this.#ringKeyOf(current.ring, node)
      const gained = moved.gainedBy(after, before)
      const lost = moved.lostBy(before, after)
      const wasOff = records.some((record) => record.cause === 'was-off-ring' && record.node === after)
      before = after
      const [most] = records.toSorted((a, b) => b.movedShare - a.movedShare)
      if (most === undefined || (gained.count === 0 && lost.count === 0 && !wasOff)) return
      const digests = { before: previous.ring.digest, after: current.ring.digest }
      listener({ gained, lost, cause: most.cause, records, digests, epoch: current.epoch })
    })
  }

  /**
   * Claims a key that this member owns: `docs/ownership.md` says what that promises.
   *
   * @throws {RingmanError} `NOT_OWNER`, with the owner in `detail`; `UNSURE` while this member cannot know;
   *   `KEY_EMPTY`, `KEY_INVALID`, `RING_EMPTY`, `MANAGER_NOT_RUNNING`.
   */
  claim(key: string | Uint8Array): Claim {
    const { manager, ringKey, unsureBecause } = this.#member
    const owner = manager.getNode(key)
    const own = ringKey()
    const why = unsureBecause()
    if (why !== undefined) throw new RingmanError('UNSURE', why)
    if (owner.ringKey !== own) {
      throw new RingmanError('NOT_OWNER', `${owner.ringKey} owns the key`, { detail: detailOf(owner) })
    }
    if (own !== this.#claimedAs) this.#loseAll('moved', 'this member has another ring key')
    this.#claimedAs = own
    return this.#claims.add(hashKey(key))
  }

  /**
   * What to do with a request for a key that came here: the answer is counted.
   *
   * @param digests - Of the ring by which it was sent; better the last ones that the sender has had, the newest first.
   * @throws {RingmanError} `KEY_EMPTY`, `KEY_INVALID`, `RING_EMPTY`, `MANAGER_NOT_RUNNING`.
   */
  check(key: string | Uint8Array, digests: string | readonly string[]): OwnershipCheck {
    const { manager, ringKey } = this.#member
    const owner = manager.getNode(key)
    const { ring, epoch } = manager.snapshot
    const mine = owner.ringKey === ringKey()
    const order = orderRings(manager.digests, typeof digests === 'string' ? [digests] : digests)
    const verdict = order === 'same' ? (mine ? 'mine' : 'not-mine') : VERDICTS[order]
    this.checks[verdict]++
    return { verdict, mine, owner, digest: ring.digest, epoch }
  }

  /** Ends all claims, as this member cannot know what it owns. */
  becomeUnsure(): void {
    this.#loseAll('unsure', this.#member.unsureBecause() ?? 'this member could not know what it owns')
  }

  /** Ends all claims, with the ring. */
  stop(): void {
    this.#loseAll('stopped', 'the ring was stopped')
  }

  #follow({ moved, records }: RingChange): void {
    const own = this.#member.ringKey()
    if (own !== this.#claimedAs && this.#claimedAs !== undefined && own !== undefined) {
      this.#loseAll('moved', 'this member has another ring key')
    } else if (records.some(({ cause, node }) => cause === 'was-off-ring' && node === own)) {
      this.#loseAll('was-off-ring', 'the others had taken this member off their rings')
    } else if (this.#claimedAs !== undefined) {
      this.#loseMoved(moved.lostBy(this.#claimedAs))
    }
  }

  #loseMoved(lost: MovedStretches): void {
    if (this.#claims.count === 0) return
    const reasons = new Map<RingNode | undefined, () => RingmanError>()
    const stretches: LostStretch[] = []
    for (const { start, end, to } of lost) {
      const reason = reasons.get(to) ?? lossOf('moved', `${to?.ringKey ?? 'nobody'} owns the key now`, to)
      reasons.set(to, reason)
      stretches.push({ start, end, reason })
    }
    this.#claims.lose(stretches)
  }

  #loseAll(reason: ClaimLoss, message: string): void {
    this.#claims.lose([everywhere(lossOf(reason, message))])
  }

  #ringKeyOf(ring: HashRing, node: string | undefined): string | undefined {
    return node === undefined ? this.#member.ringKey() : findNode(ring, node)?.ringKey
  }
}

/** The node with this ring key, else the one of the member with this name. */
export function findNode(ring: HashRing, ringKeyOrName: string): RingNode | undefined {
  return ring.get(ringKeyOrName) ?? ring.nodes.find(({ name }) => name === ringKeyOrName)
}

/** Why a claim was lost, in the `detail.reason` of a `CLAIM_LOST`. */
export type ClaimLoss = 'moved' | 'was-off-ring' | 'unsure' | 'stopped'

const VERDICTS = { ahead: 'you-are-behind', behind: 'i-am-behind', unknown: 'unknown' } as const

/** The reason for which many claims are lost: made when the first one needs it. */
function lossOf(reason: ClaimLoss, message: string, owner?: RingNode): () => RingmanError {
  let error: RingmanError | undefined
  return () =>
    (error ??= new RingmanError('CLAIM_LOST', `the claim was lost: ${message}`, {
      detail: { reason, ...(owner === undefined ? {} : detailOf(owner)) },
    }))
}

/** An owner as an error tells of it. */
function detailOf({ ringKey, name, address, port }: RingNode): ErrorDetail {
  return {
    owner: ringKey,
    ...(name === undefined ? {} : { name }),
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
  }
}

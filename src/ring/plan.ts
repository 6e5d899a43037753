import { RingmanError } from '../errors.ts'
import type { HashRing } from './hash-ring.ts'
import type { Stretch } from './moved.ts'
import { compareRingKeys, isRingKey, isNodeWeight, type RingNode } from './node.ts'
import { finish, Pace, sortInSteps, type Steps } from './steps.ts'

/** A change to try out on a ring. Each ring key may be named once; all parts happen at once. */
export interface RingPlanChange {
  /** Ring keys of nodes that go. */
  readonly leave?: readonly string[]
  /** Nodes that come. */
  readonly join?: readonly RingNode[]
  /** New weights for nodes that stay. */
  readonly reweight?: readonly { readonly ringKey: string; readonly weight: number }[]
}

/** Keys that get another owner: from which node, to which, and how many. */
export interface RingMove {
  /** Ring key of the owner before; null when the ring was empty. */
  readonly from: string | null
  /** Ring key of the owner after; null when the ring is empty then. */
  readonly to: string | null
  /** Fraction of the circle, above 0 and at most 1. */
  readonly share: number
}

/** What a change does to a ring. All fractions are exact multiples of 2^-32. */
export interface RingPlan {
  /** Digest of the ring as it is. */
  readonly before: string
  /** Digest of the ring after the change. */
  readonly after: string
  /** Fraction of the circle that gets another owner: the sum of the moves, from 0 to 1. */
  readonly movedShare: number
  /** Largest first, then by `from` and `to` in the byte order of ring keys. */
  readonly moves: readonly RingMove[]
  /** Each node's share, by ring key in byte order; empty for an empty ring. */
  readonly sharesBefore: ReadonlyMap<string, number>
  readonly sharesAfter: ReadonlyMap<string, number>
  /** See {@link maxMean}: 1 is perfectly even. */
  readonly maxMeanBefore: number
  readonly maxMeanAfter: number
}

/**
 * Says which part of the circle moves, and between whom, if nodes leave, join or change weight: exactly,
 * and without changing the ring.
 *
 * A change that comes to nothing (an empty one, a weight that a node has already) is a plan without moves.
 *
 * @throws {RingmanError} `PLAN_INVALID` with all that is wrong in one message, and the ring keys in `detail`:
 *   `absent` (leaving or reweighted, but not on the ring), `present` (joining, but on the ring), `repeated`
 *   (named more than once), `invalid` (no ring key, or a weight that is not a positive integer).
 */
export function plan(ring: HashRing, change: RingPlanChange): RingPlan {
  return finish(planInSteps(ring, change))
}

/** The same in steps. The longest one makes the ring after the change, as any change of a ring does. */
export function* planInSteps(ring: HashRing, change: RingPlanChange): Steps<RingPlan> {
  check(ring, change)
  const next = apply(ring, change)
  const moved = yield* ring.movedInSteps(next)
  return {
    before: ring.digest,
    after: next.digest,
    movedShare: moved.share,
    moves: yield* sumMoves(moved),
    sharesBefore: ring.shares(),
    sharesAfter: next.shares(),
    maxMeanBefore: maxMean(ring),
    maxMeanAfter: maxMean(next),
  }
}

function check(ring: HashRing, { leave = [], join = [], reweight = [] }: RingPlanChange): void {
  const stay = reweight.map(({ ringKey }) => ringKey)
  const come = join.map(({ ringKey }) => ringKey)
  const named = new Set<string>()
  const repeated = new Set<string>()
  for (const ringKey of [...leave, ...stay, ...come]) (named.has(ringKey) ? repeated : named).add(ringKey)
  const isOnRing = (ringKey: string) => ring.get(ringKey) !== undefined
  const problems = {
    absent: [...leave, ...stay].filter((ringKey) => !isOnRing(ringKey)),
    present: come.filter(isOnRing),
    repeated: [...repeated],
    invalid: [
      ...come.filter((ringKey) => !isRingKey(ringKey)),
      ...[...join, ...reweight].filter(({ weight }) => !isNodeWeight(weight)).map(({ ringKey }) => ringKey),
    ],
  }
  const found = Object.entries(problems).filter(([, ringKeys]) => ringKeys.length > 0)
  if (found.length === 0) return
  const sentences = found.map(([kind, ringKeys]) => {
    const list = ringKeys.map((ringKey) => JSON.stringify(ringKey)).join(', ')
    return `${PROBLEMS[kind as keyof typeof problems]}: ${list}`
  })
  throw new RingmanError('PLAN_INVALID', sentences.join('; '), { detail: Object.fromEntries(found) })
}

const PROBLEMS = {
  absent: 'not on the ring, so cannot leave or change weight (no node has this ring key)',
  present: 'on the ring already, so cannot join',
  repeated: 'named more than once',
  invalid: 'not a ring key, or with a weight that is not a positive integer',
}

function apply(ring: HashRing, { leave = [], join = [], reweight = [] }: RingPlanChange): HashRing {
  const nodes = new Map(ring.nodes.map((node) => [node.ringKey, node]))
  for (const ringKey of leave) nodes.delete(ringKey)
  for (const { ringKey, weight } of reweight) nodes.set(ringKey, { ringKey, weight })
  for (const node of join) nodes.set(node.ringKey, node)
  return ring.with(nodes.values())
}

export function* sumMoves(moved: Iterable<Stretch>): Steps<RingMove[]> {
  const pace = new Pace()
  const hashes = new Map<string | null, Map<string | null, number>>()
  for (const { start, end, ...owners } of moved) {
    const from = owners.from?.ringKey ?? null
    const to = owners.to?.ringKey ?? null
    const targets = hashes.get(from) ?? new Map<string | null, number>()
    hashes.set(from, targets.set(to, (targets.get(to) ?? 0) + end - start))
    if (pace.endsStep()) yield
  }
  const moves: RingMove[] = []
  for (const [from, targets] of hashes) {
    for (const [to, count] of targets) moves.push({ from, to, share: count / 2 ** 32 })
  }
  // An end is null in all moves or in none.
  const compareEnds = (a: string | null, b: string | null) => compareRingKeys(a ?? '', b ?? '')
  return yield* sortInSteps(
    moves,
    (a, b) => b.share - a.share || compareEnds(a.from, b.from) || compareEnds(a.to, b.to),
  )
}

/** The largest share as a multiple of the mean one; 0 for an empty ring. */
export function maxMean(ring: HashRing): number {
  let max = 0
  for (const share of ring.shares().values()) max = Math.max(max, share)
  return max * ring.size
}

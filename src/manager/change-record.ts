import type { HashRing } from '../ring/hash-ring.ts'
import type { MovedStretches } from '../ring/moved.ts'
import { compareRingKeys, sameNode, type RingNode } from '../ring/node.ts'
import { eachInSteps, Pace, type Steps } from '../ring/steps.ts'

/** Why a ring changed: the one closed list, for logs, metrics and whoever subscribes. */
export const CHANGE_CAUSES = {
  joined: 'A node came onto the ring.',
  left: "A node went, because its member said that it leaves: a scale-down, or a rolling update's old pod.",
  dead: 'A node went, because its member was declared dead.',
  'mass-failure':
    'Three nodes or more went in one change, because their members were declared dead within a short time: a zone, a rack, a host of many.',
  removed:
    'A node went, because the source does not list its member any more, or its metadata no longer decodes.',
  updated: 'A node stayed and got another weight, address, port or zone, or another ring key under its name.',
  'was-off-ring':
    'This process found out that the others had taken its node off their rings for a while: it was stopped or cut off. Its own ring is the same.',
} as const

export type ChangeCause = keyof typeof CHANGE_CAUSES

/** What differs between two rings. Lists are in the byte order of ring keys. */
export interface RingDifference {
  /** Nodes that the previous ring did not have. */
  readonly added: readonly RingNode[]
  /** Nodes that the current ring does not have, as they were. */
  readonly removed: readonly RingNode[]
  /** Nodes with another weight, address or other detail than before, as they are now. */
  readonly updated: readonly RingNode[]
  /** Where the circle has another owner than before. */
  readonly moved: MovedStretches
}

/** What differs between two rings, in steps; undefined when nothing does, down to the nodes' addresses. */
export function* diffRings(previous: HashRing, current: HashRing): Steps<RingDifference | undefined> {
  const added: RingNode[] = []
  const removed: RingNode[] = []
  const updated: RingNode[] = []
  const [before, after] = [previous.nodes, current.nodes]
  const pace = new Pace()
  let i = 0
  let j = 0
  while (i < before.length || j < after.length) {
    if (pace.endsStep()) yield
    const was = before[i]
    const is = after[j]
    if (
      is === undefined ||
      (was !== undefined && was !== is && compareRingKeys(was.ringKey, is.ringKey) < 0)
    ) {
      removed.push(was!)
      i++
    } else if (was?.ringKey !== is.ringKey) {
      added.push(is)
      j++
    } else {
      if (!sameNode(was, is)) updated.push(is)
      i++
      j++
    }
  }
  if (added.length + removed.length + updated.length === 0) return undefined
  yield
  return { added, removed, updated, moved: yield* previous.movedInSteps(current) }
}

/** What one cause did to the ring in one change. */
export interface ChangeRecord {
  /** Milliseconds since the Unix epoch. */
  readonly timeMs: number
  readonly cause: ChangeCause
  /** Ring key of the node; of several the first in byte order. */
  readonly node: string
  /** How many nodes came, went or changed for this cause. */
  readonly count: number
  /** Fraction of the circle that got another owner by it; for `was-off-ring` what the others had taken. */
  readonly movedShare: number
  readonly digests: { readonly before: string; readonly after: string }
}

/** In the order in which causes are blamed for a move between two nodes that both stay. */
const BLAMED = [
  'updated',
  'mass-failure',
  'dead',
  'left',
  'removed',
  'joined',
] as const satisfies readonly ChangeCause[]

/** So many deaths in one change have one cause. */
const MASS_FAILURE = 3

/** All hashes of the circle. */
const CIRCLE = 2 ** 32

/**
 * The records of one change, one for each cause, in steps.
 *
 * Each node that came, went or changed has one cause. A stretch of the circle with another owner has one cause: that of
 * its old owner, if that went; else that of its new owner, if that came; else (weights differ, so that the points of all
 * nodes shift) the first in the order of `BLAMED`. What was nobody's before, or is nobody's after, was not moved.
 *
 * @param stateOf - What the source says of a member after the change; undefined when it does not list it.
 */
export function* recordChange(
  previous: HashRing,
  current: HashRing,
  difference: RingDifference,
  stateOf: (name: string) => string | undefined,
  timeMs: number,
): Steps<ChangeRecord[]> {
  const causes = yield* findCauses(previous, current, difference, stateOf)
  const isFound = new Set(causes.values())
  const found: ChangeCause[] = BLAMED.filter((cause) => isFound.has(cause))
  const gone = new Set(difference.removed)
  const come = new Set(difference.added)
  yield
  const moved = new Float64Array(found.length)
  yield* difference.moved.visitInSteps((hashes, from, to) => {
    // Only where one of the rings is empty.
    if (from === undefined || to === undefined) return
    const blamed = gone.has(from) ? from : come.has(to) ? to : undefined
    const at = blamed === undefined ? 0 : found.indexOf(causes.get(blamed.ringKey)!)
    moved[at]! += hashes / CIRCLE
  })
  yield
  yield* current.digestInSteps()
  const digests = { before: previous.digest, after: current.digest }
  yield
  return found.map((cause, at) => {
    const nodes = [...causes].flatMap(([ringKey, its]) => (its === cause ? [ringKey] : []))
    const [node = ''] = nodes
    return { timeMs, cause, node, count: nodes.length, movedShare: moved[at]!, digests }
  })
}

/** The cause of each node that came, went or changed, by ring key, in the byte order of keys for each kind. */
function* findCauses(
  previous: HashRing,
  current: HashRing,
  { added, removed, updated }: RingDifference,
  stateOf: (name: string) => string | undefined,
): Steps<Map<string, ChangeCause>> {
  const causes = new Map<string, ChangeCause>()
  // A member whose ring key is another one now has neither come nor gone.
  const namesBefore = yield* namesAmong(previous.nodes, added)
  yield
  const namesAfter = yield* namesAmong(current.nodes, removed)
  yield
  for (const { ringKey, name } of removed) {
    const state = name === undefined ? undefined : stateOf(name)
    const stays = name !== undefined && namesAfter.has(name)
    causes.set(ringKey, stays ? 'updated' : state === 'left' || state === 'dead' ? state : 'removed')
  }
  for (const { ringKey, name } of added) {
    causes.set(ringKey, name !== undefined && namesBefore.has(name) ? 'updated' : 'joined')
  }
  for (const { ringKey } of updated) causes.set(ringKey, 'updated')
  const dead = [...causes].filter(([, cause]) => cause === 'dead')
  if (dead.length >= MASS_FAILURE) for (const [ringKey] of dead) causes.set(ringKey, 'mass-failure')
  return causes
}

/** Those of the names of some nodes that nodes of a ring have as well. */
function* namesAmong(nodes: readonly RingNode[], some: readonly RingNode[]): Steps<Set<string | undefined>> {
  const wanted = new Set(some.map(({ name }) => name))
  const found = new Set<string | undefined>()
  yield* eachInSteps(nodes, ({ name }) => {
    if (wanted.has(name)) found.add(name)
  })
  return found
}

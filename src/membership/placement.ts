import { isRingKey, type RingNode } from '../ring/node.ts'
import { eachInSteps, finish, type Steps } from '../ring/steps.ts'
import { isLiving, type Member } from './member.ts'

/** Which string of a member is hashed: `IP:servicePort`, as in Go, or the member's name. */
export type RingKeyMode = 'address' | 'name'

/** The ring key of a member; an IPv6 address stays unbracketed (`::1:8000`), as in Go. */
export function ringKeyOf(member: Member, mode: RingKeyMode): string | undefined {
  if (member.metadata === undefined) return undefined
  return mode === 'name' ? member.name : `${member.address}:${member.metadata.servicePort}`
}

/** A node counts for so many times the median weight at most. */
export const WEIGHT_SPAN = 20

/** Whether a member's move counts as done: it is on the ring, or off it, or has the weight, that it moves to. */
export type IsDone = (member: Member) => boolean

const asTold: IsDone = () => false

/** The nodes of members that were placed before: a member that changes is another object. */
export type KnownNodes = WeakMap<Member, RingNode>

/**
 * The nodes that a set of members makes: those alive or suspect, not drained, with metadata that decodes. Where two members
 * come to the same ring key, the one with the lower name stands for both, on every pod alike.
 *
 * One that is `pending` in a hand-over is not among them, unless all are: then nobody owns what they wait for.
 *
 * Each weight is bounded by {@link WEIGHT_SPAN} times the median of all: a weight is what a member says of itself, and with
 * a thousand times that of the others one member would leave them no points. Half of the members must say so to raise it.
 *
 * @param members - Sorted by name, as sources publish them.
 */
export function placeMembers(
  members: readonly Member[],
  mode: RingKeyMode,
  isDone: IsDone = asTold,
): RingNode[] {
  return finish(placeInSteps(members, mode, isDone))
}

/**
 * The same in steps.
 *
 * @param known - Those of earlier calls with the same mode; the others are added.
 */
export function* placeInSteps(
  members: readonly Member[],
  mode: RingKeyMode,
  isDone: IsDone = asTold,
  known: KnownNodes = new WeakMap(),
): Steps<RingNode[]> {
  const nobodyOwns = members.every((member) => !isPlaceable(member) || isPending(member))
  // All of them at one moment: a move may come to its end between two steps, and must not be half of it.
  const isMoved = nobodyOwns ? isPending : isDone
  const moved = new Set(
    members.filter((member) => member.metadata?.handover !== undefined && isMoved(member)),
  )
  yield
  const nodes = yield* nodesOf(members, mode, moved, known)
  yield
  return boundWeights(nodes)
}

function isPlaceable(member: Member): boolean {
  return isLiving(member) && member.metadata !== undefined && member.metadata.drained !== true
}

const isPending: IsDone = ({ metadata }) => metadata?.handover?.phase === 'pending'

function* nodesOf(
  members: readonly Member[],
  mode: RingKeyMode,
  moved: ReadonlySet<Member>,
  known: KnownNodes,
): Steps<RingNode[]> {
  const nodes: RingNode[] = []
  const ringKeys = new Set<string>()
  yield* eachInSteps(members, (member) => {
    let node = known.get(member)
    if (node === undefined) {
      node = nodeOf(member, mode, moved.has(member))
      // That of a member that moves depends on how far it is.
      if (node !== undefined && member.metadata?.handover === undefined) known.set(member, node)
    }
    if (node === undefined || ringKeys.has(node.ringKey)) return
    ringKeys.add(node.ringKey)
    nodes.push(node)
  })
  return nodes
}

/** The node of a member that has a place; with `isMoved`, as if its move were done. */
function nodeOf(member: Member, mode: RingKeyMode, isMoved: boolean): RingNode | undefined {
  const { name, address, metadata } = member
  const ringKey = ringKeyOf(member, mode)
  if (metadata === undefined || ringKey === undefined || !isPlaceable(member)) return undefined
  const { handover, zone } = metadata
  if (handover?.phase === (isMoved ? 'releasing' : 'pending')) return undefined
  // A member may call itself anything; one name that is no ring key must not keep the others off the ring.
  if (!isRingKey(ringKey)) return undefined
  const weight = (isMoved ? handover?.weight : undefined) ?? metadata.weight ?? 1
  const port = Number(metadata.servicePort)
  return Object.freeze(
    zone === undefined
      ? { ringKey, weight, name, address, port }
      : { ringKey, weight, name, address, port, zone },
  )
}

/** What a weight counts at most where these are the nodes: see {@link placeMembers}. */
export function weightBoundOf(nodes: readonly Pick<RingNode, 'weight'>[]): number {
  const weights = new Float64Array(nodes.length)
  nodes.forEach(({ weight }, i) => {
    weights[i] = weight
  })
  weights.sort()
  return WEIGHT_SPAN * (weights[(weights.length - 1) >> 1] ?? 1)
}

function boundWeights(nodes: RingNode[]): RingNode[] {
  const most = weightBoundOf(nodes)
  return nodes.map((node) => (node.weight > most ? { ...node, weight: most } : node))
}

import type { HashRing } from '../ring/hash-ring.ts'
import type { MovedStretches } from '../ring/moved.ts'
import type { ChangeRecord } from './change-record.ts'
import { sameNode, type RingNode } from '../ring/node.ts'

/** The ring at one moment. Immutable; the manager swaps in a new one at each change. */
export interface RingSnapshot {
  readonly ring: HashRing
  /** This process's count of ring changes, from 0; it only compares within one process. */
  readonly epoch: number
  /** When this snapshot became the current one, in the manager's monotonic milliseconds. */
  readonly changedAtMs: number
}

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

/** One step from a ring to the next, which is the same ring when the only cause is `was-off-ring`. */
export interface RingChange extends RingDifference {
  readonly previous: RingSnapshot
  readonly current: RingSnapshot
  /** Why, one record for each cause. */
  readonly records: readonly ChangeRecord[]
}

/** What differs between two rings; undefined when nothing does, down to the nodes' addresses. */
export function diffRings(previous: HashRing, current: HashRing): RingDifference | undefined {
  const added: RingNode[] = []
  const updated: RingNode[] = []
  for (const node of current.nodes) {
    const before = previous.get(node.ringKey)
    if (before === undefined) added.push(node)
    else if (!sameNode(before, node)) updated.push(node)
  }
  const removed = previous.nodes.filter((node) => current.get(node.ringKey) === undefined)
  if (added.length + removed.length + updated.length === 0) return undefined
  return { added, removed, updated, moved: previous.movedTo(current) }
}

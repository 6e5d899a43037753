import type { Clock } from '../clock.ts'
import type { RingChange } from '../manager/snapshot.ts'
import type { Member } from '../membership/member.ts'
import type { RingNode } from '../ring/node.ts'
import { byLabel, single, type Collector, type Samples } from './sample.ts'
import type { CHANGE_CAUSES } from './table/ring-table.ts'

/** Why a node came, went or changed. */
export type ChangeCause = keyof typeof CHANGE_CAUSES

/** In the order in which causes are blamed for a move between two nodes that both stay. */
const CAUSES = ['updated', 'dead', 'left', 'removed', 'joined'] as const satisfies readonly ChangeCause[]

/** All hashes of the circle. */
const CIRCLE = 2 ** 32

/**
 * Counts changes of the ring and the keys that they move, by cause.
 *
 * Each node that came, went or changed has one cause, and a change counts once for each cause in it. A stretch of
 * the circle with another owner has one cause: that of its old owner, if that went; else that of its new owner, if
 * that came; else (weights differ, so that the points of all nodes shift) the first in the order of `CAUSES`. What
 * was nobody's before, or is nobody's after, was not moved.
 */
export class RingChangeTally implements Collector {
  readonly #clock: Clock
  readonly #changes = zeros()
  readonly #movedShares = zeros()
  #lastChangeAtMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Counts a change.
   *
   * @param members - What the source says after it.
   */
  add(change: RingChange, members: readonly Member[]): void {
    const causes = findCauses(change, members)
    const found = new Set(causes.values())
    for (const cause of found) this.#changes[cause]++
    this.#lastChangeAtMs = this.#clock.wallNow()
    const shift = CAUSES.find((cause) => found.has(cause)) ?? 'updated'
    const previous = change.previous.ring
    previous.compare(change.current.ring, (length, from, to) => {
      if (from === undefined || to === undefined || from.ringKey === to.ringKey) return
      const gone = change.current.ring.get(from.ringKey) === undefined
      const come = previous.get(to.ringKey) === undefined
      const cause = (gone ? causes.get(from.ringKey) : come ? causes.get(to.ringKey) : undefined) ?? shift
      this.#movedShares[cause] += length / CIRCLE
    })
  }

  collect(): Samples {
    return {
      ringChanges: byLabel('cause', this.#changes),
      ringKeysMoved: byLabel('cause', this.#movedShares),
      ringLastChange: single(this.#lastChangeAtMs === undefined ? undefined : this.#lastChangeAtMs / 1000),
    }
  }
}

/** The cause of each node that came, went or changed, by ring key. */
function findCauses(
  { previous, current, added, removed, updated }: RingChange,
  members: readonly Member[],
): Map<string, ChangeCause> {
  const causes = new Map<string, ChangeCause>()
  const states = new Map(members.map(({ name, state }) => [name, state]))
  // A member whose ring key is another one now has neither come nor gone.
  const namesBefore = removed.length === 0 ? NO_NAMES : namesOf(previous.ring.nodes)
  const namesAfter = added.length === 0 ? NO_NAMES : namesOf(current.ring.nodes)
  for (const node of removed) {
    const state = node.name === undefined ? undefined : states.get(node.name)
    const renamed = node.name !== undefined && namesAfter.has(node.name)
    const gone = state === 'left' || state === 'dead' ? state : 'removed'
    causes.set(node.ringKey, renamed ? 'updated' : gone)
  }
  for (const node of added) {
    const renamed = node.name !== undefined && namesBefore.has(node.name)
    causes.set(node.ringKey, renamed ? 'updated' : 'joined')
  }
  for (const node of updated) causes.set(node.ringKey, 'updated')
  return causes
}

const NO_NAMES: ReadonlySet<string> = new Set()

function namesOf(nodes: readonly RingNode[]): Set<string> {
  return new Set(nodes.flatMap(({ name }) => (name === undefined ? [] : [name])))
}

function zeros(): Record<ChangeCause, number> {
  return { joined: 0, left: 0, dead: 0, removed: 0, updated: 0 }
}

import { MovedStretches, type Stretch } from '../ring/moved.ts'
import type { RingNode } from '../ring/node.ts'

/**
 * Fetches what comes from one node. It ends once, by calling `ended`, with an error where it failed; after `signal` aborted
 * nobody waits for that.
 */
export type WarmCall = (
  ranges: MovedStretches,
  from: RingNode,
  signal: AbortSignal,
  ended: (error?: unknown) => void,
) => void

/** How a call of the program's `warm` ended. */
export const WARM_OUTCOMES = ['done', 'failed', 'aborted'] as const

export type WarmOutcome = (typeof WARM_OUTCOMES)[number]

interface Call {
  readonly from: RingNode
  readonly stretches: readonly Stretch[]
  readonly controller: AbortController
}

/** What a member fetches for one move, whoever it is that moves: every part of the circle once, from who has it. */
export class WarmUp {
  /** The number of the move. */
  readonly number: number
  readonly untilMs: number
  readonly #warm: WarmCall
  readonly #ended: (outcome: WarmOutcome, from: RingNode, error?: unknown) => void
  readonly #calls = new Set<Call>()
  /** What has been fetched or is being fetched, in ascending order. */
  #covered: readonly Stretch[] = []
  #isOver = false

  constructor(
    move: { readonly number: number; readonly untilMs: number },
    warm: WarmCall,
    ended: (outcome: WarmOutcome, from: RingNode, error?: unknown) => void,
  ) {
    this.number = move.number
    this.untilMs = move.untilMs
    this.#warm = warm
    this.#ended = ended
  }

  /** Whether nothing is being fetched. */
  get isDone(): boolean {
    return this.#calls.size === 0
  }

  /**
   * Fetches what is not fetched yet, and gives up what comes from nodes that are gone.
   *
   * @param gains - What this member is to get, in ascending order.
   */
  update(gains: readonly Stretch[], isThere: (node: RingNode) => boolean): void {
    if (this.#isOver) return
    for (const call of this.#calls) {
      if (isThere(call.from)) continue
      this.#covered = without(this.#covered, call.stretches)
      this.#abort(call)
    }
    const missing = without(gains, this.#covered).filter(({ from }) => from !== undefined)
    if (missing.length === 0) return
    this.#covered = [...this.#covered, ...missing].sort((a, b) => a.start - b.start)
    for (const [from, stretches] of Map.groupBy(missing, (stretch) => stretch.from!))
      this.#call(from, stretches)
  }

  /** Gives up what is still being fetched. */
  end(): void {
    this.#isOver = true
    for (const call of this.#calls) this.#abort(call)
  }

  #call(from: RingNode, stretches: readonly Stretch[]): void {
    const call = { from, stretches, controller: new AbortController() }
    this.#calls.add(call)
    this.#warm(MovedStretches.of(stretches), from, call.controller.signal, (error) => {
      if (!this.#calls.delete(call)) return
      this.#ended(error === undefined ? 'done' : 'failed', from, error)
    })
  }

  #abort(call: Call): void {
    this.#calls.delete(call)
    call.controller.abort()
    this.#ended('aborted', call.from)
  }
}

/** The parts of some stretches that lie in none of others. Both are in ascending order, without overlaps. */
export function without(stretches: readonly Stretch[], others: readonly Stretch[]): Stretch[] {
  const rest: Stretch[] = []
  let at = 0
  for (const stretch of stretches) {
    let { start } = stretch
    while (at < others.length && others[at]!.end <= start) at++
    for (let next = at; next < others.length && others[next]!.start < stretch.end; next++) {
      if (others[next]!.start > start) rest.push({ ...stretch, start, end: others[next]!.start })
      start = Math.max(start, others[next]!.end)
    }
    if (start < stretch.end) rest.push({ ...stretch, start })
  }
  return rest
}

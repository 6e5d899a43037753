import { assertNever } from '../../errors.ts'
import { eachInSteps, type Steps } from '../../ring/steps.ts'
import { isLiving, type MemberState } from '../member.ts'
import type { Endpoint, EndpointsView } from './endpoints.ts'

/** What becomes of a name: its endpoint, and the state that it has as a member. */
export interface Place {
  readonly endpoint: Endpoint
  readonly state: MemberState
}

/** How long one that is in no slice any more is listed, in milliseconds: it may be on its way from one slice to another. */
const GONE_AFTER_MS = 1000

interface Kept extends Place {
  /** Until when a pod that does not serve keeps its place; `Infinity` while it serves. */
  readonly holdUntilMs: number
  /** Until when one that is in no slice is listed; `Infinity` while it is in one. */
  readonly goneAtMs: number
}

/**
 * Tells a pod that restarts from one that was deleted, by EndpointSlices alone:
 *
 * - It serves: `alive`.
 * - It is there and does not serve: it restarts, or fails its readiness probe. It keeps its place as a `suspect` for
 *   `holdRestartingMs`, then it is `dead`. One that has never served has no place to keep and is not listed.
 * - It is terminating, or another pod has its name: it was deleted. It is `left` at once, or off the list.
 * - It is in no slice: it was deleted by force, or no longer belongs to the Service. It is off the list after
 *   {@link GONE_AFTER_MS}. But if there is no slice at all, the Service itself is gone, or has just been made again, and nobody
 *   says anything of the pods: they keep their places for `holdRestartingMs`.
 *
 * Time passes only through its arguments, which are monotonic milliseconds.
 */
export class PlaceKeeper {
  /**
   * How long a pod that is there and does not serve keeps its place, in milliseconds; 0 for not at all. It may be changed:
   * times that run already stay as they are.
   */
  holdRestartingMs: number
  readonly #kept = new Map<string, Kept>()
  #nextDueMs = Infinity

  constructor(holdRestartingMs: number) {
    this.holdRestartingMs = holdRestartingMs
  }

  /** Takes over that another process holds this endpoint, which does not serve, until then. */
  hold(endpoint: Endpoint, untilMs: number): void {
    this.#kept.set(endpoint.name, { endpoint, state: 'suspect', holdUntilMs: untilMs, goneAtMs: Infinity })
    this.#nextDueMs = Math.min(this.#nextDueMs, untilMs)
  }

  get places(): ReadonlyMap<string, Place> {
    return this.#kept
  }

  /** When a place is lost unless something changes; `Infinity` without one. */
  get nextDueMs(): number {
    return this.#nextDueMs
  }

  /** Takes what the slices say at this moment, in steps; nobody may do anything else with the places meanwhile. */
  *observe(view: EndpointsView, nowMs: number): Steps<void> {
    yield* eachInSteps([...view.endpoints.values()], (endpoint) => {
      const { name } = endpoint
      const before = this.#kept.get(name)
      const next = this.#present(endpoint, before, nowMs)
      if (next === undefined) this.#kept.delete(name)
      else if (next !== before) this.#kept.set(name, next)
    })
    const waitMs = view.sliceCount === 0 ? Math.max(GONE_AFTER_MS, this.holdRestartingMs) : GONE_AFTER_MS
    yield* eachInSteps([...this.#kept.values()], (before) => {
      const { name } = before.endpoint
      if (view.endpoints.has(name)) return
      if (!isLiving(before)) this.#kept.delete(name)
      else if (before.goneAtMs > nowMs + waitMs) this.#kept.set(name, { ...before, goneAtMs: nowMs + waitMs })
    })
    yield
    yield* this.expire(nowMs)
  }

  *expire(nowMs: number): Steps<void> {
    let nextMs = Infinity
    yield* eachInSteps([...this.#kept.values()], (before) => {
      const { name } = before.endpoint
      if (before.goneAtMs <= nowMs) this.#kept.delete(name)
      else if (before.holdUntilMs <= nowMs) {
        this.#kept.set(name, { ...before, state: 'dead', holdUntilMs: Infinity })
        nextMs = Math.min(nextMs, before.goneAtMs)
      } else nextMs = Math.min(nextMs, before.holdUntilMs, before.goneAtMs)
    })
    this.#nextDueMs = nextMs
  }

  #present(endpoint: Endpoint, before: Kept | undefined, nowMs: number): Kept | undefined {
    const isKnown = before?.endpoint === endpoint && before.goneAtMs === Infinity
    if (isKnown && before.state === 'alive') return before
    const settled = { endpoint, holdUntilMs: Infinity, goneAtMs: Infinity }
    if (endpoint.terminating) return { ...settled, state: 'left' }
    if (endpoint.serving) return { ...settled, state: 'alive' }
    // It does not serve: what matters is whether the same pod did before.
    if (before === undefined || before.endpoint.uid !== endpoint.uid) return undefined
    switch (before.state) {
      case 'alive':
        return { ...settled, state: 'suspect', holdUntilMs: nowMs + this.holdRestartingMs }
      case 'suspect':
      case 'dead':
        return { ...before, endpoint, goneAtMs: Infinity }
      case 'left':
        return undefined
      default:
        return assertNever(before.state)
    }
  }
}

import type { Counters } from './counters.ts'
import type { Dependencies, Identity } from './dependencies.ts'
import type { Effect, MemberView } from './effects.ts'
import type { ProtocolEvent } from './events.ts'
import type { ProtocolSettings } from './settings.ts'

/**
 * HashiCorp memberlist's protocol (SWIM with Lifeguard) as a machine: events and time in, effects out.
 *
 * The shell calls `handle` for each event, carries out the effects, and after each call sets its one timer to
 * `nextDueMs`, when it sends `{ kind: 'tick' }`. That is all.
 */
export interface ProtocolMachine {
  /**
   * @param nowMs - Monotonic milliseconds; a time before an earlier call's counts as that one's.
   * @returns What to do, in order. The array is the caller's.
   */
  handle(event: ProtocolEvent, nowMs: number): readonly Effect[]
  /** When the next tick is due, on the clock of `nowMs`; `Infinity` before `start`. May lie in the past. */
  readonly nextDueMs: number
  /** Every member known, this one included, in no order. Costs as much as there are members. */
  members(): MemberView[]
  /** One member by name. */
  member(name: string): MemberView | undefined
  /** Living members (alive or suspect), this one included while it has not left. */
  readonly livingCount: number
  /** 0 (well) to `awarenessMaxMultiplier - 1`. */
  readonly healthScore: number
  /** Messages waiting to be sent on. */
  readonly queuedCount: number
  readonly counters: Readonly<Counters>
}

/** How a `Protocol` is made; it does nothing before its `start` event. */
export type ProtocolConstructor = new (
  identity: Identity,
  settings: ProtocolSettings,
  dependencies: Dependencies,
) => ProtocolMachine

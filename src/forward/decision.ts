import { assertNever } from '../errors.ts'
import type { OwnershipCheck } from '../service/ownership.ts'

/** What a request says of its way through the ring so far. */
export interface ForwardedBy {
  /** How many members have passed it on: 0 for one from outside. */
  readonly hops: number
  /** Digests of the last rings of the member that passed it on, the newest first. */
  readonly digests: readonly string[]
  /** It was sent here because the members before in the order of owners could not be reached. */
  readonly standIn: boolean
}

/** So many members may pass a request on: the newest ring was found by then, or there is none. */
export const MAX_HOPS = 3

/** What a member does that a request was passed on to, and that does not own the key by its own ring. */
export interface DisagreementRules {
  /** When this member's ring is the older one, or nobody can say: serve at once, or wait for its ring to change. */
  readonly whenBehind: 'serve' | 'wait'
}

/** What to do with a request now. */
export type Decision = 'serve' | 'forward' | 'wait' | 'refuse'

/**
 * Decides about a request that another member has passed on to this one. None is passed around: whoever has the newer
 * ring passes it on, up to the limit of hops, and whoever has the older one serves it or waits for its ring.
 *
 * @param check - By this member's own ring, against the digests of the one that passed it on.
 */
export function decide(
  { verdict, mine }: Pick<OwnershipCheck, 'verdict' | 'mine'>,
  { hops, standIn }: Pick<ForwardedBy, 'hops' | 'standIn'>,
  { whenBehind }: DisagreementRules,
): Decision {
  if (mine || standIn) return 'serve'
  switch (verdict) {
    case 'i-am-behind':
    case 'unknown':
      return whenBehind
    // With one ring the other one can only have mistaken the key, or knows this member by another ring key.
    case 'mine':
    case 'not-mine':
    case 'you-are-behind':
      if (hops < MAX_HOPS) return 'forward'
      return whenBehind === 'serve' ? 'serve' : 'refuse'
    default:
      return assertNever(verdict)
  }
}

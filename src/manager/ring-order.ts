/** Digests of its last rings that a member keeps. */
export const DIGESTS_KEPT = 64

/**
 * Which of two rings is the older one, seen from one side: `same`, `ahead` (the other side's is older), `behind`, or
 * `unknown`.
 */
export type RingOrder = 'same' | 'ahead' | 'behind' | 'unknown'

/**
 * Puts two members' rings in order by the digests that each of them has had, as far as that goes: who has had the other's
 * ring, and whose own the other has not had, is ahead. A ring that came back, or two members that went different ways to
 * where they are, are not put in order.
 *
 * @param mine - Digests of the last rings, the current one first; at least one.
 * @param theirs - The same of the other side; one is enough to find out that it is behind.
 */
export function orderRings(mine: readonly string[], theirs: readonly string[]): RingOrder {
  const [current] = mine
  const [theirCurrent] = theirs
  if (current === undefined || theirCurrent === undefined) return 'unknown'
  if (current === theirCurrent) return 'same'
  const hadTheirs = mine.includes(theirCurrent)
  const hadMine = theirs.includes(current)
  if (hadTheirs === hadMine) return 'unknown'
  return hadTheirs ? 'ahead' : 'behind'
}

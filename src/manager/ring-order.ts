/** Digests of its last rings that a member keeps. */
export const DIGESTS_KEPT = 64

/**
 * Which of two rings is the older one, seen from one side: `same`, `ahead` (the other side's is older), `behind`, or
 * `unknown`.
 */
export type RingOrder = 'same' | 'ahead' | 'behind' | 'unknown'

/** How clear it is that one side came from where the other is, when a ring came back: so many times as long a common past. */
const CLEAR = 2

/**
 * Puts two members' rings in order by the digests that each of them has had, as far as that goes: who has had the other's
 * ring, and whose own the other has not had, is ahead. Where a ring came back (a member restarts, and the others had the same
 * ring before and after), each may have had the other's; then what each had before decides. Two members that went different
 * ways to where they are, or that went round in a circle for as long as both remember, are not put in order.
 *
 * @param mine - Digests of the last rings, the current one first; at least one.
 * @param theirs - The same of the other side; one is enough to find out that it is behind.
 */
export function orderRings(mine: readonly string[], theirs: readonly string[]): RingOrder {
  const [current] = mine
  if (current === undefined || theirs[0] === undefined) return 'unknown'
  if (current === theirs[0]) return 'same'
  const ahead = commonPast(mine, theirs)
  const behind = commonPast(theirs, mine)
  if (isClearer(ahead, behind)) return 'ahead'
  return isClearer(behind, ahead) ? 'behind' : 'unknown'
}

/** For how many rings two sides had the same ones, and whether for as long as both remember. */
interface Past {
  readonly length: number
  readonly isWhole: boolean
}

/** The longest past that `newer` shares with `older` if it had the current ring of that one before its own. */
function commonPast(newer: readonly string[], older: readonly string[]): Past {
  let best: Past = { length: 0, isWhole: false }
  for (let from = 1; from < newer.length; from++) {
    const overlap = Math.min(older.length, newer.length - from)
    let length = 0
    while (length < overlap && newer[from + length] === older[length]) length++
    const past = { length, isWhole: length === overlap }
    if (isLikelier(past, best)) best = past
  }
  return best
}

function isLikelier(a: Past, b: Past): boolean {
  return a.isWhole === b.isWhole ? a.length > b.length : a.isWhole
}

function isClearer(a: Past, b: Past): boolean {
  return a.isWhole === b.isWhole ? a.length > 0 && a.length >= CLEAR * b.length : a.isWhole
}

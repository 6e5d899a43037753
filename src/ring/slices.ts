/**
 * The index over the sorted points of a ring: the circle is cut into equal slices, a power of two of them, and
 * for each it says how many points lie before it. A point's upper bits are the number of its slice.
 */
import { NUMBERS_PER_STEP, Pace, type Steps } from './steps.ts'

/**
 * By how many bits a point is shifted to give its slice: as many slices as at most half the points, two at least.
 *
 * @param pointCount - Number of points in the table.
 */
export function sliceShiftFor(pointCount: number): number {
  return 32 - Math.max(1, 30 - Math.clz32(pointCount))
}

/** For each slice, how many of the sorted points lie before it; in steps. */
export function* countBefore(points: Uint32Array, shift: number): Steps<Uint32Array> {
  const pace = new Pace(NUMBERS_PER_STEP)
  const counts = new Uint32Array(2 ** (32 - shift))
  // A slice's last point writes last: how many points there are up to the end of the slice, or 0 without points.
  for (let i = 0; i < points.length; i++) {
    counts[points[i]! >>> shift] = i + 1
    if (pace.endsStep()) yield
  }
  let before = 0
  for (let slice = 0; slice < counts.length; slice++) {
    const upToEnd = counts[slice]!
    counts[slice] = before
    before = Math.max(before, upToEnd)
    if (pace.endsStep()) yield
  }
  return counts
}

/** The counts that {@link countBefore} would give after sorted points have gone and others have come; in steps. */
export function* adjustCounts(
  counts: Uint32Array,
  shift: number,
  gone: Uint32Array,
  come: Uint32Array,
): Steps<Uint32Array> {
  const pace = new Pace()
  const adjusted = counts.slice()
  let change = 0
  let nextGone = 0
  let nextCome = 0
  let slice = 0
  yield
  while (slice < adjusted.length) {
    // Up to the slice of the next point that goes or comes, its own count among them, all change alike.
    const goneSlice = nextGone < gone.length ? gone[nextGone]! >>> shift : adjusted.length - 1
    const comeSlice = nextCome < come.length ? come[nextCome]! >>> shift : adjusted.length - 1
    const last = Math.min(goneSlice, comeSlice)
    for (; slice <= last; slice++) adjusted[slice]! += change
    for (; nextGone < gone.length && gone[nextGone]! >>> shift === last; nextGone++) change--
    for (; nextCome < come.length && come[nextCome]! >>> shift === last; nextCome++) change++
    if (pace.endsStep()) yield
  }
  return adjusted
}

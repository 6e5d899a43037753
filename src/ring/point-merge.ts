import type { PointList } from './point-list.ts'
import { Pace, type Steps } from './steps.ts'

/** Slots, in the narrowest array that holds them. */
export type Slots = Uint16Array | Uint32Array

/** The place of a slot without a node. */
export const FREE = 0xffff_ffff

/** Sorted points and, at the same index, the slots of the nodes they belong to. */
export interface SlottedPoints {
  readonly points: Uint32Array
  readonly slots: Slots
}

/**
 * Takes points out of a sorted list and merges others in, in steps.
 *
 * @param kept - The list; those of one point in the order of their nodes' ring keys.
 * @param gone - Points to leave out, each of them in `kept`.
 * @param come - Points to add, sorted as `kept` is.
 * @param places - For each slot, the place of its node in the order of ring keys after the change; {@link FREE}
 *   for slots whose points all go.
 * @param target - Arrays of exactly the size of the result.
 */
export function* mergePoints(
  kept: SlottedPoints,
  gone: PointList,
  come: PointList,
  places: Uint32Array,
  target: SlottedPoints,
): Steps<void> {
  const end = kept.points.length
  let from = 0
  let to = 0
  let nextGone = 0
  let nextCome = 0
  const pace = new Pace()
  while (from < end) {
    const goneAt = nextGone < gone.points.length ? seekGone(kept, gone, nextGone, from) : end
    const comeAt = nextCome < come.points.length ? seekPlaceFor(kept, come, nextCome, from, places) : end
    const until = Math.min(goneAt, comeAt)
    copy(kept, from, until, target, to)
    to += until - from
    from = until
    if (goneAt < comeAt) {
      from++
      nextGone++
    } else if (nextCome < come.points.length) {
      target.points[to] = come.points[nextCome]!
      target.slots[to++] = come.slots[nextCome++]!
    }
    if (pace.endsStep()) yield
  }
  target.points.set(come.points.subarray(nextCome), to)
  target.slots.set(come.slots.subarray(nextCome), to)
}

/** Where in `kept`, from `from` on, the point at `index` of `gone` is. */
function seekGone({ points, slots }: SlottedPoints, gone: PointList, index: number, from: number): number {
  const slot = gone.slots[index]!
  let at = seek(points, gone.points[index]!, from)
  while (slots[at] !== slot) at++
  return at
}

/** Where in `kept`, from `from` on, the point at `index` of `come` has its place. */
function seekPlaceFor(
  { points, slots }: SlottedPoints,
  come: PointList,
  index: number,
  from: number,
  places: Uint32Array,
): number {
  const point = come.points[index]!
  const ownPlace = places[come.slots[index]!]!
  let at = seek(points, point, from)
  for (; at < points.length && points[at] === point; at++) {
    const place = places[slots[at]!]!
    // Points that go are no obstacle, and others behind them may have to come first.
    if (place > ownPlace && place !== FREE) break
  }
  return at
}

/** Where, from `from` on, the first of the sorted points is that is not below `point`. */
function seek(points: Uint32Array, point: number, from: number): number {
  // Leaps that double, then halve: quick for one point among many as for many in a row.
  let low = from
  let leap = 1
  while (low + leap <= points.length && points[low + leap - 1]! < point) {
    low += leap
    leap *= 2
  }
  let high = Math.min(points.length, low + leap)
  while (low < high) {
    const middle = (low + high) >>> 1
    if (points[middle]! < point) low = middle + 1
    else high = middle
  }
  return low
}

/** Below this many numbers a loop is quicker than the calls that copy memory. */
const SHORT_RUN = 64

/** Copies what is from `from` to before `until` to the place `to` of `target`. */
function copy(
  { points, slots }: SlottedPoints,
  from: number,
  until: number,
  target: SlottedPoints,
  to: number,
): void {
  if (until - from >= SHORT_RUN) {
    target.points.set(points.subarray(from, until), to)
    target.slots.set(slots.subarray(from, until), to)
    return
  }
  const by = to - from
  for (let i = from; i < until; i++) {
    target.points[i + by] = points[i]!
    target.slots[i + by] = slots[i]!
  }
}

import { md5Points } from './md5.ts'
import { NUMBERS_PER_STEP, Pace, type Steps } from './steps.ts'

/** Points that one MD5 digest gives. */
export const POINTS_PER_DIGEST = 3

const utf8 = new TextEncoder()

/** Digits of the largest safe integer. */
const MAX_DIGITS = 16

/** Some of a node's points: those of its digests `from` to `to - 1`. */
export interface DigestRange {
  readonly ringKey: string
  /** The node's number in the point table. */
  readonly slot: number
  readonly from: number
  readonly to: number
}

/** Sorted points and, at the same index, the slots of the nodes they belong to. */
export interface PointList {
  readonly points: Uint32Array
  readonly slots: Uint32Array
}

/** How many digests the ranges hold together. */
export function countDigests(ranges: readonly DigestRange[]): number {
  return ranges.reduce((sum, { from, to }) => sum + to - from, 0)
}

/**
 * Computes points, in steps: digest `j` of a node is `md5(ringKey + "-" + j)`, and its bytes 0-3, 4-7 and 8-11 are three
 * little-endian points.
 *
 * @param ranges - One for each node; in this order their points stay where they are equal.
 */
export function* computePoints(ranges: readonly DigestRange[]): Steps<PointList> {
  const points = new Uint32Array(countDigests(ranges) * POINTS_PER_DIGEST)
  const slots = new Uint32Array(points.length)
  let at = 0
  const pace = new Pace()
  for (const { ringKey, slot, from, to } of ranges) {
    const end = at + (to - from) * POINTS_PER_DIGEST
    slots.fill(slot, at, end)
    const prefix = utf8.encode(`${ringKey}-`)
    const message = new Uint8Array(prefix.length + MAX_DIGITS)
    message.set(prefix)
    for (let j = from; j < to; j++, at += POINTS_PER_DIGEST) {
      const digits = String(j)
      for (let i = 0; i < digits.length; i++) message[prefix.length + i] = digits.charCodeAt(i)
      md5Points(message, prefix.length + digits.length, points, at)
      if (pace.endsStep()) yield
    }
  }
  // Points of one node are alike but for their place.
  return ranges.length <= 1 ? { points: points.sort(), slots } : yield* sortByPoint({ points, slots })
}

const RADIX_BITS = 11
const RADIX_MASK = (1 << RADIX_BITS) - 1

/** Sorts by point, in time linear in the length; what belongs to one point keeps its order. */
function* sortByPoint(list: PointList): Steps<PointList> {
  const length = list.points.length
  const spare: PointList = { points: new Uint32Array(length), slots: new Uint32Array(length) }
  const once = yield* distribute(list, spare, 0)
  const twice = yield* distribute(once, list, RADIX_BITS)
  return yield* distribute(twice, spare, 2 * RADIX_BITS)
}

/** One pass of a radix sort: moves `source` to `target` in the order of the digit at bit `shift`. */
function* distribute(source: PointList, target: PointList, shift: number): Steps<PointList> {
  const { points, slots } = source
  const { points: targetPoints, slots: targetSlots } = target
  const pace = new Pace(NUMBERS_PER_STEP)
  const starts = new Uint32Array(1 << RADIX_BITS)
  for (let i = 0; i < points.length; i++) {
    starts[(points[i]! >>> shift) & RADIX_MASK]!++
    if (pace.endsStep()) yield
  }
  let start = 0
  for (let digit = 0; digit < starts.length; digit++) {
    const count = starts[digit]!
    starts[digit] = start
    start += count
  }
  for (let i = 0; i < points.length; i++) {
    const point = points[i]!
    const to = starts[(point >>> shift) & RADIX_MASK]!++
    targetPoints[to] = point
    targetSlots[to] = slots[i]!
    if (pace.endsStep()) yield
  }
  return target
}

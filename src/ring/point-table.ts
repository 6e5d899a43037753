import { compareRingKeys, type RingNode } from './node.ts'
import {
  computePoints,
  countDigests,
  POINTS_PER_DIGEST,
  type DigestRange,
  type PointList,
} from './point-list.ts'

/** Digests per node when all weights are equal. */
export const DIGESTS_PER_NODE = 40

/** What of a node decides about its points. */
export type WeightedKey = Pick<RingNode, 'ringKey' | 'weight'>

/** Places of nodes, in the narrowest array that holds them. */
type Owners = Uint16Array | Uint32Array

/** Sorted points and, at the same index, whose they are. */
interface Points {
  readonly points: Uint32Array
  readonly owners: Owners
}

/** How many digests each node gets: `floor(40 * nodes * weight / total weight)`; it may come to none. */
export function digestCounts(nodes: readonly WeightedKey[]): number[] {
  const total = nodes.reduce((sum, node) => sum + node.weight, 0)
  return nodes.map((node) => Math.floor((DIGESTS_PER_NODE * nodes.length * node.weight) / total))
}

/**
 * All points of a ring, sorted, with the nodes they belong to. Immutable. Nodes are numbers here: their places
 * in the order of ring keys.
 *
 * Where nodes share a point, it is listed once for each, the lowest ring key first. Only that first one is ever
 * found by a look-up; the ones that it covers are kept, so that taking its node away uncovers the next.
 *
 * Memory, at most 8 bytes a point up to 65,536 nodes: four for the point, two for its owner, and an index of
 * the circle in up to half as many equal slices as there are points, each four bytes: where the slice's points
 * begin. As MD5 spreads points evenly, a look-up reads the index and then two to four points.
 */
export class PointTable {
  static readonly empty: PointTable = new PointTable(new Uint32Array(0), new Uint16Array(0))

  /** Every point, ascending; one that nodes share stands here once for each. */
  readonly points: Uint32Array
  /** Whose the point at the same index is. */
  readonly owners: Owners
  /** For each slice of the circle, how many points lie before it. */
  readonly #sliceStarts: Uint32Array
  /** A point's or hash's upper bits, from this one up, are the number of its slice. */
  readonly #sliceShift: number

  private constructor(points: Uint32Array, owners: Owners) {
    this.points = points
    this.owners = owners
    const sliceBits = Math.max(1, 30 - Math.clz32(points.length))
    this.#sliceShift = 32 - sliceBits
    this.#sliceStarts = countBefore(points, sliceBits)
  }

  /** Bytes that the table's arrays take. */
  get sizeBytes(): number {
    return this.points.byteLength + this.owners.byteLength + this.#sliceStarts.byteLength
  }

  /**
   * The place of the first point strictly after a hash, around the circle.
   *
   * @param hash - 32 bits, signed or unsigned.
   * @returns Index into `points` and `owners`; 0 also for an empty table.
   */
  find(hash: number): number {
    const points = this.points
    const length = points.length
    const unsigned = hash >>> 0
    let at = this.#sliceStarts[hash >>> this.#sliceShift]!
    while (at < length && points[at]! <= unsigned) at++
    return at === length ? 0 : at
  }

  /** Whether the point at index `at` is another node's, that of a lower ring key. */
  isCovered(at: number): boolean {
    return at > 0 && this.points[at] === this.points[at - 1]
  }

  /**
   * How much of the circle each node owns, exactly: the arc before a point, from the point before it, is its
   * owner's.
   *
   * @param nodeCount - How many nodes the ring has, also those without points.
   * @returns For each node a number of hashes; they add up to 2^32 unless the table is empty.
   */
  arcs(nodeCount: number): Float64Array {
    const { points, owners } = this
    const arcs = new Float64Array(nodeCount)
    let previous = (points.at(-1) ?? 0) - 2 ** 32
    for (let i = 0; i < points.length; i++) {
      arcs[owners[i]!]! += points[i]! - previous
      previous = points[i]!
    }
    return arcs
  }

  /**
   * Walks the circle over both this table and another.
   *
   * @param visit - Called for each stretch between two neighbouring points of either table, with its length, a
   *   number of hashes, and with the place of its owner in this table's nodes and in the other's (-1 where a
   *   table is empty). The lengths add up to 2^32.
   */
  compare(other: PointTable, visit: (length: number, owner: number, otherOwner: number) => void): void {
    let previous = 0
    let i = 0
    let j = 0
    while (previous < 2 ** 32) {
      const here = this.points[i] ?? 2 ** 32
      const there = other.points[j] ?? 2 ** 32
      const point = Math.min(here, there)
      // Behind the last point the circle goes on to the first.
      const owner = this.owners[i] ?? this.owners[0] ?? -1
      const otherOwner = other.owners[j] ?? other.owners[0] ?? -1
      if (point > previous) visit(point - previous, owner, otherOwner)
      previous = point
      if (here === point) i++
      if (there === point) j++
    }
  }

  /**
   * The table of a changed set of nodes; it is the same as one made from nothing. Only digests that come or go
   * are computed, the rest is merged.
   *
   * @param before - The nodes of this table, in the order of ring keys.
   * @param after - The nodes of the next, in the same order.
   */
  change(before: readonly WeightedKey[], after: readonly WeightedKey[]): PointTable {
    const countsBefore = digestCounts(before)
    const countsAfter = digestCounts(after)
    const moved = new Uint32Array(before.length)
    const come: DigestRange[] = []
    const gone: DigestRange[] = []
    let i = 0
    let owner = 0
    while (i < before.length || owner < after.length) {
      const order = compareNodes(before[i], after[owner])
      const had = order <= 0 ? countsBefore[i]! : 0
      const gets = order >= 0 ? countsAfter[owner]! : 0
      if (had < gets) come.push({ ringKey: after[owner]!.ringKey, owner, from: had, to: gets })
      if (had > gets) gone.push({ ringKey: before[i]!.ringKey, owner: i, from: gets, to: had })
      if (order === 0) moved[i] = owner
      if (order <= 0) i++
      if (order >= 0) owner++
    }
    const digests = countsAfter.reduce((sum, count) => sum + count, 0)
    if (before.length > 0 && countDigests(gone) + countDigests(come) >= digests) {
      return PointTable.empty.change([], after)
    }
    const points = new Uint32Array(digests * POINTS_PER_DIGEST)
    const owners = after.length <= 0x1_0000 ? new Uint16Array(points.length) : new Uint32Array(points.length)
    merge(this, moved, computePoints(gone), computePoints(come), { points, owners })
    return new PointTable(points, owners)
  }
}

/** Orders two nodes by ring key; one that is missing comes after every other. */
function compareNodes(a: WeightedKey | undefined, b: WeightedKey | undefined): number {
  if (a === undefined) return 1
  return b === undefined ? -1 : compareRingKeys(a.ringKey, b.ringKey)
}

/**
 * Merges two sorted lists of points into a third.
 *
 * @param kept - The first list.
 * @param moved - For each node of `kept` its new place, ascending, of no meaning where it goes.
 * @param gone - Points of `kept` to leave out, with the old places of their nodes, sorted as `kept` is.
 * @param come - The second list, with new places.
 * @param target - Arrays of exactly the size of the result.
 */
function merge(kept: Points, moved: Uint32Array, gone: PointList, come: PointList, target: Points): void {
  if (kept.points.length === 0) {
    target.points.set(come.points)
    target.owners.set(come.owners)
    return
  }
  let to = 0
  let at = 0
  let nextGone = 0
  let nextCome = 0
  for (;;) {
    const goneAt = seek(kept, gone, nextGone, at)
    const comeAt = seek(kept, come, nextCome, at, moved)
    to = copyKept(kept, at, Math.min(goneAt, comeAt), moved, target, to)
    at = Math.min(goneAt, comeAt)
    if (comeAt <= goneAt) {
      if (nextCome === come.points.length) return
      target.points[to] = come.points[nextCome]!
      target.owners[to++] = come.owners[nextCome++]!
    } else {
      at++
      nextGone++
    }
  }
}

/**
 * Where in `kept`, from `at` on, the first point is that does not come before the one at `index` of `list`.
 *
 * @returns The end of `kept` when `list` is at its end.
 */
function seek(kept: Points, list: PointList, index: number, at: number, moved?: Uint32Array): number {
  const { points, owners } = kept
  const length = points.length
  if (index === list.points.length) return length
  const point = list.points[index]!
  // Leaps that double, then halve: quick for one newcomer among many points and for many newcomers.
  let low = at
  let leap = 1
  while (low + leap <= length && points[low + leap - 1]! < point) {
    low += leap
    leap *= 2
  }
  let high = Math.min(length, low + leap)
  while (low < high) {
    const middle = (low + high) >>> 1
    if (points[middle]! < point) low = middle + 1
    else high = middle
  }
  const owner = list.owners[index]!
  while (
    low < length &&
    points[low] === point &&
    (moved === undefined ? owners[low]! : moved[owners[low]!]!) < owner
  ) {
    low++
  }
  return low
}

/** Copies `kept` from `at` to `end` to the place `to` of `target`; returns the place after it. */
function copyKept(
  kept: Points,
  at: number,
  end: number,
  moved: Uint32Array,
  target: Points,
  to: number,
): number {
  const { points, owners } = kept
  const { points: targetPoints, owners: targetOwners } = target
  const by = to - at
  if (end - at < SHORT_RUN) for (let i = at; i < end; i++) targetPoints[i + by] = points[i]!
  else targetPoints.set(points.subarray(at, end), to)
  for (let i = at; i < end; i++) targetOwners[i + by] = moved[owners[i]!]!
  return end + by
}

/** Below this many numbers a loop is quicker than the calls that copy memory. */
const SHORT_RUN = 64

/** For each of `2 ** sliceBits` equal slices of the circle, how many of the sorted points lie before it. */
function countBefore(points: Uint32Array, sliceBits: number): Uint32Array {
  const counts = new Uint32Array(2 ** sliceBits)
  const shift = 32 - sliceBits
  // A slice's last point writes last: how many points there are up to the end of the slice, or 0 without points.
  for (let i = 0; i < points.length; i++) counts[points[i]! >>> shift] = i + 1
  let before = 0
  for (let slice = 0; slice < counts.length; slice++) {
    const upToEnd = counts[slice]!
    counts[slice] = before
    before = Math.max(before, upToEnd)
  }
  return counts
}

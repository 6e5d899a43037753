import { compareRingKeys, type RingNode } from './node.ts'
import { computePoints, countDigests, POINTS_PER_DIGEST, type DigestRange } from './point-list.ts'
import { FREE, mergePoints, type SlottedPoints, type Slots } from './point-merge.ts'
import { adjustCounts, countBefore, sliceShiftFor } from './slices.ts'
import { NUMBERS_PER_STEP, PIECES_PER_STEP, type Steps } from './steps.ts'

/** Digests per node when all weights are equal. */
const DIGESTS_PER_NODE = 40

/** What of a node decides about its points. */
export type WeightedKey = Pick<RingNode, 'ringKey' | 'weight'>

/** How many digests each node gets: `floor(40 * nodes * weight / total weight)`; it may come to none. */
function digestCounts(nodes: readonly WeightedKey[]): number[] {
  const total = nodes.reduce((sum, node) => sum + node.weight, 0)
  return nodes.map((node) => Math.floor((DIGESTS_PER_NODE * nodes.length * node.weight) / total))
}

/** So many slots have numbers of two bytes. */
const SHORT_SLOTS = 0x1_0000

/** What a table is made of. */
export interface TableArrays extends SlottedPoints {
  readonly places: Uint32Array
  readonly sliceStarts: Uint32Array
}

/** Is called with a part of the circle: see {@link PointTable.walk}. */
type VisitPart = (start: number, end: number, owner: number, otherOwner: number) => void

/**
 * All points of a ring, sorted, with the nodes they belong to. Immutable. Nodes are numbers here: their places
 * in the order of ring keys.
 *
 * Where nodes share a point, it is listed once for each, the lowest ring key first. Only that first one is ever
 * found by a look-up; the ones that it covers are kept, so that taking its node away uncovers the next.
 *
 * A point does not carry its node's place, which changes when a node with a lower ring key comes, but the number
 * of a slot that the node keeps from table to table. So a change copies nearly all of the arrays as they are.
 *
 * Memory, at most 8 bytes a point up to 65,536 nodes: four for the point, two for the slot, and an index of the
 * circle in up to half as many equal slices as there are points, each four bytes: where the slice's points
 * begin. As MD5 spreads points evenly, a look-up reads the index and then two to four points.
 */
export class PointTable {
  static readonly empty: PointTable = new PointTable(
    { points: new Uint32Array(0), slots: new Uint16Array(0) },
    new Uint32Array(0),
    new Uint32Array(2 ** (32 - sliceShiftFor(0))),
  )

  /** Every point, ascending; one that nodes share stands here once for each. */
  readonly points: Uint32Array
  /** The slot of the node whose point is at the same index. */
  readonly #slots: Slots
  /** For each slot the place of its node, or {@link FREE}. */
  readonly #places: Uint32Array
  /** For each slice of the circle, how many points lie before it. */
  readonly #sliceStarts: Uint32Array
  /** A point's or hash's upper bits, from this one up, are the number of its slice. */
  readonly #sliceShift: number

  private constructor({ points, slots }: SlottedPoints, places: Uint32Array, sliceStarts: Uint32Array) {
    this.points = points
    this.#slots = slots
    this.#places = places
    this.#sliceShift = sliceShiftFor(points.length)
    this.#sliceStarts = sliceStarts
  }

  /** A table of the arrays of another one, also of another thread's. */
  static of({ points, slots, places, sliceStarts }: TableArrays): PointTable {
    return new PointTable({ points, slots }, places, sliceStarts)
  }

  get arrays(): TableArrays {
    const { points } = this
    return { points, slots: this.#slots, places: this.#places, sliceStarts: this.#sliceStarts }
  }

  /** This table, or an equal one, in memory that other threads can read. */
  inSharedMemory(): PointTable {
    if (this.points.buffer instanceof SharedArrayBuffer) return this
    const { points, slots, places, sliceStarts } = this.arrays
    return PointTable.of({
      points: share(points),
      slots: share(slots),
      places: share(places),
      sliceStarts: share(sliceStarts),
    })
  }

  /** Bytes that the table's arrays take. */
  get sizeBytes(): number {
    const { points, slots, places, sliceStarts } = this.arrays
    return [points, slots, places, sliceStarts].reduce((sum, { byteLength }) => sum + byteLength, 0)
  }

  /** The place of the node that has the point at index `at`. */
  ownerAt(at: number): number {
    return this.#places[this.#slots[at]!]!
  }

  /**
   * The place of the first point strictly after a hash, around the circle.
   *
   * @param hash - 32 bits, signed or unsigned.
   * @returns Index into `points`; 0 also for an empty table.
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
    const points = this.points
    const arcs = new Float64Array(nodeCount)
    let previous = (points.at(-1) ?? 0) - 2 ** 32
    for (let i = 0; i < points.length; i++) {
      arcs[this.ownerAt(i)]! += points[i]! - previous
      previous = points[i]!
    }
    return arcs
  }

  /**
   * Walks the circle over both this table and another, in steps, and visits what has another owner there.
   *
   * @param again - For each node of this table the place that it has in the other's nodes, or a number that is no place.
   * @param visit - Called for parts between two neighbouring points of either table, in ascending order, with its first
   *   hash, the first one after it, both as signed numbers of 32 bits (the end of the circle is 0), and the place of its
   *   owner in this table's nodes and in the other's (-1 where a table is empty).
   */
  *walk(other: PointTable, again: Int32Array, visit: VisitPart): Steps<void> {
    const againBySlot = new Int32Array(this.#places.length)
    for (let slot = 0; slot < againBySlot.length; slot++) againBySlot[slot] = again[this.#places[slot]!] ?? -2
    const passed = { here: 0, there: 0 }
    while (!this.#walkOn(other, passed, again, againBySlot, visit)) yield
  }

  /**
   * One step of {@link walk}. It is no generator, in which each number above 2^31 would be an object.
   *
   * @param passed - How many points of each table the walk has behind it.
   * @returns Whether the walk is over.
   */
  #walkOn(
    other: PointTable,
    passed: { here: number; there: number },
    again: Int32Array,
    againBySlot: Int32Array,
    visit: VisitPart,
  ): boolean {
    const here = this.points
    const there = other.points
    const slots = this.#slots
    const otherSlots = other.#slots
    const otherPlaces = other.#places
    let i = passed.here
    let j = passed.there
    let previous = Math.max(i > 0 ? here[i - 1]! : 0, j > 0 ? there[j - 1]! : 0)
    for (let left = NUMBERS_PER_STEP; left > 0;) {
      // Most points are in both tables and belong to the same node.
      const end = i + Math.min(here.length - i, there.length - j, left)
      const ahead = j - i
      const from = i
      while (
        i < end &&
        here[i] === there[i + ahead] &&
        againBySlot[slots[i]!] === otherPlaces[otherSlots[i + ahead]!]
      )
        i++
      if (i > from) {
        j = i + ahead
        previous = here[i - 1]!
        left -= i - from
        continue
      }
      const next = i < here.length ? here[i]! : 2 ** 32
      const otherNext = j < there.length ? there[j]! : 2 ** 32
      const point = Math.min(next, otherNext)
      if (point > previous) {
        const owner = this.#ownerAround(i)
        const otherOwner = other.#ownerAround(j)
        if (owner < 0 ? otherOwner >= 0 : again[owner] !== otherOwner)
          visit(previous | 0, point | 0, owner, otherOwner)
      }
      if (point === 2 ** 32) return true
      previous = point
      if (next === point) i++
      if (otherNext === point) j++
      left -= NUMBERS_PER_STEP / PIECES_PER_STEP
    }
    passed.here = i
    passed.there = j
    return false
  }

  /**
   * The table of a changed set of nodes; it is the same as one made from nothing. Only digests that come or go
   * are computed, the rest is merged, in steps.
   *
   * @param before - The nodes of this table, in the order of ring keys.
   * @param after - The nodes of the next, in the same order.
   */
  *change(before: readonly WeightedKey[], after: readonly WeightedKey[]): Steps<PointTable> {
    const countsBefore = digestCounts(before)
    yield
    const countsAfter = digestCounts(after)
    yield
    const { slots, free } = this.#listSlots(before.length)
    const allPlaces = new Uint32Array(this.#places.length + after.length).fill(FREE)
    yield
    const come: DigestRange[] = []
    const gone: DigestRange[] = []
    let slotCount = this.#places.length
    let i = 0
    let owner = 0
    while (i < before.length || owner < after.length) {
      const order = compareNodes(before[i], after[owner])
      const slot = order <= 0 ? slots[i]! : (free.pop() ?? slotCount++)
      const had = order <= 0 ? countsBefore[i]! : 0
      const gets = order >= 0 ? countsAfter[owner]! : 0
      if (had < gets) come.push({ ringKey: after[owner]!.ringKey, slot, from: had, to: gets })
      if (had > gets) gone.push({ ringKey: before[i]!.ringKey, slot, from: gets, to: had })
      if (order >= 0) allPlaces[slot] = owner
      if (order <= 0) i++
      if (order >= 0) owner++
    }
    const digests = countsAfter.reduce((sum, count) => sum + count, 0)
    const isMostlyNew = countDigests(gone) + countDigests(come) >= digests
    const isSparse = slotCount > SHORT_SLOTS && after.length <= SHORT_SLOTS
    if (before.length > 0 && (isMostlyNew || isSparse)) {
      return yield* PointTable.empty.change([], after)
    }

    yield
    const places = allPlaces.slice(0, slotCount)
    const points = new Uint32Array(digests * POINTS_PER_DIGEST)
    const target = {
      points,
      slots: slotCount <= SHORT_SLOTS ? new Uint16Array(points.length) : new Uint32Array(points.length),
    }
    const gonePoints = yield* computePoints(gone)
    const comePoints = yield* computePoints(come)
    yield
    yield* mergePoints({ points: this.points, slots: this.#slots }, gonePoints, comePoints, places, target)
    yield
    const shift = sliceShiftFor(points.length)
    const sliceStarts =
      shift === this.#sliceShift
        ? yield* adjustCounts(this.#sliceStarts, shift, gonePoints.points, comePoints.points)
        : yield* countBefore(points, shift)
    return new PointTable(target, places, sliceStarts)
  }

  /** The place of the node that owns what lies before the point at index `at`, around the circle, or -1. */
  #ownerAround(at: number): number {
    const length = this.points.length
    if (length === 0) return -1
    return this.ownerAt(at < length ? at : 0)
  }

  /** The slots of the nodes, by place, and those that have no node, the lowest one last. */
  #listSlots(nodeCount: number): { readonly slots: Uint32Array; readonly free: number[] } {
    const slots = new Uint32Array(nodeCount)
    const free: number[] = []
    for (let slot = this.#places.length - 1; slot >= 0; slot--) {
      const place = this.#places[slot]!
      if (place === FREE) free.push(slot)
      else slots[place] = slot
    }
    return { slots, free }
  }
}

function share<Numbers extends Slots>(numbers: Numbers): Numbers {
  const make = numbers.constructor as new (memory: SharedArrayBuffer) => Numbers
  const shared = new make(new SharedArrayBuffer(numbers.byteLength))
  shared.set(numbers)
  return shared
}

/** Orders two nodes by ring key; one that is missing comes after every other. */
function compareNodes(a: WeightedKey | undefined, b: WeightedKey | undefined): number {
  if (a === b) return 0
  if (a === undefined) return 1
  return b === undefined ? -1 : compareRingKeys(a.ringKey, b.ringKey)
}

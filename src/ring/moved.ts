import { RingmanError } from '../errors.ts'
import { hashKey } from './key-hash.ts'
import { compareRingKeys, type RingNode } from './node.ts'
import type { PointTable } from './point-table.ts'
import { eachInSteps, NUMBERS_PER_STEP, Pace, type Steps } from './steps.ts'

/** A part of the circle that has one owner before a change and another one after it. */
export interface Stretch {
  /** The first hash in it, an integer from 0. */
  readonly start: number
  /** The first hash after it: above `start`, at most 2^32. A stretch ends where the circle does. */
  readonly end: number
  /** The owner before; undefined where that ring is empty. */
  readonly from: RingNode | undefined
  /** The owner after; undefined where that ring is empty. */
  readonly to: RingNode | undefined
}

/** One of two rings that are compared. */
interface Side {
  /** In the byte order of ring keys. */
  readonly nodes: readonly RingNode[]
  readonly table: PointTable
}

/** Stretches side by side: the same index in each array is one of them. */
interface Columns {
  /** Ascending. */
  readonly starts: Uint32Array
  /** As a number of 32 bits: the end of the circle is 0. */
  readonly ends: Uint32Array
  /** Places in the nodes before, or -1. */
  readonly from: Int32Array
  /** Places in the nodes after, or -1. */
  readonly to: Int32Array
}

/**
 * The stretches of the circle in which two rings differ, in ascending order: no two of them overlap, and two that touch
 * differ in `from` or `to`. A hash has another owner exactly when it lies in one of them. Immutable, 16 bytes a stretch.
 *
 * An owner is told from another by its ring key: a node that only got another address or weight keeps its stretches.
 */
export class MovedStretches implements Iterable<Stretch> {
  readonly #before: readonly RingNode[]
  readonly #after: readonly RingNode[]
  readonly #columns: Columns
  #share: number | undefined

  /** Made by {@link findMoved} alone. */
  constructor(before: readonly RingNode[], after: readonly RingNode[], columns: Columns) {
    this.#before = before
    this.#after = after
    this.#columns = columns
  }

  /**
   * The stretches of a list, such as one that came as JSON from the other party of a move.
   *
   * @param list - In ascending order, without overlaps; `from` and `to` may be left out.
   * @throws {RingmanError} `PARAMETER_INVALID` for bounds that are no such stretches.
   */
  static of(list: Iterable<Pick<Stretch, 'start' | 'end'> & Partial<Stretch>>): MovedStretches {
    const before = new Places()
    const after = new Places()
    const starts: number[] = []
    const ends: number[] = []
    const from: number[] = []
    const to: number[] = []
    let last = 0
    for (const stretch of list) {
      const { start, end } = stretch
      if (
        !Number.isSafeInteger(start) ||
        !Number.isSafeInteger(end) ||
        start < last ||
        end <= start ||
        end > CIRCLE
      ) {
        throw new RingmanError(
          'PARAMETER_INVALID',
          `stretch ${starts.length} is from ${start} to ${end}; whole numbers from 0 to 2^32 in ascending order are allowed`,
        )
      }
      last = end
      starts.push(start)
      ends.push(end)
      from.push(before.of(stretch.from))
      to.push(after.of(stretch.to))
    }
    return new MovedStretches(before.nodes, after.nodes, {
      starts: Uint32Array.from(starts),
      ends: Uint32Array.from(ends),
      from: Int32Array.from(from),
      to: Int32Array.from(to),
    })
  }

  /** How many stretches there are. */
  get count(): number {
    return this.#columns.starts.length
  }

  /** The fraction of the circle that they cover, exactly: from 0 to 1. */
  get share(): number {
    if (this.#share === undefined) {
      const { starts, ends } = this.#columns
      let hashes = 0
      for (let i = 0; i < starts.length; i++) hashes += endOf(ends[i]!) - starts[i]!
      this.#share = hashes / CIRCLE
    }
    return this.#share
  }

  /**
   * The stretch that a key lies in; undefined when its owner is the same on both rings.
   *
   * @param key - Text, hashed as its UTF-8 bytes, or bytes.
   */
  find(key: string | Uint8Array): Stretch | undefined {
    return this.findHash(hashKey(key))
  }

  /** The same for a key's hash, 32 bits, signed or unsigned. */
  findHash(hash: number): Stretch | undefined {
    const { starts, ends } = this.#columns
    const unsigned = hash >>> 0
    let low = 0
    let high = starts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (starts[middle]! <= unsigned) low = middle + 1
      else high = middle
    }
    return low > 0 && unsigned < endOf(ends[low - 1]!) ? this.#at(low - 1) : undefined
  }

  /** Whether a key lies in one of them. */
  contains(key: string | Uint8Array): boolean {
    return this.find(key) !== undefined
  }

  /**
   * Those that a node got: their `to` is the node with this ring key; none where that is undefined.
   *
   * @param before - Its ring key before the change: what it had under that one it did not get. @default the same
   */
  gainedBy(ringKey: string | undefined, before = ringKey): MovedStretches {
    const { from, to } = this.#columns
    const place = placeOf(this.#after, ringKey)
    const had = placeOf(this.#before, before)
    return this.#only((i) => to[i] === place && from[i] !== had)
  }

  /**
   * Those that a node lost: their `from` is the node with this ring key; none where that is undefined.
   *
   * @param after - Its ring key after the change: what it has under that one it did not lose. @default the same
   */
  lostBy(ringKey: string | undefined, after = ringKey): MovedStretches {
    const { from, to } = this.#columns
    const place = placeOf(this.#before, ringKey)
    const has = placeOf(this.#after, after)
    return this.#only((i) => from[i] === place && to[i] !== has)
  }

  /** The bounds of all, for another process: {@link of} takes them. */
  toJSON(): { readonly start: number; readonly end: number }[] {
    return Array.from(this, ({ start, end }) => ({ start, end }))
  }

  /** Calls `visit` with the length of each in hashes and its owners, in steps, and makes nothing of it. */
  *visitInSteps(
    visit: (hashes: number, from: RingNode | undefined, to: RingNode | undefined) => void,
  ): Steps<void> {
    const pace = new Pace()
    const { starts, ends, from, to } = this.#columns
    for (let i = 0; i < starts.length; i++) {
      visit(endOf(ends[i]!) - starts[i]!, this.#before[from[i]!], this.#after[to[i]!])
      if (pace.endsStep()) yield
    }
  }

  *[Symbol.iterator](): Generator<Stretch, void, undefined> {
    for (let i = 0; i < this.count; i++) yield this.#at(i)
  }

  #at(i: number): Stretch {
    const { starts, ends, from, to } = this.#columns
    return { start: starts[i]!, end: endOf(ends[i]!), from: this.#before[from[i]!], to: this.#after[to[i]!] }
  }

  #only(isWanted: (i: number) => boolean): MovedStretches {
    const { starts, ends, from, to } = this.#columns
    const chosen: number[] = []
    for (let i = 0; i < starts.length; i++) if (isWanted(i)) chosen.push(i)
    return new MovedStretches(this.#before, this.#after, {
      starts: Uint32Array.from(chosen, (i) => starts[i]!),
      ends: Uint32Array.from(chosen, (i) => ends[i]!),
      from: Int32Array.from(chosen, (i) => from[i]!),
      to: Int32Array.from(chosen, (i) => to[i]!),
    })
  }
}

/** All hashes of the circle. */
const CIRCLE = 2 ** 32

/** Nodes in the order in which they came, each of them once. */
class Places {
  readonly nodes: RingNode[] = []
  readonly #places = new Map<RingNode, number>()

  of(node: RingNode | undefined): number {
    if (node === undefined) return -1
    let place = this.#places.get(node)
    if (place === undefined) {
      place = this.nodes.push(node) - 1
      this.#places.set(node, place)
    }
    return place
  }
}

function endOf(end: number): number {
  return end === 0 ? CIRCLE : end
}

/** What moves from one ring to the next: both rings' points are walked once, so that it is exact. */
export function* findMoved(before: Side, after: Side): Steps<MovedStretches> {
  const found = new FoundStretches()
  if (before.table !== after.table) {
    const placesAfter = yield* findAgain(before.nodes, after.nodes)
    yield
    yield* before.table.walk(after.table, placesAfter, (start, end, owner, nextOwner) => {
      found.add(start, end, owner, nextOwner)
    })
  }
  return new MovedStretches(before.nodes, after.nodes, yield* found.columns())
}

/**
 * Stretches as they are found, in parts of one length: a list of half a million that grows would be copied as a whole, again
 * and again.
 */
class FoundStretches {
  readonly #parts: Columns[] = []
  /** How many there are in the last part. */
  #length = PART_LENGTH

  /** Adds a stretch, or makes the last one longer where this one continues it. Bounds are signed, 32 bits each. */
  add(start: number, end: number, from: number, to: number): void {
    let part = this.#parts.at(-1)
    const last = this.#length - 1
    if (
      part !== undefined &&
      (part.ends[last]! | 0) === start &&
      part.from[last] === from &&
      part.to[last] === to
    ) {
      part.ends[last] = end
      return
    }
    if (part === undefined || this.#length === PART_LENGTH) {
      part = columnsOf(PART_LENGTH)
      this.#parts.push(part)
      this.#length = 0
    }
    const at = this.#length++
    part.starts[at] = start
    part.ends[at] = end
    part.from[at] = from
    part.to[at] = to
  }

  /** All of them, in steps. */
  *columns(): Steps<Columns> {
    const pace = new Pace(NUMBERS_PER_STEP)
    const full = Math.max(0, this.#parts.length - 1) * PART_LENGTH
    const all = columnsOf(full + (this.#parts.length === 0 ? 0 : this.#length))
    for (const [i, part] of this.#parts.entries()) {
      const length = Math.min(PART_LENGTH, all.starts.length - i * PART_LENGTH)
      for (const name of COLUMNS) all[name].set(part[name].subarray(0, length), i * PART_LENGTH)
      if (pace.endsStep(length)) yield
    }
    return all
  }
}

/** Stretches in one part of a list that grows. */
const PART_LENGTH = 1024

const COLUMNS = ['starts', 'ends', 'from', 'to'] as const

function columnsOf(length: number): Columns {
  return {
    starts: new Uint32Array(length),
    ends: new Uint32Array(length),
    from: new Int32Array(length),
    to: new Int32Array(length),
  }
}

/** For each node of one ring its place in the next, or {@link GONE}. */
function* findAgain(before: readonly RingNode[], after: readonly RingNode[]): Steps<Int32Array> {
  const places = new Int32Array(before.length)
  let place = 0
  yield* eachInSteps(before, (node, i) => {
    const { ringKey } = node
    while (
      after[place] !== node &&
      place < after.length &&
      compareRingKeys(after[place]!.ringKey, ringKey) < 0
    )
      place++
    places[i] = after[place]?.ringKey === ringKey ? place : GONE
  })
  return places
}

/** Unlike any place, and unlike that of nobody. */
const GONE = -2

function placeOf(nodes: readonly RingNode[], ringKey: string | undefined): number {
  const place = nodes.findIndex((node) => node.ringKey === ringKey)
  return place < 0 ? GONE : place
}

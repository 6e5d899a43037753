import { hashKey } from './key-hash.ts'
import { md5InSteps } from './md5.ts'
import { findMoved, type MovedStretches } from './moved.ts'
import { checkNode, compareRingKeys, sameNode, type RingNode } from './node.ts'
import { PointTable, type TableArrays } from './point-table.ts'
import { eachInSteps, finish, mergeInSteps, sortInSteps, type Steps } from './steps.ts'

/** What another thread makes the same ring of. */
export interface SharedRing {
  /** As JSON, which takes less time from thread to thread than objects do. */
  readonly nodes: string
  readonly digest: string
  /** In memory of both threads. */
  readonly table: TableArrays
}

/**
 * A consistent hash ring: which node owns a key. Immutable; `add`, `remove` and `with` give the next ring.
 *
 * The same set of ring keys and weights gives the same ring, in whatever order and through whatever history it
 * came together. Points, owners and weights are those of serialx/hashring of April 2019 (`docs/ring.md` has the
 * algorithm), but for one thing: a point that two nodes share is the lower ring key's, not the latest one's.
 *
 * Nodes that are not frozen are copied and frozen when they come; all keep their identity from ring to ring while nothing in
 * them changes. Look-ups of text keys take no memory; the rings of one history share what did not change.
 */
export class HashRing {
  // `new this`: the compiler names the class by an alias in `dist`, which is not set yet where `empty` is made.
  /** The ring without nodes. */
  static readonly empty: HashRing = new this([], PointTable.empty)

  /** Every node, in the byte order of ring keys. */
  readonly nodes: readonly RingNode[]
  #table: PointTable
  #digest: string | undefined
  #shares: ReadonlyMap<string, number> | undefined
  #byRingKey: ReadonlyMap<string, RingNode> | undefined

  private constructor(nodes: readonly RingNode[], table: PointTable, digest?: string) {
    this.nodes = Object.freeze(nodes)
    this.#table = table
    this.#digest = digest
  }

  /**
   * A ring of these nodes; of two with one ring key, the later one counts.
   *
   * @throws {RingmanError} `NODE_INVALID`, see {@link checkNode}.
   */
  static of(nodes: Iterable<RingNode>): HashRing {
    return HashRing.empty.with(nodes)
  }

  /** The ring that a thread has shared, without a copy of its points. */
  static fromShared({ nodes, digest, table }: SharedRing): HashRing {
    const all = (JSON.parse(nodes) as RingNode[]).map((node) => Object.freeze(node))
    return new HashRing(all, PointTable.of(table), digest)
  }

  /** Moves the points to memory that other threads can read, if they are not there yet, for {@link fromShared}. */
  share(): SharedRing {
    this.#table = this.#table.inSharedMemory()
    return { nodes: JSON.stringify(this.nodes), digest: this.digest, table: this.#table.arrays }
  }

  /** How many nodes there are, also those whose weight rounds down to no points. */
  get size(): number {
    return this.nodes.length
  }

  /** How many points there are; one that two nodes share counts for both. */
  get pointCount(): number {
    return this.#table.points.length
  }

  /** Bytes that the points take, with everything that is kept for each of them. */
  get sizeBytes(): number {
    return this.#table.sizeBytes
  }

  /**
   * Identifies ring keys and weights, for comparing rings of different processes: the first 8 bytes of the MD5
   * of the lines `ringKey|weight\n`, in the byte order of ring keys, as 16 lower-case hexadecimal characters.
   */
  get digest(): string {
    return (this.#digest ??= finish(this.digestInSteps()))
  }

  /** The same in steps. */
  *digestInSteps(): Steps<string> {
    if (this.#digest !== undefined) return this.#digest
    let lines = ''
    yield* eachInSteps(this.nodes, ({ ringKey, weight }) => {
      lines += ringKey
      lines += weight === 1 ? '|1\n' : `|${weight}\n`
    })
    yield
    const bytes = yield* md5InSteps(lines)
    this.#digest = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('')
    return this.#digest
  }

  /** The node with this ring key. */
  get(ringKey: string): RingNode | undefined {
    this.#byRingKey ??= new Map(this.nodes.map((node) => [node.ringKey, node]))
    return this.#byRingKey.get(ringKey)
  }

  /**
   * The node of the first point strictly after the key's hash, around the circle.
   *
   * @param key - Text, hashed as its UTF-8 bytes (a lone surrogate as those of U+FFFD), or bytes.
   * @returns undefined on the empty ring.
   */
  ownerOf(key: string | Uint8Array): RingNode | undefined {
    const table = this.#table
    return this.nodes[table.ownerAt(table.find(hashKey(key)))]
  }

  /**
   * The node that owns a place on the circle.
   *
   * @param hash - Integer from 0 to 2^32 - 1.
   * @returns undefined on the empty ring.
   */
  ownerAt(hash: number): RingNode | undefined {
    const table = this.#table
    return this.nodes[table.ownerAt(table.find(hash | 0))]
  }

  /**
   * The first `n` distinct nodes at and after the key's owner, around the circle.
   *
   * @param key - As {@link ownerOf} takes it.
   * @param n - How many; below 1 gives none.
   * @returns The owner first; fewer than `n` when fewer nodes have points.
   */
  ownersOf(key: string | Uint8Array, n: number): RingNode[] {
    const table = this.#table
    const points = table.points
    const found: RingNode[] = []
    if (!(n >= 1)) return found
    const limit = Math.min(Math.floor(n), this.nodes.length)
    const seen = limit <= FEW ? undefined : new Uint8Array(this.nodes.length)
    let at = table.find(hashKey(key))
    for (let left = points.length; left > 0; left--) {
      const owner = table.ownerAt(at)
      const node = this.nodes[owner]!
      if (!(seen === undefined ? found.includes(node) : seen[owner] === 1) && !table.isCovered(at)) {
        found.push(node)
        if (found.length === limit) break
        if (seen !== undefined) seen[owner] = 1
      }
      at = at + 1 === points.length ? 0 : at + 1
    }
    return found
  }

  /**
   * The fraction of the circle that each node owns, exactly, by ring key in byte order.
   *
   * @returns Numbers from 0 to 1 that add up to exactly 1; empty for the empty ring.
   */
  shares(): ReadonlyMap<string, number> {
    if (this.#shares === undefined) {
      const arcs = this.#table.arcs(this.nodes.length)
      this.#shares = new Map(this.nodes.map(({ ringKey }, i) => [ringKey, arcs[i]! / 2 ** 32]))
    }
    return this.#shares
  }

  /**
   * The ring with this node added, or in the place of the one with its ring key.
   *
   * @throws {RingmanError} `NODE_INVALID`.
   */
  add(node: RingNode): HashRing {
    checkNode(node)
    const at = this.#placeOf(node.ringKey)
    const replaces = this.nodes[at]?.ringKey === node.ringKey
    return finish(this.#next(this.nodes.toSpliced(at, replaces ? 1 : 0, node)))
  }

  /** The ring without the node of this ring key; the same ring when there is none. */
  remove(ringKey: string): HashRing {
    const at = this.#placeOf(ringKey)
    return this.nodes[at]?.ringKey === ringKey ? finish(this.#next(this.nodes.toSpliced(at, 1))) : this
  }

  /**
   * The ring of exactly these nodes, made from this one: only what differs is computed. Of two nodes with one
   * ring key, the later one counts.
   *
   * @returns This very ring when nothing differs.
   * @throws {RingmanError} `NODE_INVALID`.
   */
  with(nodes: Iterable<RingNode>): HashRing {
    return finish(this.withInSteps(nodes))
  }

  /** The same in steps. */
  *withInSteps(nodes: Iterable<RingNode>): Steps<HashRing> {
    // Not a map: one of thousands would be the most that a change takes of new memory.
    const known = Array<RingNode | undefined>(this.size)
    const come: RingNode[] = []
    yield* eachInSteps([...nodes], (node) => {
      checkNode(node)
      const place = this.#placeOf(node.ringKey)
      if (this.nodes[place]?.ringKey === node.ringKey) known[place] = node
      else come.push(node)
    })
    yield
    const kept = known.filter((node) => node !== undefined)
    yield
    const sorted = yield* sortInSteps(come, byRingKeyOrder)
    yield
    const others = sorted.filter(({ ringKey }, i) => ringKey !== sorted[i + 1]?.ringKey)
    return yield* this.#next(yield* mergeInSteps(kept, others, byRingKeyOrder))
  }

  /**
   * The stretches of the circle that have another owner on the next ring. A node is known again by its ring key.
   * `HashRing.empty.movedTo(ring)` gives all stretches of a ring.
   */
  movedTo(next: HashRing): MovedStretches {
    return finish(this.movedInSteps(next))
  }

  /** The same in steps. */
  movedInSteps(next: HashRing): Steps<MovedStretches> {
    return findMoved({ nodes: this.nodes, table: this.#table }, { nodes: next.nodes, table: next.#table })
  }

  /** Where in `nodes` a ring key is or would be. */
  #placeOf(ringKey: string): number {
    let low = 0
    let high = this.nodes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareRingKeys(this.nodes[middle]!.ringKey, ringKey) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** @param sorted - Checked nodes in the byte order of ring keys, each of them once. */
  *#next(sorted: readonly RingNode[]): Steps<HashRing> {
    const before = this.nodes
    let sameTable = sorted.length === before.length
    let sameNodes = sameTable
    let i = 0
    const nodes: RingNode[] = []
    yield* eachInSteps(sorted, (node) => {
      while (i < before.length && compareRingKeys(before[i]!.ringKey, node.ringKey) < 0) i++
      const known = before[i]
      if (known !== undefined && sameNode(known, node)) nodes.push(known)
      else {
        sameNodes = false
        if (known?.ringKey !== node.ringKey || known.weight !== node.weight) sameTable = false
        nodes.push(Object.isFrozen(node) ? node : Object.freeze({ ...node }))
      }
    })
    if (sameNodes) return this
    if (sameTable) return new HashRing(nodes, this.#table, this.#digest)
    yield
    return new HashRing(nodes, yield* this.#table.change(before, nodes))
  }
}

const byRingKeyOrder = (a: RingNode, b: RingNode) => compareRingKeys(a.ringKey, b.ringKey)

/** Up to this many owners, looking through the list of those found is quicker than marking them. */
const FEW = 16

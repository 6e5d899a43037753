export interface Deadline {
  readonly atMs: number
}

interface Entry extends Deadline {
  readonly order: number
  /** undefined once it has run or was cancelled. */
  run: (() => void) | undefined
}

/** So many cancelled ones may lie about, besides as many as there are others. */
const SLACK = 64

/** Deadlines by time, those of one time in the order in which they were set. */
export class Deadlines {
  #heap: Entry[] = []
  #order = 0
  #cancelledCount = 0

  /** Calls `run` from the `runDue` that reaches `atMs`. */
  set(atMs: number, run: () => void): Deadline {
    const entry: Entry = { atMs, order: this.#order++, run }
    this.#heap.push(entry)
    this.#up(this.#heap.length - 1)
    return entry
  }

  /** Takes a deadline back; one that has run, was cancelled, or was never set is left alone. */
  cancel(deadline: Deadline | undefined): void {
    const entry = deadline as Entry | undefined
    if (entry?.run === undefined) return
    entry.run = undefined
    this.#cancelledCount++
    if (this.#cancelledCount > this.#heap.length / 2 + SLACK) {
      // Sorted entries are a heap.
      this.#heap = this.#heap.filter(({ run }) => run !== undefined).sort(compare)
      this.#cancelledCount = 0
    }
  }

  /** The time of the first one; `Infinity` when there is none. */
  get nextMs(): number {
    while (this.#heap[0] !== undefined && this.#heap[0].run === undefined) {
      this.#pop()
      this.#cancelledCount--
    }
    return this.#heap[0]?.atMs ?? Infinity
  }

  /** Runs what is due at `nowMs`, also what is set meanwhile. */
  runDue(nowMs: number): void {
    while (this.nextMs <= nowMs) {
      const entry = this.#pop()
      const run = entry.run as () => void
      entry.run = undefined
      run()
    }
  }

  /** The first one, of one at the least. */
  #pop(): Entry {
    const heap = this.#heap
    const first = heap[0] as Entry
    const last = heap.pop() as Entry
    if (last !== first) {
      heap[0] = last
      this.#down(0)
    }
    return first
  }

  #up(start: number): void {
    const heap = this.#heap
    const entry = heap[start] as Entry
    let index = start
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = heap[parentIndex] as Entry
      if (compare(entry, parent) > 0) break
      heap[index] = parent
      index = parentIndex
    }
    heap[index] = entry
  }

  #down(start: number): void {
    const heap = this.#heap
    const entry = heap[start] as Entry
    let index = start
    for (;;) {
      let childIndex = 2 * index + 1
      let child = heap[childIndex]
      if (child === undefined) break
      const right = heap[childIndex + 1]
      if (right !== undefined && compare(right, child) < 0) {
        child = right
        childIndex++
      }
      if (compare(child, entry) > 0) break
      heap[index] = child
      index = childIndex
    }
    heap[index] = entry
  }
}

function compare(a: Entry, b: Entry): number {
  return a.atMs - b.atMs || a.order - b.order
}

/** Something due at a time. Cancelling it is setting the flag. */
export interface Deadline {
  readonly atMs: number
  cancelled: boolean
}

interface Entry extends Deadline {
  readonly order: number
  readonly run: () => void
}

/** Deadlines by time, those of one time in the order in which they were set. */
export class Deadlines {
  readonly #heap: Entry[] = []
  #order = 0

  /** Calls `run` from the `runDue` that reaches `atMs`. */
  set(atMs: number, run: () => void): Deadline {
    const entry: Entry = { atMs, cancelled: false, order: this.#order++, run }
    this.#heap.push(entry)
    this.#up(this.#heap.length - 1)
    return entry
  }

  /** The time of the first one; `Infinity` when there is none. */
  get nextMs(): number {
    this.#dropCancelled()
    return this.#heap[0]?.atMs ?? Infinity
  }

  /** Runs what is due at `nowMs`, also what is set meanwhile. */
  runDue(nowMs: number): void {
    while (this.nextMs <= nowMs) this.#pop()?.run()
  }

  #dropCancelled(): void {
    while (this.#heap[0]?.cancelled === true) this.#pop()
  }

  #pop(): Entry | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last !== undefined && last !== first) {
      heap[0] = last
      this.#down(0)
    }
    return first
  }

  #up(start: number): void {
    const heap = this.#heap
    const entry = heap[start]
    if (entry === undefined) return
    let index = start
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = heap[parentIndex]
      if (parent === undefined || !before(entry, parent)) break
      heap[index] = parent
      index = parentIndex
    }
    heap[index] = entry
  }

  #down(start: number): void {
    const heap = this.#heap
    const entry = heap[start]
    if (entry === undefined) return
    let index = start
    for (;;) {
      let childIndex = 2 * index + 1
      let child = heap[childIndex]
      if (child === undefined) break
      const right = heap[childIndex + 1]
      if (right !== undefined && before(right, child)) {
        child = right
        childIndex++
      }
      if (!before(child, entry)) break
      heap[index] = child
      index = childIndex
    }
    heap[index] = entry
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs
}

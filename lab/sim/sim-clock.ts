interface Entry {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
}

/** Simulated time: a heap of things to happen. Things of one moment happen in the order in which they were set. */
export class SimClock {
  nowMs = 0
  #order = 0
  readonly #heap: Entry[] = []

  /** Calls `run` at `atMs`, or now if that is past. */
  at(atMs: number, run: () => void): void {
    const heap = this.#heap
    const entry = { atMs: Math.max(atMs, this.nowMs), order: this.#order++, run }
    let index = heap.push(entry) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(entry, heap[parent] as Entry)) break
      heap[index] = heap[parent] as Entry
      index = parent
    }
    heap[index] = entry
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run)
  }

  /** Lets everything happen up to `untilMs`. */
  runUntil(untilMs: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop()
      this.nowMs = next.atMs
      next.run()
    }
    this.nowMs = untilMs
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Entry
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++
      if (!before(heap[child] as Entry, last)) break
      heap[index] = heap[child] as Entry
      index = child
    }
    heap[index] = last
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs
}

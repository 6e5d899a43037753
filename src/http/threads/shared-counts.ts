import { Distribution } from '../../distribution.ts'
import type { OtherConnections } from '../port-connections.ts'
import type { RequestMeter } from '../route.ts'

/** How many connections each thread has, in memory of all of them. */
export class OpenCounts {
  readonly memory: SharedArrayBuffer
  readonly #counts: Int32Array

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory
    this.#counts = new Int32Array(memory)
  }

  static of(threads: number): OpenCounts {
    return new OpenCounts(new SharedArrayBuffer(threads * Int32Array.BYTES_PER_ELEMENT))
  }

  /** What a thread is to know of the others. @param limit - Of all connections together. */
  besides(place: number, limit: number): OtherConnections {
    const counts = this.#counts
    return {
      get count() {
        return counts.reduce((sum, count, other) => (other === place ? sum : sum + count), 0)
      },
      share: Math.ceil(limit / counts.length),
      tell: (more) => Atomics.add(counts, place, more),
    }
  }

  /** A thread is gone, and all of its connections. */
  forget(place: number): void {
    Atomics.store(this.#counts, place, 0)
  }
}

/** The routes that threads answer. */
const ROUTES = ['/v1/owner', '/hashring/nodes/get'] as const

/** What one thread counts, in memory of the main one, which outlives it. */
export class ThreadTally {
  readonly memory: SharedArrayBuffer
  readonly #nowMs: () => number
  readonly #seconds: readonly Distribution[]
  /** What of it was handed on. */
  readonly #taken: readonly { counts: readonly number[]; sum: number }[]

  constructor(
    bounds: readonly number[],
    nowMs: () => number,
    memory = new SharedArrayBuffer(ROUTES.length * (bounds.length + 2) * Float64Array.BYTES_PER_ELEMENT),
  ) {
    this.memory = memory
    this.#nowMs = nowMs
    const cells = bounds.length + 2
    this.#seconds = ROUTES.map((_, i) => {
      const at = i * cells * Float64Array.BYTES_PER_ELEMENT
      return new Distribution(bounds, new Float64Array(memory, at, cells))
    })
    this.#taken = ROUTES.map(() => ({ counts: [], sum: 0 }))
  }

  forRoute(path: string) {
    const seconds = this.#seconds[ROUTES.indexOf(path as (typeof ROUTES)[number])]
    return { answered: (startedAtMs: number) => seconds?.add((this.#nowMs() - startedAtMs) / 1000) }
  }

  /** Hands on what came since the last time. */
  pourInto(meter: RequestMeter): void {
    for (const [i, route] of ROUTES.entries()) {
      const { counts, sum } = this.#seconds[i]!
      const taken = this.#taken[i]!
      const news = counts.map((count, range) => count - (taken.counts[range] ?? 0))
      if (news.every((count) => count === 0)) continue
      meter.forRoute(route).answeredElsewhere(news, sum - taken.sum)
      Object.assign(taken, { counts, sum })
    }
  }
}

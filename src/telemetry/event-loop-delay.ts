import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { Distribution } from '../distribution.ts'
import { histogram, single, type Samples } from './sample.ts'
import { PROCESS_METRICS } from './table/process-table.ts'

/** Time between two fires of the timer whose lateness is measured. */
const RESOLUTION_MS = 10

/** What is used of Node's histogram: times between two fires, in nanoseconds. */
export type DelayHistogram = Pick<
  ReturnType<typeof monitorEventLoopDelay>,
  'count' | 'min' | 'max' | 'mean' | 'percentile' | 'enable' | 'disable' | 'reset'
>

/**
 * How late the event loop runs its timers. Node's own monitor does the sampling, outside JavaScript and without
 * holding the process; at each scrape what it gathered is added to counts of ours, which only rise, so that several
 * scrapers do not take each other's values away.
 */
export class EventLoopDelay {
  readonly #delays: DelayHistogram
  readonly #seconds = new Distribution(PROCESS_METRICS.eventLoopDelay.buckets)

  /** @param delays - @default Node's monitor with a resolution of 10 ms */
  constructor(delays: DelayHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })) {
    this.#delays = delays
  }

  start(): void {
    this.#delays.enable()
  }

  /** Ends the sampling; what was counted stays. Idempotent. */
  stop(): void {
    this.#delays.disable()
  }

  collect(): Samples {
    this.#gather()
    return {
      eventLoopDelay: histogram(this.#seconds),
      eventLoopActive: single(performance.eventLoopUtilization().active / 1000),
    }
  }

  #gather(): void {
    const { count, mean } = this.#delays
    if (count === 0) return
    let before = 0
    const counts = this.#seconds.bounds.map((boundSeconds) => {
      const within = this.#countWithin(RESOLUTION_MS + boundSeconds * 1000, before)
      const inBucket = within - before
      before = within
      return inBucket
    })
    // A timer may fire a little early, to make up for one that was late.
    const sumMs = Math.max(0, mean / 1e6 - RESOLUTION_MS) * count
    this.#seconds.addCounts([...counts, count - before], sumMs / 1000)
    this.#delays.reset()
  }

  /** How many of the values are at most `limitMs`, given that `low` of them are: by bisection, as only ranks can be asked for. */
  #countWithin(limitMs: number, low: number): number {
    const { count, min, max } = this.#delays
    if (max / 1e6 <= limitMs) return count
    if (min / 1e6 > limitMs) return 0
    let high = count
    let within = low
    while (within < high) {
      const rank = (within + high + 1) >> 1
      // The middle of the rank's part of the percentages: no rounding leads to its neighbour.
      if (this.#delays.percentile((100 * (rank - 0.5)) / count) / 1e6 <= limitMs) within = rank
      else high = rank - 1
    }
    return within
  }
}

import { Distribution } from '../distribution.ts'
import type { RequestTallyOptions } from './request-tally.ts'
import type { Exemplar } from './sample.ts'
import { HTTP_METRICS, type LOOK_UP_RESULTS } from './table/http-table.ts'

/** How a look-up ended. */
type LookUpResult = keyof typeof LOOK_UP_RESULTS

/** Counts the look-ups of one route. */
export class LookUpTally {
  readonly seconds = new Distribution(HTTP_METRICS.lookUpDuration.buckets)
  /** The last one for each count of `seconds`. */
  readonly exemplars: (Exemplar | undefined)[] = []
  readonly #options: RequestTallyOptions & { readonly hidesOutages?: boolean }
  #ok = 0
  #keys = 0
  readonly #failures = { refused: 0, 'ring-empty': 0, unavailable: 0, failed: 0 }

  /** @param options - `hidesOutages`: the route answers 200 where the ring has no answer. */
  constructor(options: RequestTallyOptions & { readonly hidesOutages?: boolean }) {
    this.#options = options
  }

  get results(): Readonly<Record<LookUpResult, number>> {
    return { ok: this.#ok, ...this.#failures }
  }

  /** Keys that were looked up with success. */
  get keys(): number {
    return this.#keys
  }

  /**
   * Counts a look-up.
   *
   * @param status - Of the answer; 0 when there was none.
   * @param keys - How many it was for.
   */
  add(status: number, keys: number, startedAtMs: number): void {
    const { clock, currentTraceId, hidesOutages = false } = this.#options
    const failure = status === 200 && !hidesOutages ? undefined : this.#failureOf(status)
    if (failure === undefined) {
      this.#ok++
      this.#keys += keys
    } else this.#failures[failure]++
    const seconds = (clock.now() - startedAtMs) / 1000
    const index = this.seconds.add(seconds)
    const traceId = currentTraceId?.()
    if (traceId === undefined) return
    this.exemplars[index] = { traceId, value: seconds, atSeconds: clock.wallNow() / 1000 }
  }

  #failureOf(status: number): Exclude<LookUpResult, 'ok'> | undefined {
    if (status === 200) return this.#outage()
    if (status === 503) return this.#outage() ?? 'unavailable'
    return status >= 500 ? 'failed' : 'refused'
  }

  #outage(): 'ring-empty' | 'unavailable' | undefined {
    const { manager } = this.#options
    if (!manager.running) return 'unavailable'
    return manager.snapshot.ring.size === 0 ? 'ring-empty' : undefined
  }
}

import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import { Distribution } from '../distribution.ts'
import { getOrMake } from '../get-or-make.ts'
import { type RequestMeter, KEY_COUNT, type RouteMeter } from '../http/route.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import { byLabel, histogram, type Samples, type Exemplar, type Sample } from './sample.ts'
import { zeros } from '../zeros.ts'
import { type LOOK_UP_ROUTES, HTTP_METRICS, LOOK_UP_RESULTS } from './table/http-table.ts'

type LookUpRoute = keyof typeof LOOK_UP_ROUTES

export interface RequestTallyOptions {
  readonly clock: Clock
  readonly manager: Pick<HashRingManager, 'running' | 'snapshot'>
  /** The trace id of the request at hand, if it is in a trace that is recorded: for exemplars. @default none */
  readonly currentTraceId?: (() => string | undefined) | undefined
  /** Has what others have answered counted here. @default there are no others */
  readonly gather?: (() => void) | undefined
}

/**
 * Counts requests and look-ups. What it holds is bounded by the routes there are, whatever clients ask for, and no label is
 * put together for a `GET` that is answered with 200, as nearly all are.
 */
export class RequestTally implements RequestMeter {
  readonly #lookUps: Readonly<Record<LookUpRoute, LookUpTally>>
  readonly #routes = new Map<string, RouteTally>()
  readonly #others = new RouteTally()
  readonly #gather: (() => void) | undefined

  constructor(options: RequestTallyOptions) {
    this.#gather = options.gather
    this.#lookUps = {
      '/v1/owner': new LookUpTally(options),
      '/v1/owners': new LookUpTally(options),
      'POST /v1/owners': new LookUpTally(options),
      '/v1/route': new LookUpTally({ ...options, passesWithoutKey: true }),
      // It answers 200 with an empty node where the others say 503.
      '/hashring/nodes/get': new LookUpTally({ ...options, hidesOutages: true }),
    }
  }

  forRoute(path: string | undefined): RouteTally {
    if (path === undefined) return this.#others
    return getOrMake(this.#routes, path, () => {
      const lookUps = Object.hasOwn(this.#lookUps, path) ? this.#lookUps[path as LookUpRoute] : undefined
      return new RouteTally(lookUps, path === '/v1/owners' ? this.#lookUps['POST /v1/owners'] : undefined)
    })
  }

  collect(): Samples {
    this.#gather?.()
    const lookUps = Object.entries(this.#lookUps)
    return {
      lookUps: lookUps.flatMap(([route, { results }]) => byLabel('result', results, { route })),
      lookUpKeys: lookUps.map(([route, { keys }]) => ({ value: keys, labels: { route } })),
      lookUpDuration: lookUps.flatMap(([route, { seconds, exemplars }]) =>
        histogram(seconds, { route }, exemplars),
      ),
      httpRequests: [
        ...[...this.#routes].flatMap(([route, tally]) => tally.samples(route)),
        ...this.#others.samples('other'),
      ],
    }
  }
}

/** How a look-up ended. */
type LookUpResult = keyof typeof LOOK_UP_RESULTS

interface LookUpTallyOptions extends RequestTallyOptions {
  /** The route answers 200 where the ring has no answer. */
  readonly hidesOutages?: boolean
  /** It answers 200 where the request has no key. */
  readonly passesWithoutKey?: boolean
}

/** Counts the look-ups of one route. */
class LookUpTally {
  readonly seconds = new Distribution(HTTP_METRICS.lookUpDuration.buckets)
  /** The last one for each count of `seconds`. */
  readonly exemplars: (Exemplar | undefined)[] = []
  readonly results = zeros(LOOK_UP_RESULTS)
  /** Keys that were looked up with success. */
  keys = 0
  readonly #options: LookUpTallyOptions

  constructor(options: LookUpTallyOptions) {
    this.#options = options
  }

  /**
   * Counts a look-up.
   *
   * @param status - Of the answer; 0 when there was none.
   * @param keys - How many it was for.
   */
  add(status: number, keys: number, startedAtMs: number): void {
    const { clock, currentTraceId, hidesOutages = false, passesWithoutKey = false } = this.#options
    const failure = status === 200 && !hidesOutages ? undefined : this.#failureOf(status)
    if (failure !== undefined) this.results[failure]++
    else if (keys === 0 && passesWithoutKey) this.results['no-key']++
    else {
      this.results.ok++
      this.keys += keys
    }
    const seconds = (clock.now() - startedAtMs) / 1000
    const index = this.seconds.add(seconds)
    const traceId = currentTraceId?.()
    if (traceId === undefined) return
    this.exemplars[index] = { traceId, value: seconds, atSeconds: clock.wallNow() / 1000 }
  }

  /** Counts look-ups of one key that other threads answered with 200. */
  addAnswered(counts: readonly number[], seconds: number): void {
    const count = counts.reduce((sum, one) => sum + one, 0)
    this.results.ok += count
    this.keys += count
    this.seconds.addCounts(counts, seconds)
  }

  #failureOf(status: number): Exclude<LookUpResult, 'ok' | 'no-key'> | undefined {
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

const METHODS: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'POST', 'OPTIONS'])

/** Counts the requests for one route, and the look-ups among them. */
class RouteTally implements RouteMeter {
  readonly #lookUps: LookUpTally | undefined
  readonly #batches: LookUpTally | undefined
  /** `GET` with 200, which nearly all are. */
  #ok = 0
  /** The others, by method and status as the labels have them. */
  readonly #requests = new Map<string, number>()

  /** @param lookUps - Its tally of look-ups, if it has any; `batches` of those by `POST`, where they are counted apart. */
  constructor(lookUps?: LookUpTally, batches?: LookUpTally) {
    this.#lookUps = lookUps
    this.#batches = batches
  }

  answered(startedAtMs: number): void {
    this.#ok++
    this.#lookUps?.add(200, 1, startedAtMs)
  }

  answeredElsewhere(counts: readonly number[], seconds: number): void {
    this.#ok += counts.reduce((sum, one) => sum + one, 0)
    this.#lookUps?.addAnswered(counts, seconds)
  }

  finished(ctx: Koa.Context, startedAtMs: number): void {
    const { method } = ctx.req
    const status = statusOf(ctx)
    const keys = (ctx[KEY_COUNT] as number | undefined) ?? 1
    if (status === 200 && method === 'GET') {
      this.#ok++
      this.#lookUps?.add(status, keys, startedAtMs)
      return
    }
    const key = `${METHODS.has(method) ? method : 'other'} ${status === 0 ? 'aborted' : status}`
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1)
    // To be told what is allowed, or that it is not, is no look-up.
    if (status === 204 || status === 405) return
    const lookUps = method === 'POST' ? (this.#batches ?? this.#lookUps) : this.#lookUps
    lookUps?.add(status, keys, startedAtMs)
  }

  /** The series of the route; there is none for what was never asked. */
  samples(route: string): Sample[] {
    const ok = this.#ok === 0 ? [] : [{ value: this.#ok, labels: { route, method: 'GET', status: '200' } }]
    const others = Array.from(this.#requests, ([key, value]) => {
      const [method = '', status = ''] = key.split(' ')
      return { value, labels: { route, method, status } }
    })
    return [...ok, ...others]
  }
}

/** The status that was or will be sent; 0 when the client went before there was one. */
function statusOf({ res, respond }: Koa.Context): number {
  return respond === false && !res.headersSent ? 0 : res.statusCode
}

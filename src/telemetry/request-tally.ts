import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import { Distribution } from '../distribution.ts'
import { KEY_COUNT, type RequestMeter } from '../http/request-meter.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import { byLabel, histogram, type Collector, type Exemplar, type Sample, type Samples } from './sample.ts'
import { HTTP_METRICS, type LOOK_UP_RESULTS, type LOOK_UP_ROUTES } from './table/http-table.ts'

type LookUpRoute = keyof typeof LOOK_UP_ROUTES
type LookUpResult = keyof typeof LOOK_UP_RESULTS

const METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS', 'other'] as const
const GET = METHODS.indexOf('GET')
const OTHER_METHOD = METHODS.indexOf('other')
const ABORTED = 0
/** More than any status. */
const STATUS_LIMIT = 1000

/** The counts of one look-up route. */
class LookUpCounts {
  readonly results: Record<LookUpResult, number> = {
    ok: 0,
    refused: 0,
    'ring-empty': 0,
    unavailable: 0,
    failed: 0,
  }
  readonly seconds = new Distribution(HTTP_METRICS.lookUpDuration.buckets)
  readonly exemplars: (Exemplar | undefined)[] = []
  keys = 0
}

/** The counts of one path. */
interface RouteCounts {
  readonly lookUp: LookUpCounts | undefined
  /** For requests with `POST`, where they are look-ups of their own kind. */
  readonly batch: LookUpCounts | undefined
  /** `GET` with 200, which nearly all are. */
  ok: number
  /** The others by method and status in one number, so that counting makes no garbage. */
  readonly requests: Map<number, number>
}

export interface RequestTallyOptions {
  readonly clock: Clock
  readonly manager: Pick<HashRingManager, 'running' | 'snapshot'>
  /** The trace id of the request at hand, if it is in a trace that is recorded: for exemplars. @default none */
  readonly currentTraceId?: () => string | undefined
}

/**
 * Counts requests and look-ups. It is on the path of every look-up: no label is put together and nothing is hashed
 * but the route, and what it holds is bounded by the routes there are, whatever clients ask for.
 */
export class RequestTally implements RequestMeter, Collector {
  readonly #clock: Clock
  readonly #manager: RequestTallyOptions['manager']
  readonly #currentTraceId: (() => string | undefined) | undefined
  readonly #lookUps: Readonly<Record<LookUpRoute, LookUpCounts>> = {
    '/v1/owner': new LookUpCounts(),
    '/v1/owners': new LookUpCounts(),
    'POST /v1/owners': new LookUpCounts(),
    '/hashring/nodes/get': new LookUpCounts(),
  }
  readonly #routes = new Map<string, RouteCounts>()
  readonly #other = new Map<number, number>()

  constructor({ clock, manager, currentTraceId }: RequestTallyOptions) {
    this.#clock = clock
    this.#manager = manager
    this.#currentTraceId = currentTraceId
  }

  finished(ctx: Koa.Context, route: string | undefined, startedAtMs: number): void {
    const method = methodIndexOf(ctx.req.method)
    const status = statusOf(ctx)
    if (route === undefined) {
      countRequest(this.#other, method, status)
      return
    }
    const counts = this.#routes.get(route) ?? this.#addRoute(route)
    if (method === GET && status === 200) counts.ok++
    else countRequest(counts.requests, method, status)
    const lookUp = METHODS[method] === 'POST' ? (counts.batch ?? counts.lookUp) : counts.lookUp
    if (lookUp === undefined || status === 204 || status === 405) return
    const result = this.#resultOf(route, status)
    lookUp.results[result]++
    if (result === 'ok') lookUp.keys += (ctx[KEY_COUNT] as number | undefined) ?? 1
    const seconds = (this.#clock.now() - startedAtMs) / 1000
    const bucket = lookUp.seconds.add(seconds)
    const traceId = this.#currentTraceId?.()
    if (traceId === undefined) return
    lookUp.exemplars[bucket] = { traceId, value: seconds, atSeconds: this.#clock.wallNow() / 1000 }
  }

  collect(): Samples {
    const lookUps = Object.entries(this.#lookUps)
    const requests = [...this.#routes].flatMap(([route, { ok, requests: others }]) => [
      ...(ok === 0 ? [] : [{ value: ok, labels: { route, method: 'GET', status: '200' } }]),
      ...requestSamples(route, others),
    ])
    return {
      lookUps: lookUps.flatMap(([route, { results }]) => byLabel('result', results, { route })),
      lookUpKeys: lookUps.map(([route, { keys }]) => ({ value: keys, labels: { route } })),
      lookUpDuration: lookUps.flatMap(([route, { seconds, exemplars }]) =>
        histogram(seconds, { route }, exemplars),
      ),
      httpRequests: [...requests, ...requestSamples('other', this.#other)],
    }
  }

  #addRoute(route: string): RouteCounts {
    const counts: RouteCounts = {
      lookUp: Object.hasOwn(this.#lookUps, route) ? this.#lookUps[route as LookUpRoute] : undefined,
      batch: route === '/v1/owners' ? this.#lookUps['POST /v1/owners'] : undefined,
      ok: 0,
      requests: new Map(),
    }
    this.#routes.set(route, counts)
    return counts
  }

  #resultOf(route: string, status: number): LookUpResult {
    if (status >= 200 && status < 300) {
      // The compatible route answers 200 with an empty node where others say 503.
      return route === '/hashring/nodes/get' ? (this.#outage() ?? 'ok') : 'ok'
    }
    if (status === 503) return this.#outage() ?? 'unavailable'
    return status >= 500 ? 'failed' : 'refused'
  }

  #outage(): 'ring-empty' | 'unavailable' | undefined {
    if (!this.#manager.running) return 'unavailable'
    return this.#manager.snapshot.ring.size === 0 ? 'ring-empty' : undefined
  }
}

function methodIndexOf(method: string | undefined): number {
  switch (method) {
    case 'GET':
      return 0
    case 'HEAD':
      return 1
    case 'POST':
      return 2
    case 'OPTIONS':
      return 3
    case undefined:
    default:
      return OTHER_METHOD
  }
}

function countRequest(requests: Map<number, number>, method: number, status: number): void {
  const key = method * STATUS_LIMIT + status
  requests.set(key, (requests.get(key) ?? 0) + 1)
}

/** The status that was or will be sent; none when the client went before there was one. */
function statusOf(ctx: Koa.Context): number {
  const { res } = ctx
  return ctx.respond === false && !res.headersSent ? ABORTED : res.statusCode
}

function requestSamples(route: string, requests: ReadonlyMap<number, number>): Sample[] {
  return Array.from(requests, ([key, value]) => {
    const status = key % STATUS_LIMIT
    return {
      value,
      labels: {
        route,
        method: METHODS[(key - status) / STATUS_LIMIT] ?? 'other',
        status: status === ABORTED ? 'aborted' : String(status),
      },
    }
  })
}

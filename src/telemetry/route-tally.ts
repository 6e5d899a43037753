import type Koa from 'koa'
import { KEY_COUNT, type RouteMeter } from '../http/route.ts'
import type { LookUpTally } from './look-up-tally.ts'
import type { Sample } from './sample.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS'] as const
const ABORTED = 0
/** More than any status. */
const STATUS_LIMIT = 1000

/** Counts the requests for one route, and the look-ups among them. */
export class RouteTally implements RouteMeter {
  readonly #lookUps: LookUpTally | undefined
  readonly #batches: LookUpTally | undefined
  /** `GET` with 200, which nearly all are. */
  #ok = 0
  /** The others, by method and status in one number. */
  readonly #requests = new Map<number, number>()

  /** @param tallies - Of its look-ups, if it has any; `batches` of those by `POST`, where they are counted apart. */
  constructor({ lookUps, batches }: { readonly lookUps?: LookUpTally; readonly batches?: LookUpTally }) {
    this.#lookUps = lookUps
    this.#batches = batches
  }

  finished(ctx: Koa.Context, startedAtMs: number): void {
    const { method } = ctx.req
    const status = statusOf(ctx)
    if (status === 200 && method === 'GET') {
      this.#ok++
      this.#lookUps?.add(status, 1, startedAtMs)
      return
    }
    const key = methodIndexOf(method) * STATUS_LIMIT + status
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1)
    // To be told what is allowed, or that it is not, is no look-up.
    if (status === 204 || status === 405) return
    const lookUps = method === 'POST' ? (this.#batches ?? this.#lookUps) : this.#lookUps
    lookUps?.add(status, (ctx[KEY_COUNT] as number | undefined) ?? 1, startedAtMs)
  }

  /** The series of the route; there is none for what was never asked. */
  samples(route: string): Sample[] {
    const ok = this.#ok === 0 ? [] : [{ value: this.#ok, labels: { route, method: 'GET', status: '200' } }]
    const others = Array.from(this.#requests, ([key, value]) => {
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
    return [...ok, ...others]
  }
}

/** Where a method is in `METHODS`; behind them all for others. */
function methodIndexOf(method: string | undefined): number {
  const index = METHODS.indexOf(method as (typeof METHODS)[number])
  return index === -1 ? METHODS.length : index
}

/** The status that was or will be sent; none when the client went before there was one. */
function statusOf({ res, respond }: Koa.Context): number {
  return respond === false && !res.headersSent ? ABORTED : res.statusCode
}

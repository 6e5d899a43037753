import type Koa from 'koa'

/** Hears of every request that a look-up port has answered, or given up. */
export interface RequestMeter {
  /**
   * The meter of one route, to be kept: it is asked for once, not with each request.
   *
   * @param path - Undefined for all paths that are not there.
   */
  forRoute(path: string | undefined): RouteMeter
}

/** Hears of the requests for one route. */
export interface RouteMeter {
  /** @param startedAtMs - The clock's `now` when the request reached the routes. */
  finished(ctx: Koa.Context, startedAtMs: number): void
}

/** Where a batch says how many keys it looked up, in `ctx`. */
export const KEY_COUNT = '_ringmanKeyCount'

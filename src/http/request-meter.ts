import type Koa from 'koa'

/** Hears of every request that a look-up port has answered, or given up. */
export interface RequestMeter {
  /**
   * @param route - The path of the route; undefined for a path that is not there.
   * @param startedAtMs - The clock's `now` when the request reached the routes.
   */
  finished(ctx: Koa.Context, route: string | undefined, startedAtMs: number): void
}

/** Where a batch says how many keys it looked up, in `ctx`. */
export const KEY_COUNT = '_ringmanKeyCount'

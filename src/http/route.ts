import type Koa from 'koa'

/**
 * Answers one request. `query` is what follows the question mark, `below` what follows the path of the route, both as they
 * came; `below` is empty, or begins with a slash.
 */
export type Handler = (ctx: Koa.Context, query: string, below: string) => void | Promise<void>

/**
 * What the routes answer at one path, and at those below it where it says so: any method alike, or some methods. HEAD goes
 * where GET goes.
 */
export type Route = { readonly path: string; readonly takesPathsBelow?: true } & (
  { readonly any: Handler } | { readonly GET?: Handler; readonly POST?: Handler }
)

/** The methods of a route as an Allow header lists them; undefined when it takes any. */
export function allowedMethods(route: Route): string | undefined {
  if ('any' in route) return undefined
  const methods = [
    ...(route.GET === undefined ? [] : ['GET', 'HEAD']),
    ...(route.POST === undefined ? [] : ['POST']),
    'OPTIONS',
  ]
  return methods.join(', ')
}

/** Counts the requests that a look-up port has answered or given up. */
export interface RequestMeter {
  /**
   * The meter of one route, to be kept: it is asked for once, not with each request.
   *
   * @param path - Undefined for all paths that are not there.
   */
  forRoute(path: string | undefined): RouteMeter
}

/** Counts the requests for one route. */
export interface RouteMeter {
  /** @param startedAtMs - The clock's `now` when the request reached the routes. */
  finished(ctx: Koa.Context, startedAtMs: number): void
}

/** Where a route says how many keys it looked up, in `ctx`; one where it says nothing. */
export const KEY_COUNT = '_ringmanKeyCount'

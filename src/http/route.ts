import type Koa from 'koa'
import { RingmanError } from '../errors.ts'
import { readParameters } from './parameters.ts'
import { tryDecodePath } from './query.ts'
import type { Answer, Responder } from './respond.ts'

/** What is to be sent; nothing where the handler has done so itself, or nobody is left to answer. */
type Reply = Answer | void

/**
 * Answers one request. `query` is what follows the question mark, `below` what follows the path of the route, both as they
 * came; `below` is empty, or begins with a slash.
 */
export type Handler = (ctx: Koa.Context, query: string, below: string) => Reply | Promise<Reply>

/**
 * What the routes answer at one path, and at those below it where it says so: any method alike, or some methods. HEAD goes
 * where GET goes.
 */
export type Route = { readonly path: string; readonly takesPathsBelow?: true } & (
  { readonly any: Handler } | { readonly GET?: Handler; readonly POST?: Handler }
)

/** A route that is read, and takes no parameters. */
export function plainRoute(path: string, make: (ctx: Koa.Context) => Answer | Promise<Answer>): Route {
  return {
    path,
    GET: (ctx, query) => {
      readParameters(query, [])
      return make(ctx)
    },
  }
}

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
  /** @param path - Of a route; undefined for all paths that are not there. */
  forRoute(path: string | undefined): RouteMeter
}

/** Counts the requests for one route. */
export interface RouteMeter {
  /** @param startedAtMs - The clock's `now` when the request reached the routes. */
  finished(ctx: Koa.Context, startedAtMs: number): void
  /** The same for a GET for one key that was answered with 200 without a context. */
  answered(startedAtMs: number): void
  /**
   * The same for such look-ups of other threads.
   *
   * @param counts - How many of them took how long, by the ranges in which the meter counts.
   * @param seconds - All of them together.
   */
  answeredElsewhere(counts: readonly number[], seconds: number): void
}

/** A route that a path leads to. */
export interface FoundRoute {
  /** The route's path, as metrics and traces name it. */
  readonly template: string
  readonly route: Route
  /** What follows the path of the route: empty, or it begins with a slash. */
  readonly below: string
}

const SLASH = 0x2f

/** Finds routes by path. */
export class RouteTable {
  readonly #exact: ReadonlyMap<string, FoundRoute>
  /** Those that take the paths below theirs. */
  readonly #open: readonly FoundRoute[]

  constructor(routes: readonly Route[]) {
    const found = routes.map((route) => ({ template: route.path, route, below: '' }))
    this.#exact = new Map(found.map((one) => [one.template, one]))
    this.#open = found.filter(({ route }) => route.takesPathsBelow === true)
  }

  /** @param path - As it came: percent-encoding is undone where that leads to a route. */
  find(path: string): FoundRoute | undefined {
    const exact = this.#exact.get(path)
    if (exact !== undefined) return exact
    const open = this.#open.find(
      ({ template }) => path.startsWith(template) && path.charCodeAt(template.length) === SLASH,
    )
    if (open !== undefined) return { ...open, below: path.slice(open.template.length) }
    return path.includes('%') ? this.#exact.get(tryDecodePath(path) ?? path) : undefined
  }
}

/** Where a route says how many keys it looked up, in `ctx`; one where it says nothing. */
export const KEY_COUNT = '_ringmanKeyCount'

/** Answers a request at a path of ours, also where the method is wrong or the route fails. */
export function answerRoute(
  responder: Responder,
  ctx: Koa.Context,
  { route, template, below }: FoundRoute,
  query: string,
): void | Promise<void> {
  const send = (reply: Reply) => {
    if (reply !== undefined) responder.send(ctx, reply)
  }
  const fail = (error: unknown) => responder.sendProblem(ctx, error)
  try {
    const handler = handlerOf(route, ctx.req.method)
    if (handler !== undefined) {
      const reply = handler(ctx, query, below)
      return reply instanceof Promise ? reply.then(send).catch(fail) : send(reply)
    }
    const allow = allowedMethods(route) ?? ''
    if (ctx.req.method === 'OPTIONS') {
      send({ status: 204, headers: ['Allow', allow], body: '' })
      return undefined
    }
    const error = new RingmanError('METHOD_NOT_ALLOWED', `${template} takes ${allow}`)
    responder.sendProblem(ctx, error, ['Allow', allow])
  } catch (error) {
    fail(error)
  }
  return undefined
}

function handlerOf(route: Route, method: string | undefined): Handler | undefined {
  if ('any' in route) return route.any
  if (method === 'GET' || method === 'HEAD') return route.GET
  return method === 'POST' ? route.POST : undefined
}

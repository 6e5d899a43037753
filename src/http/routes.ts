import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { RingService } from '../service/ring-service.ts'
import { compatibleRoutes } from './compatible-routes.ts'
import type { HttpLimits } from './limits.ts'
import { lookUpRoutes } from './look-up-routes.ts'
import { describeApi } from './openapi.ts'
import { splitTarget, tryDecodePath } from './query.ts'
import { readParameters } from './parameters.ts'
import { DEFAULT_ROUTE_SETTINGS, proxyRoute, type RouteSettings } from './proxy-route.ts'
import { asciiJson, jsonAnswer, type Responder } from './respond.ts'
import { ringRoutes } from './ring-routes.ts'
import { RingWatch } from './ring-watch.ts'
import { CurrentView } from './ring-view.ts'
import { allowedMethods, type RequestMeter, type Route, type RouteMeter } from './route.ts'

/** Routes of a source, by path: each makes its middleware, which answers through the responder. */
export type ExtraRoutes = Readonly<Record<string, (responder: Responder) => Koa.Middleware>>

export interface RoutesDeps {
  readonly ring: RingService
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: HttpLimits
  readonly responder: Responder
  /** @default DEFAULT_ROUTE_SETTINGS */
  readonly routeSettings?: RouteSettings
  /** This program's version, for `/openapi.json`. @default '0.0.0' */
  readonly version?: string
  /**
   * Further exact paths, with any method: where a source has a route of its own, such as `/hashring/update`.
   */
  readonly extraRoutes?: ExtraRoutes | undefined
  /** Is told of each request to one of these paths once its answer is written. */
  readonly meter?: RequestMeter
  /** Middleware around each request for a path of ours, and no other: traces. `ctx._matchedRoute` is set by then. */
  readonly around?: Koa.Middleware | undefined
}

/**
 * The look-ups as Koa middleware, to mount anywhere: the compatible routes under `/hashring`, those under `/v1`,
 * and `/openapi.json`. Every other path goes on to `next()`. A wrong method, and whatever goes wrong at a path of
 * ours, is answered here, as `application/problem+json`.
 *
 * The answers are written at once, past Koa's body handling: headers that other middleware wants on them must be
 * set before it calls `next()`. For metrics and traces the middleware sets `ctx._matchedRoute`, as routers do,
 * `ctx._ringOwner`, the ring key of the owner of the one key that was asked for, `ctx._ringKey`, that key where it does not
 * stand in the query, and `ctx._problemCode`.
 */
export function createRoutes(deps: RoutesDeps): Koa.Middleware {
  const { ring, clock, responder, meter, around, extraRoutes = {} } = deps
  const logger = deps.logger.child({ component: 'http' })
  const routes = new Map(
    listRoutes(deps, logger).map((route) => [
      route.path,
      { ...withAllow(route), meter: meter?.forRoute(route.path) },
    ]),
  )
  const open = [...routes.values()].filter(({ takesPathsBelow }) => takesPathsBelow === true)
  const extra = new Map(
    Object.entries(extraRoutes).map(([path, make]) => [
      path,
      { middleware: make(responder), meter: meter?.forRoute(path) },
    ]),
  )

  return (ctx, next) => {
    const startedAtMs = meter === undefined ? 0 : clock.now()
    if (ring.unsure) ctx.set('Ringman-Unsure', 'true')
    const { path: raw, query } = splitTarget(ctx.req.url ?? '')
    let path = raw
    let route = routes.get(path)
    let below = ''
    if (route === undefined) {
      route = open.find((one) => raw.startsWith(one.path) && raw.charCodeAt(one.path.length) === SLASH)
      if (route !== undefined) {
        below = raw.slice(route.path.length)
        path = route.path
      }
    }
    if (route === undefined && raw.includes('%')) {
      path = tryDecodePath(raw) ?? raw
      route = routes.get(path)
    }
    if (route === undefined) {
      const more = extra.get(path)
      if (more === undefined) return next()
      ctx['_matchedRoute'] = path
      const run = () => metered(more.meter, ctx, startedAtMs, more.middleware(ctx, next) as unknown)
      return around === undefined ? run() : (around(ctx, async () => run()) as unknown)
    }
    ctx['_matchedRoute'] = path
    const { meter: ownMeter } = route
    if (around === undefined) return metered(ownMeter, ctx, startedAtMs, answer(ctx, route, query, below))
    return around(ctx, async () =>
      metered(ownMeter, ctx, startedAtMs, answer(ctx, route, query, below)),
    ) as unknown
  }

  function answer(
    ctx: Koa.Context,
    route: DispatchedRoute,
    query: string,
    below: string,
  ): void | Promise<void> {
    try {
      const handler = handlerOf(route, ctx.req.method)
      if (handler !== undefined) {
        return handler(ctx, query, below)?.catch((error: unknown) => {
          responder.sendProblem(ctx, error)
        })
      }
      if (ctx.req.method === 'OPTIONS') {
        responder.send(ctx, { status: 204, headers: ['Allow', route.allow], body: '' })
        return undefined
      }
      throw new RingmanError('METHOD_NOT_ALLOWED', `${route.path} takes ${route.allow}`)
    } catch (error) {
      responder.sendProblem(ctx, error, route.allow === '' ? [] : allowHeader(error, route.allow))
      return undefined
    }
  }
}

const SLASH = 0x2f

/** Tells the meter once the answer is there, which it mostly is at once. */
function metered(
  meter: RouteMeter | undefined,
  ctx: Koa.Context,
  startedAtMs: number,
  running: unknown,
): unknown {
  if (meter === undefined) return running
  if (running instanceof Promise) {
    return running.finally(() => {
      meter.finished(ctx, startedAtMs)
    })
  }
  meter.finished(ctx, startedAtMs)
  return running
}

type DispatchedRoute = Route & { readonly allow: string }

function withAllow(route: Route): DispatchedRoute {
  return { ...route, allow: allowedMethods(route) ?? '' }
}

function handlerOf(route: Route, method: string | undefined) {
  if ('any' in route) return route.any
  if (method === 'GET' || method === 'HEAD') return route.GET
  return method === 'POST' ? route.POST : undefined
}

function allowHeader(error: unknown, allow: string): string[] {
  return error instanceof RingmanError && error.code === 'METHOD_NOT_ALLOWED' ? ['Allow', allow] : []
}

/** Every route of the look-ups, the description of the API among them. */
export function listRoutes(deps: RoutesDeps, logger: Logger): Route[] {
  const { ring, clock, responder, limits, routeSettings = DEFAULT_ROUTE_SETTINGS, version = '0.0.0' } = deps
  const view = new CurrentView(ring)
  const watch = new RingWatch({ ring, view, responder, clock, logger, limits })
  const endWatches = () => {
    watch.close()
  }
  // How the ring came to its end is for whoever started it to handle.
  ring.done.then(endWatches, endWatches)
  const description = jsonAnswer(asciiJson(describeApi(limits, version)))
  return [
    ...compatibleRoutes({ ring, responder, limits }),
    ...lookUpRoutes({ ring, view, responder, limits }),
    {
      path: '/v1/route',
      takesPathsBelow: true,
      any: proxyRoute({ manager: ring.manager, view, responder, limits, settings: routeSettings }),
    },
    ...ringRoutes({ ring, view, watch, responder, clock, limits }),
    {
      path: '/openapi.json',
      GET: (ctx, query) => {
        readParameters(query, [])
        responder.send(ctx, description)
      },
    },
  ]
}

import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import { getOrMake } from '../get-or-make.ts'
import type { Logger } from '../logger.ts'
import type { NamedRing, NamedRings } from '../service/named-rings.ts'
import type { RingService } from '../service/ring-service.ts'
import { AgreementRounds, type AskDigest } from './agreement.ts'
import { compatibleRoutes } from './compatible-routes.ts'
import type { HttpLimits } from './limits.ts'
import { lookUpRoutes } from './look-up-routes.ts'
import { NamedRingRoutes } from './named-ring-routes.ts'
import { describeApi, type Json } from './openapi.ts'
import { splitTarget } from './query.ts'
import { DEFAULT_ROUTE_SETTINGS, proxyRoute, type RouteSettings } from './proxy-route.ts'
import { asciiJson, jsonAnswer, type Responder, type Answer } from './respond.ts'
import { RingAnswers } from './ring-answers.ts'
import { ringRoutes } from './ring-routes.ts'
import { RingWatch } from './ring-watch.ts'
import {
  answerRoute,
  plainRoute,
  RouteTable,
  type FoundRoute,
  type RequestMeter,
  type Route,
  type RouteMeter,
} from './route.ts'

/** Routes of a source, such as `/hashring/update`. */
export type ExtraRoutes = (responder: Responder) => readonly Route[]

/** What a page is made with: the rings that it shows, and how it answers. */
export interface PageParts {
  readonly responder: Responder
  readonly limits: HttpLimits
  readonly own: RingAnswers
  /** Those that are known by name; undefined where none are. */
  readonly named?: { readonly list: () => string; readonly get: (name: string) => RingAnswers } | undefined
}

/** Finds what a page answers at a path that is no route; undefined leaves it to others. */
export type Page = (ctx: Koa.Context, path: string) => Route | undefined

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
  /** @default none */
  readonly extraRoutes?: ExtraRoutes | undefined
  /** Rings besides this one, known by name. @default none */
  readonly rings?: NamedRings | undefined
  /** Is told of each request to one of these paths once its answer is written. */
  readonly meter?: RequestMeter
  /** Asks another member for the digest of its ring. @default nobody is asked */
  readonly askDigest?: AskDigest | undefined
  /** Shows the rings to people. @default no page */
  readonly page?: ((parts: PageParts) => Page) | undefined
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
  const { ring, clock, responder, meter, around } = deps
  const logger = deps.logger.child({ component: 'http' })
  const rounds = new AgreementRounds(ring, { ask: deps.askDigest, clock })
  const made = new WeakMap<RingService, RingAnswers>()
  const answersOf = (service: RingService, namedRing?: NamedRing) =>
    getOrMake(made, service, () => new RingAnswers(service, { named: namedRing, clock, rounds }))
  const named =
    deps.rings &&
    new NamedRingRoutes(deps.rings, (one) => routesOf(deps, logger, answersOf(one.service, one), one))
  const table = new RouteTable([
    ...listRoutes(deps, logger, answersOf(ring), named),
    ...(deps.extraRoutes?.(responder) ?? []),
  ])
  const page = deps.page?.({
    responder,
    limits: deps.limits,
    own: answersOf(ring),
    named: deps.rings &&
      named && {
        list: () => named.listJson(),
        get: (name) => {
          const one = deps.rings!.get(name)
          return answersOf(one.service, one)
        },
      },
  })
  const findPage = (ctx: Koa.Context, path: string): FoundRoute | undefined => {
    const route = page?.(ctx, path)
    return route && { template: route.path, route, below: '' }
  }

  return (ctx, next) => {
    const startedAtMs = meter === undefined ? 0 : clock.now()
    const { path, query } = splitTarget(ctx.req.url ?? '')
    const found = table.find(path) ?? named?.find(path) ?? findPage(ctx, path)
    if (found === undefined) return next()
    if (ring.unsure) ctx.set('Ringman-Unsure', 'true')
    ctx['_matchedRoute'] = found.template
    const answer = () => {
      const running = answerRoute(responder, ctx, found, query)
      return metered(meter?.forRoute(found.template), ctx, startedAtMs, running)
    }
    return around === undefined ? answer() : (around(ctx, async () => answer()) as unknown)
  }
}

/** Tells the meter once the answer is there, which it mostly is at once. */
function metered(
  meter: RouteMeter | undefined,
  ctx: Koa.Context,
  startedAtMs: number,
  running: unknown,
): unknown {
  if (meter === undefined) return running
  if (running instanceof Promise) {
    return running.finally(() => meter.finished(ctx, startedAtMs))
  }
  meter.finished(ctx, startedAtMs)
  return running
}

/** Every route of the look-ups, the description of the API among them. */
export function listRoutes(
  deps: RoutesDeps,
  logger: Logger,
  answers: RingAnswers,
  named?: NamedRingRoutes,
): Route[] {
  const { ring, responder, limits, version = '0.0.0' } = deps
  return [
    ...compatibleRoutes(ring, responder, limits),
    ...routesOf(deps, logger, answers),
    ...(named === undefined ? [] : [named.list]),
    descriptionRoute(() => describeApi(limits, version, named !== undefined)),
  ]
}

/** Where the description of the API is. */
export function descriptionRoute(describe: () => Json): Route {
  let description: Answer | undefined
  return plainRoute('/openapi.json', () => (description ??= jsonAnswer(asciiJson(describe()))))
}

/** The routes under `/v1` of one ring: the own one, or one that is known by name. */
function routesOf(deps: RoutesDeps, logger: Logger, answers: RingAnswers, named?: NamedRing): Route[] {
  const { clock, responder, limits, routeSettings: settings = DEFAULT_ROUTE_SETTINGS } = deps
  const { service: ring, view } = answers
  const watch = new RingWatch({ ring, view, named, responder, clock, logger, limits })
  const endWatches = () => watch.close()
  // How the ring came to its end is for whoever started it to handle.
  ring.done.then(endWatches, endWatches)
  return [
    ...lookUpRoutes(answers, responder, limits),
    { path: '/v1/route', takesPathsBelow: true, any: proxyRoute(answers, limits, settings) },
    ...ringRoutes(answers, watch, responder.ledger.turns, limits),
  ]
}

import Koa from 'koa'
import { RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { PAGE_NOT_FOUND } from './compatible-routes.ts'
import { splitTarget } from './query.ts'
import { shorten } from './parameters.ts'
import type { Responder } from './respond.ts'
import { createRoutes, type RoutesDeps } from './routes.ts'

export interface AppDeps extends RoutesDeps {
  /** Middleware around the routes, outermost first: metrics, traces, the page. */
  readonly extend?: readonly Koa.Middleware[]
}

/**
 * The stand-alone application of the look-up port: the routes, and `application/problem+json` for every path that
 * is not there. (Unknown paths under `/hashring/` are answered as the Go library answers them.)
 */
export function createApp(deps: AppDeps): Koa {
  const app = createBareApp(deps.logger)
  for (const middleware of deps.extend ?? []) app.use(middleware)
  app.use(createRoutes(deps))
  const unknown = deps.meter?.forRoute(undefined)
  app.use((ctx) => {
    const { path } = splitTarget(ctx.req.url ?? '')
    const isOfRings = path === '/v1/rings' || path.startsWith('/v1/rings/')
    if (path.startsWith('/hashring/')) deps.responder.send(ctx, PAGE_NOT_FOUND)
    else if (isOfRings && deps.rings === undefined) sendNotFound(ctx, deps.responder, NO_RINGS)
    else sendNotFound(ctx, deps.responder, ADMIN_PATH.test(path) ? AT_ADMIN_PORT : undefined)
    unknown?.finished(ctx, 0)
  })
  return app
}

/** For whoever asks for the ring of a HashRing where none are kept. */
const NO_RINGS = 'this member keeps no rings of HashRings; one with --hash-rings does'

/** For whoever asks the look-up port for what the admin port has. */
const AT_ADMIN_PORT = 'this is the look-up port; the admin port, --admin-port, may have it'
const ADMIN_PATH = /^\/(livez|readyz|metrics|v1\/(admin\/.*|report|reach))$/

/** A Koa application that logs what its middleware throws, instead of printing it. */
export function createBareApp(logger: Logger): Koa {
  const app = new Koa({ env: 'production' })
  const log = logger.child({ component: 'http' })
  app.on('error', (error: unknown) => {
    const code = (error as { readonly code?: unknown } | null)?.code
    if (typeof code === 'string' && CLIENT_GONE.test(code)) {
      log.debug({ event: 'client.gone', code }, 'Lost a client during an answer')
    } else {
      log.error({ event: 'request.failed', err: error }, 'Failed a request')
    }
  })
  return app
}

/** Codes with which a connection ends when its client goes away: nothing of ours. */
const CLIENT_GONE =
  /^(ECANCELED|ECONNABORTED|ECONNRESET|EPIPE|ERR_STREAM_DESTROYED|ERR_STREAM_PREMATURE_CLOSE|ETIMEDOUT)$/

/**
 * Answers that there is nothing at the path asked for.
 *
 * @param hint - What may help whoever asked, to follow a colon.
 */
export function sendNotFound(ctx: Koa.Context, responder: Responder, hint?: string): void {
  const { path } = splitTarget(ctx.req.url ?? '')
  const nothing = `there is nothing at ${shorten(path)}`
  responder.sendProblem(
    ctx,
    new RingmanError('NOT_FOUND', hint === undefined ? nothing : `${nothing}: ${hint}`),
  )
}

import type Koa from 'koa'
import type { Logger } from '../logger.ts'
import type { Operations } from '../service/operations.ts'
import { describeAdminApi } from './admin-openapi.ts'
import type { ActingGuard } from './acting-guard.ts'
import { adminActions } from './admin-actions.ts'
import { createBareApp, sendNotFound } from './app.ts'
import type { HttpLimits } from './limits.ts'
import { metricsAnswer, type MetricsWriter } from './metrics-answer.ts'
import { splitTarget } from './query.ts'
import { reportRoutes, type ReportDeps } from './report-routes.ts'
import { asciiJson, makeAnswer, type Answer, type Responder } from './respond.ts'
import { answerRoute, RouteTable, type Route } from './route.ts'
import { descriptionRoute } from './routes.ts'

export interface AdminAppDeps extends ReportDeps {
  readonly guard: ActingGuard
  readonly responder: Responder
  readonly metrics: MetricsWriter
  readonly operations: Operations
  readonly logger: Logger
  readonly limits: HttpLimits
  /** What else there is: the look-ups, with the page that shows them and acts. @default nothing */
  readonly others?: Koa.Middleware | undefined
  /** Whether the others have rings that are known by name. */
  readonly hasNamedRings?: boolean
}

/**
 * The application of the admin port: `/livez`, `/readyz`, `/metrics`, what `ringman doctor`
 * asks for, and what operators can do under `/v1/admin`.
 *
 * `/livez` is 200 for as long as restarting the process would not help, and 503 once the ring's source or manager
 * has died. `/readyz` is 200 or 503 by {@link Readiness}, with every check and a sentence for a human.
 */
export function createAdminApp(deps: AdminAppDeps): Koa {
  const { responder, others } = deps
  const table = new RouteTable(listAdminRoutes(deps))
  const app = createBareApp(deps.logger)
  app.use((ctx, next) => {
    const { path, query } = splitTarget(ctx.req.url ?? '')
    const found = table.find(path)
    return found === undefined ? next() : answerRoute(responder, ctx, found, query)
  })
  if (others !== undefined) app.use(others)
  app.use((ctx) => {
    sendNotFound(ctx, responder, others === undefined ? NO_LOOK_UPS : undefined)
  })
  return app
}

/** For whoever asks the admin port for what it does not have. */
const NO_LOOK_UPS = 'this is the admin port; look-ups are answered at the port of --http-port'

/** Every route of the admin port but the others, the description of the API among them. */
export function listAdminRoutes(deps: AdminAppDeps): Route[] {
  const { ring, readiness, limits, version, others, operations, guard, hasNamedRings = false } = deps
  let died = false
  ring.done.catch(() => {
    // The reason is logged by whoever runs the ring.
    died = true
  })
  const answerMetrics = metricsAnswer(deps.metrics)
  return [
    {
      path: '/livez',
      GET: () => {
        const message = died ? 'The ring has died; its log says why.' : 'The process is up.'
        return healthAnswer(!died, { live: !died, message })
      },
    },
    {
      path: '/readyz',
      GET: async () => {
        const { ready, checks } = await readiness.evaluate()
        const failed = checks.filter(({ ok }) => !ok).map((check) => check.message)
        const message = ready ? 'Ready for look-ups.' : `Not ready. ${failed.join(' ')}`
        return healthAnswer(ready, { ready, message, checks })
      },
    },
    { path: '/metrics', GET: ({ req }) => answerMetrics(req) },
    ...reportRoutes(deps),
    ...adminActions(operations, guard, deps.responder.ledger),
    descriptionRoute(() => describeAdminApi(limits, version, others && { hasNamedRings })),
  ]
}

function healthAnswer(ok: boolean, body: unknown): Answer {
  const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store']
  return makeAnswer(ok ? 200 : 503, headers, asciiJson(body))
}

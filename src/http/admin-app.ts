import type Koa from 'koa'
import { RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { RingService } from '../service/ring-service.ts'
import { createBareApp, sendNotFound } from './app.ts'
import { splitTarget } from './query.ts'
import type { Readiness } from './readiness.ts'
import { asciiJson, makeAnswer, type Answer, type Responder } from './respond.ts'

export interface AdminAppDeps {
  readonly ring: RingService
  readonly readiness: Readiness
  readonly responder: Responder
  readonly logger: Logger
  /** Middleware for further paths of the admin port, such as `/metrics`, in that order. */
  readonly extend?: readonly Koa.Middleware[]
}

/**
 * The application of the admin port: `/livez` and `/readyz`.
 *
 * `/livez` is 200 for as long as restarting the process would not help, and 503 once the ring's source or manager
 * has died. `/readyz` is 200 or 503 by {@link Readiness}, with every check and a sentence for a human.
 */
export function createAdminApp(deps: AdminAppDeps): Koa {
  const { ring, readiness, responder, extend = [] } = deps
  let died = false
  ring.done.catch(() => {
    // The reason is logged by whoever runs the ring.
    died = true
  })
  const app = createBareApp(deps.logger)
  app.use(async (ctx, next) => {
    const { path } = splitTarget(ctx.req.url ?? '')
    if (path !== '/livez' && path !== '/readyz') return (await next()) as unknown
    ctx['_matchedRoute'] = path
    if (ctx.method === 'OPTIONS') {
      responder.send(ctx, { status: 204, headers: ['Allow', ALLOW], body: '' })
    } else if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      const error = new RingmanError('METHOD_NOT_ALLOWED', `${path} takes ${ALLOW}`)
      responder.sendProblem(ctx, error, ['Allow', ALLOW])
    } else if (path === '/livez') {
      responder.send(
        ctx,
        healthAnswer(!died, {
          live: !died,
          message: died ? 'The ring has died; its log says why.' : 'The process is up.',
        }),
      )
    } else {
      const { ready, checks } = await readiness.evaluate()
      const failed = checks.filter(({ ok }) => !ok).map(({ message }) => message)
      responder.send(
        ctx,
        healthAnswer(ready, {
          ready,
          message: ready ? 'Ready for look-ups.' : `Not ready. ${failed.join(' ')}`,
          checks,
        }),
      )
    }
    return undefined
  })
  for (const middleware of extend) app.use(middleware)
  app.use((ctx) => {
    sendNotFound(ctx, responder, 'this is the admin port; look-ups are answered at the port of --http-port')
  })
  return app
}

const ALLOW = 'GET, HEAD, OPTIONS'

function healthAnswer(ok: boolean, body: unknown): Answer {
  const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store']
  return makeAnswer(ok ? 200 : 503, headers, asciiJson(body))
}

import type { IncomingMessage } from 'node:http'
import type Koa from 'koa'
import { RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { RingService } from '../service/ring-service.ts'
import { createBareApp, sendNotFound } from './app.ts'
import { metricsAnswer, type MetricsWriter } from './metrics-answer.ts'
import { splitTarget } from './query.ts'
import type { Readiness } from './readiness.ts'
import { asciiJson, makeAnswer, type Answer, type Responder } from './respond.ts'

export interface AdminAppDeps {
  readonly ring: RingService
  readonly readiness: Readiness
  readonly metrics: MetricsWriter
  readonly responder: Responder
  readonly logger: Logger
}

/**
 * The application of the admin port: `/livez`, `/readyz` and `/metrics`.
 *
 * `/livez` is 200 for as long as restarting the process would not help, and 503 once the ring's source or manager
 * has died. `/readyz` is 200 or 503 by {@link Readiness}, with every check and a sentence for a human.
 */
export function createAdminApp(deps: AdminAppDeps): Koa {
  const { ring, readiness, responder } = deps
  let died = false
  ring.done.catch(() => {
    // The reason is logged by whoever runs the ring.
    died = true
  })
  const answers = new Map<string, (request: IncomingMessage) => Answer | Promise<Answer>>([
    [
      '/livez',
      () => {
        const message = died ? 'The ring has died; its log says why.' : 'The process is up.'
        return healthAnswer(!died, { live: !died, message })
      },
    ],
    [
      '/readyz',
      async () => {
        const { ready, checks } = await readiness.evaluate()
        const failed = checks.filter(({ ok }) => !ok).map((check) => check.message)
        const message = ready ? 'Ready for look-ups.' : `Not ready. ${failed.join(' ')}`
        return healthAnswer(ready, { ready, message, checks })
      },
    ],
    ['/metrics', metricsAnswer(deps.metrics)],
  ])
  const app = createBareApp(deps.logger)
  app.use(async (ctx) => {
    const { path } = splitTarget(ctx.req.url ?? '')
    const answer = answers.get(path)
    if (answer === undefined) {
      sendNotFound(ctx, responder, 'this is the admin port; look-ups are answered at the port of --http-port')
      return
    }
    ctx['_matchedRoute'] = path
    if (ctx.method === 'OPTIONS') {
      responder.send(ctx, { status: 204, headers: ['Allow', ALLOW], body: '' })
    } else if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      const error = new RingmanError('METHOD_NOT_ALLOWED', `${path} takes ${ALLOW}`)
      responder.sendProblem(ctx, error, ['Allow', ALLOW])
    } else {
      try {
        responder.send(ctx, await answer(ctx.req))
      } catch (error) {
        responder.sendProblem(ctx, error)
      }
    }
  })
  return app
}

const ALLOW = 'GET, HEAD, OPTIONS'

function healthAnswer(ok: boolean, body: unknown): Answer {
  const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store']
  return makeAnswer(ok ? 200 : 503, headers, asciiJson(body))
}

import Koa from 'koa'
import { describe, expect, onTestFinished, test } from 'vitest'
import { httpParts } from '../support/http-parts.ts'
import { makeAnswer } from '../../src/http/respond.ts'
import { createRoutes, type RoutesDeps } from '../../src/http/routes.ts'
import { openServer } from '../../src/http/server.ts'
import { exchange, get, request } from './raw-client.ts'
import { makeRing } from './running-ring.ts'
import { TurnClock } from '../support/turn-clock.ts'

/** The routes amid other middleware of a Koa application that is not ours. */
async function mount(around: Koa.Middleware, after: Koa.Middleware, more: Partial<RoutesDeps> = {}) {
  const { ring } = makeRing()
  await ring.start()
  const app = new Koa()
  app.silent = true
  app.use(around)
  const parts = httpParts()
  app.use(createRoutes({ ring, ...parts, ...more }))
  app.use(after)
  const server = await openServer(app, parts)
  onTestFinished(async () => {
    await server.close(0)
    await ring.stop()
  })
  return server.port
}

const through: Koa.Middleware = (_, next) => next() as unknown

describe('createRoutes in another application', () => {
  test('answers its own paths and passes on the rest', async () => {
    const port = await mount(through, (ctx) => {
      ctx.body = `mine: ${ctx.path}`
    })
    expect((await exchange(port, get('/v1/owner?key=a'))).body).toContain('"owner"')
    for (const path of ['/', '/v1', '/v1/other', '/hashring', '/hashring/other', '/livez']) {
      expect((await exchange(port, get(path))).body).toBe(`mine: ${path}`)
    }
  })

  test('says of its own answers that they are unsure, and of no others', async () => {
    const { ring, source } = makeRing({ maxSilenceMs: 1000, clock: new TurnClock() })
    onTestFinished(() => ring.stop())
    await ring.start()
    source.statisticsNow = { staleMs: 10_000 }
    await expect.poll(() => ring.unsure).toBe(true)
    const port = await mount(through, through, { ring })
    const said = ['/v1/owner?key=a', '/v1/owner', '/other'].map(async (path) => {
      return (await exchange(port, get(path))).headers.get('ringman-unsure')
    })
    expect(await Promise.all(said)).toEqual(['true', 'true', undefined])
  })

  test('answers its own errors itself', async () => {
    const port = await mount(through, through)
    expect((await exchange(port, get('/v1/owner'))).status).toBe(400)
    expect((await exchange(port, request('PUT', '/v1/owner'))).status).toBe(405)
  })

  test('lets middleware around it add headers before, and see route and status after', async () => {
    const seen: unknown[] = []
    const port = await mount(async (ctx, next) => {
      ctx.set('X-Before', 'yes')
      await next()
      seen.push([ctx['_matchedRoute'], ctx.status])
    }, through)
    const answer = await exchange(port, get('/v1/owner?key=a'))
    expect(answer.headers.get('x-before')).toBe('yes')
    expect(answer.headers.get('content-type')).toBe('application/json')
    await exchange(port, get('/v1%2Fowner'))
    await exchange(port, get('/hashring/nodes/get'))
    expect(seen).toEqual([
      ['/v1/owner', 200],
      ['/v1/owner', 400],
      ['/hashring/nodes/get', 404],
    ])
  })

  test('is found below a prefix that the application takes off', async () => {
    const port = await mount((ctx, next) => {
      if (ctx.path.startsWith('/ring/')) ctx.path = ctx.path.slice('/ring'.length)
      return next() as unknown
    }, through)
    const answer = await exchange(port, get('/ring/v1/owner?key=caf%C3%A9'))
    expect(answer.body).toBe((await exchange(port, get('/v1/owner?key=caf%C3%A9'))).body)
  })

  test('answers at further paths', async () => {
    const port = await mount(through, through, {
      extraRoutes: () => [
        {
          path: '/hashring/update',
          any: (ctx) => makeAnswer(200, [], `${ctx.method} ${String(ctx['_matchedRoute'])}`),
        },
      ],
    })
    for (const target of ['/hashring/update?x', '/hashring%2Fupdate']) {
      expect((await exchange(port, request('POST', target))).body).toBe('POST /hashring/update')
    }
    expect((await exchange(port, get('/hashring/nodes'))).status).toBe(200)
  })
})

import type { Middleware } from 'koa'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createAdminApp } from '../../src/http/admin-app.ts'
import { Readiness } from '../../src/http/readiness.ts'
import { openServer } from '../../src/http/server.ts'
import { httpParts } from '../support/http-parts.ts'
import { exchange, get, request } from './raw-client.ts'
import { makeRing, operationsOf } from './running-ring.ts'

async function serveAdmin(others?: Middleware) {
  const { ring, source } = makeRing({ selfName: 'node1' })
  const readiness = new Readiness({ ring, clock: systemClock, minMembers: 1, minMembersTimeoutMs: 1000 })
  const parts = httpParts()
  const app = createAdminApp({
    ring,
    readiness,
    ...parts,
    ...operationsOf(ring),
    metrics: { write: () => Promise.reject(new Error('nobody asks')) },
    others,
  })
  const server = await openServer(app, parts)
  onTestFinished(() => server.close(0))
  const ask = async (bytes: string) => {
    const answer = await exchange(server.port, bytes)
    return { ...answer, json: (answer.body === '' ? {} : JSON.parse(answer.body)) as Record<string, unknown> }
  }
  return { ring, source, readiness, ask }
}

describe('/readyz', () => {
  test('is 503 with the reasons, then 200', async () => {
    const { ring, readiness, ask } = await serveAdmin()
    const before = await ask(get('/readyz'))
    expect([before.status, before.json['ready']]).toEqual([503, false])
    expect(before.json['message']).toMatch(/^Not ready\. .*The ring manager is not running\./)
    await ring.start()
    const after = await ask(get('/readyz'))
    expect(after.status).toBe(200)
    expect(after.headers.get('content-type')).toBe('application/json')
    expect(after.json).toEqual({
      ready: true,
      message: 'Ready for look-ups.',
      checks: (await readiness.evaluate()).checks,
    })
    await ring.leave()
    expect((await ask(get('/readyz'))).json['message']).toBe(
      'Not ready. This member, "node1", is not on the ring. This process is leaving and takes no new work.',
    )
    await ring.stop()
  })
})

describe('/livez', () => {
  test('is 200 until the ring dies', async () => {
    const { ring, source, ask } = await serveAdmin()
    expect((await ask(get('/livez'))).status).toBe(200)
    await ring.start()
    expect((await ask(get('/livez'))).json).toMatchObject({ live: true })
    source.die(new Error('the loop died'))
    await expect.poll(async () => (await ask(get('/livez'))).status).toBe(503)
    await ring.stop()
  })

  test('stays 200 when the ring has stopped as it should', async () => {
    const { ring, ask } = await serveAdmin()
    await ring.start()
    await ring.stop()
    expect((await ask(get('/livez'))).status).toBe(200)
  })
})

describe('the admin port', () => {
  test('has HEAD, OPTIONS, 405 and 404', async () => {
    const { ask } = await serveAdmin()
    expect(await ask(request('HEAD', '/livez'))).toMatchObject({ status: 200, body: '' })
    const options = await ask(request('OPTIONS', '/readyz'))
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS'])
    const post = await ask(request('POST', '/readyz'))
    expect([post.status, post.json['code'], post.headers.get('allow')]).toEqual([
      405,
      'METHOD_NOT_ALLOWED',
      'GET, HEAD, OPTIONS',
    ])
    expect((await ask(get('/nothing'))).json['code']).toBe('NOT_FOUND')
    expect((await ask(get('/v1/owner?key=a'))).json['code']).toBe('NOT_FOUND')
  })

  test('says that it is the admin port when it is asked for an owner', async () => {
    const { ask } = await serveAdmin()
    expect((await ask(get('/v1/owner?key=k'))).json).toMatchObject({
      status: 404,
      detail: expect.stringContaining('this is the admin port; look-ups are answered') as string,
    })
  })

  test('sends nobody to the other port where it answers look-ups itself', async () => {
    const { ask } = await serveAdmin((_, next) => next())
    expect((await ask(get('/'))).json).toMatchObject({ status: 404, detail: 'there is nothing at "/"' })
  })
})

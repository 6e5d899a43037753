import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createApp } from '../../src/http/app.ts'
import { makeAnswer } from '../../src/http/respond.ts'
import { httpParts } from '../support/http-parts.ts'
import { openServer, type OpenServer } from '../../src/http/server.ts'
import { RequestTally } from '../../src/telemetry/request-tally.ts'
import { writeMetrics } from '../../src/telemetry/exposition.ts'
import type { Samples } from '../../src/telemetry/sample.ts'
import { collect, dial, exchange, get, request } from '../http/raw-client.ts'
import { makeRing, type RingOptions } from '../http/running-ring.ts'
import { parseExposition } from '../support/exposition.ts'

const open: { server: OpenServer; stop: () => Promise<void> }[] = []

afterEach(async () => {
  for (const { server, stop } of open.splice(0)) {
    await server.close(0)
    await stop()
  }
})

async function serve(
  options: RingOptions & {
    readonly start?: boolean
    readonly traceIds?: readonly (string | undefined)[]
  } = {},
) {
  const { ring, source } = makeRing(options)
  const traceIds = [...(options.traceIds ?? [])]
  const tally = new RequestTally({
    clock: systemClock,
    manager: ring.manager,
    ...(options.traceIds === undefined ? {} : { currentTraceId: () => traceIds.shift() }),
  })
  if (options.start !== false) await ring.start()
  const parts = httpParts({ limits: { maxBodyBytes: 4096 } })
  const extraRoutes = () => [
    {
      path: '/extra',
      any: async () => {
        await Promise.resolve()
        return makeAnswer(202, [], 'extra')
      },
    },
  ]
  const app = createApp({ ring, ...parts, meter: tally, extraRoutes })
  const server = await openServer(app, parts)
  open.push({ server, stop: () => ring.stop() })
  return { ring, source, tally, server, ask: (bytes: string) => exchange(server.port, bytes) }
}

/** Series that are not 0, by their label values. */
function nonZero(samples: Samples[keyof Samples]): Record<string, number> {
  return Object.fromEntries(
    (samples ?? []).flatMap(({ labels = {}, value }) =>
      value === 0 ? [] : [[Object.values(labels).join(' '), value]],
    ),
  )
}

const post = (path: string, body: string, type = 'application/json') =>
  request('POST', path, { 'Content-Type': type, 'Content-Length': String(body.length) }, body)

describe('look-ups', () => {
  test('count by route and result', async () => {
    const { tally, ask } = await serve()
    await ask(get('/v1/owner?key=a'))
    await ask(get('/%761/owner?key=a'))
    await ask(request('HEAD', '/v1/owner?key=a'))
    await ask(get('/v1/owner'))
    await ask(get('/v1/owners?key=a&n=2'))
    await ask(get('/v1/owners?key=a&n=0'))
    await ask(post('/v1/owners', '{"keys":["a","b","c"]}'))
    await ask(post('/v1/owners', 'nonsense'))
    await ask(post('/v1/owners', `"${'x'.repeat(5000)}"`))
    await ask(get('/hashring/nodes/get?key=a'))
    await ask(request('DELETE', '/hashring/nodes/get?key=a'))
    await ask(post('/hashring/nodes/get', 'key=a', 'application/x-www-form-urlencoded'))
    await ask(get('/hashring/nodes/get'))
    const samples = tally.collect()
    expect(nonZero(samples.lookUps)).toEqual({
      '/v1/owner ok': 3,
      '/v1/owner refused': 1,
      '/v1/owners ok': 1,
      '/v1/owners refused': 1,
      'POST /v1/owners ok': 1,
      'POST /v1/owners refused': 2,
      '/hashring/nodes/get ok': 3,
      '/hashring/nodes/get refused': 1,
    })
    expect(nonZero(samples.lookUpKeys)).toEqual({
      '/v1/owner': 3,
      '/v1/owners': 1,
      'POST /v1/owners': 3,
      '/hashring/nodes/get': 3,
    })
    const counts = samples.lookUpDuration?.filter(({ suffix }) => suffix === '_count')
    expect(nonZero(counts)).toEqual({
      '/v1/owner': 4,
      '/v1/owners': 2,
      'POST /v1/owners': 3,
      '/hashring/nodes/get': 4,
    })
  })

  test('what is no look-up is not counted as one', async () => {
    const { tally, ask } = await serve()
    await ask(request('OPTIONS', '/v1/owner'))
    await ask(request('PUT', '/v1/owner?key=a'))
    await ask(get('/v1/ring'))
    await ask(get('/v1/members'))
    expect(nonZero(tally.collect().lookUps)).toEqual({})
  })

  test('tell an empty ring from one that does not run, on the compatible route too', async () => {
    const { ring, source, tally, ask } = await serve({ start: false })
    await ask(get('/v1/owner?key=a'))
    await ask(get('/hashring/nodes/get?key=a'))
    await ring.start()
    source.set([])
    await ring.manager.setNodes([])
    await ask(get('/v1/owner?key=a'))
    await ask(post('/v1/owners', '{"keys":["a"]}'))
    expect((await ask(get('/hashring/nodes/get?key=a'))).status).toBe(200)
    expect(nonZero(tally.collect().lookUps)).toEqual({
      '/v1/owner unavailable': 1,
      '/hashring/nodes/get unavailable': 1,
      '/v1/owner ring-empty': 1,
      'POST /v1/owners ring-empty': 1,
      '/hashring/nodes/get ring-empty': 1,
    })
  })

  test("a proxy's request counts with any method and path, and apart where it has no key", async () => {
    const { tally, ask } = await serve()
    const key = { 'X-Ringman-Key': 'a' }
    await ask(get('/v1/route', key))
    await ask(get('/v1/route/b/c?d', key))
    await ask(request('PATCH', '/v1/route/b', key))
    await ask(get('/v1/route/b'))
    await ask(request('POST', '/v1/route/b'))
    const samples = tally.collect()
    expect(nonZero(samples.lookUps)).toEqual({ '/v1/route ok': 3, '/v1/route no-key': 2 })
    expect(nonZero(samples.lookUpKeys)).toEqual({ '/v1/route': 3 })
    expect(samples.httpRequests?.map(({ labels }) => Object.values(labels ?? {}).join(' '))).toEqual([
      '/v1/route GET 200',
      '/v1/route other 200',
      '/v1/route POST 200',
    ])
  })

  test('a fault of ours is failed', async () => {
    const { ring, tally, ask } = await serve()
    ring.manager.getNode = () => {
      throw new Error('a bug')
    }
    expect((await ask(get('/v1/owner?key=a'))).status).toBe(500)
    expect(nonZero(tally.collect().lookUps)).toEqual({ '/v1/owner failed': 1 })
  })

  test('all series are there from the start', async () => {
    const { tally } = await serve()
    const { lookUps = [], lookUpKeys = [], lookUpDuration = [] } = tally.collect()
    expect([lookUps.length, lookUpKeys.length, lookUpDuration.length]).toEqual([30, 5, 5 * 14])
  })
})

describe('requests', () => {
  test('count by route, method and status', async () => {
    const { tally, ask } = await serve()
    await ask(get('/v1/owner?key=a'))
    await ask(get('/v1/owner'))
    await ask(request('OPTIONS', '/v1/owner'))
    await ask(request('BREW', '/v1/owner')).catch(() => {})
    await ask(request('DELETE', '/v1/owner'))
    await ask(get('/extra'))
    await ask(get('/hashring/unknown'))
    await ask(get('/'))
    expect(nonZero(tally.collect().httpRequests)).toEqual({
      '/v1/owner GET 200': 1,
      '/v1/owner GET 400': 1,
      '/v1/owner OPTIONS 204': 1,
      '/v1/owner other 405': 1,
      '/extra GET 202': 1,
      'other GET 404': 2,
    })
  })

  test('one whose client went away before the answer is aborted', async () => {
    const { tally, server } = await serve()
    const socket = await dial(server.port)
    socket.write(
      'POST /v1/owners HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
    )
    socket.destroy()
    await expect.poll(() => nonZero(tally.collect().httpRequests)).toEqual({ '/v1/owners POST aborted': 1 })
    expect(nonZero(tally.collect().lookUps)).toEqual({ 'POST /v1/owners refused': 1 })
  })

  test('a watch counts when it begins', async () => {
    const { tally, server } = await serve()
    const socket = await dial(server.port)
    socket.write(get('/v1/ring/watch'))
    await expect.poll(() => nonZero(tally.collect().httpRequests)).toEqual({ '/v1/ring/watch GET 200': 1 })
    socket.destroy()
  })
})

test('a thousand unknown paths, methods, keys and hosts make no series', async () => {
  const { tally, server } = await serve()
  const METHODS = ['GET', 'PUT', 'PATCH', 'PROPFIND', 'M-SEARCH', 'LOCK']
  const socket = await dial(server.port)
  const received = collect(socket)
  const answers = () => received.text.split('HTTP/1.1 ').length - 1
  const series = () => (tally.collect().httpRequests ?? []).length
  let asked = 0
  for (let i = 0; i < 1000; i++) {
    const method = METHODS[i % METHODS.length] ?? 'GET'
    socket.write(request(method, `/${'x/'.repeat(i % 9)}${i}?route=/v1/owner`, { Host: `h${i}` }))
    socket.write(request(method, `/v1/owner?key=${i}`, { Host: `h${i}` }))
    asked += 2
    if (i === 20) await expect.poll(answers).toBe(asked)
    if (i === 20) expect(series()).toBe(4)
  }
  await expect.poll(answers, { timeout: 60_000 }).toBe(asked)
  socket.destroy()
  expect(nonZero(tally.collect().httpRequests)).toEqual({
    'other GET 404': 167,
    'other other 404': 833,
    '/v1/owner GET 200': 167,
    '/v1/owner other 405': 833,
  })
})

describe('exemplars', () => {
  const ID = '0af7651916cd43dd8448eb211c80319c'

  test('are the trace ids of look-ups that are traced, in OpenMetrics alone', async () => {
    const { tally, ask } = await serve({ traceIds: [undefined, ID] })
    await ask(get('/v1/owner?key=a'))
    const samples = tally.collect()
    expect(samples.lookUpDuration?.filter(({ exemplar }) => exemplar !== undefined)).toEqual([])
    await ask(get('/v1/owner?key=a'))
    const ids = ['lookUpDuration', 'lookUps'] as const
    const { body } = await writeMetrics('openmetrics', ids, tally.collect())
    const parsed = parseExposition(body, 'openmetrics').get('ringman_lookup_duration_seconds')
    const exemplars = (parsed?.samples ?? []).filter(({ exemplar }) => exemplar !== undefined)
    expect(exemplars).toHaveLength(1)
    const [sample] = exemplars
    expect(sample?.labels['route']).toBe('/v1/owner')
    expect(sample?.exemplar?.labels).toEqual({ trace_id: ID })
    expect(sample?.exemplar?.value).toBeGreaterThan(0)
    expect(sample?.exemplar?.value).toBeLessThanOrEqual(
      Number(sample?.labels['le']?.replace('+Inf', 'Infinity')),
    )
    expect(Math.abs((sample?.exemplar?.timestamp ?? 0) - Date.now() / 1000)).toBeLessThan(60)
    const plain = await writeMetrics('prometheus', ids, tally.collect())
    expect(plain.body).not.toContain(ID)
    parseExposition(plain.body, 'prometheus')
  })

  test('are one for each bucket, however many look-ups there are', async () => {
    const { tally, ask } = await serve({ traceIds: Array.from({ length: 30 }, () => ID) })
    for (let i = 0; i < 30; i++) await ask(get('/v1/owner?key=a'))
    const { lookUpDuration = [] } = tally.collect()
    expect(lookUpDuration.filter(({ exemplar }) => exemplar !== undefined).length).toBeLessThanOrEqual(12)
  })
})

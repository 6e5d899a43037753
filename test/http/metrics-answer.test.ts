import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createAdminApp } from '../../src/http/admin-app.ts'
import { httpParts } from '../support/http-parts.ts'
import { chooseFormat, type MetricsWriter } from '../../src/http/metrics-answer.ts'
import { Readiness } from '../../src/http/readiness.ts'
import { openServer } from '../../src/http/server.ts'
import { exchange, get, request } from './raw-client.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { makeRing, operationsOf } from './running-ring.ts'

const echo: MetricsWriter = {
  write: (format) => Promise.resolve({ contentType: `text/x-${format}`, body: `µ ${format}\n` }),
}

async function serve(metrics: MetricsWriter = echo) {
  const { ring } = makeRing()
  const logger = new RecordingLogger()
  const clock = systemClock
  const readiness = new Readiness({ ring, clock, minMembers: 1, minMembersTimeoutMs: 1000 })
  const parts = httpParts({ logger })
  const app = createAdminApp({ ring, readiness, ...parts, ...operationsOf(ring), metrics })
  const server = await openServer(app, parts)
  onTestFinished(() => server.close(0))
  return { ask: (bytes: string) => exchange(server.port, bytes), logger }
}

describe('/metrics', () => {
  test('is text in UTF-8, that nobody may keep', async () => {
    const { ask } = await serve()
    const { status, headers, body } = await ask(get('/metrics'))
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('text/x-prometheus')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('vary')).toBe('Accept')
    expect(headers.get('content-length')).toBe(String(Buffer.byteLength('µ prometheus\n')))
    expect(Buffer.from(body, 'latin1').toString('utf8')).toContain('µ prometheus')
  })

  test('takes a query, which means nothing', async () => {
    const { ask } = await serve()
    expect((await ask(get('/metrics?name[]=up'))).status).toBe(200)
  })

  test('HEAD has the headers alone', async () => {
    const { ask } = await serve()
    const answer = await ask(request('HEAD', '/metrics'))
    expect([answer.status, answer.body]).toEqual([200, ''])
    expect(answer.headers.get('content-length')).toBe(String(Buffer.byteLength('µ prometheus\n')))
  })

  test('OPTIONS and other methods say what is allowed', async () => {
    const { ask } = await serve()
    const options = await ask(request('OPTIONS', '/metrics'))
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS'])
    const post = await ask(request('POST', '/metrics'))
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS'])
    expect(JSON.parse(post.body)).toMatchObject({ code: 'METHOD_NOT_ALLOWED' })
  })

  test('paths beside it are not there', async () => {
    const { ask } = await serve()
    for (const path of ['/metrics/', '/Metrics', '/metrics/x', '//metrics']) {
      expect((await ask(get(path))).status).toBe(404)
    }
  })

  test('a collector that fails is a fault, and is logged', async () => {
    const { ask, logger } = await serve({ write: () => Promise.reject(new Error('broken')) })
    const answer = await ask(get('/metrics'))
    expect(answer.status).toBe(500)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'INTERNAL' })
    expect(answer.body).not.toContain('broken')
    expect(logger.errors).toHaveLength(1)
  })
})

describe('the format', () => {
  const V1 = 'application/openmetrics-text;version=1.0.0'

  test.each([
    [undefined, 'prometheus'],
    ['', 'prometheus'],
    ['*/*', 'prometheus'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'prometheus'],
    ['text/plain;version=0.0.4', 'prometheus'],
    ['application/openmetrics-text', 'openmetrics'],
    [V1, 'openmetrics'],
    [`${V1},text/plain;version=0.0.4;q=0.5,*/*;q=0.1`, 'openmetrics'],
    // Prometheus 2.42 and 3.
    [
      'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
      'openmetrics',
    ],
    [
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1',
      'openmetrics',
    ],
    ['application/openmetrics-text;version=0.0.1', 'prometheus'],
    ['application/openmetrics-text;version=2.0.0', 'prometheus'],
    [`${V1};q=0`, 'prometheus'],
    [`${V1};q=0.5,text/plain`, 'prometheus'],
    [`${V1};q=nonsense,text/plain;q=0.1`, 'prometheus'],
    ['APPLICATION/OpenMetrics-Text; Version=1.0.0', 'openmetrics'],
    [';;;,,,q=1;', 'prometheus'],
    [`${','.repeat(2000)}${V1}`, 'prometheus'],
  ])('for Accept %j is %s', (accept, format) => {
    expect(chooseFormat(accept)).toBe(format)
  })
})

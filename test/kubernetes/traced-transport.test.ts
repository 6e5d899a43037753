import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { afterEach, expect, test } from 'vitest'
import type { ApiTransport } from '../../src/kubernetes/api-transport.ts'
import { TracedTransport } from '../../src/kubernetes/traced-transport.ts'
import { RecordedSpans } from '../support/recorded-spans.ts'

let spans: RecordedSpans
afterEach(() => {
  spans[Symbol.dispose]()
})

test('each request is a client span, named without its namespace, that tells how it ended', async () => {
  spans = new RecordedSpans()
  let renewed = 0
  const inner: ApiTransport = {
    server: 'https://api',
    namespace: () => Promise.resolve('shop'),
    get: (path) => {
      if (path.endsWith('pods'))
        return Promise.reject(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }))
      const body = (async function* () {})()
      return Promise.resolve({ status: path.includes('closed') ? 403 : 200, body })
    },
    renewCredentials: () => {
      renewed++
    },
  }
  const traced = new TracedTransport(inner, trace.getTracer('test'))
  const { signal } = new AbortController()
  const slices = (namespace: string) => `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`
  expect(
    (await traced.get(slices('shop'), { watch: 'true', labelSelector: 'secret=1' }, signal)).status,
  ).toBe(200)
  expect((await traced.get(slices('closed'), {}, signal)).status).toBe(403)
  await expect(traced.get('/api/v1/namespaces/shop/pods', {}, signal)).rejects.toThrow('no')
  expect(await traced.namespace(signal)).toBe('shop')
  expect(traced.server).toBe('https://api')
  traced.renewCredentials()
  expect(renewed).toBe(1)

  const [watch, closed, pods] = spans.all
  expect(watch).toMatchObject({ name: `GET ${slices('{namespace}')}`, kind: SpanKind.CLIENT })
  expect(watch?.attributes).toEqual({
    'http.request.method': 'GET',
    'http.response.status_code': 200,
    'url.template': slices('{namespace}'),
    'url.path': slices('shop'),
    'ringman.kubernetes.watch': true,
  })
  expect(closed?.attributes).toMatchObject({ 'http.response.status_code': 403, 'error.type': '403' })
  expect(pods?.attributes['error.type']).toBe('ECONNREFUSED')
  expect(pods?.status.code).toBe(SpanStatusCode.ERROR)
})

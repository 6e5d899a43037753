import { createServer } from 'node:http'
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import type { ClusterConnection } from '../../src/kubernetes/api-transport.ts'
import { HttpsTransport } from '../../src/kubernetes/https-transport.ts'
import { listening } from '../support/listening.ts'
import { RecordedSpans } from '../support/recorded-spans.ts'

test('each request is a client span, named without its namespace, that tells how it ended', async () => {
  using spans = new RecordedSpans()
  const api = createServer(({ url = '' }, response) => {
    if (url.includes('nodes')) response.writeHead(101, { connection: 'upgrade', upgrade: 'SPDY/3.1' }).end()
    else response.writeHead(url.includes('closed') ? 403 : 200).end()
  })
  const connection: ClusterConnection = {
    server: new URL((await listening(api)).url),
    namespace: 'shop',
    headers: {},
    options: {},
  }
  const access = { connection: () => Promise.resolve(connection), renew: () => {} }
  const transport = new HttpsTransport(access, 'ringman/test', trace.getTracer('test'))
  const { signal } = new AbortController()
  const slices = (namespace: string) => `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`
  const query = { watch: 'true', labelSelector: 'secret=1' }
  expect((await transport.send({ path: slices('shop'), query }, signal)).status).toBe(200)
  expect((await transport.send({ path: slices('closed') }, signal)).status).toBe(403)
  await expect(transport.send({ path: '/api/v1/nodes' }, signal)).rejects.toThrow('without an answer')
  await new Promise((resolve) => api.close(resolve))
  const pods = transport.send({ path: '/api/v1/namespaces/shop/pods' }, signal)
  await expect(pods).rejects.toMatchObject({ code: 'ECONNREFUSED' })

  const [watch, closed, , refused] = spans.all
  expect(watch).toMatchObject({ name: `GET ${slices('{namespace}')}`, kind: SpanKind.CLIENT })
  expect(watch?.attributes).toEqual({
    'http.request.method': 'GET',
    'http.response.status_code': 200,
    'url.template': slices('{namespace}'),
    'url.path': slices('shop'),
    'ringman.kubernetes.watch': true,
  })
  expect(closed?.attributes).toMatchObject({ 'http.response.status_code': 403, 'error.type': '403' })
  expect(refused?.attributes['error.type']).toBe('ECONNREFUSED')
  expect(refused?.status.code).toBe(SpanStatusCode.ERROR)
})

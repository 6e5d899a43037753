import { createHash } from 'node:crypto'
import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace'
import * as fc from 'fast-check'
import type Koa from 'koa'
import { afterEach, describe, expect, test } from 'vitest'
import { tracingMiddleware } from '../../src/telemetry/tracing-middleware.ts'
import { exchange, get, request } from '../http/raw-client.ts'
import { serveRing, type ServedRing } from '../http/running-ring.ts'
import { isChild, RecordedSpans } from '../support/recorded-spans.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'
const CALLER = `00-${TRACE}-${PARENT}-01`

let recorded: RecordedSpans | undefined
afterEach(() => {
  recorded?.[Symbol.dispose]()
})

/** A served ring whose requests are traced by a tracer of `spans`. */
async function serveTraced(
  options: NonNullable<Parameters<typeof serveRing>[0]> & {
    readonly spans?: RecordedSpans
    readonly traceKeys?: boolean
    readonly inner?: readonly Koa.Middleware[]
    readonly outer?: readonly Koa.Middleware[]
  } = {},
): Promise<{ readonly served: ServedRing; readonly spans: RecordedSpans } & AsyncDisposable> {
  const { spans = new RecordedSpans(), traceKeys = false, inner = [], outer = [] } = options
  recorded = spans
  const holder: { served?: ServedRing } = {}
  const middleware = tracingMiddleware({
    tracer: trace.getTracer('test'),
    manager: {
      get snapshot() {
        if (holder.served === undefined) throw new Error('no ring is served yet')
        return holder.served.ring.manager.snapshot
      },
    },
    traceKeys,
  })
  const served = await serveRing({ ...options, app: { extend: [...outer, middleware, ...inner] } })
  holder.served = served
  return { served, spans, [Symbol.asyncDispose]: () => served[Symbol.asyncDispose]() }
}

/** The one span of a request, once the server is done with it. */
async function spanOf(
  { served, spans }: Awaited<ReturnType<typeof serveTraced>>,
  bytes: string,
): Promise<ReadableSpan> {
  spans.clear()
  await exchange(served.server.port, bytes)
  await expect.poll(() => spans.all.length).toBe(1)
  return spans.all[0] as ReadableSpan
}

describe('the span of a request', () => {
  test('is named by method and route and has the attributes of the conventions', async () => {
    await using app = await serveTraced()
    const span = await spanOf(app, get('/v1/owner?key=user:42', { 'User-Agent': 'curl/8' }))
    expect(span.name).toBe('GET /v1/owner')
    expect(span.kind).toBe(SpanKind.SERVER)
    expect(span.status.code).toBe(SpanStatusCode.UNSET)
    const { snapshot } = app.served.ring.manager
    expect(span.attributes).toEqual({
      'http.request.method': 'GET',
      'http.response.status_code': 200,
      'http.route': '/v1/owner',
      'url.path': '/v1/owner',
      'url.scheme': 'http',
      'server.address': 'ring.test',
      'client.address': '127.0.0.1',
      'network.protocol.version': '1.1',
      'user_agent.original': 'curl/8',
      'ringman.ring.digest': snapshot.ring.digest,
      'ringman.ring.epoch': snapshot.epoch,
      'ringman.owner': snapshot.ring.ownerOf('user:42')?.ringKey,
    })
  })

  test('tells the owner on every route that asks for one key, and only there', async () => {
    await using app = await serveTraced()
    const owner = app.served.ring.manager.snapshot.ring.ownerOf('k')?.ringKey
    for (const [target, expected] of [
      ['/v1/owner?key=k', owner],
      ['/v1/owners?key=k&n=2', owner],
      ['/hashring/nodes/get?key=k', owner],
      ['/hashring/nodes/get', undefined],
      ['/v1/ring', undefined],
      ['/hashring/nodes', undefined],
    ] as const) {
      const span = await spanOf(app, get(target))
      expect([target, span.attributes['ringman.owner']]).toEqual([target, expected])
      expect(span.name).toBe(`GET ${target.split('?', 1)[0]}`)
    }
  })

  test('goes on with the trace of the caller, with its state and its baggage', async () => {
    let baggage: string | undefined
    const inner: Koa.Middleware = (_ctx, next) => {
      baggage = propagation.getActiveBaggage()?.getEntry('tenant')?.value
      return next()
    }
    await using app = await serveTraced({ inner: [inner] })
    const span = await spanOf(
      app,
      get('/v1/owner?key=k', { traceparent: CALLER, tracestate: 'a=1,b=2', baggage: 'tenant=blue' }),
    )
    expect(span.spanContext().traceId).toBe(TRACE)
    expect(span.parentSpanContext).toMatchObject({ spanId: PARENT, isRemote: true })
    expect(span.spanContext().traceState?.serialize()).toBe('a=1,b=2')
    expect(baggage).toBe('blue')
  })

  test('of two parents takes the one that was added last, by the instrumentation under a client', async () => {
    await using app = await serveTraced()
    const nearer = `00-${TRACE}-00f067aa0ba902b7-01`
    const bytes = get('/v1/ring').replace(
      '\r\n\r\n',
      `\r\ntraceparent: ${CALLER}\r\ntraceparent: ${nearer}\r\n\r\n`,
    )
    const span = await spanOf(app, bytes)
    expect(span.parentSpanContext?.spanId).toBe('00f067aa0ba902b7')
  })

  test('is active while the request is answered, and no longer', async () => {
    const seen: unknown[] = []
    const outer: Koa.Middleware = async (_ctx, next) => {
      await next()
      seen.push(trace.getActiveSpan())
    }
    const inner: Koa.Middleware = async (_ctx, next) => {
      await Promise.resolve()
      seen.push(trace.getActiveSpan()?.spanContext().spanId)
      await next()
    }
    await using app = await serveTraced({ inner: [inner], outer: [outer] })
    const span = await spanOf(app, get('/v1/ring'))
    expect(seen).toEqual([span.spanContext().spanId, undefined])
  })

  test('is an internal part of a span that the program has around it already', async () => {
    const tracer = { around: undefined as ReadableSpan | undefined }
    const outer: Koa.Middleware = (_ctx, next) =>
      trace.getTracer('program').startActiveSpan('outer', async (span) => {
        await next()
        span.end()
        tracer.around = span as unknown as ReadableSpan
      })
    await using app = await serveTraced({ outer: [outer] })
    await exchange(app.served.server.port, get('/v1/owner?key=k'))
    await expect.poll(() => app.spans.all.length).toBe(2)
    const span = app.spans.one('GET /v1/owner')
    expect(span.kind).toBe(SpanKind.INTERNAL)
    expect(span.parentSpanContext?.spanId).toBe(tracer.around?.spanContext().spanId)
  })

  test('is an internal part of what an instrumentation made of the same caller', async () => {
    const outer: Koa.Middleware = (ctx, next) => {
      const called = propagation.extract(ROOT_CONTEXT, ctx.req.headers)
      return context.with(called, () =>
        trace.getTracer('http').startActiveSpan('GET', async (span) => {
          await next()
          span.end()
        }),
      )
    }
    await using app = await serveTraced({ outer: [outer] })
    await exchange(app.served.server.port, get('/v1/ring', { traceparent: CALLER }))
    await expect.poll(() => app.spans.all.length).toBe(2)
    expect(isChild(app.spans.one('GET /v1/ring'), app.spans.one('GET'))).toBe(true)
    expect(app.spans.one('GET').spanContext().traceId).toBe(TRACE)
  })

  test('is no part of a span in which the server began to listen', async () => {
    const spans = new RecordedSpans()
    const boot = trace.getTracer('program').startSpan('boot')
    await using app = await context.with(trace.setSpan(ROOT_CONTEXT, boot), () => serveTraced({ spans }))
    await exchange(app.served.server.port, get('/v1/ring', { traceparent: CALLER }))
    await expect.poll(() => spans.all.length).toBe(1)
    expect(spans.one('GET /v1/ring').parentSpanContext?.spanId).toBe(PARENT)
    boot.end()
    await exchange(app.served.server.port, get('/v1/members'))
    await expect.poll(() => spans.all.length).toBe(3)
    expect(spans.one('GET /v1/members').parentSpanContext).toBeUndefined()
    expect(spans.one('GET /v1/members').kind).toBe(SpanKind.SERVER)
  })

  test('is not kept where a span around it is not', async () => {
    const spans = new RecordedSpans(new ParentBasedSampler({ root: new AlwaysOffSampler() }))
    const outer: Koa.Middleware = (_ctx, next) =>
      trace.getTracer('http').startActiveSpan('GET', async (span) => {
        await next()
        span.end()
      })
    await using app = await serveTraced({ spans, outer: [outer] })
    await exchange(app.served.server.port, get('/v1/ring'))
    await exchange(app.served.server.port, get('/v1/members'))
    expect(spans.all).toEqual([])
  })
})

describe('outcomes', () => {
  test('what a client does wrong is no error of the span', async () => {
    await using app = await serveTraced()
    const span = await spanOf(app, get('/v1/owner'))
    expect(span.attributes['http.response.status_code']).toBe(400)
    expect(span.status.code).toBe(SpanStatusCode.UNSET)
    expect(span.attributes).not.toHaveProperty('error.type')
  })

  test('a 5xx is one, of the type that the problem has', async () => {
    await using app = await serveTraced({ members: [] })
    const span = await spanOf(app, get('/v1/owner?key=k'))
    expect(span.attributes).toMatchObject({ 'http.response.status_code': 503, 'error.type': 'RING_EMPTY' })
    expect(span.status).toEqual({ code: SpanStatusCode.ERROR })
  })

  test('so is what middleware throws, without its message', async () => {
    const inner: Koa.Middleware = () => {
      throw new TypeError('key user:42 is bad')
    }
    await using app = await serveTraced({ inner: [inner] })
    const span = await spanOf(app, get('/v1/ring'))
    expect(span.attributes).toMatchObject({ 'http.response.status_code': 500, 'error.type': 'TypeError' })
    expect(JSON.stringify([span.attributes, span.status, span.events])).not.toContain('user:42')
  })

  test('an unknown method is _OTHER, and a path that is no route is not shown', async () => {
    await using app = await serveTraced()
    const span = await spanOf(app, request('PROPFIND', '/v1/owner/user:42'))
    expect(span.name).toBe('HTTP')
    expect(span.attributes).toMatchObject({
      'http.request.method': '_OTHER',
      'http.request.method_original': 'PROPFIND',
      'http.response.status_code': 404,
      'url.path': 'REDACTED',
    })
    expect(span.attributes).not.toHaveProperty('http.route')
  })

  test('a wrong method at a route has the route', async () => {
    await using app = await serveTraced()
    const span = await spanOf(app, request('DELETE', '/v1/owner?key=k'))
    expect(span.name).toBe('DELETE /v1/owner')
    expect(span.attributes['http.response.status_code']).toBe(405)
  })

  test('the span of a watch ends when its head is out', async () => {
    await using app = await serveTraced()
    const abort = new AbortController()
    const response = await fetch(`${app.served.server.url}/v1/ring/watch`, { signal: abort.signal })
    await expect.poll(() => app.spans.all.length).toBe(1)
    expect(app.spans.one('GET /v1/ring/watch').attributes['http.response.status_code']).toBe(200)
    abort.abort()
    await response.body?.cancel().catch(() => {})
  })
})

describe('keys', () => {
  const everything = (span: ReadableSpan) =>
    JSON.stringify([span.name, span.attributes, span.events, span.status])

  test('are in no span', async () => {
    await using app = await serveTraced()
    for (const bytes of [
      get('/v1/owner?key=tell-nobody'),
      get('/v1/owners?key=tell-nobody&n=1'),
      get('/hashring/nodes/get?key=tell-nobody'),
      get('/v1/owner?kee=tell-nobody'),
      get('/v1/owner/tell-nobody'),
      get('/hashring/tell-nobody'),
      request('POST', '/v1/owners', { 'Content-Type': 'application/json' }, '{"keys":["tell-nobody"]}'),
    ]) {
      const span = await spanOf(app, bytes)
      expect(everything(span)).not.toContain('tell')
      expect(span.attributes).not.toHaveProperty('ringman.key.hash')
    }
  })

  test('are hashed when a setting allows it, as sha256sum would', async () => {
    await using app = await serveTraced({ traceKeys: true })
    const hash = createHash('sha256').update('café 1').digest('hex').slice(0, 16)
    for (const path of ['/v1/owner', '/v1/owners', '/hashring/nodes/get']) {
      const span = await spanOf(app, get(`${path}?key=caf%C3%A9+1`))
      expect(span.attributes['ringman.key.hash']).toBe(hash)
      expect(everything(span)).not.toContain('caf')
    }
    const routed = await spanOf(app, get('/v1/route/x', { 'X-Ringman-Key': 'caf\u00c3\u00a9 1' }))
    expect(routed.attributes['ringman.key.hash']).toBe(hash)
    expect(routed.attributes['http.route']).toBe('/v1/route')
    expect((await spanOf(app, get('/v1/ring'))).attributes).not.toHaveProperty('ringman.key.hash')
  })
})

describe('hostile headers', () => {
  test('are bounded', async () => {
    await using app = await serveTraced()
    const state = Array.from({ length: 100 }, (_, i) => `vendor${i}=${'x'.repeat(20)}`).join(',')
    const span = await spanOf(
      app,
      get('/v1/ring', {
        traceparent: CALLER,
        tracestate: state,
        'User-Agent': 'u'.repeat(5000),
        Host: `${'h'.repeat(300)}.test`,
        baggage: 'b'.repeat(9000),
      }),
    )
    expect(span.spanContext().traceId).toBe(TRACE)
    const kept = span.spanContext().traceState?.serialize() ?? ''
    expect(state.startsWith(kept)).toBe(true)
    expect(kept.length).toBeGreaterThan(400)
    expect(kept.length).toBeLessThanOrEqual(512)
    expect(String(span.attributes['user_agent.original'])).toHaveLength(256)
    expect(span.attributes).not.toHaveProperty('server.address')
  })

  test.each([
    ['nothing', ''],
    ['zeros', `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`],
    ['a forbidden version', CALLER.replace('00', 'ff')],
    ['capitals', CALLER.toUpperCase()],
    ['too much', `${CALLER}-${'a'.repeat(9000)}`],
    ['a list that ends in nothing', `${CALLER},`],
  ])('a parent of %s begins a new trace', async (_what, traceparent) => {
    await using app = await serveTraced()
    const span = await spanOf(app, get('/v1/ring', { traceparent }))
    expect(span.parentSpanContext).toBeUndefined()
    expect(span.spanContext().traceId).not.toBe(TRACE)
  })

  test('whatever they hold, there is an answer and one span', async () => {
    await using app = await serveTraced()
    const header = fc.string({
      unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCodePoint(code)),
      maxLength: 600,
    })
    await fc.assert(
      fc.asyncProperty(header, header, header, async (traceparent, tracestate, baggage) => {
        const span = await spanOf(app, get('/v1/owner?key=k', { traceparent, tracestate, baggage }))
        expect(span.attributes['http.response.status_code']).toBe(200)
      }),
      { numRuns: 50 },
    )
  })
})

describe('sampling', () => {
  test('follows the caller, and what is not kept is still handed on', async () => {
    let active: string | undefined
    const inner: Koa.Middleware = (_ctx, next) => {
      const carrier: Record<string, string> = {}
      propagation.inject(context.active(), carrier)
      active = carrier['traceparent']
      return next()
    }
    const spans = new RecordedSpans(new ParentBasedSampler({ root: new AlwaysOffSampler() }))
    await using app = await serveTraced({ spans, inner: [inner] })
    await exchange(app.served.server.port, get('/v1/ring'))
    expect(active).toMatch(/-00$/)
    await exchange(app.served.server.port, get('/v1/ring', { traceparent: CALLER }))
    await expect.poll(() => spans.all.length).toBe(1)
    expect(active).toBe(`00-${TRACE}-${spans.one('GET /v1/ring').spanContext().spanId}-01`)
  })

  test('a caller that does not keep its trace is not overruled', async () => {
    const spans = new RecordedSpans(new ParentBasedSampler({ root: new AlwaysOnSampler() }))
    await using app = await serveTraced({ spans })
    await exchange(app.served.server.port, get('/v1/ring', { traceparent: CALLER.replace(/01$/, '00') }))
    await exchange(app.served.server.port, get('/v1/members'))
    await expect.poll(() => spans.all.map(({ name }) => name)).toEqual(['GET /v1/members'])
  })
})

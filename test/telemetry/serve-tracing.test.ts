import { createServer } from 'node:http'
import { describe, expect, test } from 'vitest'
import { RingmanClient } from '../../src/client/ringman-client.ts'
import { stateJson, tick, updateJson } from '../membership/sidecar/sidecar-fixtures.ts'
import { serve, STATIC, TestProcess } from '../support/child-process.ts'
import { listening } from '../support/listening.ts'
import { OtlpReceiver, type ReceiverMood } from '../support/otlp-receiver.ts'
import type { ReceivedSpan } from '../support/otlp-spans.ts'

const CALLER = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

/** Sends what there is at once, so that a test need not wait. */
const SOON = { OTEL_BSP_SCHEDULE_DELAY: '50' }

const isOwnerSpan = ({ name }: ReceivedSpan) => name === 'GET /v1/owner'

describe('serve with an endpoint', () => {
  test.each([
    ['http/protobuf', 'application/x-protobuf', {}],
    ['http/json', 'application/json', { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' }],
  ])('sends spans as %s', async (protocol, contentType, more) => {
    await using receiver = await OtlpReceiver.open()
    await using member = serve([...STATIC, '--name', 'ring-0', '--log-level', 'debug'], {
      env: {
        ...SOON,
        ...more,
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
        OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=s3cret',
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
      },
    })
    const { http, admin } = await member.ready()
    const answer = (await (
      await fetch(`${http.url}/v1/owner?key=tell-nobody`, {
        headers: { traceparent: CALLER, tracestate: 'a=b' },
      })
    ).json()) as {
      readonly owner: { readonly ringKey: string }
      readonly digest: string
      readonly epoch: number
    }
    await fetch(`${admin.url}/readyz`)

    const span = await receiver.span(isOwnerSpan)
    expect(span).toMatchObject({
      traceId: CALLER.split('-')[1],
      parentSpanId: CALLER.split('-')[2],
      traceState: 'a=b',
      kind: 'server',
      scope: 'ringman',
      failed: false,
      attributes: {
        'http.request.method': 'GET',
        'http.route': '/v1/owner',
        'http.response.status_code': 200,
        'server.port': http.port,
        'ringman.ring.digest': answer.digest,
        'ringman.ring.epoch': answer.epoch,
        'ringman.owner': answer.owner.ringKey,
      },
      resource: {
        'service.name': 'ringman',
        'service.instance.id': 'ring-0',
        'deployment.environment.name': 'test',
        'telemetry.sdk.language': 'nodejs',
      },
    })
    expect(span.durationNs).toBeGreaterThan(0n)
    const start = await receiver.span(({ name }) => name === 'ring.start')
    const swap = await receiver.span(({ name }) => name === 'ring.swap')
    expect([swap.traceId, swap.parentSpanId]).toEqual([start.traceId, start.spanId])
    expect(swap.attributes).toMatchObject({ 'ringman.ring.nodes': 2, 'ringman.ring.added': 2 })

    member.signal('SIGTERM')
    expect(await member.ended).toEqual({ code: 0, signal: null })
    // The last spans are sent at the end.
    await receiver.span(({ name }) => name === 'ring.leave')
    for (const { path, headers } of receiver.exports) {
      expect(path).toBe('/v1/traces')
      expect(headers).toMatchObject({ 'content-type': contentType, 'x-api-key': 's3cret' })
      if (protocol === 'http/json') expect(headers['content-encoding']).toBe('gzip')
    }
    // Probes of the admin port make no spans.
    expect(receiver.spans.filter(({ name }) => name.includes('readyz'))).toEqual([])
    expect(
      JSON.stringify(receiver.exports, (_key, value: unknown) => (typeof value === 'bigint' ? 0 : value)),
    ).not.toContain('tell-nobody')
    expect(member.out).not.toContain('s3cret')
    expect(member.events.some(({ event }) => event === 'traces.failed' || event === 'traces.lost')).toBe(
      false,
    )
  })

  test('puts ids of the trace into the lines of a request and no others, and tells Sidecar of its trace', async () => {
    await using receiver = await OtlpReceiver.open()
    const asked: (string | undefined)[] = []
    const sidecar = createServer((request, response) => {
      asked.push(request.headers['traceparent'] as string | undefined)
      response.end(JSON.stringify(stateJson(tick(1), [{ id: 'a' }])))
    })
    const { port, url } = await listening(sidecar)
    const state = `${url}/api/state.json`
    await using member = serve(
      [
        '--source',
        'sidecar',
        '--sidecar-service',
        'some-svc',
        '--sidecar-service-port',
        '9999',
        '--sidecar-url',
        state,
        '--sidecar-hold-down',
        '0',
        '--log-level',
        'debug',
      ],
      { env: { ...SOON, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url } },
    )
    const { http } = await member.ready()
    const call = await receiver.span(({ name }) => name === 'GET /api/state.json')
    expect(call).toMatchObject({
      kind: 'client',
      attributes: {
        'http.request.method': 'GET',
        'http.response.status_code': 200,
        'server.address': '127.0.0.1',
        'server.port': port,
        'url.full': state,
      },
    })
    expect(asked[0]).toBe(`00-${call.traceId}-${call.spanId}-01`)
    sidecar.close()

    const post = { method: 'POST', headers: { traceparent: CALLER } }
    expect((await fetch(`${http.url}/hashring/update`, { ...post, body: '{' })).status).toBe(500)
    const refused = await receiver.span(({ name }) => name === 'POST /hashring/update')
    expect(refused.attributes).toMatchObject({ 'http.response.status_code': 500, 'error.type': '500' })
    expect(await member.event('update.refused')).toMatchObject({
      trace_id: CALLER.split('-')[1],
      span_id: refused.spanId,
      trace_flags: '01',
    })
    expect(await member.event('ready')).not.toHaveProperty('trace_id')

    // A change of the ring belongs to the request that brought it.
    const update = updateJson(stateJson(tick(2), [{ id: 'a' }, { id: 'b' }]))
    expect(
      (await fetch(`${http.url}/hashring/update`, { ...post, body: JSON.stringify(update) })).status,
    ).toBe(200)
    const swap = await receiver.span(
      ({ name, attributes }) => name === 'ring.swap' && attributes['ringman.ring.nodes'] === 2,
    )
    expect(swap.traceId).toBe(CALLER.split('-')[1])
    const parent = await receiver.span(({ spanId }) => spanId === swap.parentSpanId)
    expect(parent.name).toBe('POST /hashring/update')
    expect(await member.event('ring.changed', ({ nodes }) => nodes === 2)).toMatchObject({
      trace_id: swap.traceId,
      span_id: swap.spanId,
    })
  })

  test('samples as told', async () => {
    await using receiver = await OtlpReceiver.open()
    await using member = serve(STATIC, {
      env: {
        ...SOON,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/here`,
        OTEL_TRACES_SAMPLER: 'parentbased_always_off',
      },
    })
    const { http } = await member.ready()
    await fetch(`${http.url}/v1/ring`)
    await fetch(`${http.url}/v1/owner?key=k`, { headers: { traceparent: CALLER } })
    member.signal('SIGTERM')
    await member.ended
    expect(receiver.spans.map(({ name }) => name)).toEqual(['GET /v1/owner'])
    expect(receiver.exports[0]?.path).toBe('/here')
  })

  test('says what is wrong with a variable, and goes on', async () => {
    await using receiver = await OtlpReceiver.open()
    await using member = serve(STATIC, {
      env: {
        ...SOON,
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
        OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere.pem',
      },
    })
    await member.event('ready')
    const lines = member.events.filter(({ event }) => event === 'config.ignored')
    expect(lines.map(({ msg }) => msg)).toEqual([
      expect.stringContaining('OTEL_EXPORTER_OTLP_PROTOCOL=grpc'),
      'Failed to read root certificate file',
    ])
    await receiver.span(({ name }) => name === 'ring.start')
  })
})

test('without an endpoint nothing but the API of OpenTelemetry is loaded, in a member and in a client', async () => {
  const url = new URL('../../src/', import.meta.url).href
  const script = `
    import { registerHooks } from 'node:module'
    const loaded = new Set()
    registerHooks({ resolve(specifier, context, next) {
      if (specifier.startsWith('@opentelemetry/')) loaded.add(specifier)
      return next(specifier, context)
    } })
    const { RingmanClient, createRing } = await import('${url}index.ts')
    const { runServe } = await import('${url}cli/serve.ts')
    const terminal = { out() {}, err() {}, columns: 80, style: (_, text) => text }
    const flags = { values: { source: 'static', staticMembers: 'a:1', httpHost: '127.0.0.1', httpPort: '0', adminPort: '0', drainMs: '0' }, unknown: [] }
    const served = runServe({ flags, env: {}, terminal, version: '0', printConfig: false, json: false })
    const ring = await createRing({ source: 'static', staticMembers: ['a:1'] })
    ring.routes()
    await new RingmanClient({ url: 'http://127.0.0.1:1' }).ring().catch(() => {})
    await ring.shutdown()
    const code = await served
    console.log(JSON.stringify({ event: 'loaded', loaded: [...loaded], code }))
    process.exit(0)`
  await using program = new TestProcess(['--input-type=module-typescript', '--eval', script])
  const { http } = await program.ready()
  expect((await fetch(`${http.url}/v1/owner?key=k`)).status).toBe(200)
  program.signal('SIGTERM')
  expect(await program.event('loaded')).toMatchObject({ loaded: ['@opentelemetry/api'], code: 0 })
})

describe('a collector that is not well', () => {
  const moods: [string, ReceiverMood | 'gone'][] = [
    ['gone', 'gone'],
    ['hanging', 'hanging'],
    ['refusing', 'refusing'],
    ['slow', { delayMs: 500 }],
  ]

  test.each(moods)(
    '%s: look-ups are answered, one line tells, and the end comes in time',
    async (_what, mood) => {
      const receiver = await OtlpReceiver.open()
      const { url: endpoint } = receiver
      if (mood === 'gone') await receiver[Symbol.asyncDispose]()
      else receiver.mood = mood
      await using member = serve(STATIC, {
        env: {
          OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
          OTEL_BSP_SCHEDULE_DELAY: '10',
          OTEL_BSP_MAX_QUEUE_SIZE: '64',
          OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '16',
        },
      })
      const { http } = await member.ready()
      const client = new RingmanClient({ url: http.url })
      for (let i = 0; i < 150; i++) await client.owner(`key-${i}`)
      const beginMs = performance.now()
      for (let i = 0; i < 50; i++) await client.owner(`key-${i}`)
      // Nobody waits for the collector: one answer of it for each look-up would take longer.
      expect(performance.now() - beginMs).toBeLessThan(20_000)

      const stoppedMs = performance.now()
      member.signal('SIGTERM')
      expect(await member.ended).toEqual({ code: 0, signal: null })
      // Two seconds for the last spans, half a second for whatever is still open then, and some for a busy machine: less than
      // the ten seconds after which the exporter itself would give up.
      expect(performance.now() - stoppedMs).toBeLessThan(9000)
      const left = member.events.findIndex(({ event }) => event === 'ring.left')
      const lost = member.events.findIndex(({ event }) => event === 'traces.lost')
      expect(left).toBeGreaterThan(-1)
      if (lost !== -1) expect(lost).toBeGreaterThan(left)
      if (mood === 'hanging')
        expect(member.events[lost]).toMatchObject({ reason: 'no answer within 2000 ms' })
      expect(member.events.some(({ event }) => event === 'process.lingered')).toBe(false)
      const told = member.events.filter(({ event }) => event === 'traces.failed')
      expect(told.length).toBeLessThanOrEqual(1)
      if (mood === 'refusing') expect(told).toHaveLength(1)
      await receiver[Symbol.asyncDispose]().catch(() => {
        // It is closed already where it is gone.
      })
    },
  )
})

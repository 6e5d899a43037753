import { diag } from '@opentelemetry/api'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { readVariables } from '../../src/telemetry/tracing-sdk.ts'
import { readTracingRequest } from '../../src/telemetry/tracing-settings.ts'

const ON = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }

describe('whether anything is traced', () => {
  test.each([
    ['no variable', {}],
    ['empty variables', { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ' ' }],
    ['variables that set no endpoint', { OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER: 'always_on' }],
    ['OTEL_SDK_DISABLED', { ...ON, OTEL_SDK_DISABLED: 'TRUE' }],
    ['OTEL_TRACES_EXPORTER=none', { ...ON, OTEL_TRACES_EXPORTER: 'none' }],
  ])('not with %s, and without a word', (_what, env) => {
    expect(readTracingRequest(env)).toEqual({ url: undefined, warnings: [] })
  })

  test.each([
    ['no URL', { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }],
    ['another scheme', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'grpc://collector:4317' }],
    ['an exporter and no endpoint', { OTEL_TRACES_EXPORTER: 'otlp' }],
  ])('not with %s, and says so', (_what, env) => {
    const { url, warnings } = readTracingRequest(env)
    expect(url).toBeUndefined()
    expect(warnings.at(-1)).toMatch(/^Traced nothing: /)
  })

  test('a wrong value of OTEL_SDK_DISABLED counts as false, and an unknown exporter as none at all', () => {
    const { url, warnings } = readTracingRequest({
      ...ON,
      OTEL_SDK_DISABLED: 'yes',
      OTEL_TRACES_EXPORTER: 'zipkin,otlp',
    })
    expect(url).toBeDefined()
    expect(warnings).toHaveLength(2)
  })
})

describe('the endpoint', () => {
  test.each([
    ['http://c:4318', 'http://c:4318/v1/traces'],
    ['http://c:4318/', 'http://c:4318/v1/traces'],
    ['https://c/otlp', 'https://c/otlp/v1/traces'],
    ['https://c/otlp/?a=b', 'https://c/otlp/v1/traces?a=b'],
  ])('the shared one, %s, gets the path of traces', (given, url) => {
    expect(readTracingRequest({ OTEL_EXPORTER_OTLP_ENDPOINT: given }).url).toBe(url)
  })

  test('the own one comes first and is taken as it is', () => {
    expect(readTracingRequest({ ...ON, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t:9/custom' })).toEqual({
      url: 'http://t:9/custom',
      warnings: [],
    })
  })

  test('a bad own one leaves the shared one, and a password is not quoted', () => {
    const request = readTracingRequest({ ...ON, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'htp://u:secret@t' })
    expect(request.url).toBe('http://collector:4318/v1/traces')
    expect(request.warnings).toHaveLength(1)
    expect(request.warnings.join(' ')).not.toContain('secret')
  })
})

describe('the variables that the SDK leaves to its user', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
    diag.disable()
  })

  function read(env: Readonly<Record<string, string>>) {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value)
    const warnings: string[] = []
    const warn = (message: string) => {
      warnings.push(message)
    }
    const ignore = () => {}
    diag.setLogger({ error: warn, warn, info: ignore, debug: ignore, verbose: ignore })
    warnings.length = 0
    const { sampler, propagators, ...rest } = readVariables()
    // What a propagator writes and reads is which one it is.
    const fields = propagators.flatMap((propagator) => propagator.fields())
    return { ...rest, sampler: String(sampler), fields, warnings }
  }

  const DEFAULTS = {
    protocol: 'http/protobuf',
    sampler: expect.stringMatching(/^ParentBased\{root=AlwaysOnSampler,/) as string,
    fields: ['traceparent', 'tracestate', 'baggage'],
    batch: { maxQueueSize: 2048 },
    spanLimits: {},
  }

  test('have the defaults of the standard', () => {
    expect(read({})).toEqual({ ...DEFAULTS, warnings: [] })
  })

  test('are all read, and one for traces comes before the shared one', () => {
    expect(
      read({
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
        OTEL_TRACES_SAMPLER: 'traceidratio',
        OTEL_TRACES_SAMPLER_ARG: '0.25',
        OTEL_PROPAGATORS: 'tracecontext',
        OTEL_BSP_SCHEDULE_DELAY: '100',
        OTEL_BSP_EXPORT_TIMEOUT: '200',
        OTEL_BSP_MAX_QUEUE_SIZE: '300',
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '30',
        OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '1000',
        OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: '100',
        OTEL_ATTRIBUTE_COUNT_LIMIT: '10',
      }),
    ).toEqual({
      protocol: 'http/json',
      sampler: 'TraceIdRatioBased{0.25}',
      fields: ['traceparent', 'tracestate'],
      batch: {
        scheduledDelayMillis: 100,
        exportTimeoutMillis: 200,
        maxQueueSize: 300,
        maxExportBatchSize: 30,
      },
      spanLimits: { attributeValueLengthLimit: 100, attributeCountLimit: 10 },
      warnings: [],
    })
  })

  test.each([
    ['always_on', /^AlwaysOnSampler/],
    ['always_off', /^AlwaysOffSampler/],
    ['parentbased_always_off', /^ParentBased\{root=AlwaysOffSampler,/],
    ['parentbased_traceidratio', /^ParentBased\{root=TraceIdRatioBased\{1\},/],
  ])('the sampler %s', (name, text) => {
    expect(read({ OTEL_TRACES_SAMPLER: name }).sampler).toMatch(text)
  })

  test.each([
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc', 'http/protobuf'],
    ['OTEL_TRACES_SAMPLER', 'jaeger_remote', 'always_on'],
    ['OTEL_PROPAGATORS', 'b3', 'tracecontext'],
    ['OTEL_BSP_SCHEDULE_DELAY', '5s', 'number'],
    ['OTEL_BSP_SCHEDULE_DELAY', '-1', '3600000'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', '0', '1000000'],
    ['OTEL_BSP_MAX_EXPORT_BATCH_SIZE', '2049', '2048'],
    ['OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', '1.5', '1000000'],
  ])('%s=%s is told of, with what is allowed, and the default counts', (name, value, allowed) => {
    const { warnings, ...settings } = read({ [name]: value })
    expect(settings).toEqual(DEFAULTS)
    expect(warnings).toHaveLength(1)
    for (const part of [name, value, allowed]) expect(warnings[0]).toContain(part)
  })

  test.each(['2', '-0.5', 'half', 'NaN'])('a ratio of %s counts as 1', (value) => {
    const { sampler, warnings } = read({
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: value,
    })
    expect(sampler).toBe('TraceIdRatioBased{1}')
    expect(warnings).toHaveLength(1)
  })

  test('no propagators at all is a choice', () => {
    expect(read({ OTEL_PROPAGATORS: 'none' })).toMatchObject({ fields: [], warnings: [] })
  })
})

import { describe, expect, test } from 'vitest'
import { readTracingSettings } from '../../src/telemetry/tracing-settings.ts'

const ON = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }

function settingsOf(env: Record<string, string>) {
  const { settings, warnings } = readTracingSettings({ ...ON, ...env })
  if (settings === undefined) throw new Error(`nothing is traced: ${warnings.join('; ')}`)
  return { ...settings, warnings }
}

describe('whether anything is traced', () => {
  test.each([
    ['no variable', {}],
    ['empty variables', { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ' ' }],
    ['variables that set no endpoint', { OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER: 'always_on' }],
    ['OTEL_SDK_DISABLED', { ...ON, OTEL_SDK_DISABLED: 'TRUE' }],
    ['OTEL_TRACES_EXPORTER=none', { ...ON, OTEL_TRACES_EXPORTER: 'none' }],
  ])('not with %s, and without a word', (_what, env) => {
    expect(readTracingSettings(env)).toEqual({ settings: undefined, warnings: [] })
  })

  test.each([
    ['no URL', { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }],
    ['another scheme', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'grpc://collector:4317' }],
    ['an exporter and no endpoint', { OTEL_TRACES_EXPORTER: 'otlp' }],
  ])('not with %s, and says so', (_what, env) => {
    const { settings, warnings } = readTracingSettings(env)
    expect(settings).toBeUndefined()
    expect(warnings.at(-1)).toMatch(/^Traced nothing: /)
  })

  test('a wrong value of OTEL_SDK_DISABLED counts as false, and an unknown exporter as none at all', () => {
    const { settings, warnings } = readTracingSettings({
      ...ON,
      OTEL_SDK_DISABLED: 'yes',
      OTEL_TRACES_EXPORTER: 'zipkin,otlp',
    })
    expect(settings).toBeDefined()
    expect(warnings).toHaveLength(2)
    expect(warnings[1]).toContain('zipkin')
  })
})

describe('the endpoint', () => {
  test.each([
    ['http://c:4318', 'http://c:4318/v1/traces'],
    ['http://c:4318/', 'http://c:4318/v1/traces'],
    ['https://c/otlp', 'https://c/otlp/v1/traces'],
    ['https://c/otlp/?a=b', 'https://c/otlp/v1/traces?a=b'],
  ])('the shared one, %s, gets the path of traces', (given, url) => {
    expect(settingsOf({ OTEL_EXPORTER_OTLP_ENDPOINT: given }).url).toBe(url)
  })

  test('the own one comes first and is taken as it is', () => {
    const { url, warnings } = settingsOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t:9/custom' })
    expect(url).toBe('http://t:9/custom')
    expect(warnings).toEqual([])
  })

  test('a bad own one leaves the shared one, and a password is not quoted', () => {
    const { url, warnings } = settingsOf({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'htp://u:secret@t' })
    expect(url).toBe('http://collector:4318/v1/traces')
    expect(warnings).toHaveLength(1)
    expect(warnings.join(' ')).not.toContain('secret')
  })
})

test('the defaults are the standard ones', () => {
  expect(settingsOf({})).toEqual({
    url: 'http://collector:4318/v1/traces',
    protocol: 'http/protobuf',
    headers: {},
    timeoutMs: 10_000,
    compression: 'none',
    certificates: {},
    sampler: { root: 'on', ratio: 1, parentBased: true },
    propagators: ['tracecontext', 'baggage'],
    resource: {},
    batch: {},
    limits: {},
    warnings: [],
  })
})

test('every variable is read, and one for traces comes before the shared one', () => {
  expect(
    settingsOf({
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json',
      OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20b, x=1',
      OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'x=2',
      OTEL_EXPORTER_OTLP_TIMEOUT: '500',
      OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '250',
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
      OTEL_EXPORTER_OTLP_CERTIFICATE: '/ca.pem',
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: '/c.pem',
      OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY: '/k.pem',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
      OTEL_PROPAGATORS: 'tracecontext',
      OTEL_RESOURCE_ATTRIBUTES: 'service.name=other,k8s.pod.name=ring%2C0',
      OTEL_SERVICE_NAME: 'ring',
      OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_BSP_EXPORT_TIMEOUT: '200',
      OTEL_BSP_MAX_QUEUE_SIZE: '300',
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '30',
      OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '1000',
      OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: '100',
      OTEL_ATTRIBUTE_COUNT_LIMIT: '10',
      OTEL_SPAN_EVENT_COUNT_LIMIT: '1',
      OTEL_SPAN_LINK_COUNT_LIMIT: '2',
      OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT: '3',
      OTEL_LINK_ATTRIBUTE_COUNT_LIMIT: '4',
    }),
  ).toEqual({
    url: 'http://collector:4318/v1/traces',
    protocol: 'http/json',
    headers: { 'api-key': 'a b', x: '2' },
    timeoutMs: 250,
    compression: 'gzip',
    certificates: { ca: '/ca.pem', cert: '/c.pem', key: '/k.pem' },
    sampler: { root: 'ratio', ratio: 0.25, parentBased: true },
    propagators: ['tracecontext'],
    resource: { 'service.name': 'ring', 'k8s.pod.name': 'ring,0' },
    batch: { delayMs: 100, exportTimeoutMs: 200, queueSize: 300, batchSize: 30 },
    limits: {
      attributeValueLength: 100,
      attributeCount: 10,
      eventCount: 1,
      linkCount: 2,
      eventAttributeCount: 3,
      linkAttributeCount: 4,
    },
    warnings: [],
  })
})

describe('bad values', () => {
  test.each([
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc', 'http/protobuf'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', '-1', '3600000'],
    ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd', 'gzip'],
    ['OTEL_TRACES_SAMPLER', 'jaeger_remote', 'always_on'],
    ['OTEL_PROPAGATORS', 'b3', 'tracecontext'],
    ['OTEL_BSP_SCHEDULE_DELAY', '5s', '3600000'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', '0', '1000000'],
    ['OTEL_BSP_MAX_EXPORT_BATCH_SIZE', '2049', '2048'],
    ['OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', 'many', '1000000'],
  ])('%s=%s is told of, with what is allowed, and the default counts', (name, value, allowed) => {
    const { warnings, ...settings } = settingsOf({ [name]: value })
    expect(settings).toEqual((({ warnings: _none, ...rest }) => rest)(settingsOf({})))
    expect(warnings).toHaveLength(1)
    for (const part of [name, value, allowed]) expect(warnings[0]).toContain(part)
  })

  test.each(['2', '-0.5', 'half', 'NaN'])('a ratio of %s counts as 1', (value) => {
    const { sampler, warnings } = settingsOf({
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: value,
    })
    expect(sampler).toEqual({ root: 'ratio', ratio: 1, parentBased: false })
    expect(warnings).toHaveLength(1)
  })

  test('a list of headers with an error in it is ignored whole, and never shown', () => {
    const { headers, warnings } = settingsOf({ OTEL_EXPORTER_OTLP_HEADERS: 'a=1,topsecret' })
    expect(headers).toEqual({})
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).not.toContain('topsecret')
  })

  test('no propagators at all is a choice', () => {
    const { propagators, warnings } = settingsOf({ OTEL_PROPAGATORS: 'none' })
    expect(propagators).toEqual([])
    expect(warnings).toEqual([])
  })

  test('a value is shown up to a length', () => {
    expect(settingsOf({ OTEL_TRACES_SAMPLER: 'x'.repeat(5000) }).warnings[0]?.length).toBeLessThan(400)
  })
})

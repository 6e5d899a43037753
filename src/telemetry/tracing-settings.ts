import { OtelVariables, type Variables } from './otel-variables.ts'

/** Which part of the traces is kept. */
export interface SamplerSettings {
  /** What decides where no trace was begun by somebody else. */
  readonly root: 'on' | 'off' | 'ratio'
  /** 0 to 1, for `ratio`. */
  readonly ratio: number
  /** Whether the decision of the caller, or of the span around, counts first. */
  readonly parentBased: boolean
}

/** Everything that OpenTelemetry's variables say about traces. */
export interface TracingSettings {
  /** Where spans go, the whole URL. */
  readonly url: string
  readonly protocol: 'http/protobuf' | 'http/json'
  /** Secrets among them. */
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly compression: 'gzip' | 'none'
  /** Paths of PEM files. */
  readonly certificates: { readonly ca?: string; readonly cert?: string; readonly key?: string }
  readonly sampler: SamplerSettings
  /** In the order in which they read and write. */
  readonly propagators: readonly PropagatorName[]
  /** Of this process, in every span; `service.name` only where a variable gives one. */
  readonly resource: Readonly<Record<string, string>>
  readonly batch: {
    readonly delayMs?: number
    readonly exportTimeoutMs?: number
    readonly queueSize?: number
    readonly batchSize?: number
  }
  readonly limits: {
    readonly attributeValueLength?: number
    readonly attributeCount?: number
    readonly eventCount?: number
    readonly linkCount?: number
    readonly eventAttributeCount?: number
    readonly linkAttributeCount?: number
  }
}

/** Formats of a trace context that are understood. */
export const PROPAGATOR_NAMES = ['tracecontext', 'baggage'] as const

/** One of {@link PROPAGATOR_NAMES}. */
export type PropagatorName = (typeof PROPAGATOR_NAMES)[number]

/** What the variables ask for. */
export interface RequestedTracing {
  /** Undefined when nothing is to be traced, which is so unless an endpoint is set. */
  readonly settings: TracingSettings | undefined
  /** Sentences for the log. */
  readonly warnings: readonly string[]
}

/** Longest time that a variable may ask for, in milliseconds. */
const TIME_LIMIT_MS = 3_600_000

/**
 * Reads the standard variables. Bad values are told of and replaced by the standard's defaults, with one exception:
 * where no usable endpoint is left, nothing is traced; there is no default one.
 */
export function readTracingSettings(env: Variables): RequestedTracing {
  const variables = new OtelVariables(env)
  if (!isWanted(variables)) return { settings: undefined, warnings: variables.warnings }
  const url = readUrl(variables)
  if (url === undefined) return { settings: undefined, warnings: variables.warnings }
  const settings: TracingSettings = {
    url,
    protocol:
      variables.choice(['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL'], [
        'http/protobuf',
        'http/json',
      ] as const) ?? 'http/protobuf',
    headers: variables.pairs('OTEL_EXPORTER_OTLP_TRACES_HEADERS', 'OTEL_EXPORTER_OTLP_HEADERS'),
    timeoutMs:
      variables.integer(['OTEL_EXPORTER_OTLP_TRACES_TIMEOUT', 'OTEL_EXPORTER_OTLP_TIMEOUT'], {
        min: 1,
        max: TIME_LIMIT_MS,
      }) ?? 10_000,
    compression:
      variables.choice(['OTEL_EXPORTER_OTLP_TRACES_COMPRESSION', 'OTEL_EXPORTER_OTLP_COMPRESSION'], [
        'gzip',
        'none',
      ] as const) ?? 'none',
    certificates: readCertificates(variables),
    sampler: readSampler(variables),
    propagators: readPropagators(variables),
    resource: readResource(variables),
    batch: readBatch(variables),
    limits: readLimits(variables),
  }
  return { settings, warnings: variables.warnings }
}

/** Spans that may wait, where no variable says how many: the standard's. */
const DEFAULT_QUEUE_SIZE = 2048

function isWanted(variables: OtelVariables): boolean {
  if (variables.flag('OTEL_SDK_DISABLED')) return false
  const exporters = variables.list('OTEL_TRACES_EXPORTER') ?? []
  if (exporters.includes('none')) return false
  const unknown = exporters.filter((name) => name !== 'otlp')
  if (unknown.length > 0) {
    variables.warn('OTEL_TRACES_EXPORTER', unknown.join(','), 'otlp and none are allowed here; it is ignored')
  }
  return true
}

function readUrl(variables: OtelVariables): string | undefined {
  const own = variables.text('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT')
  const shared = variables.text('OTEL_EXPORTER_OTLP_ENDPOINT')
  const url =
    checkUrl(variables, 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', own) ??
    checkUrl(variables, 'OTEL_EXPORTER_OTLP_ENDPOINT', shared, 'v1/traces')
  if (url !== undefined) return url
  if (own !== undefined || shared !== undefined) {
    variables.warnings.push('Traced nothing: no endpoint of OpenTelemetry is left that can be used')
  } else if (variables.text('OTEL_TRACES_EXPORTER') !== undefined) {
    variables.warnings.push(
      'Traced nothing: OTEL_TRACES_EXPORTER is set, but OTEL_EXPORTER_OTLP_ENDPOINT is not',
    )
  }
  return undefined
}

function checkUrl(variables: OtelVariables, name: string, text?: string, path?: string): string | undefined {
  if (text === undefined) return undefined
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    // It may have a password in it.
    variables.warnings.push(`Ignored ${name}: http://HOST:PORT or https://HOST:PORT is allowed`)
    return undefined
  }
  if (path !== undefined) url.pathname = `${url.pathname.replace(/\/$/, '')}/${path}`
  return url.href
}

function readCertificates(variables: OtelVariables): TracingSettings['certificates'] {
  const file = (name: string) =>
    variables.text(`OTEL_EXPORTER_OTLP_TRACES_${name}`, `OTEL_EXPORTER_OTLP_${name}`)
  return given({ ca: file('CERTIFICATE'), cert: file('CLIENT_CERTIFICATE'), key: file('CLIENT_KEY') })
}

/** The standard's samplers. */
const SAMPLERS = {
  always_on: { root: 'on', parentBased: false },
  always_off: { root: 'off', parentBased: false },
  traceidratio: { root: 'ratio', parentBased: false },
  parentbased_always_on: { root: 'on', parentBased: true },
  parentbased_always_off: { root: 'off', parentBased: true },
  parentbased_traceidratio: { root: 'ratio', parentBased: true },
} as const satisfies Record<string, Omit<SamplerSettings, 'ratio'>>

function readSampler(variables: OtelVariables): SamplerSettings {
  const names = Object.keys(SAMPLERS) as (keyof typeof SAMPLERS)[]
  const sampler = SAMPLERS[variables.choice(['OTEL_TRACES_SAMPLER'], names) ?? 'parentbased_always_on']
  if (sampler.root !== 'ratio') return { ...sampler, ratio: 1 }
  const text = variables.text('OTEL_TRACES_SAMPLER_ARG')
  const ratio = text === undefined ? 1 : Number(text)
  if (ratio >= 0 && ratio <= 1) return { ...sampler, ratio }
  variables.warn('OTEL_TRACES_SAMPLER_ARG', text ?? '', 'a number from 0 to 1 is allowed; 1 counts')
  return { ...sampler, ratio: 1 }
}

function readPropagators(variables: OtelVariables): readonly PropagatorName[] {
  const names = variables.list('OTEL_PROPAGATORS')
  if (names === undefined) return PROPAGATOR_NAMES
  if (names.includes('none')) return []
  const known = PROPAGATOR_NAMES.filter((name) => names.includes(name))
  const unknown = names.filter((name) => !known.some((one) => one === name))
  if (unknown.length > 0) {
    variables.warn(
      'OTEL_PROPAGATORS',
      unknown.join(','),
      `${PROPAGATOR_NAMES.join(', ')}, none are allowed here; it is ignored`,
    )
  }
  return known.length === 0 && unknown.length > 0 ? PROPAGATOR_NAMES : known
}

function readResource(variables: OtelVariables): Readonly<Record<string, string>> {
  const name = variables.text('OTEL_SERVICE_NAME')
  return {
    ...variables.pairs('OTEL_RESOURCE_ATTRIBUTES'),
    ...(name === undefined ? {} : { 'service.name': name }),
  }
}

function readBatch(variables: OtelVariables): TracingSettings['batch'] {
  const time = { min: 0, max: TIME_LIMIT_MS }
  const count = { min: 1, max: 1_000_000 }
  const queueSize = variables.integer(['OTEL_BSP_MAX_QUEUE_SIZE'], count)
  return given({
    delayMs: variables.integer(['OTEL_BSP_SCHEDULE_DELAY'], time),
    exportTimeoutMs: variables.integer(['OTEL_BSP_EXPORT_TIMEOUT'], { ...time, min: 1 }),
    queueSize,
    batchSize: variables.integer(['OTEL_BSP_MAX_EXPORT_BATCH_SIZE'], {
      ...count,
      max: queueSize ?? DEFAULT_QUEUE_SIZE,
    }),
  })
}

function readLimits(variables: OtelVariables): TracingSettings['limits'] {
  const count = { min: 0, max: 1_000_000 }
  const first = (...names: readonly string[]) => variables.integer(names, count)
  return given({
    attributeValueLength: first(
      'OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT',
      'OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT',
    ),
    attributeCount: first('OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', 'OTEL_ATTRIBUTE_COUNT_LIMIT'),
    eventCount: first('OTEL_SPAN_EVENT_COUNT_LIMIT'),
    linkCount: first('OTEL_SPAN_LINK_COUNT_LIMIT'),
    eventAttributeCount: first('OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT'),
    linkAttributeCount: first('OTEL_LINK_ATTRIBUTE_COUNT_LIMIT'),
  })
}

/** Without what is undefined. */
function given<T extends object>(values: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: Exclude<T[Name], undefined>
  }
}

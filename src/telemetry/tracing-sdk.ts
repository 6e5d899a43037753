import { messageOf } from '../errors.ts'
import { hostname } from 'node:os'
import { context, diag, DiagLogLevel, propagation, trace, type Tracer } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  CompositePropagator,
  getNumberFromEnv,
  getStringFromEnv,
  getStringListFromEnv,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from '@opentelemetry/core'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
} from '@opentelemetry/sdk-trace'
import { sleep, type Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import { INSTRUMENTATION_NAME } from '../tracing.ts'

/** How long the last spans may take to get away when the process ends, in milliseconds. */
const FLUSH_TIMEOUT_MS = 2000

/** Milliseconds between two lines about spans that could not be sent. */
const REPORT_INTERVAL_MS = 60_000

export interface TracingDeps {
  readonly logger: Logger
  readonly clock: Clock
  /** This program's version. */
  readonly version: string
  /** This member's name: `service.instance.id`, unless a variable says another. */
  readonly instance: string
}

/**
 * Traces by OpenTelemetry's SDK, sent to a collector in batches. There is one in a process: it registers itself, and it
 * reads the variables of the process. Import it only where traces are on, so that a process without them has no SDK.
 */
export class SdkTracing {
  readonly tracer: Tracer
  readonly protocol: string
  readonly #deps: TracingDeps
  readonly #provider: TracerProvider
  readonly #failures: LimitedWarnings
  #isStarted = false
  #shutdown: Promise<boolean> | undefined

  /** @param url - Where spans go. */
  constructor(url: string, deps: TracingDeps) {
    this.#deps = deps
    const logger = deps.logger.child({ component: 'tracing' })
    this.#failures = new LimitedWarnings(deps.clock, logger, REPORT_INTERVAL_MS)
    diag.setLogger(this.#diagLogger(), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
    const { protocol, sampler, propagators, batch, spanLimits } = readVariables()
    this.protocol = protocol
    const Exporter = protocol === 'http/json' ? JsonExporter : ProtobufExporter
    this.#provider = new TracerProvider({
      sampler,
      spanLimits,
      resource: defaultResource()
        .merge(
          resourceFromAttributes({
            'service.name': 'ringman',
            'service.version': deps.version,
            'service.instance.id': deps.instance,
            'host.name': hostname(),
            'process.pid': process.pid,
            'process.runtime.name': 'nodejs',
            'process.runtime.version': process.versions.node,
          }),
        )
        .merge(detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] })),
      spanProcessors: [
        new BatchSpanProcessor({
          ...batch,
          exporter: new Exporter({ url, userAgent: `ringman/${deps.version}` }),
        }),
      ],
    })
    this.#isStarted = true
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    propagation.setGlobalPropagator(new CompositePropagator({ propagators }))
    trace.setGlobalTracerProvider(this.#provider)
    this.tracer = this.#provider.getTracer(INSTRUMENTATION_NAME, deps.version)
  }

  /**
   * Sends what is left, for {@link FLUSH_TIMEOUT_MS} at most, and takes no more. Idempotent; never rejects.
   *
   * @returns False when the last spans were lost, which is logged; the SDK may then have timers and connections left that
   *   hold the process.
   */
  shutdown(): Promise<boolean> {
    this.#shutdown ??= this.#end()
    return this.#shutdown
  }

  async #end(): Promise<boolean> {
    const { logger, clock } = this.#deps
    const flushed = new AbortController()
    const flushing = this.#provider.shutdown().then(
      () => 'sent' as const,
      (error: unknown) => error,
    )
    const outcome = await Promise.race([
      flushing,
      sleep(clock, FLUSH_TIMEOUT_MS, flushed.signal).then(() => 'late' as const),
    ])
    flushed.abort()
    if (outcome === 'sent') return true
    const reason = outcome === 'late' ? `no answer within ${FLUSH_TIMEOUT_MS} ms` : reasonOf(outcome)
    logger.warn({ event: 'traces.lost', component: 'tracing', reason }, 'Lost the last spans')
    return false
  }

  /** What the SDK says: of variables while it starts, later of spans that could not be sent. */
  #diagLogger() {
    const report = (message: string) => {
      // An unreachable collector is a warning: the ring does not need it.
      if (this.#isStarted)
        this.#failures.warn({ event: 'traces.failed', reason: reasonOf(message) }, 'Failed to send traces')
      else this.#deps.logger.warn({ event: 'config.ignored', component: 'tracing' }, reasonOf(message))
    }
    const ignore = () => {}
    return { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore }
  }
}

/** Longest time that a variable may ask for, in milliseconds. */
const TIME_LIMIT_MS = 3_600_000
const COUNT_LIMIT = 1_000_000

/**
 * Reads the standard variables that the SDK leaves to its user. A bad value is told to `diag`, and the default counts.
 *
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
export function readVariables() {
  const queueSize = readInteger('OTEL_BSP_MAX_QUEUE_SIZE', 1, COUNT_LIMIT) ?? 2048
  const protocols = ['http/protobuf', 'http/json'] as const
  return {
    protocol:
      readChoice('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', protocols) ??
      readChoice('OTEL_EXPORTER_OTLP_PROTOCOL', protocols) ??
      'http/protobuf',
    sampler: readSampler(),
    propagators: readPropagators(),
    batch: definedOnly({
      maxQueueSize: queueSize,
      maxExportBatchSize: readInteger('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 1, queueSize),
      scheduledDelayMillis: readInteger('OTEL_BSP_SCHEDULE_DELAY', 0, TIME_LIMIT_MS),
      exportTimeoutMillis: readInteger('OTEL_BSP_EXPORT_TIMEOUT', 1, TIME_LIMIT_MS),
    }),
    // Those of events and links are left out, because ringman makes none.
    spanLimits: definedOnly({
      attributeCountLimit:
        readInteger('OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', 0, COUNT_LIMIT) ??
        readInteger('OTEL_ATTRIBUTE_COUNT_LIMIT', 0, COUNT_LIMIT),
      attributeValueLengthLimit:
        readInteger('OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT', 0, COUNT_LIMIT) ??
        readInteger('OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT', 0, COUNT_LIMIT),
    }),
  }
}

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const

function readSampler(): Sampler {
  const name = readChoice('OTEL_TRACES_SAMPLER', SAMPLERS) ?? 'parentbased_always_on'
  const root = name.endsWith('ratio')
    ? new TraceIdRatioBasedSampler(readRatio())
    : name.endsWith('on')
      ? new AlwaysOnSampler()
      : new AlwaysOffSampler()
  return name.startsWith('parentbased') ? new ParentBasedSampler({ root }) : root
}

function readRatio(): number {
  const ratio = getNumberFromEnv('OTEL_TRACES_SAMPLER_ARG') ?? 1
  if (ratio >= 0 && ratio <= 1) return ratio
  diag.warn(`OTEL_TRACES_SAMPLER_ARG=${ratio}: a number from 0 to 1 is allowed; 1 counts`)
  return 1
}

function readPropagators() {
  const known = new Map([
    ['tracecontext', new W3CTraceContextPropagator()],
    ['baggage', new W3CBaggagePropagator()],
  ])
  const names = getStringListFromEnv('OTEL_PROPAGATORS') ?? [...known.keys()]
  if (names.includes('none')) return []
  const unknown = names.filter((name) => !known.has(name))
  if (unknown.length > 0) {
    diag.warn(
      `OTEL_PROPAGATORS=${unknown.join(',')}: tracecontext, baggage, none are allowed here; it is ignored`,
    )
  }
  const chosen = [...known].filter(([name]) => names.includes(name)).map(([, propagator]) => propagator)
  return chosen.length > 0 ? chosen : [...known.values()]
}

function readChoice<T extends string>(name: string, allowed: readonly T[]): T | undefined {
  const value = getStringFromEnv(name)?.trim()
  if (value === undefined) return undefined
  const found = allowed.find((word) => word === value)
  if (found === undefined)
    diag.warn(`${name}=${value}: ${allowed.join(', ')} are allowed here; it is ignored`)
  return found
}

function readInteger(name: string, min: number, max: number): number | undefined {
  const value = getNumberFromEnv(name)
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return value
  diag.warn(`${name}=${value}: a whole number from ${min} to ${max} is allowed; it is ignored`)
  return undefined
}

function definedOnly<T extends object>(values: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: Exclude<T[Name], undefined>
  }
}

/** Characters of a reason that a log line takes. */
const REASON_LIMIT = 300

/** The message in what the SDK says; its own error handler says a JSON object with a stack in it. */
function reasonOf(problem: unknown): string {
  let text: unknown = problem
  if (Array.isArray(text)) [text] = text as readonly unknown[]
  if (typeof text === 'string' && text.startsWith('{')) {
    try {
      const { message, code } = JSON.parse(text) as { readonly message?: unknown; readonly code?: unknown }
      text = message ?? code ?? text
    } catch {
      // Then it is no JSON, and a sentence that begins with a brace.
    }
  }
  return messageOf(text).slice(0, REASON_LIMIT)
}

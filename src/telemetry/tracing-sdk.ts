import { readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { hostname } from 'node:os'
import {
  context,
  diag,
  DiagLogLevel,
  propagation,
  trace,
  type Tracer as OtelTracer,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
} from '@opentelemetry/sdk-trace'
import type Koa from 'koa'
import { sleep } from '../clock.ts'
import { assertNever } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { LimitedWarning } from '../membership/limited-warning.ts'
import type { Tracer } from '../tracing.ts'
import { ApiTracer, INSTRUMENTATION_NAME } from './otel-tracer.ts'
import { tracingMiddleware, type TracingMiddlewareOptions } from './tracing-middleware.ts'
import type { PropagatorName, SamplerSettings, TracingSettings } from './tracing-settings.ts'
import { FLUSH_TIMEOUT_MS, type Tracing, type TracingDeps } from './tracing.ts'

/** Milliseconds between two lines about spans that could not be sent. */
const REPORT_INTERVAL_MS = 60_000

/** Traces by OpenTelemetry's SDK, sent to a collector in batches. There is one in a process: it registers itself. */
export class SdkTracing implements Tracing {
  readonly tracer: Tracer
  readonly #deps: TracingDeps
  readonly #otel: OtelTracer
  readonly #provider: TracerProvider
  readonly #agent: HttpAgent
  readonly #report: LimitedWarning
  #shutdown: Promise<boolean> | undefined

  constructor(settings: TracingSettings, deps: TracingDeps) {
    this.#deps = deps
    this.#report = new LimitedWarning(
      deps.clock,
      deps.logger.child({ component: 'tracing' }),
      REPORT_INTERVAL_MS,
    )
    this.#agent = makeAgent(settings, deps.logger)
    const exporterOptions = {
      url: settings.url,
      headers: { ...settings.headers },
      timeoutMillis: settings.timeoutMs,
      // An enumeration of a package that is not ours to import; its values are these words.
      compression: settings.compression as never,
      httpAgentOptions: () => this.#agent,
      userAgent: `ringman/${deps.version}`,
    }
    const exporter =
      settings.protocol === 'http/json'
        ? new JsonExporter(exporterOptions)
        : new ProtobufExporter(exporterOptions)
    const { batch, limits } = settings
    this.#provider = new TracerProvider({
      sampler: makeSampler(settings.sampler),
      resource: defaultResource().merge(
        resourceFromAttributes({
          'service.name': 'ringman',
          'service.version': deps.version,
          'service.instance.id': deps.instance,
          'host.name': hostname(),
          'process.pid': process.pid,
          'process.runtime.name': 'nodejs',
          'process.runtime.version': process.versions.node,
          ...settings.resource,
        }),
      ),
      spanLimits: {
        ...optional('attributeValueLengthLimit', limits.attributeValueLength),
        ...optional('attributeCountLimit', limits.attributeCount),
        ...optional('eventCountLimit', limits.eventCount),
        ...optional('linkCountLimit', limits.linkCount),
        ...optional('attributePerEventCountLimit', limits.eventAttributeCount),
        ...optional('attributePerLinkCountLimit', limits.linkAttributeCount),
      },
      spanProcessors: [
        new BatchSpanProcessor({
          exporter,
          ...optional('scheduledDelayMillis', batch.delayMs),
          ...optional('exportTimeoutMillis', batch.exportTimeoutMs),
          ...optional('maxQueueSize', batch.queueSize),
          ...optional('maxExportBatchSize', batch.batchSize),
        }),
      ],
    })
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    propagation.setGlobalPropagator(
      new CompositePropagator({ propagators: settings.propagators.map(makePropagator) }),
    )
    trace.setGlobalTracerProvider(this.#provider)
    // Not before: what it has to say of the variables has been said by then, in our words and without secrets.
    diag.setLogger(this.#diagLogger(), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true })
    this.#otel = this.#provider.getTracer(INSTRUMENTATION_NAME, deps.version)
    this.tracer = new ApiTracer(this.#otel)
  }

  middleware(options: Omit<TracingMiddlewareOptions, 'tracer'>): Koa.Middleware {
    return tracingMiddleware({ ...options, tracer: this.#otel })
  }

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
    // What still waits for a collector that says nothing must not hold the process.
    this.#agent.destroy()
    if (outcome === 'sent') return true
    const reason = outcome === 'late' ? `no answer within ${FLUSH_TIMEOUT_MS} ms` : reasonOf(outcome)
    logger.warn({ event: 'traces.lost', component: 'tracing', reason }, 'Lost the last spans')
    return false
  }

  #diagLogger() {
    const report = (message: string) => {
      this.#report.warn({ event: 'traces.failed', reason: reasonOf(message) }, 'Failed to send traces')
    }
    const ignore = () => {}
    // An unreachable collector is a warning: the ring does not need it.
    return { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore }
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
  // Several addresses of a host that all refuse make an error with a code and no message.
  if (text instanceof Error)
    text = text.message === '' ? ((text as { code?: unknown }).code ?? text.name) : text.message
  return String(text).slice(0, REASON_LIMIT)
}

function optional<Name extends string, T>(name: Name, value: T | undefined): { [_ in Name]?: T } {
  return (value === undefined ? {} : { [name]: value }) as { [_ in Name]?: T }
}

function makeSampler({ root, ratio, parentBased }: SamplerSettings): Sampler {
  const sampler = makeRootSampler(root, ratio)
  return parentBased ? new ParentBasedSampler({ root: sampler }) : sampler
}

function makeRootSampler(root: SamplerSettings['root'], ratio: number): Sampler {
  switch (root) {
    case 'on':
      return new AlwaysOnSampler()
    case 'off':
      return new AlwaysOffSampler()
    case 'ratio':
      return new TraceIdRatioBasedSampler(ratio)
    default:
      return assertNever(root)
  }
}

function makePropagator(name: PropagatorName) {
  switch (name) {
    case 'tracecontext':
      return new W3CTraceContextPropagator()
    case 'baggage':
      return new W3CBaggagePropagator()
    default:
      return assertNever(name)
  }
}

/** One connection is enough: batches go one after the other, but for the last ones. */
function makeAgent({ url, certificates }: TracingSettings, logger: Logger): HttpAgent {
  const options = { keepAlive: true, maxSockets: 4 }
  if (!url.startsWith('https:')) return new HttpAgent(options)
  const { ca, cert, key } = certificates
  return new HttpsAgent({
    ...options,
    ...optional('ca', tryReadPem(ca, logger)),
    ...optional('cert', tryReadPem(cert, logger)),
    ...optional('key', tryReadPem(key, logger)),
  })
}

/** Traces are not worth a member that does not start: without the file the connection is tried without it. */
function tryReadPem(path: string | undefined, logger: Logger): Buffer | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(path)
  } catch (err) {
    logger.warn(
      { event: 'config.ignored', path, err },
      "Ignored a certificate file of OpenTelemetry's variables that cannot be read",
    )
    return undefined
  }
}

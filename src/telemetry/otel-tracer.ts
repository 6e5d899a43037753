import {
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  SpanKind as OtelSpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
} from '@opentelemetry/api'
import { isRingmanError } from '../errors.ts'
import type { Span, SpanAttributes, SpanOptions, Tracer } from '../tracing.ts'

/** The name of this instrumentation, as traces show it. */
export const INSTRUMENTATION_NAME = 'ringman'

/** A {@link Tracer} on OpenTelemetry's API: on whichever provider the process has registered. */
export class ApiTracer implements Tracer {
  readonly #tracer: OtelTracer

  /** @param tracer - Of a provider; `trace.getTracer(INSTRUMENTATION_NAME, version)` for the registered one. */
  constructor(tracer: OtelTracer) {
    this.#tracer = tracer
  }

  startSpan(name: string, options: SpanOptions = {}): Span {
    const { kind, attributes = {}, parent } = options
    const around =
      parent === 'active' ? context.active() : parent instanceof ApiSpan ? parent.context : ROOT_CONTEXT
    const span = this.#tracer.startSpan(
      name,
      {
        kind: kind === 'client' ? OtelSpanKind.CLIENT : OtelSpanKind.INTERNAL,
        attributes: definedOnly(attributes),
      },
      around,
    )
    return new ApiSpan(span, trace.setSpan(around, span))
  }

  async trace<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
    const span = this.startSpan(name, options) as ApiSpan
    try {
      return await context.with(span.context, () => work(span))
    } catch (error) {
      span.fail(error)
      throw error
    } finally {
      span.end()
    }
  }

  detach<T>(work: () => T): T {
    return context.with(ROOT_CONTEXT, work)
  }

  active(): ReturnType<Tracer['active']> {
    const active = trace.getSpanContext(context.active())
    if (active === undefined || !isSpanContextValid(active)) return undefined
    const { traceId, spanId, traceFlags } = active
    return { traceId, spanId, sampled: (traceFlags & TraceFlags.SAMPLED) !== 0 }
  }
}

class ApiSpan implements Span {
  readonly context: Context
  readonly #span: OtelSpan
  #ended = false

  constructor(span: OtelSpan, around: Context) {
    this.#span = span
    this.context = around
  }

  set(attributes: SpanAttributes): void {
    if (!this.#ended) this.#span.setAttributes(definedOnly(attributes))
  }

  fail(error: unknown): void {
    if (!this.#ended) failSpan(this.#span, typeof error === 'string' ? error : errorTypeOf(error))
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#span.end()
  }

  within<T>(work: () => T): T {
    return context.with(this.context, work)
  }

  headers(): Readonly<Record<string, string>> {
    const headers: Record<string, string> = {}
    propagation.inject(this.context, headers)
    return headers
  }
}

/** Marks a span as failed. */
export function failSpan(span: OtelSpan, errorType: string): void {
  span.setAttribute('error.type', errorType)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

/**
 * What kind of error it is, in a word out of few: the code of one of ours or of Node's, else its class. The message is
 * for the log, because it may quote what a client sent.
 */
export function errorTypeOf(error: unknown): string {
  if (isRingmanError(error)) return error.code
  if (!(error instanceof Error)) return '_OTHER'
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : error.constructor.name
}

function definedOnly(attributes: SpanAttributes): Record<string, string | number | boolean> {
  const defined: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) defined[name] = value
  return defined
}

import {
  context,
  isSpanContextValid,
  propagation,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Span,
  type SpanContext,
  type SpanOptions,
  type Tracer,
} from '@opentelemetry/api'
import { isRingmanError } from './errors.ts'
import type { LogFields } from './logger.ts'

/** The name of this instrumentation, as traces show it. */
export const INSTRUMENTATION_NAME = 'ringman'

/** Makes no spans: the tracer while nothing is traced. */
export const noTracer: Tracer = new ProxyTracerProvider().getTracer(INSTRUMENTATION_NAME)

/**
 * A tracer of the provider that this program has registered with OpenTelemetry.
 *
 * @param version - This package's, which spans are marked with.
 * @returns Undefined when no provider is registered by now.
 */
export function registeredTracer(version: string): Tracer | undefined {
  const provider = trace.getTracerProvider()
  const isRegistered =
    !(provider instanceof ProxyTracerProvider) ||
    provider.getDelegateTracer(INSTRUMENTATION_NAME, version) !== undefined
  return isRegistered ? provider.getTracer(INSTRUMENTATION_NAME, version) : undefined
}

/**
 * Does `work` within a span that is active meanwhile, also across its `await`s. The span ends when the work does, and
 * fails with it; the error is thrown on. Names of spans are few and fixed, what varies is an attribute, and none of them
 * holds a key.
 */
export function withSpan<T>(
  tracer: Tracer,
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  return tracer.startActiveSpan(name, options, async (span) => {
    try {
      return await work(span)
    } catch (error) {
      failSpan(span, errorTypeOf(error))
      throw error
    } finally {
      span.end()
    }
  })
}

/** Marks a span as failed. Messages stay out of it: they may quote what somebody sent. */
export function failSpan(span: Span, errorType: string): void {
  span.setAttribute('error.type', errorType)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

/** What kind of error it is, in a word out of few: the code of one of ours or of Node's, else its class. */
export function errorTypeOf(error: unknown): string {
  if (isRingmanError(error)) return error.code
  if (!(error instanceof Error)) return '_OTHER'
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : error.constructor.name
}

/** Does `work` outside any span: for loops, timers and sockets, which outlive the request or start that began them. */
export function detach<T>(work: () => T): T {
  return context.with(ROOT_CONTEXT, work)
}

/** Headers that make whoever is called go on with the trace of `around`; empty when nothing is traced. */
export function traceHeaders(around = context.active()): Record<string, string> {
  const headers: Record<string, string> = {}
  propagation.inject(around, headers)
  return headers
}

const NONE: LogFields = Object.freeze({})

/** The ids of the active span, as fields of a log line, under the names that OpenTelemetry gives them. */
export function traceFields(): LogFields {
  const active = activeSpan()
  return active === undefined
    ? NONE
    : { trace_id: active.traceId, span_id: active.spanId, trace_flags: isSampled(active) ? '01' : '00' }
}

/** The id of the active trace, if it is kept: for an exemplar. */
export function currentTraceId(): string | undefined {
  const active = activeSpan()
  return active !== undefined && isSampled(active) ? active.traceId : undefined
}

function activeSpan(): SpanContext | undefined {
  const active = trace.getSpanContext(context.active())
  return active !== undefined && isSpanContextValid(active) ? active : undefined
}

function isSampled({ traceFlags }: SpanContext): boolean {
  return (traceFlags & TraceFlags.SAMPLED) !== 0
}

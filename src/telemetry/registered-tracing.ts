import type Koa from 'koa'
import { hasRegisteredOpenTelemetry } from '../otel-presence.ts'
import type { Tracer } from '../tracing.ts'
import type { TracingMiddlewareOptions } from './tracing-middleware.ts'

/** Spans through the OpenTelemetry that the program around has set up: its provider, its propagators, its context. */
export interface RegisteredTracing {
  readonly tracer: Tracer
  /** Makes a span for each request. */
  middleware(options: Omit<TracingMiddlewareOptions, 'tracer'>): Koa.Middleware
}

/**
 * @param version - This package's, which spans are marked with.
 * @returns Undefined when the program has not registered a provider of tracers by now.
 */
export async function tryRegisteredTracing(version: string): Promise<RegisteredTracing | undefined> {
  if (!hasRegisteredOpenTelemetry('trace')) return undefined
  const [{ trace }, { ApiTracer, INSTRUMENTATION_NAME }, { tracingMiddleware }] = await Promise.all([
    import('@opentelemetry/api'),
    import('./otel-tracer.ts'),
    import('./tracing-middleware.ts'),
  ])
  const tracer = trace.getTracer(INSTRUMENTATION_NAME, version)
  return {
    tracer: new ApiTracer(tracer),
    middleware: (options) => tracingMiddleware({ ...options, tracer }),
  }
}

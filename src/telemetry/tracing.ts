import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import type { Tracer } from '../tracing.ts'
import type { TracingMiddlewareOptions } from './tracing-middleware.ts'
import type { TracingSettings } from './tracing-settings.ts'
import type Koa from 'koa'

/** How long the last spans may take to get away when the process ends, in milliseconds. */
export const FLUSH_TIMEOUT_MS = 2000

/** Traces of this process, on. */
export interface Tracing {
  readonly tracer: Tracer
  /** Makes a server span for each request. */
  middleware(options: Omit<TracingMiddlewareOptions, 'tracer'>): Koa.Middleware
  /**
   * Sends what is left, for {@link FLUSH_TIMEOUT_MS} at most, and takes no more. Idempotent; never rejects.
   *
   * @returns False when the last spans were lost, which is logged; the SDK may then have timers left that hold the process.
   */
  shutdown(): Promise<boolean>
}

export interface TracingDeps {
  readonly logger: Logger
  readonly clock: Clock
  /** This program's version. */
  readonly version: string
  /** This member's name: `service.instance.id`, unless a variable says another. */
  readonly instance: string
}

/** Starts to trace. OpenTelemetry's SDK is loaded here and nowhere else, so that a process without traces has none of it. */
export async function startTracing(settings: TracingSettings, deps: TracingDeps): Promise<Tracing> {
  const { SdkTracing } = await import('./tracing-sdk.ts')
  return new SdkTracing(settings, deps)
}

import { hasRegisteredOpenTelemetry } from '../otel-presence.ts'

/**
 * Headers with the trace context of the caller added, by the propagators that the program has registered with
 * OpenTelemetry, so that the member's spans join the caller's. Without OpenTelemetry they stay as they are, and nothing is
 * loaded.
 */
export async function withTraceContext(
  headers: Readonly<Record<string, string>> = {},
): Promise<Record<string, string>> {
  if (!hasRegisteredOpenTelemetry('propagation')) return headers
  const { context, propagation } = await import('@opentelemetry/api')
  const carrier = { ...headers }
  propagation.inject(context.active(), carrier)
  return carrier
}

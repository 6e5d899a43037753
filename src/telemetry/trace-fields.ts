import type { LogFields } from '../logger.ts'
import type { Tracer } from '../tracing.ts'

const NONE: LogFields = Object.freeze({})

/** The ids of the active span, as fields of a log line, under the names that OpenTelemetry gives them. */
export function traceFields(tracer: Tracer): LogFields {
  const active = tracer.active()
  return active === undefined
    ? NONE
    : { trace_id: active.traceId, span_id: active.spanId, trace_flags: active.sampled ? '01' : '00' }
}

/** The id of the active trace, if it is kept: for an exemplar. It costs nothing to speak of while traces are off. */
export function currentTraceId(tracer: Tracer): string | undefined {
  const active = tracer.active()
  return active?.sampled === true ? active.traceId : undefined
}

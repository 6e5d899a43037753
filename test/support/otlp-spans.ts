import { readProtobuf, type ProtobufField } from './protobuf-reader.ts'

/** A span as it came over OTLP. */
export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty for the root of a trace. */
  readonly parentSpanId: string
  readonly traceState: string
  readonly name: string
  readonly kind: 'internal' | 'server' | 'client' | 'other'
  readonly attributes: Readonly<Record<string, unknown>>
  readonly resource: Readonly<Record<string, unknown>>
  readonly scope: string
  readonly failed: boolean
  readonly durationNs: bigint
}

const KINDS: Readonly<Record<number, ReceivedSpan['kind']>> = { 1: 'internal', 2: 'server', 3: 'client' }

/**
 * The spans of an `ExportTraceServiceRequest` in protobuf.
 *
 * @see https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
 */
export function decodeProtobufSpans(body: Uint8Array): ReceivedSpan[] {
  return messages(readProtobuf(body), 1).flatMap((resourceSpans) => {
    const resource = attributes(messages(resourceSpans, 1).flatMap((one) => messages(one, 1)))
    return messages(resourceSpans, 2).flatMap((scopeSpans) => {
      const scope = messages(scopeSpans, 1).map((one) => text(one, 1))[0] ?? ''
      return messages(scopeSpans, 2).map((span) => ({
        traceId: hex(span, 1),
        spanId: hex(span, 2),
        traceState: text(span, 3),
        parentSpanId: hex(span, 4),
        name: text(span, 5),
        kind: KINDS[Number(number(span, 6))] ?? 'other',
        attributes: attributes(messages(span, 9)),
        resource,
        scope,
        failed: messages(span, 15).some((status) => number(status, 3) === 2n),
        durationNs: number(span, 8) - number(span, 7),
      }))
    })
  })
}

/** The spans of an `ExportTraceServiceRequest` in JSON: ids in hexadecimal, names of fields in lowerCamelCase. */
export function decodeJsonSpans(body: string): ReceivedSpan[] {
  const request = JSON.parse(body) as JsonRequest
  return (request.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) =>
    (scopeSpans ?? []).flatMap(({ scope, spans }) =>
      (spans ?? []).map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        traceState: span.traceState ?? '',
        parentSpanId: span.parentSpanId ?? '',
        name: span.name,
        kind: KINDS[span.kind] ?? 'other',
        attributes: jsonAttributes(span.attributes),
        resource: jsonAttributes(resource?.attributes),
        scope: scope?.name ?? '',
        failed: span.status?.code === 2,
        durationNs: BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano),
      })),
    ),
  )
}

function of(fields: readonly ProtobufField[], wanted: number) {
  return fields.filter((field) => field.number === wanted).map(({ value }) => value)
}

function messages(fields: readonly ProtobufField[], wanted: number): ProtobufField[][] {
  return of(fields, wanted).map((value) => readProtobuf(value as Uint8Array))
}

function text(fields: readonly ProtobufField[], wanted: number): string {
  const [value] = of(fields, wanted)
  return value === undefined ? '' : new TextDecoder('utf-8', { fatal: true }).decode(value as Uint8Array)
}

function hex(fields: readonly ProtobufField[], wanted: number): string {
  const [value] = of(fields, wanted)
  return value === undefined ? '' : Buffer.from(value as Uint8Array).toString('hex')
}

function number(fields: readonly ProtobufField[], wanted: number): bigint {
  const [value] = of(fields, wanted)
  return (value as bigint | undefined) ?? 0n
}

function attributes(pairs: readonly ProtobufField[][]): Record<string, unknown> {
  return Object.fromEntries(pairs.map((pair) => [text(pair, 1), messages(pair, 2).map(anyValue)[0]] as const))
}

/** An `AnyValue`: 1 string, 2 bool, 3 int, 4 double. */
function anyValue(fields: readonly ProtobufField[]): unknown {
  const [field] = fields
  if (field === undefined) return undefined
  switch (field.number) {
    case 1:
      return text(fields, 1)
    case 2:
      return field.value === 1n
    case 3:
      return Number(BigInt.asIntN(64, field.value as bigint))
    case 4: {
      const bytes = new DataView(new ArrayBuffer(8))
      bytes.setBigUint64(0, field.value as bigint)
      return bytes.getFloat64(0)
    }
    default:
      throw new Error(`an attribute of kind ${field.number} was not expected`)
  }
}

type JsonAttributes = readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[]

interface JsonRequest {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: JsonAttributes }
    readonly scopeSpans?: readonly {
      readonly scope?: { readonly name?: string }
      readonly spans?: readonly {
        readonly traceId: string
        readonly spanId: string
        readonly parentSpanId?: string
        readonly traceState?: string
        readonly name: string
        readonly kind: number
        readonly startTimeUnixNano: string
        readonly endTimeUnixNano: string
        readonly attributes?: JsonAttributes
        readonly status?: { readonly code?: number }
      }[]
    }[]
  }[]
}

function jsonAttributes(list: JsonAttributes = []): Record<string, unknown> {
  return Object.fromEntries(
    list.map(({ key, value }) => {
      const [kind, given] = Object.entries(value)[0] ?? []
      // An int64 is a string in JSON; some exporters write a number.
      return [key, kind === 'intValue' ? Number(given) : given] as const
    }),
  )
}

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Span,
  type TextMapGetter,
  type Tracer,
} from '@opentelemetry/api'
import type Koa from 'koa'
import { firstValue, splitTarget } from '../http/query.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import { errorTypeOf, failSpan } from '../tracing.ts'

export interface TracingMiddlewareOptions {
  readonly tracer: Tracer
  readonly manager: Pick<HashRingManager, 'snapshot'>
  /** Whether spans of look-ups carry a hash of the key. */
  readonly traceKeys: boolean
}

/** Characters that a span keeps of what a client says of itself. */
const USER_AGENT_LIMIT = 256

/**
 * A server span for each request, by OpenTelemetry's conventions for HTTP, as a part of the trace that the caller's
 * headers name. Within a span of this process (a program with HTTP instrumentation of its own) it is an internal span
 * of that one.
 *
 * It ends when the answer has been handed over; that of a watch once its head is out, because the stream lasts for hours.
 * No span holds the query, for that is where keys are, nor a path that is no route's, for somebody may put one there.
 *
 * @see https://opentelemetry.io/docs/specs/semconv/http/http-spans/
 */
export function tracingMiddleware(options: TracingMiddlewareOptions): Koa.Middleware {
  const { tracer } = options
  return async (ctx, next) => {
    const { req } = ctx
    const method = KNOWN_METHOD.test(ctx.method) ? ctx.method : '_OTHER'
    const { around, local } = contextOf(req)
    const knownRoute = routeOf(ctx)
    const span = tracer.startSpan(
      spanName(method, knownRoute),
      {
        kind: local ? SpanKind.INTERNAL : SpanKind.SERVER,
        attributes: {
          'http.request.method': method,
          'url.scheme': (req.socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http',
          ...(knownRoute === undefined ? {} : { 'http.route': knownRoute, 'url.path': knownRoute }),
        },
      },
      around,
    )
    let failure: unknown
    try {
      // Also where the span is not recorded: what is done may log or call, as a part of a trace that is not kept.
      await context.with(trace.setSpan(around, span), next)
    } catch (error) {
      failure = error ?? new Error('nothing was thrown')
      throw error
    } finally {
      if (span.isRecording()) {
        const route = routeOf(ctx)
        if (route !== knownRoute) span.updateName(spanName(method, route))
        span.setAttributes({
          'url.path': route ?? 'REDACTED',
          ...(route === undefined ? {} : { 'http.route': route }),
          ...requestAttributes(req, method),
          ...ringAttributes(ctx, options, route),
        })
        setOutcome(span, ctx, failure)
      }
      span.end()
    }
  }
}

/** What a request is a part of: the span of this process that is around it, or what its headers say. */
function contextOf(req: IncomingMessage): { readonly around: Context; readonly local: boolean } {
  const outer = context.active()
  const called = propagation.extract(ROOT_CONTEXT, req.headers, boundedGetter)
  const span = trace.getSpan(outer)
  if (span === undefined) return { around: called, local: false }
  const { traceId, traceFlags } = span.spanContext()
  // Requests inherit the context in which their server began to listen, such as a span of the start. That one has ended,
  // or is of another trace than the caller's; an instrumentation's span of this request is neither.
  const ended = !span.isRecording() && (traceFlags & TraceFlags.SAMPLED) !== 0
  const caller = trace.getSpanContext(called)
  const local = !ended && (caller === undefined || caller.traceId === traceId)
  return local ? { around: outer, local } : { around: called, local }
}

const KNOWN_METHOD = /^(CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|QUERY|TRACE)$/

function routeOf(ctx: Koa.Context): string | undefined {
  const route: unknown = ctx['_matchedRoute']
  return typeof route === 'string' ? route : undefined
}

function spanName(method: string, route: string | undefined): string {
  const verb = method === '_OTHER' ? 'HTTP' : method
  return route === undefined ? verb : `${verb} ${route}`
}

function requestAttributes(req: IncomingMessage, method: string): Attributes {
  const attributes: Attributes = { 'network.protocol.version': req.httpVersion }
  if (method === '_OTHER') attributes['http.request.method_original'] = (req.method ?? '').slice(0, 32)
  const host = /^(\[[\da-f:.%]{2,64}\]|[\w.-]{1,253})(?::(\d{1,5}))?$/i.exec(req.headers.host ?? '')
  if (host?.[1] !== undefined) attributes['server.address'] = host[1].replace(/^\[|\]$/g, '')
  if (host?.[2] !== undefined) attributes['server.port'] = Number(host[2])
  const client = req.socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '')
  // Who sent it, not who a header says: that one anybody can write.
  if (client !== undefined) attributes['client.address'] = client
  const agent = req.headers['user-agent']
  if (agent !== undefined) attributes['user_agent.original'] = agent.slice(0, USER_AGENT_LIMIT)
  return attributes
}

/** Routes whose query holds one key. */
const KEY_ROUTES: ReadonlySet<string> = new Set(['/v1/owner', '/v1/owners', '/hashring/nodes/get'])

function ringAttributes(
  ctx: Koa.Context,
  { manager, traceKeys }: TracingMiddlewareOptions,
  route: string | undefined,
): Attributes {
  const { ring, epoch } = manager.snapshot
  const attributes: Attributes = { 'ringman.ring.digest': ring.digest, 'ringman.ring.epoch': epoch }
  const owner: unknown = ctx['_ringOwner']
  if (typeof owner === 'string') attributes['ringman.owner'] = owner
  if (traceKeys && route !== undefined && KEY_ROUTES.has(route)) {
    const key = firstValue(splitTarget(ctx.req.url ?? '').query, 'key')
    if (key !== undefined) attributes['ringman.key.hash'] = hashKey(key)
  }
  const routed: unknown = ctx['_ringKey']
  if (traceKeys && typeof routed === 'string') {
    attributes['ringman.key.hash'] = hashKey(Buffer.from(routed).toString('latin1'))
  }
  return attributes
}

/** The first 16 hexadecimal digits of a key's SHA-256. @param key - Byte text. */
function hashKey(key: string): string {
  return createHash('sha256').update(key, 'latin1').digest('hex').slice(0, 16)
}

function setOutcome(span: Span, ctx: Koa.Context, failure: unknown): void {
  const { res } = ctx
  if (failure === undefined && !res.headersSent && res.destroyed) {
    // Nobody was there any more to answer to: no failure of ours.
    return
  }
  const status = failure === undefined ? res.statusCode : statusOf(failure)
  span.setAttribute('http.response.status_code', status)
  if (status < 500) return
  const code: unknown = ctx['_problemCode']
  failSpan(
    span,
    failure === undefined ? (typeof code === 'string' ? code : String(status)) : errorTypeOf(failure),
  )
}

/** The status with which Koa answers what middleware throws. */
function statusOf(failure: unknown): number {
  const { status, statusCode } = failure as { readonly status?: unknown; readonly statusCode?: unknown }
  const given = status ?? statusCode
  return typeof given === 'number' && given >= 400 && given <= 599 ? given : 500
}

/** Longest header of a trace context that is read: the limit of `baggage`. */
const HEADER_LIMIT = 8192

/** Longest `tracestate` that is kept: what everybody must be able to hand on. */
const TRACE_STATE_LIMIT = 512

/** Reads headers that anybody may have written: none that is too long, and one parent where there are several. */
const boundedGetter: TextMapGetter<IncomingHttpHeaders> = {
  keys: (headers) => Object.keys(headers),
  get(headers, name) {
    const value = headers[name.toLowerCase()]
    const text = Array.isArray(value) ? value.join(',') : value
    if (text === undefined || text.length > HEADER_LIMIT) return undefined
    // A program that sends the header and whose instrumentation adds one sends two: the last is the nearer parent.
    if (name === 'traceparent') return text.slice(text.lastIndexOf(',') + 1).trim()
    if (name !== 'tracestate' || text.length <= TRACE_STATE_LIMIT) return text
    const end = text.lastIndexOf(',', TRACE_STATE_LIMIT)
    return end === -1 ? undefined : text.slice(0, end)
  },
}

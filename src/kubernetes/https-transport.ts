import type { Agent } from 'node:http'
import { SpanKind, type Tracer } from '@opentelemetry/api'
import { answerHead } from '../answer-head.ts'
import { http, https } from '../node-http.ts'
import { failSpan, noTracer, withSpan } from '../tracing.ts'
import { unlessAborted } from '../unless-aborted.ts'
import type { ApiAnswer, ApiRequest, ApiTransport, ClusterAccess } from './api-transport.ts'

/** How long a silent connection is trusted before the kernel asks whether the other side is still there. */
const KEEP_ALIVE_PROBE_MS = 15_000

/** Connections that wait for the next request, and for how long. */
const POOL = { keepAlive: true, maxFreeSockets: 4, timeout: 3000 }

/**
 * Requests over HTTPS (HTTP where a kubeconfig says so). A watch has a connection of its own; those of other requests are
 * used again within seconds, since each new one costs milliseconds of processor time, and not later, since a pool would hand
 * out connections that are dead already. Redirects are not followed. Each has a client span,
 * which ends when the head of the answer has come; the query stays out of it.
 */
export class HttpsTransport implements ApiTransport {
  readonly #access: ClusterAccess
  readonly #userAgent: string
  readonly #tracer: Tracer
  #agent: Agent | undefined
  #server = 'the API server'

  constructor(access: ClusterAccess, userAgent: string, tracer: Tracer = noTracer) {
    this.#access = access
    this.#userAgent = userAgent
    this.#tracer = tracer
  }

  get server(): string {
    return this.#server
  }

  async namespace(signal: AbortSignal): Promise<string | undefined> {
    const { namespace } = await unlessAborted(signal, this.#access.connection())
    return namespace
  }

  send(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer> {
    const { method = 'GET', path, query } = request
    const template = path.replace(
      /\/namespaces\/[^/]+(\/[^/]+)(\/[^/]+)?/,
      (_, plural: string, name?: string) =>
        `/namespaces/{namespace}${plural}${name === undefined ? '' : '/{name}'}`,
    )
    const attributes = {
      'http.request.method': method,
      'url.template': template,
      'url.path': path,
      'ringman.kubernetes.watch': query?.['watch'] === 'true',
    }
    const options = { kind: SpanKind.CLIENT, attributes }
    return withSpan(this.#tracer, `${method} ${template}`, options, async (span) => {
      const answer = await this.#send(request, signal)
      span.setAttribute('http.response.status_code', answer.status)
      if (answer.status >= 400) failSpan(span, String(answer.status))
      return answer
    })
  }

  async #send({ method = 'GET', path, query, body }: ApiRequest, signal: AbortSignal): Promise<ApiAnswer> {
    // A program that makes tokens may take forever.
    const { server, headers, options } = await unlessAborted(signal, this.#access.connection())
    this.#server = `the API server ${server.origin}`
    const url = new URL(server)
    url.pathname = `${url.pathname.replace(/\/+$/, '')}${path}`
    url.search = new URLSearchParams(query).toString()
    const module = url.protocol === 'https:' ? https() : http
    this.#agent ??= new module.Agent(POOL)
    const request = module.request(url, {
      agent: query?.['watch'] === 'true' ? false : this.#agent,
      ...options,
      method,
      headers: {
        ...headers,
        accept: 'application/json',
        'user-agent': this.#userAgent,
        ...(body !== undefined && { 'content-type': body.type }),
      },
      maxHeaderSize: 16_384,
      signal,
    })
    request.once('socket', (socket) => {
      socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
      socket.setNoDelay(true)
    })
    const head = answerHead(request)
    request.end(body?.text)
    const response = await head
    const retryAfterMs = parseRetryAfter(response.headers['retry-after'])
    return {
      status: response.statusCode ?? 0,
      body: response,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    }
  }

  renewCredentials(): void {
    this.#access.renew()
  }
}

/** Only seconds: the API server does not send the other form, a date. */
function parseRetryAfter(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,6}$/.test(value) ? 1000 * Number(value) : undefined
}

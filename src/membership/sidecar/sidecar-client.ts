import { context, SpanKind, trace, type Span, type Tracer } from '@opentelemetry/api'
import { answerHead } from '../../answer-head.ts'
import type { Clock } from '../../clock.ts'
import { messageOf, RingmanError } from '../../errors.ts'
import { collectBytes } from '../../growing-buffer.ts'
import { http, https } from '../../node-http.ts'
import { RequestDeadline } from '../../request-deadline.ts'
import { errorTypeOf, failSpan, noTracer, traceHeaders } from '../../tracing.ts'
import { parseJson, parseState, type SidecarState } from './catalog.ts'
import { DocumentSplitter } from './document-splitter.ts'
import type { ResolvedOptions } from './sidecar-options.ts'

export interface SidecarClientOptions extends Pick<
  ResolvedOptions,
  'serviceName' | 'timeoutMs' | 'limitBytes'
> {
  /** Where the state is. */
  readonly url: URL
  readonly clock: Clock
  readonly get: HttpGet
  readonly tracer?: Tracer
}

/** Asks a Sidecar for its state, once or for good. */
export class SidecarClient {
  readonly #options: SidecarClientOptions

  constructor(options: SidecarClientOptions) {
    this.#options = options
  }

  /**
   * Fetches the state.
   *
   * @throws {RingmanError} `TIMEOUT`, `BODY_INVALID`, `BODY_TOO_LARGE`, or `SOURCE_FAILED` for a connection that
   *   fails and for another status than 200 to 299.
   */
  async fetchState(signal: AbortSignal): Promise<SidecarState> {
    const { url, serviceName, limitBytes } = this.#options
    const deadline = this.#deadline(signal)
    const span = this.#startSpan(url)
    try {
      const { body } = await this.#open(url, deadline.signal, span)
      const whole = await collectBytes(
        body,
        limitBytes,
        () =>
          new RingmanError('BODY_TOO_LARGE', `the state is larger than ${limitBytes} bytes`, {
            detail: { limitBytes },
          }),
      )
      span.setAttribute('http.response.body.size', whole.length)
      return parseState(parseJson(whole), serviceName)
    } catch (error) {
      const explained = explain(deadline, error)
      failSpan(span, errorTypeOf(explained))
      throw explained
    } finally {
      span.end()
      deadline.end()
    }
  }

  /**
   * Follows the state: yields it at once and after each change, until the stream ends or fails as
   * {@link SidecarClient.fetchState} does. Its span ends when the stream has begun.
   */
  async *watchState(signal: AbortSignal): AsyncGenerator<SidecarState, void, undefined> {
    const { url, serviceName, limitBytes } = this.#options
    const deadline = this.#deadline(signal)
    try {
      const body = await this.#openStream(watchUrlOf(url), deadline)
      const splitter = new DocumentSplitter(limitBytes)
      for await (const chunk of body) {
        for (const document of splitter.push(chunk)) {
          deadline.lift()
          yield parseState(parseJson(document), serviceName)
        }
      }
      if (splitter.heldBytes > 0) throw new RingmanError('BODY_INVALID', 'the stream ended within a document')
    } catch (error) {
      throw explain(deadline, error)
    } finally {
      deadline.end()
    }
  }

  async #openStream(url: URL, deadline: RequestDeadline): Promise<HttpAnswer['body']> {
    const span = this.#startSpan(url)
    try {
      return (await this.#open(url, deadline.signal, span)).body
    } catch (error) {
      failSpan(span, errorTypeOf(explain(deadline, error)))
      throw error
    } finally {
      span.end()
    }
  }

  /** A client span, by OpenTelemetry's conventions. Sidecar's paths are few; user, password and query stay out of it. */
  #startSpan(url: URL): Span {
    const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
    return (this.#options.tracer ?? noTracer).startSpan(`GET ${url.pathname}`, {
      kind: SpanKind.CLIENT,
      attributes: {
        'http.request.method': 'GET',
        'server.address': url.hostname,
        'server.port': port,
        'url.full': `${url.protocol}//${url.host}${url.pathname}`,
        'url.template': url.pathname,
      },
    })
  }

  async #open(url: URL, signal: AbortSignal, span: Span): Promise<HttpAnswer> {
    const headers = traceHeaders(trace.setSpan(context.active(), span))
    const answer = await this.#options.get(url, signal, headers)
    span.setAttribute('http.response.status_code', answer.status)
    if (answer.status < 200 || answer.status > 299) {
      throw new RingmanError('SOURCE_FAILED', `it answered with status ${answer.status}`, {
        detail: { status: answer.status },
      })
    }
    return answer
  }

  #deadline(signal: AbortSignal): RequestDeadline {
    const { clock, timeoutMs } = this.#options
    const deadline = new RequestDeadline(clock, signal)
    deadline.set(timeoutMs, () => new RingmanError('TIMEOUT', `no whole answer within ${timeoutMs} ms`))
    return deadline
  }
}

function explain(deadline: RequestDeadline, error: unknown): RingmanError {
  if (deadline.problem !== undefined) return deadline.problem
  if (error instanceof RingmanError) return error
  return new RingmanError('SOURCE_FAILED', messageOf(error), { cause: error })
}

/** An answer whose head has come; its body comes as it is read. */
export interface HttpAnswer {
  readonly status: number
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * Asks for `url` and resolves when the head of the answer has come. Rejects when it cannot be had, and when
 * `signal` aborts, which also ends the reading of the body with an error. Whoever gets an answer reads its body
 * to the end, or leaves the loop that reads it, or aborts: each releases the connection.
 */
export type HttpGet = (
  url: URL,
  signal: AbortSignal,
  /** Headers to send beside its own. */
  headers?: Readonly<Record<string, string>>,
) => Promise<HttpAnswer>

/** How long a silent connection is trusted before the kernel asks whether the other side is still there. */
const KEEP_ALIVE_PROBE_MS = 15_000

/** Asks over a connection of its own, which ends with the answer. Redirects are not followed. */
export const getOverHttp: HttpGet = async (url, signal, headers) => {
  const request = (url.protocol === 'https:' ? https() : http).request(url, {
    agent: false,
    headers: { ...headers, accept: 'application/json', connection: 'close' },
    maxHeaderSize: 16_384,
    signal,
  })
  request.once('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS))
  const head = answerHead(request)
  request.end()
  const response = await head
  return { status: response.statusCode ?? 0, body: response }
}

/**
 * Where the Sidecar whose state is at `stateUrl` streams its state: `watch` beside it. `by_service=false` asks
 * for the whole state each time; the other form lacks the time of the last change.
 */
export function watchUrlOf(stateUrl: URL): URL {
  const url = new URL('watch', stateUrl)
  url.searchParams.set('by_service', 'false')
  return url
}

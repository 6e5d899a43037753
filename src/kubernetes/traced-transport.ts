import { SpanKind, type Tracer } from '@opentelemetry/api'
import { failSpan, withSpan } from '../tracing.ts'
import type { ApiAnswer, ApiTransport } from './api-transport.ts'

/**
 * A transport that makes a client span of each request. It ends when the head of the answer has come: a watch then goes
 * on for minutes. The query stays out of it.
 */
export class TracedTransport implements ApiTransport {
  readonly #inner: ApiTransport
  readonly #tracer: Tracer

  constructor(inner: ApiTransport, tracer: Tracer) {
    this.#inner = inner
    this.#tracer = tracer
  }

  get server(): string {
    return this.#inner.server
  }

  namespace(signal: AbortSignal): Promise<string | undefined> {
    return this.#inner.namespace(signal)
  }

  get(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ApiAnswer> {
    const template = path.replace(/\/namespaces\/[^/]+/, '/namespaces/{namespace}')
    const attributes = {
      'http.request.method': 'GET',
      'url.template': template,
      'url.path': path,
      'ringman.kubernetes.watch': query['watch'] === 'true',
    }
    const options = { kind: SpanKind.CLIENT, attributes }
    return withSpan(this.#tracer, `GET ${template}`, options, async (span) => {
      const answer = await this.#inner.get(path, query, signal)
      span.setAttribute('http.response.status_code', answer.status)
      if (answer.status >= 400) failSpan(span, String(answer.status))
      return answer
    })
  }

  renewCredentials(): void {
    this.#inner.renewCredentials()
  }
}

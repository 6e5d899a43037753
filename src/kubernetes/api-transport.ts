import type { RequestOptions } from 'node:https'

export interface ApiRequest {
  /** @default 'GET' */
  readonly method?: 'GET' | 'POST' | 'PATCH'
  /** From the root of the API. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** With its media type, such as `application/merge-patch+json`. @default none */
  readonly body?: { readonly type: string; readonly text: string }
}

/** An answer of the API server whose head has come; its body comes as it is read. */
export interface ApiAnswer {
  readonly status: number
  /** What the header `Retry-After` asks for, in milliseconds. */
  readonly retryAfterMs?: number
  readonly body: AsyncIterable<Uint8Array>
}

/**
 * How requests get to the API server, with everything that lets them in.
 *
 * Whoever gets an answer reads its body to the end, or leaves the loop that reads it, or aborts: each releases the
 * connection.
 */
export interface ApiTransport {
  /** Where the requests go, for messages. */
  readonly server: string
  /**
   * The namespace that the configuration names: that of the pod, or of the kubeconfig's context; undefined when it
   * names none.
   *
   * @throws {RingmanError} Kind `credentials` when the configuration cannot be read.
   */
  namespace(signal: AbortSignal): Promise<string | undefined>
  /**
   * Sends a request and resolves when the head of the answer has come. `signal` also ends the reading of the body,
   * with an error.
   *
   * @throws {RingmanError} Kind `credentials` when the configuration or the token cannot be read. Whatever else it
   *   rejects with is a failure of the connection.
   */
  send(request: ApiRequest, signal: AbortSignal): Promise<ApiAnswer>
  /** Reads configuration and credentials again for the next request: those of the last one were refused. */
  renewCredentials(): void
}

/** Where the API server is, and what lets requests in. */
export interface ClusterConnection {
  /** Scheme, host, port, and a path where the server has one (`kubectl` proxies, Rancher). */
  readonly server: URL
  /** That of the pod, or of the kubeconfig's context. */
  readonly namespace: string | undefined
  /** What lets a request in; never logged. */
  readonly headers: Readonly<Record<string, string>>
  /** Certificates, agent: whatever else `https.request` takes. Never logged. */
  readonly options: Omit<RequestOptions, 'headers'>
}

/** How a process finds the API server. */
export interface ClusterAccess {
  /**
   * What is in force now; read again from time to time, because tokens and certificates are replaced while the process
   * runs.
   *
   * @throws {RingmanError} Kind `credentials` when something of it cannot be read.
   */
  connection(): Promise<ClusterConnection>
  /** Reads all of it again the next time. */
  renew(): void
}

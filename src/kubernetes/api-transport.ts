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
   * Asks for `path` and resolves when the head of the answer has come. `signal` also ends the reading of the body,
   * with an error.
   *
   * @throws {RingmanError} Kind `credentials` when the configuration or the token cannot be read. Whatever else it
   *   rejects with is a failure of the connection.
   */
  get(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ApiAnswer>
  /** Reads configuration and credentials anew for the next request: those of the last one were refused. */
  renewCredentials(): void
}

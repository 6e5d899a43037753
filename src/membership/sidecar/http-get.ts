import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

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
export const getOverHttp: HttpGet = (url, signal, headers) =>
  new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      agent: false,
      headers: { ...headers, accept: 'application/json', connection: 'close' },
      maxHeaderSize: 16_384,
      signal,
    })
    request.once('error', reject)
    request.once('socket', (socket) => {
      socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    })
    request.once('response', (response) => {
      resolve({ status: response.statusCode ?? 0, body: response })
    })
    request.end()
  })

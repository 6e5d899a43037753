/** What one run of the load found. */
export interface LoadResult {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

/** Nodes on the rings of all servers. */
export const NODE_COUNT = 10

/** Distinct keys that the load asks for, in turn, each of 22 bytes. */
export const KEYS: readonly string[] = Array.from(
  { length: 10_000 },
  (_, i) => `session-${String(i).padStart(14, '0')}`,
)

/** The request for a key, as bytes; `/v1/route` finds it in a header. */
export function requestFor(path: string, key: string): string {
  const host = 'Host: 127.0.0.1\r\n'
  return path === '/v1/route'
    ? `GET ${path} HTTP/1.1\r\n${host}X-Ringman-Key: ${key}\r\n\r\n`
    : `GET ${path}?key=${key} HTTP/1.1\r\n${host}\r\n`
}

/** What `metrics-cost.ts` found. */
export interface MetricsCost {
  /** CPU time that metrics add to a request, in microseconds. */
  readonly addedMicros: number
  /** How far that may be off, by the spread of what was measured (two standard errors). */
  readonly errorMicros: number
  /** CPU time of a request without metrics, at both ends of it. */
  readonly bothEndsMicros: number
}

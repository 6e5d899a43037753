/** What one run of the load found. */
export interface LoadResult {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** What a server process is asked, and answers, over its channel. */
export type ServerRequest = 'usage' | 'stop'
export interface ServerReady {
  readonly port: number
}
export interface ServerUsage {
  /** CPU time since the start, user and system, in microseconds. */
  readonly cpuMicros: number
  readonly requests: number
  readonly residentBytes: number
}

/** Names of what is compared: `/v1/owner`, `/v1/route` of the same program, and a bare server. */
export const SERVERS = ['ringman', 'route', 'bare'] as const
export type ServerName = (typeof SERVERS)[number]

/** Nodes on the ring of both servers. */
export const NODE_COUNT = 10

/** Distinct keys that the load asks for, in turn, each of 22 bytes. */
export const KEYS: readonly string[] = Array.from(
  { length: 10_000 },
  (_, i) => `session-${String(i).padStart(14, '0')}`,
)

/** What `metrics-cost.ts` found. */
export interface MetricsCost {
  /** CPU time that metrics add to a request, in microseconds. */
  readonly addedMicros: number
  /** How far that may be off, by the spread of what was measured (two standard errors). */
  readonly errorMicros: number
  /** CPU time of a request without metrics, at both ends of it. */
  readonly bothEndsMicros: number
}

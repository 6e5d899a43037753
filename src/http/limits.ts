/** What a client may ask for and hold. Every buffer, list and wait that a client can make grow has its bound here. */
export interface HttpLimits {
  /** Longest key in bytes of UTF-8 that the `v1` look-ups take. */
  readonly maxKeyBytes: number
  /** Largest `n`, the number of owners asked for per key. */
  readonly maxOwners: number
  /** Most keys in one batch look-up. */
  readonly maxBatchKeys: number
  /** Most owners that one batch look-up may ask for in all: keys times `n`, `n` counting at most the ring's size. */
  readonly maxBatchOwners: number
  /** Most nodes that one plan may name; at 1,000 nodes a plan of 100 holds up other answers for about 0.1 s. */
  readonly maxPlannedNodes: number
  /** Largest request body in bytes. */
  readonly maxBodyBytes: number
  /** Bytes of request bodies that may be held at once, over all requests. At least `maxBodyBytes`. */
  readonly maxHeldBodyBytes: number
  /** Most ring watches open at once. */
  readonly maxWatchers: number
  /** Milliseconds between two heartbeats of a ring watch. A watcher that takes nothing for that long is dropped. */
  readonly heartbeatMs: number
  /** A watcher for which more than this many bytes wait is dropped instead of getting the next event. */
  readonly watchBufferBytes: number
  /** Milliseconds from the start of a connection or request until its headers must be there. */
  readonly headersTimeoutMs: number
  /** Milliseconds from the start of a request until all of it must be there, body included. */
  readonly requestTimeoutMs: number
  /** Milliseconds that a connection may stay open between two requests. */
  readonly keepAliveTimeoutMs: number
  /** Milliseconds without a byte in either direction after which a connection in use is ended. */
  readonly socketTimeoutMs: number
  /**
   * Largest request line and headers together, in bytes. A key of 64 KiB takes up to 192 KiB in a URL, each
   * byte as `%XX`.
   */
  readonly maxHeaderBytes: number
  /** Most connections at once; further ones are closed as soon as they come. */
  readonly maxConnections: number
}

/** The limits that hold where none are given. */
export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  maxKeyBytes: 64 * 1024,
  maxOwners: 1000,
  maxBatchKeys: 10_000,
  maxBatchOwners: 100_000,
  maxPlannedNodes: 100,
  maxBodyBytes: 2 * 1024 * 1024,
  maxHeldBodyBytes: 64 * 1024 * 1024,
  maxWatchers: 1000,
  heartbeatMs: 15_000,
  watchBufferBytes: 1024 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 65_000,
  socketTimeoutMs: 120_000,
  maxHeaderBytes: 256 * 1024,
  maxConnections: 4096,
}

/** The defaults, with `limits` over them. */
export function withDefaultLimits(limits: Partial<HttpLimits> | undefined): HttpLimits {
  return { ...DEFAULT_HTTP_LIMITS, ...limits }
}

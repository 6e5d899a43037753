import type { IncomingMessage } from 'node:http'
import { configInvalid } from '../errors.ts'
import { unknownNames } from '../unknown-name.ts'

/** The limits that hold where none are given. */
export const DEFAULT_HTTP_LIMITS = {
  /** Longest key in bytes of UTF-8 that the `v1` look-ups take. */
  maxKeyBytes: 64 * 1024,
  /** Largest `n`, the number of owners asked for per key. */
  maxOwners: 1000,
  /** Most keys in one batch look-up. */
  maxBatchKeys: 10_000,
  /** Most owners that one batch look-up may ask for in all: keys times `n`, `n` counting at most the ring's size. */
  maxBatchOwners: 100_000,
  /** Most nodes that one plan may name. */
  maxPlannedNodes: 100,
  /** Largest request body in bytes. */
  maxBodyBytes: 2 * 1024 * 1024,
  /** Bytes of request bodies that may be held at once, over all requests. At least `maxBodyBytes`. */
  maxHeldBodyBytes: 32 * 1024 * 1024,
  /** Most ring watches open at once. */
  maxWatchers: 512,
  /** Milliseconds between two heartbeats of a ring watch. */
  heartbeatMs: 15_000,
  /** Bytes of answers that may wait for their readers, over all connections. */
  maxWaitingAnswerBytes: 32 * 1024 * 1024,
  /** Milliseconds after which a reader for whom bytes wait is cut off, if it has taken none. */
  slowReaderMs: 15_000,
  /**
   * Bytes of request heads that may be held at once, over all connections of a port, until their requests are answered; each
   * request counts 4 KiB besides. At least twice `maxHeaderBytes`.
   */
  maxHeldHeadBytes: 16 * 1024 * 1024,
  /** Milliseconds from the start of a connection or request until its headers must be there. */
  headersTimeoutMs: 10_000,
  /** Milliseconds from the start of a request until all of it must be there, body included. */
  requestTimeoutMs: 30_000,
  /** Milliseconds that a connection may stay open between two requests. */
  keepAliveTimeoutMs: 65_000,
  /** Milliseconds without a byte in either direction after which a connection in use is ended. */
  socketTimeoutMs: 120_000,
  /**
   * Largest request line and headers together, in bytes. A key of 64 KiB takes up to 192 KiB in a URL, each
   * byte as `%XX`.
   */
  maxHeaderBytes: 256 * 1024,
  /**
   * Most connections at once; when all of them end at once, closing them holds the event loop for some 25 µs each. For a
   * further one the connection that has been idle longest is closed.
   */
  maxConnections: 1024,
}

/** What a client may ask for and hold. Every buffer, list and wait that a client can make grow has its bound here. */
export type HttpLimits = Readonly<typeof DEFAULT_HTTP_LIMITS>

/** What the admin port allows: room for probes, scrapers and people, whatever goes on at the look-up port. */
export const ADMIN_HTTP_LIMITS: HttpLimits = {
  ...DEFAULT_HTTP_LIMITS,
  maxHeaderBytes: 16 * 1024,
  maxHeldHeadBytes: 1024 * 1024,
  maxWaitingAnswerBytes: 4 * 1024 * 1024,
  maxConnections: 64,
}

/** Heads of more bytes are rare: large keys, large cookies. */
const LARGE_HEAD_BYTES = 16 * 1024

/**
 * Whether a request's head is so large that its connection must not last: Node's parser keeps what it read last, beside the strings of the
 * request, for as long as the connection is open.
 */
export function hasLargeHead(request: IncomingMessage): boolean {
  return headBytesOf(request) > LARGE_HEAD_BYTES
}

/** Bytes of a request's head, but for what separates its fields. */
export function headBytesOf({ url = '', rawHeaders }: IncomingMessage): number {
  let bytes = url.length
  for (const text of rawHeaders) bytes += text.length
  return bytes
}

/**
 * How many connections the look-up port may have: what is configured, or half of the file descriptors that are left.
 * The other half is for gossip, the admin port and files.
 *
 * @param descriptors - What the process has open and may have open; undefined where that is unknown or unlimited.
 * @param each - Descriptors that a connection takes at most.
 */
export function connectionsWithin(
  configured: number,
  { open, max }: { readonly open: number | undefined; readonly max: number | undefined },
  each = 1,
): number {
  if (open === undefined || max === undefined) return configured
  return Math.max(1, Math.min(configured, Math.floor((max - open) / 2 / each)))
}

/** What bodies, unfinished heads and waiting answers may take of the process's memory, each, when there is little of it. */
const MEMORY_SHARES = { bodies: 0.1, heads: 0.05, answers: 0.1 }

/**
 * The limits of a process that may have so much memory. What is held for clients follows it, but has room for one of the
 * largest bodies and a few heads at least.
 */
export function limitsWithin(limits: HttpLimits, memoryBytes: number): HttpLimits {
  const share = (most: number, fraction: number, least: number) =>
    Math.min(most, Math.max(least, Math.floor(memoryBytes * fraction)))
  const { maxHeldBodyBytes, maxBodyBytes, maxHeldHeadBytes, maxHeaderBytes, maxWaitingAnswerBytes } = limits
  return {
    ...limits,
    maxHeldBodyBytes: share(maxHeldBodyBytes, MEMORY_SHARES.bodies, maxBodyBytes),
    maxHeldHeadBytes: share(maxHeldHeadBytes, MEMORY_SHARES.heads, 2 * maxHeaderBytes),
    maxWaitingAnswerBytes: share(maxWaitingAnswerBytes, MEMORY_SHARES.answers, maxBodyBytes),
  }
}

/** The defaults, with `limits` over them. @throws {RingmanError} `CONFIG_INVALID` for a limit that there is not. */
export function withDefaultLimits(limits: Partial<HttpLimits> | undefined): HttpLimits {
  const problems = unknownNames('limit', { ...limits }, Object.keys(DEFAULT_HTTP_LIMITS))
  if (problems.length > 0) throw configInvalid(problems.join('; '))
  return { ...DEFAULT_HTTP_LIMITS, ...limits }
}

/** How many connections may wait at a port to be accepted. */
export const BACKLOG = 511

import type { Socket } from 'node:net'
import type { Clock } from '../../clock.ts'
import type { Endpoint } from './protocol/endpoint.ts'
import { DecodingTurns } from './decoding-turns.ts'
import { releaseSockets } from './gossip-sockets.ts'
import type { ByteListener } from './stream-client.ts'
import type { Drop } from './wire/drop.ts'
import { NO_LABEL } from './wire/label.ts'
import { StreamDecoder, type DecodedStream, type StreamReception } from './wire/stream-decoder.ts'

export const DEFAULT_STREAM_SERVER_LIMITS = {
  /** Connections served at once, as many as in memberlist. A quarter of them is kept for members and seeds. */
  maxConnections: 128,
  /** Of these from one address. */
  maxConnectionsPerAddress: 32,
  /** Bytes held for all connections together. */
  maxHeldBytes: 64 * 1024 * 1024,
}

/** Bounds on what peers can make this member hold through connections. */
export type StreamServerLimits = Readonly<typeof DEFAULT_STREAM_SERVER_LIMITS>

/** Time for a refused peer to read why, in milliseconds. */
const FAREWELL_MS = 1000

export interface StreamServerOptions {
  readonly clock: Clock
  /** Whom to listen to at this moment: asked for each connection, as the keyring may change. */
  readonly reception: () => StreamReception
  /** The message of a connection arrived whole, in so many bytes. */
  readonly onMessage: (stream: number, message: DecodedStream, from: Endpoint, sizeBytes: number) => void
  /** The message of a connection is not taken; what is returned is sent before the connection is closed. */
  readonly onDrop: (drop: Drop, from: Endpoint) => Uint8Array | undefined
  /** A connection is closed unless it has been answered this many milliseconds after it was accepted. */
  readonly timeoutMs: number
  /** Whether a member or a seed is at this address: what is there is served before strangers. */
  readonly isKnown: (address: string) => boolean
  readonly limits?: Partial<StreamServerLimits> | undefined
  readonly onBytes?: ByteListener
}

interface Connection {
  readonly stream: number
  readonly socket: Socket
  readonly from: Endpoint
  readonly isKnown: boolean
  /** Whether its message is there: what is left takes no longer than this member takes to answer. */
  isWhole: boolean
  label: Uint8Array
  cancelTimer: () => void
  heldBytes: number
}

/** The part of the connections that strangers cannot have. */
const KNOWN_PART = 0.25

/** A message has this part of the time to come whole, and a second at least; one of which a lot is there has all of it. */
const MESSAGE_PART = 0.2
const MESSAGE_MIN_MS = 1000
const LOT_BYTES = 64 * 1024

/**
 * Serves the connections of peers: one message in, at most one answer out. Slow, silent and too many peers cost
 * a bounded time and memory: where there is no room for a newcomer, the oldest one whose message is not whole makes room,
 * strangers before members and seeds. Whoever sends a message at once is never in anybody's way.
 */
export class StreamServer {
  readonly #options: StreamServerOptions
  readonly #limits: StreamServerLimits
  readonly #connections = new Map<number, Connection>()
  readonly #turns: DecodingTurns
  #nextStream = 1
  #heldBytes = 0
  #refused = 0

  constructor(options: StreamServerOptions) {
    this.#options = options
    this.#turns = new DecodingTurns(options.clock)
    this.#limits = { ...DEFAULT_STREAM_SERVER_LIMITS, ...options.limits }
  }

  /** Connections that were closed for others, or because there was no room. */
  get refused(): number {
    return this.#refused
  }

  get openConnections(): number {
    return this.#connections.size
  }

  accept(socket: Socket, from: Endpoint): void {
    socket.on('error', () => {
      // The peer went away; `close` follows and cleans up.
    })
    const isKnown = this.#options.isKnown(from.address)
    if (!this.#makeRoom(from.address, isKnown)) {
      this.#refused++
      socket.destroy()
      return
    }
    const stream = this.#nextStream++
    const decoder = new StreamDecoder(this.#options.reception())
    const connection: Connection = {
      stream,
      socket,
      from,
      isKnown,
      isWhole: false,
      label: NO_LABEL,
      heldBytes: 0,
      cancelTimer: () => {},
    }
    this.#limitTime(connection)
    this.#connections.set(stream, connection)
    socket.on('close', () => {
      if (socket.bytesWritten > 0) this.#options.onBytes?.('sent', socket.bytesWritten)
      this.#forget(stream)
    })
    const take = (result: ReturnType<StreamDecoder['push']>) => {
      if (result === undefined || connection.isWhole) return
      connection.isWhole = true
      // Whatever the peer sends after its message is not even read.
      socket.pause()
      if (result.ok) {
        connection.label = result.label
        this.#options.onMessage(stream, result, from, connection.heldBytes)
      } else {
        const farewell = this.#options.onDrop(result, from)
        if (farewell === undefined) socket.destroy()
        else this.#part(connection, farewell)
      }
    }
    socket.on('data', (chunk) => {
      connection.heldBytes += chunk.length
      this.#options.onBytes?.('received', chunk.length)
      this.#heldBytes += chunk.length
      while (this.#heldBytes > this.#limits.maxHeldBytes) {
        const largest = this.#unfinished().sort((a, b) => b.heldBytes - a.heldBytes)[0] ?? connection
        this.#evict(largest)
      }
      if (socket.destroyed) return
      take(decoder.push(chunk))
      if (!decoder.isWorking) return
      socket.pause()
      this.#turns.add({ decoder, isOver: () => socket.destroyed, take }, isKnown)
    })
    socket.on('end', () => {
      if (decoder.isWorking) return
      // A peer that sent nothing at all only looked whether the port is open.
      if (connection.heldBytes > 0) take(decoder.end())
      else socket.destroy()
    })
  }

  /**
   * Sends the answer and closes the connection, which may be gone already.
   *
   * @param encode - Makes the answer to a message that came with this label.
   */
  answer(stream: number, encode: (label: Uint8Array) => Uint8Array): void {
    const connection = this.#connections.get(stream)
    connection?.socket.end(encode(connection.label))
  }

  refuse(stream: number): void {
    this.#connections.get(stream)?.socket.destroy()
  }

  /** Closes every connection; resolves when their sockets are released. */
  async close(): Promise<void> {
    await releaseSockets(Array.from(this.#connections.values(), ({ socket }) => socket))
  }

  /** Says why, and closes soon: one that reads nothing must not hold its place. */
  #part(connection: Connection, farewell: Uint8Array): void {
    const { socket } = connection
    connection.cancelTimer()
    connection.cancelTimer = this.#options.clock.after(FAREWELL_MS, () => socket.destroy())
    socket.end(farewell)
  }

  /** Closes a message that is too slow, and a connection whose time is over. */
  #limitTime(connection: Connection): void {
    const { clock, timeoutMs } = this.#options
    const { socket } = connection
    const messageMs = Math.min(timeoutMs, Math.max(MESSAGE_MIN_MS, MESSAGE_PART * timeoutMs))
    connection.cancelTimer = clock.after(messageMs, () => {
      if (!connection.isWhole && connection.heldBytes < LOT_BYTES) {
        socket.destroy()
        return
      }
      connection.cancelTimer = clock.after(timeoutMs - messageMs, () => socket.destroy())
    })
  }

  /** Whether there is a place for one more from this address; others may have to go for it. */
  #makeRoom(address: string, isKnown: boolean): boolean {
    const all = [...this.#connections.values()]
    const same = all.filter(({ from }) => from.address === address)
    const { maxConnections, maxConnectionsPerAddress } = this.#limits
    if (same.length >= maxConnectionsPerAddress) return this.#evictOldest(same)
    const strangers = all.filter((connection) => !connection.isKnown)
    const roomOfStrangers = maxConnections - Math.floor(KNOWN_PART * maxConnections)
    if (!isKnown && strangers.length >= roomOfStrangers) return this.#evictOldest(strangers)
    if (all.length < maxConnections) return true
    return this.#evictOldest(strangers) || (isKnown && this.#evictOldest(all))
  }

  /** Connections come in the order in which they were accepted. */
  #evictOldest(among: readonly Connection[]): boolean {
    const oldest = among.find(({ isWhole }) => !isWhole)
    if (oldest !== undefined) this.#evict(oldest)
    return oldest !== undefined
  }

  #evict(connection: Connection): void {
    this.#refused++
    connection.socket.destroy()
    this.#forget(connection.stream)
  }

  /** Those whose message is not whole: strangers, or where there are none, all. */
  #unfinished(): Connection[] {
    const unfinished = [...this.#connections.values()].filter(({ isWhole }) => !isWhole)
    const strangers = unfinished.filter(({ isKnown }) => !isKnown)
    return strangers.length > 0 ? strangers : unfinished
  }

  #forget(stream: number): void {
    const connection = this.#connections.get(stream)
    if (connection === undefined) return
    connection.cancelTimer()
    this.#heldBytes -= connection.heldBytes
    this.#connections.delete(stream)
  }
}

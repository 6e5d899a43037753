import type { Socket } from 'node:net'
import type { Clock } from '../../clock.ts'
import type { Endpoint } from './protocol/endpoint.ts'
import { releaseSockets } from './socket-release.ts'
import type { ByteListener } from './stream-client.ts'
import type { Drop } from './wire/drop.ts'
import { StreamDecoder, type DecodedStream, type StreamReception } from './wire/stream-decoder.ts'

/** Bounds on what peers can make this member hold through connections. */
export interface StreamServerLimits {
  /** Connections served at once; further ones are closed at once. @default 128, as in memberlist */
  readonly maxConnections: number
  /** Of these from one address. @default 32 */
  readonly maxConnectionsPerAddress: number
  /** Bytes held for all connections together; the one that goes beyond is closed. @default 64 MiB */
  readonly maxHeldBytes: number
}

export const DEFAULT_STREAM_SERVER_LIMITS: StreamServerLimits = {
  maxConnections: 128,
  maxConnectionsPerAddress: 32,
  maxHeldBytes: 64 * 1024 * 1024,
}

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
  readonly limits?: Partial<StreamServerLimits>
  /** Called for all that goes over the connections. */
  readonly onBytes?: ByteListener
}

interface Connection {
  readonly socket: Socket
  readonly from: Endpoint
  cancelTimer: () => void
  heldBytes: number
}

/**
 * Serves the connections of peers: one message in, at most one answer out. Slow, silent and too many peers cost
 * a bounded time and memory.
 */
export class StreamServer {
  readonly #options: StreamServerOptions
  readonly #limits: StreamServerLimits
  readonly #connections = new Map<number, Connection>()
  #nextStream = 1
  #heldBytes = 0
  #refused = 0

  constructor(options: StreamServerOptions) {
    this.#options = options
    this.#limits = { ...DEFAULT_STREAM_SERVER_LIMITS, ...options.limits }
  }

  /** Connections that were closed at once, or for the bytes they held. */
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
    if (this.#isFull(from)) {
      this.#refused++
      socket.destroy()
      return
    }
    const stream = this.#nextStream++
    const decoder = new StreamDecoder(this.#options.reception())
    const connection: Connection = {
      socket,
      from,
      heldBytes: 0,
      cancelTimer: this.#options.clock.after(this.#options.timeoutMs, () => {
        socket.destroy()
      }),
    }
    this.#connections.set(stream, connection)
    socket.on('close', () => {
      if (socket.bytesWritten > 0) this.#options.onBytes?.('sent', socket.bytesWritten)
      this.#forget(stream)
    })
    let answered = false
    const take = (result: ReturnType<StreamDecoder['push']>) => {
      if (result === undefined || answered) return
      answered = true
      // Whatever the peer sends after its message is not even read.
      socket.pause()
      if (result.ok) this.#options.onMessage(stream, result, from, connection.heldBytes)
      else {
        const farewell = this.#options.onDrop(result, from)
        if (farewell === undefined) socket.destroy()
        else this.#part(connection, farewell)
      }
    }
    socket.on('data', (chunk) => {
      connection.heldBytes += chunk.length
      this.#options.onBytes?.('received', chunk.length)
      this.#heldBytes += chunk.length
      if (this.#heldBytes > this.#limits.maxHeldBytes) {
        this.#refused++
        socket.destroy()
        return
      }
      take(decoder.push(chunk))
    })
    socket.on('end', () => {
      // A peer that sent nothing at all only looked whether the port is open.
      if (connection.heldBytes > 0) take(decoder.end())
      else socket.destroy()
    })
  }

  /** Sends the answer and closes the connection, which may be gone already. */
  answer(stream: number, bytes: Uint8Array): void {
    this.#connections.get(stream)?.socket.end(bytes)
  }

  /** Closes a connection without an answer. */
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
    connection.cancelTimer = this.#options.clock.after(FAREWELL_MS, () => {
      socket.destroy()
    })
    socket.end(farewell)
  }

  #isFull({ address }: Endpoint): boolean {
    if (this.#connections.size >= this.#limits.maxConnections) return true
    let same = 0
    for (const { from } of this.#connections.values()) if (from.address === address) same++
    return same >= this.#limits.maxConnectionsPerAddress
  }

  #forget(stream: number): void {
    const connection = this.#connections.get(stream)
    if (connection === undefined) return
    connection.cancelTimer()
    this.#heldBytes -= connection.heldBytes
    this.#connections.delete(stream)
  }
}

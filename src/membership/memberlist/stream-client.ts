import { connect, type Socket } from 'node:net'
import type { Clock } from '../../clock.ts'
import type { Endpoint } from './protocol/endpoint.ts'
import { DecodingTurns } from './decoding-turns.ts'
import { releaseSockets } from './gossip-sockets.ts'
import { DROP_REASONS, type DropReason } from './wire/drop.ts'
import { StreamDecoder, type StreamReception } from './wire/stream-decoder.ts'
import type { StreamMessage } from './wire/messages.ts'

/** How a call ended: with the peer's message, or why there is none. */
export type StreamAnswer =
  | { readonly outcome: 'answered'; readonly message: StreamMessage; readonly sizeBytes: number }
  /** Sent whole; no answer was asked for. */
  | { readonly outcome: 'sent' }
  /** The host is there, and nothing listens on the port. */
  | { readonly outcome: 'refused'; readonly reason: string }
  | {
      readonly outcome: 'failed'
      readonly reason: string
      /** Why the answer was dropped, where there was one. */
      readonly dropped?: DropReason
      /** Milliseconds after which the peer closed the connection without any answer, where it did. */
      readonly closedAfterMs?: number
    }

export interface StreamCall {
  readonly to: Endpoint
  readonly bytes: Uint8Array
  /** Time for all of it together, in milliseconds. */
  readonly timeoutMs: number
  /** How to read the answer; absent when none is wanted. */
  readonly reception: StreamReception | undefined
}

/** Errors of a connection that the peer closed before it had read everything. */
const CLOSED_BY_PEER = new Set(['ECONNRESET', 'EPIPE'])

/** Counts payload bytes on connections. */
export type ByteListener = (direction: 'sent' | 'received', sizeBytes: number) => void

/** Calls to peers: connect, send one message, read one answer. Each has its time; all end with `close`. */
export class StreamClient {
  readonly #clock: Clock
  readonly #onBytes: ByteListener | undefined
  readonly #open = new Set<Socket>()
  readonly #turns: DecodingTurns
  #closed = false

  constructor(clock: Clock, onBytes?: ByteListener) {
    this.#clock = clock
    this.#turns = new DecodingTurns(clock)
    this.#onBytes = onBytes
  }

  get openConnections(): number {
    return this.#open.size
  }

  /** It never rejects. */
  call({ to, bytes, timeoutMs, reception }: StreamCall): Promise<StreamAnswer> {
    if (this.#closed) return Promise.resolve({ outcome: 'failed', reason: 'this member has stopped' })
    const { promise, resolve } = Promise.withResolvers<StreamAnswer>()
    const socket = connect({ host: to.address, port: to.port, noDelay: true })
    this.#open.add(socket)
    const decoder = reception && new StreamDecoder(reception)
    let isOver = false
    const startedAtMs = this.#clock.now()
    let receivedBytes = 0
    /** Said only of a connection that came about: a host that nobody reaches closes nothing. */
    const closed = () =>
      receivedBytes === 0 && !socket.connecting ? { closedAfterMs: this.#clock.now() - startedAtMs } : {}
    const finish = (answer: StreamAnswer) => {
      isOver = true
      cancelTimer()
      resolve(answer)
      socket.destroy()
    }
    const cancelTimer = this.#clock.after(timeoutMs, () => {
      finish({ outcome: 'failed', reason: `no answer within ${Math.round(timeoutMs)} ms` })
    })
    /** The connection can bring no more; what it has brought is enough where the decoder works. */
    const lose = (answer: StreamAnswer) => {
      if (decoder?.isWorking !== true || this.#closed) finish(answer)
    }
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code ?? error.message
      if (error.code === 'ECONNREFUSED') lose({ outcome: 'refused', reason })
      else lose({ outcome: 'failed', reason, ...(CLOSED_BY_PEER.has(reason) ? closed() : {}) })
    })
    socket.on('close', () => {
      this.#open.delete(socket)
      // What a connection that never came about had to send went nowhere.
      if (socket.bytesWritten > 0) this.#onBytes?.('sent', socket.bytesWritten)
      lose({ outcome: 'failed', reason: 'the peer closed the connection', ...closed() })
    })
    if (decoder === undefined) {
      socket.end(bytes, () => finish({ outcome: 'sent' }))
      return promise
    }
    const take = (result: ReturnType<StreamDecoder['push']>) => {
      if (result === undefined) return
      if (result.ok) finish({ outcome: 'answered', message: result.message, sizeBytes: receivedBytes })
      else {
        const reason = `the answer was dropped: ${DROP_REASONS[result.reason]}`
        finish({ outcome: 'failed', reason, dropped: result.reason })
      }
    }
    socket.on('data', (chunk) => {
      receivedBytes += chunk.length
      this.#onBytes?.('received', chunk.length)
      take(decoder.push(chunk))
      if (!decoder.isWorking) return
      socket.pause()
      this.#turns.add({ decoder, isOver: () => isOver, take }, false)
    })
    socket.on('end', () => {
      const reason = 'the peer closed the connection without a whole answer'
      lose({ outcome: 'failed', reason, ...closed() })
    })
    socket.write(bytes)
    return promise
  }

  /** Whether the peer closes a connection, on which it is sent nothing, within this time; also when there is none. */
  async closesUnasked(to: Endpoint, withinMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const socket = connect({ host: to.address, port: to.port })
    this.#open.add(socket)
    const cancelTimer = this.#clock.after(withinMs, () => resolve(false))
    // Read, since otherwise the end would not be noticed.
    socket.resume()
    const closed = () => {
      this.#open.delete(socket)
      resolve(true)
    }
    socket.on('error', closed)
    socket.on('end', closed)
    socket.on('close', closed)
    const closes = await promise
    cancelTimer()
    socket.destroy()
    return closes
  }

  /** Ends every call; resolves when their sockets are released. */
  async close(): Promise<void> {
    this.#closed = true
    await releaseSockets(this.#open)
  }
}

import { connect, type Socket } from 'node:net'
import type { Clock } from '../../clock.ts'
import { assertNever } from '../../errors.ts'
import type { Endpoint } from './protocol/endpoint.ts'
import { releaseSockets } from './socket-release.ts'
import { DROP_REASONS } from './wire/drop.ts'
import { StreamDecoder, type StreamReception } from './wire/stream-decoder.ts'
import type { StreamMessage } from './wire/stream-messages.ts'

/** How a call ended: with the peer's message, or why there is none. */
export type StreamAnswer =
  | { readonly outcome: 'answered'; readonly message: StreamMessage; readonly sizeBytes: number }
  /** Sent whole; no answer was asked for. */
  | { readonly outcome: 'sent' }
  /** The host is there, and nothing listens on the port. */
  | { readonly outcome: 'refused'; readonly reason: string }
  | { readonly outcome: 'failed'; readonly reason: string }

export interface StreamCall {
  readonly to: Endpoint
  readonly bytes: Uint8Array
  /** Time for all of it together, in milliseconds. */
  readonly timeoutMs: number
  /** How to read the answer; absent when none is wanted. */
  readonly reception: StreamReception | undefined
}

/** Counts payload bytes on connections. */
export type ByteListener = (direction: 'sent' | 'received', sizeBytes: number) => void

/** Calls to peers: connect, send one message, read one answer. Each has its time; all end with `close`. */
export class StreamClient {
  readonly #clock: Clock
  readonly #onBytes: ByteListener | undefined
  readonly #open = new Set<Socket>()
  #closed = false

  /** @param onBytes - Called for all that goes over the connections. */
  constructor(clock: Clock, onBytes?: ByteListener) {
    this.#clock = clock
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
    const finish = (answer: StreamAnswer) => {
      cancelTimer()
      resolve(answer)
      socket.destroy()
    }
    const cancelTimer = this.#clock.after(timeoutMs, () => {
      finish({ outcome: 'failed', reason: `no answer within ${Math.round(timeoutMs)} ms` })
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const outcome = error.code === 'ECONNREFUSED' ? 'refused' : 'failed'
      finish({ outcome, reason: error.code ?? error.message })
    })
    socket.on('close', () => {
      this.#open.delete(socket)
      // What a connection that never came about had to send went nowhere.
      if (socket.bytesWritten > 0) this.#onBytes?.('sent', socket.bytesWritten)
      finish({ outcome: 'failed', reason: 'the peer closed the connection' })
    })
    if (reception === undefined) {
      socket.end(bytes, () => {
        finish({ outcome: 'sent' })
      })
      return promise
    }
    const decoder = new StreamDecoder(reception)
    let receivedBytes = 0
    const take = (result: ReturnType<StreamDecoder['push']>) => {
      if (result === undefined) return
      if (result.ok) finish({ outcome: 'answered', message: result.message, sizeBytes: receivedBytes })
      else finish({ outcome: 'failed', reason: `the answer was dropped: ${DROP_REASONS[result.reason]}` })
    }
    socket.on('data', (chunk) => {
      receivedBytes += chunk.length
      this.#onBytes?.('received', chunk.length)
      take(decoder.push(chunk))
    })
    socket.on('end', () => {
      finish({ outcome: 'failed', reason: 'the peer closed the connection without a whole answer' })
    })
    socket.write(bytes)
    return promise
  }

  /** Ends every call; resolves when their sockets are released. */
  async close(): Promise<void> {
    this.#closed = true
    await releaseSockets(this.#open)
  }
}

/** What is wrong with an answer that is not of the kind asked for. */
export function unexpectedAnswer(message: StreamMessage): string {
  switch (message.kind) {
    case 'error':
      return `the peer answered: ${message.text}`
    case 'ping':
    case 'ack':
    case 'user':
    case 'push-pull':
      return `the peer answered with ${message.kind}`
    default:
      return assertNever(message)
  }
}

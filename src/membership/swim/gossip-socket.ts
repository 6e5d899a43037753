import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { RingmanError } from '../../errors.ts'
import { whyNotListening } from '../../listen-failure.ts'

export interface GossipSocket {
  readonly port: number
  /** Sends one datagram to `IPV4:PORT`. Failure is told to `onSendError`, never thrown. */
  send(bytes: Uint8Array, host: string): void
  /** Resolves when the port is free again. Idempotent. */
  close(): Promise<void>
}

export interface GossipSocketHandlers {
  /** @param from - `IPV4:PORT` of the sender. */
  readonly onDatagram: (bytes: Uint8Array, from: string) => void
  readonly onSendError: (error: Error, host: string) => void
  /** The socket itself failed and is of no more use; called once at most, and not after `close`. */
  readonly onFailure: (error: Error) => void
}

/**
 * Opens the socket.
 *
 * @param port - 0 takes a free one.
 * @throws {RingmanError} `SOURCE_FAILED`, naming the address, when it cannot be bound.
 */
export type OpenGossipSocket = (
  bindHost: string,
  port: number,
  handlers: GossipSocketHandlers,
) => Promise<GossipSocket>

/** Bytes that wait unread in the kernel while this process is busy; the kernel may give less. */
const RECEIVE_BUFFER_BYTES = 1 << 20

/** {@link OpenGossipSocket} on `node:dgram`. */
export const openUdpSocket: OpenGossipSocket = async (bindHost, port, handlers) => {
  const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER_BYTES })
  try {
    const listening = once(socket, 'listening')
    socket.bind({ address: bindHost, port, exclusive: true })
    await listening
  } catch (error) {
    socket.close()
    const why = whyNotListening(error as Error, 'gossipPort (--gossip-port)')
    throw new RingmanError('SOURCE_FAILED', `cannot open the gossip port ${bindHost}:${port} (UDP): ${why}`, {
      cause: error,
      detail: { host: bindHost, port },
    })
  }
  let closing: Promise<unknown> | undefined
  socket.on('error', (error) => {
    if (closing === undefined) handlers.onFailure(error)
  })
  socket.on('message', (bytes, { address, port: fromPort }) => {
    if (closing === undefined) handlers.onDatagram(bytes, `${address}:${fromPort}`)
  })
  return {
    port: socket.address().port,
    send(bytes, host) {
      if (closing !== undefined) return
      const colon = host.indexOf(':')
      try {
        socket.send(bytes, Number(host.slice(colon + 1)), host.slice(0, colon), (error) => {
          if (error !== null && closing === undefined) handlers.onSendError(error, host)
        })
      } catch (error) {
        handlers.onSendError(error instanceof Error ? error : new Error(String(error)), host)
      }
    },
    async close() {
      closing ??= socket[Symbol.asyncDispose]()
      await closing
    },
  }
}

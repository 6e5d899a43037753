import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv6, type Socket } from 'node:net'
import { RingmanError } from '../../errors.ts'
import { whyNotListening } from '../../listen-failure.ts'
import { formatHostPort } from '../../addresses.ts'
import { formatAddress, tryParseAddress, type Endpoint } from './protocol/endpoint.ts'

/** How often a free port is sought that is free for both UDP and TCP. */
const PORT_TRIES = 20

/** Asked of the system for the UDP socket, so that a burst outlives a short stall of this process. */
const RECEIVE_BUFFER_BYTES = 2 * 1024 * 1024

export interface GossipSocketsOptions {
  /** IP literal; `0.0.0.0` for every IPv4 address, `::` for every address. */
  readonly bindHost: string
  /** 0 takes a port that is free for both. */
  readonly port: number
  /** Without it there is no UDP socket. */
  readonly onDatagram: ((datagram: Uint8Array, from: Endpoint) => void) | undefined
  readonly onConnection: (socket: Socket, from: Endpoint) => void
  /** A socket broke; it serves no more. */
  readonly onError: (error: Error) => void
}

/** The UDP socket and the TCP listener of a member, on the same port. */
export interface GossipSockets {
  readonly port: number
  /** Sends one datagram, best effort: what the system refuses is lost, as on the network. */
  send(datagram: Uint8Array, to: Endpoint): void
  readonly sendFailures: number
  /** 0 once closed. */
  readonly openSockets: number
  close(): Promise<void>
}

/** @throws {RingmanError} `SOURCE_FAILED` naming the address when it cannot be had. */
export async function openGossipSockets(options: GossipSocketsOptions): Promise<GossipSockets> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryOpen(options)
    } catch (error) {
      const place = { address: options.bindHost, port: options.port }
      const { code } = error as NodeJS.ErrnoException
      if (place.port === 0 && code === 'EADDRINUSE' && attempt < PORT_TRIES) continue
      const why = whyNotListening(error as Error, 'gossipPort (--gossip-port)')
      throw new RingmanError(
        'SOURCE_FAILED',
        `cannot open the gossip port ${formatHostPort(place)}: ${why}`,
        {
          cause: error,
          detail: place,
        },
      )
    }
  }
}

async function tryOpen(options: GossipSocketsOptions): Promise<GossipSockets> {
  const { bindHost, onError } = options
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const from = endpointOf(socket.remoteAddress, socket.remotePort)
    if (from === undefined) socket.destroy()
    else options.onConnection(socket, from)
  })
  server.listen({ host: bindHost, port: options.port, backlog: 511 })
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  let udp: UdpSocket | undefined
  try {
    udp = await openUdp(options, port)
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  server.on('error', onError)
  udp?.on('error', onError)

  const mapped = isIPv6(bindHost)
  let sendFailures = 0
  let closed = false
  return {
    port,
    get sendFailures() {
      return sendFailures
    },
    get openSockets() {
      return closed ? 0 : udp === undefined ? 1 : 2
    },
    send(datagram, to) {
      if (closed || udp === undefined) return
      const address = mapped && !to.address.includes(':') ? `::ffff:${to.address}` : to.address
      try {
        udp.send(datagram, to.port, address, (error) => {
          if (error !== null) sendFailures++
        })
      } catch {
        // Thrown for addresses that this kind of socket cannot reach, such as IPv6 from an IPv4 one.
        sendFailures++
      }
    },
    async close() {
      if (closed) return
      closed = true
      udp?.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function openUdp(
  { bindHost, onDatagram }: GossipSocketsOptions,
  port: number,
): Promise<UdpSocket | undefined> {
  if (onDatagram === undefined) return undefined
  const type = isIPv6(bindHost) ? 'udp6' : 'udp4'
  const udp = createSocket({
    type,
    recvBufferSize: RECEIVE_BUFFER_BYTES,
    // Addresses are literals: without this, each send would go through a name look-up.
    lookup: (host, _, callback) => callback(null, host, type === 'udp6' ? 6 : 4),
  })
  udp.on('message', (datagram: Buffer, { address, port: fromPort }: RemoteInfo) => {
    const from = endpointOf(address, fromPort)
    if (from !== undefined) onDatagram(datagram, from)
  })
  try {
    // Listened for first: with the look-up above, binding is over before `bind` returns.
    const listening = once(udp, 'listening')
    udp.bind({ address: bindHost, port, exclusive: true })
    await listening
  } catch (error) {
    udp.close()
    throw error
  }
  return udp
}

/**
 * The place that a socket names, in canonical form: without a zone, an IPv4 address mapped into IPv6 as IPv4.
 *
 * @returns undefined for what is no place to answer to.
 */
export function endpointOf(address: string | undefined, port: number | undefined): Endpoint | undefined {
  if (address === undefined || port === undefined || port === 0) return undefined
  if (!address.includes(':')) return { address, port }
  const bytes = tryParseAddress(address.replace(/%.*/, ''))
  const canonical = bytes === undefined ? undefined : formatAddress(bytes)
  return canonical === undefined ? undefined : { address: canonical, port }
}

/**
 * Destroys sockets whose `close` listeners have not been called yet; resolves when all of them are released and those listeners were
 * called.
 */
export async function releaseSockets(sockets: Iterable<Socket>): Promise<void> {
  await Promise.all(
    Array.from(
      sockets,
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once('close', () => resolve())
          socket.destroy()
        }),
    ),
  )
}

import type { AddressInfo, Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import type { OpenServer } from '../http/server.ts'
import { http } from '../node-http.ts'
import { formatHostPort } from '../seeds/seed.ts'
import type { Forwarder, Place } from './forwarder.ts'

/** How long a head may take to come, in milliseconds. A body has the time that its client takes. */
const HEADERS_TIMEOUT_MS = 10_000

/** Between two looks for connections that became idle while closing, in milliseconds. */
const CLOSING_INTERVAL_MS = 50

export interface ProxyOptions {
  readonly host: string
  readonly port: number
  /** The program that this member stands in front of. */
  readonly upstream: Place
  readonly forwarder: Forwarder
  readonly clock: Clock
  readonly maxHeaderBytes: number
  readonly maxConnections: number
  readonly keepAliveTimeoutMs: number
}

/**
 * Listens in front of a program: requests for keys of this member go to the program, all others to the members that own
 * their keys.
 *
 * @throws {RingmanError} `LISTEN_FAILED`.
 */
export async function openProxy(options: ProxyOptions): Promise<OpenServer> {
  const { host, port, upstream, forwarder, clock } = options
  const server = http.createServer({
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0,
    keepAliveTimeout: options.keepAliveTimeoutMs,
    noDelay: true,
  })
  server.maxConnections = options.maxConnections
  // Those that were upgraded are Node's no more.
  const upgraded = new Set<Socket>()
  server.on(
    'request',
    forwarder.handler((req, res) => {
      forwarder.passOn(upstream, req, res)
    }),
  )
  const upgrade = forwarder.upgrade((req, socket, head) => {
    forwarder.passUpgradeOn(upstream, req, socket, head)
  })
  server.on('upgrade', (req, socket, head) => {
    upgraded.add(req.socket)
    socket.once('close', () => {
      upgraded.delete(req.socket)
    })
    upgrade(req, socket, head)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new RingmanError('LISTEN_FAILED', `the proxy cannot listen on ${host}:${port}: ${cause.message}`, {
          cause,
        }),
      )
    })
    server.listen({ host, port }, resolve)
  })
  const { address, port: bound } = server.address() as AddressInfo
  let closed: Promise<void> | undefined
  return {
    address,
    port: bound,
    url: `http://${formatHostPort({ address, port: bound })}`,
    close(graceMs) {
      closed ??= new Promise((resolve) => {
        let cancelSweep = () => {}
        const cancelGrace = clock.after(graceMs, () => {
          server.closeAllConnections()
          for (const socket of upgraded) socket.destroy()
        })
        server.close(() => {
          cancelSweep()
          cancelGrace()
          resolve()
        })
        const sweep = () => {
          server.closeIdleConnections()
          cancelSweep = clock.after(CLOSING_INTERVAL_MS, sweep)
        }
        sweep()
      })
      return closed
    },
  }
}

import type {
  IncomingMessage,
  OutgoingHttpHeader,
  OutgoingHttpHeaders,
  Server,
  ServerResponse,
} from 'node:http'
import { Socket, type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type Koa from 'koa'
import { systemClock, type Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import { whyNotListening } from '../listen-failure.ts'
import type { Logger } from '../logger.ts'
import { http } from '../node-http.ts'
import { formatHostPort } from '../addresses.ts'
import type { PortConnections } from './port-connections.ts'
import { BACKLOG, hasLargeHead, type HttpLimits } from './limits.ts'
import { tryServeRawTarget, type ParserError } from './raw-target.ts'
import { refuseInTurn } from './refusal.ts'
import { CLOSING_EVENT } from './ring-watch.ts'

export interface ServerOptions {
  /** IP literal or host name to listen at. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** What sets the port, for whoever is told that it cannot be had. @default nothing to be named */
  readonly portSetting?: string
  /** Whether other threads of this process are to listen there, too, each with a queue of its own. @default false */
  readonly sharesPort?: boolean
  readonly limits: HttpLimits
  /** The account of this port's connections. */
  readonly connections: PortConnections
  readonly logger: Logger
  /** @default systemClock */
  readonly clock?: Clock
}

/** What a server does with what comes. */
export interface Handlers {
  readonly request: (request: IncomingMessage, response: ServerResponse) => void
  /** Takes over connections for another protocol (WebSockets). Without it, and where that cannot be, they are requests like others. */
  readonly upgrade?: (request: IncomingMessage, socket: Socket, head: Buffer) => void
  /** Whether URLs with raw bytes are served, as the clients of the Go library send them. @default false */
  readonly rawTargets?: boolean
  /** Is told that the server begins to close. */
  readonly closing?: () => void
}

/** A server that listens. */
export interface OpenServer {
  /** The address it listens at, as the system says. */
  readonly address: string
  readonly port: number
  /** `http://` with the address and the port. */
  readonly url: string
  /** Serves a connection that somebody else has accepted. */
  take(socket: Socket): void
  /**
   * Takes no new connections, ends those without a request, and lets the requests under way finish, for `graceMs`
   * at most; each answer from now on says `Connection: close`. Watches end at once, upgraded connections with the grace. Idempotent.
   *
   * @returns Resolves when every connection is closed; it never rejects.
   */
  close(graceMs: number): Promise<void>
}

/** Milliseconds between two looks for connections over their time. */
const CHECK_INTERVAL_MS = 1000

/** Milliseconds between two looks for connections that became idle while closing. */
const CLOSING_INTERVAL_MS = 50

/**
 * Serves a Koa application, within the limits.
 *
 * @throws {RingmanError} `LISTEN_FAILED`, saying which address and why.
 */
export function openServer(app: Koa, options: ServerOptions): Promise<OpenServer> {
  const answer = app.callback()
  return serve(
    {
      request: (request, response) => {
        // Koa's callback handles its own errors; its promise never rejects.
        void answer(request, response)
      },
      rawTargets: true,
      closing: () => app.emit(CLOSING_EVENT),
    },
    options,
  )
}

/** The same for whatever handles requests. */
export async function serve(handlers: Handlers, options: ServerOptions): Promise<OpenServer> {
  keepFewParsers()
  const { connections, clock = systemClock } = options
  const logger = options.logger.child({ component: 'http' })
  const closing = { begun: false }
  const server = createLimitedServer(handlers, options, closing)
  // Node's own listener gets a connection when the account of connections says so.
  const [serveConnection = () => {}] = server.listeners('connection')
  server.removeAllListeners('connection')
  const serveByNode = (stream: Duplex) => {
    Reflect.apply(serveConnection, server, [stream])
  }
  server.on('connection', (stream: Duplex) => {
    // The stream of a request that is given to the server again is no connection.
    if (stream instanceof Socket) connections.open(stream, serveByNode)
    else serveByNode(stream)
  })
  const rescued = new WeakSet<Duplex>()
  const refusedLater = new WeakSet<Duplex>()
  server.on('clientError', (error: ParserError, socket) => {
    // The parser that refused goes on to refuse whatever follows.
    if (rescued.has(socket)) return
    const mayRescue = handlers.rawTargets === true && socket instanceof Socket
    if (mayRescue && tryServeRawTarget(server, error, socket)) rescued.add(socket)
    else refuseInTurn(socket, error, refusedLater)
  })
  await listen(server, options)
  server.on('error', (err) => logger.error({ event: 'server.failed', err }, 'Failed to take a connection'))
  const { address, port } = server.address() as AddressInfo

  let closed: Promise<void> | undefined
  return {
    address,
    port,
    url: `http://${formatHostPort({ address, port })}`,
    take(socket) {
      server.emit('connection', socket)
    },
    close(graceMs) {
      closed ??= new Promise((resolve) => {
        closing.begun = true
        handlers.closing?.()
        let cancelSweep = () => {}
        const cancelGrace = clock.after(graceMs, () => {
          server.closeAllConnections()
          for (const socket of connections.sockets) socket.destroy()
        })
        let isOpen = true
        const endWhenEmpty = () => {
          // The server itself knows nothing of those that it has taken.
          if (isOpen || connections.size > 0) return
          cancelSweep()
          cancelGrace()
          resolve()
        }
        connections.onEmpty = endWhenEmpty
        server.close(() => {
          isOpen = false
          endWhenEmpty()
        })
        connections.closeFastPath()
        // One that has not sent a byte counts as active for Node, and could hold up the end.
        for (const socket of connections.sockets) if (socket.bytesRead === 0) socket.destroy()
        const sweep = () => {
          server.closeIdleConnections()
          cancelSweep = clock.after(CLOSING_INTERVAL_MS, sweep)
        }
        cancelSweep = clock.after(CLOSING_INTERVAL_MS, sweep)
      })
      return closed
    },
  }
}

type HeaderArgument = OutgoingHttpHeaders | OutgoingHttpHeader[]

function createLimitedServer(
  { request: answer, upgrade }: Handlers,
  { limits, connections }: ServerOptions,
  closing: { readonly begun: boolean },
): Server {
  /** Tells clients that the connection ends: from the moment the server closes, and behind a large head. */
  class ClosingResponse extends http.ServerResponse {
    override writeHead(status: number, message?: string, headers?: HeaderArgument): this
    override writeHead(status: number, headers?: HeaderArgument): this
    override writeHead(status: number, second?: string | HeaderArgument, third?: HeaderArgument): this {
      if (!this.headersSent && (closing.begun || hasLargeHead(this.req)))
        this.setHeader('Connection', 'close')
      return typeof second === 'string'
        ? super.writeHead(status, second, third)
        : super.writeHead(status, second)
    }
  }
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    response.on('close', connections.begin(request))
    // Node drops what was read with a head that asks for another protocol: who sent more requests is to send them again.
    const { upgrade: asked, 'transfer-encoding': coding } = request.headers
    if (asked !== undefined && coding === undefined && connections.hasMore(request.socket))
      response.setHeader('Connection', 'close')
    // It may have been cut for what it holds.
    if (!request.socket.destroyed) answer(request, response)
  }
  const server = http.createServer(
    {
      ServerResponse: ClosingResponse,
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs && Math.max(limits.requestTimeoutMs, limits.headersTimeoutMs),
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
      insecureHTTPParser: false,
      noDelay: true,
      shouldUpgradeCallback: (request) => upgrade !== undefined && isUpgrade(request, connections),
    },
    handle,
  )
  server.timeout = limits.socketTimeoutMs
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // A body that will be refused for its size need not be sent.
    if (!(Number(request.headers['content-length'] ?? 0) > limits.maxBodyBytes)) response.writeContinue()
    handle(request, response)
  })
  if (upgrade !== undefined) {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (!(socket instanceof Socket)) return
      connections.upgrade(socket)
      upgrade(request, socket, head)
    })
  }
  return server
}

/**
 * Whether a request may become another protocol. All others are answered as if they did not ask for it (RFC 9110, section 7.8): those that offer
 * HTTP/2, as Java's client does; those of HTTP/1.0; those with a body, which Node would not read; and those behind a request that is not answered.
 */
function isUpgrade({ headers, httpVersion, socket }: IncomingMessage, connections: PortConnections): boolean {
  const { upgrade = '', 'content-length': length = '0', 'transfer-encoding': coding } = headers
  const hasBody = coding !== undefined || Number(length) > 0
  return (
    !hasBody && httpVersion !== '1.0' && upgrade.toLowerCase() !== 'h2c' && !connections.isAnswering(socket)
  )
}

/** Node keeps a thousand parsers for connections to come, and each of them what it read last: up to the largest head. */
function keepFewParsers(): void {
  const { parsers } = process.getBuiltinModule('_http_common') as { readonly parsers: { max: number } }
  parsers.max = 16
}

async function listen(server: Server, options: ServerOptions): Promise<void> {
  const { host, port, portSetting, sharesPort: reusePort = false } = options
  if (reusePort && port !== 0) {
    // Another process of this user that shares its port would share it with this one: a plain listener finds it taken.
    const probe = http.createServer()
    await listen(probe, { ...options, sharesPort: false })
    await new Promise((resolve) => probe.close(resolve))
  }
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => {
      const where = formatHostPort({ address: host, port })
      reject(
        new RingmanError(
          'LISTEN_FAILED',
          `cannot listen on ${where}: ${whyNotListening(error, portSetting)}`,
          {
            cause: error,
            detail: { host, port, reason: error.code ?? 'unknown' },
          },
        ),
      )
    }
    server.once('error', fail)
    server.listen({ host, port, reusePort, backlog: BACKLOG }, () => {
      server.off('error', fail)
      resolve()
    })
  })
}

import type { IncomingMessage } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import { ADMIN_HTTP_LIMITS, type HttpLimits } from './limits.ts'
import { Turns } from './turns.ts'

/** The two ports of a process: look-ups, and probes with metrics. */
export type PortName = 'lookup' | 'admin'

/** Why a connection was closed before its client wanted that. */
export type CloseReason = 'no-room' | 'made-room' | 'unfinished-heads' | 'slow-reader' | 'answers-waiting'

/** What the ledger counts, for metrics. Closed connections count from the start of the process. */
export interface LedgerCounts {
  readonly connections: Readonly<Record<PortName, number>>
  readonly limits: Readonly<Record<PortName, number>>
  readonly closed: Readonly<Record<CloseReason, number>>
  readonly heldBytes: { readonly head: number; readonly body: number; readonly answer: number }
}

/** Milliseconds between two looks for readers that take nothing. */
const SWEEP_MS = 1000

/** Milliseconds between two lines about connections that were closed for want of room. */
const WARNING_MS = 60_000

/** Bytes of unfinished heads that may be held without counting: so many connections are not listened to. */
const UNCOUNTED_HEAD_SHARE = 0.5

const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * The one account of what clients hold in this process: connections, unfinished heads, request bodies, and answers
 * that wait for readers. Each has a bound, over all ports and routes.
 */
export class ConnectionLedger {
  /** For whatever takes long: parsing large bodies, looking up many keys. */
  readonly turns = new Turns()
  readonly #clock: Clock
  readonly #limits: HttpLimits
  readonly #warnings: LimitedWarnings
  readonly #ports = new Map<PortName, PortConnections>()
  readonly #readers = new Set<SlowReader>()
  readonly #closed: Record<CloseReason, number> = {
    'no-room': 0,
    'made-room': 0,
    'unfinished-heads': 0,
    'slow-reader': 0,
    'answers-waiting': 0,
  }
  readonly #answers: Readonly<Record<PortName, HeldAnswers>>
  #bodyBytes = 0
  #sweeping = false

  constructor(deps: { readonly clock: Clock; readonly logger: Logger; readonly limits: HttpLimits }) {
    this.#clock = deps.clock
    this.#limits = deps.limits
    this.#answers = {
      lookup: { maxBytes: deps.limits.maxWaitingAnswerBytes, totalBytes: 0, bySocket: new Map() },
      admin: { maxBytes: ADMIN_HTTP_LIMITS.maxWaitingAnswerBytes, totalBytes: 0, bySocket: new Map() },
    }
    this.#warnings = new LimitedWarnings(deps.clock, deps.logger, WARNING_MS)
  }

  /** Begins to count the connections of a port. */
  openPort(name: PortName, limits: HttpLimits): PortConnections {
    const port = new PortConnections(limits, (reason) => {
      this.#closed[reason] += 1
      this.#warnings.warn(
        { event: 'connections.limited', port: name, reason, open: port.size, limit: limits.maxConnections },
        'Closed connections to stay within the limits',
      )
    })
    this.#ports.set(name, port)
    return port
  }

  counts(): LedgerCounts {
    const { lookup, admin } = Object.fromEntries(this.#ports)
    return {
      connections: { lookup: lookup?.size ?? 0, admin: admin?.size ?? 0 },
      limits: { lookup: lookup?.limit ?? 0, admin: admin?.limit ?? 0 },
      closed: { ...this.#closed },
      heldBytes: {
        head: (lookup?.headBytes ?? 0) + (admin?.headBytes ?? 0),
        body: this.#bodyBytes,
        answer: this.#answers.lookup.totalBytes + this.#answers.admin.totalBytes,
      },
    }
  }

  /** Takes so many more bytes of request bodies into account; false, and nothing is, when that is too many. */
  tryHoldBody(bytes: number): boolean {
    if (this.#bodyBytes + bytes > this.#limits.maxHeldBodyBytes) return false
    this.#bodyBytes += bytes
    return true
  }

  releaseBody(bytes: number): void {
    this.#bodyBytes -= bytes
  }

  /**
   * Whether so many more bytes of answers may wait for their readers. The connection for which more than that waits is cut
   * to make room.
   */
  hasRoomForAnswer(port: PortName, bytes: number): boolean {
    const held = this.#answers[port]
    while (held.totalBytes + bytes > held.maxBytes) {
      let largest: Socket | undefined
      let most = bytes
      for (const [socket, socketBytes] of held.bySocket) {
        if (socketBytes <= most) continue
        most = socketBytes
        largest = socket
      }
      if (largest === undefined) return false
      held.totalBytes -= most
      held.bySocket.delete(largest)
      this.cut(largest, 'answers-waiting')
    }
    return true
  }

  /**
   * Takes bytes of an answer into account that wait for readers.
   *
   * @param socket - The connection, where they wait on one alone.
   * @returns Call it once, when they wait no more.
   */
  holdAnswer(port: PortName, bytes: number, socket?: Socket): () => void {
    const held = this.#answers[port]
    held.totalBytes += bytes
    if (socket === undefined) {
      return () => {
        held.totalBytes -= bytes
      }
    }
    held.bySocket.set(socket, (held.bySocket.get(socket) ?? 0) + bytes)
    return () => {
      const left = held.bySocket.get(socket)
      // It was cut, and has been taken off the account.
      if (left === undefined) return
      held.totalBytes -= bytes
      if (left > bytes) held.bySocket.set(socket, left - bytes)
      else held.bySocket.delete(socket)
    }
  }

  /**
   * Watches a connection on which bytes wait: it is cut when its reader has taken none for `slowReaderMs`.
   *
   * @returns Call it when no bytes wait any more.
   */
  watchReader(socket: Socket): () => void {
    const reader = { socket, takenBytes: takenBytesOf(socket), sinceMs: this.#clock.now() }
    this.#readers.add(reader)
    this.#sweepLater()
    return () => {
      this.#readers.delete(reader)
    }
  }

  /** Cuts a connection, and counts it. */
  cut(socket: Socket, reason: CloseReason): void {
    if (socket.destroyed) return
    this.#closed[reason] += 1
    socket.destroy()
  }

  #sweepLater(): void {
    if (this.#sweeping || this.#readers.size === 0) return
    this.#sweeping = true
    this.#clock.after(Math.min(SWEEP_MS, this.#limits.slowReaderMs), () => {
      this.#sweeping = false
      const nowMs = this.#clock.now()
      for (const reader of this.#readers) {
        const takenBytes = takenBytesOf(reader.socket)
        if (takenBytes !== reader.takenBytes) {
          reader.takenBytes = takenBytes
          reader.sinceMs = nowMs
        } else if (nowMs - reader.sinceMs >= this.#limits.slowReaderMs) {
          this.#readers.delete(reader)
          this.cut(reader.socket, 'slow-reader')
        }
      }
      this.#sweepLater()
    })
  }
}

/** Bytes that wait for the readers of a port. */
interface HeldAnswers {
  readonly maxBytes: number
  totalBytes: number
  readonly bySocket: Map<Socket, number>
}

interface SlowReader {
  readonly socket: Socket
  takenBytes: number
  sinceMs: number
}

/** Bytes of finished writes, which the system has taken. */
function takenBytesOf(socket: Socket): number {
  return socket.bytesWritten - socket.writableLength
}

/** One connection of a port. */
interface Connection {
  readonly socket: Socket
  readonly peer: Peer
  /** The request under way. */
  request: IncomingMessage | undefined
  underWay: number
  /** Bytes of a head that is not finished; an upper bound. */
  headBytes: number
  /** Bytes of the last read after the first end of a head in it. */
  restBytes: number
  /** Whether the last read ended like a head, and like a body in chunks. */
  endsWhole: boolean
  /** Bytes of the request's body that are still to come. */
  bodyLeftBytes: number
}

/** All connections from one address. */
interface Peer {
  readonly address: string
  size: number
  headBytes: number
  /** Without an answered request; the longest first. */
  readonly silent: Set<Connection>
  /** Between two requests; the longest first. */
  readonly idle: Set<Connection>
  /** With a request under way. */
  readonly busy: Set<Connection>
}

/**
 * The connections of one port. At the limit the one that has been idle longest is closed for a new one, among those of the
 * address that has most: nobody can shut others out, and a proxy in front of everybody keeps its newest.
 */
export class PortConnections {
  readonly limit: number
  readonly #maxHeadBytes: number
  readonly #onClosed: (reason: CloseReason) => void
  readonly #connections = new Map<Socket, Connection>()
  readonly #peers = new Map<string, Peer>()
  /** Connections that are not listened to, because even with the longest head each they stay within the bound. */
  #uncounted = 0
  readonly #maxUncounted: number
  #headBytes = 0

  constructor(limits: HttpLimits, onClosed: (reason: CloseReason) => void) {
    this.limit = limits.maxConnections
    this.#maxUncounted = Math.floor((limits.maxHeldHeadBytes * UNCOUNTED_HEAD_SHARE) / limits.maxHeaderBytes)
    this.#maxHeadBytes = limits.maxHeldHeadBytes - this.#maxUncounted * limits.maxHeaderBytes
    this.#onClosed = onClosed
  }

  get size(): number {
    return this.#connections.size
  }

  /** Bytes of unfinished heads, as far as they are counted. */
  get headBytes(): number {
    return this.#headBytes
  }

  /** The open ones. */
  get sockets(): Iterable<Socket> {
    return this.#connections.keys()
  }

  /** Takes a new connection, or closes it when there is no room and none can be made. */
  open(socket: Socket): void {
    if (this.size >= this.limit && !this.#tryMakeRoom()) {
      this.#onClosed('no-room')
      socket.destroy()
      return
    }
    const connection: Connection = {
      socket,
      peer: this.#peerOf(socket),
      request: undefined,
      underWay: 0,
      headBytes: 0,
      restBytes: 0,
      endsWhole: true,
      bodyLeftBytes: 0,
    }
    const { peer } = connection
    peer.size += 1
    this.#connections.set(socket, connection)
    peer.silent.add(connection)
    const uncounted = this.#uncounted < this.#maxUncounted
    if (uncounted) this.#uncounted += 1
    // It takes the bytes from Node's fast path, and comes before its parser.
    else socket.prependListener('data', (part: Buffer) => this.#read(connection, part))
    socket.on('close', () => {
      if (uncounted) this.#uncounted -= 1
      this.#close(connection)
    })
  }

  /** A request's head is there. */
  begin(request: IncomingMessage): void {
    const connection = this.#connections.get(request.socket)
    if (connection === undefined) return
    const { peer, restBytes } = connection
    connection.underWay += 1
    connection.request = request
    peer.silent.delete(connection)
    peer.idle.delete(connection)
    peer.busy.add(connection)
    const { 'content-length': length = '0', 'transfer-encoding': coding } = request.headers
    if (coding !== undefined) {
      connection.bodyLeftBytes = Number.POSITIVE_INFINITY
      this.#setHeadBytes(connection, 0)
      return
    }
    connection.bodyLeftBytes = Math.max(0, Number(length) - restBytes)
    connection.restBytes = Math.max(0, restBytes - Number(length))
    this.#setHeadBytes(connection, connection.restBytes)
  }

  /** A request's answer is written, or given up. */
  end(socket: Socket): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined) return
    const { peer } = connection
    connection.underWay -= 1
    if (connection.underWay > 0) return
    connection.request = undefined
    if (connection.bodyLeftBytes === Number.POSITIVE_INFINITY) {
      connection.bodyLeftBytes = 0
      this.#setHeadBytes(connection, connection.endsWhole ? 0 : connection.restBytes)
    }
    if (peer.busy.delete(connection)) peer.idle.add(connection)
  }

  #peerOf(socket: Socket): Peer {
    const address = networkOf(socket.remoteAddress ?? '')
    let peer = this.#peers.get(address)
    if (peer === undefined) {
      peer = { address, size: 0, headBytes: 0, silent: new Set(), idle: new Set(), busy: new Set() }
      this.#peers.set(address, peer)
    }
    return peer
  }

  #close(connection: Connection): void {
    if (!this.#connections.delete(connection.socket)) return
    const { peer } = connection
    for (const set of [peer.silent, peer.idle, peer.busy]) set.delete(connection)
    this.#setHeadBytes(connection, 0)
    peer.size -= 1
    if (peer.size === 0) this.#peers.delete(peer.address)
  }

  #cut(connection: Connection, reason: CloseReason): void {
    this.#close(connection)
    connection.socket.destroy()
    this.#onClosed(reason)
  }

  /** Closes a connection that does nothing, or whose body does not come to its end. */
  #tryMakeRoom(): boolean {
    const found =
      this.#findVictim(({ silent, idle }) => first(silent) ?? first(idle)) ??
      this.#findVictim(({ busy }) => first(busy, ({ request }) => request?.complete === false))
    if (found === undefined) return false
    this.#cut(found, 'made-room')
    return true
  }

  /** The connection that `choose` takes from the peer that has most, among those where it finds one. */
  #findVictim(
    choose: (peer: Peer) => Connection | undefined,
    amountOf: (peer: Peer) => number = ({ size }) => size,
  ): Connection | undefined {
    let most = 0
    let found: Connection | undefined
    for (const peer of this.#peers.values()) {
      const amount = amountOf(peer)
      if (amount <= most) continue
      const chosen = choose(peer)
      if (chosen === undefined) continue
      most = amount
      found = chosen
    }
    return found
  }

  #read(connection: Connection, part: Buffer): void {
    if (connection.request?.complete !== false && connection.bodyLeftBytes === Number.POSITIVE_INFINITY) {
      connection.bodyLeftBytes = 0
    }
    const bodyBytes = Math.min(connection.bodyLeftBytes, part.length)
    connection.bodyLeftBytes -= bodyBytes
    const headEnd = part.indexOf(HEAD_END)
    connection.endsWhole = part.subarray(-HEAD_END.length).equals(HEAD_END)
    connection.restBytes = headEnd === -1 ? part.length : part.length - headEnd - HEAD_END.length
    this.#setHeadBytes(connection, connection.headBytes + part.length - bodyBytes)
    while (this.#headBytes > this.#maxHeadBytes) {
      const unfinished = ({ headBytes }: Connection) => headBytes > 0
      const victim = this.#findVictim(
        ({ silent, idle, busy }) =>
          first(silent, unfinished) ?? first(idle, unfinished) ?? first(busy, unfinished),
        (peer) => peer.headBytes,
      )
      if (victim === undefined) return
      this.#cut(victim, 'unfinished-heads')
    }
  }

  #setHeadBytes(connection: Connection, bytes: number): void {
    const change = bytes - connection.headBytes
    connection.headBytes = bytes
    connection.peer.headBytes += change
    this.#headBytes += change
  }
}

function first(set: ReadonlySet<Connection>, fits: (connection: Connection) => boolean = () => true) {
  for (const connection of set) if (fits(connection)) return connection
  return undefined
}

/** What counts as one client: an IPv4 address, or the first half of an IPv6 address, which one host has whole. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [head = '', tail] = address.split('::')
  const left = head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right]
  return groups.slice(0, 4).join(':')
}

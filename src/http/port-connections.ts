import type { IncomingMessage } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import { firstPiece, type Intake } from './intake.ts'
import type { HttpLimits } from './limits.ts'

/** Why a connection was closed before its client wanted that. */
export type CloseReason =
  'no-room' | 'made-room' | 'unfinished-heads' | 'slow-reader' | 'answers-waiting' | 'unfinished-bodies'

const HEAD_END = Buffer.from('\r\n\r\n')

/** Requests of one connection that may be under way; what it sends beyond that waits for an answer. */
const MAX_PIPELINED = 32

/** Connections that make room when file descriptors have run out. */
const FEWEST_CLOSED = 8

/** One connection of a port. */
interface Connection {
  readonly socket: Socket
  readonly peer: Peer
  /** Gives bytes to Node's parser. */
  readonly parse: (part: Buffer) => void
  /** What came in and waits to be parsed, in order; nothing is read meanwhile. */
  readonly waiting: Buffer[]
  waitingBytes: number
  /** Whether it stands in the intake's line. */
  inLine: boolean
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
  readonly #maxConnections: number
  #limit: number
  readonly #maxHeadBytes: number
  readonly #onClosed: (reason: CloseReason) => void
  readonly #connections = new Map<Socket, Connection>()
  readonly #peers = new Map<string, Peer>()
  readonly #intake: Intake
  #headBytes = 0

  constructor(limits: HttpLimits, intake: Intake, onClosed: (reason: CloseReason) => void) {
    this.#maxConnections = limits.maxConnections
    this.#limit = limits.maxConnections
    this.#maxHeadBytes = limits.maxHeldHeadBytes
    this.#intake = intake
    this.#onClosed = onClosed
  }

  get size(): number {
    return this.#connections.size
  }

  /** Most connections at once, as things are. */
  get limit(): number {
    return this.#limit
  }

  /** A quarter of those that are open fewer, and some at least: idle ones make room at once. */
  allowFewer(): void {
    this.#limit = Math.max(1, this.size - Math.max(FEWEST_CLOSED, this.size >> 2))
    while (this.size > this.#limit && this.#tryMakeRoom()) {
      // One after the other.
    }
  }

  /** One more, up to what is configured. */
  allowMore(): void {
    this.#limit = Math.min(this.#maxConnections, this.#limit + 1)
  }

  /** Bytes of unfinished heads, and of requests that wait to be parsed. */
  get headBytes(): number {
    return this.#headBytes
  }

  /** The open ones. */
  get sockets(): Iterable<Socket> {
    return this.#connections.keys()
  }

  /**
   * Takes a new connection, or closes it when there is no room and none can be made. From then on its bytes reach Node's
   * parser through this account, by the listener that Node has put on the socket.
   */
  open(socket: Socket): void {
    if (this.size >= this.limit && !this.#tryMakeRoom()) {
      this.#onClosed('no-room')
      socket.destroy()
      return
    }
    const listeners = socket.listeners('data')
    const connection: Connection = {
      socket,
      peer: this.#peerOf(socket),
      parse: (part) => {
        for (const listener of listeners) Reflect.apply(listener, socket, [part])
      },
      waiting: [],
      waitingBytes: 0,
      inLine: false,
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
    socket.on('data', (part: Buffer) => {
      this.#arrive(connection, part)
    })
    for (const listener of listeners) socket.off('data', listener as () => void)
    // Node itself resumes too: for the next body, or when a client that was behind has taken its answers.
    socket.on('resume', () => {
      if (connection.waiting.length === 0) {
        startReading(socket)
        return
      }
      stopReading(socket)
      this.#standInLine(connection)
    })
    socket.on('close', () => {
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
    // Bytes that end like a head leave none unfinished.
    this.#setHeadBytes(connection, connection.endsWhole ? 0 : connection.restBytes)
  }

  /** A request's answer is written, or given up. */
  end(socket: Socket): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined) return
    const { peer } = connection
    connection.underWay -= 1
    this.#standInLine(connection)
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
    this.#setWaitingBytes(connection, 0)
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

  /** Bytes came in: they are parsed at once, or wait and are the last that is read for now. */
  #arrive(connection: Connection, part: Buffer): void {
    const waits = connection.waiting.length > 0 || this.#intake.full || !isOpenForMore(connection)
    const rest = waits ? part : this.#parse(connection, part)
    if (rest === undefined || !this.#connections.has(connection.socket)) return
    connection.waiting.push(rest)
    this.#setWaitingBytes(connection, connection.waitingBytes + rest.length)
    stopReading(connection.socket)
    this.#standInLine(connection)
    this.#keepWithinBound()
  }

  /** What waits is parsed in a later turn, unless it has to wait for answers first. */
  #standInLine(connection: Connection): void {
    if (connection.inLine || connection.waiting.length === 0 || !isOpenForMore(connection)) return
    connection.inLine = true
    this.#intake.wait(() => {
      connection.inLine = false
      this.#goOn(connection)
    })
  }

  #goOn(connection: Connection): void {
    const { socket, waiting } = connection
    const [part] = waiting
    if (part === undefined || !this.#connections.has(socket) || !isOpenForMore(connection)) return
    const rest = this.#parse(connection, part)
    if (!this.#connections.has(socket)) return
    this.#setWaitingBytes(connection, connection.waitingBytes - part.length + (rest?.length ?? 0))
    if (rest === undefined) waiting.shift()
    else waiting[0] = rest
    if (waiting.length > 0) this.#standInLine(connection)
    // Where Node has stopped reading, it goes on by itself.
    else if (!isPausedByNode(socket)) startReading(socket.resume())
  }

  /** Gives bytes to the parser, piece by piece, until this turn's account is used up; what is left of them. */
  #parse(connection: Connection, part: Buffer): Buffer | undefined {
    let left = part
    do {
      const { bodyLeftBytes } = connection
      // Of a body in chunks nobody knows the end.
      const piece = firstPiece(left, bodyLeftBytes === Number.POSITIVE_INFINITY ? 0 : bodyLeftBytes)
      const taken = piece.bytes === left.length ? left : left.subarray(0, piece.bytes)
      left = left.subarray(piece.bytes)
      this.#intake.charge(piece.cost)
      this.#account(connection, taken)
      if (!this.#connections.has(connection.socket)) return undefined
      connection.parse(taken)
      if (left.length === 0) return undefined
    } while (!this.#intake.full && isOpenForMore(connection))
    return left
  }

  /** Finds out how many of the bytes that the parser is about to get may belong to an unfinished head. */
  #account(connection: Connection, part: Buffer): void {
    if (connection.request?.complete !== false && connection.bodyLeftBytes === Number.POSITIVE_INFINITY) {
      connection.bodyLeftBytes = 0
    }
    const bodyBytes = Math.min(connection.bodyLeftBytes, part.length)
    connection.bodyLeftBytes -= bodyBytes
    const headEnd = part.indexOf(HEAD_END)
    connection.endsWhole = part.subarray(-HEAD_END.length).equals(HEAD_END)
    connection.restBytes = headEnd === -1 ? part.length : part.length - headEnd - HEAD_END.length
    this.#setHeadBytes(connection, connection.headBytes + part.length - bodyBytes)
    this.#keepWithinBound()
  }

  #keepWithinBound(): void {
    while (this.#headBytes > this.#maxHeadBytes) {
      const unfinished = ({ headBytes, waitingBytes }: Connection) => headBytes + waitingBytes > 0
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
    this.#addHeadBytes(connection.peer, bytes - connection.headBytes)
    connection.headBytes = bytes
  }

  #setWaitingBytes(connection: Connection, bytes: number): void {
    this.#addHeadBytes(connection.peer, bytes - connection.waitingBytes)
    connection.waitingBytes = bytes
  }

  #addHeadBytes(peer: Peer, bytes: number): void {
    peer.headBytes += bytes
    this.#headBytes += bytes
  }
}

/** Whether more may be parsed: not while many requests are under way, nor while Node itself waits for a slow reader. */
function isOpenForMore({ socket, underWay }: Connection): boolean {
  return underWay < MAX_PIPELINED && !isPausedByNode(socket)
}

function isPausedByNode(socket: Socket): boolean {
  return (socket as Socket & { readonly _paused?: boolean })._paused === true
}

type SocketWithHandle = Socket & {
  readonly _handle?: { reading: boolean; readStart: () => void; readStop: () => void } | null
}

/** Stops reading at once. `pause()` alone would read on until the stream's buffer is full. */
function stopReading(socket: Socket): void {
  socket.pause()
  const { _handle: handle } = socket as SocketWithHandle
  if (handle?.reading !== true) return
  handle.reading = false
  handle.readStop()
}

/** What `resume()` alone does not do, as for the stream the read that was stopped still goes on. */
function startReading(socket: Socket): void {
  const { _handle: handle } = socket as SocketWithHandle
  if (handle?.reading !== false) return
  handle.reading = true
  handle.readStart()
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

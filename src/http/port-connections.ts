import type { IncomingMessage } from 'node:http'
import { isIPv6, type Socket } from 'node:net'
import { getOrMake } from '../get-or-make.ts'
import type { FastLookUps } from './fast-look-ups.ts'
import { firstPiece, FAST_LOOK_UP_COST, type Intake } from './intake.ts'
import { headBytesOf, type HttpLimits } from './limits.ts'
import { refuseLate } from './refusal.ts'
import { shareReads } from './shared-reads.ts'

/** Why a connection was closed before its client wanted that. */
export const CLOSE_REASONS = [
  'no-room',
  'made-room',
  'unfinished-heads',
  'slow-reader',
  'answers-waiting',
  'unfinished-bodies',
] as const

export type CloseReason = (typeof CLOSE_REASONS)[number]

const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * A connection with so many requests under way is not read on. Clients that send more at once are rare, and a crowd of them that
 * goes away makes each of its requests an error in one turn of the loop.
 */
const MAX_PIPELINED = 4

/** How much longer an idle connection stays open than its client was told, as Node has it: a request may be on its way. */
const KEEP_ALIVE_BUFFER_MS = 1000

/** What is held for a request besides its head, until it is answered. */
const REQUEST_BYTES = 4096

/** Connections that make room when file descriptors have run out. */
const FEWEST_CLOSED = 8

/** One connection of a port. */
class Connection {
  readonly socket: Socket
  readonly peer: Peer
  /** Gives bytes to Node's parser; undefined while the fast path has the connection. */
  parse: ((part: Buffer) => void) | undefined
  /** Has Node take the connection over from the fast path. */
  handOver = () => {}
  /** Takes off what this account has put on the socket. */
  release = () => {}
  /** Whether it speaks another protocol now. */
  upgraded = false
  /** Whether answers of the fast path wait for their reader. */
  behind = false
  /** What came in and waits to be parsed, in order; nothing is read meanwhile. */
  readonly waiting: Buffer[] = []
  waitingBytes = 0
  /** Whether it stands in the intake's line. */
  inLine = false
  /** The request under way. */
  request: IncomingMessage | undefined
  underWay = 0
  /** Bytes of the heads of the requests under way, and of what else is held for them. */
  requestBytes = 0
  /** Bytes of a head that is not finished; an upper bound. */
  headBytes = 0
  /** Bytes of the last read after the first end of a head in it. */
  restBytes = 0
  /** Whether the last read ended like a head, and like a body in chunks. */
  endsWhole = true
  /** Bytes of the request's body that are still to come. */
  bodyLeftBytes = 0

  constructor(socket: Socket, peer: Peer) {
    this.socket = socket
    this.peer = peer
  }
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

/** The connections that other threads have at the same port. */
export interface OtherConnections {
  readonly count: number
  /** So many this thread may have, however many the others have. */
  readonly share: number
  /** Tells the others of as many more, or fewer, of this thread. */
  readonly tell: (more: number) => void
}

const NO_OTHERS: OtherConnections = { count: 0, share: 0, tell: () => {} }

/** Takes an answer into account that waits for its reader. */
export interface AnswerAccount {
  readonly hasRoom: (bytes: number) => boolean
  /** @returns Call it when the reader has it. */
  readonly hold: (socket: Socket, bytes: number) => () => void
}

/**
 * The connections of one port. At the limit the one that has been idle longest is closed for a new one, among those of the
 * address that has most: nobody can shut others out, and a proxy in front of everybody keeps its newest.
 */
export class PortConnections {
  /** What answers plain look-ups without Node. From the time when it is taken away, Node gets all that comes. */
  fastLookUps: Pick<FastLookUps, 'answer'> | undefined
  /** Where several threads take connections at this port, those of the others: all count together. */
  others = NO_OTHERS
  /** Is called when the last connection has gone. */
  onEmpty = () => {}
  readonly #limits: HttpLimits
  #limit: number
  readonly #intake: Intake
  readonly #answers: AnswerAccount
  readonly #onClosed: (reason: CloseReason) => void
  readonly #connections = new Map<Socket, Connection>()
  readonly #peers = new Map<string, Peer>()
  #headBytes = 0

  constructor(
    limits: HttpLimits,
    account: { readonly intake: Intake; readonly answers: AnswerAccount },
    onClosed: (reason: CloseReason) => void,
  ) {
    this.#limits = limits
    this.#limit = limits.maxConnections
    this.#intake = account.intake
    this.#answers = account.answers
    this.#onClosed = onClosed
  }

  get size(): number {
    return this.#connections.size
  }

  get #isFull(): boolean {
    const { count, share } = this.others
    return this.size + Math.min(count, Math.max(0, this.limit - share)) >= this.limit
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
    this.#limit = Math.min(this.#limits.maxConnections, this.#limit + 1)
  }

  /** Bytes of unfinished heads, of those whose requests are under way, and of requests that wait to be parsed. */
  get headBytes(): number {
    return this.#headBytes
  }

  /** The open ones. */
  get sockets(): Iterable<Socket> {
    return this.#connections.keys()
  }

  /**
   * Takes a new connection, or closes it when there is no room and none can be made. From then on its bytes come to this
   * account, and from here to the fast path, or to the listener that Node puts on the socket.
   *
   * @param serve - Lets Node's HTTP server have the connection; its socket need not be the one that was accepted.
   */
  open(accepted: Socket, serve: (socket: Socket) => void): void {
    if (this.#isFull && !this.#tryMakeRoom()) {
      this.#onClosed('no-room')
      accepted.destroy()
      return
    }
    const arrive = (part: Buffer) => this.#arrive(connection, part)
    // One that comes from another thread has been read from.
    const socket: Socket =
      accepted.bytesRead > 0
        ? accepted
        : shareReads(accepted, {
            take: (bytes, length) => this.#answerUnread(connection, bytes, length),
            keep: (rest) => {
              // The stream would read on while this account has stopped reading.
              if (connection.upgraded) return socket.push(rest)
              arrive(rest)
              return true
            },
          })
    const connection = new Connection(socket, this.#peerOf(socket))
    connection.handOver = () => {
      leaveFastPath()
      this.#giveToNode(connection, serve, arrive)
    }
    const { peer } = connection
    peer.size += 1
    this.#connections.set(socket, connection)
    this.others.tell(1)
    peer.silent.add(connection)
    socket.on('close', () => this.#close(connection))
    const leaveFastPath = enterFastPath(socket, () => {
      if (peer.silent.has(connection)) refuseLate(socket)
      else socket.destroy()
    })
    if (this.fastLookUps === undefined) {
      connection.handOver()
      return
    }
    socket.setTimeout(this.#limits.headersTimeoutMs)
    socket.on('data', arrive)
  }

  /** From here on Node answers: nothing of the fast path is left on the socket. */
  #giveToNode(connection: Connection, serve: (socket: Socket) => void, arrive: (part: Buffer) => void): void {
    const { socket } = connection
    socket.off('data', arrive)
    serve(socket)
    const listeners = socket.listeners('data')
    connection.parse = (part) => {
      for (const listener of listeners) Reflect.apply(listener, socket, [part])
    }
    // With a listener more, Node no longer reads past all of them.
    socket.on('data', arrive)
    for (const listener of listeners) socket.off('data', listener as () => void)
    // Node itself resumes too: for the next body, or when a client that was behind has taken its answers.
    const onResume = () => {
      if (connection.waiting.length === 0) {
        startReading(socket)
        return
      }
      stopReading(socket)
      this.#standInLine(connection)
    }
    socket.on('resume', onResume)
    connection.release = () => socket.off('data', arrive).off('resume', onResume)
  }

  /** A connection speaks another protocol from here on: it still counts, and its bytes are its own. */
  upgrade(socket: Socket): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined) return
    const { peer } = connection
    connection.release()
    connection.upgraded = true
    connection.request = undefined
    peer.silent.delete(connection)
    peer.idle.delete(connection)
    peer.busy.add(connection)
    this.#hold(connection, 'headBytes', 0)
  }

  /** A connection is somebody else's from here on: neither it nor its bytes count here any more. */
  letGo(socket: Socket): void {
    const connection = this.#connections.get(socket)
    if (connection === undefined) return
    connection.release()
    connection.upgraded = true
    this.#close(connection)
  }

  /** Ends the connections that the fast path has and that wait for nothing; what comes on others goes to Node. */
  closeFastPath(): void {
    this.fastLookUps = undefined
    for (const { parse, socket, waiting } of this.#connections.values()) {
      if (parse === undefined && waiting.length === 0) socket.destroySoon()
    }
  }

  /** Whether a request of a connection waits for its answer. */
  isAnswering(socket: Socket): boolean {
    return (this.#connections.get(socket)?.underWay ?? 0) > 0
  }

  /** Whether more was read with the last request than its head and body; an upper bound. */
  hasMore(socket: Socket): boolean {
    return (this.#connections.get(socket)?.restBytes ?? 0) > 0
  }

  /** A request's head is there. @returns Call it when its answer is written, or given up. */
  begin(request: IncomingMessage): () => void {
    const connection = this.#connections.get(request.socket)
    if (connection === undefined) return () => {}
    const { peer, restBytes } = connection
    connection.underWay += 1
    connection.request = request
    peer.silent.delete(connection)
    peer.idle.delete(connection)
    peer.busy.add(connection)
    const { 'content-length': length = '0', 'transfer-encoding': coding } = request.headers
    if (coding !== undefined) {
      connection.bodyLeftBytes = Number.POSITIVE_INFINITY
      this.#hold(connection, 'headBytes', 0)
    } else {
      connection.bodyLeftBytes = Math.max(0, Number(length) - restBytes)
      connection.restBytes = Math.max(0, restBytes - Number(length))
      // Bytes that end like a head leave none unfinished.
      this.#hold(connection, 'headBytes', connection.endsWhole ? 0 : connection.restBytes)
    }
    const bytes = REQUEST_BYTES + headBytesOf(request)
    this.#hold(connection, 'requestBytes', connection.requestBytes + bytes)
    this.#keepWithinBound()
    return () => this.#end(connection, bytes)
  }

  #end(connection: Connection, bytes: number): void {
    if (!this.#connections.has(connection.socket)) return
    const { peer } = connection
    connection.underWay -= 1
    this.#hold(connection, 'requestBytes', connection.requestBytes - bytes)
    this.#standInLine(connection)
    if (connection.underWay > 0) return
    connection.request = undefined
    if (connection.bodyLeftBytes === Number.POSITIVE_INFINITY) {
      connection.bodyLeftBytes = 0
      this.#hold(connection, 'headBytes', connection.endsWhole ? 0 : connection.restBytes)
    }
    if (peer.busy.delete(connection)) peer.idle.add(connection)
  }

  #peerOf(socket: Socket): Peer {
    const address = networkOf(socket.remoteAddress ?? '')
    return getOrMake(this.#peers, address, () => {
      return { address, size: 0, headBytes: 0, silent: new Set(), idle: new Set(), busy: new Set() }
    })
  }

  #close(connection: Connection): void {
    if (!this.#connections.delete(connection.socket)) return
    this.others.tell(-1)
    const { peer } = connection
    for (const set of [peer.silent, peer.idle, peer.busy]) set.delete(connection)
    this.#hold(connection, 'headBytes', 0)
    this.#hold(connection, 'waitingBytes', 0)
    this.#hold(connection, 'requestBytes', 0)
    peer.size -= 1
    if (peer.size === 0) this.#peers.delete(peer.address)
    if (this.size === 0) this.onEmpty()
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

  /** Answers what was read where nothing has to be kept of it; how many of the bytes need no more. */
  #answerUnread(connection: Connection, bytes: Buffer, length: number): number {
    if (connection.parse !== undefined || this.#hasToWait(connection)) return 0
    const answeredBytes = this.#answerFast(connection, bytes, length)
    // Of a connection that was cut nobody wants the rest.
    return connection.socket.destroyed ? length : answeredBytes
  }

  /** Bytes came in: they are parsed at once, or wait and are the last that is read for now. */
  #arrive(connection: Connection, part: Buffer): void {
    const rest = this.#hasToWait(connection) ? part : this.#parse(connection, part)
    if (rest === undefined) return
    if (connection.upgraded) {
      connection.socket.unshift(rest)
      return
    }
    if (!this.#connections.has(connection.socket)) return
    connection.waiting.push(rest)
    this.#hold(connection, 'waitingBytes', connection.waitingBytes + rest.length)
    stopReading(connection.socket)
    this.#standInLine(connection)
    this.#keepWithinBound()
  }

  #hasToWait(connection: Connection): boolean {
    return connection.waiting.length > 0 || this.#intake.full || !isOpenForMore(connection)
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
    if (connection.upgraded) {
      this.#hold(connection, 'waitingBytes', 0)
      const left = [...(rest === undefined ? [] : [rest]), ...waiting.splice(0).slice(1)]
      if (left.length > 0) socket.unshift(Buffer.concat(left))
      startReading(socket)
      return
    }
    if (!this.#connections.has(socket)) return
    this.#hold(connection, 'waitingBytes', connection.waitingBytes - part.length + (rest?.length ?? 0))
    if (rest === undefined) waiting.shift()
    else waiting[0] = rest
    if (waiting.length > 0) this.#standInLine(connection)
    // Where Node has stopped reading, it goes on by itself, as it does when the body's reader takes more.
    else if (!isPausedByNode(socket) && !hasFullBody(connection)) startReading(socket.resume())
  }

  /** Answers bytes or gives them to the parser, piece by piece, until this turn's account is used up; what is left of them. */
  #parse(connection: Connection, part: Buffer): Buffer | undefined {
    let left = part
    do {
      if (connection.parse === undefined) {
        const answeredBytes = this.#answerFast(connection, left)
        left = left.subarray(answeredBytes)
        if (left.length === 0 || !this.#connections.has(connection.socket)) return undefined
        if (answeredBytes > 0) continue
        connection.handOver()
      }
      const { bodyLeftBytes } = connection
      // Of a body in chunks nobody knows the end.
      const piece = firstPiece(left, bodyLeftBytes === Number.POSITIVE_INFINITY ? 0 : bodyLeftBytes)
      const taken = piece.bytes === left.length ? left : left.subarray(0, piece.bytes)
      left = left.subarray(piece.bytes)
      this.#intake.charge(piece.cost)
      this.#account(connection, taken)
      if (!this.#connections.has(connection.socket)) return undefined
      connection.parse?.(taken)
      if (left.length === 0) return undefined
    } while (!connection.upgraded && !this.#intake.full && isOpenForMore(connection))
    return left
  }

  /** Answers the plain look-ups that the first `length` bytes begin with; how many of the bytes they had. */
  #answerFast(connection: Connection, bytes: Buffer, length = bytes.length): number {
    const answers = this.fastLookUps?.answer(bytes, length)
    if (answers === undefined) return 0
    const { socket, peer } = connection
    this.#intake.charge(answers.count * FAST_LOOK_UP_COST)
    if (peer.silent.delete(connection)) {
      socket.setTimeout(this.#limits.keepAliveTimeoutMs + KEEP_ALIVE_BUFFER_MS)
    }
    peer.idle.delete(connection)
    socket.write(answers.text, 'latin1')
    // Nearly always the system has taken it by now.
    if (socket.writableLength === 0) peer.idle.add(connection)
    else this.#awaitReader(connection)
    return answers.bytes
  }

  /** Answers nothing more until the reader has what waits. */
  #awaitReader(connection: Connection): void {
    const { socket, peer } = connection
    const { writableLength: bytes } = socket
    if (!this.#answers.hasRoom(bytes)) {
      this.#cut(connection, 'answers-waiting')
      return
    }
    const release = this.#answers.hold(socket, bytes)
    connection.behind = true
    peer.busy.add(connection)
    socket.write('', () => {
      release()
      connection.behind = false
      // It may have been closed meanwhile.
      if (!peer.busy.delete(connection)) return
      peer.idle.add(connection)
      this.#standInLine(connection)
    })
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
    this.#hold(connection, 'headBytes', connection.headBytes + part.length - bodyBytes)
    this.#keepWithinBound()
  }

  #keepWithinBound(): void {
    while (this.#headBytes > this.#limits.maxHeldHeadBytes) {
      const victim = this.#findVictim(
        ({ silent, idle, busy }) => largest([silent, idle, busy]),
        (peer) => peer.headBytes,
      )
      if (victim === undefined) return
      this.#cut(victim, 'unfinished-heads')
    }
  }

  /** Takes what is held for a connection into account. */
  #hold(connection: Connection, kind: 'headBytes' | 'waitingBytes' | 'requestBytes', bytes: number): void {
    const more = bytes - connection[kind]
    connection[kind] = bytes
    connection.peer.headBytes += more
    this.#headBytes += more
  }
}

/** Whether more may be taken: not while many requests are under way, nor while answers wait for a slow reader. */
function isOpenForMore({ socket, underWay, behind }: Connection): boolean {
  return underWay < MAX_PIPELINED && !behind && !isPausedByNode(socket)
}

/** Whether the reader of a request's body has enough of it for now. */
function hasFullBody({ request }: Connection): boolean {
  return request !== undefined && !request.complete && request.readableLength >= request.readableHighWaterMark
}

/** Puts on a socket what Node would. @returns Takes it off again. */
function enterFastPath(socket: Socket, onTimeout: () => void): () => void {
  const listeners = { error: () => {}, end: () => socket.end(), timeout: onTimeout }
  for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener)
  return () => {
    for (const [event, listener] of Object.entries(listeners)) socket.off(event, listener)
  }
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

/** The one that holds most of what counts as heads; the longest in its set among equals. */
function largest(sets: readonly ReadonlySet<Connection>[]): Connection | undefined {
  let most = 0
  let found: Connection | undefined
  for (const set of sets) {
    for (const connection of set) {
      const bytes = connection.headBytes + connection.waitingBytes + connection.requestBytes
      if (bytes <= most) continue
      most = bytes
      found = connection
    }
  }
  return found
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

import { connect, type Socket, type TcpNetConnectOpts } from 'node:net'
import { onTestFinished } from 'vitest'

/** An answer as it came. Texts are byte text: each character is one byte. */
export interface RawResponse {
  readonly statusLine: string
  readonly status: number
  /** By name in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /** Without the framing of chunks. */
  readonly body: string
}

/** Opens a connection to a loopback port. */
export function dial(port: number, options: Partial<TcpNetConnectOpts> = {}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, ...options })
    socket.setEncoding('latin1')
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      // From here on an error shows as the end of the connection.
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}

/** Opens a connection that ends with the test. */
export async function connectTo(port: number, options: Partial<TcpNetConnectOpts> = {}): Promise<Socket> {
  const socket = await dial(port, options)
  onTestFinished(() => void socket.destroy())
  return socket
}

/** Everything that comes on a connection from now on, as it comes. */
export function collect(socket: Socket): { text: string } {
  const received = { text: '' }
  socket.on('data', (part: string) => {
    received.text += part
  })
  return received
}

/** Sends a request, as byte text, on a connection of its own. */
export async function exchange(port: number, bytes: string): Promise<RawResponse> {
  const socket = await dial(port)
  try {
    return await exchangeOn(socket, bytes)
  } finally {
    socket.destroy()
  }
}

/** Sends a request on an open connection, which stays open. Rejects when it ends before the answer is whole. */
export function exchangeOn(socket: Socket, bytes: string): Promise<RawResponse> {
  const headOnly = bytes.startsWith('HEAD ')
  return new Promise((resolve, reject) => {
    let received = ''
    const finish = (response: RawResponse) => {
      socket.off('data', onData)
      socket.off('close', onClose)
      resolve(response)
    }
    const onData = (part: string) => {
      received += part
      const response = tryParse(received, headOnly, false)
      if (response !== undefined) finish(response)
    }
    const onClose = () => {
      const response = tryParse(received, headOnly, true)
      if (response === undefined) reject(new Error(`the connection ended after ${JSON.stringify(received)}`))
      else finish(response)
    }
    socket.on('data', onData)
    socket.on('close', onClose)
    socket.write(Buffer.from(bytes, 'latin1'))
  })
}

/** Reads a whole answer; undefined while some of it is missing. */
export function tryParse(received: string, headOnly: boolean, ended: boolean): RawResponse | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const [statusLine = '', ...lines] = received.slice(0, end).split('\r\n')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const [name, value] = [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    // One that comes twice is a list (RFC 9110, 5.2).
    headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value)
  }
  const head = { statusLine, status: Number(statusLine.split(' ')[1]), headers }
  const rest = received.slice(end + 4)
  if (headOnly || head.status === 304 || head.status === 204) return { ...head, body: '' }
  const length = headers.get('content-length')
  if (length !== undefined) {
    return rest.length >= Number(length) ? { ...head, body: rest.slice(0, Number(length)) } : undefined
  }
  if (headers.get('transfer-encoding') === 'chunked') {
    const body = tryDechunk(rest)
    return body === undefined ? undefined : { ...head, body }
  }
  return ended ? { ...head, body: rest } : undefined
}

function tryDechunk(text: string): string | undefined {
  let body = ''
  for (let at = 0; ;) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd === -1) return undefined
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    if (size === 0) return body
    if (text.length < lineEnd + 4 + size) return undefined
    body += text.slice(lineEnd + 2, lineEnd + 2 + size)
    at = lineEnd + 4 + size
  }
}

/** Reads an answer in chunks as it comes. */
export class ChunkReader {
  #rest = ''
  #headSeen = false

  /** What the whole chunks hold that have come since the last call; the head of the answer is passed over. */
  read(part: string): string {
    this.#rest += part
    if (!this.#headSeen) {
      const end = this.#rest.indexOf('\r\n\r\n')
      if (end === -1) return ''
      this.#headSeen = true
      this.#rest = this.#rest.slice(end + 4)
    }
    let text = ''
    for (;;) {
      const lineEnd = this.#rest.indexOf('\r\n')
      const size = Number.parseInt(this.#rest.slice(0, lineEnd), 16)
      if (lineEnd === -1 || this.#rest.length < lineEnd + 4 + size) return text
      text += this.#rest.slice(lineEnd + 2, lineEnd + 2 + size)
      this.#rest = this.#rest.slice(lineEnd + 4 + size)
    }
  }
}

/** Resolves when the other side has ended or cut the connection. */
export function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) {
      resolve()
      return
    }
    socket.on('close', () => {
      resolve()
    })
    socket.resume()
  })
}

/** A GET request as text. */
export function get(target: string, headers: Readonly<Record<string, string>> = {}): string {
  return request('GET', target, headers)
}

/** A request as text. A body gets its Content-Length. */
export function request(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body?: string,
): string {
  const all = body === undefined ? headers : { 'Content-Length': String(body.length), ...headers }
  const lines = Object.entries({ Host: 'ring.test', ...all }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body ?? ''}`
}

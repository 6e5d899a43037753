import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { duplexPair } from 'node:stream'

/** What Node's HTTP parser says beside the message when it refuses bytes. */
export interface ParserError extends Error {
  readonly code?: string
  /** The piece of the connection's bytes that it was given last. */
  readonly rawPacket?: Buffer
  /** Where in that piece it stopped. */
  readonly bytesParsed?: number
}

const LINE_FEED = 0x0a

/**
 * Answers a request whose target has bytes of 0x80 and above, as `curl 'http://…?key=café'` and Go's client send
 * them. Node's parser refuses these; Go's server takes them. The request is given to the server anew, with those
 * bytes percent-encoded, which is what they mean; it closes the connection then, because the parser that refused
 * cannot go on.
 *
 * Only a request that begins its piece of bytes, on a connection that waits for no other answer, can be rescued:
 * else answers could be mistaken for one another.
 *
 * @returns False when it is none that can be rescued; nothing has been done then.
 */
export function tryRescueRawTarget(server: Server, error: ParserError, socket: Socket): boolean {
  if (error.code !== 'HPE_INVALID_URL' || error.rawPacket === undefined) return false
  if (!isIdle(socket, error.rawPacket)) return false
  const request = escapeTarget(error.rawPacket)
  if (request === undefined) return false
  const [inner, outer] = duplexPair()
  // `server.emit('connection')` is Node's documented way to have a stream served that is no socket of the server.
  server.emit('connection', inner)
  const end = () => {
    inner.destroy()
    outer.destroy()
    socket.destroy()
  }
  for (const stream of [inner, outer]) stream.on('error', end)
  socket.on('close', end)
  inner.on('close', end)
  outer.on('end', () => {
    socket.destroySoon()
  })
  outer.pipe(socket, { end: false })
  outer.write(request)
  return true
}

/** Whether no answer is under way on the connection; false when that cannot be told. */
function isIdle(socket: Socket, packet: Buffer): boolean {
  // The first bytes of a connection; or Node has taken its last response off it, which it marks with a null.
  const { _httpMessage: response } = socket as Socket & { readonly _httpMessage?: unknown }
  return (socket.bytesRead === packet.length && response === undefined) || response === null
}

/**
 * The request with the bytes of 0x80 and above in its first line percent-encoded, and with `Connection: close`;
 * undefined when it is not all there, or has other bytes that no target may have.
 */
function escapeTarget(packet: Buffer): Buffer | undefined {
  const lineEnd = packet.indexOf(LINE_FEED)
  const headersEnd = packet.indexOf('\r\n\r\n')
  if (lineEnd === -1 || headersEnd === -1) return undefined
  const line = packet.toString('latin1', 0, lineEnd + 1)
  if (!/^[A-Z]+ [\x21-\x7e\x80-\xff]+ HTTP\/1\.[01]\r\n$/.test(line)) return undefined
  const escaped = line.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`)
  if (escaped === line) return undefined
  return Buffer.concat([
    Buffer.from(`${escaped}Connection: close\r\n`, 'latin1'),
    packet.subarray(lineEnd + 1),
  ])
}

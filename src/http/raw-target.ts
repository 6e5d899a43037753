import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { duplexPair } from 'node:stream'

/** What Node's HTTP parser says beside the message when it refuses bytes. */
export interface ParserError extends Error {
  readonly code?: string
  /** The piece of the connection's bytes that it was given last. */
  readonly rawPacket?: Buffer
}

/**
 * Answers a GET whose target has bytes of 0x80 and above, as `curl 'http://…?key=café'` sends it to a Go server. Node's
 * parser refuses these. The request is given to the server again, with those bytes percent-encoded, which is what they
 * mean, and the connection is closed after the answer.
 *
 * The parser that refused cannot say where the request ends. So this is done for one request alone that leaves no
 * doubt: the first bytes of a connection, in one piece, a GET without a body, and nothing behind it. Everything else
 * stays refused: on a connection that a proxy shares, a body must never pass for the next request.
 *
 * @returns False for any other request; nothing has been done then.
 */
export function tryServeRawTarget(server: Server, error: ParserError, socket: Socket): boolean {
  const { code, rawPacket: packet } = error
  if (code !== 'HPE_INVALID_URL' || packet === undefined || socket.bytesRead !== packet.length) return false
  const request = escapeTarget(packet.toString('latin1'))
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
  outer.on('end', () => socket.destroySoon())
  outer.pipe(socket, { end: false })
  outer.write(request, 'latin1')
  return true
}

/** A whole GET without a body, and what follows it. */
const WHOLE_GET =
  /^GET ([\x21-\x7e\x80-\xff]+) HTTP\/1\.1\r\n((?:[!#$%&'*+.^_`|~\w-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n$/

/** Fields that say that more follows the head, or that the connection becomes another. */
const MORE_FOLLOWS = /^(?:content-length|transfer-encoding|expect|upgrade|connection|http2-settings):/im

/**
 * The request with the bytes of 0x80 and above in its target percent-encoded, and with `Connection: close`; undefined when
 * it is not one whole GET and nothing else.
 */
function escapeTarget(text: string): string | undefined {
  const [, target = '', fields = ''] = WHOLE_GET.exec(text) ?? []
  if (target === '' || MORE_FOLLOWS.test(fields)) return undefined
  const escaped = target.replace(
    /[\x80-\xff]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return escaped === target ? undefined : `GET ${escaped} HTTP/1.1\r\n${fields}Connection: close\r\n\r\n`
}

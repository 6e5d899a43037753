import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ParserError } from './raw-target.ts'

/** Tells a client that its request took too long, and ends the connection. */
export function refuseLate(socket: Socket): void {
  refuse(socket, { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
}

/**
 * The same as {@link refuse}, once all requests before those bytes are answered (RFC 9112, section 9.3.2): or the client would
 * take the refusal for the answer to one of them.
 *
 * @param waiting - Connections of the server whose refusal waits so: what else comes there changes nothing.
 */
export function refuseInTurn(
  socket: Duplex,
  error: Pick<ParserError, 'code'>,
  waiting: WeakSet<Duplex>,
): void {
  if (waiting.has(socket)) return
  const response = responseUnderWay(socket)
  // A request that is not whole is the one that is refused.
  if (response?.req.complete !== true || !isAboutBytes(error)) {
    refuse(socket, error)
    return
  }
  waiting.add(socket)
  response.once('close', () => {
    waiting.delete(socket)
    refuseInTurn(socket, error, waiting)
  })
}

/** Whether a client's bytes are refused, or did not come in time; else its connection is broken. */
function isAboutBytes({ code = '' }: Pick<ParserError, 'code'>): boolean {
  return code.startsWith('HPE_') || REFUSALS[code] !== undefined
}

function responseUnderWay(socket: Duplex): ServerResponse | null | undefined {
  return (socket as Duplex & { readonly _httpMessage?: ServerResponse | null })._httpMessage
}

/** Tells a client what its bytes were not, unless an answer is under way, and ends the connection. */
export function refuse(socket: Duplex, error: Pick<ParserError, 'code'>): void {
  if (!socket.writable || error.code === 'ECONNRESET' || responseUnderWay(socket)?.headersSent === true) {
    socket.destroy()
    return
  }
  socket.end(`HTTP/1.1 ${REFUSALS[error.code ?? ''] ?? '400 Bad Request'}\r\nConnection: close\r\n\r\n`)
  // For a request that is given to the server again, whoever made the stream ends the connection.
  if (socket instanceof Socket) socket.destroySoon()
}

const REFUSALS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

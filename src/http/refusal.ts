import type { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ParserError } from './raw-target.ts'

/** Tells a client that its request took too long, and ends the connection. */
export function refuseLate(socket: Socket): void {
  refuse(socket, { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
}

/** Tells a client what its bytes were not, unless an answer is under way, and ends the connection. */
export function refuse(socket: Duplex, error: Pick<ParserError, 'code'>): void {
  const { _httpMessage: response } = socket as Duplex & { readonly _httpMessage?: ServerResponse | null }
  if (!socket.writable || error.code === 'ECONNRESET' || response?.headersSent === true) {
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

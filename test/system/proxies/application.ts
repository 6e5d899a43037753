/**
 * An instance of an application, `node application.ts HOST PORT`: it says who it is and what it was sent, echoes
 * WebSocket messages, and sends server-sent events. It prints a line with the event `ready`.
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'

const [host = '', port = ''] = process.argv.slice(2)
const EVENT_EVERY_MS = 100

/** What the application answers. */
export interface ApplicationAnswer {
  readonly instance: string
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly cuts: number
}

/** Requests whose connection was cut once they had been read. */
let cuts = 0

const server = createServer((request, response) => {
  if (request.url === '/cut') {
    request.resume().on('end', () => {
      cuts++
      request.socket.destroy()
    })
    return
  }
  if (request.url?.endsWith('/events') === true) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    let count = 0
    const send = () => response.write(`data: ${host} ${++count}\n\n`)
    send()
    const timer = setInterval(send, EVENT_EVERY_MS)
    response.on('close', () => {
      clearInterval(timer)
    })
    return
  }
  let body = ''
  request.setEncoding('utf8').on('data', (part: string) => {
    body += part
  })
  request.on('end', () => {
    const { method = '', url = '', headers } = request
    const answer = { instance: host, method, url, headers, body, cuts }
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer))
  })
})

server.on('upgrade', (request, socket: Socket, head: Buffer) => {
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key'] ?? ''}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  socket.on('error', () => {})
  // The tests send short masked text frames; a proxy may pass one on in pieces.
  let waiting = head
  const take = (part: Buffer) => {
    waiting = Buffer.concat([waiting, part])
    while (waiting.length >= 2) {
      const text = 1
      if ((waiting.readUInt8(0) & 0x0f) !== text) {
        socket.destroy()
        return
      }
      const end = 6 + (waiting.readUInt8(1) & 0x7f)
      if (waiting.length < end) return
      const mask = waiting.subarray(2, 6)
      const payload = waiting.subarray(6, end).map((byte, at) => byte ^ (mask[at % 4] ?? 0))
      const answer = Buffer.from(`${host} ${Buffer.from(payload).toString()}`)
      socket.write(Buffer.concat([Buffer.from([0x81, answer.length]), answer]))
      waiting = waiting.subarray(end)
    }
  }
  socket.on('data', take)
  take(Buffer.alloc(0))
})

// As a program in Kubernetes should: it ends once it has answered what is under way.
process.on('SIGTERM', () => {
  server.close(() => process.exit())
  server.closeIdleConnections()
})

server.listen(Number(port), host, () => {
  console.log(JSON.stringify({ event: 'ready' }))
})

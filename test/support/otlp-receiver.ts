import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { freePort } from './free-port.ts'
import { decodeJsonSpans, decodeProtobufSpans, type ReceivedSpan } from './otlp-spans.ts'

/** How a receiver behaves: takes spans, refuses them, says nothing, or takes its time over each answer. */
export type ReceiverMood = 'well' | 'refusing' | 'hanging' | { readonly delayMs: number }

/** A request with spans. */
export interface ReceivedExport {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly spans: readonly ReceivedSpan[]
}

/** A receiver of traces over OTLP/HTTP, in this process, that decodes what it is sent. */
export class OtlpReceiver implements AsyncDisposable {
  readonly exports: ReceivedExport[] = []
  mood: ReceiverMood = 'well'
  /** Requests that came, whatever became of them. */
  requests = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #waiting = new Set<() => void>()

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#take(request, response)
    })
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  /** Listens on a free loopback port. */
  static async open(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver()
    const port = await freePort()
    await new Promise<void>((resolve) => {
      receiver.#server.listen(port, '127.0.0.1', resolve)
    })
    return receiver
  }

  /** What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get spans(): ReceivedSpan[] {
    return this.exports.flatMap(({ spans }) => spans)
  }

  /** Resolves with the first span that fits, once it is there. @throws {Error} after ten seconds, naming what came. */
  async span(fits: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> {
    const deadline = performance.now() + 60_000
    for (;;) {
      const found = this.spans.find(fits)
      if (found !== undefined) return found
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) throw new Error(`no such span among: ${this.spans.map(({ name }) => name).join(', ')}`)
      await new Promise<void>((resolve) => {
        const finish = () => {
          clearTimeout(timer)
          this.#waiting.delete(finish)
          resolve()
        }
        const timer = setTimeout(finish, leftMs)
        this.#waiting.add(finish)
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests++
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { mood } = this
    if (mood === 'hanging') return
    if (mood === 'refusing') {
      response.writeHead(400).end('no')
      return
    }
    if (mood !== 'well') await new Promise((resolve) => setTimeout(resolve, mood.delayMs))
    const packed = Buffer.concat(chunks)
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(packed) : packed
    const json = request.headers['content-type'] === 'application/json'
    const spans = json ? decodeJsonSpans(body.toString('utf8')) : decodeProtobufSpans(body)
    this.exports.push({ path: request.url ?? '', headers: request.headers, spans })
    response
      .writeHead(200, { 'Content-Type': request.headers['content-type'] ?? '' })
      .end(json ? '{}' : undefined)
    for (const wake of [...this.#waiting]) wake()
  }
}

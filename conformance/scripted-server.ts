/**
 * A member that does what a script says: it shows rings, resets, is slow, sends garbage, refuses. As a program it takes
 * commands as lines of JSON, see README.md: `node conformance/scripted-server.ts`.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { HashRing } from '../src/ring/hash-ring.ts'
import type { RingNode } from '../src/ring/node.ts'

/** What a member says of its ring besides the nodes. */
interface RingState {
  readonly unsure?: boolean | undefined
  /** Puts the rings of one `uid` in order. */
  readonly version?: number | undefined
  readonly uid?: string | undefined
}

/** The JSON of `GET /v1/ring`, with a field that no client knows. */
export function ringJson(nodes: readonly RingNode[], digest?: string, state: RingState = {}): string {
  const ring = HashRing.of(nodes)
  const shares = ring.shares()
  return JSON.stringify({
    nodes: ring.nodes.map((node) => ({ ...node, share: shares.get(node.ringKey), unknown: { field: [] } })),
    digest: digest ?? ring.digest,
    epoch: 7,
    sinceChangeMs: 0,
    ...state,
    unknown: null,
  })
}

/** A ring as an event of the watch. */
export function ringEvent(json: string): string {
  return `id: 7\nevent: ring\ndata: ${json}\n\n`
}

/** What the server does with requests for one of its two paths. */
export type Behaviour =
  /** Answers as a member does. */
  | 'serve'
  /** Takes the request and says nothing. */
  | 'hang'
  /** Closes the connection. */
  | 'close'
  /** 503, `TOO_MANY_WATCHERS`, a problem document. */
  | '503'
  /** 302 to `/elsewhere/v1/…`, which serves. */
  | 'redirect'
  /** 200 with a page of HTML. */
  | 'page'
  /** 200 and the head of a watch, without an event; heartbeats come, if they are on. */
  | 'no-ring'

/** One request that came. */
export interface Asked {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  /** Milliseconds of a monotonic clock. */
  readonly atMs: number
}

export class ScriptedServer implements AsyncDisposable {
  readonly url: string
  readonly asked: Asked[] = []
  watch: Behaviour = 'serve'
  ring: Behaviour = 'serve'
  readonly #server
  readonly #streams = new Set<ServerResponse>()
  /** `NAMESPACE/NAME` of the HashRing whose ring it has; undefined: its own. */
  name: string | undefined
  /** Whether it says that it is unsure, from the next ring on that it shows. */
  unsure = false
  /** The `version` and `uid` of its ring, likewise. */
  version: number | undefined
  uid: string | undefined
  #json = ringJson([])
  #heartbeat: NodeJS.Timeout | undefined

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (request, response) => {
      this.#answer(request, response)
    })
  }

  /** @param port - 0 takes a free one. */
  static async start(nodes: readonly RingNode[] = [], port = 0): Promise<ScriptedServer> {
    const server = createServer().listen(port, '127.0.0.1')
    await once(server, 'listening')
    const scripted = new ScriptedServer(server)
    scripted.show(nodes)
    return scripted
  }

  /** Open watches. */
  get watches(): number {
    return this.#streams.size
  }

  /** Has this ring from now on, and sends it to those who watch. @param digest - Another one than is right. */
  show(nodes: readonly RingNode[], digest?: string): void {
    const { version, uid } = this
    this.#json = ringJson(nodes, digest, { unsure: this.unsure ? true : undefined, version, uid })
    if (this.watch === 'serve') this.send(ringEvent(this.#json))
  }

  /** The event of the ring that it has. */
  get event(): string {
    return ringEvent(this.#json)
  }

  /** Sends bytes to those who watch. */
  send(bytes: string | Uint8Array): void {
    for (const stream of this.#streams) stream.write(bytes)
  }

  /** Sends bytes in pieces, with a pause after each. */
  async sendSlowly(bytes: Uint8Array, pieceBytes: number, pauseMs: number): Promise<void> {
    for (let at = 0; at < bytes.length && this.#streams.size > 0; at += pieceBytes) {
      this.send(bytes.subarray(at, at + pieceBytes))
      await sleep(pauseMs)
    }
  }

  /** Sends filler as quickly as it is taken. @returns How many bytes were taken before the reader went. */
  async flood(mostBytes: number): Promise<number> {
    const filler = Buffer.alloc(64 * 1024, 'x')
    let sent = 0
    const [stream] = this.#streams
    if (stream === undefined) return 0
    while (this.#streams.has(stream) && sent < mostBytes) {
      sent += filler.length
      if (!stream.write(filler)) await room(stream)
    }
    return sent
  }

  /** Sends a comment to those who watch so often; 0 stops it. */
  heartbeat(everyMs: number): void {
    clearInterval(this.#heartbeat)
    if (everyMs > 0) {
      this.#heartbeat = setInterval(() => {
        this.send(': heartbeat\n\n')
      }, everyMs)
    }
  }

  /** Ends the watches as a member does that shuts down. */
  end(): void {
    for (const stream of this.#streams) stream.end()
  }

  /** Resets every connection. */
  reset(): void {
    for (const { socket } of this.#streams) socket?.resetAndDestroy()
    this.#streams.clear()
    this.#server.closeAllConnections()
  }

  /** Both paths do the same from now on; what is open is reset, unless they serve. */
  be(behaviour: Behaviour): void {
    this.watch = behaviour
    this.ring = behaviour
    if (behaviour !== 'serve') this.reset()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.heartbeat(0)
    this.reset()
    if (!this.#server.listening) return
    this.#server.close()
    await once(this.#server, 'close')
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').replace(/^\/elsewhere/, '')
    const redirected = path !== request.url
    this.asked.push({ path: request.url ?? '', headers: request.headers, atMs: performance.now() })
    const root = this.name === undefined ? '/v1' : `/v1/rings/${this.name}`
    const isWatch = path === `${root}/ring/watch`
    if (!isWatch && path !== `${root}/ring`) {
      response.writeHead(404).end()
      return
    }
    switch (redirected ? 'serve' : isWatch ? this.watch : this.ring) {
      case 'serve':
      case 'no-ring':
        if (isWatch) this.#open(response)
        else this.#giveRing(request, response)
        return
      case 'hang':
        return
      case 'close':
        request.socket.resetAndDestroy()
        return
      case '503':
        response
          .writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '5' })
          .end('{"type":"urn:ringman:error:too-many-watchers","status":503,"code":"TOO_MANY_WATCHERS"}')
        return
      case 'redirect':
        response.writeHead(302, { location: `${this.url}/elsewhere${path}` }).end()
        return
      case 'page':
        response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome to nginx!</html>')
    }
  }

  #open(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.on('error', () => {})
    response.on('close', () => this.#streams.delete(response))
    this.#streams.add(response)
    response.write('retry: 1000\n')
    if (this.watch === 'serve') response.write(this.event)
  }

  #giveRing(request: IncomingMessage, response: ServerResponse): void {
    // As a member's, it does not depend on whether that is unsure.
    const { nodes } = JSON.parse(this.#json) as { readonly nodes: unknown }
    const etag = `W/"${createHash('sha256').update(JSON.stringify(nodes)).digest('hex').slice(0, 16)}"`
    if (this.unsure) response.setHeader('ringman-unsure', 'true')
    if (request.headers['if-none-match'] === etag) response.writeHead(304, { etag }).end()
    else response.writeHead(200, { 'content-type': 'application/json', etag }).end(this.#json)
  }
}

/** Resolves when a stream takes more, or is closed. */
function room(stream: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
  })
}

/** One command of the program. */
interface Command {
  readonly show?: readonly RingNode[]
  readonly digest?: string
  readonly name?: string
  readonly unsure?: boolean
  readonly version?: number
  readonly uid?: string
  readonly watch?: Behaviour
  readonly ring?: Behaviour
  readonly send?: string
  readonly sendSlowly?: { readonly text: string; readonly pieceBytes: number; readonly pauseMs: number }
  readonly flood?: number
  readonly heartbeatMs?: number
  readonly end?: boolean
  readonly reset?: boolean
  readonly asked?: boolean
}

async function obey(server: ScriptedServer, command: Command): Promise<unknown> {
  if (command.watch !== undefined) server.watch = command.watch
  if (command.ring !== undefined) server.ring = command.ring
  if (command.heartbeatMs !== undefined) server.heartbeat(command.heartbeatMs)
  if (command.name !== undefined) server.name = command.name
  if (command.unsure !== undefined) server.unsure = command.unsure
  if (command.version !== undefined) server.version = command.version
  if (command.uid !== undefined) server.uid = command.uid
  if (command.show !== undefined) server.show(command.show, command.digest)
  if (command.send !== undefined) server.send(command.send)
  if (command.sendSlowly !== undefined) {
    const { text, pieceBytes, pauseMs } = command.sendSlowly
    await server.sendSlowly(Buffer.from(text), pieceBytes, pauseMs)
  }
  if (command.end === true) server.end()
  if (command.reset === true) server.reset()
  const flooded = command.flood === undefined ? {} : { flooded: await server.flood(command.flood) }
  const asked = command.asked === true ? { asked: server.asked.splice(0) } : {}
  return { watches: server.watches, ...flooded, ...asked }
}

if (import.meta.main) {
  await using server = await ScriptedServer.start([], Number(process.argv[2] ?? 0))
  console.log(JSON.stringify({ url: server.url }))
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: unknown
    try {
      answer = await obey(server, JSON.parse(line) as Command)
    } catch (error) {
      answer = { error: String(error) }
    }
    console.log(JSON.stringify(answer))
  }
}

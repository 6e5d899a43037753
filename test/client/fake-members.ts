import type { Fetch } from '../../src/client/transport.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import type { RingNode } from '../../src/ring/node.ts'

/** Nodes `a`, `b`, … with the weight 1. */
export function nodes(letters: string): RingNode[] {
  return letters.split('').map((ringKey) => ({ ringKey, weight: 1 }))
}

/** The JSON of `GET /v1/ring`. */
export function ringBody(given: readonly RingNode[], digest?: string): string {
  const ring = HashRing.of(given)
  const shares = ring.shares()
  return JSON.stringify({
    nodes: ring.nodes.map((node) => ({ ...node, share: shares.get(node.ringKey), later: 'unknown' })),
    digest: digest ?? ring.digest,
    epoch: 1,
    sinceChangeMs: 0,
    later: 'unknown',
  })
}

/** A ring as an event of a watch. */
export function ringEvent(given: readonly RingNode[], digest?: string): string {
  return `id: 1\nevent: ring\ndata: ${ringBody(given, digest)}\n\n`
}

/** One open watch, as its member sees it. */
export class FakeWatch {
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  closed = false
  readonly response: Response

  constructor(signal: AbortSignal) {
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller
      },
      cancel: () => {
        this.closed = true
      },
    })
    signal.addEventListener('abort', () => {
      if (this.closed) return
      this.closed = true
      this.#controller?.error(signal.reason)
    })
    this.response = new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
  }

  send(text: string): void {
    this.#controller?.enqueue(Buffer.from(text))
  }

  end(): void {
    this.closed = true
    this.#controller?.close()
  }

  reset(): void {
    this.closed = true
    this.#controller?.error(new Error('read ECONNRESET'))
  }
}

/** What members do with a request: `undefined` is an answer that never comes, an error a connection that fails. */
type Answer = Response | Error | undefined

/** Members without a network: each does what a test says, and tells what it was asked. */
export class FakeMembers {
  /** `METHOD? URL` of every request, in order. */
  readonly asked: string[] = []
  readonly headers: Record<string, string>[] = []
  readonly watches: FakeWatch[] = []
  readonly #answers = new Map<string, (headers: Record<string, string>, signal: AbortSignal) => Answer>()

  readonly fetch: Fetch = (url, init) => {
    this.asked.push(url)
    const headers = init.headers as Record<string, string>
    this.headers.push(headers)
    const signal = init.signal!
    const answer = (this.#answers.get(url) ?? (() => new Error('connect ECONNREFUSED')))(headers, signal)
    if (answer instanceof Response) return Promise.resolve(answer)
    if (answer !== undefined) return Promise.reject(answer)
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error)
      })
    })
  }

  on(url: string, answer: (headers: Record<string, string>, signal: AbortSignal) => Answer): void {
    this.#answers.set(url, answer)
  }

  /** A member whose watches send this at first. */
  watched(url: string, first: () => string): void {
    this.on(`${url}/v1/ring/watch`, (_, signal) => {
      const watch = new FakeWatch(signal)
      this.watches.push(watch)
      watch.send(first())
      return watch.response
    })
  }

  /** A member that cannot be reached. */
  gone(url: string): void {
    this.#answers.delete(`${url}/v1/ring/watch`)
    this.#answers.delete(`${url}/v1/ring`)
  }

  /** The newest watch. */
  get watch(): FakeWatch {
    const watch = this.watches.at(-1)
    if (watch === undefined) throw new Error('nobody watches')
    return watch
  }
}

export function problem(status: number, code: string): Response {
  return new Response(JSON.stringify({ status, code, title: code }), {
    status,
    headers: { 'content-type': 'application/problem+json' },
  })
}

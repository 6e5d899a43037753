import { connect } from 'node:net'

/** What a load of requests has found. */
export interface LoadResult {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Tells when so many milliseconds are over. */
export function after(ms: number): () => boolean {
  const endMs = performance.now() + ms
  return () => performance.now() > endMs
}

/** 10,000 requests for the owner of a key each, of 22 bytes. */
export const LOOK_UPS: readonly Buffer[] = Array.from({ length: 10_000 }, (_, i) =>
  Buffer.from(`GET /v1/owner?key=${keyOf(i)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`),
)

/** Batches of so many keys each. */
export function batches(keysEach: number): readonly Buffer[] {
  return Array.from({ length: 10 }, (_, batch) => {
    const keys = Array.from({ length: keysEach }, (__, i) => keyOf(batch * keysEach + i))
    const body = JSON.stringify({ keys })
    const head = `POST /v1/owners HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n`
    return Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)
  })
}

function keyOf(i: number): string {
  return `session-${String(i).padStart(14, '0')}`
}

/**
 * Asks a server on loopback until it is enough: each connection has one request under way and stays open.
 *
 * @param restMs - How long a connection rests between an answer and the next request.
 */
export async function load(
  requests: readonly Buffer[],
  options: {
    readonly port: number
    readonly connections: number
    readonly until: () => boolean
    readonly restMs?: number
  },
): Promise<LoadResult> {
  const { port, connections, until, restMs = 0 } = options
  const startedMs = performance.now()
  const latenciesMs: number[] = []
  const drive = (first: number) =>
    new Promise<void>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      let at = first
      let askedMs = 0
      /** Bytes of the answer that are still to come; undefined before its head. */
      let left: number | undefined
      const ask = () => {
        left = undefined
        askedMs = performance.now()
        socket.write(requests[at++ % requests.length]!)
      }
      socket.on('connect', ask)
      socket.on('error', reject)
      socket.on('data', (bytes) => {
        if (left === undefined) {
          // A head is far smaller than a packet of the loopback.
          const head = bytes.toString('latin1', 0, 1024)
          const end = head.indexOf('\r\n\r\n')
          const length = /content-length: (\d+)/i.exec(head)?.[1]
          if (!head.startsWith('HTTP/1.1 200 ') || end === -1 || length === undefined) {
            reject(new Error(`not an answer: ${head}`))
            return
          }
          left = end + 4 + Number(length)
        }
        left -= bytes.length
        if (left > 0) return
        latenciesMs.push(performance.now() - askedMs)
        if (!until()) {
          if (restMs === 0) ask()
          else setTimeout(ask, restMs)
        } else {
          socket.destroy()
          resolve()
        }
      })
    })
  await Promise.all(Array.from({ length: connections }, (_, i) => drive(i * 131)))
  const tookMs = performance.now() - startedMs
  latenciesMs.sort((a, b) => a - b)
  const quantile = (part: number) => latenciesMs[Math.floor(part * (latenciesMs.length - 1))] ?? Number.NaN
  return {
    requests: latenciesMs.length,
    requestsPerSecond: (latenciesMs.length / tookMs) * 1000,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  }
}

/**
 * A load for HTTP servers: `node client.ts PORT CONNECTIONS FOR_MS [PATH]`. Each connection has one request under
 * way at a time (no pipelining) and is kept open. It prints a `LoadResult` as JSON.
 */
import { connect } from 'node:net'
import { KEYS, requestFor, type LoadResult } from './load.ts'

const [port = 0, connections = 0, forMs = 0] = process.argv.slice(2).map(Number)
const path = process.argv[5] ?? '/v1/owner'
const requests = KEYS.map((key) => Buffer.from(requestFor(path, key)))
const isAnswer = (text: string) =>
  text.startsWith('HTTP/1.1 200 ') &&
  (path === '/v1/route' ? text.includes('\r\nX-Ringman-Owner: ') : text.endsWith('}'))
const latenciesMs: number[] = []
let stopped = false

/** Asks on one connection until the time is over. */
function drive(first: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let at = first
    let askedMs = 0
    let received = ''
    const ask = () => {
      received = ''
      askedMs = performance.now()
      socket.write(requests[at++ % requests.length] ?? '')
    }
    socket.setEncoding('latin1')
    socket.on('connect', ask)
    socket.on('error', reject)
    socket.on('data', (part: string) => {
      received += part
      const end = received.indexOf('\r\n\r\n')
      const length = Number(/Content-Length: (\d+)/.exec(received)?.[1])
      if (end === -1 || received.length < end + 4 + length) return
      if (!isAnswer(received)) {
        reject(new Error(`not an answer: ${received}`))
        return
      }
      latenciesMs.push(performance.now() - askedMs)
      if (stopped) {
        socket.destroy()
        resolve()
      } else {
        ask()
      }
    })
  })
}

const startedMs = performance.now()
setTimeout(() => {
  stopped = true
}, forMs)
await Promise.all(Array.from({ length: connections }, (_, i) => drive(i * 131)))
const tookMs = performance.now() - startedMs
latenciesMs.sort((a, b) => a - b)
const quantile = (q: number) => latenciesMs[Math.floor(q * (latenciesMs.length - 1))] ?? 0
const result: LoadResult = {
  requestsPerSecond: (latenciesMs.length / tookMs) * 1000,
  p50Ms: quantile(0.5),
  p99Ms: quantile(0.99),
  maxMs: quantile(1),
}
console.log(JSON.stringify(result))

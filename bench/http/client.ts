/**
 * The load of `bench/http/run.ts`: `node client.ts PORT CONNECTIONS FOR_MS [route]`. Each connection has one request under
 * way at a time (no pipelining) and is kept open. It prints a `LoadResult` as JSON.
 */
import { connect } from 'node:net'
import { KEYS, type LoadResult } from './load.ts'

const [port = 0, connections = 0, forMs = 0] = process.argv.slice(2).map(Number)
const asksRoute = process.argv[5] === 'route'
const requests = KEYS.map((key) =>
  Buffer.from(
    asksRoute
      ? `GET /v1/route HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Ringman-Key: ${key}\r\n\r\n`
      : `GET /v1/owner?key=${key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`,
  ),
)
const isAnswer = (text: string) =>
  text.startsWith('HTTP/1.1 200 ') &&
  (asksRoute ? text.includes('\r\nX-Ringman-Owner: ') : text.endsWith('}'))
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
}
console.log(JSON.stringify(result))

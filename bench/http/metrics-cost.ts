/**
 * `node metrics-cost.ts PAIRS`: what metrics cost a look-up. One process serves ringman twice, with metrics and without,
 * and asks both over loopback, in turns of some milliseconds each. Whatever else the machine does hits the two of a pair
 * alike; the median over many pairs is left. The metrics are scraped meanwhile, ten times as often as Prometheus does.
 *
 * The asking costs as much here as there, so that the difference is the metrics' own. It prints a `MetricsCost` as JSON.
 */
import { connect } from 'node:net'
import { KEYS, type MetricsCost } from './load.ts'
import { startRingman } from './metered-ringman.ts'

const CONNECTIONS = 16
/** Requests of one turn. */
const TURN = 200

const pairs = Number(process.argv[2])
const requests = KEYS.map((key) =>
  Buffer.from(`GET /v1/owner?key=${key} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`),
)

/** Connections to a server, each with one request under way at a time. */
async function openLoad(port: number): Promise<() => Promise<number>> {
  let left = 0
  let at = 0
  let finish = () => {}
  const ask = (write: (bytes: Buffer) => void) => {
    left--
    write(requests[at++ % requests.length] as Buffer)
  }
  const sockets = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      await new Promise((resolve, reject) => {
        socket.on('connect', resolve)
        socket.on('error', reject)
      })
      return socket
    }),
  )
  let waiting = 0
  for (const socket of sockets) {
    const write = (bytes: Buffer) => socket.write(bytes)
    // An answer is far smaller than a packet of the loopback, and comes alone.
    socket.on('data', (bytes) => {
      if (bytes[9] !== 0x32) throw new Error(`not an answer: ${bytes.toString('latin1')}`)
      if (left > 0) ask(write)
      else if (--waiting === 0) finish()
    })
  }
  /** One turn; resolves with the CPU time that a request took, in microseconds, both ends of it. */
  return async () => {
    left = TURN
    waiting = CONNECTIONS
    const before = process.cpuUsage()
    const done = new Promise<void>((resolve) => {
      finish = resolve
    })
    for (const socket of sockets) ask((bytes) => socket.write(bytes))
    await done
    const { user, system } = process.cpuUsage(before)
    return (user + system) / TURN
  }
}

const ringman = await startRingman()
const on = await openLoad(await ringman.open(true))
const off = await openLoad(await ringman.open(false))
for (let i = 0; i < 20; i++) {
  await on()
  await off()
}
const differences: number[] = []
const offMicros: number[] = []
for (let pair = 0; pair < pairs; pair++) {
  let [onTook, offTook] = [0, 0]
  if (pair % 2 === 0) onTook = await on()
  offTook = await off()
  if (pair % 2 === 1) onTook = await on()
  differences.push(onTook - offTook)
  offMicros.push(offTook)
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.round(q * (sorted.length - 1))] ?? NaN
}

const median = quantile(differences, 0.5)
// Of the median of many values, by the spread of the values.
const spread = (quantile(differences, 0.75) - quantile(differences, 0.25)) / 1.35
const cost: MetricsCost = {
  addedMicros: median,
  errorMicros: (2 * 1.25 * spread) / Math.sqrt(pairs),
  bothEndsMicros: quantile(offMicros, 0.5),
}
console.log(JSON.stringify(cost))
process.exit()

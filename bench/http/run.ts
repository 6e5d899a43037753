/**
 * `npm run bench:http [-- --rounds N --ms M --connections C --pairs P]`: `GET /v1/owner` and `/v1/route` of ringman
 * beside a bare `node:http` server that does the first look-up and nothing else, over loopback, with keep-alive and without pipelining.
 * Then what the metrics are of that, see `metrics-cost.ts`.
 *
 * Server and load are processes of their own. The servers take turns, so that what else the machine does hits both
 * alike; medians over the rounds are shown. CPU time per request is the figure that other load disturbs least.
 */
import { execFile, fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import {
  KEYS,
  NODE_COUNT,
  SERVERS,
  type LoadResult,
  type MetricsCost,
  type ServerName,
  type ServerReady,
  type ServerUsage,
} from './load.ts'

const run = promisify(execFile)
const here = import.meta.dirname

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    ms: { type: 'string', default: '3000' },
    connections: { type: 'string', default: '64' },
    pairs: { type: 'string', default: '400' },
  },
})
const rounds = Number(values.rounds)
const forMs = Number(values.ms)
const connections = Number(values.connections)

interface Sample extends LoadResult {
  readonly cpuMicrosPerRequest: number
  readonly residentMiB: number
}

async function usageOf(server: ChildProcess): Promise<ServerUsage> {
  server.send('usage')
  return ((await once(server, 'message')) as [ServerUsage])[0]
}

async function load(name: ServerName, port: number, ms: number): Promise<LoadResult> {
  const { stdout } = await run(process.execPath, [
    join(here, 'client.ts'),
    String(port),
    String(connections),
    String(ms),
    ...(name === 'route' ? ['route'] : []),
  ])
  return JSON.parse(stdout) as LoadResult
}

/** One round with one server: a warm-up, then the measurement. */
async function measure(name: ServerName): Promise<Sample> {
  const server = fork(join(here, 'server.ts'), [name])
  try {
    const [{ port }] = (await once(server, 'message')) as [ServerReady]
    await load(name, port, Math.min(1000, forMs))
    const before = await usageOf(server)
    const result = await load(name, port, forMs)
    const after = await usageOf(server)
    return {
      ...result,
      cpuMicrosPerRequest: (after.cpuMicros - before.cpuMicros) / (after.requests - before.requests),
      residentMiB: after.residentBytes / 2 ** 20,
    }
  } finally {
    server.send('stop')
    await once(server, 'exit')
  }
}

/** The same question to both servers: the comparison is worth nothing if they do not agree. */
async function checkAgreement(): Promise<void> {
  const answers = await Promise.all(
    SERVERS.map(async (name) => {
      const server = fork(join(here, 'server.ts'), [name])
      const [{ port }] = (await once(server, 'message')) as [ServerReady]
      const owners = await Promise.all(
        KEYS.slice(0, 100).map(async (key) => {
          const answer = await fetch(`http://127.0.0.1:${port}/v1/owner?key=${key}`)
          return ((await answer.json()) as { owner: { ringKey: string } }).owner.ringKey
        }),
      )
      server.send('stop')
      return owners.join(' ')
    }),
  )
  if (new Set(answers).size !== 1) throw new Error('the servers do not agree on the owners')
}

function median(samples: readonly Sample[], field: keyof Sample): number {
  const sorted = samples.map((sample) => sample[field]).sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? 0
}

await checkAgreement()
const samples: Record<ServerName, Sample[]> = { ringman: [], route: [], bare: [] }
for (let round = 0; round < rounds; round++) {
  for (const name of SERVERS) samples[name].push(await measure(name))
}

console.log(`GET /v1/owner, ${NODE_COUNT} nodes, ${connections} connections, ${rounds} rounds of ${forMs} ms`)
console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}\n`)
const cells = (row: readonly string[]) =>
  row.map((cell, i) => (i === 0 ? cell.padEnd(20) : cell.padStart(14)))
const TITLES = { ringman: 'ringman', route: 'ringman /v1/route', bare: 'bare node:http' } as const
console.log(cells(['', 'requests/s', 'p50 ms', 'p99 ms', 'CPU us/req', 'RSS MiB']).join(''))
for (const name of SERVERS) {
  const of = (field: keyof Sample, digits: number) => median(samples[name], field).toFixed(digits)
  const row = [
    TITLES[name],
    of('requestsPerSecond', 0),
    of('p50Ms', 2),
    of('p99Ms', 2),
    of('cpuMicrosPerRequest', 1),
    of('residentMiB', 0),
  ]
  console.log(cells(row).join(''))
}
const compare = (one: ServerName, other: ServerName) => {
  const ratio = (field: keyof Sample) =>
    (median(samples[one], field) / median(samples[other], field)).toFixed(2)
  console.log(`\n${TITLES[one]} / ${TITLES[other]}: ${ratio('requestsPerSecond')} of the requests/s,`)
  console.log(`  ${ratio('cpuMicrosPerRequest')} of the CPU time per request`)
}
compare('ringman', 'bare')
compare('route', 'ringman')

const { stdout } = await run(process.execPath, [join(here, 'metrics-cost.ts'), values.pairs])
const { addedMicros, errorMicros } = JSON.parse(stdout) as MetricsCost
const micros = median(samples.ringman, 'cpuMicrosPerRequest')
console.log(
  `\nmetrics on / off: ${(micros / (micros - addedMicros)).toFixed(3)} of the CPU time per request: ` +
    `${addedMicros.toFixed(2)} us more, give or take ${errorMicros.toFixed(2)}`,
)

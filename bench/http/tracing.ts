/**
 * `node bench/http/tracing.ts [--rounds N --ms M --connections C]`: what traces cost a look-up. Three processes of
 * `ringman serve` take turns under the load of `client.ts`: without traces, with traces of which none is kept, and with
 * all kept and sent to a receiver in this process, which reads them and answers. Medians over the rounds are shown.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, promisify } from 'node:util'
import { HTTP_PORTS } from '../../test/support/child-process.ts'
import { NODE_COUNT, type LoadResult } from './load.ts'

const run = promisify(execFile)
const here = import.meta.dirname

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    ms: { type: 'string', default: '3000' },
    connections: { type: 'string', default: '64' },
  },
})
const [rounds, forMs, connections] = [values.rounds, values.ms, values.connections].map(Number) as [
  number,
  number,
  number,
]

/** Clock ticks in a second, as `/proc` counts CPU time. */
const TICKS = Number((await run('getconf', ['CLK_TCK'])).stdout)

const received = { bytes: 0, requests: 0 }
const receiver = createServer((request, response) => {
  received.requests++
  request.on('data', (chunk: Buffer) => {
    received.bytes += chunk.length
  })
  request.on('end', () => response.writeHead(200, { 'Content-Type': 'application/x-protobuf' }).end())
})
await once(receiver.listen(0, '127.0.0.1'), 'listening')
const endpoint = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`

const CASES = {
  off: {},
  'on, none kept': { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER: 'parentbased_always_off' },
  'on, 1 % kept': {
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.01',
  },
  'on, all kept': { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint },
} as const satisfies Record<string, Record<string, string>>
type CaseName = keyof typeof CASES

interface Sample extends LoadResult {
  readonly cpuMicrosPerRequest: number
}

async function load(port: string, ms: number): Promise<LoadResult> {
  const { stdout } = await run(process.execPath, [
    join(here, 'client.ts'),
    port,
    String(connections),
    String(ms),
  ])
  return JSON.parse(stdout) as LoadResult
}

function cpuMicrosOf(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid ?? 0}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return ((Number(fields[11]) + Number(fields[12])) / TICKS) * 1e6
}

async function measure(name: CaseName): Promise<Sample> {
  const members = Array.from({ length: NODE_COUNT }, (_, i) => `10.0.0.${i + 1}:8000`).join(',')
  const listen = [...HTTP_PORTS, '--drain', '0']
  const source = ['--source', 'static', '--static-members', members]
  const server = spawn(process.execPath, [join(here, '../../src/cli.ts'), 'serve', ...listen, ...source], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] ?? '', ...CASES[name] },
  })
  try {
    let url = ''
    for await (const line of createInterface({ input: server.stdout })) {
      const { event, http } = JSON.parse(line) as { event: string; http?: { url: string } }
      if (event === 'ready') {
        url = http?.url ?? ''
        break
      }
    }
    const { port } = new URL(url)
    await load(port, Math.min(2000, forMs))
    const before = cpuMicrosOf(server.pid)
    const beganMs = performance.now()
    const result = await load(port, forMs)
    const tookS = (performance.now() - beganMs) / 1000
    const requests = result.requestsPerSecond * Math.min(tookS, forMs / 1000)
    return { ...result, cpuMicrosPerRequest: (cpuMicrosOf(server.pid) - before) / requests }
  } finally {
    server.kill('SIGKILL')
    await once(server, 'exit')
  }
}

const names = Object.keys(CASES) as CaseName[]
const samples = new Map<CaseName, Sample[]>(names.map((name) => [name, []]))
for (let round = 0; round < rounds; round++) {
  for (const name of names) samples.get(name)?.push(await measure(name))
}
receiver.close()
receiver.closeAllConnections()

function median(name: CaseName, field: keyof Sample): number {
  const sorted = (samples.get(name) ?? []).map((sample) => sample[field]).sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? 0
}

console.log(`GET /v1/owner, ${NODE_COUNT} nodes, ${connections} connections, ${rounds} rounds of ${forMs} ms`)
console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}`)
console.log(`The receiver took ${received.requests} exports, ${(received.bytes / 2 ** 20).toFixed(1)} MiB\n`)
const cells = (row: readonly string[]) =>
  row.map((cell, i) => (i === 0 ? cell.padEnd(16) : cell.padStart(14)))
console.log(cells(['', 'requests/s', 'p50 ms', 'p99 ms', 'CPU us/req', 'CPU ratio']).join(''))
for (const name of names) {
  const ratio = median(name, 'cpuMicrosPerRequest') / median('off', 'cpuMicrosPerRequest')
  console.log(
    cells([
      name,
      median(name, 'requestsPerSecond').toFixed(0),
      median(name, 'p50Ms').toFixed(2),
      median(name, 'p99Ms').toFixed(2),
      median(name, 'cpuMicrosPerRequest').toFixed(1),
      ratio.toFixed(2),
    ]).join(''),
  )
}

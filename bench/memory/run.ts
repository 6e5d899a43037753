/**
 * `npm run bench:memory [-- --short]`: what a member takes, as the image starts it (`dist`, no compile cache, the default source):
 * memory at idle, while as many look-ups as it can answer come, and while batches do; time and processor time until it is
 * ready. Beside it a bare `node:http` server that answers constants.
 */
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { imageEnv } from '../../lab/image-env.ts'
import { GOSSIP_PORT, HTTP_PORTS, TestProcess } from '../../test/support/child-process.ts'
import { quantile, report, type Figure } from '../table.ts'
import { after, batches, load, LOOK_UPS } from './load.ts'

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
const loadMs = values.short ? 8000 : 15_000
const batchMs = values.short ? 20_000 : 60_000
const KEYS_EACH = 1000

const SERVE = [
  'dist/cli.js',
  'serve',
  '--name',
  'one',
  '--service-port',
  '8000',
  ...GOSSIP_PORT,
  '--drain',
  '0',
  ...HTTP_PORTS,
]
/** CommonJS: an `import` of `node:http` takes 13 MB more. */
const BARE = `
const answer = JSON.stringify({ owner: { name: 'one', address: '127.0.0.1', port: 8000 }, digest: '78f9b76ecd2a78b3', epoch: 1 })
const owners = JSON.stringify({ owners: Array.from({ length: ${KEYS_EACH} }, () => [0]) })
const send = (response, body) => response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body)
const server = require('node:http').createServer((request, response) => {
  if (request.method === 'GET') return send(response, answer)
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const { keys } = JSON.parse(Buffer.concat(chunks))
    send(response, keys.length === ${KEYS_EACH} ? owners : '{}')
  })
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ event: 'ready', http: { port: server.address().port } })))
`
const SERVERS = { ours: SERVE, bare: ['--eval', BARE] } as const
type Name = keyof typeof SERVERS

const env = imageEnv()

function start(name: Name): TestProcess {
  return new TestProcess(SERVERS[name], name === 'ours' ? { env } : {})
}

async function portOf(server: TestProcess): Promise<number> {
  return (await server.ready()).http.port
}

const MB = 1e6
async function residentBytes({ pid }: TestProcess): Promise<number> {
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1])
}

/** Processor time so far, in milliseconds. */
async function cpuMs({ pid }: TestProcess): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return 10 * (Number(fields[11]) + Number(fields[12]))
}

/** Memory of a process, taken four times a second while something is done. */
async function watched<T>(server: TestProcess, work: Promise<T>): Promise<{ samples: number[]; result: T }> {
  const samples: number[] = []
  const timer = setInterval(() => {
    void residentBytes(server).then((bytes) => samples.push(bytes))
  }, 250)
  try {
    return { samples, result: await work }
  } finally {
    clearInterval(timer)
  }
}

interface Measured {
  readonly readyMs: number
  readonly readyCpuMs: number
  readonly idleBytes: number
  readonly loadBytes: number
  readonly rate: number
  /** Memory under batches: the most in the second sixth of the time, and in the last one. */
  readonly batchEarlyBytes: number
  readonly batchLateBytes: number
  /** Keys for each second of the server's processor time. */
  readonly keyRate: number
}

async function measure(name: Name): Promise<Measured> {
  const ready: { readonly wall: number; readonly cpu: number }[] = []
  for (let round = 0; round < 5; round++) {
    const startedMs = performance.now()
    await using server = start(name)
    await portOf(server)
    ready.push({ wall: performance.now() - startedMs, cpu: await cpuMs(server) })
  }
  const measured = {
    readyMs: Math.min(...ready.map(({ wall }) => wall)),
    readyCpuMs: quantile(
      ready.map(({ cpu }) => cpu),
      0.5,
    ),
  }
  await using server = start(name)
  const port = await portOf(server)
  await new Promise((resolve) => setTimeout(resolve, 5000))
  const idleBytes = await residentBytes(server)
  const looked = await watched(server, load(LOOK_UPS, { port, connections: 64, until: after(loadMs) }))
  await using batched = start(name)
  const batchPort = await portOf(batched)
  const cpuBeforeMs = await cpuMs(batched)
  const { samples, result } = await watched(
    batched,
    load(batches(KEYS_EACH), { port: batchPort, connections: 16, until: after(batchMs) }),
  )
  const sixth = Math.floor(samples.length / 6)
  return {
    ...measured,
    idleBytes,
    loadBytes: Math.max(...looked.samples),
    rate: looked.result.requestsPerSecond,
    batchEarlyBytes: Math.max(...samples.slice(sixth, 2 * sixth)),
    batchLateBytes: Math.max(...samples.slice(-sixth)),
    keyRate: (result.requests * KEYS_EACH * 1000) / ((await cpuMs(batched)) - cpuBeforeMs),
  }
}

const built = spawnSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' })
if (built.status !== 0) throw new Error('the build failed')
const ours = await measure('ours')
const bare = await measure('bare')

function memory(figure: string, field: keyof Measured, goal?: string, most = Infinity): Figure {
  return {
    figure,
    ours: `${(ours[field] / MB).toFixed(0)} MB`,
    peer: `${(bare[field] / MB).toFixed(0)} MB (bare node:http)`,
    ratio: ours[field] / bare[field],
    ...(goal === undefined ? {} : { goal, met: ours[field] < most }),
  }
}
const growth = (of: Measured) => of.batchLateBytes - of.batchEarlyBytes
report('A member as the image starts it', [
  memory('resident at idle', 'idleBytes', 'under 70 MB', 70 * MB),
  memory('resident under look-ups, 64 connections', 'loadBytes', 'under 85 MB', 85 * MB),
  {
    figure: 'look-ups/s meanwhile (the load beside it)',
    ours: ours.rate.toFixed(0),
    peer: `${bare.rate.toFixed(0)} (bare node:http)`,
    ratio: ours.rate / bare.rate,
  },
  memory(`resident under batches of ${KEYS_EACH} keys`, 'batchLateBytes'),
  {
    figure: `more after ${(batchMs / 1000).toFixed(0)} s of them than after a third`,
    ours: `${(growth(ours) / MB).toFixed(1)} MB`,
    peer: `${(growth(bare) / MB).toFixed(1)} MB (bare node:http)`,
    goal: 'flat: under 5 MB',
    met: growth(ours) < 5 * MB,
  },
  {
    figure: 'keys of batches in a second of processor time',
    ours: `${(ours.keyRate / 1e6).toFixed(2)} M`,
    peer: `${(bare.keyRate / 1e6).toFixed(2)} M (bare node:http, no look-up)`,
    ratio: ours.keyRate / bare.keyRate,
    goal: 'at least 3.0 M',
    met: ours.keyRate >= 3e6,
  },
  {
    figure: 'from start to ready, quickest of 5',
    ours: `${ours.readyMs.toFixed(0)} ms`,
    peer: `${bare.readyMs.toFixed(0)} ms (bare node:http)`,
    ratio: ours.readyMs / bare.readyMs,
    goal: 'under 500 ms',
    met: ours.readyMs < 500,
  },
  {
    figure: 'processor time until ready, median of 5',
    ours: `${ours.readyCpuMs.toFixed(0)} ms`,
    peer: `${bare.readyCpuMs.toFixed(0)} ms (bare node:http)`,
    ratio: ours.readyCpuMs / bare.readyCpuMs,
  },
])

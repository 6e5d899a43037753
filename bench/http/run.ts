/**
 * `npm run bench:http [-- --rounds N --ms M --pairs P --threads T | --short]`: single look-ups of `ringman serve`, as users start it,
 * beside Go ringman's parts and a bare `node:http` server, over loopback, with keep-alive, without pipelining, for distinct keys.
 * Then what the metrics are of that, see `metrics-cost.ts`.
 *
 * All servers are on one core and the load on another, where there are two; the servers take turns, so that what else the machine
 * does hits all alike, and medians over the rounds are shown. CPU time per request is the figure that other load disturbs
 * least. A member with several threads has a core for each, and the load as many, where there are enough; else it shows on the one
 * core what threads cost. The load is `wrk` (`apt-get install wrk`) or, where there is none, a client in Node.js, which is slower than the servers.
 */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, promisify } from 'node:util'
import { buildGoProgram } from '../../lab/peers/go-program.ts'
import { MemberProcess } from '../../lab/peers/member-process.ts'
import { HTTP_PORTS } from '../../test/support/child-process.ts'
import { readProcessUse } from '../network/process-meter.ts'
import { printTable, quantile, report, type Figure } from '../table.ts'
import { KEYS, NODE_COUNT, requestFor, type LoadResult, type MetricsCost } from './load.ts'

const run = promisify(execFile)
const here = import.meta.dirname

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    ms: { type: 'string' },
    pairs: { type: 'string' },
    threads: { type: 'string', default: '2' },
    short: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds ?? (values.short ? 1 : 3))
const forMs = Number(values.ms ?? (values.short ? 1000 : 3000))
const pairs = values.pairs ?? (values.short ? '100' : '400')
const CONNECTIONS = values.short ? [16, 256] : [1, 16, 64, 256]
/** Milliseconds between two scrapes of our metrics: ten times as often as Prometheus. */
const SCRAPE_EVERY_MS = 1500
const SERVICE_PORTS = Array.from({ length: NODE_COUNT }, (_, i) => 8001 + i)
const ringKeys = SERVICE_PORTS.map((port) => `127.0.0.1:${port}`).join(',')

const has = (command: string) => spawnSync(command, ['--version']).error === undefined
const pinned = process.platform === 'linux' && availableParallelism() >= 2 && has('taskset')
const threads = Number(values.threads)
/** Whether the threads have a core each, and the load that goes with them. */
const isSpread = pinned && availableParallelism() >= 2 * threads
const CORES = {
  servers: '0',
  load: '1',
  threads: isSpread ? `0-${threads - 1}` : '0',
  'load of threads': isSpread ? `${threads}-${2 * threads - 1}` : '1',
}
type Cores = keyof typeof CORES
/** A command on the core of the servers, or on that of the load. */
const on = (cores: Cores, command: string, args: readonly string[]): [string, string[]] =>
  pinned ? ['taskset', ['-c', CORES[cores], command, ...args]] : [command, [...args]]

/** What is asked, and who answers. */
interface Contender {
  readonly title: string
  readonly port: number
  readonly pid: number
  readonly path: string
  /** Whether it has several threads. */
  readonly isThreaded?: boolean
}

await using stack = new AsyncDisposableStack()

/** Starts a Node program. @returns The first value that `read` finds in its lines. */
async function startNode<T>(
  args: readonly string[],
  read: (line: string) => T | undefined,
  cores: Cores = 'servers',
): Promise<{ readonly pid: number; readonly told: T }> {
  const child: ChildProcess = spawn(...on(cores, process.execPath, args), {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  stack.defer(() => void child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout! })) {
    const told = read(line)
    if (told !== undefined) return { pid: child.pid ?? 0, told }
  }
  throw new Error(`${args[0] ?? ''} ended`)
}

async function startRingman(settings: readonly string[] = [], cores?: Cores) {
  const { pid, told } = await startNode(
    [
      join(here, '../../src/cli.ts'),
      'serve',
      '--drain',
      '0',
      '--source',
      'static',
      '--static-members',
      ringKeys,
      ...HTTP_PORTS,
      ...settings,
    ],
    (line) => {
      const { event, http, admin } = JSON.parse(line) as Record<string, { readonly url: string } | undefined>
      return (event as unknown) === 'ready' && http && admin
        ? { http: http.url, admin: admin.url }
        : undefined
    },
    cores,
  )
  const timer = setInterval(
    () => void fetch(`${told.admin}/metrics`).then((answer) => answer.text()),
    SCRAPE_EVERY_MS,
  )
  stack.defer(() => {
    clearInterval(timer)
  })
  return { pid, port: Number(new URL(told.http).port) }
}

/** A member made of Go ringman's parts, and the others that its ring has; undefined where there is no Go. */
async function startGo() {
  const program = await buildGoProgram('ringman-peer').catch((error: unknown) => {
    console.log(`Without Go ringman: ${(error as Error).message}`)
  })
  if (program === undefined) return undefined
  const [command, args] = on('servers', program, [])
  const members: MemberProcess[] = []
  for (const servicePort of SERVICE_PORTS) {
    const member = await MemberProcess.start({
      command,
      args,
      settings: Object.assign(
        { name: `node-${servicePort}`, servicePort: String(servicePort), httpAddress: '127.0.0.1:0' },
        {
          bindAddress: '127.0.0.1',
          bindPort: 0,
          join: members.slice(0, 1).map(({ gossipAddress }) => gossipAddress),
        },
      ),
    })
    stack.use(member)
    members.push(member)
  }
  const [first] = members as [MemberProcess]
  await first.untilShown(
    members.map(({ name }) => name),
    20_000,
  )
  return { pid: first.pid, port: Number(new URL(first.facts['http'] as string).port) }
}

async function ownersOf({ port, path }: Contender): Promise<string> {
  const owners: string[] = []
  for (const key of KEYS.slice(0, 100)) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}?key=${key}`, {
      headers: { 'X-Ringman-Key': key },
    })
    const body = await answer.text()
    owners.push(
      answer.headers.get('x-ringman-owner')?.split(',')[0] ??
        (JSON.parse(body) as { Node?: string; owner?: { ringKey: string } }).Node ??
        (JSON.parse(body) as { owner: { ringKey: string } }).owner.ringKey,
    )
  }
  return owners.join(' ')
}

const directory = mkdtempSync(join(tmpdir(), 'bench-http-'))
stack.defer(() => {
  rmSync(directory, { recursive: true })
})
const wrk = has('wrk')

async function load(
  { port, path, isThreaded = false }: Contender,
  connections: number,
  ms: number,
): Promise<LoadResult> {
  if (!wrk) {
    const args = [join(here, 'client.ts'), String(port), String(connections), String(ms), path]
    return JSON.parse((await run(...on('load', process.execPath, args))).stdout) as LoadResult
  }
  const requests = join(directory, path.replaceAll('/', '-'))
  writeFileSync(
    requests,
    KEYS.map((key) => `${requestFor(path, key).replaceAll('\r\n', String.raw`\r\n`)}\n`).join(''),
  )
  const seconds = Math.max(1, Math.round(ms / 1000))
  const options = [
    `-t${isThreaded && isSpread ? threads : 1}`,
    `-c${connections}`,
    `-d${seconds}s`,
    '-s',
    join(here, 'wrk.lua'),
    `http://127.0.0.1:${port}`,
  ]
  const { stdout } = await run(
    ...on(isThreaded ? 'load of threads' : 'load', 'wrk', [...options, '--', requests]),
  )
  const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as LoadResult & {
    readonly failed: number
  }
  if (result.failed > 0) throw new Error(`${result.failed} requests failed`)
  return result
}

interface Sample extends LoadResult {
  readonly cpuMicros: number
  readonly residentMiB: number
}

async function measure(contender: Contender, connections: number): Promise<Sample> {
  const before = readProcessUse(contender.pid)
  const result = await load(contender, connections, forMs)
  const after = readProcessUse(contender.pid)
  const requests = (result.requestsPerSecond * forMs) / 1000
  return {
    ...result,
    cpuMicros: ((after.cpuMs - before.cpuMs) * 1000) / requests,
    residentMiB: after.residentBytes / 2 ** 20,
  }
}

const GO = '/hashring/nodes/get'
const [ringman, threaded, slow, go, bare] = [
  await startRingman(),
  await startRingman(['--http-threads', values.threads], 'threads'),
  await startRingman(['--http-fast-path', 'false']),
  await startGo(),
  await startNode([join(here, 'bare.ts'), ringKeys], Number),
]
const oneThread: Contender = { title: 'ringman /v1/owner', path: '/v1/owner', ...ringman }
const manyThreads: Contender = {
  title: `with ${threads} threads`,
  path: '/v1/owner',
  isThreaded: true,
  ...threaded,
}
const contenders: Contender[] = [
  ...(go === undefined ? [] : [{ title: `Go ringman ${GO}`, path: GO, ...go }]),
  { title: `ringman ${GO}`, path: GO, ...ringman },
  oneThread,
  manyThreads,
  { title: 'without the fast path', path: '/v1/owner', ...slow },
  { title: 'ringman /v1/route', path: '/v1/route', ...ringman },
  { title: 'bare node:http', path: '/v1/owner', pid: bare.pid, port: bare.told },
]
// The comparison is worth nothing if they do not agree.
const owners = new Set(await Promise.all(contenders.map(ownersOf)))
if (owners.size !== 1) throw new Error('the servers do not agree on the owners')

for (const contender of contenders) await load(contender, 16, 1000)
const samples = new Map<string, Sample[]>()
const samplesOf = ({ title }: Contender, connections: number) => samples.get(`${title} ${connections}`) ?? []
for (let round = 0; round < rounds; round++) {
  for (const connections of CONNECTIONS) {
    for (const contender of contenders) {
      const taken = samplesOf(contender, connections)
      samples.set(`${contender.title} ${connections}`, [...taken, await measure(contender, connections)])
    }
  }
}
const median = (contender: Contender, connections: number, field: keyof Sample) =>
  quantile(
    samplesOf(contender, connections).map((sample) => sample[field]),
    0.5,
  )

console.log(
  `${NODE_COUNT} nodes, ${rounds} rounds of ${forMs} ms, the load by ${wrk ? 'wrk' : 'Node.js'}${pinned ? ', a core each' : ''}`,
)
console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}`)
for (const connections of CONNECTIONS) {
  const FIELDS = { requestsPerSecond: 0, p50Ms: 2, p99Ms: 2, maxMs: 1, cpuMicros: 1, residentMiB: 0 } as const
  printTable(`${connections} connections`, [
    ['', 'requests/s', 'p50 ms', 'p99 ms', 'max ms', 'CPU us/req', 'RSS MiB'],
    ...contenders.map((contender) => [
      contender.title,
      ...Object.entries(FIELDS).map(([field, digits]) =>
        median(contender, connections, field as keyof Sample).toFixed(digits),
      ),
    ]),
  ])
}

const shown = (contender: Contender, connections: number) =>
  `${(median(contender, connections, 'requestsPerSecond') / 1000).toFixed(1)} k/s at ${median(contender, connections, 'cpuMicros').toFixed(1)} us`

const figures: Figure[] = []
const peer = go && contenders[0]
for (const contender of contenders.filter(
  ({ port, path }) => port === ringman.port && path !== '/v1/route',
)) {
  for (const connections of peer === undefined ? [] : CONNECTIONS) {
    const ratio =
      median(contender, connections, 'requestsPerSecond') /
      median(peer as Contender, connections, 'requestsPerSecond')
    const p99Ratio = median(contender, connections, 'p99Ms') / median(peer as Contender, connections, 'p99Ms')
    figures.push({
      figure: `${contender.path}, ${connections} connections`,
      ours: shown(contender, connections),
      peer: `${shown(peer as Contender, connections)} (Go)`,
      ratio,
      ...(connections === 1
        ? {}
        : { goal: 'at least 1.5, p99 no worse', met: ratio >= 1.5 && p99Ratio <= 1 }),
    })
  }
}
for (const connections of CONNECTIONS.filter((count) => count >= 16)) {
  const ratio =
    median(manyThreads, connections, 'requestsPerSecond') /
    median(oneThread, connections, 'requestsPerSecond')
  figures.push({
    figure: `${threads} threads on ${isSpread ? `${threads} cores` : 'one core'}, ${connections} connections`,
    ours: shown(manyThreads, connections),
    peer: `${shown(oneThread, connections)} (one thread)`,
    ratio,
    ...(isSpread ? { goal: `at least ${(0.8 * threads).toFixed(1)}`, met: ratio >= 0.8 * threads } : {}),
  })
}
report('Single look-ups beside Go ringman, on one core, and in several threads', figures)

const { stdout } = await run(process.execPath, [join(here, 'metrics-cost.ts'), pairs])
const { addedMicros, errorMicros } = JSON.parse(stdout) as MetricsCost
console.log(
  `\nmetrics add ${addedMicros.toFixed(2)} us of CPU time to a request, give or take ${errorMicros.toFixed(2)}`,
)

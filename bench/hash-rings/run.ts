/**
 * What many rings of HashRings cost one process: a thousand of 20 endpoints and ten of 1,000, beside the slices of
 * Services that no ring names, from a stand-in API server in a process of its own. Prints the time to the first answer,
 * memory, how long a change of one slice takes until it is on the ring, and the longest turn of the event loop meanwhile,
 * in processor time, so that what else the machine does does not count. Where this user may make control groups, it has the
 * memory that the chart gives a pod with rings, on which the sizes of Node.js's heap depend. What slices without a ring cost
 * is measured apart, by `foreign.ts`, and not with `--short`.
 *
 * node bench/hash-rings/run.ts [CHANGES, default 300] [--short]
 * node bench/hash-rings/run.ts --real [CHANGES, default 200]   at a real kube-apiserver, a smaller one: `real.ts`
 */
import { spawnSync } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { meterLoop } from '../../lab/loop-meter.ts'
import { StatusWriter } from '../../src/rings/status-writer.ts'
import type { RingService } from '../../src/service/ring-service.ts'
import { MemoryLimit } from '../../test/adversary/memory-limit.ts'
import { report } from '../table.ts'
import type { ForeignCost } from './foreign.ts'
import { nextChange, NO_PEERS, ringsOf, startStandIn, SURROUNDINGS, type Scale } from './stand-in.ts'

/** What the chart gives a pod with rings. */
const MEMORY_LIMIT_BYTES = 512 * 2 ** 20

/** Slices of Services that no ring names. */
const FOREIGN = 10_000

if (process.argv[2] === '--real') {
  await import('./real.ts')
  process.exit()
}

const LIMITED = 'RINGMAN_BENCH_LIMITED'
if (process.env[LIMITED] === undefined) {
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  let limit: MemoryLimit | undefined
  try {
    limit = new MemoryLimit('hash-rings', MEMORY_LIMIT_BYTES)
  } catch {
    console.log('Without a memory limit: this user cannot make control groups.')
  }
  const [program = '', ...args] = [...(limit?.prefix ?? []), ...command]
  const env = { ...process.env, [LIMITED]: String(limit !== undefined) }
  const { status } = spawnSync(program, args, { stdio: 'inherit', env })
  limit?.[Symbol.dispose]()
  process.exit(status ?? 1)
}

const changes = Number(process.argv.slice(2).find((argument) => /^\d+$/.test(argument)) ?? 300)

/** What slices of Services without a ring cost, by how many there are. */
function reportForeign(): void {
  const amounts = [0, FOREIGN, 2 * FOREIGN]
  const costs = amounts.map((slices): ForeignCost => {
    const script = fileURLToPath(new URL('foreign.ts', import.meta.url))
    const { stdout, status } = spawnSync(process.execPath, ['--expose-gc', script, String(slices)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (status !== 0) throw new Error(`${script} ended with ${status}`)
    return JSON.parse(stdout.toString()) as ForeignCost
  })
  const ofEach = (figure: (cost: ForeignCost) => number, digits: number) =>
    costs.map((cost) => figure(cost).toFixed(digits)).join(' / ')
  const [, once, twice] = costs as [ForeignCost, ForeignCost, ForeignCost]
  report(`One ring, and beside it ${amounts.join(' / ')} slices of Services without one`, [
    {
      figure: 'heap beside slices without a ring',
      ours: `${ofEach(({ heapMb }) => heapMb, 1)} MB`,
      goal: `at most 2 MB for the last ${FOREIGN}`,
      met: twice.heapMb - once.heapMb <= 2,
    },
    { figure: 'resident', ours: `${ofEach(({ residentMb }) => residentMb, 0)} MB` },
    {
      figure: 'processor time of an event of one of them',
      ours: `${ofEach(({ eventMs }) => eventMs, 3)} ms`,
    },
  ])
}

// Before the rest, which takes the memory that these have now.
if (!process.argv.includes('--short')) reportForeign()

const scale: Scale = { small: 1000, large: 10, foreign: FOREIGN }
const server = await startStandIn(scale)

const held = meterLoop()

const { client } = server
const controller = ringsOf(client)
const writer = new StatusWriter({
  ...SURROUNDINGS,
  controller,
  own: { state: 'running', unsure: false, owns: () => true } as unknown as RingService,
  peers: NO_PEERS,
  client,
  installation: 'bench',
  podName: 'bench',
})

const startedMs = performance.now()
held()
const startCpu = process.cpuUsage()
controller.start()
while (!controller.readiness.ok) await wait(10)
const readyMs = performance.now() - startedMs
const startPauseMs = held().cpuMs
const startUsed = process.cpuUsage(startCpu)
writer.start()
await wait(5000)
globalThis.gc?.()
const { rss, heapUsed, arrayBuffers } = process.memoryUsage()

const before = server.statuses()
held()
const times: number[] = []
const cpu = process.cpuUsage()
for (let i = 1; i <= changes; i++) {
  const name = i % 10 === 0 ? `large-${(i / 10) % scale.large}` : `small-${i % scale.small}`
  const changed = nextChange(controller, name)
  const sentMs = performance.now()
  server.change(name, i)
  times.push((await changed) - sentMs)
}
const used = process.cpuUsage(cpu)
const pauseMs = held().cpuMs
await wait(3000)
const sorted = times.toSorted((a, b) => a - b)
const at = (fraction: number) => (sorted[Math.round((sorted.length - 1) * fraction)] ?? 0).toFixed(1)
const residentMb = rss / 2 ** 20
const writes = (server.statuses() - before) / changes
console.log(
  `${scale.small} rings of 20 endpoints, ${scale.large} of 1,000; ${scale.foreign} Services without a ring; heap ${(heapUsed / 2 ** 20).toFixed(0)} MB, points ${(arrayBuffers / 2 ** 20).toFixed(0)} MB`,
)
report('Rings of HashRings', [
  {
    figure: 'all rings known',
    ours: `${(readyMs / 1000).toFixed(1)} s, ${((startUsed.user + startUsed.system) / 1e6).toFixed(1)} s of processor time, longest pause ${startPauseMs.toFixed(0)} ms`,
  },
  {
    figure: 'resident memory with all rings',
    ours: `${residentMb.toFixed(0)} MB`,
    goal: 'at most 350 MB',
    met: residentMb <= 350,
  },
  {
    figure: 'a change is on its ring, 99th percentile',
    ours: `${at(0.99)} ms (median ${at(0.5)})`,
    goal: 'at most 100 ms',
    met: Number(at(0.99)) <= 100,
  },
  {
    figure: 'longest pause under changes of HashRings',
    ours: `${pauseMs.toFixed(0)} ms`,
    goal: 'at most 20 ms',
    met: pauseMs <= 20,
  },
  {
    figure: 'processor time of a change, its status among it',
    ours: `${((used.user + used.system) / 1000 / changes).toFixed(1)} ms`,
  },
  {
    figure: 'status writes of a change',
    ours: writes.toFixed(2),
    goal: 'at most 2',
    met: writes <= 2,
  },
])
await writer.stop()
await controller.stop()
server.stop()

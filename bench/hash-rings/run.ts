/**
 * What many rings of HashRings cost one process: a thousand of 20 endpoints and ten of 1,000, beside the slices of
 * Services that no ring names, from a stand-in API server in a process of its own. Prints the time to the first answer,
 * memory, how long a change of one slice takes until it is on the ring, and the longest turn of the event loop meanwhile,
 * in processor time, so that what else the machine does does not count. Where this user may make control groups, it has the
 * memory that the chart gives a pod with rings, on which the sizes of Node.js's heap depend.
 *
 * node bench/hash-rings/run.ts [CHANGES, default 300]
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { meterLoop } from '../../lab/loop-meter.ts'
import { report } from '../table.ts'
import { fileURLToPath } from 'node:url'
import { systemClock, systemRandom } from '../../src/clock.ts'
import { ApiClient } from '../../src/kubernetes/api-client.ts'
import { HttpsTransport } from '../../src/kubernetes/https-transport.ts'
import { InClusterAccess } from '../../src/kubernetes/in-cluster-access.ts'
import { silentLogger } from '../../src/logger.ts'
import { HashRingController } from '../../src/rings/hash-ring-controller.ts'
import { NO_RINGS } from '../../src/rings/ring-peers.ts'
import { StatusWriter } from '../../src/rings/status-writer.ts'
import type { RingService } from '../../src/service/ring-service.ts'
import { MemoryLimit } from '../../test/adversary/memory-limit.ts'

/** How many rings there are, and Services without one. */
export interface Scale {
  readonly small: number
  readonly large: number
  readonly foreign: number
}

/** What the chart gives a pod with rings. */
const MEMORY_LIMIT_BYTES = 512 * 2 ** 20

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

const changes = Number(process.argv[2] ?? 300)

// Outside of the limit, where there is one.
const leave =
  'for f in /sys/fs/cgroup/memory/cgroup.procs /sys/fs/cgroup/cgroup.procs; do echo $$ > $f; done 2>/dev/null; exec "$@"'
const server = spawn(
  'sh',
  ['-c', leave, 'sh', process.execPath, fileURLToPath(new URL('api-server.ts', import.meta.url))],
  { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
)
let statuses = 0
server.on('message', (message: { readonly statuses?: number }) => {
  statuses = message.statuses ?? statuses
})
const scale: Scale = { small: 1000, large: 10, foreign: 10_000 }
server.send(scale)
let access: InClusterAccess | undefined
while (access === undefined) {
  const [{ env, folder }] = (await once(server, 'message')) as [
    { readonly env?: Record<string, string>; readonly folder?: string },
  ]
  if (env !== undefined && folder !== undefined) {
    access = new InClusterAccess({ env, folder, now: () => systemClock.now() })
  }
}

const held = meterLoop()

const surroundings = { clock: systemClock, random: systemRandom, logger: silentLogger }
const client = new ApiClient(new HttpsTransport(access, 'bench'), systemClock)
const peers = {
  ask: () => Promise.resolve(NO_RINGS),
  withNodes: () => Promise.resolve(NO_RINGS),
  fingerprints: () => Promise.resolve(new Map<string, ReadonlyMap<string, string>>()),
}
const controller = new HashRingController({
  ...surroundings,
  client,
  peers,
  namespaces: [],
  mayPublish: false,
})
const writer = new StatusWriter({
  ...surroundings,
  controller,
  own: { state: 'running', unsure: false, owns: () => true } as unknown as RingService,
  peers,
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

const before = statuses
held()
const times: number[] = []
const cpu = process.cpuUsage()
for (let i = 1; i <= changes; i++) {
  const name = i % 10 === 0 ? `large-${(i / 10) % scale.large}` : `small-${i % scale.small}`
  const { manager } = controller.get(`bench/${name}`).service
  const changed = new Promise<number>((resolve) => {
    const end = manager.subscribe(() => {
      end()
      resolve(performance.now())
    })
  })
  const sentMs = performance.now()
  server.send({ change: name, generation: i })
  times.push((await changed) - sentMs)
}
const used = process.cpuUsage(cpu)
const pauseMs = held().cpuMs
await wait(3000)
const sorted = times.toSorted((a, b) => a - b)
const at = (fraction: number) => (sorted[Math.round((sorted.length - 1) * fraction)] ?? 0).toFixed(1)
const residentMb = rss / 2 ** 20
const writes = (statuses - before) / changes
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
server.kill()

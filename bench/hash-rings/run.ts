/**
 * What many rings of HashRings cost one process: a thousand of 20 endpoints and ten of 1,000, beside the slices of
 * Services that no ring names, from a stand-in API server in a process of its own. Prints the time to the first answer,
 * memory, how long a change of one slice takes until it is on the ring, and the longest turn of the event loop meanwhile,
 * in processor time.
 *
 * node bench/hash-rings/run.ts [CHANGES, default 300]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import { systemClock, systemRandom } from '../../src/clock.ts'
import { ApiClient } from '../../src/kubernetes/api-client.ts'
import { createTransport } from '../../src/kubernetes/https-transport.ts'
import { silentLogger } from '../../src/logger.ts'
import { HashRingController } from '../../src/rings/hash-ring-controller.ts'
import { NO_RINGS } from '../../src/rings/ring-peers.ts'
import { StatusWriter } from '../../src/rings/status-writer.ts'
import type { RingService } from '../../src/service/ring-service.ts'

/** How many rings there are, and Services without one. */
export interface Scale {
  readonly small: number
  readonly large: number
  readonly foreign: number
}

const changes = Number(process.argv[2] ?? 300)

const server = fork(new URL('api-server.ts', import.meta.url))
let statuses = 0
server.on('message', (message: { readonly statuses?: number }) => {
  statuses = message.statuses ?? statuses
})
const scale: Scale = { small: 1000, large: 10, foreign: 10_000 }
server.send(scale)
let kubeconfig: string | undefined
while (kubeconfig === undefined) {
  const [message] = (await once(server, 'message')) as [{ readonly kubeconfig?: string }]
  ;({ kubeconfig } = message)
}

const surroundings = { clock: systemClock, random: systemRandom, logger: silentLogger }
const transport = createTransport({ kubeconfig, env: {}, now: () => systemClock.now(), userAgent: 'bench' })
const client = new ApiClient(transport, systemClock)
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

const delay = monitorEventLoopDelay({ resolution: 1 })
const startedMs = performance.now()
delay.enable()
controller.start()
while (!controller.readiness.ok) await wait(10)
const readyMs = performance.now() - startedMs
const startPauseMs = delay.max / 1e6
writer.start()
await wait(5000)
globalThis.gc?.()
const { rss, heapUsed } = process.memoryUsage()

const before = statuses
delay.reset()
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
await wait(3000)
const sorted = times.toSorted((a, b) => a - b)
const at = (fraction: number) => (sorted[Math.round((sorted.length - 1) * fraction)] ?? 0).toFixed(1)
const rows = {
  rings: `${scale.small} of 20 endpoints, ${scale.large} of 1,000; ${scale.foreign} Services without a ring`,
  'all known after': `${(readyMs / 1000).toFixed(1)} s, longest pause ${startPauseMs.toFixed(0)} ms`,
  'resident memory': `${(rss / 2 ** 20).toFixed(0)} MB (goal 350), heap ${(heapUsed / 2 ** 20).toFixed(0)} MB`,
  'a change is on the ring after': `${at(0.5)} ms, 99th percentile ${at(0.99)} ms (goal 100)`,
  'longest pause under changes': `${(delay.max / 1e6).toFixed(0)} ms (goal 20), 99th percentile ${(delay.percentile(99) / 1e6).toFixed(1)} ms`,
  'processor time of a change': `${((used.user + used.system) / 1000 / changes).toFixed(1)} ms, the status among it`,
  'status writes of a change': `${((statuses - before) / changes).toFixed(2)} (goal 2)`,
}
for (const [name, value] of Object.entries(rows)) console.log(`${name.padEnd(32)}${value}`)
await writer.stop()
await controller.stop()
server.kill()

/** A server process of `bench/http/run.ts`: `node server.ts ringman|unmetered|bare`. It takes a free loopback port. */
import { createServer } from 'node:http'
import { holdingClock, systemClock } from '../../src/clock.ts'
import { createApp } from '../../src/http/app.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { openServer } from '../../src/http/server.ts'
import { silentLogger } from '../../src/logger.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { StaticSource } from '../../src/membership/static/static-source.ts'
import { RingService } from '../../src/ring-service.ts'
import { EventLoopDelay } from '../../src/telemetry/event-loop-delay.ts'
import { ProcessCollector } from '../../src/telemetry/process-collector.ts'
import { RingMetrics } from '../../src/telemetry/ring-metrics.ts'
import { NODE_COUNT, type ServerReady, type ServerRequest, type ServerUsage } from './load.ts'

const members = Array.from({ length: NODE_COUNT }, (_, i) => ({ host: `10.0.0.${i + 1}`, port: 8000 }))
const manager = new HashRingManager({ clock: holdingClock })
const ring = new RingService({
  source: new StaticSource(members, systemClock),
  manager,
  logger: silentLogger,
  clock: systemClock,
  ringKeyMode: 'address',
})
const metered = process.argv[2] === 'ringman'
const eventLoopDelay = new EventLoopDelay()
const metrics = new RingMetrics({
  ring,
  clock: systemClock,
  logger: silentLogger,
  processCollectors: [eventLoopDelay, new ProcessCollector()],
})
await ring.start()
if (metered) {
  eventLoopDelay.start()
  // Ten times as often as Prometheus scrapes.
  setInterval(() => void metrics.write('prometheus'), 1500)
}
let requests = 0

/** Ours, as `ringman serve` opens it, or the same without metrics. */
async function openRingman(): Promise<number> {
  const app = createApp({
    ring,
    clock: systemClock,
    logger: silentLogger,
    ...(metered ? { meter: metrics.meter } : {}),
  })
  app.middleware.unshift((_, next) => {
    requests++
    return next() as unknown
  })
  const server = await openServer(app, {
    host: '127.0.0.1',
    port: 0,
    limits: DEFAULT_HTTP_LIMITS,
    logger: silentLogger,
  })
  return server.port
}

/** The same look-up with nothing around it: no Koa, no checks, the answers made in advance. */
function openBare(): Promise<number> {
  const { ring: snapshot, epoch } = manager.snapshot
  const answers = new Map(
    snapshot.nodes.map((node) => {
      const body = JSON.stringify({ owner: node, digest: snapshot.digest, epoch })
      const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store']
      return [node, { body, headers: [...headers, 'Content-Length', String(body.length)] }]
    }),
  )
  const server = createServer((request, response) => {
    requests++
    const url = request.url ?? ''
    const owner = url.startsWith('/v1/owner?key=')
      ? snapshot.ownerOf(decodeURIComponent(url.slice(14)))
      : undefined
    const answer = owner === undefined ? undefined : answers.get(owner)
    if (answer === undefined) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, answer.headers)
    response.end(answer.body, 'latin1')
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve((server.address() as { readonly port: number }).port)
    })
  })
}

const port = process.argv[2] === 'bare' ? await openBare() : await openRingman()
process.on('message', (request: ServerRequest) => {
  if (request === 'stop') process.exit()
  const { user, system } = process.cpuUsage()
  const usage: ServerUsage = {
    cpuMicros: user + system,
    requests,
    residentBytes: process.memoryUsage.rss(),
  }
  process.send?.(usage)
})
const ready: ServerReady = { port }
process.send?.(ready)

/**
 * `node bench/http/tracing-cost.ts [--requests N]`: CPU time that traces add to a request, without a network and a load
 * around it: the middleware alone, and what sends its spans to a receiver in a process of its own. The least of several
 * rounds is shown, because other load only ever adds. For the whole of it see `tracing.ts`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type Koa from 'koa'
import { holdingClock } from '../../src/clock.ts'
import { silentLogger } from '../../src/logger.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { tracingMiddleware } from '../../src/telemetry/tracing-middleware.ts'
import { SdkTracing } from '../../src/telemetry/tracing-sdk.ts'

const { values } = parseArgs({
  options: { requests: { type: 'string', default: '60000' }, case: { type: 'string' } },
})
const requests = Number(values.requests)
const ROUNDS = 5

const CASES: Readonly<Record<string, Record<string, string> | undefined>> = {
  off: undefined,
  'on, none kept': { OTEL_TRACES_SAMPLER: 'parentbased_always_off' },
  'on, 1 % kept': { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.01' },
  'on, all kept': {},
}

const RECEIVER = `
  const server = require('node:http').createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'Content-Type': 'application/x-protobuf' }).end())
  })
  server.listen(0, '127.0.0.1', () => console.log(server.address().port))`

/** One case in this process: SDKs register themselves, so that each case has a process of its own. */
async function measure(name: string): Promise<number> {
  const ring = HashRing.of([{ ringKey: '10.0.0.1:8000', weight: 1 }])
  const env = CASES[name]
  const receiver = spawn(process.execPath, ['--eval', RECEIVER], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [port] = (await once(createInterface({ input: receiver.stdout }), 'line')) as [string]
  let middleware: Koa.Middleware = (_, next) => next() as unknown
  if (env !== undefined) {
    Object.assign(process.env, env)
    const deps = { logger: silentLogger, clock: holdingClock, version: '0.0.0', instance: 'bench' }
    const { tracer } = new SdkTracing(`http://127.0.0.1:${port}/v1/traces`, deps)
    middleware = tracingMiddleware({
      tracer,
      manager: { snapshot: { ring, epoch: 1, changedAtMs: 0 } },
      traceKeys: false,
    })
  }
  const req = {
    headers: { host: '10.0.0.1:8080', 'user-agent': 'bench' },
    httpVersion: '1.1',
    method: 'GET',
    socket: { remoteAddress: '10.0.0.9' },
    url: '/v1/owner?key=user:42',
  }
  let least = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage()
    for (let i = 0; i < requests; i++) {
      const ctx = {
        req,
        method: 'GET',
        res: { statusCode: 200, headersSent: true },
      } as unknown as Koa.Context
      await middleware(ctx, () => {
        ctx['_matchedRoute'] = '/v1/owner'
        ctx['_ringOwner'] = '10.0.0.1:8000'
        return Promise.resolve()
      })
      // As a server does between the requests of one turn; spans are sent meanwhile.
      if (i % 16 === 0) await turn()
    }
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, (user + system) / requests)
  }
  receiver.kill()
  return least
}

if (values.case !== undefined) {
  console.log((await measure(values.case)).toFixed(2))
  process.exit()
}
console.log(`Node ${process.version}, ${requests} requests, the least of ${ROUNDS} rounds`)
for (const name of Object.keys(CASES)) {
  const args = [import.meta.filename, '--case', name, '--requests', String(requests)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  console.log(`${name.padEnd(16)}${line.padStart(8)} us of CPU time a request`)
}

/**
 * A cache that is spread over its instances: each keeps the values of the keys that it owns, and passes requests for others
 * on to their owners. A value takes long to make, so none should be made twice: when instances come and go, values are handed over.
 *
 * Start it twice (any free ports), then ask either one:
 *
 *   node examples/sharded-cache.ts
 *   SEEDS=127.0.0.1:<gossip port of the first> node examples/sharded-cache.ts
 *   curl http://127.0.0.1:<port>/values/42
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRing, MovedStretches, type RingNode, type Stretch } from '../src/index.ts' // in your program: from 'ringman'

const seeds = process.env['SEEDS']?.split(',') ?? []
/** A value is a promise as long as it is being made, so that those who ask meanwhile wait for the same one. */
const values = new Map<string, string | Promise<string>>()
let leaving = false

// It listens before it joins: nobody passes a request on to it before it can answer.
const server = createServer()
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const started = start()
server.on('request', (request, response) => {
  if (leaving) response.setHeader('connection', 'close')
  // Whoever warms up waits for nothing else that goes on here.
  if (request.url === '/values') void give(request, response)
  else {
    void started.then(({ handle }) => {
      handle(request, response)
    })
  }
})

async function start() {
  const ring = await createRing({
    name: `cache-${port}`,
    bind: '127.0.0.1',
    gossipPort: 0,
    servicePort: port,
    preset: 'local',
    label: process.env['LABEL'] ?? 'cache', // others that gossip are not heard
    seeds,
    minMembers: seeds.length === 0 ? 1 : 2, // one that knows nobody yet would take every key for its own
    drainMs: Number(process.env['DRAIN_MS'] ?? 5000),
    ...(process.env['HANDOVER'] === 'off' ? {} : { handover: { warm } }),
  })
  await ring.settled()
  ring.onMoved(({ lost }) => {
    for (const key of values.keys()) if (lost.contains(key)) values.delete(key)
  })
  const forward = ring.forward({ key: ['path:/values/{key}'], networks: ['127.0.0.0/8'] })
  const handle = forward.handler((request, response) => {
    answer(request, response).catch((error: unknown) => {
      reply(response, 500, { error: String(error) })
    })
  })

  async function answer({ url = '' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, key] = /^\/values\/(\w+)$/.exec(url) ?? []
    if (key === undefined) reply(response, 404, {})
    else reply(response, 200, await look(key))
  }

  async function look(key: string) {
    // When the owner cannot be reached, or has just changed, another one answers, and keeps nothing.
    const isOwner = ring.owns(key)
    const hit = values.has(key)
    const cameAt = Date.now()
    const value = await (isOwner ? find(key) : make(key))
    return { key, value, hit, answeredBy: ring.source.selfName, isOwner, cameAt }
  }

  return { ring, forward, handle }
}

/** Fetches the values that this instance is about to own from the one that has them. */
async function warm(ranges: MovedStretches, { address, port: at }: RingNode, signal: AbortSignal) {
  const body = JSON.stringify(ranges)
  const answered = await fetch(`http://${address}:${at}/values`, { method: 'POST', body, signal })
  for (const [key, value] of (await answered.json()) as [string, string][]) values.set(key, value)
}

/** Answers another instance in {@link warm}. Keep this away from clients. */
async function give(request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const ranges = MovedStretches.of((await json(request)) as Stretch[])
    const wanted = [...values].filter(([key]) => ranges.contains(key))
    reply(response, 200, await Promise.all(wanted.map(async ([key, value]) => [key, await value])))
  } catch (error) {
    reply(response, 400, { error: String(error) })
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function find(key: string): Promise<string> {
  const known = values.get(key) ?? make(key)
  values.set(key, known)
  const value = await known
  if (values.get(key) === known) values.set(key, value)
  return value
}

/** Stands for a slow database, or a long calculation. */
async function make(key: string): Promise<string> {
  await sleep(50)
  return createHash('sha256').update(key).digest('hex')
}

const { ring, forward } = await started
const tell = () => {
  const { size, digest } = ring.manager.snapshot.ring
  console.error(`ring of ${size}: ${digest}`)
}
tell()
ring.manager.subscribe(tell)
console.log(JSON.stringify({ port, gossipPort: ring.gossipAddress?.port }))

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT'), ring.done])
leaving = true
await ring.leave() // the others take over; what still comes here is passed on
server.close()
await once(server, 'close')
await forward.close()
await ring.shutdown()

/**
 * A node:http program, without a framework, that counts visits. Each counter lives in the memory of its owner: an
 * instance that is asked for another's counter passes the request on.
 *
 * Start it twice (any free ports), then ask either one:
 *
 *   node examples/plain-http.ts
 *   SEEDS=127.0.0.1:<gossip port of the first> node examples/plain-http.ts
 *   curl http://127.0.0.1:<port>/visits/home
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRing, type Ring } from '../src/index.ts' // in your program: from 'ringman'

const MISDIRECTED = 421
const seeds = process.env['SEEDS']?.split(',') ?? []
const counters = new Map<string, number>()
let leaving = false

// It listens before it joins: nobody passes a request on to it before it can answer.
const server = createServer()
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const settled = join()
server.on('request', (request, response) => {
  handle(request, response).catch((error: unknown) => {
    response.writeHead(502).end(`${String(error)}\n`)
  })
})

async function join(): Promise<Ring> {
  const ring = await createRing({
    name: `counter-${port}`,
    bind: '127.0.0.1',
    gossipPort: 0,
    servicePort: port,
    preset: 'local',
    seeds,
    minMembers: seeds.length === 0 ? 1 : 2, // one that knows nobody yet would take every key for its own
    drainMs: Number(process.env['DRAIN_MS'] ?? 5000),
  })
  await ring.settled()
  return ring
}

/**
 * Only an instance that owns the key by its own ring answers. One that was passed a request and does not own the key
 * says so, and the one that passed it on tries again: they disagree for a moment only, while news of a change travels.
 */
async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const ring = await settled
  const key = request.url ?? '/'
  if (leaving) response.setHeader('connection', 'close')
  for (let tries = 0; tries < 100; tries++) {
    if (ring.owns(key)) {
      const count = (counters.get(key) ?? 0) + 1
      counters.set(key, count)
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ key, count, answeredBy: ring.source.selfName }))
      return
    }
    if (request.headers['x-passed-on'] !== undefined) {
      response.writeHead(MISDIRECTED).end()
      return
    }
    const answer = await passOn(ring, key)
    if (answer !== undefined) {
      response.writeHead(answer.status, { 'content-type': 'application/json' })
      response.end(Buffer.from(await answer.arrayBuffer()))
      return
    }
    await sleep(50)
  }
  response.writeHead(503, { 'retry-after': '1' }).end()
}

/** What the owner answers; undefined when it does not own the key by its own ring, or nobody listens there any more. */
async function passOn(ring: Ring, key: string): Promise<Response | undefined> {
  const owner = ring.manager.getNode(key)
  try {
    const url = `http://${owner.address}:${owner.port}${key}`
    const answer = await fetch(url, { headers: { 'x-passed-on': '1' } })
    if (answer.status !== MISDIRECTED) return answer
    await answer.body?.cancel()
  } catch (error) {
    const { cause } = error as { readonly cause?: { readonly code?: string } }
    // Nothing was sent then. After any other failure the visit may have been counted.
    if (cause?.code !== 'ECONNREFUSED') throw error
  }
  return undefined
}

await using ring = await settled
ring.manager.subscribe(({ current }) => {
  console.error(`ring of ${current.ring.size}`)
})
console.error(`ring of ${ring.manager.snapshot.ring.size}`)
console.log(JSON.stringify({ port, gossipPort: ring.gossipAddress?.port }))

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT'), ring.done])
leaving = true
await ring.leave() // the others take over; what still comes here is passed on
server.close()
await once(server, 'close')
// `await using` shuts the ring down here.

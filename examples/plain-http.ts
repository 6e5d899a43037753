/**
 * A node:http program, without a framework, that counts visits. Each counter lives in the memory of its owner: an
 * instance that is asked for another's counter passes the request on, once, so that two instances that disagree for a
 * moment do not send it round in circles.
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
import { createRing, isRingmanError } from '../src/index.ts' // in your program: from 'ringman'

const counters = new Map<string, number>()

const server = createServer()
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

// It listens before it joins: nobody passes a request on to it before it can answer.
await using ring = await createRing({
  source: 'swim',
  name: `counter-${port}`,
  bind: '127.0.0.1',
  gossipPort: 0,
  servicePort: port,
  preset: 'local',
  seeds: process.env['SEEDS']?.split(',') ?? [],
})

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const key = request.url ?? '/'
  if (ring.owns(key) || request.headers['x-passed-on'] !== undefined) {
    const count = (counters.get(key) ?? 0) + 1
    counters.set(key, count)
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ key, count, answeredBy: ring.source.selfName }))
    return
  }
  const owner = ring.manager.getNode(key)
  const answer = await fetch(`http://${owner.address}:${owner.port}${key}`, {
    headers: { 'x-passed-on': '1' },
  })
  response.writeHead(answer.status, { 'content-type': 'application/json' })
  response.end(Buffer.from(await answer.arrayBuffer()))
}

server.on('request', (request, response) => {
  handle(request, response).catch((error: unknown) => {
    const unavailable = isRingmanError(error) && error.code === 'RING_EMPTY'
    response.writeHead(unavailable ? 503 : 502).end(`${String(error)}\n`)
  })
})
ring.manager.subscribe(({ current }) => {
  console.error(`ring of ${current.ring.size}`)
})
console.error(`ring of ${ring.manager.snapshot.ring.size}`)
console.log(JSON.stringify({ port, gossipPort: ring.gossipAddress?.port }))

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT'), ring.done])
server.close()
server.closeIdleConnections()
// `await using` leaves the ring here: the others are told and take over at once.

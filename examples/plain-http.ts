/**
 * A node:http program, without a framework, that counts visits. Each counter lives in the memory of its owner: an
 * instance that is asked for another's counter forwards the request.
 *
 * Start it twice (any free ports), then ask either one:
 *
 *   node examples/plain-http.ts
 *   SEEDS=127.0.0.1:<gossip port of the first> node examples/plain-http.ts
 *   curl http://127.0.0.1:<port>/visits/home
 */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRing, type Ring } from '../src/index.ts' // in your program: from 'ringman'

const seeds = process.env['SEEDS']?.split(',') ?? []
const counters = new Map<string, number>()
let leaving = false

// It listens before it joins: nobody passes a request on to it before it can answer.
const server = createServer()
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const settled = join()
// A request goes to the owner of its counter; the counters of this instance are left to it.
const forwarding = settled.then((ring) => {
  const forward = ring.forward({ key: ({ url }) => url, networks: ['127.0.0.0/8'] })
  const handle = forward.handler(({ url = '/' }, response) => {
    count(ring, url, response)
  })
  return { forward, handle }
})
server.on('request', (request, response) => {
  if (leaving) response.setHeader('connection', 'close')
  void forwarding.then(({ handle }) => {
    handle(request, response)
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

function count(ring: Ring, key: string, response: ServerResponse): void {
  const visits = (counters.get(key) ?? 0) + 1
  counters.set(key, visits)
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ key, count: visits, answeredBy: ring.source.selfName }))
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
await (await forwarding).forward.close()
// `await using` shuts the ring down here.

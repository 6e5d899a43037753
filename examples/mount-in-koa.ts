/**
 * A Koa program that is a member of the ring. Every instance takes every request: the owner of a cart answers it, the
 * others send the client there. The look-ups of ringman are mounted beside the program's own routes.
 *
 * Start it twice (any free ports), then ask either one:
 *
 *   node examples/mount-in-koa.ts
 *   SEEDS=127.0.0.1:<gossip port of the first> node examples/mount-in-koa.ts
 *   curl -L http://127.0.0.1:<port>/carts/42
 *   curl 'http://127.0.0.1:<port>/v1/owner?key=cart:42'
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import Koa from 'koa'
import { createRing } from '../src/index.ts' // in your program: from 'ringman'

const seeds = process.env['SEEDS']?.split(',') ?? []
let leaving = false

// It listens before it joins: nobody is sent here before it can answer.
const server = createServer()
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const started = start()
server.on('request', (request, response) => {
  void started.then(({ handle }) => handle(request, response))
})

async function start() {
  const ring = await createRing({
    name: `cart-${port}`,
    bind: '127.0.0.1',
    gossipPort: 0,
    servicePort: port,
    preset: 'local',
    seeds,
    minMembers: seeds.length === 0 ? 1 : 2, // one that knows nobody yet would take every key for its own
    drainMs: Number(process.env['DRAIN_MS'] ?? 5000),
  })
  await ring.settled()
  const app = new Koa()
  app.use(ring.routes())
  app.use(async (context) => {
    const [, id] = /^\/carts\/(\w+)$/.exec(context.path) ?? []
    if (id === undefined) return
    if (leaving) context.set('connection', 'close')
    const hops = Number(context.query['hops'] ?? 0)
    // Two instances disagree about the owner for a moment, while news of a change travels: it waits before it sends a
    // client on that was sent here. Only an instance that owns the cart by its own ring answers.
    if (hops > 0 && !ring.owns(`cart:${id}`)) await sleep(200)
    if (ring.owns(`cart:${id}`)) {
      context.body = { cart: id, answeredBy: ring.source.selfName }
    } else if (hops < 10) {
      const owner = ring.manager.getNode(`cart:${id}`)
      context.status = 307
      context.redirect(`http://${owner.address}:${owner.port}${context.path}?hops=${hops + 1}`)
    } else {
      context.status = 503
      context.set('retry-after', '1')
    }
  })
  return { ring, handle: app.callback() }
}

const { ring } = await started
console.log(JSON.stringify({ port, gossipPort: ring.gossipAddress?.port }))

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT'), ring.done])
leaving = true
await ring.leave() // the others take over; whoever still comes here is sent to them
server.close()
await once(server, 'close')
await ring.shutdown()

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
import Koa from 'koa'
import { createRing } from '../src/index.ts' // in your program: from 'ringman'

const server = createServer()
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

// It listens before it joins: nobody is sent here before it can answer.
const ring = await createRing({
  source: 'swim',
  name: `cart-${port}`,
  bind: '127.0.0.1',
  gossipPort: 0,
  servicePort: port,
  preset: 'local',
  seeds: process.env['SEEDS']?.split(',') ?? [],
})

const app = new Koa()
app.use(ring.routes())
app.use((context) => {
  const [, id] = /^\/carts\/(\w+)$/.exec(context.path) ?? []
  if (id === undefined) return
  if (ring.owns(`cart:${id}`)) {
    context.body = { cart: id, answeredBy: ring.source.selfName }
    return
  }
  const owner = ring.manager.getNode(`cart:${id}`)
  context.status = 307
  context.redirect(`http://${owner.address}:${owner.port}${context.path}`)
})

const handle = app.callback()
server.on('request', (request, response) => void handle(request, response))
console.log(JSON.stringify({ port, gossipPort: ring.gossipAddress?.port }))

process.once('SIGTERM', () => void shutDown())
process.once('SIGINT', () => void shutDown())

async function shutDown(): Promise<void> {
  await ring.shutdown() // tells the others, who take over at once
  server.close()
  server.closeIdleConnections()
}

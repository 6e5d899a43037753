/**
 * Rooms to talk in, over WebSockets. Each room is open at one instance only, which numbers what is said there; a client may
 * connect to any instance. When a room moves, its clients are asked to connect again, and go on where they were.
 *
 * Start it twice (any free ports), then connect to either one:
 *
 *   node examples/rooms.ts
 *   SEEDS=127.0.0.1:<gossip port of the first> node examples/rooms.ts
 *   npx wscat --connect ws://127.0.0.1:<port>/rooms/lobby
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { WebSocketServer, type WebSocket } from 'ws'
import { createRing, MovedStretches, type Claim, type RingNode, type Stretch } from '../src/index.ts' // in your program: from 'ringman'

/** What was said in a room. */
interface Talk {
  readonly since: number
  count: number
  /** The last ones. */
  messages: { readonly number: number; readonly at: number; readonly text: string }[]
}

/** A room that is open here. */
interface Room {
  readonly claim: Claim
  readonly clients: Set<WebSocket>
}

const MESSAGES_KEPT = 100
const seeds = process.env['SEEDS']?.split(',') ?? []
const talks = new Map<string, Talk>()
const rooms = new Map<string, Room>()
let leaving = false

// It listens before it joins: nobody passes a request on to it before it can answer.
const server = createServer()
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const started = start()
server.on('request', (request, response) => {
  if (leaving) response.setHeader('connection', 'close')
  answer(request, response).catch((error: unknown) => {
    response.writeHead(400).end(String(error))
  })
})
server.on('upgrade', (request, socket, head) => {
  socket.on('error', () => socket.destroy())
  void started.then(({ upgrade }) => {
    upgrade(request, socket, head)
  })
})

async function start() {
  const ring = await createRing({
    name: `rooms-${port}`,
    bind: '127.0.0.1',
    gossipPort: 0,
    servicePort: port,
    preset: 'local',
    label: process.env['LABEL'] ?? 'rooms', // others that gossip are not heard
    seeds,
    minMembers: seeds.length === 0 ? 1 : 2, // one that knows nobody yet would take every key for its own
    drainMs: Number(process.env['DRAIN_MS'] ?? 5000),
    handover: { warm: fetchTalks },
  })

  // What was said since then is fetched when a room is this instance's: by now the one before says no more in it. Whoever
  // enters a room waits for that.
  let takenOver: Promise<unknown> = Promise.resolve()
  ring.onMoved(({ gained, lost, cause }) => {
    // While this instance was off the others' rings, they may have had any room of it.
    const wasOff = cause === 'was-off-ring'
    const ranges = wasOff ? ring.owned() : gained
    const before = wasOff ? ring.manager.snapshot.ring.nodes : [...gained].map(({ from }) => from)
    takenOver = Promise.all([takenOver, ...[...new Set(before)].map((from) => fetchRest(ranges, from))])
    // The next owner asks for what was said in the rooms that it gets; after that it is of no use here.
    setTimeout(() => {
      for (const room of talks.keys()) if (lost.contains(room) && !ring.owns(room)) talks.delete(room)
    }, 60_000).unref()
  })
  await ring.settled()

  const forward = ring.forward({ key: ['path:/rooms/{key}'], networks: ['127.0.0.0/8'] })
  const webSockets = new WebSocketServer({ noServer: true, maxPayload: 65_536 })
  const upgrade = forward.upgrade((request, socket, head) => {
    webSockets.handleUpgrade(request, socket, head, (client) => {
      void takenOver.then(() => {
        const [, room] = /^\/rooms\/(\w+)$/.exec(request.url ?? '') ?? []
        if (room === undefined) client.close(1008, 'rooms are at /rooms/NAME')
        else enter(ring, room, client)
      })
    })
  })
  return { ring, forward, upgrade }
}

type Started = Awaited<ReturnType<typeof start>>

function enter(ring: Started['ring'], name: string, client: WebSocket): void {
  let room: Room
  try {
    room = rooms.get(name) ?? open(ring, name)
  } catch {
    client.close(1013, 'the room is open elsewhere by now: try again')
    return
  }
  const talk = talks.get(name) ?? { since: Date.now(), count: 0, messages: [] }
  talks.set(name, talk)
  room.clients.add(client)
  client.send(JSON.stringify({ openAt: ring.source.selfName, ...talk }))
  client.on('message', (data) => {
    // A client may go on talking until it has heard that the room has moved.
    if (!room.claim.held) return
    const message = { number: ++talk.count, at: Date.now(), text: (data as Buffer).toString() }
    talk.messages = [...talk.messages.slice(1 - MESSAGES_KEPT), message]
    for (const each of room.clients) each.send(JSON.stringify(message))
  })
  client.on('error', () => {
    client.terminate()
  })
  client.on('close', () => {
    room.clients.delete(client)
    if (room.clients.size > 0 || !room.claim.held) return
    room.claim.release()
    rooms.delete(name)
  })
}

/** Opens a room for as long as this instance owns it. @throws {RingmanError} `NOT_OWNER`. */
function open(ring: Started['ring'], name: string): Room {
  const room = { claim: ring.claim(name), clients: new Set<WebSocket>() }
  rooms.set(name, room)
  room.claim.signal.addEventListener('abort', () => {
    rooms.delete(name)
    for (const client of room.clients) client.close(1012, 'the room has moved: connect again')
  })
  return room
}

/** Asks the instance that has some rooms for what was said in them. */
async function fetchTalks(ranges: MovedStretches, from: RingNode, signal: AbortSignal): Promise<void> {
  const body = JSON.stringify(ranges)
  const answered = await fetch(`http://${from.address}:${from.port}/talks`, { method: 'POST', body, signal })
  for (const [name, talk] of (await answered.json()) as [string, Talk][]) {
    if (lastOf(talk) >= lastOf(talks.get(name))) talks.set(name, talk)
  }
}

const lastOf = (talk?: Talk) => talk?.messages.at(-1)?.at ?? 0

/** The same of one that may have died, and taken its rooms with it. */
async function fetchRest(ranges: MovedStretches, from: RingNode | undefined): Promise<void> {
  if (from === undefined) return
  await fetchTalks(ranges, from, AbortSignal.timeout(5000)).catch((error: unknown) => {
    console.error(`no rooms from ${from.ringKey}: ${String(error)}`)
  })
}

/** Answers another instance in {@link fetchTalks}. Keep this away from clients. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'POST' || request.url !== '/talks') {
    response.writeHead(426, { connection: 'close', upgrade: 'websocket' }).end()
    return
  }
  const ranges = MovedStretches.of((await json(request)) as Stretch[])
  const wanted = [...talks].filter(([room]) => ranges.contains(room))
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(wanted))
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
await ring.leave() // its rooms open elsewhere, and its clients go there
server.close()
await forward.close() // ends what it passed on to rooms elsewhere
await once(server, 'close')
await ring.shutdown()

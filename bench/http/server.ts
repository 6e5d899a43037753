/** A server process of `bench/http/run.ts`: `node server.ts ringman|bare`. It takes a free loopback port. */
import { createServer } from 'node:http'
import { startRingman } from './metered-ringman.ts'
import { type ServerReady, type ServerRequest, type ServerUsage } from './load.ts'

const ringman = await startRingman()
let requests = 0

/** Ours, as `ringman serve` opens it, its metrics included. */
function openRingman(): Promise<number> {
  return ringman.open(true, () => {
    requests++
  })
}

/** The same look-up with nothing around it: no Koa, no checks, the answers made in advance. */
function openBare(): Promise<number> {
  const { ring: snapshot, epoch } = ringman.manager.snapshot
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

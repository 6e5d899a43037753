/**
 * A peer in `bench/http/run.ts`: `node bare.ts RING_KEY,…` serves the look-up of `/v1/owner` by `node:http` with nothing around
 * it: no Koa, no checks, the answers made in advance. It prints its port.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { HashRing } from '../../src/ring/hash-ring.ts'

const ringKeys = process.argv[2]?.split(',') ?? []
const ring = HashRing.of(ringKeys.map((ringKey) => ({ ringKey, weight: 1 })))
const answers = new Map(
  ring.nodes.map((node) => {
    const body = JSON.stringify({ owner: node, digest: ring.digest, epoch: 1 })
    const headers = ['Content-Type', 'application/json', 'Cache-Control', 'no-store']
    return [node, { body, headers: [...headers, 'Content-Length', String(body.length)] }]
  }),
)
const server = createServer((request, response) => {
  const url = request.url ?? ''
  const owner = url.startsWith('/v1/owner?key=') ? ring.ownerOf(decodeURIComponent(url.slice(14))) : undefined
  const answer = owner === undefined ? undefined : answers.get(owner)
  if (answer === undefined) {
    response.writeHead(404).end()
    return
  }
  response.writeHead(200, answer.headers)
  response.end(answer.body, 'latin1')
})
server.listen(0, '127.0.0.1', () => {
  console.log((server.address() as AddressInfo).port)
})

import { once } from 'node:events'
import { createServer as createHttps, type ServerOptions } from 'node:https'
import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { seededRandom } from '../../lab/sim/seeded-random.ts'
import { RingClient, type RingClientOptions } from '../../src/client/ring-client.ts'
import { nodeTransport, type Resolve } from '../../src/client/transport.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { Member } from '../../src/membership/member.ts'
import type { HashRing } from '../../src/ring/hash-ring.ts'
import { serveRing, type ServedRing } from '../http/running-ring.ts'
import { fakeMember } from '../support/fake-source.ts'
import { freePort } from '../support/free-port.ts'
import { listening } from '../support/listening.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { TEST_CERTIFICATE, TEST_CERTIFICATE_KEY } from '../support/test-certificate.ts'
import { nodes, ringBody, ringEvent } from './fake-members.ts'

function follow(options: RingClientOptions) {
  const problems: ErrorCode[] = []
  const client = new RingClient({ onProblem: ({ code }) => void problems.push(code), ...options })
  onTestFinished(() => client.close())
  return { client, problems }
}

const urlOf = (served: ServedRing) => `http://127.0.0.1:${served.server.port}`
const member = (at: number) => fakeMember(`member-${at}`, `10.0.${at >> 8}.${at & 255}`)
const KEYS = Array.from({ length: 200 }, (_, at) => `key-${at} ü`)

test('every key has the owner that the server gives, while the ring churns and connections break', async () => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  const random = seededRandom(seed)
  await using first = await serveRing({ members: [0, 1, 2, 3].map(member) })
  await using second = await serveRing({ members: [0, 1, 2, 3].map(member) })
  const rings = new Map<string, HashRing>()
  const remember = () => {
    for (const { ring } of [first, second])
      rings.set(ring.manager.snapshot.ring.digest, ring.manager.snapshot.ring)
  }
  remember()
  for (const { ring } of [first, second]) ring.manager.subscribe(remember)
  const portOf = (served: ServedRing) => ({ host: '127.0.0.1', port: served.server.port })
  await using toFirst = await TcpRelay.start({ host: '127.0.0.1', port: 0 }, portOf(first))
  await using toSecond = await TcpRelay.start({ host: '127.0.0.1', port: 0 }, portOf(second))
  const { client } = follow({ urls: [toFirst, toSecond].map(({ port }) => `http://127.0.0.1:${port}`) })
  const compare = () => {
    const ring = rings.get(client.digest ?? '')
    expect(ring, `seed ${seed}`).toBeDefined()
    for (const key of KEYS) {
      expect(client.owner(key)).toEqual(ring?.ownerOf(key))
      expect(client.owners(key, 2)).toEqual(ring?.ownersOf(key, 2))
    }
    expect(client.shares()).toEqual(ring?.shares())
  }
  await client.ready()
  let members: Member[] = []
  for (let change = 0; change < 60; change++) {
    const count = 4 + Math.floor(random() * 6)
    members = Array.from({ length: count }, () => member(Math.floor(random() * 300)))
    first.source.set(members)
    second.source.set(members)
    if (random() < 0.1) for (const relay of [toFirst, toSecond]) relay.cutOnce()
    if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve, random() * 20))
    compare()
  }
  const last = new Set(members.map(({ name }) => name))
  await vi.waitFor(
    () => {
      // The server itself takes the last members a little later.
      const { ring } = first.ring.manager.snapshot
      expect(new Set(ring.nodes.map(({ name }) => name))).toEqual(last)
      expect(client.digest).toBe(ring.digest)
    },
    { timeout: 60_000 },
  )
  compare()
  const answer = await fetch(`${urlOf(first)}/v1/owners`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ keys: KEYS, n: 2 }),
  })
  const batch = (await answer.json()) as { nodes: { ringKey: string }[]; owners: number[][] }
  expect(KEYS.map((key) => client.owners(key, 2).map(({ ringKey }) => ringKey))).toEqual(
    batch.owners.map((found) => found.map((at) => batch.nodes[at]?.ringKey)),
  )
})

test('where no member has room for a watch, the ring is polled by its entity tag', async () => {
  await using served = await serveRing({ members: [0, 1].map(member), limits: { maxWatchers: 0 } })
  const { client, problems } = follow({ url: `${urlOf(served)}/` })
  await client.ready()
  expect([problems, client.digest]).toEqual([['TOO_MANY_WATCHERS'], served.ring.manager.snapshot.ring.digest])
})

test('a member that is cut off is left for another one before it loses the others', async () => {
  const members = [0, 1, 2, 3].map(member)
  await using first = await serveRing({ members, maxSilenceMs: 10_000 })
  await using second = await serveRing({ members, maxSilenceMs: 10_000 })
  for (const { source } of [first, second]) source.statisticsNow = { staleMs: 0 }
  const { client, problems } = follow({ urls: [urlOf(first), urlOf(second)], random: () => 0 })
  const sizes: number[] = []
  const reading = (async () => {
    for await (const { ring } of client.changes()) sizes.push(ring.size)
  })()
  await client.ready()
  first.source.statisticsNow = { staleMs: 20_000 }
  await expect.poll(() => problems).toContain('UNSURE')
  // It holds the others for dead then.
  first.source.set(members.slice(0, 1))
  second.source.set([...members, member(4)])
  await expect.poll(() => sizes).toEqual([4, 5])
  await client.close()
  await reading
  expect(problems).toEqual(['UNSURE'])
})

test.each<[string, ServerOptions, NonNullable<RingClientOptions['tls']>]>([
  ['an authority of its own', {}, { ca: TEST_CERTIFICATE }],
  [
    'a certificate on both sides',
    { requestCert: true, rejectUnauthorized: true, ca: TEST_CERTIFICATE },
    () => ({ ca: TEST_CERTIFICATE, cert: TEST_CERTIFICATE, key: TEST_CERTIFICATE_KEY }),
  ],
])('TLS with %s', async (_, options, tls) => {
  const authorised: (string | undefined)[] = []
  const server = createHttps(
    { cert: TEST_CERTIFICATE, key: TEST_CERTIFICATE_KEY, ...options },
    (request, response) => {
      authorised.push(request.headers.authorization)
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(ringEvent(nodes('abc')))
    },
  )
  const url = `https://127.0.0.1:${(await listening(server)).port}`
  const { client } = follow({ url, tls, headers: { authorization: 'Bearer t' } })
  await client.ready()
  expect([client.ring.size, authorised]).toEqual([3, ['Bearer t']])
  // What does not trust the server, or is not trusted by it, gets nothing.
  const stranger = follow({ url })
  const waiting = stranger.client.ready()
  await expect.poll(() => stranger.problems).toContain('UNREACHABLE')
  await stranger.client.close()
  await expect(waiting).rejects.toMatchObject({ code: 'RING_UNKNOWN' })
  expect(authorised).toHaveLength(1)
})

test('a member whose watch gives no ring is polled, also where answers end with the connection alone', async () => {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (asked) => {
      const watches = String(asked).startsWith('GET /v1/ring/watch ')
      socket.write(
        `HTTP/1.1 200 OK\r\nContent-Type: ${watches ? 'text/event-stream' : 'application/json'}\r\n\r\n`,
      )
      if (!watches) socket.end(ringBody(nodes('abc')))
    })
  })
  const url = `http://127.0.0.1:${(await listening(server)).port}`
  const { client, problems } = follow({ url, timeoutMs: 200 })
  await client.ready(AbortSignal.timeout(60_000))
  expect([client.ring.size, problems[0]]).toEqual([3, 'TIMEOUT'])
})

test('a name with many addresses leads to each of them by chance, and past those that are dead', async () => {
  const asked = { '127.0.0.1': 0, '127.0.0.2': 0 }
  const port = await freePort()
  const first = createServer((_, response) => {
    asked['127.0.0.1']++
    response.end('1')
  }).listen(port, '127.0.0.1')
  await once(first, 'listening')
  const second = createServer((_, response) => {
    asked['127.0.0.2']++
    response.end('2')
  }).listen(port, '127.0.0.2')
  await once(second, 'listening')
  let resolved = 0
  const resolve: Resolve = (host, _, callback) => {
    resolved++
    expect(host).toBe('members.test')
    callback(
      null,
      ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map((address) => ({ address, family: 4 })),
    )
  }
  const send = nodeTransport({ random: seededRandom(1), resolve })
  try {
    for (let at = 0; at < 60; at++) {
      const answer = await send(
        `http://members.test:${port}/`,
        { headers: {}, alone: true },
        AbortSignal.timeout(5000),
      )
      answer.discard()
    }
    expect(resolved).toBe(60)
    expect(Math.min(...Object.values(asked))).toBeGreaterThan(15)
  } finally {
    for (const server of [first, second]) {
      server.closeAllConnections()
      server.close()
    }
  }
})

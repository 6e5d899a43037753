import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import * as fc from 'fast-check'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { FastLookUps } from '../../src/http/fast-look-ups.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { CurrentView } from '../../src/http/ring-view.ts'
import { RingMetrics } from '../../src/telemetry/ring-metrics.ts'
import { fakeMember } from '../support/fake-source.ts'
import { mutatedRequest } from './mutated-request.ts'
import { closed, collect, connectTo, dial, exchange, exchangeOn, get, request } from './raw-client.ts'
import { makeRing, serveRing, type ServedRing } from './running-ring.ts'

const OWNER = get('/v1/owner?key=a')
const GO = get('/hashring/nodes/get?key=a')

/**
 * Two members of one ring: `fast` has the fast path, in so many threads besides the main one, `slow` has not. `byNode` are the
 * paths that Node's server was asked.
 */
async function serveBoth(threads: number) {
  const byNode: string[] = []
  const app = {
    extend: [
      (ctx: { readonly req: { readonly url?: string | undefined } }, next: () => Promise<unknown>) => {
        byNode.push(ctx.req.url ?? '')
        return next()
      },
    ],
  }
  // How long the ring stands is in some answers.
  const clock = { ...systemClock, now: () => 0 }
  const fast = await serveRing({ fast: true, threads, app, clock })
  const slow = await serveRing({ fast: false, clock })
  for (const served of [fast, slow]) onTestFinished(() => served[Symbol.asyncDispose]())
  return { fast, slow, byNode }
}

/** Everything that comes back for these parts, each written in a turn of its own, until the server ends the connection. */
async function converse({ server }: ServedRing, parts: readonly string[]): Promise<string> {
  const socket = await dial(server.port)
  const received = collect(socket)
  for (const part of parts) {
    socket.write(Buffer.from(part, 'latin1'))
    await turn()
  }
  socket.end()
  await closed(socket)
  return received.text
}

/** Without the time. */
const undated = (received: string) => received.replaceAll(/\r\nDate: [^\r]+/g, '')

/** The end of the answers of a connection on which Node's parser found something that it refuses. */
const REFUSAL = /HTTP\/1\.1 4\d\d [\w ]+\r\nConnection: close\r\n\r\n$/

const { cases: recorded } = JSON.parse(
  readFileSync(new URL('../golden/http.json', import.meta.url), 'utf8'),
) as { readonly cases: readonly { readonly title: string; readonly request: string }[] }

const FIELDS: readonly string[] = [
  'Connection: close',
  'Connection: keep-alive',
  'Connection: Keep-Alive',
  'Connection: keep-alive, close',
  'Connection: upgrade',
  'Connection : keep-alive',
  'Content-Length: 0',
  'Content-Length: 5',
  'content-length: +0',
  'Content-Length: 0\r\nContent-Length: 0',
  'Content-Type: application/x-www-form-urlencoded',
  'Content-Type: multipart/form-data; boundary=B',
  'Expect: 100-continue',
  'Host: other.test',
  'Keep-Alive: timeout=5',
  'Proxy-Connection: close',
  'TE: trailers',
  'Trailer: X',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding : chunked',
  'transfer-encoding:chunked',
  ' Transfer-Encoding: chunked',
  'Transfer_Encoding: chunked',
  'Upgrade: h2c',
  'Upgrade: websocket\r\nConnection: Upgrade',
  'X: a\r\n folded',
  'X: a\nContent-Length: 5',
  'X: a\rContent-Length: 5',
  'X: a\r\r\nContent-Length: 5',
  'X: \0',
  'X: \x7f',
  'X: caf\xe9',
  'X:',
  ': nameless',
  'no colon',
  'X\t: a',
  'X: a\tb ',
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
]

const withField = (field: string, target = '/v1/owner?key=a') =>
  `GET ${target} HTTP/1.1\r\nHost: ring.test\r\n${field}\r\n\r\n`

/** What a request is followed by, in case the two ways disagree on where it ends. */
const BEHIND = get('/v1/owner?key=behind')

const SMUGGLING: readonly (readonly [string, string])[] = [
  ...FIELDS.map((field) => [`the field ${JSON.stringify(field)}`, withField(field) + BEHIND] as const),
  ...FIELDS.map(
    (field) =>
      [
        `${JSON.stringify(field)}, before Host`,
        `${withField(field).replace('Host: ring.test\r\n', '')}${BEHIND}`,
      ] as const,
  ),
  ...[
    'get /v1/owner?key=a HTTP/1.1',
    'GET  /v1/owner?key=a HTTP/1.1',
    'GET\t/v1/owner?key=a HTTP/1.1',
    ' GET /v1/owner?key=a HTTP/1.1',
    '\r\nGET /v1/owner?key=a HTTP/1.1',
    'GET /v1/owner?key=a  HTTP/1.1',
    'GET /v1/owner?key=a HTTP/1.1 ',
    'GET /v1/owner?key=a HTTP/1.0',
    'GET /v1/owner?key=a HTTP/1.2',
    'GET /v1/owner?key=a HTTP/2.0',
    'GET /v1/owner?key=a',
    'GET http://ring.test/v1/owner?key=a HTTP/1.1',
    'GET //v1/owner?key=a HTTP/1.1',
    'GET /v1/owner/?key=a HTTP/1.1',
    'GET /v1/%6fwner?key=a HTTP/1.1',
    'GET /v1/owner#?key=a HTTP/1.1',
    'GET /v1/owner?key=a#b HTTP/1.1',
    'GET /v1/owner?key=a?b HTTP/1.1',
    'GET /v1/owner?key=caf\xe9 HTTP/1.1',
    'GET /v1/owner?key=a\x7f HTTP/1.1',
    'GET /v1/owner?key=a\0 HTTP/1.1',
    'GET /v1/owner?key=a\tb HTTP/1.1',
    'GET /v1/owner?key="<>\\^`{|}[]~ HTTP/1.1',
    'HEAD /v1/owner?key=a HTTP/1.1',
    'POST /v1/owner?key=a HTTP/1.1',
    'OPTIONS /hashring/nodes/get?key=a HTTP/1.1',
    'PRI * HTTP/2.0',
  ].map((line) => [JSON.stringify(line), `${line}\r\nHost: ring.test\r\n\r\n${BEHIND}`] as const),
  ['no Host', `GET /v1/owner?key=a HTTP/1.1\r\n\r\n${BEHIND}`],
  ['lines that end with LF alone', OWNER.replaceAll('\r\n', '\n') + BEHIND],
  [
    'a head of 300 fields',
    withField(Array.from({ length: 300 }, (_, i) => `X-${i}: a`).join('\r\n')) + BEHIND,
  ],
  ['a head of more fields than Node takes', withField('a:\r\n'.repeat(1000).trimEnd()) + BEHIND],
  ['a key of 8 KiB', get(`/v1/owner?key=${'a'.repeat(8192)}`) + BEHIND],
  ['a key whose answer is large', get(`/hashring/nodes/get?key=${'<'.repeat(1500)}`) + BEHIND],
]

const QUERIES = [
  '',
  'key',
  'key=',
  'key=%',
  'key=%zz',
  'key=%FF',
  'key=caf%C3%A9',
  'key=a+b',
  'key=a%20b',
  'key=a&key=b',
  'n=1&key=a',
  'key=a&n=1',
  'key=a;b',
  'KEY=a',
  'k%65y=a',
  'key=%00',
  'key=%E2%80%A8',
  'key=a=b',
  '&key=a',
  'key=a&',
  'key=<>&',
  'key=%3C%3E%26',
  'key=\'"',
  `key=${'k'.repeat(3000)}`,
]

describe.each([0, 2])('with the fast path in %d more threads and without come the same bytes', (threads) => {
  let both: Awaited<ReturnType<typeof serveBoth>>
  beforeEach(async () => {
    both = await serveBoth(threads)
  })
  const expectSame = async (parts: readonly string[]) => {
    const fast = undated(await converse(both.fast, parts))
    const slow = undated(await converse(both.slow, parts))
    if (fast === slow) return
    // Where Node's parser refuses some bytes, it gives up what it has not written yet of the answers before them.
    for (const served of [both.slow, both.fast]) {
      const probe = await converse(served, [...parts, get('/hashring/nodes/get?key=the-end')])
      expect(probe, `they differ:\n${fast}\n---\n${slow}`).not.toContain('the-end')
    }
    // Which ones those are depends on when the bytes come in, with the fast path and without.
    const [less = '', more = ''] = [fast, slow]
      .map((received) => received.replace(REFUSAL, ''))
      .sort((a, b) => a.length - b.length)
    expect(more.slice(0, less.length)).toBe(less)
    expect(more.slice(less.length)).toMatch(/^(?:HTTP|$)/)
  }

  test('for what the Go library was recorded with', async () => {
    for (const { request: bytes } of recorded) await expectSame([bytes, GO])
    expect(recorded.length).toBeGreaterThan(60)
  })

  test('for requests that two parsers could read in two ways', async () => {
    for (const [name, bytes] of SMUGGLING) {
      // What Node makes of bytes behind an upgrade that nobody takes depends on when they come in.
      const ways = name.includes('websocket') ? [[bytes]] : [[bytes], [OWNER + bytes, GO], [GO, bytes]]
      for (const parts of ways) {
        await expectSame(parts).catch((error: unknown) => {
          throw new Error(`behind ${parts.length - 1} parts they differ: ${name}`, { cause: error })
        })
      }
    }
  })

  test('for every kind of query', async () => {
    for (const query of QUERIES) {
      for (const path of ['/v1/owner', '/hashring/nodes/get']) await expectSame([get(`${path}?${query}`)])
    }
  })

  test('for any mixture of requests, in any pieces', async () => {
    const plain = fc
      .tuple(
        fc.constantFrom('/v1/owner', '/hashring/nodes/get'),
        fc.constantFrom(...QUERIES),
        fc.constantFrom(...FIELDS),
      )
      .map(([path, query, field]) =>
        field.startsWith('X') ? withField(field, `${path}?${query}`) : get(`${path}?${query}`),
      )
    const other = fc.constantFrom(
      get('/v1/owners?key=a&n=2'),
      request('HEAD', '/v1/owner?key=a'),
      request('POST', '/v1/owners', { 'Content-Type': 'application/json' }, '{"keys":["a","b"],"n":2}'),
      request(
        'POST',
        '/hashring/nodes/get',
        { 'Content-Type': 'application/x-www-form-urlencoded' },
        'key=a%20b',
      ),
      ...SMUGGLING.filter(([name]) => !name.includes('websocket')).map(([, bytes]) => bytes),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            { weight: 4, arbitrary: plain },
            { weight: 1, arbitrary: other },
            { weight: 1, arbitrary: mutatedRequest },
          ),
          {
            minLength: 1,
            maxLength: 30,
          },
        ),
        fc.array(fc.nat(), { maxLength: 8 }),
        async (requests, cuts) => {
          const bytes = requests.join('')
          const places = [...new Set([0, ...cuts.map((cut) => cut % bytes.length), bytes.length])].sort(
            (a, b) => a - b,
          )
          await expectSame(places.slice(1).map((place, i) => bytes.slice(places[i], place)))
        },
      ),
      { numRuns: 200 },
    )
  })

  test('Node sees no plain look-up, and everything behind the first request that is none', async () => {
    const { fast, byNode } = both
    await converse(fast, [OWNER + GO, GO, OWNER])
    expect(byNode).toEqual([])
    await converse(fast, [OWNER + GO + get('/v1/ring') + OWNER, GO])
    expect(byNode).toEqual(['/v1/ring', '/v1/owner?key=a', '/hashring/nodes/get?key=a'])
  })

  test('where bytes wait for their turn and others are read', async () => {
    const sockets = [await dial(both.fast.server.port), await dial(both.fast.server.port)]
    const conversations = sockets.map(async (socket, i) => {
      let received = ''
      socket.on('data', (part: string) => {
        received += part
      })
      const keys = Array.from({ length: 1000 }, (_, key) => `${i}-${key}`)
      socket.end(keys.map((key) => get(`/hashring/nodes/get?key=${key}`)).join(''))
      await closed(socket)
      expect(Array.from(received.matchAll(/"Key": "([\d-]+)"/g), ([, key]) => key)).toEqual(keys)
    })
    await Promise.all(conversations)
  })

  test('and the same numbers in the metrics', async () => {
    const count = async (fast: boolean) => {
      const { ring } = makeRing()
      await ring.start()
      onTestFinished(() => ring.stop())
      const metrics = new RingMetrics({ ring, clock: systemClock })
      await using served = await serveRing({
        fast,
        threads: fast ? threads : 0,
        app: { meter: metrics.meter },
      })
      for (const query of QUERIES) {
        for (const path of ['/v1/owner', '/hashring/nodes/get'])
          await converse(served, [OWNER + get(`${path}?${query}`)])
      }
      served.threads?.count()
      const { lookUps, lookUpKeys, httpRequests } = await metrics.collect()
      return { lookUps, lookUpKeys, httpRequests }
    }
    expect(await count(true)).toEqual(await count(false))
  })

  test('from a member that is unsure', async () => {
    const answers: string[] = []
    for (const fast of [true, false]) {
      await using served = await serveRing({ fast, threads: fast ? threads : 0, maxSilenceMs: 1 })
      await expect.poll(() => served.ring.unsure).toBe(true)
      answers.push(undated(await converse(served, [OWNER, GO])))
    }
    expect(answers[0]).toBe(answers[1])
    expect(answers[0]).toMatch(/Ringman-Unsure: true[^]*"unsure":true[^]*Ringman-Unsure: true/)
  })

  test('from a ring that is empty', async () => {
    const empty = [await serveRing({ members: [], threads }), await serveRing({ members: [], fast: false })]
    for (const served of empty) onTestFinished(() => served[Symbol.asyncDispose]())
    const answers = await Promise.all(empty.map((served) => converse(served, [GO, OWNER, GO])))
    expect(undated(answers[0] ?? '')).toBe(undated(answers[1] ?? ''))
    expect(answers[0]).toContain('"RING_EMPTY"')
  })
})

describe('FastLookUps', () => {
  async function answerer(limits: Partial<typeof DEFAULT_HTTP_LIMITS> = {}) {
    const { ring } = makeRing()
    await ring.start()
    onTestFinished(() => ring.stop())
    const fast = new FastLookUps({ ring, clock: systemClock, limits: { ...DEFAULT_HTTP_LIMITS, ...limits } })
    return (text: string) => fast.answer(Buffer.from(text, 'latin1'))
  }

  test.each([
    ['one request', OWNER, 1],
    ['two', OWNER + GO, 2],
    ['none that is not whole', OWNER.slice(0, -1), 0],
    ['what is whole', OWNER + GO.slice(0, -1), 1],
    ['what is plain', OWNER + get('/v1/ring') + OWNER, 1],
    [
      'fields of every day',
      get('/v1/owner?key=a', { Accept: '*/*', 'X-Request-Id': '8c4a', Connection: 'keep-alive' }),
      1,
    ],
    ['nothing of a head with more fields than Node takes', withField('a:\r\n'.repeat(1000).trimEnd()), 0],
    ['nothing of a key that is too long', get('/v1/owner?key=12345678901'), 0],
    ['as much as fits the window', OWNER.repeat(1000), Math.floor(4000 / OWNER.length)],
  ])('takes %s', async (_, text, count) => {
    const taken = (await answerer({ maxKeyBytes: 10 }))(text)
    expect(taken?.count ?? 0).toBe(count)
    if (taken !== undefined)
      expect(text.slice(taken.bytes).startsWith('GET') || taken.bytes === text.length).toBe(true)
  })

  test.each(
    FIELDS.filter(
      (field) =>
        !/^(?:Connection: keep-alive|Connection: Keep-Alive|Keep-Alive|X: a\tb|X:$|Transfer_|traceparent)/.test(
          field,
        ),
    ),
  )('leaves a request with %j to Node', async (field) => {
    expect((await answerer())(withField(field))).toBeUndefined()
  })

  test.each([1000, 1001])('names the owner of %j nodes, whether answers are kept or not', async (size) => {
    const members = Array.from({ length: size }, (_, i) => fakeMember(`m${i}`, `10.0.${i >> 8}.${i & 255}`))
    const { ring } = makeRing({ members })
    await ring.start()
    onTestFinished(() => ring.stop())
    const fast = new FastLookUps({ ring, clock: systemClock, limits: DEFAULT_HTTP_LIMITS })
    const view = new CurrentView(ring).get()
    const node = ring.manager.getNode('a')
    for (let i = 0; i < 2; i++) {
      const [, body] = fast.answer(Buffer.from(OWNER))?.text.split('\r\n\r\n') ?? []
      expect(body).toBe(view.ownerAnswer(node).body)
      expect(body).toContain(`{"owner":{"name":"${node.name}",`)
    }
    expect(view.ownerAnswer(node) === view.ownerAnswer(node)).toBe(size === 1000)
  })

  test.each([OWNER, GO])('tells the time of each second in the answer to %j', async (look) => {
    let wallMs = Date.UTC(2026, 0, 1)
    const { ring } = makeRing()
    await ring.start()
    onTestFinished(() => ring.stop())
    const clock = { ...systemClock, wallNow: () => wallMs }
    const fast = new FastLookUps({ ring, clock, limits: DEFAULT_HTTP_LIMITS })
    const dateNow = () => /Date: ([^\r]+)/.exec(fast.answer(Buffer.from(look))?.text ?? '')?.[1]
    expect(dateNow()).toBe('Thu, 01 Jan 2026 00:00:00 GMT')
    wallMs += 999
    expect(dateNow()).toBe('Thu, 01 Jan 2026 00:00:00 GMT')
    wallMs += 1
    expect(dateNow()).toBe('Thu, 01 Jan 2026 00:00:01 GMT')
  })
})

describe('a connection of the fast path', () => {
  async function serve(options: Parameters<typeof serveRing>[0] = {}) {
    const served = await serveRing(options)
    onTestFinished(() => served[Symbol.asyncDispose]())
    return served
  }

  const countOf = (received: string) => received.split('HTTP/1.1 200 OK\r\n').length - 1

  test('whose reader takes nothing holds what one piece makes; it goes on when the reader does', async () => {
    const served = await serve()
    const socket = await connectTo(served.server.port)
    socket.pause()
    // Of 64 bytes, so that few reads end within one.
    const asked = get('/v1/owner?key=aaaaaaaaaaaaaaaa')
    expect(asked).toHaveLength(64)
    const COUNT = 30_000
    let mostBytes = 0
    socket.write(asked.repeat(COUNT))
    await expect.poll(() => served.ledger.counts().heldBytes.answer).toBeGreaterThan(0)
    for (let i = 0; i < 20; i++) {
      expect((await exchange(served.server.port, GO)).status).toBe(200)
      mostBytes = Math.max(mostBytes, served.ledger.counts().heldBytes.answer)
    }
    expect(mostBytes).toBeLessThan(64 * 1024)
    // One read of the system's is 64 KiB; of 7 requests under way each counts 4 KiB besides its head.
    expect(served.ledger.counts().heldBytes.head).toBeLessThanOrEqual(128 * 1024 + 7 * 4200)
    let received = 0
    let rest = ''
    socket.on('data', (part: string) => {
      rest += part
      received += countOf(rest)
      rest = rest.slice(-16)
    })
    socket.resume()
    await expect.poll(() => received).toBe(COUNT)
    expect(served.ledger.counts().heldBytes).toEqual({ head: 0, body: 0, answer: 0 })
  })

  test('is cut when its reader takes nothing for too long', async () => {
    let aheadMs = 0
    const clock = { ...systemClock, now: () => systemClock.now() + aheadMs }
    const served = await serve({ clock })
    const socket = await connectTo(served.server.port)
    socket.pause()
    socket.write(OWNER.repeat(40_000))
    await vi.waitFor(
      () => {
        aheadMs += 1000
        expect(served.ledger.counts().closed['slow-reader']).toBe(1)
      },
      { timeout: 60_000 },
    )
    await expect
      .poll(() => served.ledger.counts())
      .toMatchObject({
        connections: { lookup: 0 },
        heldBytes: { head: 0, answer: 0 },
      })
  })

  test('that never asks is told so after the time for heads; one that asked is closed after the time for idle ones', async () => {
    const served = await serve({
      limits: { headersTimeoutMs: 100, requestTimeoutMs: 100, keepAliveTimeoutMs: 200 },
    })
    const silent = await connectTo(served.server.port)
    const told = collect(silent)
    // One whose process stands still before it asks is told the same.
    const idle = await vi.waitFor(async () => {
      const socket = await connectTo(served.server.port)
      expect((await exchangeOn(socket, OWNER)).status).toBe(200)
      return socket
    }, 60_000)
    await Promise.all([closed(silent), closed(idle)])
    expect(told.text).toBe('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n')
  })

  test('counts as idle between two requests, and makes room', async () => {
    const served = await serve({ limits: { maxConnections: 2 } })
    const [older, newer] = [await connectTo(served.server.port), await connectTo(served.server.port)]
    expect((await exchangeOn(older, OWNER)).status).toBe(200)
    expect((await exchangeOn(newer, OWNER)).status).toBe(200)
    expect((await exchangeOn(older, OWNER)).status).toBe(200)
    expect((await exchange(served.server.port, GO)).status).toBe(200)
    await closed(newer)
    expect((await exchangeOn(older, OWNER)).status).toBe(200)
  })

  test('that does nothing ends when the server closes', async () => {
    const served = await serve()
    const idle = await connectTo(served.server.port)
    await exchangeOn(idle, OWNER)
    const closing = served.server.close(10_000)
    await closed(idle)
    await closing
  })

  test('with more requests than one turn takes is told of the end in its next answer', async () => {
    const served = await serve()
    const socket = await connectTo(served.server.port)
    const received = collect(socket)
    const { promise: begun, resolve } = Promise.withResolvers<void>()
    const answer = vi.spyOn(FastLookUps.prototype, 'answer')
    answer.mockImplementationOnce(function (this: FastLookUps, bytes) {
      // The rest waits for a later turn, in which the server is closing.
      served.ledger.intake.charge(1000)
      resolve()
      return this.answer(bytes)
    })
    onTestFinished(() => answer.mockRestore())
    socket.write(OWNER.repeat(500))
    await begun
    const closing = served.server.close(10_000)
    await closed(socket)
    await closing
    const answers = received.text.split(/(?=HTTP\/1\.1 )/)
    expect(answers.length).toBeGreaterThan(1)
    expect(answers.length).toBeLessThan(500)
    expect(answers.every((text) => text.startsWith('HTTP/1.1 200 OK\r\n') && text.endsWith('}'))).toBe(true)
    expect(answers.map((text) => text.includes('\r\nConnection: close\r\n'))).toEqual(
      answers.map((_, i) => i === answers.length - 1),
    )
  })

  test('leaves nothing of the fast path on the socket when Node has it', async () => {
    const served = await serve()
    const socket = await connectTo(served.server.port)
    const [inner] = [...served.connections.sockets]
    await exchangeOn(socket, OWNER)
    expect(inner?.listenerCount('data')).toBe(1)
    await exchangeOn(socket, get('/v1/ring'))
    const slow = await serve({ fast: false })
    const other = await connectTo(slow.server.port)
    await exchangeOn(other, get('/v1/ring'))
    const [slowInner] = [...slow.connections.sockets]
    const listeners = (one: Socket | undefined) =>
      Object.fromEntries((one?.eventNames() ?? []).map((name) => [name, one?.listenerCount(name)]))
    expect(listeners(inner)).toEqual(listeners(slowInner))
  })

  test('is one of many: each is answered, few in each turn', async () => {
    const answer = vi.spyOn(FastLookUps.prototype, 'answer')
    onTestFinished(() => answer.mockRestore())
    const COUNT = 900
    const served = await serve()
    const sockets = await Promise.all(Array.from({ length: COUNT }, () => connectTo(served.server.port)))
    const perTurn: number[] = []
    let seen = answer.mock.calls.length
    const watching = { on: true }
    const watch = () => {
      perTurn.push(answer.mock.calls.length - seen)
      seen = answer.mock.calls.length
      if (watching.on) setImmediate(watch)
    }
    watch()
    const bytes = OWNER.repeat(200)
    const answers = sockets.map(async (socket) => {
      let received = ''
      for await (const part of socket) {
        received += part as string
        if (countOf(received) >= 200) return countOf(received)
      }
      return countOf(received)
    })
    for (const socket of sockets) socket.write(bytes)
    expect(await Promise.all(answers)).toEqual(Array.from({ length: COUNT }, () => 200))
    watching.on = false
    // A piece has 97 of these requests, and a turn takes 512 and what the last piece has beyond.
    expect(Math.max(...perTurn)).toBeLessThan(30)
  })
})

import type { Socket } from 'node:net'
import Koa from 'koa'
import { systemClock } from '../../src/clock.ts'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { readBody } from '../../src/http/body.ts'
import {
  connectionsWithin,
  DEFAULT_HTTP_LIMITS,
  limitsWithin,
  type HttpLimits,
} from '../../src/http/limits.ts'
import { openServer } from '../../src/http/server.ts'
import { fakeMember } from '../support/fake-source.ts'
import { httpParts } from '../support/http-parts.ts'
import { closed, connectTo, exchange, exchangeOn, get, request } from './raw-client.ts'
import { serveRing, type ServedRing } from './running-ring.ts'

/** A server that answers at once, but for `/slow`, which waits for `finish`, and `/body`, which waits for its body. */
async function serve(limits: Partial<HttpLimits>) {
  const parts = httpParts({ limits })
  const { promise, resolve } = Promise.withResolvers<void>()
  const app = new Koa()
  // Those that are cut end in an error each.
  app.silent = true
  let waiting = 0
  app.use(async (ctx) => {
    if (ctx.path === '/slow') {
      waiting++
      await promise
    }
    if (ctx.path === '/body') await readBody(ctx.req, parts.ledger, 1000).catch(() => {})
    ctx.body = 'done'
  })
  const server = await openServer(app, parts)
  onTestFinished(() => server.close(0))
  const waits = (count: number) =>
    vi.waitFor(() => {
      expect(waiting).toBe(count)
    }, 60_000)
  return { port: server.port, ledger: parts.ledger, waits, finish: resolve }
}

const isOpen = (socket: Socket) => !socket.closed && !socket.readableEnded

describe('connections at the limit', () => {
  test('the one that never asked goes first, then the one that has been idle longest', async () => {
    const { port, ledger } = await serve({ maxConnections: 3 })
    const [older, newer] = [await connectTo(port), await connectTo(port)]
    const silent = await connectTo(port)
    for (const socket of [older, newer]) expect((await exchangeOn(socket, get('/'))).status).toBe(200)
    const next = await connectTo(port)
    await closed(silent)
    expect((await exchangeOn(next, get('/'))).status).toBe(200)
    await connectTo(port)
    await closed(older)
    expect([newer, next].every(isOpen)).toBe(true)
    expect(ledger.counts()).toMatchObject({ connections: { lookup: 3 }, closed: { 'made-room': 2 } })
  })

  test('none with a request under way is closed; the new one is, and counts', async () => {
    const { port, ledger, waits, finish } = await serve({ maxConnections: 2 })
    const busy = [await connectTo(port), await connectTo(port)]
    const answers = busy.map((socket) => exchangeOn(socket, get('/slow')))
    await waits(2)
    await closed(await connectTo(port))
    expect(ledger.counts().closed['no-room']).toBe(1)
    finish()
    for (const answer of answers) expect((await answer).status).toBe(200)
  })

  test('one whose body does not come to its end is closed when there is none idle', async () => {
    await using served = await serveRing({ limits: { maxConnections: 2 } })
    const { port } = served.server
    const half = request('POST', '/v1/owners', { 'Content-Type': 'application/json', 'Content-Length': '99' })
    const stuck = [await connectTo(port), await connectTo(port)]
    for (const socket of stuck) socket.write(`${half}{`)
    await expect.poll(() => served.ledger.counts().heldBytes.body).toBe(2)
    expect((await exchange(port, get('/v1/owner?key=a'))).status).toBe(200)
    await expect.poll(() => stuck.filter(isOpen).length).toBe(1)
  })

  test('the address that has most gives way: nobody shuts others out, and a proxy keeps its half', async () => {
    const { port } = await serve({ maxConnections: 20 })
    const proxy: Socket[] = []
    for (let i = 0; i < 20; i++) {
      const socket = await connectTo(port, { localAddress: '127.0.0.2' })
      await exchangeOn(socket, get('/'))
      proxy.push(socket)
    }
    for (let i = 0; i < 200; i++) await connectTo(port, { localAddress: '127.0.0.3' })
    expect((await exchange(port, get('/'))).status).toBe(200)
    await expect.poll(() => proxy.filter(isOpen).length).toBeLessThan(11)
    expect(proxy.filter(isOpen).length).toBeGreaterThanOrEqual(9)
    // The newest are kept.
    expect(isOpen(proxy[19] as Socket)).toBe(true)
    expect((await exchangeOn(proxy[19] as Socket, get('/'))).status).toBe(200)
  })

  test('a flood from the address of everybody leaves room for each new request', async () => {
    const { port } = await serve({ maxConnections: 10 })
    for (let i = 0; i < 100; i++) await connectTo(port)
    for (let i = 0; i < 20; i++) expect((await exchange(port, get('/'))).status).toBe(200)
  })
})

describe('unfinished heads', () => {
  const LIMITS = { maxHeaderBytes: 64 * 1024, maxHeldHeadBytes: 256 * 1024 }
  const partOfHead = `GET /?key=${'a'.repeat(30_000)}`

  test.each([
    ['on new connections', ''],
    ['after a request that was answered', get('/')],
    ['behind a body', request('POST', '/', {}, 'body')],
    [
      'behind a body in chunks',
      request('POST', '/', { 'Transfer-Encoding': 'chunked' }) + '4\r\nbody\r\n0\r\n\r\n',
    ],
    ['behind a request that is not answered yet', get('/slow')],
  ])('%s stay within their bound, and others are answered', async (_, before) => {
    const { port, ledger, finish } = await serve(LIMITS)
    const sockets: Socket[] = []
    let mostBytes = 0
    for (let i = 0; i < 60; i++) {
      const socket = await connectTo(port)
      socket.resume()
      socket.write(before + partOfHead)
      sockets.push(socket)
      expect((await exchange(port, get('/'))).status).toBe(200)
      mostBytes = Math.max(mostBytes, ledger.counts().heldBytes.head)
    }
    await expect.poll(() => ledger.counts().closed['unfinished-heads']).toBeGreaterThan(40)
    expect(mostBytes).toBeLessThanOrEqual(LIMITS.maxHeldHeadBytes)
    await expect.poll(() => sockets.filter(isOpen).length).toBeLessThanOrEqual(8)
    finish()
  })

  test.each([
    ['large ones', get(`/slow?key=${'a'.repeat(30_000)}`), 8],
    // Four are under way on each, 4 KiB and a head.
    ['many small ones on each connection', get('/slow').repeat(32), 15],
    [
      'large ones whose bodies do not come',
      request('POST', '/body', { 'Content-Length': '2', 'X-Large': 'a'.repeat(30_000) }),
      8,
    ],
  ])('of requests that are not answered yet count too: %s', async (_, waiting, mostOpen) => {
    const { port, ledger, finish } = await serve(LIMITS)
    const sockets: Socket[] = []
    for (let i = 0; i < 60; i++) {
      const socket = await connectTo(port)
      socket.resume()
      socket.write(waiting)
      sockets.push(socket)
      expect((await exchange(port, get('/'))).status).toBe(200)
      expect(ledger.counts().heldBytes.head).toBeLessThanOrEqual(LIMITS.maxHeldHeadBytes)
    }
    await expect.poll(() => sockets.filter(isOpen).length).toBeLessThanOrEqual(mostOpen)
    finish()
    for (const socket of sockets.filter(isOpen)) socket.destroy()
    await expect.poll(() => ledger.counts().heldBytes.head).toBe(0)
  })

  test('whole requests count as nothing, whatever their size', async () => {
    const { port, ledger } = await serve(LIMITS)
    const sockets = await Promise.all(Array.from({ length: 60 }, () => connectTo(port)))
    for (const socket of sockets) {
      expect((await exchangeOn(socket, get(`/?key=${'a'.repeat(15_000)}`))).status).toBe(200)
      expect((await exchangeOn(socket, request('POST', '/', {}, 'b'.repeat(20_000)))).status).toBe(200)
    }
    expect(ledger.counts()).toMatchObject({ heldBytes: { head: 0 }, closed: { 'unfinished-heads': 0 } })
    expect(sockets.every(isOpen)).toBe(true)
  })

  test('behind a large head the connection ends, because the parser keeps what it read last', async () => {
    const { port } = await serve(LIMITS)
    const socket = await connectTo(port)
    const answer = await exchangeOn(socket, get(`/?key=${'a'.repeat(17_000)}`))
    expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close'])
    await closed(socket)
  })
})

describe('answers that wait for their readers', () => {
  const members = Array.from({ length: 1500 }, (_, i) =>
    fakeMember(`member-${i}`, `10.0.${i >> 8}.${i & 255}`),
  )
  const MIB = 1024 * 1024

  /** Opens readers that take nothing, and asks until nothing more may wait. */
  async function fill(served: ServedRing): Promise<Socket[]> {
    const deaf: Socket[] = []
    let heldBytes = 0
    for (let i = 0; i < 1000; i++) {
      const last = deaf.at(-1)
      const { answer } = served.ledger.counts().heldBytes
      // What the system takes has to be filled first, one answer after the other.
      if (last === undefined || answer > heldBytes) {
        heldBytes = answer
        const socket = await connectTo(served.server.port)
        socket.pause()
        deaf.push(socket)
      }
      deaf.at(-1)?.write(get('/v1/ring'))
      if ((await exchange(served.server.port, get('/v1/ring'))).status === 503) return deaf
    }
    return expect.fail('the bound was not reached')
  }

  test('stay within one bound; above it large answers are 503, and look-ups go on', async () => {
    await using served = await serveRing({ members, limits: { maxWaitingAnswerBytes: MIB } })
    const { port } = served.server
    await fill(served)
    expect(served.ledger.counts().heldBytes.answer).toBeLessThanOrEqual(MIB)
    const refused = await exchange(port, get('/v1/ring'))
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(JSON.parse(refused.body)).toMatchObject({ code: 'OVERLOADED' })
    for (let i = 0; i < 20; i++) expect((await exchange(port, get(`/v1/owner?key=${i}`))).status).toBe(200)
  })

  test('are cut when none is taken for the time, and the room is free again', async () => {
    let aheadMs = 0
    const clock = { ...systemClock, now: () => systemClock.now() + aheadMs }
    await using served = await serveRing({ members, clock, limits: { maxWaitingAnswerBytes: MIB } })
    await fill(served)
    await vi.waitFor(
      () => {
        aheadMs += 1000
        expect(served.ledger.counts().heldBytes.answer).toBe(0)
      },
      { timeout: 60_000 },
    )
    expect(served.ledger.counts().closed['slow-reader']).toBeGreaterThan(0)
    expect((await exchange(served.server.port, get('/v1/ring'))).status).toBe(200)
  })

  test('a reader that is slow and takes something is left alone', async () => {
    // Time goes on as the reader takes: a process that stands still is no slow reader.
    let nowMs = 0
    const clock = { ...systemClock, now: () => nowMs }
    await using served = await serveRing({ members, clock, limits: { slowReaderMs: 300 } })
    const slow = await connectTo(served.server.port)
    const length = (await exchange(served.server.port, get('/v1/members'))).body.length
    slow.pause()
    const COUNT = 6
    for (let n = 0; n < COUNT; n++) slow.write(get('/v1/members'))
    let taken = 0
    const timer = setInterval(() => {
      nowMs += 5
      taken += (slow.read() as string | null)?.length ?? 0
    }, 5)
    await expect.poll(() => taken).toBeGreaterThan(COUNT * length * 0.98)
    clearInterval(timer)
    expect(served.ledger.counts().closed['slow-reader']).toBe(0)
  })

  test('small ones of a client that only asks count too, and end in its cut', async () => {
    await using served = await serveRing({ limits: { maxWaitingAnswerBytes: 2000 } })
    const deaf = await connectTo(served.server.port)
    deaf.pause()
    const asked = get('/v1/owner?key=a').repeat(1000)
    for (let i = 0; i < 100 && served.ledger.counts().closed['answers-waiting'] === 0; i++) {
      deaf.write(asked)
      expect((await exchange(served.server.port, get('/v1/owner?key=a'))).status).toBe(200)
      expect(served.ledger.counts().heldBytes.answer).toBeLessThanOrEqual(2000)
    }
    await closed(deaf)
    expect(served.ledger.counts()).toMatchObject({
      heldBytes: { answer: 0 },
      closed: { 'answers-waiting': 1 },
    })
  })
})

describe('connectionsWithin', () => {
  test.each([
    [4096, { open: 30, max: 1_048_576 }, 4096],
    [4096, { open: 30, max: 256 }, 113],
    [100, { open: 30, max: 256 }, 100],
    [100, { open: 30, max: 31 }, 1],
    [100, { open: 30, max: 10 }, 1],
    [100, { open: undefined, max: 256 }, 100],
    [100, { open: 30, max: undefined }, 100],
  ])('%i configured, %o: %i', (configured, descriptors, limit) => {
    expect(connectionsWithin(configured, descriptors)).toBe(limit)
  })

  test('where each may take three', () => {
    expect(connectionsWithin(4096, { open: 30, max: 256 }, 3)).toBe(37)
  })
})

describe('limitsWithin', () => {
  const MIB = 1024 * 1024

  test.each([
    ['the chart gives', 320, { body: 32, head: 16, answer: 32 }],
    ['a large machine has', 65_536, { body: 32, head: 16, answer: 32 }],
    ['half of it is', 160, { body: 16, head: 8, answer: 16 }],
    ['next to nothing is', 5, { body: 2, head: 0.5, answer: 2 }],
  ])('of the memory that %s, %i MiB', (_, memoryMib, { body, head, answer }) => {
    expect(limitsWithin(DEFAULT_HTTP_LIMITS, memoryMib * MIB)).toEqual({
      ...DEFAULT_HTTP_LIMITS,
      maxHeldBodyBytes: body * MIB,
      maxHeldHeadBytes: head * MIB,
      maxWaitingAnswerBytes: answer * MIB,
    })
  })
})

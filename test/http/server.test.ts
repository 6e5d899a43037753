import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import Koa from 'koa'
import type { HttpLimits } from '../../src/http/limits.ts'
import { openServer, serve as serveHandlers, type Handlers } from '../../src/http/server.ts'
import { freePort } from '../support/free-port.ts'
import { httpParts } from '../support/http-parts.ts'
import { listening } from '../support/listening.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import {
  closed,
  collect,
  connectTo,
  dial,
  exchange,
  exchangeOn,
  get,
  request,
  tryParse,
} from './raw-client.ts'
import { serveRing } from './running-ring.ts'

async function serve(middleware: Koa.Middleware, limits: Partial<HttpLimits> = {}, host = '127.0.0.1') {
  const app = new Koa()
  app.silent = true
  app.use(middleware)
  const server = await openServer(app, { ...httpParts({ limits }), host, port: await freePort() })
  onTestFinished(() => server.close(0))
  return server
}

/** Everything that comes on a connection until it ends. */
async function readToEnd(socket: Socket): Promise<string> {
  const received = collect(socket)
  await closed(socket)
  return received.text
}

const hello: Koa.Middleware = (ctx) => {
  ctx.body = 'hello'
}

describe('what is no HTTP', () => {
  const waits: ((res: ServerResponse) => void)[] = []
  const slow = () =>
    serveHandlers({ request: (_, res) => waits.shift()?.(res) }, { ...httpParts(), host: '127.0.0.1' })

  test('is refused after the answers to what came before it', async () => {
    const answers = [Promise.withResolvers<ServerResponse>(), Promise.withResolvers<ServerResponse>()]
    waits.push(...answers.map(({ resolve }) => resolve))
    const server = await slow()
    onTestFinished(() => server.close(0))
    const socket = await connectTo(server.port)
    const all = readToEnd(socket)
    socket.write(`${get('/1')}${get('/2')}garbage\r\n\r\n`)
    const [first, second] = await Promise.all(answers.map(({ promise }) => promise))
    socket.write('more of it\r\n\r\n')
    second?.end('two')
    // The refusal must not overtake them while they wait.
    expect(await Promise.race([all, new Promise((resolve) => setImmediate(resolve, 'waits'))])).toBe('waits')
    first?.end('one')
    const text = await all
    expect(text.match(/HTTP\/1\.1 \d+|one|two/g)).toEqual([
      'HTTP/1.1 200',
      'one',
      'HTTP/1.1 200',
      'two',
      'HTTP/1.1 400',
    ])
  })

  test('is refused in the place of the answer to the request whose body it is', async () => {
    const server = await slow()
    onTestFinished(() => server.close(0))
    const socket = await connectTo(server.port)
    const all = readToEnd(socket)
    socket.write(`${request('POST', '/', { 'Transfer-Encoding': 'chunked' })}garbage\r\n`)
    expect(await all).toMatch(/^HTTP\/1\.1 400 /)
  })
})

describe('openServer', () => {
  test('takes a free port and says where it listens', async () => {
    const server = await serve(hello)
    expect(server.port).toBeGreaterThan(0)
    expect([server.address, server.url]).toEqual(['127.0.0.1', `http://127.0.0.1:${server.port}`])
    expect((await exchange(server.port, get('/'))).body).toBe('hello')
  })

  test('brackets an IPv6 address', async ({ skip }) => {
    const server = await serve(hello, {}, '::1').catch(() => undefined)
    if (server === undefined) return skip('there is no IPv6 here')
    expect(server.url).toBe(`http://[::1]:${server.port}`)
    return undefined
  })

  test('says which address it could not have', async () => {
    const { port } = await listening(createServer())
    const opening = openServer(new Koa(), { ...httpParts(), port })
    await expect(opening).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: expect.stringContaining(`127.0.0.1:${port}`),
      detail: { host: '127.0.0.1', port, reason: 'EADDRINUSE' },
    })
  })
})

describe('close', () => {
  test('lets a request under way finish, and says that the connection ends', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    const server = await serve(async (ctx) => {
      arrived.resolve()
      await promise
      ctx.body = 'late'
    })
    const answering = exchange(server.port, get('/'))
    await arrived.promise
    const closing = server.close(10_000)
    await expect(dial(server.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    resolve()
    const answer = await answering
    expect([answer.body, answer.headers.get('connection')]).toEqual(['late', 'close'])
    await closing
  })

  test('ends idle connections and those that never spoke, at once', async () => {
    const server = await serve(hello)
    const idle = await connectTo(server.port)
    await exchangeOn(idle, get('/'))
    const silent = await connectTo(server.port)
    await vi.waitFor(async () => {
      // The silent one has been taken when a later one has been answered.
      expect((await exchange(server.port, get('/'))).status).toBe(200)
    }, 60_000)
    // Longer than this test may take.
    await server.close(60_000)
    await Promise.all([closed(idle), closed(silent)])
  })

  test('cuts what has not finished when the grace is over, and can be called twice', async () => {
    const arrived = Promise.withResolvers<void>()
    const server = await serve(async () => {
      arrived.resolve()
      await new Promise(() => {})
    })
    const socket = await connectTo(server.port)
    socket.write(get('/'))
    await arrived.promise
    const startedMs = performance.now()
    await Promise.all([server.close(100), server.close(60_000)])
    expect(performance.now() - startedMs).toBeGreaterThan(90)
    await closed(socket)
  })

  test('cuts a half-sent request when the grace is over', async () => {
    const server = await serve(hello)
    const socket = await connectTo(server.port)
    socket.write('GET / HTTP/1.1\r\nHost:')
    await exchange(server.port, get('/'))
    await server.close(50)
    await closed(socket)
  })
})

describe('limits', () => {
  test('a header that does not come is 408 after its time', async () => {
    const server = await serve(hello, { headersTimeoutMs: 200, requestTimeoutMs: 200 })
    const slow = await connectTo(server.port)
    slow.write('GET / HTTP/1.1\r\nHost: a\r\nX')
    const drip = setInterval(() => {
      slow.write('x')
    }, 20)
    const received = await readToEnd(slow)
    clearInterval(drip)
    expect(received).toMatch(/^HTTP\/1\.1 408 /)
  })

  test('a connection that never speaks is ended', async () => {
    const server = await serve(hello, { headersTimeoutMs: 200, requestTimeoutMs: 200 })
    const silent = await connectTo(server.port)
    await closed(silent)
  })

  test('half a body is ended after its time, and what was held is given back', async () => {
    await using served = await serveRing({
      limits: { headersTimeoutMs: 200, requestTimeoutMs: 300, maxBodyBytes: 1000, maxHeldBodyBytes: 1000 },
    })
    const batch = request(
      'POST',
      '/v1/owners',
      { 'Content-Type': 'application/json' },
      `{"keys":["${'a'.repeat(600)}"]}`,
    )
    const halves: Socket[] = []
    // A process that stands still for as long as half a body has takes another one.
    await vi.waitFor(async () => {
      const half = await connectTo(served.server.port)
      halves.push(half)
      half.write(
        request('POST', '/v1/owners', { 'Content-Type': 'application/json', 'Content-Length': '1000' }) +
          'x'.repeat(500),
      )
      expect((await exchange(served.server.port, batch)).status).toBe(503)
    }, 60_000)
    await Promise.all(halves.map(closed))
    expect((await exchange(served.server.port, batch)).status).toBe(200)
  })

  test('a whole body takes the room of the unfinished one that holds most', async () => {
    await using served = await serveRing({ limits: { maxBodyBytes: 1000, maxHeldBodyBytes: 1000 } })
    const headers = { 'Content-Type': 'application/json', 'Content-Length': '1000' }
    const [small, large] = [await connectTo(served.server.port), await connectTo(served.server.port)]
    small.write(request('POST', '/v1/owners', headers) + 'x'.repeat(100))
    large.write(request('POST', '/v1/owners', headers) + 'x'.repeat(800))
    await expect.poll(() => served.ledger.counts().heldBytes.body).toBe(900)
    const body = `{"keys":["${'a'.repeat(300)}"]}`
    const batch = request('POST', '/v1/owners', { 'Content-Type': 'application/json' }, body)
    expect((await exchange(served.server.port, batch)).status).toBe(200)
    await closed(large)
    expect(served.ledger.counts()).toMatchObject({
      heldBytes: { body: 100 },
      closed: { 'unfinished-bodies': 1 },
    })
  })

  test('an idle connection is ended after its time', async () => {
    const server = await serve(hello, { keepAliveTimeoutMs: 100 })
    const idle = await connectTo(server.port)
    await exchangeOn(idle, get('/'))
    await closed(idle)
  })

  test('one that takes no answer is ended after its time', async () => {
    const ended = Promise.withResolvers<number>()
    const server = await serve(
      (ctx) => {
        const startedMs = performance.now()
        ctx.res.on('close', () => {
          ended.resolve(performance.now() - startedMs)
        })
        ctx.body = Buffer.alloc(64 * 1024 * 1024)
      },
      { socketTimeoutMs: 300 },
    )
    const deaf = await connectTo(server.port)
    deaf.pause()
    deaf.write(get('/'))
    expect(await ended.promise).toBeGreaterThan(250)
  })

  test('a header above the limit is 431, one at a key of 64 KiB goes through', async () => {
    await using served = await serveRing()
    const key = '%41'.repeat(65_536)
    expect((await exchange(served.server.port, get(`/v1/owner?key=${key}`))).status).toBe(200)
    const socket = await connectTo(served.server.port)
    socket.write(get(`/v1/owner?key=${'%41'.repeat(100_000)}`))
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('a body above the limit is refused before it is sent, and while it is', async () => {
    await using served = await serveRing({ limits: { maxBodyBytes: 1000 } })
    const head = { 'Content-Type': 'application/json' }
    const expecting = request('POST', '/v1/owners', {
      ...head,
      'Content-Length': '100000000',
      Expect: '100-continue',
    })
    const early = await exchange(served.server.port, expecting)
    expect([early.status, early.headers.get('connection')]).toEqual([413, 'close'])
    const socket = await connectTo(served.server.port)
    const chunk = `${(1000).toString(16)}\r\n${'x'.repeat(1000)}\r\n`
    const answering = exchangeOn(
      socket,
      request('POST', '/v1/owners', { ...head, 'Transfer-Encoding': 'chunked' }) + chunk + chunk,
    )
    // It goes on sending for ever; the answer comes, and then the end of the connection.
    const sending = setInterval(() => {
      socket.write(chunk)
    }, 5)
    expect((await answering).status).toBe(413)
    await closed(socket)
    clearInterval(sending)
  })

  test('a small body that is expected to be let through is', async () => {
    await using served = await serveRing()
    const socket = await connectTo(served.server.port)
    const body = '{"keys":["a"]}'
    const received = collect(socket)
    socket.write(
      request('POST', '/v1/owners', {
        'Content-Type': 'application/json',
        'Content-Length': String(body.length),
        Expect: '100-continue',
      }),
    )
    await expect.poll(() => received.text).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    received.text = ''
    socket.write(body)
    await expect.poll(() => tryParse(received.text, false, false)?.status).toBe(200)
  })

  test.each([
    ['nonsense', 'nonsense\r\n\r\n', 400],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
    [
      'a length and chunks',
      request('POST', '/', { 'Content-Length': '1', 'Transfer-Encoding': 'chunked' }),
      400,
    ],
  ])('%s is refused', async (_, bytes, status) => {
    const server = await serve(hello)
    expect((await exchange(server.port, bytes)).status).toBe(status)
  })
})

describe('a server with handlers of its own', () => {
  async function handled(handlers: Handlers, limits: Partial<HttpLimits> = {}, clock?: VirtualClock) {
    const parts = httpParts({ limits, clock })
    const server = await serveHandlers(handlers, parts)
    onTestFinished(() => server.close(0))
    return { server, ...parts }
  }

  /** Says `open` with what came behind the head, then whatever comes, in brackets. */
  const upgrade: Handlers['upgrade'] = (_, socket, head) => {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`)
    if (head.length > 0) socket.write(head)
    socket.on('data', (data: Buffer) => socket.write(data)).on('end', () => socket.end())
  }
  const request101 = request('GET', '/', { Connection: 'Upgrade', Upgrade: 'echo' })
  const afterHead = (received: string) => received.split('\r\n\r\n').slice(1).join('\r\n\r\n')

  test.each([
    ['with its first bytes', 0],
    ['while others come first', 1000],
  ])('gives an upgraded connection away, %s, and loses nothing', async (_, heldUnits) => {
    const { server, ledger } = await handled({ request: (__, res) => res.end(), upgrade })
    const socket = await connectTo(server.port)
    const received = collect(socket)
    ledger.intake.charge(heldUnits)
    // So many line ends make pieces that are parsed one by one.
    const first = `${'line\n\n'.repeat(2000)}end of the first`
    socket.write(request101 + first)
    await expect.poll(() => afterHead(received.text)).toBe(first)
    for (let at = 0; at < 50; at++) socket.write(`part ${at} `)
    await expect.poll(() => received.text.endsWith('part 49 ')).toBe(true)
    expect(ledger.counts()).toMatchObject({ connections: { lookup: 1 }, heldBytes: { head: 0 } })
    socket.destroy()
    await expect.poll(() => ledger.counts().connections).toEqual({ lookup: 0 })
  })

  test.each([
    ['to HTTP/2, as Java’s client does', 'GET', { Upgrade: 'h2c' }, ''],
    ['to HTTP/2 with a body', 'POST', { Upgrade: 'h2c' }, 'hello'],
    ['with a body', 'POST', { Upgrade: 'echo' }, 'hello'],
    [
      'with a body in chunks',
      'POST',
      { Upgrade: 'echo', 'Transfer-Encoding': 'chunked' },
      '5\r\nhello\r\n0\r\n\r\n',
    ],
  ])('answers an upgrade %s as if it were none', async (_, method, headers, body) => {
    const { server } = await handled({ request: (req, res) => void req.pipe(res), upgrade })
    const sent =
      'Transfer-Encoding' in headers
        ? request(method, '/', { Connection: 'Upgrade', ...headers }) + body
        : request(method, '/', { Connection: 'Upgrade', ...headers }, body)
    const answer = await exchange(server.port, sent)
    expect([answer.status, answer.body]).toEqual([200, body === '' ? '' : 'hello'])
  })

  test('ignores what a request of HTTP/1.0 says of an upgrade', async () => {
    const { server } = await handled({ request: (_, res) => res.end('plain'), upgrade })
    const old = request('GET', '/', { Connection: 'Upgrade', Upgrade: 'echo' }).replace(
      'HTTP/1.1',
      'HTTP/1.0',
    )
    expect(await exchange(server.port, old)).toMatchObject({ status: 200, body: 'plain' })
  })

  test.each(['h2c', 'echo'])(
    'ends the connection after an upgrade to %s that it ignores where more was read with it, as Node drops that',
    async (protocol) => {
      const { server } = await handled({ request: (_, res) => res.end('plain') })
      const socket = await connectTo(server.port)
      const all = readToEnd(socket)
      socket.write(`${request('GET', '/', { Connection: 'Upgrade', Upgrade: protocol })}${get('/next')}`)
      expect(await all).toMatch(/^HTTP\/1\.1 200 OK\r\nConnection: close\r\n[^]*plain$/i)
    },
  )

  test('answers an upgrade behind a request that waits for its answer after that, as if it were none', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    const answer: Handlers['request'] = (req, res) => {
      void held.then(() => res.end(`answer to ${req.url}`))
    }
    const { server } = await handled({ request: answer, upgrade })
    const socket = await connectTo(server.port)
    const received = collect(socket)
    socket.write(get('/first') + request101)
    release()
    await expect.poll(() => received.text).toMatch(/answer to \/first[^]*answer to \/$/)
    expect(received.text).not.toContain('101')
  })

  test('counts upgraded connections, makes no room by them, and ends them with the grace', async () => {
    const clock = new VirtualClock()
    const { server } = await handled(
      { request: (_, res) => res.end('hello'), upgrade },
      { maxConnections: 2 },
      clock,
    )
    const first = await connectTo(server.port)
    const upgraded = [first, await connectTo(server.port)]
    for (const socket of upgraded) {
      socket.write(`${request101}ready`)
      await vi.waitFor(async () => {
        const [part] = (await once(socket, 'data')) as [string]
        expect(part).toContain('ready')
      }, 60_000)
    }
    await expect(exchange(server.port, get('/'))).rejects.toThrow()
    const over = server.close(200)
    await clock.advance(199)
    const echoed = once(first, 'data')
    first.write('still here')
    expect(await echoed).toEqual(['still here'])
    await clock.advance(1)
    await over
    await Promise.all(upgraded.map(closed))
  })

  test('reads a body no faster than it is taken, however busy it is', async () => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<IncomingMessage>()
    const { server, ledger } = await handled(
      {
        request: (body) => {
          ask(body)
        },
      },
      { requestTimeoutMs: 0 },
    )
    let busy = true
    const keepBusy = () => {
      ledger.intake.charge(1000)
      if (busy) ledger.intake.wait(keepBusy)
    }
    keepBusy()
    const socket = await connectTo(server.port)
    const bytes = 64 * 1024 * 1024
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`)
    socket.write(Buffer.alloc(bytes))
    const body = await asked
    const sentBytes = () => socket.bytesWritten - socket.writableLength
    let before = -1
    await vi.waitFor(
      () => {
        const now = body.readableLength
        const rests = now === before
        before = now
        expect(rests).toBe(true)
      },
      { timeout: 60_000, interval: 500 },
    )
    expect(body.readableLength).toBeLessThan(1024 * 1024)
    expect(sentBytes()).toBeLessThan(bytes)
    busy = false
    let received = 0
    for await (const part of body) received += (part as Buffer).length
    expect(received).toBe(bytes)
  })
})

import { on } from 'node:events'
import type { Socket } from 'node:net'
import Koa from 'koa'
import { describe, expect, onTestFinished, test } from 'vitest'
import { firstPiece, Intake } from '../../src/http/intake.ts'
import { openServer } from '../../src/http/server.ts'
import { httpParts } from '../support/http-parts.ts'
import { connectTo, exchange, get, request } from './raw-client.ts'

/** A server that answers at once with the path, and tells how many requests came in each turn of the loop. */
async function serve({ holdPath }: { readonly holdPath?: string } = {}) {
  const parts = httpParts()
  const app = new Koa()
  app.silent = true
  const perTurn: number[] = []
  let inTurn = 0
  let mostUnderWay = 0
  let underWay = 0
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  app.use(async (ctx) => {
    if (inTurn === 0) {
      setImmediate(() => {
        perTurn.push(inTurn)
        inTurn = 0
      })
    }
    inTurn++
    mostUnderWay = Math.max(mostUnderWay, ++underWay)
    if (ctx.path === holdPath) await held
    for await (const _ of ctx.req) {
      // A body is read to its end.
    }
    underWay--
    ctx.body = ctx.path
  })
  const server = await openServer(app, parts)
  onTestFinished(() => server.close(0))
  return {
    port: server.port,
    ledger: parts.ledger,
    connections: parts.connections,
    perTurn,
    release,
    mostUnderWay: () => mostUnderWay,
  }
}

/** Paths of the answers, in their order, until there are so many. */
async function answersOf(socket: Socket, count: number): Promise<string[]> {
  let received = ''
  const paths = () => Array.from(received.matchAll(/\r\n\r\n(\/\d*)/g), ([, path]) => path ?? '')
  for await (const [part] of on(socket, 'data', { close: ['close'] })) {
    received += String(part)
    if (paths().length >= count) break
  }
  return paths()
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `/${i}`)
const requests = (count: number) =>
  numbered(count)
    .map((path) => get(path))
    .join('')

describe('requests sent at once', () => {
  test('on one connection are answered in order, few in each turn and few at a time', async () => {
    const { port, perTurn, mostUnderWay } = await serve()
    const socket = await connectTo(port)
    const paths = numbered(5000)
    socket.write(paths.map((path) => get(path)).join(''))
    expect(await answersOf(socket, paths.length)).toEqual(paths)
    expect(Math.max(...perTurn)).toBeLessThan(150)
    expect(mostUnderWay()).toBeLessThan(8)
  })

  test('behind many that wait for their answers stay with the system after one read', async () => {
    const { port, connections, release } = await serve({ holdPath: '/held' })
    const socket = await connectTo(port)
    socket.write(get('/held').repeat(40) + requests(5000))
    for (let i = 0; i < 100; i++) await exchange(port, get('/other', { Connection: 'close' }))
    const [held] = connections.sockets
    expect(held?.bytesRead).toBeLessThanOrEqual(64 * 1024)
    release()
    expect(await answersOf(socket, 5040)).toHaveLength(5040)
  })

  test('with bodies of both kinds are told apart as if each came alone', async () => {
    const { port } = await serve()
    const socket = await connectTo(port)
    const paths = numbered(600)
    const bytes = paths.map((path, i) => {
      if (i % 3 === 0) return get(path)
      if (i % 3 === 1) return request('POST', path, {}, 'GET /no HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20))
      return `${request('POST', path, { 'Transfer-Encoding': 'chunked' })}${'2\r\n\r\n\r\n'.repeat(300)}0\r\n\r\n`
    })
    socket.write(bytes.join(''))
    expect(await answersOf(socket, paths.length)).toEqual(paths)
  })

  test('on many connections are spread over turns', async () => {
    const { port, perTurn } = await serve()
    const sockets = await Promise.all(Array.from({ length: 300 }, () => connectTo(port)))
    const answers = sockets.map((socket) => answersOf(socket, 10))
    for (const socket of sockets) socket.write(requests(10))
    for (const answer of answers) expect(await answer).toEqual(numbered(10))
    expect(Math.max(...perTurn)).toBeLessThan(150)
  })

  test('are all answered to a client that ends its side behind them', async () => {
    const { port } = await serve()
    const socket = await connectTo(port, { allowHalfOpen: true })
    socket.end(requests(1000))
    expect(await answersOf(socket, 1000)).toEqual(numbered(1000))
  })

  test('wait behind one that is not answered yet, without being held in great number', async () => {
    const { port, ledger, release, mostUnderWay } = await serve({ holdPath: '/0' })
    const socket = await connectTo(port)
    const paths = numbered(6000)
    socket.write(paths.map((path) => get(path)).join(''))
    await expect.poll(() => ledger.counts().heldBytes.head).toBeGreaterThan(0)
    for (let i = 0; i < 20; i++) expect((await exchange(port, get('/1'))).status).toBe(200)
    expect(mostUnderWay()).toBeLessThan(8)
    // One read of the system's is 64 KiB; of 7 requests under way each counts 4 KiB besides its head.
    expect(ledger.counts().heldBytes.head).toBeLessThanOrEqual(128 * 1024 + 7 * 4200)
    release()
    expect(await answersOf(socket, paths.length)).toEqual(paths)
    expect(ledger.counts().heldBytes.head).toBe(0)
  })

  test('come to nothing with their connection, and nothing of them is held', async () => {
    const { port, ledger, release } = await serve({ holdPath: '/0' })
    const socket = await connectTo(port)
    socket.write(requests(5000))
    await expect.poll(() => ledger.counts().heldBytes.head).toBeGreaterThan(0)
    socket.resetAndDestroy()
    release()
    await expect
      .poll(() => ledger.counts())
      .toMatchObject({ connections: { lookup: 0 }, heldBytes: { head: 0 } })
  })
})

test('bytes that wait for their turn count among unfinished heads, and are bounded with them', async () => {
  const parts = httpParts({ limits: { maxHeaderBytes: 64 * 1024, maxHeldHeadBytes: 256 * 1024 } })
  const app = new Koa()
  app.silent = true
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  app.use(async (ctx) => {
    if (ctx.path === '/hold') await held
    ctx.body = 'done'
  })
  const server = await openServer(app, parts)
  onTestFinished(() => server.close(0))
  onTestFinished(() => {
    release()
  })
  for (let i = 0; i < 20; i++) {
    const socket = await connectTo(server.port)
    socket.write(get('/hold') + get('/').repeat(2000))
  }
  await expect.poll(() => parts.ledger.counts().closed['unfinished-heads']).toBeGreaterThan(10)
  expect(parts.ledger.counts().heldBytes.head).toBeLessThanOrEqual(256 * 1024)
  expect((await exchange(server.port, get('/'))).status).toBe(200)
})

describe('firstPiece', () => {
  const HEAD = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

  test.each([
    ['one request', HEAD, 0, { bytes: HEAD.length, cost: 1 }],
    ['part of a head', 'GET', 0, { bytes: 3, cost: 1 }],
    ['as many requests as are taken at once', HEAD.repeat(100), 0, { bytes: 4 * HEAD.length, cost: 4 }],
    ['a body of known length', '\n'.repeat(32 * 1024), 32 * 1024, { bytes: 32 * 1024, cost: 3 }],
    [
      'requests behind a body',
      `${'\n'.repeat(99)}${HEAD.repeat(3)}`,
      99,
      { bytes: 99 + 3 * HEAD.length, cost: 3 },
    ],
    ['a body in small chunks', '1\r\na\r\n'.repeat(5000), 0, { bytes: 768, cost: 16 }],
    ['a head of many lines', `${'a: b\r\n'.repeat(300)}\r\n`, 0, { bytes: 256 * 6, cost: 16 }],
  ])('%s', (_, text, bodyBytes, piece) => {
    expect(firstPiece(Buffer.from(text), bodyBytes)).toEqual(piece)
  })
})

test('who waits is called in order, as many in a turn as it has room for', async () => {
  const intake = new Intake()
  const called: number[] = []
  const turns: number[] = []
  for (let i = 0; i < 10; i++) {
    intake.wait(() => {
      called.push(i)
      intake.charge(20)
    })
  }
  while (called.length < 10) {
    expect(intake.full).toBe(true)
    const before = called.length
    await new Promise((resolve) => setImmediate(resolve))
    turns.push(called.length - before)
  }
  expect(called).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect(Math.max(...turns)).toBe(4)
})

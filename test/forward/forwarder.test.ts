import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { json as readJson, text as readText } from 'node:stream/consumers'
import Koa from 'koa'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { Forwarder, type ForwarderSettings } from '../../src/forward/forwarder.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import type { Member } from '../../src/membership/member.ts'
import { RingService } from '../../src/service/ring-service.ts'
import { noTracer } from '../../src/tracing.ts'
import { fakeMember, FakeSource } from '../support/fake-source.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { freePort } from '../support/free-port.ts'
import { listening } from '../support/listening.ts'

const SETTINGS: ForwarderSettings = {
  key: [{ kind: 'header', name: 'x-key' }],
  networks: ['127.0.0.0/8'],
  timeoutMs: 60_000,
  whenBehind: 'wait',
  waitMs: 60_000,
}

interface Node {
  readonly name: string
  readonly port: number
  readonly server: Server
  readonly source: FakeSource
  readonly service: RingService
  readonly forwarder: Forwarder
  readonly logger: RecordingLogger
  /** What it serves; by default its name and what came. */
  serve: (req: IncomingMessage, res: ServerResponse) => void
  /** Takes in other members, and has their ring. */
  become: (members: readonly Member[]) => Promise<void>
}

/** How many connections a server has. */
function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_, count) => resolve(count)))
}

async function answerWithAll(name: string, req: IncomingMessage, res: ServerResponse) {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  res.setHeader('x-served-by', name)
  res.setHeader('set-cookie', ['a=1', 'b=2'])
  res.end(
    JSON.stringify({
      by: name,
      method: req.method,
      url: req.url,
      headers: req.headers,
      body: Buffer.concat(chunks).toString(),
    }),
  )
}

/** Members that forward, each with a server and, at first, the ring of all of them. */
async function cluster(
  names: readonly string[],
  settings: Partial<ForwarderSettings> = {},
  asKoa = false,
): Promise<Node[]> {
  const nodes = await Promise.all(
    names.map(async (name) => {
      const server = createServer()
      const { port } = await listening(server)
      return { name, server, port }
    }),
  )
  const members = nodes.map(({ name, port }) => fakeMember(name, '127.0.0.1', { servicePort: String(port) }))
  return Promise.all(
    nodes.map(async ({ name, server, port }) => {
      const source = new FakeSource(members, { selfName: name })
      const manager = new HashRingManager({ clock: systemClock, foldWindowMs: 0 })
      const logger = new RecordingLogger()
      const service = new RingService({ source, manager, logger, clock: systemClock, ringKeyMode: 'name' })
      await service.start()
      const forwarder = new Forwarder(
        { ...SETTINGS, ...settings },
        { ring: service, clock: systemClock, logger, tracer: noTracer, limits: DEFAULT_HTTP_LIMITS },
      )
      onTestFinished(async () => {
        await service.stop()
        void forwarder.close()
      })
      const node: Node = {
        name,
        port,
        server,
        source,
        service,
        forwarder,
        logger,
        serve: (req, res) => void answerWithAll(name, req, res),
        become: async (next) => {
          const { epoch } = manager.snapshot
          source.set(next)
          await expect.poll(() => manager.snapshot.epoch).toBeGreaterThan(epoch)
        },
      }
      const serve = (req: IncomingMessage, res: ServerResponse) => {
        node.serve(req, res)
      }
      if (asKoa) {
        const app = new Koa()
        app.use(forwarder.middleware)
        app.use(async (ctx) => {
          const text: Buffer[] = []
          for await (const chunk of ctx.req) text.push(chunk as Buffer)
          ctx.body = { by: name, body: Buffer.concat(text).toString() }
        })
        {
          const answer = app.callback()
          server.on('request', (req, res) => void answer(req, res))
        }
      } else server.on('request', forwarder.handler(serve))
      return node
    }),
  )
}

const memberOf = (node: Node) => fakeMember(node.name, '127.0.0.1', { servicePort: String(node.port) })

const ownerBy = (node: Node, key: string) => node.service.manager.getNode(key).name

/** A key that a member owns by a node's ring. */
function keyOf(owner: string, by: Node): string {
  for (let i = 0; ; i++) if (ownerBy(by, `key-${i}`) === owner) return `key-${i}`
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

async function ask(node: Node, key: string | undefined, init: RequestInit = {}, path = '/'): Promise<Answer> {
  const headers = new Headers(init.headers)
  if (key !== undefined) headers.set('x-key', key)
  const response = await fetch(`http://127.0.0.1:${node.port}${path}`, { ...init, headers })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

const json = ({ text }: Answer) => JSON.parse(text) as Record<string, unknown>

describe('a request', () => {
  test('is served here when this member owns its key, or it has none, and sent to the owner else', async () => {
    const [a, b] = (await cluster(['a', 'b'])) as [Node, Node]
    const [own, other] = [keyOf('a', a), keyOf('b', a)]
    expect(json(await ask(a, own))['by']).toBe('a')
    expect(json(await ask(a, undefined))['by']).toBe('a')
    const body = 'x'.repeat(300_000)
    const init = { method: 'POST', body, headers: { 'x-forwarded-for': '10.1.1.1', traceparent: 'kept' } }
    const sent = await ask(a, other, init, '/path?query=%C3%A4')
    expect(json(sent)).toMatchObject({
      by: 'b',
      method: 'POST',
      url: '/path?query=%C3%A4',
      body,
      headers: {
        host: `127.0.0.1:${a.port}`,
        'x-key': other,
        'x-forwarded-for': '10.1.1.1, 127.0.0.1',
        traceparent: 'kept',
        'ringman-hops': '1',
        'ringman-digests': a.service.manager.digests.join(','),
      },
    })
    expect(Number((json(sent)['headers'] as Record<string, string>)['ringman-time-left'])).toBeGreaterThan(
      4000,
    )
    expect([sent.headers.get('x-served-by'), sent.headers.getSetCookie()]).toEqual(['b', ['a=1', 'b=2']])
    expect(a.service.ownership.forwards).toMatchObject({ served: 1, forwarded: 1, failed: 0 })
    expect(b.service.ownership.forwards).toMatchObject({ served: 1 })
    expect(b.service.ownership.checks.mine).toBe(1)
  })

  test('finds its key by a function, a path, a query', async () => {
    const [a] = (await cluster(['a', 'b'], { key: (req) => req.url?.split('/')[2] })) as [Node, Node]
    for (const name of ['a', 'b']) {
      expect(json(await ask(a, undefined, {}, `/rooms/${keyOf(name, a)}/x`))['by']).toBe(name)
    }
    const refused = await ask(a, undefined, {}, `/rooms/${'x'.repeat(70_000)}`).catch(
      (error: unknown) => error,
    )
    expect(refused).toMatchObject({ status: expect.any(Number) as number })
  })

  test('has statuses without bodies, HEAD and 304 come as they are', async () => {
    const [a, b] = (await cluster(['a', 'b'])) as [Node, Node]
    const other = keyOf('b', a)
    b.serve = (req, res) => {
      res.writeHead(req.headers['if-none-match'] === undefined ? 204 : 304, {
        etag: '"1"',
        'x-odd': 'caf\u00e9',
      })
      res.end()
    }
    const head = await ask(a, other, { method: 'HEAD' })
    expect([head.status, head.headers.get('etag'), head.headers.get('x-odd')]).toEqual([
      204,
      '"1"',
      'caf\u00e9',
    ])
    expect((await ask(a, other, { headers: { 'if-none-match': '"1"' } })).status).toBe(304)
  })

  test('through Koa goes on to the next middleware, or to the owner', async () => {
    const [a] = (await cluster(['a', 'b'], {}, true)) as [Node, Node]
    for (const name of ['a', 'b']) {
      const answer = await ask(a, keyOf(name, a), { method: 'PUT', body: 'text' })
      expect([answer.status, json(answer)]).toEqual([200, { by: name, body: 'text' }])
    }
  })
})

describe('streams', () => {
  test('an answer comes piece by piece, and a client that goes away ends it at the owner', async () => {
    const [a, b] = (await cluster(['a', 'b'])) as [Node, Node]
    let gone = false
    b.serve = (_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n')
      res.on('close', () => {
        gone = true
      })
    }
    const over = new AbortController()
    const response = await fetch(`http://127.0.0.1:${a.port}/`, {
      headers: { 'x-key': keyOf('b', a) },
      signal: over.signal,
    })
    const { value } = await response.body!.getReader().read()
    expect(Buffer.from(value ?? []).toString()).toBe('data: 1\n\n')
    expect(gone).toBe(false)
    over.abort()
    await expect.poll(() => gone).toBe(true)
  })

  test('a head comes before its body, however long that takes', async () => {
    const [a, b] = (await cluster(['a', 'b'])) as [Node, Node]
    b.serve = (_, res) => {
      res.writeHead(200).flushHeaders()
    }
    const response = await fetch(`http://127.0.0.1:${a.port}/`, { headers: { 'x-key': keyOf('b', a) } })
    expect(response.status).toBe(200)
    await response.body?.cancel()
  })

  test('an owner that breaks off its answer breaks off that to the client', async () => {
    const [a, b] = (await cluster(['a', 'b'])) as [Node, Node]
    b.serve = (_, res) => {
      res.writeHead(200, { 'content-length': '100' })
      res.write('half', () => res.destroy())
    }
    await expect(ask(a, keyOf('b', a))).rejects.toThrow()
  })

  test('a client that reads nothing holds up the owner, and not the memory between them', async () => {
    const [a, b] = (await cluster(['a', 'b'])) as [Node, Node]
    const total = 200 * 1024 * 1024
    let written = 0
    b.serve = (_, res) => {
      const chunk = Buffer.alloc(256 * 1024)
      const more = () => {
        while (written < total) {
          written += chunk.length
          if (!res.write(chunk)) {
            res.once('drain', more)
            return
          }
        }
        res.end()
      }
      more()
    }
    const socket = connect(a.port, '127.0.0.1')
    onTestFinished(() => {
      socket.destroy()
    })
    socket.pause()
    socket.write(`GET / HTTP/1.1\r\nHost: a\r\nx-key: ${keyOf('b', a)}\r\n\r\n`)
    let before = -1
    await vi.waitFor(
      () => {
        const stands = written > 0 && written === before
        before = written
        expect(stands).toBe(true)
      },
      { timeout: 60_000, interval: 300 },
    )
    expect(written).toBeLessThan(total / 4)
  })
})

describe('an owner that cannot be reached', () => {
  async function withDead(settings: Partial<ForwarderSettings> = {}) {
    const [a, b] = (await cluster(['a', 'b'], settings)) as [Node, Node]
    const dead = fakeMember('dead', '127.0.0.1', { servicePort: String(await freePort()) })
    const all = [memberOf(a), memberOf(b), dead]
    await Promise.all([a.become(all), b.become(all)])
    const next = (name: string) => {
      for (let i = 0; ; i++) {
        const [owner, second] = a.service.manager.getNodes(`key-${i}`, 2)
        if (owner?.name === 'dead' && second?.name === name) return `key-${i}`
      }
    }
    return { a, b, next }
  }

  test('is stood in for by the next one, for idempotent requests, bodies among them', async () => {
    const { a, b, next } = await withDead()
    expect(json(await ask(a, next('b')))).toMatchObject({ by: 'b', headers: { 'ringman-stand-in': '1' } })
    expect(json(await ask(a, next('b'), { method: 'PUT', body: 'all of it' }))).toMatchObject({
      by: 'b',
      body: 'all of it',
    })
    expect(json(await ask(a, next('a'), { method: 'PUT', body: 'all of it' }))).toMatchObject({
      by: 'a',
      body: 'all of it',
    })
    expect(a.service.ownership.forwards).toMatchObject({ forwarded: 2, 'stood-in': 1 })
    expect(b.service.ownership.forwards['stood-in']).toBe(2)
    const post = await ask(a, next('b'), { method: 'POST', body: 'once' })
    expect([post.status, json(post)['code']]).toEqual([502, 'UNREACHABLE'])
    expect(a.service.ownership.forwards.failed).toBe(1)
  })

  test('and that is declared dead meanwhile is waited for no longer, for idempotent requests', async () => {
    const nodes = await cluster(['a', 'b', 'c'])
    const [a, b, c] = nodes as [Node, Node, Node]
    // It takes requests and answers none, as a process that was stopped does.
    const asked: string[] = []
    b.serve = ({ method = '' }) => asked.push(method)
    const key = keyOf('b', a)
    const get = ask(a, key)
    const post = ask(a, key, { method: 'POST' }).catch(() => 'ended with the test')
    await expect.poll(() => asked.sort()).toEqual(['GET', 'POST'])
    const members = [memberOf(a), memberOf(c), { ...memberOf(b), state: 'dead' as const }]
    await Promise.all([a.become(members), c.become(members)])
    const { headers, by } = json(await get) as { headers: Record<string, string>; by: string }
    expect(by).toBe(c.service.manager.getNode(key).name)
    expect(headers).not.toHaveProperty('ringman-stand-in')
    // It may have been done: nobody else is asked for it.
    expect(await Promise.race([post, Promise.resolve('waits')])).toBe('waits')
  })

  test('is given its time, which goes with the request', async () => {
    const [a, b] = (await cluster(['a', 'b'], { timeoutMs: 200 })) as [Node, Node]
    b.serve = () => {}
    const answer = await ask(a, keyOf('b', a), { method: 'POST' })
    expect([answer.status, json(answer)['code']]).toEqual([504, 'TIMEOUT'])
    const [c] = (await cluster(['c', 'd'])) as [Node, Node]
    const short = await ask(c, keyOf('d', c), { method: 'GET', headers: { 'ringman-time-left': '0' } })
    expect(short.status).toBe(504)
  })

  test('outside the allowed networks gets nothing', async () => {
    const [a] = (await cluster(['a', 'b'], { networks: ['10.0.0.0/8', 'fd00::/8'] })) as [Node, Node]
    const answer = await ask(a, keyOf('b', a))
    expect([answer.status, json(answer)['code']]).toEqual([502, 'UNREACHABLE'])
    expect(a.logger.of('forward.forbidden')).toHaveLength(1)
    const [c] = (await cluster(['c', 'd'], { networks: undefined })) as [Node, Node]
    expect((await ask(c, keyOf('d', c))).status).toBe(200)
  })
})

describe('members that disagree', () => {
  test('who has the older ring waits for its own, and then serves', async () => {
    const [a, b] = (await cluster(['a', 'b'])) as [Node, Node]
    const both = [memberOf(a), memberOf(b)]
    // Both had {a, c}; only `a` has {a, b} again.
    const c = fakeMember('c', '127.0.0.1', { servicePort: '1' })
    await Promise.all([a.become([memberOf(a), c]), b.become([memberOf(a), c])])
    await a.become([memberOf(a), memberOf(b), { ...c, state: 'left' }])
    for (let i = 0; i < 5; i++)
      await a.become([...both, fakeMember(`x${i}`, '127.0.0.1', { servicePort: '1' })])
    await a.become([memberOf(b)])
    const asked = ask(a, 'any')
    await expect.poll(() => b.service.ownership.checks['i-am-behind']).toBe(1)
    await b.become([memberOf(b)])
    expect(json(await asked)).toMatchObject({ by: 'b' })
  })

  test('who has the newer ring passes on, and the one that is behind serves when it is set to', async () => {
    const [a, b, c] = (await cluster(['a', 'b', 'c'], { whenBehind: 'serve' })) as [Node, Node, Node]
    const key = keyOf('b', a)
    // `b` has left by its own ring; `a` does not know yet, nor does the one that comes after.
    const rest = [memberOf(a), memberOf(c)]
    await b.become([...rest, { ...memberOf(b), state: 'left' }])
    const next = b.service.manager.getNode(key).name
    const answer = await ask(a, key)
    expect(json(answer)).toMatchObject({ by: next, headers: { 'ringman-hops': '2' } })
    expect(b.service.ownership.checks['you-are-behind']).toBe(1)
    // Where that is the sender itself, it finds out that it is behind.
    const back = next === 'a' ? a : c
    expect(back.service.ownership.checks['unknown'] + back.service.ownership.checks['i-am-behind']).toBe(1)
  })

  test('a ring that came back is put in order, without a wait', async () => {
    const [a, b, c] = (await cluster(['a', 'b', 'c'], { waitMs: 60_000 })) as [Node, Node, Node]
    // `c` was off the rings for a while; `b` has it again, and `a` does not know yet.
    const rest = [memberOf(a), memberOf(b)]
    await Promise.all([a.become(rest), b.become(rest)])
    await b.become([...rest, memberOf(c)])
    const key = Array.from({ length: 1000 }, (_, n) => `key-${n}`).find(
      (each) => ownerBy(a, each) === 'b' && ownerBy(c, each) === 'c',
    )
    const answer = json(await ask(a, key))
    expect(answer).toMatchObject({ by: 'c', headers: { 'ringman-hops': '2' } })
    expect(b.service.ownership.checks).toMatchObject({ 'you-are-behind': 1, unknown: 0 })
  })

  test('who cannot put the rings in order, and sees no change, passes on by its own', async () => {
    const [a, b, c] = (await cluster(['a', 'b', 'c'], { waitMs: 50 })) as [Node, Node, Node]
    // Each has lost another one.
    await a.become([memberOf(a), memberOf(b)])
    await b.become([memberOf(b), memberOf(c)])
    const key = Array.from({ length: 1000 }, (_, n) => `key-${n}`).find(
      (each) => ownerBy(a, each) === 'b' && ownerBy(b, each) === 'c' && ownerBy(c, each) === 'c',
    )
    const answer = json(await ask(a, key))
    expect(answer).toMatchObject({ by: 'c', headers: { 'ringman-hops': '2' } })
    expect(b.service.ownership.checks.unknown).toBeGreaterThan(0)
  })

  test('a request that nobody can place is refused, not passed round and round', async () => {
    const [a, b] = (await cluster(['a', 'b'], { waitMs: 50 })) as [Node, Node]
    // Each takes the other for the only member.
    await Promise.all([a.become([memberOf(b)]), b.become([memberOf(a)])])
    // Not by `fetch`, which asks again when it gets a 421.
    const request = httpRequest({ port: a.port, host: '127.0.0.1', headers: { 'x-key': 'any' } }).end()
    const [answer] = (await once(request, 'response')) as [IncomingMessage]
    expect([answer.statusCode, await readJson(answer)]).toMatchObject([421, { code: 'MISDIRECTED' }])
    const { forwards } = a.service.ownership
    expect(forwards.forwarded + b.service.ownership.forwards.forwarded).toBeLessThanOrEqual(3)
    for (const hops of ['99', 'many', '1, 1']) {
      const forged = await ask(a, 'any', { headers: { 'ringman-hops': hops, 'ringman-digests': 'none' } })
      expect(forged.status).toBe(421)
    }
  })
})

describe('WebSockets', () => {
  /** A server side that says its name and echoes. */
  function echo(name: string) {
    return (_: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nx-by: ${name}\r\n\r\n`,
      )
      if (head.length > 0) socket.write(head)
      socket.on('data', (data: Buffer) => socket.write(data))
      socket.on('end', () => socket.end())
      socket.on('error', () => {})
    }
  }

  async function open(node: Node, key: string) {
    const request = httpRequest({
      port: node.port,
      host: '127.0.0.1',
      headers: { connection: 'Upgrade', upgrade: 'echo', 'x-key': key },
    })
    request.end()
    const answered = await Promise.race([
      once(request, 'upgrade').then(([res, socket]) => ({
        res: res as IncomingMessage,
        socket: socket as Socket,
      })),
      once(request, 'response').then(([res]) => ({ res: res as IncomingMessage, socket: undefined })),
    ])
    onTestFinished(() => {
      answered.socket?.destroy()
    })
    return answered
  }

  test('are joined with the owner, both ways and to the end', async () => {
    const nodes = await cluster(['a', 'b'])
    const [a, b] = nodes as [Node, Node]
    for (const node of nodes) node.server.on('upgrade', node.forwarder.upgrade(echo(node.name)))
    for (const name of ['a', 'b']) {
      const { res, socket } = await open(a, keyOf(name, a))
      expect([res.statusCode, res.headers['x-by'], res.headers.upgrade]).toEqual([101, name, 'echo'])
      socket!.write('hello')
      expect(String((await once(socket!, 'data'))[0])).toBe('hello')
      socket!.end()
      await once(socket!, 'close')
    }
    // A client that breaks off takes the owner's side with it.
    const { socket } = await open(a, keyOf('b', a))
    await vi.waitFor(async () => {
      expect(await connectionsOf(b.server)).toBeGreaterThan(0)
    }, 60_000)
    socket!.destroy()
    await vi.waitFor(async () => {
      expect(await connectionsOf(b.server)).toBe(0)
    }, 60_000)
  })

  test('end when the owner is declared dead, and when no more is forwarded', async () => {
    const [a, b, c] = (await cluster(['a', 'b', 'c'])) as [Node, Node, Node]
    for (const { name, server, forwarder } of [a, b, c]) server.on('upgrade', forwarder.upgrade(echo(name)))
    const toB = await open(a, keyOf('b', a))
    const toC = await open(a, keyOf('c', a))
    const ends = { b: once(toB.socket!, 'close'), c: once(toC.socket!, 'close') }
    await a.become([memberOf(a), memberOf(c), { ...memberOf(b), state: 'dead' }])
    await ends.b
    expect(toC.socket!.destroyed).toBe(false)
    await a.forwarder.close()
    await ends.c
  })

  test('that the owner does not take, or that reach nobody, get its answer', async () => {
    const [a, b] = (await cluster(['a', 'b'])) as [Node, Node]
    a.server.on('upgrade', a.forwarder.upgrade(echo('a')))
    b.server.on('upgrade', (_, socket) => {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
    })
    const { res } = await open(a, keyOf('b', a))
    expect([res.statusCode, res.headers.connection]).toEqual([403, 'close'])
    res.resume()
    await b.service.stop()
    b.server.close()
    b.server.closeAllConnections()
    const lost = await open(a, keyOf('b', a))
    // An upgrade is a GET: the next owner stands in, which is `a` itself.
    expect([lost.res.statusCode, lost.res.headers['x-by']]).toEqual([101, 'a'])
  })
})

describe('a program behind a proxy', () => {
  /** A proxy that owns every key, in front of a place. */
  async function proxyOf(port: number, settings: Partial<ForwarderSettings> = {}): Promise<Node> {
    const [a] = (await cluster(['a'], settings)) as [Node]
    const { request, upgrade } = a.forwarder.before({ host: '127.0.0.1', port })
    a.server.removeAllListeners('request')
    a.server.on('request', request)
    a.server.on('upgrade', upgrade!)
    return a
  }

  test('that answers is one that served', async () => {
    const behind = createServer((req, res) => void answerWithAll('behind', req, res))
    const proxy = await proxyOf((await listening(behind)).port)
    expect(json(await ask(proxy, 'any'))['by']).toBe('behind')
    expect(json(await ask(proxy, undefined))['by']).toBe('behind')
    expect(proxy.service.ownership.forwards).toMatchObject({ served: 1, 'program-failed': 0 })
    expect(proxy.logger.of('program.failed')).toEqual([])
  })

  test('that is dead is counted and logged as such, with and without a key, and over WebSockets', async () => {
    const port = await freePort()
    const proxy = await proxyOf(port)
    const detail = `the program behind this proxy, at 127.0.0.1:${port}, did not answer: ECONNREFUSED`
    for (const key of ['any', undefined]) {
      const answer = await ask(proxy, key)
      expect([answer.status, json(answer)]).toMatchObject([
        502,
        { code: 'UNREACHABLE', title: 'Unreachable', detail },
      ])
    }
    const headers = { connection: 'Upgrade', upgrade: 'echo', 'x-key': 'any' }
    const asked = httpRequest({ port: proxy.port, host: '127.0.0.1', headers }).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    expect([answer.statusCode, await readJson(answer)]).toMatchObject([502, { detail }])
    // Requests without a key are in no outcome.
    expect(proxy.service.ownership.forwards).toMatchObject({ served: 0, 'program-failed': 2 })
    expect(proxy.logger.of('program.failed')).toMatchObject([
      { level: 'warn', fields: { upstream: `127.0.0.1:${port}`, error: detail } },
    ])
  })

  test('that does not begin to answer has failed, unless the client is gone first', async () => {
    const asked: string[] = []
    const behind = createServer(({ url = '' }) => asked.push(url))
    const { port } = await listening(behind)
    const patient = await proxyOf(port)
    const client = new AbortController()
    const given = ask(patient, 'any', { signal: client.signal }).catch(() => 'gone')
    await expect.poll(() => asked).toEqual(['/'])
    client.abort()
    expect(await given).toBe('gone')
    await expect.poll(() => patient.service.ownership.forwards.served).toBe(1)
    expect(patient.service.ownership.forwards['program-failed']).toBe(0)
    expect(patient.logger.of('program.failed')).toEqual([])
    const proxy = await proxyOf(port, { timeoutMs: 50 })
    const answer = await ask(proxy, 'any')
    const detail = `the program behind this proxy, at 127.0.0.1:${port}, did not begin to answer within 50 ms`
    expect([answer.status, json(answer)['detail']]).toEqual([504, detail])
    expect(proxy.service.ownership.forwards).toMatchObject({ served: 0, 'program-failed': 1 })
    expect(proxy.logger.of('program.failed')).toMatchObject([{ fields: { error: detail } }])
  })

  test('is done with a request whose client closes its side, and nothing of it stays open', async () => {
    const asked = Promise.withResolvers<ServerResponse>()
    const behind = createServer((_, res) => asked.resolve(res))
    const proxy = await proxyOf((await listening(behind)).port)
    const client = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
    client.write('GET / HTTP/1.1\r\nHost: a\r\nx-key: any\r\n\r\n')
    const ended = once(await asked.promise, 'close')
    client.end()
    expect(await readText(client)).toBe('')
    await ended
    await expect.poll(() => connectionsOf(proxy.server)).toBe(0)
    expect(proxy.logger.of('program.failed')).toEqual([])
  })
})

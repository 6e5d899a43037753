import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import { RingClient, type RingClientOptions } from '../../src/client/ring-client.ts'
import { RingmanClient } from '../../src/client/ringman-client.ts'
import type { Clock } from '../../src/clock.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { codeOf } from '../support/error-code.ts'
import { freePort } from '../support/free-port.ts'
import { listening } from '../support/listening.ts'
import { turns } from '../support/turn-clock.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A server that answers as a test says, and remembers what it was asked. */
async function fakeServer(handler: Handler) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    handler(request, response)
  })
  const { url } = await listening(server)
  return { url, asked }
}

const json =
  (body: unknown, status = 200, type = 'application/json'): Handler =>
  (_, response) => {
    response.writeHead(status, { 'content-type': type }).end(JSON.stringify(body))
  }

const problem = (status: number, code: string): Handler =>
  json(
    { type: 'x', title: 'x', status, detail: 'said the member', code },
    status,
    'application/problem+json; charset=utf-8',
  )

const node = { ringKey: '10.0.0.1:8000', weight: 1, name: 'a', address: '10.0.0.1', port: 8000 }
const ownerBody = { owner: node, digest: 'd1', epoch: 1, later: 'unknown fields are left out' }

/** A URL where nothing listens. */
const deadUrl = async () => `http://127.0.0.1:${await freePort()}`

describe('a request', () => {
  test('asks with the key encoded, and leaves unknown fields out', async () => {
    const { url, asked } = await fakeServer(json(ownerBody))
    const client = new RingmanClient({ url: `${url}/` })
    expect(await client.owner('a b&ü')).toEqual({ owner: node, digest: 'd1', epoch: 1 })
    expect(new URL(asked[0] ?? '', url).searchParams.get('key')).toBe('a b&ü')
    expect(new URL(asked[0] ?? '', url).pathname).toBe('/v1/owner')
  })

  test('passes over members that cannot be reached or have no ring, and stays with the one that answered', async () => {
    const empty = await fakeServer(problem(503, 'RING_EMPTY'))
    const stranger = await fakeServer((_, response) => response.end('<html>'))
    const good = await fakeServer(json(ownerBody))
    const client = new RingmanClient({ urls: [await deadUrl(), empty.url, stranger.url, good.url] })
    await client.owner('k')
    await client.owner('k')
    expect([empty.asked.length, stranger.asked.length, good.asked.length]).toEqual([1, 1, 2])
  })

  test('fails with the last error when all do', async () => {
    const empty = await fakeServer(problem(503, 'RING_EMPTY'))
    const dead = await deadUrl()
    expect(await codeOf(new RingmanClient({ urls: [dead, empty.url] }).owner('k'))).toBe('RING_EMPTY')
    expect(await codeOf(new RingmanClient({ urls: [empty.url, dead] }).owner('k'))).toBe('UNREACHABLE')
  })

  test('is not repeated elsewhere when it is itself wrong', async () => {
    const strict = await fakeServer(problem(400, 'KEY_TOO_LONG'))
    const other = await fakeServer(json(ownerBody))
    expect(await codeOf(new RingmanClient({ urls: [strict.url, other.url] }).owner('k'))).toBe('KEY_TOO_LONG')
    expect(other.asked).toEqual([])
  })

  test.each<[string, Handler]>([
    ['text', (_, response) => response.end('hello')],
    ['another JSON', json({ status: 'ok' })],
    ['a 404 of another program', (_, response) => response.writeHead(404).end('Not Found')],
    ['a problem with an unknown code', problem(500, 'OUT_OF_CHEESE')],
    ['a problem that is no object', json(null, 500, 'application/problem+json')],
    ['a cut answer', (_, response) => response.end('{"owner":')],
  ])('%s is no answer of ringman', async (_, handler) => {
    const { url } = await fakeServer(handler)
    expect(await codeOf(new RingmanClient({ urls: [url] }).owner('k'))).toBe('RESPONSE_INVALID')
  })

  test('ends where the other side goes over to another protocol', async () => {
    const { url } = await fakeServer((_, response) => {
      response.writeHead(101, { connection: 'upgrade', upgrade: 'chat' }).end()
    })
    expect(await codeOf(new RingmanClient({ urls: [url] }).owner('k'))).toBe('UNREACHABLE')
  })

  test('ends where interim answers come without an end', async () => {
    const { url } = await fakeServer((_, response) => {
      for (let i = 0; i < 100; i++) response.writeProcessing()
    })
    expect(await codeOf(new RingmanClient({ urls: [url] }).owner('k'))).toBe('UNREACHABLE')
  })

  test('does not follow redirects', async () => {
    const target = await fakeServer(json(ownerBody))
    const { url } = await fakeServer((_, response) => response.writeHead(302, { location: target.url }).end())
    expect(await codeOf(new RingmanClient({ urls: [url] }).owner('k'))).toBe('RESPONSE_INVALID')
    const byFetch = new RingmanClient({ urls: [url], fetch })
    expect(await codeOf(byFetch.owner('k'))).toBe('UNREACHABLE')
    expect(target.asked).toEqual([])
  })

  test('takes its time limit for the head and for the body', async () => {
    const silent = await fakeServer(() => {})
    const slow = await fakeServer((_, response) => response.writeHead(200).write('{'))
    const endedByClosing = await fakeServer((_, response) => {
      response.removeHeader('transfer-encoding')
      response.writeHead(200).write('{')
    })
    for (const { url } of [silent, slow, endedByClosing]) {
      expect(await codeOf(new RingmanClient({ urls: [url], timeoutMs: 50 }).owner('k'))).toBe('TIMEOUT')
    }
  })

  test('ends with the reason of its signal, and asks nobody else', async () => {
    const silent = await fakeServer(() => {})
    const other = await fakeServer(json(ownerBody))
    const abort = new AbortController()
    const asking = new RingmanClient({ urls: [silent.url, other.url] }).owner('k', abort.signal)
    setImmediate(() => {
      abort.abort(new Error('enough'))
    })
    await expect(asking).rejects.toThrow('enough')
    expect(other.asked).toEqual([])
  })

  test('says nothing of the key when it fails', async () => {
    const client = new RingmanClient({ urls: [await deadUrl()] })
    await expect(client.owner('s3cret')).rejects.toThrow(/^(?!.*s3cret)/)
  })

  test('refuses a key that cannot be, whoever may be asked', async () => {
    const { url, asked } = await fakeServer(json(ownerBody))
    const client = new RingmanClient({ urls: [await deadUrl(), url] })
    expect(await codeOf(client.owner('\uD800'))).toBe('KEY_INVALID')
    expect(await codeOf(client.owner(''))).toBe('KEY_EMPTY')
    expect(await codeOf(client.owners('', 2))).toBe('KEY_EMPTY')
    for (const key of [42, undefined, null, Buffer.from('k')] as unknown as string[]) {
      expect(await codeOf(client.owner(key))).toBe('KEY_INVALID')
      expect(await codeOf(client.owners(key, 2))).toBe('KEY_INVALID')
    }
    expect(asked).toEqual([])
  })

  test('needs a URL', () => {
    for (const options of [undefined, {}, { urls: [] }]) {
      expect(() => new RingmanClient(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
      expect(() => new RingClient(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    }
  })

  test('says to programs in JavaScript which option has the wrong type', () => {
    const url = 'http://127.0.0.1:1'
    for (const [options, message] of [
      [{ url: new URL(url) }, "a member's URL is given as text (the href of a URL), got object"],
      [{ urls: url }, 'urls is a list; one alone is given as url'],
      [{ url, urls: [url] }, 'url and urls are both given: url is for one alone, urls for several'],
      [{ url, timeoutMs: '5' }, 'timeoutMs must be a number above 0, got string'],
      [{ url, staleAfterMs: '5' }, 'staleAfterMs must be a number above 0, got string'],
    ] as unknown as [RingClientOptions, string][]) {
      expect(() => new RingClient(options)).toThrow(
        expect.objectContaining({
          code: 'CONFIG_INVALID',
          message: expect.stringContaining(message) as string,
        }),
      )
    }
  })
})

/** The defaults. */
const TIMEOUT_MS = 5000
const SILENCE_MS = 45_000

/** A clock on which waits between connections are over at once, and time limits when a test says so. */
function impatientClock() {
  const waits: number[] = []
  const held = new Set<() => void>()
  const clock: Clock = {
    now: () => 0,
    wallNow: () => 0,
    after(delayMs, fn) {
      if (delayMs === TIMEOUT_MS || delayMs === SILENCE_MS) {
        held.add(fn)
        return () => void held.delete(fn)
      }
      waits.push(delayMs)
      const immediate = setImmediate(fn)
      return () => {
        clearImmediate(immediate)
      }
    },
  }
  return { clock, waits, held }
}

const ring = (digest: string, address = '10.0.0.1') => ({
  nodes: [{ ...node, address, share: 1 }],
  digest,
  epoch: 1,
  sinceChangeMs: 5,
})
const event = (body: unknown) => `event: ring\ndata: ${JSON.stringify(body)}\n\n`

const stream =
  (...parts: readonly string[]): Handler =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const part of parts) response.write(part)
  }

describe('a watch', () => {
  test('gives the ring, then each that differs, also where only an address does', async () => {
    const events = [event(ring('1', '10.0.0.9')), event(ring('2'))]
    const first = event(ring('1')) + event(ring('1')) + ': heartbeat\n\n'
    const responses: ServerResponse[] = []
    const { url } = await fakeServer((_, response) => {
      responses.push(response)
      stream(first.slice(0, 40), first.slice(40))(_, response)
    })
    const seen: string[] = []
    for await (const { digest, nodes } of new RingmanClient({ urls: [url] }).watch()) {
      seen.push(`${digest} ${nodes[0]?.address}`)
      if (seen.length === 3) break
      responses[0]?.write(events[seen.length - 1])
    }
    expect(seen).toEqual(['1 10.0.0.1', '1 10.0.0.9', '2 10.0.0.1'])
  })

  test('gives a slow reader the newest ring, not each', async () => {
    const responses: ServerResponse[] = []
    const { url } = await fakeServer((request, response) => {
      responses.push(response)
      stream(event(ring('1')))(request, response)
    })
    const watch = new RingmanClient({ urls: [url] }).watch()
    expect((await watch.next()).value).toMatchObject({ digest: '1' })
    for (let n = 2; n <= 50; n++) responses[0]?.write(event(ring(String(n))))
    // The reader is busy; what comes meanwhile is taken from the connection all the same.
    await expect.poll(() => responses[0]?.writableLength).toBe(0)
    await turns(50)
    expect((await watch.next()).value).toMatchObject({ digest: '50' })
    await watch.return()
  })

  test('goes to the next member when a connection ends, with growing waits and chance in them', async () => {
    let served = 0
    const { url } = await fakeServer((request, response) => {
      served++
      if (served < 5) response.writeHead(200, { 'content-type': 'text/event-stream' }).end()
      else stream(event(ring('1')))(request, response)
    })
    const { clock, waits } = impatientClock()
    const reasons: string[] = []
    const watch = new RingmanClient({ urls: [url, await deadUrl()], clock, random: () => 0.5 }).watch({
      onDisconnect: ({ code }) => void reasons.push(code),
    })
    const first = await watch.next()
    expect(first.value).toMatchObject({ digest: '1' })
    await watch.return()
    expect(served).toBe(5)
    expect(reasons.every((code) => code === 'UNREACHABLE')).toBe(true)
    expect(waits).toEqual([250, 250, 500, 1000, 2000, 4000, 8000, 15_000].map((ms) => ms * 0.75))
  })

  test('takes up again after a ring, with waits that grow for connections that do not last, and repeats nothing', async () => {
    let served = 0
    const { url } = await fakeServer((request, response) => {
      served++
      stream(event(ring(served < 3 ? 'same' : 'new')))(request, response)
      if (served < 3) response.end()
    })
    const { clock, waits } = impatientClock()
    const seen: string[] = []
    for await (const { digest } of new RingmanClient({ urls: [url], clock, random: () => 0 }).watch()) {
      seen.push(digest)
      if (digest === 'new') break
    }
    expect(seen).toEqual(['same', 'new'])
    expect(waits).toEqual([125, 250])
  })

  test('leaves a member that is silent', async () => {
    const { url, asked } = await fakeServer(stream(event(ring('1'))))
    const { clock, held } = impatientClock()
    const reasons: string[] = []
    const abort = new AbortController()
    const watch = new RingmanClient({ urls: [url], clock }).watch({
      signal: abort.signal,
      onDisconnect: ({ code }) => void reasons.push(code),
    })
    await watch.next()
    const next = watch.next()
    while (asked.length < 2) {
      for (const fire of held) fire()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(reasons[0]).toBe('TIMEOUT')
    abort.abort()
    expect(await next).toEqual({ done: true, value: undefined })
  })

  test.each<[string, Handler, ErrorCode]>([
    ['a broken event', stream('event: ring\ndata: {\n\n'), 'RESPONSE_INVALID'],
    ['an event of another form', stream('event: ring\ndata: {}\n\n'), 'RESPONSE_INVALID'],
    ['no event stream', json(ring('1')), 'RESPONSE_INVALID'],
    ['too many watchers', problem(503, 'TOO_MANY_WATCHERS'), 'TOO_MANY_WATCHERS'],
  ])('tells of %s and goes on', async (_, handler, code) => {
    const bad = await fakeServer((request, response) => {
      if (request.url === '/v1/ring/watch') handler(request, response)
      else response.writeHead(404).end()
    })
    const good = await fakeServer(stream(event(ring('1'))))
    const reasons: string[] = []
    const { clock } = impatientClock()
    const watch = new RingmanClient({ urls: [bad.url, good.url], clock }).watch({
      onDisconnect: (error) => void reasons.push(error.code),
    })
    expect((await watch.next()).value).toMatchObject({ digest: '1' })
    await watch.return()
    expect(reasons).toEqual([code])
  })

  test('ends without an error when its signal does, and closes the connection', async () => {
    const closed = Promise.withResolvers<void>()
    const { url } = await fakeServer((request, response) => {
      request.socket.once('close', () => {
        closed.resolve()
      })
      stream(event(ring('1')))(request, response)
    })
    const abort = new AbortController()
    const seen: string[] = []
    for await (const { digest } of new RingmanClient({ urls: [url] }).watch({ signal: abort.signal })) {
      seen.push(digest)
      abort.abort()
    }
    await closed.promise
    expect(seen).toEqual(['1'])
  })
})

import { createServer, type RequestListener } from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { systemClock, type Clock } from '../../../src/clock.ts'
import { getOverHttp, SidecarClient, watchUrlOf } from '../../../src/membership/sidecar/sidecar-client.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { golden, jsonBytes, stateJson, tick } from './sidecar-fixtures.ts'
import { codeOf } from '../../support/error-code.ts'
import { listening } from '../../support/listening.ts'

const LIMIT_BYTES = 64 * 1024

/** A Sidecar with real sockets that does whatever a test says. */
async function serve(listener: RequestListener) {
  const server = createServer(listener)
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const { url } = await listening(server)
  return { url: `${url}/api/state.json`, sockets, server }
}

function client(url: string, timeoutMs = 5000, clock: Clock = systemClock) {
  return new SidecarClient({
    url: new URL(url),
    serviceName: 'some-svc',
    clock,
    get: getOverHttp,
    timeoutMs,
    limitBytes: LIMIT_BYTES,
  })
}

const never = () => new AbortController().signal

describe('fetchState', () => {
  test('reads a recorded state and leaves no connection', async () => {
    const asked: (string | undefined)[] = []
    const { url, sockets } = await serve((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.setHeader('content-type', 'application/json').end(golden('sidecar-state.json'))
    })
    const state = await client(url).fetchState(never())
    expect(state.services).toHaveLength(4)
    expect(asked).toEqual(['GET /api/state.json'])
    await expect.poll(() => sockets.size).toBe(0)
  })

  test.each([301, 404, 500, 503])('refuses status %i', async (status) => {
    const { url } = await serve((_, response) =>
      response.writeHead(status, { location: '/elsewhere' }).end('{}'),
    )
    expect(await codeOf(client(url).fetchState(never()))).toBe('SOURCE_FAILED')
  })

  test('ends where the other side goes over to another protocol', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(101, { connection: 'upgrade', upgrade: 'chat' }).end()
    })
    expect(await codeOf(client(url).fetchState(never()))).toBe('SOURCE_FAILED')
  })

  test('refuses what is not JSON, not a state, or cut off', async () => {
    for (const body of ['', 'nonsense', '[]', '{"Servers":7}', '{"Servers":{']) {
      const { url } = await serve((_, response) => response.end(body))
      expect(await codeOf(client(url).fetchState(never()))).toBe('BODY_INVALID')
    }
    const { url } = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 1000 }).write('{"Servers":{}', () => response.destroy())
    })
    expect(await codeOf(client(url).fetchState(never()))).toBe('SOURCE_FAILED')
  })

  test('stops reading a state above the limit', async () => {
    let sentBytes = 0
    const { url, sockets } = await serve((_, response) => {
      const chunk = Buffer.alloc(16 * 1024, ' ')
      const send = () => {
        while (!response.destroyed && response.write(chunk)) sentBytes += chunk.length
      }
      response.on('drain', send)
      send()
    })
    expect(await codeOf(client(url).fetchState(never()))).toBe('BODY_TOO_LARGE')
    await expect.poll(() => sockets.size).toBe(0)
    expect(sentBytes).toBeLessThan(64 * 1024 * 1024)
  })

  test('gives up on a Sidecar that is silent, or that drips without end', async () => {
    const silent = await serve(() => {})
    expect(await codeOf(client(silent.url, 100).fetchState(never()))).toBe('TIMEOUT')
    const dripping = await serve((_, response) => {
      const timer = setInterval(() => response.write(' '), 10)
      response.once('close', () => {
        clearInterval(timer)
      })
    })
    expect(await codeOf(client(dripping.url, 200).fetchState(never()))).toBe('TIMEOUT')
    await expect.poll(() => silent.sockets.size + dripping.sockets.size).toBe(0)
  })

  test('ends when told to', async () => {
    const { url, sockets } = await serve(() => {})
    const abort = new AbortController()
    const outcome = codeOf(client(url).fetchState(abort.signal))
    await expect.poll(() => sockets.size).toBe(1)
    abort.abort()
    expect(await outcome).toBe('SOURCE_FAILED')
    await expect.poll(() => sockets.size).toBe(0)
  })

  test('says why nobody answered', async () => {
    const { url, server } = await serve(() => {})
    await new Promise((resolve) => server.close(resolve))
    await expect(client(url).fetchState(never())).rejects.toThrow(/ECONNREFUSED/)
  })
})

describe('watchState', () => {
  test('asks beside the state for the whole state, and reads what comes in pieces', async () => {
    let asked: string | undefined
    const { url, sockets } = await serve((request, response) => {
      asked = request.url
      const stream = Buffer.concat([
        golden('sidecar-state.json'),
        jsonBytes(stateJson(tick(2), [])),
        jsonBytes(stateJson(tick(3), [{ id: 'a' }])),
      ])
      let at = 0
      const send = () => {
        if (at >= stream.length) return
        response.write(stream.subarray(at, at + 700))
        at += 700
        setImmediate(send)
      }
      send()
    })
    const sizes: number[] = []
    for await (const state of client(url).watchState(never())) {
      sizes.push(state.services.length)
      if (sizes.length === 3) break
    }
    expect(asked).toBe('/api/watch?by_service=false')
    expect(sizes).toEqual([4, 0, 1])
    await expect.poll(() => sockets.size).toBe(0)
  })

  test('stays open for as long as nothing happens once it has begun, and ends when told to', async () => {
    const { url, sockets } = await serve((_, response) => response.write(golden('sidecar-state.json')))
    const abort = new AbortController()
    const clock = new VirtualClock()
    const states = client(url, 50, clock).watchState(abort.signal)
    expect((await states.next()).done).toBe(false)
    const next = codeOf(states.next())
    await clock.advance(3_600_000)
    expect(sockets.size).toBe(1)
    abort.abort()
    expect(await next).toBe('SOURCE_FAILED')
    await expect.poll(() => sockets.size).toBe(0)
  })

  test.each([
    ['answers with an error', 'SOURCE_FAILED', (response) => response.writeHead(500).end()],
    ['never begins', 'TIMEOUT', () => {}],
    ['begins a state and stops', 'TIMEOUT', (response) => response.write('{"Servers":')],
    ['sends no JSON', 'BODY_INVALID', (response) => response.write('<html>')],
    [
      'sends too large a state',
      'BODY_TOO_LARGE',
      (response) => response.write(`{"a":"${'x'.repeat(LIMIT_BYTES)}`),
    ],
    ['is cut', 'SOURCE_FAILED', (response) => response.write('{"a":', () => response.destroy())],
    ['ends within a state', 'BODY_INVALID', (response) => response.end('{"a":')],
    ['ends', 'none', (response) => response.end()],
  ] satisfies [string, string, (response: Parameters<RequestListener>[1]) => unknown][])(
    'fails when the stream %s: %s',
    async (_, code, act) => {
      const { url, sockets } = await serve((_request, response) => {
        act(response)
      })
      // On a busy machine an answer can take longer than the limit that is tested.
      const timeoutMs = code === 'TIMEOUT' ? 200 : 60_000
      expect(await codeOf(client(url, timeoutMs).watchState(never()).next())).toBe(code)
      await expect.poll(() => sockets.size).toBe(0)
    },
  )
})

test('the stream is beside the state', () => {
  const watch = (url: string) => watchUrlOf(new URL(url)).href
  expect(watch('http://localhost:7777/api/state.json')).toBe(
    'http://localhost:7777/api/watch?by_service=false',
  )
  expect(watch('https://[::1]:7777/state.json')).toBe('https://[::1]:7777/watch?by_service=false')
})

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import Koa from 'koa'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { isRingmanError, RingmanError } from '../../src/errors.ts'
import { sidecarUpdate, type SidecarUpdateOptions } from '../../src/http/sidecar-update.ts'
import type { HttpLimits } from '../../src/http/limits.ts'
import { guardFor, httpParts, middlewareOf } from '../support/http-parts.ts'
import { silentLogger } from '../../src/logger.ts'
import { SidecarSource } from '../../src/membership/sidecar/sidecar-source.ts'
import { listening } from '../support/listening.ts'

const event = readFileSync(new URL('../golden/sidecar-event.json', import.meta.url))

async function serve(options: Partial<SidecarUpdateOptions> = {}, limits: Partial<HttpLimits> = {}) {
  const source = new SidecarSource({ serviceName: 'some-svc', servicePort: 9999 }, { logger: silentLogger })
  await source.start(new AbortController().signal)
  const app = new Koa()
  const faults: unknown[] = []
  app.on('error', (error: unknown) => faults.push(error))
  app.use(
    middlewareOf(
      sidecarUpdate({ updates: source, guard: guardFor({ hosts: ['x'] }), ...options }),
      httpParts({ limits }),
    ),
  )
  const handle = app.callback()
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => faults.push(error))
  })
  onTestFinished(async () => {
    await source.stop()
    // Koa also reports senders that go away in the middle; those are no faults of the handler.
    const ownFaults = faults.filter(
      (fault) => isRingmanError(fault) || !(fault instanceof Error && 'code' in fault),
    )
    expect(ownFaults).toEqual([])
  })
  const { port } = await listening(server)
  return { source, port, url: `http://127.0.0.1:${port}/hashring/update` }
}

async function post(
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
) {
  const response = await fetch(url, { method: 'POST', body, headers })
  return { status: response.status, headers: response.headers, body: await response.text() }
}

/** Sends bytes as they are and gives what comes back until the other side ends. */
function raw(port: number, request: string, endAfterMs?: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
    socket.on('close', () => {
      resolve(answer)
    })
    socket.on('error', reject)
    if (endAfterMs !== undefined) setTimeout(() => socket.destroy(), endAfterMs)
  })
}

describe('updates are taken', () => {
  test('with any method and content type, and answered as recorded', async () => {
    const { source, port, url } = await serve()
    const answer = await raw(
      port,
      `POST /hashring/update HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${event.length}\r\n\r\n${event.toString()}`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toContain('\r\nContent-Type: application/json\r\n')
    expect(answer).toContain('\r\nContent-Length: 0\r\n')
    expect(answer).toMatch(/\r\n\r\n$/)
    expect(source.members.filter(({ state }) => state === 'alive').map(({ name }) => name)).toEqual([
      '127.0.0.1:23423',
      'host-b:12345',
    ])
    expect(await post(url, event)).toMatchObject({ status: 200, body: '' })
    expect((await fetch(url, { method: 'PUT', body: event })).status).toBe(200)
  })

  test('in chunks of one byte', async () => {
    const { source, port } = await serve()
    const chunks = [...event].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join('')
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
    expect(await raw(port, `${head}${chunks}0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 OK/)
    expect(source.members).toHaveLength(3)
  })
})

describe('what is malformed', () => {
  test.each([
    ['{bad', `{"errors":["invalid character 'b' looking for beginning of object key string"]}`],
    ['', '{"errors":["unexpected end of JSON input"]}'],
    ['<x>', '{"errors":["the body is not JSON"]}'],
    ['{} x', '{"errors":["the body is not JSON"]}'],
  ])('is answered as recorded, and changes nothing: %j', async (body, error) => {
    const { source, url } = await serve()
    const answer = await post(url, body)
    expect(answer).toMatchObject({ status: 500, body: error })
    expect(answer.headers.get('content-type')).toBe('application/json')
    expect(answer.headers.get('content-length')).toBe(String(Buffer.byteLength(error)))
    expect(source.populated).toBe(false)
  })

  test('a GET is answered as recorded', async () => {
    const { url } = await serve()
    const response = await fetch(url)
    expect(response.status).toBe(500)
    expect(await response.text()).toBe('{"errors":["unexpected end of JSON input"]}')
  })

  test.each(['{}', 'null', '[]', '{"State":null}', '{"State":{"LastChanged":"soon"}}'])(
    'JSON that is no update has the same shape: %s',
    async (body) => {
      const { source, url } = await serve()
      const answer = await post(url, body)
      expect(answer.status).toBe(500)
      expect(JSON.parse(answer.body)).toEqual({ errors: [expect.any(String)] })
      expect(source.populated).toBe(false)
    },
  )
})

describe('limits', () => {
  test('a body above the limit is refused, announced or not', async () => {
    const { source, port, url } = await serve({ limitBytes: 1000 })
    expect(await post(url, ' '.repeat(1001))).toMatchObject({ status: 413 })
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
    expect(await raw(port, `${head}${`64\r\n${' '.repeat(100)}\r\n`.repeat(11)}`)).toMatch(/^HTTP\/1\.1 413 /)
    expect(await raw(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 413 .*\{"errors":\[/su,
    )
    expect(source.populated).toBe(false)
    expect(await post(url, `${' '.repeat(998)}{}`)).toMatchObject({ status: 500 })
  })

  test('unfinished bodies hold no more than allowed, and give it back', async () => {
    const { port, url } = await serve({}, { maxHeldBodyBytes: 10_000 })
    const unfinished = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n${' '.repeat(5000)}`
    const slow = connect(port, '127.0.0.1', () => slow.write(unfinished))
    // Until what is unfinished has come, there is room.
    const refused = await vi.waitUntil(async () => {
      const answer = await post(url, ' '.repeat(7000))
      return answer.status === 503 ? answer : undefined
    }, 60_000)
    expect(refused.headers.get('retry-after')).toBe('1')
    expect((await post(url, ' '.repeat(1000))).status).toBe(500)
    slow.destroy()
    await expect.poll(async () => (await post(url, ' '.repeat(7000))).status).toBe(500)
    for (let n = 0; n < 20; n++) expect((await post(url, ' '.repeat(9000))).status).toBe(500)
  })

  test('a sender that goes away harms nobody', async () => {
    const { source, port, url } = await serve()
    await Promise.all(
      Array.from({ length: 20 }, () =>
        raw(port, 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{', 20),
      ),
    )
    expect((await post(url, event)).status).toBe(200)
    expect(source.populated).toBe(true)
  })
})

describe('what a web page sends', () => {
  test.each([
    ['from another site', { origin: 'http://evil.example', 'content-type': 'text/plain' }],
    ['by a form', { origin: 'null', 'content-type': 'text/plain' }],
    ['without an origin', { 'sec-fetch-site': 'cross-site' }],
    [
      'from a name that was made to point here',
      { origin: 'http://evil.example:8080', 'sec-fetch-site': 'same-origin' },
    ],
  ])('%s is refused and changes nothing', async (_, headers) => {
    const { source, url, port } = await serve()
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${event.length}\r\n${lines.join('')}\r\n`
    expect(await raw(port, head + event.toString('latin1'))).toMatch(/^HTTP\/1\.1 403 .*web pages/su)
    expect(source.populated).toBe(false)
    expect((await post(url, event)).status).toBe(200)
  })
})

test('an update from the future is refused and shuts nobody out', async () => {
  const { source, url } = await serve()
  const dated = (date: string) => {
    const update = JSON.parse(event.toString('utf8')) as { State: { LastChanged: string } }
    update.State.LastChanged = date
    return JSON.stringify(update)
  }
  expect(await post(url, dated('9999-12-31T23:59:59Z'))).toMatchObject({
    status: 500,
    body: expect.stringContaining('ahead'),
  })
  expect(source.populated).toBe(false)
  expect((await post(url, dated(new Date(Date.now() + 60_000).toISOString()))).status).toBe(200)
  expect(source.populated).toBe(true)
})

test.each([
  ['another name', 'rebound.example:8080', 403],
  ['none', '', 403],
  ['a listed name', 'x', 200],
  ['an address', '10.0.0.1:8080', 200],
  ['an IPv6 address', '[::1]:8080', 200],
  ['localhost', 'localhost:8080', 200],
])('as host %s is answered so', async (_, host, status) => {
  const { port } = await serve()
  const head = `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${event.length}\r\nConnection: close\r\n\r\n`
  expect(await raw(port, head + event.toString('latin1'))).toMatch(new RegExp(`^HTTP/1.1 ${status} `, 'u'))
})

describe('the token', () => {
  const basic = (user: string, password: string) =>
    `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

  test.each([
    ['as bearer token', 'Bearer s3cret'],
    ['whatever the case of the scheme', 'bearer s3cret'],
    ['as password, which is how Sidecar can send it', basic('ringman', 's3cret')],
    ['as password of nobody', basic('', 's3cret')],
  ])('is taken %s', async (_, authorization) => {
    const { source, url } = await serve({ guard: guardFor({ token: 's3cret' }) })
    expect((await post(url, event, { authorization })).status).toBe(200)
    expect(source.populated).toBe(true)
  })

  test.each([
    ['nothing', undefined],
    ['another token', 'Bearer s3cres'],
    ['a part of it', 'Bearer s3c'],
    ['more than it', 'Bearer s3cret1'],
    ['no token', 'Bearer '],
    ['another scheme', 'Digest s3cret'],
    ['it as user name', basic('s3cret', '')],
    ['basic without a colon', `Basic ${Buffer.from('other').toString('base64')}`],
  ])('%s is refused and changes nothing', async (_, authorization) => {
    const { source, url } = await serve({ guard: guardFor({ token: 's3cret' }) })
    const answer = await post(url, event, authorization === undefined ? {} : { authorization })
    expect(answer).toMatchObject({ status: 401, body: '{"errors":["the token is missing or wrong"]}' })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="ringman"')
    expect(source.populated).toBe(false)
  })
})

test('after the stop updates are refused', async () => {
  const { source, url } = await serve()
  await source.stop()
  expect(await post(url, event)).toMatchObject({ status: 503 })
})

test('a fault of another kind is not hidden', async () => {
  const app = new Koa()
  const faults: unknown[] = []
  app.on('error', (error: unknown) => faults.push(error))
  const fault = new RingmanError('INTERNAL', 'a fault')
  app.use(
    middlewareOf(
      sidecarUpdate({
        updates: {
          update() {
            throw fault
          },
        },
        guard: guardFor(),
      }),
    ),
  )
  // oxlint-disable-next-line typescript/no-misused-promises
  const { url } = await listening(createServer(app.callback()))
  expect((await post(url, '{}')).status).toBe(500)
  expect(faults).toEqual([fault])
})

import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findKey, formatKeyPlace, parseKeyPlace } from '../../src/http/route-key.ts'
import type { RouteSettings } from '../../src/http/proxy-route.ts'
import { isRingmanError } from '../../src/errors.ts'
import { fakeMember } from '../support/fake-source.ts'
import { dial, exchange, exchangeOn, get, request, type RawResponse } from './raw-client.ts'
import { serveRing, type RingOptions, type ServedRing } from './running-ring.ts'

const MEMBERS = [
  fakeMember('node1', '10.0.0.1'),
  fakeMember('node2', '10.0.0.2'),
  fakeMember('node3', '2001:db8::3'),
  fakeMember('node4', 'app-4.example.org'),
]

const open: ServedRing[] = []

async function serve(settings: Partial<RouteSettings> & { places?: string[] } = {}, more: RingOptions = {}) {
  const { places = ['header:x-key'], ...rest } = settings
  const served = await serveRing({
    members: MEMBERS,
    ...more,
    limits: { maxKeyBytes: 100 },
    app: {
      routeSettings: { routeKey: places.map(parseKeyPlace), routeWithoutKey: 'pass', ...rest },
    },
  })
  open.push(served)
  return served
}

let served: ServedRing
let strict: ServedRing

beforeAll(async () => {
  served = await serve()
  strict = await serve({ routeWithoutKey: 'refuse' })
})

afterAll(async () => {
  for (const each of open) await each[Symbol.asyncDispose]()
})

/** The owners of a key as a proxy is to be told them. */
function addresses(key: string, { ring } = served): string[] {
  return ring.manager
    .getNodes(key, 3)
    .map(({ address = '', port = 0 }) => `${address.includes(':') ? `[${address}]` : address}:${port}`)
}

function expectOwners(answer: RawResponse, key: string, ring = served): void {
  const [owner, ...next] = addresses(key, ring)
  expect(answer.status).toBe(200)
  expect(answer.body).toBe('')
  expect(answer.headers.get('x-ringman-owner')).toBe([owner, ...next].join(','))
  expect(answer.headers.get('x-ringman-next-1')).toBe(next[0])
  expect(answer.headers.get('x-ringman-next-2')).toBe(next[1])
}

describe('/v1/route', () => {
  test('names the owner and the next two, of every kind of address', async () => {
    const seen = new Set<string>()
    for (let i = 0; i < 60; i++) {
      const answer = await exchange(served.server.port, get('/v1/route', { 'X-Key': `key-${i}` }))
      expectOwners(answer, `key-${i}`)
      expect(answer.headers.get('x-ringman-digest')).toBe(served.ring.manager.snapshot.ring.digest)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      seen.add(addresses(`key-${i}`)[0] ?? '')
    }
    expect([...seen].sort()).toEqual([
      '10.0.0.1:8000',
      '10.0.0.2:8000',
      '[2001:db8::3]:8000',
      'app-4.example.org:8000',
    ])
  })

  test('agrees with /v1/owner', async () => {
    const asked = await exchange(served.server.port, get('/v1/owner?key=user:42'))
    const { owner } = JSON.parse(asked.body) as { owner: { address: string; port: number } }
    const answer = await exchange(served.server.port, get('/v1/route', { 'X-Key': 'user:42' }))
    expect(answer.headers.get('x-ringman-owner')).toMatch(
      new RegExp(String.raw`^\[?${owner.address}\]?:${owner.port}`),
    )
  })

  test.each(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND'])(
    'takes %s, with any path and query behind it',
    async (method) => {
      for (const target of [
        '/v1/route',
        '/v1/route/',
        '/v1/route/a/../b//c%2F%ff?x=1&x=2&%',
        '/v1/route?key=other',
      ]) {
        const answer = await exchange(served.server.port, request(method, target, { 'X-Key': 'a' }))
        expectOwners(answer, 'a')
      }
    },
  )

  test('does not wait for a body, and goes on with the connection behind it', async () => {
    const socket = await dial(served.server.port)
    const body = get('/v1/owner?key=hidden')
    expectOwners(await exchangeOn(socket, request('POST', '/v1/route/x', { 'X-Key': 'a' }, body)), 'a')
    expectOwners(await exchangeOn(socket, get('/v1/route', { 'X-Key': 'b' })), 'b')
    socket.destroy()
  })

  test('answers a request for an upgrade like any other', async () => {
    const headers = {
      'X-Key': 'a',
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
    }
    expectOwners(await exchange(served.server.port, get('/v1/route/chat', headers)), 'a')
  })

  test('pays no heed to what a client says the owner is', async () => {
    const spoofed = { 'X-Key': 'a', 'X-Ringman-Owner': '6.6.6.6:66', 'X-Ringman-Next-1': '6.6.6.6:66' }
    expectOwners(await exchange(served.server.port, get('/v1/route', spoofed)), 'a')
    const keyless = await exchange(served.server.port, get('/v1/route', { 'X-Ringman-Owner': '6.6.6.6:66' }))
    expect(keyless.headers.has('x-ringman-owner')).toBe(false)
  })

  test('is at no other path', async () => {
    for (const path of ['/v1/routes', '/v1/route-x', '/v1', '/V1/route', '/v1/routex/route']) {
      expect((await exchange(served.server.port, get(path, { 'X-Key': 'a' }))).status).toBe(404)
    }
  })

  test.each([
    ['no header', {}, 'KEY_MISSING'],
    ['an empty one', { 'X-Key': '' }, 'KEY_MISSING'],
    ['bytes that are no UTF-8', { 'X-Key': '\u00ff' }, 'KEY_INVALID'],
    ['too long a key', { 'X-Key': 'k'.repeat(101) }, 'KEY_TOO_LONG'],
    ['a header that comes twice', { 'X-Key': 'a', 'x-key': 'b' }, 'KEY_REPEATED'],
  ])('with %s there is no owner: 200, or 400 where that is wanted', async (_, headers, code) => {
    const passed = await exchange(served.server.port, get('/v1/route', headers))
    expect([passed.status, passed.body]).toEqual([200, ''])
    expect([...passed.headers.keys()].filter((name) => name.startsWith('x-ringman'))).toEqual([
      'x-ringman-digest',
    ])
    const refused = await exchange(strict.server.port, get('/v1/route', headers))
    expect(refused.status).toBe(400)
    expect(JSON.parse(refused.body)).toMatchObject({ code })
  })

  test('takes a header as UTF-8', async () => {
    expectOwners(await exchange(served.server.port, get('/v1/route', { 'X-Key': 'caf\u00c3\u00a9' })), 'café')
  })

  test('is 503 on an empty ring and on one that does not run, so that a proxy falls back', async () => {
    const empty = await serve({}, { members: [] })
    const answer = await exchange(empty.server.port, get('/v1/route', { 'X-Key': 'a' }))
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([503, { code: 'RING_EMPTY' }])
    await empty.ring.stop()
    expect((await exchange(empty.server.port, get('/v1/route', { 'X-Key': 'a' }))).status).toBe(503)
  })

  test('names fewer where there are fewer, and leaves out what cannot stand in a header', async () => {
    const odd = await serve(
      {},
      {
        members: [fakeMember('a', '10.0.0.1'), fakeMember('b', 'fe80::1%eth0'), fakeMember('c', 'x\r\ny: z')],
      },
    )
    const answer = await exchange(odd.server.port, get('/v1/route', { 'X-Key': 'a' }))
    expect(answer.headers.get('x-ringman-owner')).toBe('10.0.0.1:8000')
    expect(answer.headers.has('x-ringman-next-1')).toBe(false)
    expect(answer.headers.has('y')).toBe(false)
  })
})

describe('the places of a key', () => {
  test('the first that has one counts, in the order of the setting', async () => {
    const many = await serve({
      places: ['header:X-Key', 'cookie:session', 'query:room', 'path:/rooms/{key}'],
    })
    const ask = (target: string, headers = {}) =>
      exchange(many.server.port, get(`/v1/route${target}`, headers))
    const all = { 'X-Key': 'from-header', Cookie: 'a=b; session=from-cookie' }
    expectOwners(await ask('/rooms/from-path?room=from-query', all), 'from-header', many)
    expectOwners(await ask('/rooms/from-path?room=q', { ...all, 'X-Key': '' }), 'from-cookie', many)
    expectOwners(await ask('/rooms/from-path?room=from%2Dquery', { Cookie: 'session=' }), 'from-query', many)
    expectOwners(await ask('/rooms/caf%C3%A9/messages?roam=1'), 'café', many)
    expect((await ask('/room/x')).headers.has('x-ringman-owner')).toBe(false)
  })

  test("path and query come from the proxy's header when a setting names it, and then from nowhere else", async () => {
    const named = await serve({
      places: ['path:/rooms/{key}', 'query:room'],
      routePathHeader: 'X-Original-URI',
    })
    const ask = (target: string, headers = {}) => exchange(named.server.port, get(target, headers))
    expectOwners(await ask('/v1/route', { 'X-Original-URI': '/rooms/1' }), '1', named)
    expectOwners(await ask('/v1/route/rooms/2', { 'X-Original-URI': 'http://a/b?room=3' }), '3', named)
    expect((await ask('/v1/route/rooms/2?room=2')).headers.has('x-ringman-owner')).toBe(false)
    const unnamed = await serve({ places: ['path:/rooms/{key}'] })
    const answer = await exchange(
      unnamed.server.port,
      get('/v1/route/rooms/2', { 'X-Original-URI': '/rooms/1', 'X-Forwarded-Uri': '/rooms/1' }),
    )
    expectOwners(answer, '2', unnamed)
  })

  const find = (places: string, path: string, headers: string[] = []) => {
    const [before = '', query = ''] = path.split('?')
    return findKey(places.split(' ').map(parseKeyPlace), { rawHeaders: headers, path: before, query })
  }

  test.each([
    ['path:/rooms/{key}', '/rooms/a', 'a'],
    ['path:/rooms/{key}', '/rooms/a/b/c', 'a'],
    ['path:/rooms/{key}', '/rooms/', undefined],
    ['path:/rooms/{key}', '/rooms', undefined],
    ['path:/rooms/{key}', '/Rooms/a', undefined],
    ['path:/rooms/{key}', '/%72ooms/a%2Fb+c', 'a/b+c'],
    ['path:/rooms/{key}', '/x/rooms/a', undefined],
    ['path:/*/{key}/x', '/any/a/x', 'a'],
    ['path:/*/{key}/x', '//a/x', undefined],
    ['path:/*/{key}/x', '/any/a/y', undefined],
    ['path:/{key}', '', undefined],
    ['query:a', '/?b=1&a=x+y%20z', 'x y z'],
    ['query:a', '/?a=&a=2', undefined],
    ['query:a', '/?A=1', undefined],
  ])('%s finds in %s: %s', (place, target, key) => {
    expect(find(place, target)).toBe(key)
  })

  test.each([
    [['Cookie', 'a=1; session=x y'], 'x y'],
    [['Cookie', 'session="q"'], 'q'],
    [['Cookie', 'session=""; session=2'], '2'],
    [['Cookie', 'xsession=1'], undefined],
    [['Cookie', 'Session=1'], undefined],
    [['Cookie', 'session'], undefined],
    [['cookie', 'a=1', 'COOKIE', 'session=a=b'], 'a=b'],
    [['X-Cookie', 'session=1'], undefined],
    [['Cookie', ' \tsession \t=\t v \t;b'], 'v'],
    [['Cookie', 'a session=1; b=session=2; =session=3;session= '], undefined],
    [['Cookie', 'sessionsession=1; session session=2; session=3'], '3'],
    [['Cookie', 'session=voil\xc3\xa0'], 'voilà'],
  ])('cookie:session finds in %j: %s', (headers, key) => {
    expect(find('cookie:session', '/', headers)).toBe(key)
  })

  test.each([
    ['path:/rooms/{key}', '/rooms/%ff'],
    ['path:/rooms/{key}', '/rooms/%'],
    ['query:a', '/?a=%ff'],
  ])('%s refuses %s, which is no UTF-8', (place, target) => {
    expect(() => find(place, target)).toThrow(expect.objectContaining({ code: 'KEY_INVALID' }))
  })

  test('whatever a request holds, there is a key, none, or one of two errors', () => {
    const places = ['header:k', 'cookie:k', 'query:k', 'path:/*/{key}']
    const bytes = fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    })
    const part = fc.oneof(bytes, fc.constantFrom('k=', '/', '%', ';', '"', 'k', '%6b=', '+'))
    const text = fc.array(part).map((parts) => parts.join(''))
    fc.assert(
      fc.property(
        text,
        text,
        fc.array(fc.tuple(fc.constantFrom('k', 'Cookie', 'x'), text)),
        (path, query, headers) => {
          try {
            const key = findKey(places.map(parseKeyPlace), { rawHeaders: headers.flat(), path, query })
            return key === undefined || (key !== '' && key.isWellFormed())
          } catch (error) {
            return isRingmanError(error) && ['KEY_INVALID', 'KEY_REPEATED'].includes(error.code)
          }
        },
      ),
    )
  })

  test.each(['header:X-Key', 'query:a', 'cookie:__Host-s', 'path:/a/*/{key}/b'])(
    '%s is read and shown',
    (text) => {
      expect(formatKeyPlace(parseKeyPlace(text))).toBe(text.toLowerCase().replace('__host', '__Host'))
    },
  )

  test.each([
    '',
    'x-key',
    'header:',
    'header:a b',
    'Header:a',
    'body:a',
    'path:rooms/{key}',
    'path:/rooms',
    'path:/{key}/{key}',
    'path:/a{key}',
    'path:/{id}',
    'path:/a//{key}',
    'path:/{key}/',
    'path:/{key}?a',
    'header:a:b',
  ])('%j is refused', (text) => {
    expect(() => parseKeyPlace(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

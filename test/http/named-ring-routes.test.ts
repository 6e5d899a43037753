import { Validator } from '@seriousme/openapi-schema-validator'
import type { Socket } from 'node:net'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { describeApi } from '../../src/http/openapi.ts'
import { createPage } from '../../src/page/page.ts'
import type { HashRingController } from '../../src/rings/hash-ring-controller.ts'
import { PHASES } from '../membership/kubernetes/slice-fixtures.ts'
import { HashRingWorld } from '../rings/hash-ring-world.ts'
import { closed, collect, connectTo, exchange, get, request } from './raw-client.ts'
import { serveRing, THREE_MEMBERS, type ServedRing } from './running-ring.ts'

let world: HashRingWorld
let controller: HashRingController
let served: ServedRing

beforeEach(async () => {
  world = new HashRingWorld()
  controller = await world.pod()
  served = await serveRing({ members: THREE_MEMBERS, app: { rings: controller, page: createPage } })
  onTestFinished(() => served[Symbol.asyncDispose]())
  world.putSlice('shop', 'cache', [
    { name: 'cache-0', address: '10.0.0.1', ...PHASES.serving },
    { name: 'cache-1', address: '10.0.0.2', ...PHASES.serving },
  ])
  world.putRing('shop/cache')
  world.putRing('shop/bad', {})
  await world.clock.advance(50)
})

async function ask(path: string): Promise<Record<string, unknown>> {
  const { status, body } = await exchange(served.server.port, get(path))
  return { status, ...(JSON.parse(body) as object) }
}

/** Opens a watch; `until` resolves when its bytes have a text in them, with all of them. */
async function watch(path: string): Promise<{ socket: Socket; until: (text: string) => Promise<string> }> {
  const socket = await connectTo(served.server.port)
  const received = collect(socket)
  socket.write(get(path))
  const until = async (text: string) => {
    await expect.poll(() => received.text).toContain(text)
    return received.text
  }
  return { socket, until }
}

test('The page shows them, and each of them', async () => {
  const browser = { Accept: 'text/html' }
  const list = await exchange(served.server.port, get('/rings', browser))
  expect(list.body).toContain('makes no ring: spec.service is missing')
  expect(list.body).toContain('href="./?ring=shop%2Fcache"')
  const one = await exchange(served.server.port, get('/?ring=shop%2Fcache&key=a', browser))
  expect(one.body).toContain('data-ring="shop/cache"')
  expect(one.body).toContain('href="members?ring=shop%2Fcache"')
  expect([...one.body.matchAll(/class="arc /g)]).toHaveLength(2)
  const bad = await exchange(served.server.port, get('/?ring=shop%2Fbad', browser))
  expect(bad.body).toContain('RING_NOT_ACCEPTED')
})

test('The changes of one, and whether others have it', async () => {
  const { digest } = controller.get('shop/cache').service.manager.snapshot.ring
  const { changes } = (await ask('/v1/rings/shop/cache/changes')) as { changes: object[] }
  expect(changes[0]).toMatchObject({ cause: 'joined', count: 2, after: digest })
  // Those are asked who stand beside this member, not the ring's nodes.
  const { members } = (await ask('/v1/rings/shop/cache/agreement')) as { members: { name: string }[] }
  expect(members.map(({ name }) => name)).toEqual(THREE_MEMBERS.map(({ name }) => name))
})

describe('under /v1/rings', () => {
  test('all rings are listed, with what each is and why one makes none', async () => {
    const { digest } = controller.get('shop/cache').service.manager.snapshot.ring
    expect(await ask('/v1/rings')).toEqual({
      status: 200,
      rings: [
        { name: 'shop/bad', accepted: false, reason: 'spec.service is missing', ring: null },
        {
          name: 'shop/cache',
          accepted: true,
          reason: null,
          ring: expect.objectContaining({
            digest,
            nodes: 2,
            held: 0,
            ringKey: 'name',
            condition: 'well',
            version: null,
          }) as object,
        },
      ],
    })
    expect(await ask('/v1/rings/shop/cache')).toMatchObject({ name: 'shop/cache', ring: { digest } })
    const { headers } = await exchange(served.server.port, get('/v1/rings'))
    expect(headers.get('cache-control')).toBe('no-cache')
    const again = get('/v1/rings', { 'if-none-match': headers.get('etag') ?? '' })
    expect((await exchange(served.server.port, again)).status).toBe(304)
  })

  test('each ring has the routes of the own one, and answers from its own nodes', async () => {
    const root = '/v1/rings/shop/cache'
    const { ring } = controller.get('shop/cache').service.manager.snapshot
    for (const key of ['a', 'b', 'c', 'd']) {
      const name = ring.ownerOf(key)?.name
      expect(await ask(`${root}/owner?key=${key}`)).toMatchObject({ owner: { name, port: 8000 } })
      expect(await ask(`${root}/owners?key=${key}&n=2`)).toMatchObject({ owners: [{ name }, {}] })
      const routed = await exchange(
        served.server.port,
        get(`${root}/route/any/path`, { 'x-ringman-key': key }),
      )
      expect(routed.headers.get('x-ringman-owner')).toMatch(/^10\.0\.0\.[12]:8000,10\.0\.0\.[12]:8000$/)
    }
    expect(await ask(`${root}/ring`)).toMatchObject({ digest: ring.digest })
    expect(await ask(`${root}/members`)).toMatchObject({ source: { condition: 'well' } })
    expect(await ask(`${root}/plan?leave=cache-0`)).toMatchObject({ before: ring.digest })
    const json = { 'content-type': 'application/json' }
    const posted = request('POST', `${root}/owners`, json, '{"keys":["a"]}')
    expect((await exchange(served.server.port, posted)).status).toBe(200)
  })

  test('answers carry the version once the status has it, and watchers hear of it', async () => {
    const root = '/v1/rings/shop/cache'
    const reader = await watch(`${root}/ring/watch`)
    expect(await reader.until('event: ring')).not.toContain('"version"')
    expect(await ask(`${root}/owner?key=a`)).not.toHaveProperty('version')
    world.writer(controller)
    await world.clock.advance(3000)
    expect(await ask(`${root}/owner?key=a`)).toHaveProperty('version', 1)
    expect(await reader.until('"version":1')).toContain('event: ring')
    const routed = await exchange(served.server.port, get(`${root}/route`, { 'x-ringman-key': 'a' }))
    expect(routed.headers.get('x-ringman-version')).toBe('1')
  })

  test('a watch ends with the ring', async () => {
    const reader = await watch('/v1/rings/shop/cache/ring/watch')
    await reader.until('event: ring')
    world.removeRing('shop/cache')
    await world.clock.advance(50)
    await closed(reader.socket)
  })

  test.each([
    ['/v1/rings/shop/none/owner?key=a', 404, 'RING_NOT_FOUND'],
    ['/v1/rings/shop/none', 404, 'RING_NOT_FOUND'],
    ['/v1/rings/shop/bad/owner?key=a', 503, 'RING_NOT_ACCEPTED'],
    ['/v1/rings/shop/cache/nothing', 404, 'NOT_FOUND'],
    ['/v1/rings/shop', 404, 'NOT_FOUND'],
    ['/v1/rings/shop/cache/owner', 400, 'KEY_MISSING'],
    ['/v1/rings?a=b', 400, 'PARAMETER_INVALID'],
  ])('%s is %i %s', async (path, status, code) => {
    expect(await ask(path)).toMatchObject({ status, code })
  })

  test('a ring without endpoints says so, and one that is not known yet too', async () => {
    world.putRing('shop/empty', { service: { name: 'none' } })
    await world.clock.advance(50)
    expect(await ask('/v1/rings/shop/empty/owner?key=a')).toMatchObject({ status: 503, code: 'RING_EMPTY' })
    const unlisted = world.controller()
    const other = await serveRing({ members: THREE_MEMBERS, app: { rings: unlisted } })
    onTestFinished(() => other[Symbol.asyncDispose]())
    for (const path of ['/v1/rings', '/v1/rings/shop/cache/owner?key=a']) {
      const { status, body } = await exchange(other.server.port, get(path))
      expect([status, (JSON.parse(body) as { code: string }).code]).toEqual([503, 'RINGS_NOT_LISTED'])
    }
  })

  test('methods that a route does not take are refused with those that it takes', async () => {
    const { status, headers } = await exchange(
      served.server.port,
      request('DELETE', '/v1/rings/shop/cache/owner'),
    )
    expect([status, headers.get('allow')]).toEqual([405, 'GET, HEAD, OPTIONS'])
  })

  test('is described in OpenAPI where it is served', async () => {
    const described = describeApi(DEFAULT_HTTP_LIMITS, '1.2.3', true) as { paths: Record<string, unknown> }
    expect(await ask('/openapi.json')).toMatchObject({ paths: { '/v1/rings': {} } })
    expect(await new Validator().validate({ ...structuredClone(described) })).toMatchObject({ valid: true })
    expect(Object.keys(described.paths)).toContain('/v1/rings/{namespace}/{name}/ring/watch')
    const ids = Object.values(described.paths).flatMap((item) =>
      Object.values(item as Record<string, { operationId: string }>).map(({ operationId }) => operationId),
    )
    expect(new Set(ids).size).toBe(ids.length)
  })
})

test.each(['/v1/rings', '/v1/rings/shop/cache/owner?key=a'])(
  'A member that keeps none says so: %s',
  async (path) => {
    const without = await serveRing({ members: THREE_MEMBERS })
    onTestFinished(() => without[Symbol.asyncDispose]())
    const { status, body } = await exchange(without.server.port, get(path))
    expect([status, JSON.parse(body)]).toMatchObject([404, { code: 'NOT_FOUND' }])
    expect(body).toContain('--hash-rings')
  },
)

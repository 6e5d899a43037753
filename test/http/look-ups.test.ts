import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ERROR_STATUSES } from '../../src/http/error-body.ts'
import { toByteText } from '../../src/http/go-json.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { fakeMember } from '../support/fake-source.ts'
import { exchange, get, request, type RawResponse } from './raw-client.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { TurnClock } from '../support/turn-clock.ts'
import { serveRing, type ServedRing } from './running-ring.ts'

let served: ServedRing
let empty: ServedRing
let unstarted: ServedRing
const logger = new RecordingLogger()

beforeAll(async () => {
  served = await serveRing({
    logger,
    limits: { maxKeyBytes: 100, maxOwners: 5, maxBatchKeys: 4, maxBatchOwners: 6, maxBodyBytes: 600 },
    members: [
      fakeMember('node1', '10.0.0.1', { zone: 'a', weight: 2 }),
      fakeMember('node2', '10.0.0.2'),
      fakeMember('nöde3', '::1'),
    ],
  })
  empty = await serveRing({ members: [] })
  unstarted = await serveRing({ start: false })
})

afterAll(async () => {
  for (const each of [served, empty, unstarted]) await each[Symbol.asyncDispose]()
})

const json = ({ body }: RawResponse): Record<string, unknown> => JSON.parse(body) as Record<string, unknown>

function ask(target: string, ring = served): Promise<RawResponse> {
  return exchange(ring.server.port, get(target))
}

function post(body: string, headers: Record<string, string> = {}, ring = served): Promise<RawResponse> {
  const all = { 'Content-Type': 'application/json', ...headers }
  return exchange(ring.server.port, request('POST', '/v1/owners', all, body))
}

const ring = () => served.ring.manager.snapshot.ring
const state = () => ({ digest: ring().digest, epoch: served.ring.manager.snapshot.epoch })

test.each([true, false])(
  'names the next owner while a hand-over moves a key; fast path: %s',
  async (fast) => {
    const handover = (phase: 'pending' | 'releasing' | 'owning', number: number) => ({
      handover: { phase, number },
    })
    await using moving = await serveRing({
      fast,
      members: [
        fakeMember('comes', '10.0.0.1', handover('pending', 1)),
        fakeMember('goes', '10.0.0.2', handover('releasing', 2)),
        fakeMember('stays', '10.0.0.3', handover('owning', 3)),
      ],
    })
    const { ring: service } = moving
    const seen = new Set<string>()
    for (let i = 0; i < 60; i++) {
      const [now, next] = [service.manager.getNode(`key-${i}`), service.nextOwnerOf(`key-${i}`)]
      seen.add(`${now.name} ${next?.name}`)
      const answer = json(await ask(`/v1/owner?key=key-${i}`, moving))
      expect(answer['owner']).toEqual(now)
      expect(answer['next']).toEqual(next)
      expect(Object.hasOwn(answer, 'next')).toBe(next !== undefined)
      expect(json(await ask(`/v1/owners?key=key-${i}&n=2`, moving))['next']).toEqual(next)
    }
    expect([...seen].sort()).toEqual(['goes comes', 'goes stays', 'stays comes', 'stays undefined'])
    const keys = Array.from({ length: 3000 }, (_, i) => `key-${i}`)
    const answered = await post(JSON.stringify({ keys, n: 2 }), {}, moving)
    const batch = json(answered) as { nodes: RingNode[]; owners: number[][]; next: (number | null)[] }
    expect(new Set(batch.nodes.map(({ ringKey }) => ringKey)).size).toBe(batch.nodes.length)
    expect(batch.owners.map((places) => places.map((at) => batch.nodes[at]))).toEqual(
      keys.map((key) => service.manager.getNodes(key, 2)),
    )
    expect(batch.next.map((at) => (at === null ? undefined : batch.nodes[at]))).toEqual(
      keys.map((key) => service.nextOwnerOf(key)),
    )
    const { members } = json(await ask('/v1/members', moving)) as { members: Record<string, unknown>[] }
    expect(members).toMatchObject([
      { handover: 'pending', onRing: false, offRingReason: { code: 'PENDING' } },
      { handover: 'releasing', onRing: true },
      { onRing: true },
    ])
    expect(members[2]).not.toHaveProperty('handover')
  },
)

describe('GET /v1/owner', () => {
  test('says who owns a key, by which ring', async () => {
    for (let i = 0; i < 50; i++) {
      const answer = await ask(`/v1/owner?key=key-${i}`)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toBe('application/json')
      expect(json(answer)).toEqual({ owner: ring().ownerOf(`key-${i}`), ...state() })
    }
  })

  test.each([
    ['caf%C3%A9', 'café'],
    ['caf\u00c3\u00a9', 'café'],
    ['a+b', 'a b'],
    ['a%2Bb', 'a+b'],
    ['a;b', 'a;b'],
    ['%00', '\0'],
    ['%F0%9F%98%80', '😀'],
    ['a=b', 'a=b'],
  ])('takes the key %j', async (escaped, key) => {
    expect(json(await ask(`/v1/owners?n=3&key=${escaped}`))['owners']).toEqual(ring().ownersOf(key, 3))
    expect(json(await ask(`/v1/owner?key=${escaped}`))['owner']).toEqual(ring().ownerOf(key))
  })

  test('takes a key as long as the limit', async () => {
    const key = 'é'.repeat(50)
    expect(json(await ask(`/v1/owner?key=${encodeURIComponent(key)}`))['owner']).toEqual(ring().ownerOf(key))
  })

  test.each(['/v1%2Fowner?key=a', '/v1/owner?key=a', 'http://other/v1/owner?key=a'])(
    'at %s',
    async (target) => {
      expect((await ask(target)).status).toBe(200)
    },
  )

  test('answers HEAD like GET, without the body', async () => {
    const whole = await ask('/v1/owner?key=a')
    const head = await exchange(served.server.port, request('HEAD', '/v1/owner?key=a'))
    expect(head.status).toBe(200)
    expect(head.headers.get('content-length')).toBe(String(whole.body.length))
    expect(head.body).toBe('')
  })
})

describe('GET /v1/owners', () => {
  test.each([
    ['', 1],
    ['&n=1', 1],
    ['&n=2', 2],
    ['&n=5', 3],
  ])('with %j gives %i owners, the first of them the owner', async (more, count) => {
    const answer = json(await ask(`/v1/owners?key=a${more}`))
    expect(answer).toEqual({ owners: ring().ownersOf('a', count), ...state() })
    expect(answer['owners']).toHaveLength(count)
  })
})

describe('POST /v1/owners', () => {
  test('lists the nodes once and then indexes', async () => {
    const keys = ['a', 'b', 'café', 'a']
    const answer = json(await post(toByteText(JSON.stringify({ keys })))) as {
      nodes: { ringKey: string }[]
      owners: number[][]
    }
    expect(answer).toMatchObject(state())
    expect(new Set(answer.nodes.map(({ ringKey }) => ringKey)).size).toBe(answer.nodes.length)
    expect(answer.owners.map((indexes) => indexes.map((at) => answer.nodes[at]))).toEqual(
      keys.map((key) => ring().ownersOf(key, 1)),
    )
    const pairs = json(await post(JSON.stringify({ keys: ['x', 'y'], n: 2 }))) as typeof answer
    expect(pairs.owners.map((indexes) => indexes.map((at) => pairs.nodes[at]))).toEqual(
      ['x', 'y'].map((key) => ring().ownersOf(key, 2)),
    )
  })

  test('takes no keys, a charset, and chunks', async () => {
    expect(json(await post('{"keys":[]}'))).toEqual({ nodes: [], owners: [], ...state() })
    expect((await post('{"keys":["a"]}', { 'Content-Type': 'Application/JSON; charset=utf-8' })).status).toBe(
      200,
    )
    const chunked = await exchange(
      served.server.port,
      request('POST', '/v1/owners', { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' }) +
        '8\r\n{"keys":\r\n6\r\n["a"]}\r\n0\r\n\r\n',
    )
    expect(chunked.status).toBe(200)
  })

  test('takes 10,000 keys by default', async () => {
    await using whole = await serveRing()
    const keys = Array.from({ length: 10_000 }, (_, i) => `session-${i}`)
    const answer = json(await post(JSON.stringify({ keys, n: 3 }), {}, whole)) as {
      nodes: { ringKey: string }[]
      owners: number[][]
    }
    const expected = keys.map((key) => whole.ring.manager.getNodes(key, 3).map(({ ringKey }) => ringKey))
    expect(answer.owners.map((indexes) => indexes.map((at) => answer.nodes[at]?.ringKey))).toEqual(expected)
    expect((await post(JSON.stringify({ keys: [...keys, 'one more'] }), {}, whole)).status).toBe(400)
  })
})

describe('errors', () => {
  test.each([
    ['/v1/owner', 'KEY_MISSING'],
    ['/v1/owner?', 'KEY_MISSING'],
    ['/v1/owner?key=', 'KEY_EMPTY'],
    ['/v1/owner?key', 'KEY_EMPTY'],
    ['/v1/owner?key=a&key=b', 'KEY_REPEATED'],
    ['/v1/owner?key=a&key=', 'KEY_REPEATED'],
    ['/v1/owner?key=%zz', 'KEY_INVALID'],
    ['/v1/owner?key=%FF', 'KEY_INVALID'],
    ['/v1/owner?key=\u00ff', 'KEY_INVALID'],
    ['/v1/owner?key=%ED%A0%80', 'KEY_INVALID'],
    [`/v1/owner?key=${'a'.repeat(101)}`, 'KEY_TOO_LONG'],
    [`/v1/owner?key=${'%C3%A9'.repeat(51)}`, 'KEY_TOO_LONG'],
    ['/v1/owner?key=a&foo=1', 'PARAMETER_INVALID'],
    ['/v1/owner?Key=a', 'PARAMETER_INVALID'],
    [`/v1/owner?${'x'.repeat(5000)}=1`, 'PARAMETER_INVALID'],
    ['/v1/owner?key=a&n=1', 'PARAMETER_INVALID'],
    ['/v1/owners?n=1', 'KEY_MISSING'],
    ['/v1/owners?key=a&n=0', 'N_OUT_OF_RANGE'],
    ['/v1/owners?key=a&n=6', 'N_OUT_OF_RANGE'],
    ['/v1/owners?key=a&n=-1', 'N_OUT_OF_RANGE'],
    ['/v1/owners?key=a&n=1.5', 'N_OUT_OF_RANGE'],
    ['/v1/owners?key=a&n=', 'N_OUT_OF_RANGE'],
    ['/v1/owners?key=a&n=two', 'N_OUT_OF_RANGE'],
    ['/v1/owners?key=a&n=1e0', 'N_OUT_OF_RANGE'],
    ['/v1/owners?key=a&n=99999999999999999999', 'N_OUT_OF_RANGE'],
    ['/v1/owners?key=a&n=1&n=1', 'PARAMETER_INVALID'],
    ['/v1/owners?key=a&n=%zz', 'PARAMETER_INVALID'],
    ['/nothing', 'NOT_FOUND'],
    ['/', 'NOT_FOUND'],
    ['/v1', 'NOT_FOUND'],
    ['/v1/owner/', 'NOT_FOUND'],
    ['/v1/%zz', 'NOT_FOUND'],
    ['/constructor', 'NOT_FOUND'],
    ['//v1/owner?key=a', 'NOT_FOUND'],
  ] as const)('GET %s is %s', async (target, code) => {
    await expectProblem(ask(target), code)
  })

  test.each(['/metrics', '/readyz', '/livez', '/v1/admin/drain', '/v1/report', '/v1/reach'])(
    'GET %s names the admin port, which has it',
    async (path) => {
      const { body } = await ask(path)
      expect(JSON.parse(body)).toMatchObject({
        detail: `there is nothing at "${path}": this is the look-up port; the admin port, --admin-port, may have it`,
      })
    },
  )

  test.each([
    ['{bad', 'BODY_INVALID'],
    ['', 'BODY_INVALID'],
    ['null', 'BODY_INVALID'],
    ['[]', 'BODY_INVALID'],
    ['"keys"', 'BODY_INVALID'],
    ['{}', 'BODY_INVALID'],
    ['{"keys":"a"}', 'BODY_INVALID'],
    ['{"keys":[1]}', 'BODY_INVALID'],
    ['{"keys":["a"],"more":1}', 'BODY_INVALID'],
    ['{"keys":["a"],"__proto__":1}', 'BODY_INVALID'],
    ['{"keys":["a","b","c","d","e"]}', 'BODY_INVALID'],
    ['{"keys":["\u00ff"]}', 'BODY_INVALID'],
    ['['.repeat(500), 'BODY_INVALID'],
    ['{"keys":[""]}', 'KEY_EMPTY'],
    ['{"keys":["\\ud800"]}', 'KEY_INVALID'],
    [`{"keys":["${'a'.repeat(101)}"]}`, 'KEY_TOO_LONG'],
    ['{"keys":["a"],"n":0}', 'N_OUT_OF_RANGE'],
    ['{"keys":["a"],"n":"1"}', 'N_OUT_OF_RANGE'],
    ['{"keys":["a"],"n":null}', 'N_OUT_OF_RANGE'],
    ['{"keys":["a","b","c"],"n":3}', 'N_OUT_OF_RANGE'],
    [`{"keys":["a"]}${' '.repeat(600)}`, 'BODY_TOO_LARGE'],
  ] as const)('POST %j is %s', async (body, code) => {
    await expectProblem(post(body), code)
  })

  test('a body of another type, or none, is CONTENT_TYPE_UNSUPPORTED', async () => {
    await expectProblem(post('{"keys":[]}', { 'Content-Type': 'text/plain' }), 'CONTENT_TYPE_UNSUPPORTED')
    await expectProblem(
      exchange(served.server.port, request('POST', '/v1/owners', {}, '{"keys":[]}')),
      'CONTENT_TYPE_UNSUPPORTED',
    )
  })

  test.each([
    ['compressed', { 'Content-Encoding': 'gzip' }],
    ['in another charset', { 'Content-Type': 'application/json; charset=iso-8859-1' }],
  ])('a body that is %s is CONTENT_TYPE_UNSUPPORTED', async (_, headers) => {
    await expectProblem(post('{"keys":["a"]}', headers), 'CONTENT_TYPE_UNSUPPORTED')
  })

  test.each([
    { 'Content-Encoding': 'identity' },
    { 'Content-Type': 'application/json; charset=UTF-8' },
    { 'Content-Type': 'application/json;charset="utf-8"' },
  ])('%o is what is served', async (headers: Record<string, string>) => {
    expect((await post('{"keys":["a"]}', headers)).status).toBe(200)
  })

  test('an empty ring and a manager that does not run are 503, to be tried again', async () => {
    for (const [ringOfCase, code] of [
      [empty, 'RING_EMPTY'],
      [unstarted, 'MANAGER_NOT_RUNNING'],
    ] as const) {
      for (const target of ['/v1/owner?key=a', '/v1/owners?key=a&n=2']) {
        const answer = await expectProblem(ask(target, ringOfCase), code)
        expect(answer.headers.get('retry-after')).toBe('1')
      }
      await expectProblem(post('{"keys":["a"]}', {}, ringOfCase), code)
    }
    await expectProblem(ask('/v1/ring', unstarted), 'MANAGER_NOT_RUNNING')
    await expectProblem(ask('/v1/plan', unstarted), 'MANAGER_NOT_RUNNING')
    await expectProblem(ask('/v1/ring/watch', unstarted), 'MANAGER_NOT_RUNNING')
  })

  test.each([
    ['DELETE', '/v1/owner?key=a', 'GET, HEAD, OPTIONS'],
    ['POST', '/v1/owner?key=a', 'GET, HEAD, OPTIONS'],
    ['PUT', '/v1/owners', 'GET, HEAD, POST, OPTIONS'],
    ['TRACE', '/v1/ring', 'GET, HEAD, OPTIONS'],
    ['POST', '/openapi.json', 'GET, HEAD, OPTIONS'],
  ])('%s %s names the methods allowed', async (method, target, allow) => {
    const answer = await expectProblem(
      exchange(served.server.port, request(method, target)),
      'METHOD_NOT_ALLOWED',
    )
    expect(answer.headers.get('allow')).toBe(allow)
    const options = await exchange(served.server.port, request('OPTIONS', target))
    expect([options.status, options.headers.get('allow'), options.body]).toEqual([204, allow, ''])
  })

  test('a fault of ours says nothing of itself and is logged once', async () => {
    const faults = new RecordingLogger()
    await using broken = await serveRing({ logger: faults })
    broken.source.health = () => {
      throw new Error('a secret')
    }
    const answer = await ask('/v1/members', broken)
    expect([answer.status, json(answer)['code']]).toEqual([500, 'INTERNAL'])
    expect(answer.body).not.toContain('secret')
    expect(faults.errors).toEqual([
      expect.objectContaining({ event: 'request.failed', err: expect.any(Error) }),
    ])
  })

  test('none of what clients sent was logged as an error', () => {
    expect(logger.errors).toEqual([])
  })
})

async function expectProblem(
  answering: Promise<RawResponse>,
  code: keyof typeof ERROR_STATUSES,
): Promise<RawResponse> {
  const answer = await answering
  const { status, title } = ERROR_STATUSES[code] ?? {}
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(json(answer)).toEqual({
    type: `urn:ringman:error:${code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail: expect.any(String),
    code,
  })
  expect(answer.status).toBe(status)
  expect(answer.body.length).toBeLessThan(1000)
  return answer
}

describe('GET /v1/check', () => {
  test('says whether a request belongs here, or whose ring is older', async () => {
    await using own = await serveRing({ selfName: 'node1' })
    const { manager, ownership } = own.ring
    const { digest } = manager.snapshot.ring
    const empty16 = manager.digests.at(-1)!
    const mine = Array.from({ length: 50 }, (_, i) => `key-${i}`).find((key) =>
      ownership.owned().contains(key),
    )!
    const newer = 'ffffffffffffffff'
    for (const [digests, verdict] of [
      [digest, 'mine'],
      [empty16, 'you-are-behind'],
      [`${newer},${digest}`, 'i-am-behind'],
      [`${newer}&digest=${digest}`, 'i-am-behind'],
      [newer, 'unknown'],
    ] as const) {
      const answer = await exchange(own.server.port, get(`/v1/check?key=${mine}&digest=${digests}`))
      expect([answer.status, JSON.parse(answer.body)]).toEqual([
        200,
        { verdict, mine: true, owner: manager.getNode(mine), digest, epoch: 1 },
      ])
    }
    const answer = await exchange(own.server.port, get(`/v1/check?key=key-of-others&digest=${digest}`))
    expect(JSON.parse(answer.body)).toMatchObject({
      verdict: manager.getNode('key-of-others').name === 'node1' ? 'mine' : 'not-mine',
    })
    expect(ownership.checks['i-am-behind']).toBe(2)
  })

  test.each([
    ['?key=a', 'PARAMETER_INVALID'],
    ['?key=a&digest=', 'PARAMETER_INVALID'],
    ['?key=a&digest=ABCDEF0123456789', 'PARAMETER_INVALID'],
    [`?key=a&digest=${Array.from({ length: 65 }, () => '0123456789abcdef').join(',')}`, 'PARAMETER_INVALID'],
    ['?digest=0123456789abcdef', 'KEY_MISSING'],
    ['?key=&digest=0123456789abcdef', 'KEY_EMPTY'],
  ])('refuses %s', async (query, code) => {
    expect(json(await ask(`/v1/check${query}`))).toMatchObject({ status: 400, code })
  })
})

test('a member that is unsure says so in every answer of look-ups', async () => {
  await using own = await serveRing({ maxSilenceMs: 1000, clock: new TurnClock() })
  own.source.statisticsNow = { staleMs: 10_000 }
  const paths = ['owner?key=a', 'owners?key=a&n=2', 'check?key=a&digest=0123456789abcdef', 'ring', 'members']
  const read = async () => {
    const answers = await Promise.all(paths.map((path) => exchange(own.server.port, get(`/v1/${path}`))))
    return answers.map((answer) => [answer.headers.get('ringman-unsure'), json(answer)['unsure']])
  }
  await expect.poll(read).toEqual(paths.map(() => ['true', true]))
  own.source.statisticsNow = { staleMs: 0 }
  expect(await read()).toEqual(paths.map(() => [undefined, undefined]))
})

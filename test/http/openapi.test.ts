import { systemClock } from '../../src/clock.ts'
import { AgreementRounds } from '../../src/http/agreement.ts'
import { RingAnswers } from '../../src/http/ring-answers.ts'
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { describeApi } from '../../src/http/openapi.ts'
import { allowedMethods } from '../../src/http/route.ts'
import { listRoutes } from '../../src/http/routes.ts'
import { httpParts } from '../support/http-parts.ts'
import { silentLogger } from '../../src/logger.ts'
import { fakeMember } from '../support/fake-source.ts'
import { DescribedApi, type ApiDocument } from './described-api.ts'
import { dial, exchange, get, request, tryParse, type RawResponse } from './raw-client.ts'
import { makeRing, serveRing, THREE_MEMBERS, type ServedRing } from './running-ring.ts'

const description = describeApi(DEFAULT_HTTP_LIMITS, '1.2.3') as unknown as ApiDocument
const api = new DescribedApi(description)

let served: ServedRing

beforeAll(async () => {
  served = await serveRing({
    selfName: 'node1',
    members: [
      ...THREE_MEMBERS,
      fakeMember('node4', '::1', { zone: 'a', weight: 3 }),
      fakeMember('node5', '10.0.0.5', { state: 'dead' }),
      { ...fakeMember('node6', '10.0.0.6'), metadata: undefined },
    ],
    app: { version: '1.2.3' },
  })
})

afterAll(async () => {
  await served[Symbol.asyncDispose]()
})

describe('the OpenAPI document', () => {
  test('is valid OpenAPI 3.1', async () => {
    const result = await new Validator().validate({ ...structuredClone(description) })
    expect(result).toMatchObject({ valid: true })
    expect(description.openapi).toMatch(/^3\.1\./)
  })

  test('is what /openapi.json gives, with the limits and the version of the process', async () => {
    const answer = await exchange(served.server.port, get('/openapi.json'))
    expect(JSON.parse(answer.body)).toEqual(description)
    expect(description.info.version).toBe('1.2.3')
    const other = describeApi({ ...DEFAULT_HTTP_LIMITS, maxOwners: 7 }, '1.2.3')
    expect(JSON.stringify(other)).toContain('"maximum":7')
  })

  test('names every route and no other', () => {
    const { ring } = makeRing()
    const clock = systemClock
    const rounds = new AgreementRounds(ring, { ask: undefined, clock })
    const answers = new RingAnswers(ring, { named: undefined, clock, rounds })
    const routes = listRoutes({ ring, ...httpParts() }, silentLogger, answers)
    const real = routes.map((route) => {
      const methods = allowedMethods(route)?.replace(', OPTIONS', '') ?? 'GET, HEAD, POST'
      return [route.path, methods.toLowerCase().split(', ')]
    })
    const described = Object.entries(description.paths).map(([path, item]) => [path, Object.keys(item)])
    expect(Object.fromEntries(described)).toEqual(Object.fromEntries(real))
  })

  test('names each operation once', () => {
    const ids = Object.values(description.paths).flatMap((item) =>
      Object.values(item).map(({ operationId }) => operationId),
    )
    expect(new Set(ids).size).toBe(ids.length)
  })

  test.each(
    Object.entries(description.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => [method, path] as const),
    ),
  )('%s %s is there, and answers with a status and type that are described', async (method, path) => {
    const answer = await exchangeStart(served, request(method.toUpperCase(), `${path}?key=a`))
    const plain = await exchangeStart(served, request(method.toUpperCase(), path))
    for (const { status, headers } of [answer, plain]) {
      expect(status).not.toBe(405)
      const described = description.paths[path]?.[method]?.responses[String(status)]
      expect(described).toBeDefined()
      if (method === 'head') continue
      const types = Object.keys(described?.content ?? {})
      if (types.length === 0) expect(headers.has('content-type')).toBe(false)
      else expect(types).toContain(headers.get('content-type'))
    }
  })

  test.each([
    ['get', '/v1/owner', 'key=a'],
    ['get', '/v1/owners', 'key=a&n=4'],
    ['get', '/v1/ring', ''],
    ['get', '/v1/members', ''],
    ['get', '/v1/plan', ''],
    ['get', '/v1/plan', 'leave=127.0.0.1:8000&join=a=2&weight=127.0.0.2:8000=2'],
    ['get', '/openapi.json', ''],
    ['get', '/v1/owner', ''],
    ['get', '/v1/owners', 'key=a&n=0'],
    ['get', '/v1/plan', 'leave=a'],
    ['get', '/v1/ring', 'a=b'],
  ])('%s %s?%s answers as its schema says', async (method, path, query) => {
    const answer = await exchange(served.server.port, get(`${path}?${query}`))
    expect(schemaProblems(method, path, answer)).toEqual([])
  })

  test('a batch is asked and answered as its schemas say', async () => {
    const type = { 'Content-Type': 'application/json' }
    for (const question of [{ keys: ['a', 'b'] }, { keys: [], n: 2 }, { keys: ['a'], n: 4 }]) {
      expect(
        api.problemsOf(
          question,
          'paths',
          '/v1/owners',
          'post',
          'requestBody',
          'content',
          'application/json',
          'schema',
        ),
      ).toEqual([])
      const answer = await exchange(
        served.server.port,
        request('POST', '/v1/owners', type, JSON.stringify(question)),
      )
      expect(answer.status).toBe(200)
      expect(schemaProblems('post', '/v1/owners', answer)).toEqual([])
    }
    const pending = fakeMember('d', '10.0.0.4', { handover: { phase: 'pending', number: 1 } })
    await using moving = await serveRing({ members: [...THREE_MEMBERS, pending] })
    const keys = Array.from({ length: 100 }, (_, i) => `key-${i}`)
    const asked = request('POST', '/v1/owners', type, JSON.stringify({ keys }))
    const answer = await exchange(moving.server.port, asked)
    expect(answer.body).toMatch(/"next":\[[^\]]*\d/)
    expect(schemaProblems('post', '/v1/owners', answer)).toEqual([])
    const bad = await exchange(served.server.port, request('POST', '/v1/owners', type, '{"keys":[1]}'))
    expect(schemaProblems('post', '/v1/owners', bad)).toEqual([])
    const wrong = await exchange(served.server.port, request('POST', '/v1/owners', {}, '{}'))
    expect(schemaProblems('post', '/v1/owners', wrong)).toEqual([])
  })

  test('schemas refuse what is not an answer, and take fields and words of a newer member', () => {
    const isAnswer = (schema: string, value: unknown) =>
      api.ajv.validate({ $ref: `api#/components/schemas/${schema}` }, value)
    const answer = { owner: { ringKey: 'a', weight: 1 }, digest: '0123456789abcdef', epoch: 1 }
    expect(isAnswer('OwnerAnswer', answer)).toBe(true)
    expect(isAnswer('OwnerAnswer', { ...answer, owner: { ringKey: 'a' } })).toBe(false)
    expect(isAnswer('OwnerAnswer', { ...answer, later: {}, owner: { ...answer.owner, rack: 7 } })).toBe(true)
    expect(isAnswer('OffRingReason', { code: 'NEW_REASON', message: 'a' })).toBe(true)
    // A question that has a field too many is refused, so that a typing error does not pass unseen.
    expect(isAnswer('OwnersQuestion', { keys: ['a'], more: 1 })).toBe(false)
  })

  test.each([
    ['leave', 'a', true],
    ['leave', '', true],
    ['weight', '', true],
    ['join', 'a', true],
    ['join', 'a=1000', true],
    ['join', 'a=b=7', true],
    ['join', 'a=0', false],
    ['join', 'a=1001', false],
    ['join', 'a=b', false],
    ['weight', 'a=1', true],
    ['weight', 'a', false],
    ['weight', 'a=', false],
  ] as const)('the entry of %s %j is described as the plan takes it: %s', async (name, entry, taken) => {
    const parameter = description.paths['/v1/plan']?.['get']?.parameters?.find((one) => one.name === name)
    const { pattern = '' } = (parameter as unknown as { schema: { items: { pattern?: string } } }).schema
      .items
    expect(new RegExp(pattern, 'u').test(entry)).toBe(taken)
    const { body } = await exchange(served.server.port, get(`/v1/plan?${name}=${entry}`))
    // An empty entry is passed over, and a plan may name a node that is not there: neither is the parameter's fault.
    if (entry !== '')
      expect((JSON.parse(body) as { code?: string }).code === 'PARAMETER_INVALID').toBe(!taken)
  })

  test.each(['/v1/owner', '/v1/ring', '/v1/plan'])('a 405 of %s is described, with Allow', async (path) => {
    const answer = await exchange(served.server.port, request('DELETE', path))
    expect(answer.headers.get('allow')).toBe('GET, HEAD, OPTIONS')
    expect(schemaProblems('get', path, answer)).toEqual([])
  })
})

function schemaProblems(method: string, path: string, { status, headers, body }: RawResponse): unknown {
  const type = headers.get('content-type') ?? ''
  return api.problemsOfAnswer(method, path, { status, type, body })
}

/** The head of an answer, which may be the beginning of a stream. */
async function exchangeStart(ring: ServedRing, bytes: string): Promise<RawResponse> {
  const socket = await dial(ring.server.port)
  try {
    return await new Promise((resolve) => {
      let received = ''
      socket.on('data', (part: string) => {
        received += part
        const head = tryParse(received, true, false)
        if (head !== undefined) resolve(head)
      })
      socket.write(bytes)
    })
  } finally {
    socket.destroy()
  }
}

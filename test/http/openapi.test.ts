import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { describeApi } from '../../src/http/openapi.ts'
import { allowedMethods } from '../../src/http/route.ts'
import { listRoutes } from '../../src/http/routes.ts'
import { silentLogger } from '../../src/logger.ts'
import { fakeMember } from '../support/fake-source.ts'
import { dial, exchange, get, request, tryParse, type RawResponse } from './raw-client.ts'
import { makeRing, serveRing, THREE_MEMBERS, type ServedRing } from './running-ring.ts'

interface MediaType {
  readonly schema: object
}
interface Described {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, MediaType>> }>>
  readonly requestBody?: { readonly content: Readonly<Record<string, MediaType>> }
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
  readonly operationId: string
}
interface Document {
  readonly openapi: string
  readonly info: { readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
}

const description = describeApi(DEFAULT_HTTP_LIMITS, '1.2.3') as unknown as Document
const ajv = new Ajv2020({ strict: false, allErrors: true, formats: { 'date-time': true, uri: true } })
ajv.addSchema({ $id: 'api', ...description })

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

/** Where a response's schema stands in the document, as a JSON pointer. */
function pointer(...steps: readonly string[]): string {
  return `api#/${steps.map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`
}

function problemsOf(value: unknown, ...steps: readonly string[]): unknown {
  const validate = ajv.compile({ $ref: pointer(...steps) })
  return validate(value) ? [] : validate.errors
}

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
    const routes = listRoutes({ ring, clock: systemClock, logger: silentLogger }, silentLogger)
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
      if (method === 'head' && status !== 200) continue
      expect(described).toBeDefined()
      if (method !== 'head')
        expect(Object.keys(described?.content ?? {})).toContain(headers.get('content-type'))
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
        problemsOf(
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
    const bad = await exchange(served.server.port, request('POST', '/v1/owners', type, '{"keys":[1]}'))
    expect(schemaProblems('post', '/v1/owners', bad)).toEqual([])
    const wrong = await exchange(served.server.port, request('POST', '/v1/owners', {}, '{}'))
    expect(schemaProblems('post', '/v1/owners', wrong)).toEqual([])
  })

  test('schemas refuse what is not an answer', () => {
    const schema = ['components', 'schemas', 'OwnerAnswer'] as const
    expect(problemsOf({ owner: { ringKey: 'a' } }, ...schema)).not.toEqual([])
    expect(
      problemsOf(
        { owner: { ringKey: 'a', weight: 1, more: 1 }, digest: '0123456789abcdef', epoch: 1 },
        ...schema,
      ),
    ).not.toEqual([])
    expect(
      problemsOf({ owner: { ringKey: 'a', weight: 1 }, digest: '0123456789abcdef', epoch: 1 }, ...schema),
    ).toEqual([])
  })
})

function schemaProblems(method: string, path: string, { status, headers, body }: RawResponse): unknown {
  const type = headers.get('content-type') ?? ''
  const steps = ['paths', path, method, 'responses', String(status), 'content', type, 'schema']
  return problemsOf(JSON.parse(body), ...steps)
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

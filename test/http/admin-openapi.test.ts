import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { listAdminRoutes } from '../../src/http/admin-app.ts'
import { describeAdminApi } from '../../src/http/admin-openapi.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { Readiness } from '../../src/http/readiness.ts'
import { allowedMethods } from '../../src/http/route.ts'
import { ACTIONS } from '../../src/service/operations.ts'
import { httpParts } from '../support/http-parts.ts'
import { LiveCluster } from '../support/live-cluster.ts'
import { DescribedApi, type ApiDocument } from './described-api.ts'
import { makeRing, operationsOf } from './running-ring.ts'

const description = describeAdminApi(DEFAULT_HTTP_LIMITS, '1.2.3') as unknown as ApiDocument
const api = new DescribedApi(description)
const cluster = new LiveCluster()
let url: string

beforeAll(async () => {
  const [first] = await cluster.addAll('a', 'b')
  url = first.addresses.admin.url
})

afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
})

async function ask(method: string, path: string, body?: object, token = cluster.token) {
  const answer = await fetch(`${url}${path}`, {
    method: method.toUpperCase(),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  const type = answer.headers.get('content-type') ?? ''
  return { status: answer.status, type, body: await answer.text() }
}

describe('the OpenAPI document of the admin port', () => {
  test('is valid OpenAPI 3.1', async () => {
    const result = await new Validator().validate({ ...structuredClone(description) })
    expect(result).toMatchObject({ valid: true })
  })

  test('names every route and no other', () => {
    const { ring } = makeRing()
    const readiness = new Readiness({ ring, clock: systemClock, minMembers: 1, minMembersTimeoutMs: 1000 })
    const metrics = { write: () => Promise.reject(new Error('nobody asks')) }
    const routes = listAdminRoutes({ ring, readiness, metrics, ...httpParts(), ...operationsOf(ring) })
    const real = routes.map((route) => {
      const methods = allowedMethods(route)?.replace(', OPTIONS', '').replace('OPTIONS', '') ?? ''
      return [route.path, methods.toLowerCase().split(', ')]
    })
    const described = Object.entries(description.paths).map(([path, item]) => [path, Object.keys(item)])
    expect(Object.fromEntries(described)).toEqual(Object.fromEntries(real))
  })

  test('is there, with the look-ups that the port of the page answers', async () => {
    const { paths } = JSON.parse((await ask('get', '/openapi.json')).body) as ApiDocument
    expect(Object.keys(paths)).toEqual(
      expect.arrayContaining(['/v1/owner', ...Object.keys(description.paths)]),
    )
    const ids = Object.values(paths).flatMap((item) =>
      Object.values(item).map(({ operationId }) => operationId),
    )
    expect(new Set(ids).size).toBe(ids.length)
  })

  test.each(
    Object.entries(description.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => [method, path] as const),
    ),
  )('%s %s answers with a status and type that are described', async (method, path) => {
    const body = method === 'post' ? { dryRun: 7 } : undefined
    for (const token of [cluster.token, 'wrong']) {
      const { status, type } = await ask(method, path, body, token)
      const described = description.paths[path]?.[method]?.responses[String(status)]
      expect(described).toBeDefined()
      if (method !== 'head') expect(Object.keys(described?.content ?? {})).toContain(type)
    }
  })

  test.each([
    '/livez',
    '/readyz',
    '/v1/report',
    '/v1/reach',
    '/v1/reach?peers=0',
    '/v1/admin',
    '/v1/admin?a=b',
  ])('get %s answers as its schema says', async (target) => {
    const [path = ''] = target.split('?')
    expect(api.problemsOfAnswer('get', path, await ask('get', target))).toEqual([])
  })

  test.each(ACTIONS)('%s is asked and answered as its schemas say', async (action) => {
    const path = `/v1/admin/${action}`
    const schema = ['paths', path, 'post', 'requestBody', 'content', 'application/json', 'schema']
    const more = {
      ...(action === 'evict' ? { name: 'b', forMs: 1000 } : {}),
      ...(action === 'forget' ? { name: 'b' } : {}),
      ...(action === 'weight' ? { weight: 3 } : {}),
    }
    const question = { ...more, dryRun: true, by: 'ann', reason: 'a test' }
    expect(api.problemsOf(question, ...schema)).toEqual([])
    const answer = await ask('post', path, question)
    // Who is alive cannot be forgotten.
    expect(answer.status).toBe(action === 'forget' ? 409 : 200)
    expect(api.problemsOfAnswer('post', path, answer)).toEqual([])
    for (const wrong of [
      { ...question, more: 1 },
      { ...question, by: 7 },
      { ...question, weight: 0 },
    ]) {
      expect(api.problemsOf(wrong, ...schema)).not.toEqual([])
      const refusal = await ask('post', path, wrong)
      expect(refusal.status).toBe(400)
      expect(api.problemsOfAnswer('post', path, refusal)).toEqual([])
    }
  })
})

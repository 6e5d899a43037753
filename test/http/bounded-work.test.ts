import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { parseJson } from '../../src/http/body.ts'
import { goJsonString } from '../../src/http/go-json.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { plan } from '../../src/ring/plan.ts'
import { fakeMember } from '../support/fake-source.ts'
import { dial, exchange, get, request } from './raw-client.ts'
import { serveRing, type ServedRing } from './running-ring.ts'

const MIB = 1024 * 1024
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' }
const JSON_TYPE = { 'Content-Type': 'application/json' }

let served: ServedRing

beforeAll(async () => {
  served = await serveRing({
    members: Array.from({ length: 20 }, (_, i) => fakeMember(`node-${i}`, `10.0.0.${i}`)),
  })
})

afterAll(async () => {
  await served[Symbol.asyncDispose]()
})

const send = (bytes: string) => exchange(served.server.port, bytes)

describe('a key of the compatible routes', () => {
  test.each([
    ['in a form', (key: string) => request('POST', '/hashring/nodes/get', FORM, `key=${key}`)],
    ['in a query', (key: string) => get(`/hashring/nodes/get?key=${key}`)],
    [
      'in a form of parts',
      (key: string) =>
        request(
          'POST',
          '/hashring/nodes/get',
          { 'Content-Type': 'multipart/form-data; boundary=B' },
          `--B\r\nContent-Disposition: form-data; name="key"\r\n\r\n${key}\r\n--B--\r\n`,
        ),
    ],
  ])('%s may have 64 KiB', async (_, ask) => {
    expect((await send(ask('k'.repeat(65_536)))).status).toBe(200)
    const refused = await send(ask('k'.repeat(65_537)))
    expect([refused.status, refused.body]).toEqual([413, '{"status": "error", "message": "Key too long"}\n'])
  })

  test('of 2 MiB of what is escaped costs no large answer', async () => {
    const answer = await send(request('POST', '/hashring/nodes/get', FORM, `key=${'<'.repeat(2 * MIB - 10)}`))
    expect([answer.status, answer.body.length < 100]).toEqual([413, true])
  })
})

test("Go's escapes stay the same, and make at most six bytes of one", () => {
  const slow = (bytes: string) => {
    const text = Buffer.from(bytes, 'latin1').toString('utf8')
    const json = JSON.stringify(text).replace(
      /[<>&\u2028\u2029\ufffd\b\f]|\\[bf]/g,
      (found) =>
        String.raw`\u` +
        (found === String.raw`\b` ? 8 : found === String.raw`\f` ? 12 : found.charCodeAt(0))
          .toString(16)
          .padStart(4, '0'),
    )
    return Buffer.from(json, 'utf8').toString('latin1')
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      const bytes = Buffer.from(text.replaceAll('\ufffd', ''), 'utf8').toString('latin1')
      expect(goJsonString(bytes)).toBe(slow(bytes))
      expect(goJsonString(bytes).length).toBeLessThanOrEqual(6 * bytes.length + 2)
    }),
    { numRuns: 500 },
  )
  expect(goJsonString('a\xffb')).toBe(String.raw`"a\ufffdb"`)
})

describe('JSON is counted before it is parsed', () => {
  const limits = { maxValues: 100, maxDepth: 3 }
  const parse = (text: string) => parseJson(Buffer.from(text), limits)

  test.each([
    ['nested', '['.repeat(MIB), /nested too deep/],
    ['nested and whole', `${'['.repeat(4)}${']'.repeat(4)}`, /nested too deep/],
    ['of many lists', `[${'[],'.repeat(MIB / 4)}[]]`, /too many values/],
    ['of many numbers', `[${'1,'.repeat(200)}1]`, /too many values/],
    ['of many fields', `{${'"a":1,'.repeat(200)}"b":1}`, /too many values/],
  ])('%s', (_, text, message) => {
    expect(() => parse(text)).toThrow(message)
  })

  test('what stands in strings does not count', () => {
    const text = JSON.stringify({ keys: ['[[[[[[\\"', ',,,,'.repeat(100), '\\'] })
    expect(parse(text)).toEqual(JSON.parse(text))
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 50 }), (strings) => {
        expect(parse(JSON.stringify(strings))).toEqual(strings)
      }),
    )
  })
})

/** Requests that are as bad as they can be, for every parameter of every route. */
const PATHOLOGICAL: readonly (readonly [string, string])[] = [
  ...['a', '<', '%3C', '%00', '%E2%80%A8', '%F0%9F%98%80', '+', '"', '%22'].flatMap((unit) => {
    const value = unit.repeat(Math.floor(250_000 / unit.length))
    const short = unit.repeat(Math.floor(190_000 / unit.length))
    return [
      [`/v1/owner?key= of ${unit}`, get(`/v1/owner?key=${short}`)],
      [`/v1/owners?key= of ${unit}`, get(`/v1/owners?n=1000&key=${short}`)],
      [`/v1/owners?n= of ${unit}`, get(`/v1/owners?key=a&n=${short}`)],
      [`/v1/plan?leave= of ${unit}`, get(`/v1/plan?leave=${value}`)],
      [`/v1/plan?join= of ${unit}`, get(`/v1/plan?join=${value}`)],
      [`/v1/plan?weight= of ${unit}`, get(`/v1/plan?weight=${value}`)],
      [`a name of ${unit}`, get(`/v1/ring?${value}`)],
      [`a path of ${unit}`, get(`/${value}`)],
      [`/hashring/nodes/get?key= of ${unit}`, get(`/hashring/nodes/get?key=${short}`)],
      [
        `a form of ${unit}`,
        request('POST', '/hashring/nodes/get', FORM, `key=${unit.repeat((2 * MIB) / unit.length - 10)}`),
      ],
    ] as const
  }),
  ['commas', get(`/v1/plan?join=${','.repeat(250_000)}`)],
  ['many joins', get(`/v1/plan?join=${Array.from({ length: 100 }, (_, i) => `n${i}=1000`).join(',')}`)],
  ['many pairs', get(`/v1/owner?${'a&'.repeat(120_000)}`)],
  ['many pairs in a form', request('POST', '/hashring/nodes/get', FORM, 'a&'.repeat(MIB - 10))],
  ['many tags', get('/v1/ring', { 'If-None-Match': '"a",'.repeat(60_000) })],
  ['nested JSON', request('POST', '/v1/owners', JSON_TYPE, `{"keys":${'['.repeat(MIB)}`)],
  ['many fields', request('POST', '/v1/owners', JSON_TYPE, `{${'"a":1,'.repeat(180_000)}"b":1}`)],
  [
    'a long number',
    request('POST', '/v1/owners', JSON_TYPE, `{"keys":["a"],"n":${'9'.repeat(2 * MIB - 100)}}`),
  ],
  ['a long field', request('POST', '/v1/owners', JSON_TYPE, `{"${'<'.repeat(2 * MIB - 100)}":1}`)],
  [
    'long keys',
    request(
      'POST',
      '/v1/owners',
      JSON_TYPE,
      JSON.stringify({ keys: Array.from({ length: 31 }, () => 'k'.repeat(65_000)) }),
    ),
  ],
  [
    'the largest batch',
    request(
      'POST',
      '/v1/owners',
      JSON_TYPE,
      JSON.stringify({ keys: Array.from({ length: 10_000 }, (_, i) => `k${i}`), n: 10 }),
    ),
  ],
]

test.each(PATHOLOGICAL)('%s: the answer is bounded by the request or by a limit', async (name, bytes) => {
  const answer = await send(bytes)
  expect(answer.status).not.toBe(500)
  // A node of JSON has some 100 bytes; a plan lists at most the moves between 120 nodes.
  const limitBytes = /joins|batch/.test(name) ? 500_000 : 20 * 150 + 6 * Math.min(bytes.length, 65_536) + 1000
  expect(answer.body.length).toBeLessThanOrEqual(limitBytes)
})

test.each(['/v1/owners', '/hashring/nodes/get'])(
  'a body at %s in chunks of one byte is cut off',
  async (path) => {
    const type = path === '/v1/owners' ? JSON_TYPE : FORM
    const chunked = request('POST', path, { ...type, 'Transfer-Encoding': 'chunked' })
    await expect(send(`${chunked}${'1\r\na\r\n'.repeat(100_000)}0\r\n\r\n`)).rejects.toThrow()
    const few = `${chunked}${'1\r\na\r\n'.repeat(900)}0\r\n\r\n`
    expect((await send(few)).status).toBeLessThan(500)
  },
)

test('the largest batch is looked up in turns, by one ring', async () => {
  const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}`)
  const { ring } = served.ring.manager.snapshot
  let turns = 0
  let counting = true
  const count = () => {
    turns++
    if (counting) setImmediate(count)
  }
  count()
  const asked = send(request('POST', '/v1/owners', JSON_TYPE, JSON.stringify({ keys, n: 10 })))
  const answer = JSON.parse((await asked).body) as {
    nodes: { ringKey: string }[]
    owners: number[][]
    digest: string
  }
  counting = false
  expect(turns).toBeGreaterThan(40)
  expect(answer.digest).toBe(ring.digest)
  expect(answer.owners.map((places) => places.map((place) => answer.nodes[place]?.ringKey))).toEqual(
    keys.map((key) => ring.ownersOf(key, 10).map(({ ringKey }) => ringKey)),
  )
})

test('a large plan is made in turns, by one ring, and other requests are answered meanwhile', async () => {
  await using large = await serveRing({
    members: Array.from({ length: 500 }, (_, i) => fakeMember(`member-${i}`, `10.1.${i >> 8}.${i & 255}`)),
  })
  const { ring } = large.ring.manager.snapshot
  const join = Array.from({ length: 50 }, (_, i) => ({ ringKey: `new-${i}`, weight: 20 }))
  let turns = 0
  const over = new AbortController()
  const countTurns = () => {
    turns++
    if (!over.signal.aborted) setImmediate(countTurns)
  }
  countTurns()
  const query = join.map(({ ringKey, weight }) => `${ringKey}=${weight}`).join(',')
  const planned = exchange(large.server.port, get(`/v1/plan?join=${query}`)).then((response) => {
    over.abort()
    return response
  })
  let answered = 0
  while (!over.signal.aborted) {
    expect((await exchange(large.server.port, get('/v1/owner?key=a'))).status).toBe(200)
    answered++
  }
  expect(turns).toBeGreaterThan(60)
  expect(answered).toBeGreaterThan(3)
  const { sharesBefore, sharesAfter, ...expected } = plan(ring, { join })
  expect(JSON.parse((await planned).body)).toMatchObject({
    ...expected,
    shares: Array.from(sharesAfter, ([ringKey, after]) => ({
      ringKey,
      before: sharesBefore.get(ringKey) ?? 0,
      after,
    })),
  })
})

test('work for clients that have gone is dropped', async () => {
  const lookedUp = vi.spyOn(HashRing.prototype, 'ownersOf')
  const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}`)
  const batch = request('POST', '/v1/owners', JSON_TYPE, JSON.stringify({ keys, n: 3 }))
  const sockets = await Promise.all(Array.from({ length: 30 }, () => dial(served.server.port)))
  for (const socket of sockets) socket.write(batch)
  await expect.poll(() => lookedUp.mock.calls.length).toBeGreaterThan(0)
  for (const socket of sockets) socket.resetAndDestroy()
  await expect.poll(() => served.ledger.counts().connections.lookup).toBe(0)
  const before = lookedUp.mock.calls.length
  expect((await send(request('POST', '/v1/owners', JSON_TYPE, JSON.stringify({ keys })))).status).toBe(200)
  expect(served.ledger.counts().heldBytes.body).toBe(0)
  expect(lookedUp.mock.calls.length - before).toBeLessThan(2 * keys.length)
  lookedUp.mockRestore()
})

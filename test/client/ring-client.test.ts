import { execFileSync } from 'node:child_process'
import { mkdtemp, open, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { RingClient, type RingClientChange, type RingClientOptions } from '../../src/client/ring-client.ts'
import { RingmanClient, type RingmanClientOptions } from '../../src/client/ringman-client.ts'
import type { ErrorCode, RingmanError } from '../../src/errors.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { NO_KEYS } from '../support/no-keys.ts'
import { settle, VirtualClock } from '../support/virtual-clock.ts'
import { FakeMembers, nodes, problem, ringBody, ringEvent } from './fake-members.ts'
import { codeOf } from '../support/error-code.ts'

const A = 'http://a'
const B = 'http://b'

/** A client of fake members in virtual time; chance is 0, so that it begins with the first URL and waits half. */
function makeClient(options: Partial<RingClientOptions> = {}) {
  const members = new FakeMembers()
  const clock = new VirtualClock()
  const problems: ErrorCode[] = []
  const client = new RingClient({
    urls: [A],
    fetch: members.fetch,
    clock,
    random: () => 0,
    onProblem: ({ code }) => void problems.push(code),
    ...options,
  })
  onTestFinished(() => client.close())
  return { client, members, clock, problems }
}

const HEARTBEAT = ': heartbeat\n\n'

describe('look-ups', () => {
  test('are those of the ring that the member gave, with everything that reaches a node', async () => {
    const { client, members } = makeClient()
    const given = nodes('abcd').map((node, at) => ({
      ...node,
      weight: at + 1,
      name: `n${at}`,
      address: `10.0.0.${at}`,
      port: 8000,
      zone: 'z',
    }))
    members.watched(A, () => ringEvent(given))
    await client.ready()
    const ring = HashRing.of(given)
    for (let at = 0; at < 1000; at++) {
      expect(client.owner(`key-${at}`)).toEqual(ring.ownerOf(`key-${at}`))
      expect(client.owners(`key-${at}`, 3)).toEqual(ring.ownersOf(`key-${at}`, 3))
    }
    expect(client.owner(Uint8Array.of(255, 0))).toEqual(ring.ownerOf(Uint8Array.of(255, 0)))
    expect(client.owners('k', 1000)).toHaveLength(4)
    expect(client.shares()).toEqual(ring.shares())
    expect(client.digest).toBe(ring.digest)
    expect(client.ring.nodes).toEqual(ring.nodes)
    expect(client.plan({ leave: ['a'] }).after).toBe(ring.remove('a').digest)
  })

  test('say why there is no answer', async () => {
    const { client, members } = makeClient()
    expect(codeOf(() => client.owner('k'))).toBe('RING_UNKNOWN')
    expect(codeOf(() => client.shares())).toBe('RING_UNKNOWN')
    expect([client.digest, client.ageMs, client.stale]).toEqual([undefined, Infinity, true])
    expect(members.asked).toEqual([])
    members.watched(A, () => ringEvent([]))
    await client.ready()
    expect(codeOf(() => client.owner('k'))).toBe('RING_EMPTY')
    expect(codeOf(() => client.owners('k', 2))).toBe('RING_EMPTY')
    members.watch.send(ringEvent(nodes('ab')))
    await vi.waitFor(() => client.owner('k'), 60_000)
    for (const key of ['', new Uint8Array()]) expect(codeOf(() => client.owner(key))).toBe('KEY_EMPTY')
    for (const key of ['\uD800', 'é\uDC00x']) expect(codeOf(() => client.owners(key, 1))).toBe('KEY_INVALID')
    for (const key of NO_KEYS) expect(codeOf(() => client.owner(key))).toBe('KEY_INVALID')
    for (const n of [0, 1.5, -1, NaN, Infinity])
      expect(codeOf(() => client.owners('k', n))).toBe('N_OUT_OF_RANGE')
    expect(() => client.owners('k', '1' as unknown as number)).toThrow(/at least 1, got string$/)
  })

  test('ready ends with its signal, and when the client is closed', async () => {
    const { client, members } = makeClient()
    members.on(`${A}/v1/ring/watch`, () => undefined)
    const reason = new Error('enough')
    await expect(client.ready(AbortSignal.abort(reason))).rejects.toMatchObject({
      code: 'RING_UNKNOWN',
      cause: reason,
    })
    const waiting = client.ready()
    await client.close()
    await expect(waiting).rejects.toMatchObject({ code: 'RING_UNKNOWN' })
  })

  test('that have no ring say what they wait for, and what went wrong last', async () => {
    const { client, clock } = makeClient({ urls: [A, B], ringFile: '/there/is/none' })
    expect(() => client.owner('k')).toThrow('await ready()')
    const over = new AbortController()
    const waiting = client.ready(over.signal).catch((error: unknown) => error)
    await clock.advance(1000)
    await vi.waitFor(() => {
      expect(() => client.owner('k')).toThrow(
        /^no ring from http:\/\/a and 1 more yet; what went wrong last: cannot reach http:\/\/[ab]\/v1\/ring/,
      )
    }, 60_000)
    over.abort()
    expect(await waiting).toMatchObject({
      code: 'RING_UNKNOWN',
      cause: over.signal.reason as unknown,
      message: expect.stringContaining('cannot reach') as unknown,
    })
  })

  test('are ready at once with a ring, whatever the signal says', async () => {
    const { client, members } = makeClient()
    members.watched(A, () => ringEvent(nodes('ab')))
    await client.ready()
    await client.ready(AbortSignal.abort())
  })

  test('an option that there is not is refused, with the one that was meant', () => {
    const make = (options: object) => () => new RingClient({ url: A, ...options })
    expect(make({ staleAfter: 1, nonsense: 2 })).toThrow(
      'option staleAfter: there is no such option; did you mean staleAfterMs?; option nonsense: there is no such option',
    )
    expect(make({ timeout: 1 })).toThrow('did you mean timeoutMs?')
    expect(make({ timeout: 1, whenStale: 'trow' })).toThrow('whenStale is go-on or throw, got "trow"')
    expect(make({ whenStale: 'throw' })).toThrow(
      'whenStale throw needs staleAfterMs: without it no copy is stale',
    )
    expect(() => new RingmanClient({ url: A, ringFile: 'x' } as RingmanClientOptions)).toThrow(
      'option ringFile: there is no such option',
    )
  })

  test.each<[string, Partial<RingClientOptions>]>([
    ['no URL', { urls: [] }],
    ['another scheme', { urls: ['ftp://a'] }],
    ['no URL at all', { urls: ['a:8080'] }],
    ['a password', { urls: ['http://u:p@a'] }],
    ['a query', { urls: ['http://a/?x'] }],
    ['tls beside a fetch', { tls: {} }],
    ['one URL beside several', { url: A, urls: [B] }],
    ['no time', { timeoutMs: 0 }],
    ['staleness without time', { staleAfterMs: -1 }],
  ])('refuse %s', (_, options) => {
    expect(() => makeClient(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

describe('when members are lost', () => {
  test('it answers on, and comes back after waits that grow', async () => {
    const { client, members, clock, problems } = makeClient()
    members.watched(A, () => ringEvent(nodes('abc')))
    await client.ready()
    const owner = client.owner('k')
    await clock.advance(20_000)
    members.gone(A)
    members.watch.reset()
    await settle()
    expect(problems).toEqual(['UNREACHABLE'])
    const askedAt: number[] = []
    for (let seen = members.asked.length; clock.now() < 60_000;) {
      await clock.advance(25)
      if (members.asked.length > seen) askedAt.push(clock.now() - 20_000)
      seen = members.asked.length
    }
    expect(askedAt).toEqual([125, 375, 875, 1875, 3875, 7875, 15_375, 22_875, 30_375, 37_875])
    expect(client.owner('k')).toBe(owner)
    expect([client.ageMs, client.stale]).toEqual([60_000, false])
    members.watched(A, () => ringEvent(nodes('abc')))
    await clock.advance(15_000)
    expect(client.ageMs).toBeLessThan(15_000)
  })

  test('waits grow only once each URL was tried', async () => {
    const dead = Array.from({ length: 20 }, (_, at) => `http://dead-${at}`)
    const { client, members, clock } = makeClient({ urls: [...dead, A] })
    members.watched(A, () => ringEvent(nodes('abc')))
    const ready = client.ready()
    await clock.advance(20 * 125)
    await ready
    await clock.advance(15_000)
    members.gone(A)
    members.watch.end()
    await clock.advance(21 * 125)
    expect(new Set(members.asked.slice(-21)).size).toBe(21)
    const asked = members.asked.length
    // The waits of 250, 500 and 1,000 ms follow.
    await clock.advance(1750)
    expect(members.asked).toHaveLength(asked + 3)
  })

  test('waits grow for connections that do not last, and not for those that do', async () => {
    const { client, members, clock } = makeClient()
    members.watched(A, () => ringEvent(nodes('abc')))
    await client.ready()
    for (const [lastsMs, waitMs] of [
      [1000, 125],
      [1000, 250],
      [1000, 500],
      [15_000, 125],
      [15_000, 125],
      [1000, 250],
    ] as const) {
      await clock.advance(lastsMs)
      const before = members.watches.length
      members.watch.end()
      await clock.advance(waitMs - 1)
      expect(members.watches.length).toBe(before)
      await clock.advance(1)
      expect(members.watches.length).toBe(before + 1)
    }
  })

  test('a member that is silent, or never gives a ring, is left; half an event is no sign of life', async () => {
    const { client, members, clock, problems } = makeClient({ urls: [A, B], silenceMs: 10_000 })
    members.watched(A, () => ringEvent(nodes('abc')))
    members.watched(B, () => HEARTBEAT)
    members.on(`${B}/v1/ring`, () => new Error('ECONNREFUSED'))
    await client.ready()
    await clock.advance(9000)
    members.watch.send(HEARTBEAT)
    await clock.advance(9000)
    expect([client.ageMs, problems]).toEqual([9000, []])
    members.watch.send('event: ring\ndata: {')
    await clock.advance(1000)
    expect(problems).toEqual(['TIMEOUT'])
    await clock.advance(125)
    expect(members.asked.at(-1)).toBe(`${B}/v1/ring/watch`)
    await clock.advance(4999)
    expect(problems).toEqual(['TIMEOUT'])
    await clock.advance(1)
    expect(problems).toEqual(['TIMEOUT', 'TIMEOUT'])
    expect(members.watches.map(({ closed }) => closed)).toEqual([true, true])
  })

  test.each<[string, string, ErrorCode]>([
    ['no JSON', 'event: ring\ndata: {\n\n', 'RESPONSE_INVALID'],
    ['another form', 'event: ring\ndata: {"nodes":7}\n\n', 'RESPONSE_INVALID'],
    ['a digest that is not its own', ringEvent(nodes('abcd'), '0123456789abcdef'), 'RESPONSE_INVALID'],
    ['a weight below 1', ringEvent(nodes('abc')).replace('"weight":1', '"weight":0'), 'RESPONSE_INVALID'],
    ['too many nodes', `event: ring\ndata: {"nodes":[${'0,'.repeat(20_000)}0]}\n\n`, 'RESPONSE_INVALID'],
    [
      'too many values',
      `event: ring\ndata: {"nodes":[],"x":[${'0,'.repeat(1_000_000)}0]}\n\n`,
      'RESPONSE_INVALID',
    ],
    ['values nested deep', `event: ring\ndata: {"nodes":${'['.repeat(1_000_000)}\n\n`, 'RESPONSE_INVALID'],
    ['too long an event', `event: ring\ndata: ${'x'.repeat(16 * 1024 * 1024)}`, 'RESPONSE_INVALID'],
  ])('a ring with %s is not taken, and the next member is asked', async (_, bytes, code) => {
    const { client, members, clock, problems } = makeClient({ urls: [A, B] })
    members.watched(A, () => ringEvent(nodes('abc')))
    members.watched(B, () => ringEvent(nodes('xyz')))
    await client.ready()
    members.watch.send(bytes)
    await settle()
    await expect.poll(() => problems).toEqual([code])
    expect(client.ring.get('a')).toBeDefined()
    await clock.advance(125)
    expect(client.ring.nodes.map(({ ringKey }) => ringKey)).toEqual(['x', 'y', 'z'])
  })

  test('events of other names, unknown fields and odd line ends do no harm', async () => {
    const { client, members } = makeClient()
    members.watched(
      A,
      () => `retry: 5\n\nevent: moved\ndata: {\n\n${ringEvent(nodes('abc')).replaceAll('\n', '\r\n')}`,
    )
    await client.ready()
    expect(client.ring.size).toBe(3)
  })

  test('a member that floods it with rings is read slowly, and the newest counts', async () => {
    const { client, members, clock } = makeClient()
    members.watched(A, () => ringEvent(nodes('abc')))
    const seen: number[] = []
    void (async () => {
      for await (const { ring } of client.changes()) seen.push(ring.size)
    })()
    await client.ready()
    for (let n = 4; n <= 120; n++) {
      members.watch.send(ringEvent(Array.from({ length: n }, (_, at) => ({ ringKey: `n${at}`, weight: 1 }))))
      await settle()
    }
    expect(seen.length).toBeLessThan(25)
    await clock.advance(20_000)
    expect(client.ring.size).toBe(120)
  })
})

describe('several URLs that disagree', () => {
  test('it never goes back to an older version of one HashRing, and takes those of another', async () => {
    const { client, members, clock, problems } = makeClient({ urls: [A, B] })
    const event = (given: string, version: number, uid: string) => {
      const ring = JSON.parse(ringBody(nodes(given))) as object
      return `id: 1\nevent: ring\ndata: ${JSON.stringify({ ...ring, version, uid })}\n\n`
    }
    members.watched(A, () => event('abc', 7, 'one'))
    members.watched(B, () => event('ab', 6, 'one'))
    await client.ready()
    members.watched(A, () => event('ab', 6, 'one'))
    members.watch.reset()
    await clock.advance(30_000)
    expect(problems).toContain('MEMBERS_DISAGREE')
    expect(client.ring.size).toBe(3)
    // A HashRing that was made again counts from the beginning.
    for (const url of [A, B]) members.watched(url, () => event('xy', 1, 'two'))
    await clock.advance(120_000)
    expect(client.ring.size).toBe(2)
  })

  test('it stays with the member that it follows, and goes to another when that is lost', async () => {
    const { client, members, clock } = makeClient({ urls: [A, B] })
    members.watched(A, () => ringEvent(nodes('abc')))
    members.watched(B, () => ringEvent(nodes('abx')))
    await client.ready()
    for (let beat = 0; beat < 40; beat++) {
      await clock.advance(15_000)
      members.watch.send(HEARTBEAT)
    }
    expect([client.ring.get('c')?.ringKey, members.asked]).toEqual(['c', [`${A}/v1/ring/watch`]])
    members.watch.reset()
    await clock.advance(125)
    expect([client.ring.get('x')?.ringKey, members.asked.at(-1)]).toEqual(['x', `${B}/v1/ring/watch`])
  })

  test('a member that knows less than half of the nodes is believed when another one says the same', async () => {
    const { client, members, clock, problems } = makeClient({ urls: [A, B] })
    members.watched(A, () => ringEvent(nodes('abcdef')))
    members.watched(B, () => ringEvent(nodes('b')))
    await client.ready()
    members.watch.reset()
    await clock.advance(125)
    expect(problems).toEqual(['UNREACHABLE', 'MEMBERS_DISAGREE'])
    expect(client.ring.size).toBe(6)
    await clock.advance(250)
    expect([members.asked.at(-1), client.ring.size]).toEqual([`${A}/v1/ring/watch`, 6])
    members.watched(A, () => ringEvent(nodes('b')))
    members.watch.reset()
    await clock.advance(10_000)
    expect(client.ring.size).toBe(1)
  })

  test('a lone member is believed the second time, and one that is followed already at once', async () => {
    const { client, members, clock, problems } = makeClient()
    members.watched(A, () => ringEvent(nodes('abcdef')))
    await client.ready()
    members.watch.send(ringEvent(nodes('a')))
    await settle()
    expect([client.ring.size, problems]).toEqual([1, []])
    members.watch.send(ringEvent(nodes('abcdef')))
    await settle()
    members.watched(A, () => ringEvent([]))
    members.watch.reset()
    await clock.advance(125)
    expect(client.ring.size).toBe(6)
    await clock.advance(1000)
    expect(client.ring.size).toBe(0)
  })
})

describe('where it may not watch', () => {
  const answer = (tag: string, letters: string) => (headers: Record<string, string>) =>
    headers['if-none-match'] === tag
      ? new Response(null, { status: 304 })
      : new Response(ringBody(nodes(letters)), { headers: { etag: tag } })

  test('it polls by entity tag, asks again after a while, and watches when it may', async () => {
    const { client, members, clock, problems } = makeClient()
    members.on(`${A}/v1/ring/watch`, () => problem(503, 'TOO_MANY_WATCHERS'))
    members.on(`${A}/v1/ring`, answer('W/"1"', 'abc'))
    await client.ready()
    expect(problems).toEqual(['TOO_MANY_WATCHERS'])
    await clock.advance(20_000)
    const rings = members.asked.filter((url) => url === `${A}/v1/ring`)
    expect(rings.length).toBe(9)
    expect(members.headers.at(-1)).toMatchObject({ 'if-none-match': 'W/"1"' })
    expect(client.ageMs).toBeLessThanOrEqual(2500)
    members.on(`${A}/v1/ring`, answer('W/"2"', 'abd'))
    await clock.advance(2500)
    expect(client.ring.get('d')).toBeDefined()
    expect(problems).toEqual(['TOO_MANY_WATCHERS'])
    members.watched(A, () => ringEvent(nodes('abe')))
    await clock.advance(10_000)
    expect(client.ring.get('e')).toBeDefined()
    expect(members.watches).toHaveLength(1)
  })

  test('with one URL dead it polls the other one no more often', async () => {
    const { client, members, clock } = makeClient({ urls: [A, B] })
    members.on(`${B}/v1/ring/watch`, () => problem(503, 'TOO_MANY_WATCHERS'))
    members.on(`${B}/v1/ring`, answer('W/"1"', 'abc'))
    const ready = client.ready()
    await clock.advance(1000)
    await ready
    const asked = members.asked.length
    await clock.advance(60_000)
    const polls = members.asked.slice(asked).filter((url) => url === `${B}/v1/ring`).length
    expect(polls).toBeGreaterThan(15)
    expect(polls).toBeLessThan(30)
    expect(members.asked.length - asked).toBeLessThan(3 * polls)
    expect(client.ageMs).toBeLessThan(5000)
    members.watched(B, () => ringEvent(nodes('abc')))
    await clock.advance(35_000)
    expect(members.watches).toHaveLength(1)
  })

  test('each URL is asked for a watch before it polls', async () => {
    const { client, members, clock } = makeClient({ urls: [A, B] })
    members.on(`${A}/v1/ring/watch`, () => problem(503, 'TOO_MANY_WATCHERS'))
    members.on(`${A}/v1/ring`, answer('W/"1"', 'abc'))
    members.watched(B, () => ringEvent(nodes('abc')))
    await client.ready()
    await clock.advance(125)
    expect(members.watches).toHaveLength(1)
  })

  test.each<[string, Record<string, string>]>([
    ['two headers', { etag: '"a" "b"' }],
    ['too long', { etag: `"${'a'.repeat(500)}"` }],
    ['missing', {}],
  ])('a tag that is %s is not sent back', async (_, headers) => {
    const { client, members, clock } = makeClient()
    members.on(`${A}/v1/ring/watch`, () => new Response('no stream'))
    members.on(`${A}/v1/ring`, () => new Response(ringBody(nodes('abc')), { headers }))
    await client.ready()
    await clock.advance(5000)
    expect(members.headers.some((sent) => 'if-none-match' in sent)).toBe(false)
  })

  test('a 304 that was not asked for is no answer', async () => {
    const { client, members, clock } = makeClient()
    members.on(`${A}/v1/ring/watch`, () => new Response('no stream'))
    members.on(`${A}/v1/ring`, () => new Response(null, { status: 304 }))
    const waiting = client.ready()
    await clock.advance(60_000)
    expect(client.ageMs).toBe(Infinity)
    await client.close()
    await expect(waiting).rejects.toMatchObject({ code: 'RING_UNKNOWN' })
  })
})

describe('staleness', () => {
  const lost = async (whenStale: 'go-on' | 'throw') => {
    const made = makeClient({ staleAfterMs: 60_000, whenStale })
    made.members.watched(A, () => ringEvent(nodes('abc')))
    await made.client.ready()
    made.members.gone(A)
    made.members.watch.reset()
    await made.clock.advance(59_999)
    expect([made.client.stale, made.client.owner('k')]).toEqual([false, expect.anything()])
    await made.clock.advance(1)
    expect(made.client.stale).toBe(true)
    return made
  }

  test('a stale copy answers on', async () => {
    const { client } = await lost('go-on')
    expect(client.owner('k').ringKey).toMatch(/[abc]/)
  })

  test('or throws, until a member confirms it', async () => {
    const { client, members, clock } = await lost('throw')
    for (const look of [
      () => client.owner('k'),
      () => client.owners('k', 1),
      () => client.shares(),
      () => client.ring,
    ])
      expect(codeOf(look)).toBe('RING_STALE')
    expect(client.digest).toBeDefined()
    members.watched(A, () => ringEvent(nodes('abc')))
    await clock.advance(15_000)
    expect([client.stale, client.owner('k')]).toEqual([false, expect.anything()])
  })

  test('does not come a moment early because a timer does', async () => {
    class EarlyClock extends VirtualClock {
      override after(delayMs: number, fn: () => void): () => void {
        return super.after(delayMs - 0.7, fn)
      }
    }
    const clock = new EarlyClock()
    const { client, members } = makeClient({ clock, staleAfterMs: 60_000 })
    members.watched(A, () => ringEvent(nodes('abc')))
    await client.ready()
    members.gone(A)
    members.watch.reset()
    await clock.advance(59_999.5 - client.ageMs)
    expect([client.ageMs, client.stale]).toEqual([59_999.5, false])
    await clock.advance(1)
    expect(client.stale).toBe(true)
  })

  test('heartbeats keep a copy fresh', async () => {
    const { client, members, clock } = makeClient({ staleAfterMs: 60_000, whenStale: 'throw' })
    members.watched(A, () => ringEvent(nodes('abc')))
    await client.ready()
    for (let beat = 0; beat < 20; beat++) {
      await clock.advance(15_000)
      expect(client.stale).toBe(false)
      members.watch.send(HEARTBEAT)
    }
  })
})

describe('a ring file', () => {
  async function file(content: string) {
    const folder = await mkdtemp(join(tmpdir(), 'ring-file-'))
    const path = join(folder, 'ring.json')
    await writeFile(path, content)
    return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) }
  }

  test('answers until a member does, and is as old as the file', async () => {
    await using ring = await file(ringBody(nodes('abc')))
    const { client, members, clock, problems } = makeClient({
      ringFile: ring.path,
      staleAfterMs: 3_600_000,
    })
    await utimes(ring.path, 0, (clock.wallNow() - 600_000) / 1000)
    await client.ready()
    expect([client.ring.size, client.ageMs, client.stale]).toEqual([3, 600_000, false])
    await expect.poll(() => problems).toEqual(['UNREACHABLE'])
    members.watched(A, () => ringEvent(nodes('abcd')))
    await clock.advance(1000)
    expect([client.ring.size, client.ageMs <= 1000]).toEqual([4, true])
  })

  test('that is older than allowed is stale at once', async () => {
    await using ring = await file(ringBody(nodes('abc')))
    const { client, clock } = makeClient({ ringFile: ring.path, staleAfterMs: 60_000, whenStale: 'throw' })
    await utimes(ring.path, 0, (clock.wallNow() - 60_000) / 1000)
    await client.ready()
    expect(codeOf(() => client.owner('k'))).toBe('RING_STALE')
  })

  test.each([
    ['is not there', undefined, 'CONFIG_INVALID', 'there is no such file'],
    [
      'is too large',
      ' '.repeat(16 * 1024 * 1024 + 1),
      'CONFIG_INVALID',
      'it is longer than the 16777216 bytes',
    ],
    ['is no JSON', 'nodes: []', 'RESPONSE_INVALID', 'JSON'],
    ['is no ring', '{}', 'RESPONSE_INVALID', 'is not a list'],
    ['has another digest', ringBody(nodes('abc'), '0123456789abcdef'), 'RESPONSE_INVALID', 'digest'],
  ])('that %s is told, and does not stand in the way', async (_, content, code, why) => {
    await using ring = await file(content ?? '')
    const path = content === undefined ? `${ring.path}.not` : ring.path
    const told: RingmanError[] = []
    const { client, members } = makeClient({ ringFile: path, onProblem: (error) => void told.push(error) })
    members.watched(A, () => ringEvent(nodes('abcd')))
    await client.ready()
    expect([told.map((error) => error.code), client.ring.size]).toEqual([[code], 4])
    expect(told[0]?.message).toMatch(
      new RegExp(
        `^the ring file ${path} was not taken: .*${why}.*; allowed is a plain file with the JSON of`,
      ),
    )
  })

  test('that is larger than it says is not read to its end', async () => {
    await using ring = await file('')
    await truncate(ring.path, 16 * 1024 * 1024 + 1)
    await using handle = await open(ring.path)
    const about = await handle.stat()
    const stat = vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, 'stat')
    onTestFinished(() => stat.mockRestore())
    stat.mockResolvedValue(Object.assign(about, { size: 0 }))
    const told: string[] = []
    const { client, members } = makeClient({
      ringFile: ring.path,
      onProblem: ({ message }) => void told.push(message),
    })
    members.watched(A, () => ringEvent(nodes('ab')))
    await client.ready()
    expect(told).toEqual([expect.stringContaining('it is longer than the 16777216 bytes that are allowed')])
  })

  test('that is a pipe or has no end does not stand in the way, either', async () => {
    await using ring = await file('')
    const pipe = `${ring.path}.pipe`
    execFileSync('mkfifo', [pipe])
    for (const ringFile of [pipe, '/dev/zero']) {
      const { client, members, problems } = makeClient({ ringFile })
      members.watched(A, () => ringEvent(nodes('abcd')))
      await client.ready()
      expect([problems, client.ring.size]).toEqual([['CONFIG_INVALID'], 4])
    }
  })
})

describe('changes', () => {
  test('give the ring now, then the newest alone, each with the one that the reader had before', async () => {
    const { client, members } = makeClient()
    members.watched(A, () => ringEvent(nodes('abc')))
    const changes = client.changes()
    const next = async () => (await changes.next()).value as RingClientChange
    const first = await next()
    expect([first.ring.size, first.previous.size, first.moved.share]).toEqual([3, 0, 1])
    for (const letters of ['abcd', 'abcde', 'abcdef']) {
      members.watch.send(ringEvent(nodes(letters)))
      await settle()
    }
    const second = await next()
    expect([second.ring.size, second.previous]).toEqual([6, first.ring])
    expect([...second.moved]).toEqual([...first.ring.movedTo(second.ring)])
    const waiting = next()
    members.watch.send(ringEvent(nodes('abcdef')))
    await settle()
    members.watch.send(ringEvent(nodes('abcdef').map((node) => ({ ...node, address: '10.0.0.1' }))))
    const third = await waiting
    expect([third.ring.digest, third.ring.nodes[0]?.address]).toEqual([second.ring.digest, '10.0.0.1'])
    await changes.return()
  })

  test('end with the signal and with the client, for each reader', async () => {
    const { client, members } = makeClient()
    members.watched(A, () => ringEvent(nodes('abc')))
    const abort = new AbortController()
    const sizes: number[] = []
    const read = async (signal?: AbortSignal) => {
      for await (const { ring } of client.changes(signal)) sizes.push(ring.size)
      return 'over'
    }
    const readers = [read(), read(abort.signal)]
    await client.ready()
    await settle()
    abort.abort()
    expect(await readers[1]).toBe('over')
    await client.close()
    expect(await readers[0]).toBe('over')
    expect(sizes).toEqual([3, 3])
    expect(client.owner('k').ringKey).toMatch(/[abc]/)
    expect(members.watch.closed).toBe(true)
  })
})

test('a callback that throws does not stop the client', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const { client, members, clock } = makeClient({
    onProblem: () => {
      throw new Error('mine')
    },
  })
  members.watched(A, () => ringEvent(nodes('abc')))
  await client.ready()
  members.watch.reset()
  await clock.advance(1000)
  expect(members.watches).toHaveLength(2)
  expect(warned).toHaveBeenCalledOnce()
  warned.mockRestore()
})

test('headers are asked for each request', async () => {
  let token = 0
  const { client, members, clock } = makeClient({
    headers: () => Promise.resolve({ authorization: `Bearer ${++token}` }),
  })
  members.watched(A, () => ringEvent(nodes('abc')))
  await client.ready()
  members.watch.reset()
  await clock.advance(1000)
  expect(members.headers.map(({ authorization }) => authorization)).toEqual(['Bearer 1', 'Bearer 2'])
})

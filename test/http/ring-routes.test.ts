import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { memberAnswer } from '../../src/http/member-answer.ts'
import { placeMembers } from '../../src/membership/placement.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { plan } from '../../src/ring/plan.ts'
import { fakeMember } from '../support/fake-source.ts'
import { exchange, get, request } from './raw-client.ts'
import { makeRing, serveRing, THREE_MEMBERS, type ServedRing } from './running-ring.ts'

async function ask(served: ServedRing, target: string, headers: Record<string, string> = {}) {
  const answer = await exchange(served.server.port, get(target, headers))
  return { ...answer, json: answer.body === '' ? undefined : (JSON.parse(answer.body) as unknown) }
}

/** Publishes members and waits until the ring has them. */
async function publish(
  served: ServedRing,
  members: Parameters<ServedRing['source']['set']>[0],
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const unsubscribe = served.ring.manager.subscribe(() => {
    resolve()
  })
  served.source.set(members)
  await promise
  unsubscribe()
}

describe('GET /v1/ring', () => {
  test('shows every node with its share, the digest, the epoch and the time since the change', async () => {
    await using served = await serveRing()
    const { ring, epoch } = served.ring.manager.snapshot
    const answer = await ask(served, '/v1/ring')
    expect(answer.json).toEqual({
      nodes: ring.nodes.map((node) => ({ ...node, share: ring.shares().get(node.ringKey) })),
      digest: ring.digest,
      epoch,
      sinceChangeMs: expect.any(Number),
    })
    expect(answer.headers.get('etag')).toMatch(new RegExp(`^W/"${ring.digest}-[0-9a-f]{16}"$`))
  })

  test('shows an empty ring', async () => {
    await using served = await serveRing({ members: [] })
    expect((await ask(served, '/v1/ring')).json).toMatchObject({ nodes: [], epoch: 0 })
  })

  test.each([
    ['its tag', (tag: string) => tag, 304],
    ['its tag, without the mark of weak ones', (tag: string) => tag.slice(2), 304],
    ['its tag among others', (tag: string) => `"other", ${tag}`, 304],
    ['a star', () => '*', 304],
    ['another tag', () => '"other"', 200],
    ['its tag without quotes', (tag: string) => tag.slice(3, -1), 200],
    ['nothing', () => '', 200],
  ])('If-None-Match with %s', async (_, headerOf, status) => {
    await using served = await serveRing()
    const tag = (await ask(served, '/v1/ring')).headers.get('etag') ?? ''
    const answer = await ask(served, '/v1/ring', { 'If-None-Match': headerOf(tag) })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('etag')).toBe(tag)
    expect(answer.body === '').toBe(status === 304)
  })

  test('changes its tag when the ring changes', async () => {
    await using served = await serveRing()
    const before = (await ask(served, '/v1/ring')).headers.get('etag') ?? ''
    await publish(served, THREE_MEMBERS.slice(1))
    const after = await ask(served, '/v1/ring', { 'If-None-Match': before })
    expect(after.status).toBe(200)
    expect(after.headers.get('etag')).not.toBe(before)
  })

  test.each([
    ['address', fakeMember('node1', '10.9.9.9'), 'name' as const],
    ['zone', fakeMember('node1', '127.0.0.1', { zone: 'b' }), 'address' as const],
    ['name', fakeMember('node0', '127.0.0.1'), 'address' as const],
  ])(
    'changes its tag when a node gets another %s, though the digest stays',
    async (field, changed, ringKeyMode) => {
      await using served = await serveRing({ ringKeyMode })
      const tag = (await ask(served, '/v1/ring')).headers.get('etag') ?? ''
      const { digest } = served.ring.manager.snapshot.ring
      expect((await ask(served, '/v1/ring', { 'If-None-Match': tag })).status).toBe(304)
      await publish(served, [changed, ...THREE_MEMBERS.slice(1)])
      expect(served.ring.manager.snapshot.ring.digest).toBe(digest)
      const after = await ask(served, '/v1/ring', { 'If-None-Match': tag })
      expect([field, after.status]).toEqual([field, 200])
      expect(after.headers.get('etag')).not.toBe(tag)
    },
  )
})

describe('GET /v1/changes', () => {
  test('tells of the last changes, the newest first, and of 200 at most', async () => {
    await using served = await serveRing()
    await publish(served, THREE_MEMBERS.slice(1))
    const { epoch } = served.ring.manager.snapshot
    const { json } = await ask(served, '/v1/changes')
    const { changes } = json as { changes: object[] }
    expect(json).toMatchObject({ digest: served.ring.manager.snapshot.ring.digest, epoch })
    expect(changes[0]).toEqual({
      epoch,
      cause: 'removed',
      node: '127.0.0.1:8000',
      count: 1,
      timeMs: expect.any(Number),
      movedShare: expect.any(Number),
      before: expect.any(String),
      after: served.ring.manager.snapshot.ring.digest,
    })
    for (let i = 0; i < 101; i++) {
      await publish(served, THREE_MEMBERS)
      await publish(served, THREE_MEMBERS.slice(1))
    }
    const later = (await ask(served, '/v1/changes')).json as { changes: object[] }
    expect(later.changes).toHaveLength(200)
  })
})

describe('GET /v1/members', () => {
  test('shows every member, and why it is not on the ring', async () => {
    const stateSinceMs = Date.UTC(2026, 4, 1)
    await using served = await serveRing({
      selfName: 'self',
      members: [
        { ...fakeMember('dead', '10.0.0.4', { state: 'dead' }), stateSinceMs },
        fakeMember('gone', '10.0.0.5', { state: 'left' }),
        { ...fakeMember('mute', '10.0.0.6'), metadata: undefined },
        fakeMember('other', '10.0.0.3'),
        fakeMember('self', '10.0.0.1', { zone: 'a', weight: 3 }),
        fakeMember('shaky', '10.0.0.2', { state: 'suspect' }),
        fakeMember('twin', '10.0.0.3'),
      ],
    })
    const { json } = await ask(served, '/v1/members')
    const reason = (code: string) => ({ onRing: false, offRingReason: { code, message: expect.any(String) } })
    const on = { onRing: true, offRingReason: null }
    const { ring, epoch } = served.ring.manager.snapshot
    expect(json).toEqual({
      members: [
        expect.objectContaining({
          name: 'dead',
          state: 'dead',
          stateSince: '2026-05-01T00:00:00.000Z',
          stateSinceMs,
          self: false,
          ...reason('STATE_DEAD'),
        }),
        expect.objectContaining({ name: 'gone', state: 'left', ...reason('STATE_LEFT') }),
        expect.objectContaining({ name: 'mute', ringKey: null, weight: null, ...reason('METADATA_MISSING') }),
        expect.objectContaining({ name: 'other', ringKey: '10.0.0.3:8000', weight: 1, ...on }),
        expect.objectContaining({
          name: 'self',
          self: true,
          zone: 'a',
          weight: 3,
          address: '10.0.0.1',
          ...on,
        }),
        expect.objectContaining({ name: 'shaky', state: 'suspect', port: 7946, ...on }),
        expect.objectContaining({ name: 'twin', ...reason('RING_KEY_TAKEN') }),
      ],
      source: { kind: 'memberlist', condition: 'well', ok: true, message: 'All is well' },
      digest: ring.digest,
      epoch,
    })
  })

  test('answers before the ring runs', async () => {
    await using served = await serveRing({ start: false })
    expect((await ask(served, '/v1/members')).json).toMatchObject({ members: [], epoch: 0 })
  })

  test('shows a member that the ring has not taken in yet, and bears times out of range', () => {
    const { ring } = makeRing()
    const odd = { ...fakeMember('odd', '10.0.0.1'), stateSinceMs: 1e300 }
    const { snapshot } = ring.manager
    expect(memberAnswer(odd, { snapshot, mode: 'address', selfName: undefined })).toMatchObject({
      stateSince: '1970-01-01T00:00:00.000Z',
      offRingReason: { code: 'RING_BEHIND' },
    })
  })
})

describe('GET /v1/plan', () => {
  test('of a large ring is answered a few times in a second, and again later', async () => {
    let aheadMs = 0
    const clock = { ...systemClock, now: () => aheadMs }
    const members = Array.from({ length: 900 }, (_, i) => fakeMember(`m${i}`, `10.0.${i >> 8}.${i & 255}`))
    await using served = await serveRing({ members, clock })
    const statuses = async () => {
      const all = []
      for (let i = 0; i < 6; i++) all.push((await ask(served, '/v1/plan?join=a,b')).status)
      return all
    }
    expect(await statuses()).toEqual([200, 200, 200, 200, 503, 503])
    aheadMs = 1000
    expect(await statuses()).toEqual([200, 200, 503, 503, 503, 503])
  })

  const [one, two] = ['127.0.0.1:8000', '127.0.0.2:8000'] as const

  test.each([
    ['', {}],
    [`leave=${one}`, { leave: [one] }],
    [`leave=${one},${two}`, { leave: [one, two] }],
    [`leave=${one}%2C${two},`, { leave: [one, two] }],
    ['join=new:1', { join: [{ ringKey: 'new:1', weight: 1 }] }],
    [
      'join=new:1%3D3,b',
      {
        join: [
          { ringKey: 'new:1', weight: 3 },
          { ringKey: 'b', weight: 1 },
        ],
      },
    ],
    ['join=a=b=2', { join: [{ ringKey: 'a=b', weight: 2 }] }],
    [
      `leave=${one}&join=x=2&weight=${two}=5`,
      { leave: [one], join: [{ ringKey: 'x', weight: 2 }], reweight: [{ ringKey: two, weight: 5 }] },
    ],
  ])('%s', async (query, change) => {
    await using served = await serveRing()
    const { ring, epoch } = served.ring.manager.snapshot
    const { sharesBefore, sharesAfter, ...rest } = plan(ring, change)
    const { json } = await ask(served, `/v1/plan?${query}`)
    expect(json).toEqual({ ...rest, shares: expect.any(Array), digest: ring.digest, epoch })
    const { shares } = json as { shares: { ringKey: string; before: number; after: number }[] }
    for (const { ringKey, before, after } of shares) {
      expect([before, after]).toEqual([sharesBefore.get(ringKey) ?? 0, sharesAfter.get(ringKey) ?? 0])
    }
    expect(shares).toHaveLength(new Set([...sharesBefore.keys(), ...sharesAfter.keys()]).size)
  })

  test.each([
    ['leave=nobody', 'PLAN_INVALID'],
    [`join=${one}`, 'PLAN_INVALID'],
    [`leave=${one}&weight=${one}=2`, 'PLAN_INVALID'],
    ['weight=nobody=2', 'PLAN_INVALID'],
    ['join=a%0Ab', 'PLAN_INVALID'],
    [`weight=${one}`, 'PARAMETER_INVALID'],
    ['join=a=', 'PARAMETER_INVALID'],
    ['join=a=0', 'PARAMETER_INVALID'],
    ['join=a=1001', 'PARAMETER_INVALID'],
    ['join=a=1e2', 'PARAMETER_INVALID'],
    ['leave=%FF', 'PARAMETER_INVALID'],
    ['replicas=3', 'PARAMETER_INVALID'],
    [`join=${Array.from({ length: 6 }, (_, i) => `n${i}`).join(',')}`, 'PARAMETER_INVALID'],
  ])('%s is %s', async (query, code) => {
    await using served = await serveRing({ limits: { maxPlannedNodes: 5 } })
    const answer = await ask(served, `/v1/plan?${query}`)
    expect([answer.status, answer.json]).toEqual([400, expect.objectContaining({ code })])
  })

  test.each([
    ['joins with more than counts', [1, 1, 1], 'join=10.0.0.9:8000=1000', [1, 1, 1, 1000]],
    ['gets more than counts', [1, 1, 1], 'weight=10.0.0.0:8000=1000', [1000, 1, 1]],
    [
      'counts less once others have left',
      [1, 5, 5, 100],
      'leave=10.0.0.1:8000,10.0.0.2:8000',
      [1, 0, 0, 100],
    ],
  ])('a node that %s is planned with the weight that it will have', async (_, weights, query, later) => {
    const membersOf = (all: readonly number[]) =>
      all.flatMap((weight, i) =>
        weight === 0 ? [] : [fakeMember(`m${i}`, `10.0.0.${i === weights.length ? 9 : i}`, { weight })],
      )
    await using served = await serveRing({ members: membersOf(weights) })
    const { json } = await ask(served, `/v1/plan?${query}`)
    const after = HashRing.of(placeMembers(membersOf(later), 'address')).digest
    expect(json).toMatchObject({ before: served.ring.manager.snapshot.ring.digest, after })
  })

  test('a list may be repeated, as generated clients send it', async () => {
    await using served = await serveRing()
    const join = ['a', 'b=2', 'c']
    const { json } = await ask(served, `/v1/plan?join=${join.join(',')}`)
    expect((await ask(served, `/v1/plan?${join.map((entry) => `join=${entry}`).join('&')}`)).json).toEqual(
      json,
    )
    expect((await ask(served, '/v1/plan?join=a,b=2&join=c')).json).toEqual(json)
  })

  test('plans the last node away, and a first one in', async () => {
    await using served = await serveRing({ members: THREE_MEMBERS.slice(0, 1) })
    expect((await ask(served, `/v1/plan?leave=${one}`)).json).toMatchObject({
      movedShare: 1,
      moves: [{ from: one, to: null, share: 1 }],
    })
    await using empty = await serveRing({ members: [] })
    expect((await ask(empty, '/v1/plan?join=a')).json).toMatchObject({
      moves: [{ from: null, to: 'a', share: 1 }],
    })
  })
})

describe('the compatible node list', () => {
  const list = async (served: ServedRing) => (await exchange(served.server.port, get('/hashring/nodes'))).body

  test('leaves out the dead and the gone, and escapes as Go does', async () => {
    await using served = await serveRing({
      members: [
        fakeMember('<é>', '::1', { servicePort: '9' }),
        fakeMember('dead', '10.0.0.1', { state: 'dead' }),
        fakeMember('gone', '10.0.0.2', { state: 'left' }),
      ],
    })
    const body = Buffer.from(await list(served), 'latin1').toString('utf8')
    expect(body).toContain(String.raw`"Name": "\u003cé\u003e"`)
    expect(JSON.parse(body)).toHaveLength(1)
    served.source.set([])
    expect(await list(served)).toBe('[]')
  })

  test('is an object of ring keys where the source is Sidecar', async () => {
    await using served = await serveRing({ kind: 'sidecar', members: [] })
    expect(await list(served)).toBe('null')
    await publish(served, [
      fakeMember('b', 'host-b', { servicePort: '12345' }),
      fakeMember('a', '127.0.0.1', { servicePort: '23423' }),
    ])
    expect(await list(served)).toBe('{\n  "127.0.0.1:23423": {},\n  "host-b:12345": {}\n}')
    await publish(served, [])
    expect(await list(served)).toBe('{}')
  })

  test('get answers with an empty Node when the manager does not run', async () => {
    await using served = await serveRing({ start: false })
    const answer = await exchange(served.server.port, get('/hashring/nodes/get?key=x'))
    expect([answer.status, answer.body]).toEqual([200, '{\n  "Node": "",\n  "Key": "x"\n}'])
  })
})

describe('forms on the compatible path', () => {
  const send = (served: ServedRing, method: string, contentType: string, body: string, query = '') =>
    exchange(
      served.server.port,
      request(method, `/hashring/nodes/get${query}`, { 'Content-Type': contentType }, body),
    )
  const part = (name: string, value: string, more = '') =>
    `--B\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
  const multipart = 'multipart/form-data; boundary=B'

  test.each([
    ['POST', multipart, `${part('other', 'x')}${part('key', 'a')}${part('key', 'b')}--B--\r\n`, 'a'],
    ['GET', multipart, `${part('key', 'a')}--B--\r\n`, 'a'],
    ['DELETE', multipart, `${part('key', 'a')}--B--\r\n`, 'a'],
    ['POST', 'Multipart/Form-Data; boundary="B"', `${part('key', 'a')}--B--`, 'a'],
    ['POST', multipart, `${part('key', 'caf\u00c3\u00a9')}--B--\r\n`, 'caf\u00c3\u00a9'],
    ['POST', multipart, `${part('key', 'file', '; filename="f"')}${part('key', 'a')}--B--\r\n`, 'a'],
    ['PUT', 'application/x-www-form-urlencoded', 'key=a', 'a'],
    ['POST', 'Application/X-WWW-Form-Urlencoded ; x', 'b=%zz&key=a', 'a'],
  ])('%s %s %j has the key %j', async (method, contentType, body, key) => {
    await using served = await serveRing()
    const answer = await send(served, method, contentType, body)
    expect(answer.body).toContain(`"Key": "${key}"`)
    expect(answer.status).toBe(200)
  })

  test.each([
    [multipart, `${part('key', 'a')}--B`],
    [multipart, '--B\r\nContent-Disp'],
    [multipart, ''],
    [multipart, `--B\r\nContent-Disposition: form-data; name="key"\r\n\r\na`],
    ['multipart/form-data', `${part('key', 'a')}--B--\r\n`],
    ['multipart/mixed; boundary=B', `${part('key', 'a')}--B--\r\n`],
    [multipart, `${part('key', '')}--B--\r\n`],
  ])('POST %s %j has no key', async (contentType, body) => {
    await using served = await serveRing()
    expect((await send(served, 'POST', contentType, body)).status).toBe(404)
  })

  test('hashes the bytes of a multipart value that is no UTF-8', async () => {
    await using served = await serveRing({
      members: Array.from({ length: 40 }, (_, i) => fakeMember(`n${i}`, `10.0.0.${i}`)),
    })
    const bytes = Buffer.from([0xff, 0xfe, 0x61])
    const answer = await send(served, 'POST', multipart, `${part('key', bytes.toString('latin1'))}--B--\r\n`)
    expect(answer.body).toContain(`"Node": "${served.ring.manager.getNode(bytes).ringKey}"`)
    expect(answer.body).toContain(String.raw`"Key": "\ufffd\ufffda"`)
  })

  test('a form above the limit is 413, one that is held up by others 503', async () => {
    await using served = await serveRing({ limits: { maxBodyBytes: 100, maxHeldBodyBytes: 50 } })
    const form = 'application/x-www-form-urlencoded'
    const large = await send(served, 'POST', form, `key=${'a'.repeat(200)}`)
    expect([large.status, large.body]).toEqual([413, '{"status": "error", "message": "Body too large"}\n'])
    const held = await send(served, 'POST', form, `key=${'a'.repeat(90)}`)
    expect(held.status).toBe(503)
    expect((await send(served, 'POST', form, `key=${'a'.repeat(40)}`)).status).toBe(200)
  })
})

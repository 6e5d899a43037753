import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test, vi } from 'vitest'
import { systemClock, systemRandom } from '../../src/clock.ts'
import { RingmanError } from '../../src/errors.ts'
import { silentLogger } from '../../src/logger.ts'
import { MemberlistNode } from '../../src/membership/memberlist/memberlist-node.ts'
import { generateKey, parseKeyring } from '../../src/membership/memberlist/keyring.ts'
import { Operations, type TellMember } from '../../src/service/operations.ts'
import { FAREWELL_TIMEOUT_MS } from '../../src/service/ring-service.ts'
import { LiveCluster, type LiveMember } from '../support/live-cluster.ts'
import { TurnClock } from '../support/turn-clock.ts'

async function fiveMembers(settings: Record<string, string | undefined> = {}): Promise<LiveCluster> {
  const cluster = new LiveCluster()
  for (const name of ['a', 'b', 'c', 'd', 'e']) await cluster.add(name, settings)
  await cluster.agreeOn(5)
  return cluster
}

/** Asks all members for owners again and again; what failed is told at the end. */
function lookUpAll(members: readonly LiveMember[]) {
  const failures: string[] = []
  const over = new AbortController()
  let answered = 0
  const loops = members.map(async ({ name, addresses }) => {
    for (let n = 0; !over.signal.aborted; n++) {
      const response = await fetch(`${addresses.http.url}/v1/owner?key=key-${n}`)
      await response.text()
      if (response.status === 200) answered++
      else failures.push(`${name}: ${response.status}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })
  return async () => {
    over.abort()
    await Promise.all(loops)
    expect(answered).toBeGreaterThan(0)
    return failures
  }
}

const digestOf = ({ process }: LiveMember) => process.service.manager.snapshot.ring.digest

describe('in a cluster of five with look-ups under way', () => {
  test('a member is drained, returns and gets another weight, and no look-up fails', async () => {
    await using cluster = await fiveMembers()
    const [a, b] = cluster.members as [LiveMember, LiveMember]
    const before = digestOf(b)
    const finish = lookUpAll(cluster.members)

    const tried = await cluster.act(a, 'drain', { dryRun: true })
    expect(tried.json).toMatchObject({ action: 'drain', member: 'a', dryRun: true, changed: true })
    expect(tried.json['movedShare']).toBeGreaterThan(0.05)
    expect(digestOf(b)).toBe(before)

    const drained = await cluster.act(a, 'drain', { reason: 'disk is full', by: 'ann' })
    expect(drained).toMatchObject({
      status: 200,
      json: { changed: true, movedShare: tried.json['movedShare'] },
    })
    await cluster.agreeOn(4)
    expect(a.logger.of('admin.action')[0]?.fields).toMatchObject({
      action: 'drain',
      by: 'ann',
      reason: 'disk is full',
      address: '127.0.0.1',
    })
    const readyz = await fetch(`${a.addresses.admin.url}/readyz`)
    expect([readyz.status, await readyz.text()]).toEqual([503, expect.stringContaining('was drained')])
    const members = await (await fetch(`${b.addresses.http.url}/v1/members`)).json()
    expect(members).toMatchObject({
      members: expect.arrayContaining([
        expect.objectContaining({
          name: 'a',
          state: 'alive',
          offRingReason: { code: 'DRAINED', message: expect.any(String) },
        }),
      ]),
    })
    expect((await cluster.act(a, 'drain')).json).toMatchObject({ changed: false })

    expect(await cluster.act(a, 'return')).toMatchObject({ status: 200, json: { changed: true } })
    await cluster.agreeOn(5)
    expect(digestOf(b)).toBe(before)
    expect((await fetch(`${a.addresses.admin.url}/readyz`)).status).toBe(200)

    const most = await cluster.act(a, 'weight', { weight: 1000, dryRun: true })
    expect(most.json['message']).toBe(
      'Its weight is 1000 and counts for 20 (at most 20 times the median), until it is restarted',
    )
    const weighed = await cluster.act(a, 'weight', { weight: 4 })
    expect(weighed.json['message']).toBe('Its weight is 4, until it is restarted')
    expect(a.logger.of('admin.action').at(-1)?.fields).toMatchObject({ action: 'weight', weight: 4 })
    expect(weighed.status).toBe(200)
    await vi.waitFor(() => {
      const weights = cluster.members.map(
        ({ process }) => process.service.manager.snapshot.ring.nodes.find(({ name }) => name === 'a')?.weight,
      )
      expect(weights).toEqual([4, 4, 4, 4, 4])
    }, 60_000)
    await cluster.agreeOn(5)
    expect(await finish()).toEqual([])
  })

  test('a member is evicted: it leaves, the others do not take it back, and it learns so when it comes again', async () => {
    await using cluster = await fiveMembers()
    const [a, b, c, , e] = cluster.members as [LiveMember, LiveMember, LiveMember, LiveMember, LiveMember]
    const finish = lookUpAll(cluster.members)
    const evicted = await cluster.act(b, 'evict', { name: 'e', forMs: 60_000, by: 'ann', reason: 'errors' })
    expect(evicted).toMatchObject({ status: 200, json: { action: 'evict', member: 'e', changed: true } })
    expect(evicted.json['details']).toEqual([
      '"e" left',
      ...['a', 'c', 'd'].map((name) => `"${name}" does not take it back either`),
    ])
    expect(evicted.json['message']).toBe('"e" is off the ring, and not taken back for 1m')
    await cluster.agreeOn(4)
    expect(await finish()).toEqual([])
    expect(c.logger.of('admin.action')[0]?.fields).toMatchObject({ peer: 'e', by: 'ann', relayed: true })
    // Its look-ups go on and name others; its probes say that it is not ready.
    expect((await fetch(`${e.addresses.http.url}/v1/owner?key=k`)).status).toBe(200)
    const readyz = await fetch(`${e.addresses.admin.url}/readyz`)
    expect([readyz.status, await readyz.text()]).toEqual([
      503,
      expect.stringContaining('This process has left the ring: an operator evicted it.'),
    ])

    await e.process.close(0)
    cluster.members.pop()
    // Where it was, so that nothing that is sent to the one before may tell it of others.
    const again = await cluster.add('e', {
      gossipPort: String(e.addresses.gossip!.port),
      servicePort: '8004',
    })
    await expect
      .poll(() => again.process.service.health())
      .toMatchObject({
        condition: 'refused',
        message: expect.stringContaining('evicted'),
      })
    expect(a.process.service.manager.snapshot.ring.size).toBe(4)
    expect((await again.process.readiness.evaluate()).ready).toBe(false)
  })

  test('a member whose admin port does not answer is evicted by the others', async () => {
    await using cluster = await fiveMembers()
    const [a] = cluster.members as [LiveMember]
    // As if it hung: it gossips, and nobody answers at the port that it tells.
    writeFileSync(`${cluster.folder}/other`, 'another-token\n')
    const deaf = await cluster.add('deaf', {
      tokenFile: `${cluster.folder}/other`,
      probeIntervalMs: '200ms',
    })
    await cluster.agreeOn(6)
    const evicted = await cluster.act(a, 'evict', { name: 'deaf', forMs: 60_000 })
    expect(evicted.json['details']).toContain('"deaf" did not do it: the token is missing or wrong')
    await cluster.agreeOn(
      5,
      cluster.members.filter((member) => member !== deaf),
    )
    // It denies that it is dead, and nobody believes it; whom it asks tells it why.
    await expect
      .poll(() => deaf.process.service.health())
      .toMatchObject({ condition: 'draining', message: 'The others do not take it: an operator evicted it' })
    expect((await deaf.process.readiness.evaluate()).ready).toBe(false)
    await cluster.agreeOn(
      5,
      cluster.members.filter((member) => member !== deaf),
    )
  })

  test('a member whose admin port cannot be reached is refused by the others for the time that was asked for', async () => {
    await using cluster = await fiveMembers()
    const five = [...cluster.members]
    const [a] = five as [LiveMember]
    const finish = lookUpAll(five)
    // It gossips from another address than the one at which its ports are.
    await cluster.add('far', { httpHost: '127.0.0.2', probeIntervalMs: '200ms' })
    await cluster.agreeOn(6)

    const refusedFromMs = performance.now()
    // Looked for from now on: on a busy machine the time is half over when the action has been answered.
    const refused = cluster.agreeOn(5, five)
    const { status, json } = await cluster.act(a, 'evict', { name: 'far', forMs: 5000 })
    expect(status).toBe(200)
    expect(json['details']).toEqual([
      expect.stringMatching(/^"far" did not do it: .*127\.0\.0\.1.*ECONNREFUSED/),
      ...['b', 'c', 'd', 'e'].map((name) => `"${name}" does not take it back either`),
    ])
    await refused
    // It lives and says so all the time; once the time is over it is believed again.
    await cluster.agreeOn(6)
    expect(performance.now() - refusedFromMs).toBeGreaterThan(4000)
    expect(await finish()).toEqual([])
  })
})

describe('while a member is evicted', () => {
  const hour = 3_600_000

  /** Three members, of which each knows that `e` is evicted. */
  async function withEvicted(cluster: LiveCluster) {
    const [a, b, c, e] = await cluster.addAll('a', 'b', 'c', 'e')
    await cluster.act(a, 'evict', { name: 'e', forMs: hour })
    await cluster.agreeOn(3)
    await stop(cluster, e)
    return { a, b, c }
  }

  async function stop(cluster: LiveCluster, member: LiveMember) {
    await member.process.close(0)
    cluster.members.splice(cluster.members.indexOf(member), 1)
  }

  /** Starts a member anew; what it serves keeps its port. */
  const start = (cluster: LiveCluster, name: string, settings: Record<string, string> = {}) =>
    cluster.add(name, { servicePort: String(8000 + 'abced'.indexOf(name)), ...settings })

  const through = ({ addresses }: LiveMember) => ({ seeds: `127.0.0.1:${addresses.gossip!.port}` })
  const evictedAt = ({ process }: LiveMember) => process.service.control!.report().evicted

  test('one that starts, or starts again, does not take it either', async () => {
    await using cluster = new LiveCluster()
    const { a, b } = await withEvicted(cluster)
    await stop(cluster, b)
    for (const name of ['b', 'd']) {
      const newcomer = await start(cluster, name)
      await expect.poll(() => evictedAt(newcomer)).toEqual([{ name: 'e', forMs: expect.any(Number) }])
      expect(newcomer.logger.of('eviction.learned')).toMatchObject([
        { level: 'info', fields: { peer: 'e', from: '127.0.0.1' } },
      ])
    }
    await cluster.agreeOn(4)
    const ours = [...cluster.members]
    const again = await start(cluster, 'e', through(ours.at(-1)!))
    await expect.poll(() => again.process.service.health().condition).toBe('refused')
    await cluster.agreeOn(4, ours)
    expect(a.process.service.source.members.find(({ name }) => name === 'e')?.state).not.toBe('alive')
  })

  test('it stays so when all have been started again, one after the other, and not for longer', async () => {
    await using cluster = new LiveCluster()
    const { a, b, c } = await withEvicted(cluster)
    const leftAtFirstMs = Math.max(...[a, b, c].map((member) => evictedAt(member)[0]!.forMs))
    for (const member of [a, b, c]) {
      await stop(cluster, member)
      await start(cluster, member.name)
      await cluster.agreeOn(3)
    }
    for (const member of cluster.members) {
      await expect.poll(() => evictedAt(member)).toEqual([{ name: 'e', forMs: expect.any(Number) }])
      // Only what a state takes on its way is added, by each member that passes it on.
      expect(evictedAt(member)[0]!.forMs).toBeLessThanOrEqual(leftAtFirstMs)
    }
  })

  test('one that could not be told hears of it when states are exchanged', async () => {
    await using cluster = new LiveCluster()
    const [a] = await cluster.addAll('a', 'b', 'e')
    writeFileSync(`${cluster.folder}/other`, 'another-token\n')
    const untold = await cluster.add('untold', { tokenFile: `${cluster.folder}/other` })
    await cluster.agreeOn(4)
    const { json } = await cluster.act(a, 'evict', { name: 'e', forMs: hour })
    expect(json['details']).toContain('"untold" did not do it: the token is missing or wrong')
    await expect.poll(() => evictedAt(untold), { timeout: 30_000 }).toMatchObject([{ name: 'e' }])
  })
})

test('a member that says farewell for as long as it may has left', async () => {
  await using cluster = new LiveCluster()
  const clock = new TurnClock()
  for (const name of ['a', 'b', 'c']) await cluster.add(name, {}, clock)
  await cluster.agreeOn(3)
  const [a, , c] = cluster.members as [LiveMember, LiveMember, LiveMember]
  // As where nobody acknowledges it.
  vi.spyOn(c.process.service, 'evict').mockImplementation(() => clock.advance(FAREWELL_TIMEOUT_MS))
  const evicted = await cluster.act(a, 'evict', { name: 'c' })
  expect(evicted.json['details']).toEqual(['"c" left', '"b" does not take it back either'])
})

describe('whoever is told of an eviction', () => {
  const asked = {
    action: 'evict',
    name: 'b',
    dryRun: false,
    relayed: false,
    by: 'ann',
    address: '127.0.0.1',
    reason: '',
  } as const

  function evict({ process }: LiveMember, name: string, tell: TellMember) {
    const operations = new Operations(process.service, tell, silentLogger)
    const request = { ...asked, name }
    const steps = operations.plan(request)
    let step = steps.next()
    while (step.done !== true) step = steps.next()
    return operations.finish(request, step.value)
  }

  test.each(['b', 'a'])(
    'is told at once, %s among them, and is in the answer though it dies meanwhile',
    async (name) => {
      await using cluster = new LiveCluster()
      const [a, , c] = await cluster.addAll('a', 'b', 'c', 'd')
      const told: string[] = []
      const { promise: allTold, resolve } = Promise.withResolvers<void>()
      const answer = await evict(a, name, async (member) => {
        told.push(member.name)
        if (told.length === 3) resolve()
        await allTold
        await c.process.close(0)
      })
      expect(told.toSorted()).toEqual(['b', 'c', 'd'])
      expect(answer.details).toEqual([
        name === 'b' ? '"b" left' : '"b" does not take it back either',
        '"c" does not take it back either',
        '"d" does not take it back either',
      ])
    },
  )

  test('may have done it, where it does not answer', async () => {
    await using cluster = new LiveCluster()
    const [a] = await cluster.addAll('a', 'b')
    const slow = new RingmanError('TIMEOUT', 'b did not answer within 7000 ms')
    const answer = await evict(a, 'b', () => Promise.reject(slow))
    expect(answer.details).toEqual(['"b" may not have done it: b did not answer within 7000 ms'])
  })

  test('was not where it is dead: the answer says so', async () => {
    await using cluster = new LiveCluster()
    const [a, , c] = await cluster.addAll('a', 'b', 'c')
    vi.spyOn(c.process.service.source, 'leave').mockResolvedValue()
    await c.process.close(0)
    await cluster.agreeOn(2, cluster.members.slice(0, 2))
    const answer = await evict(a, 'b', () => Promise.resolve())
    expect(answer.details).toEqual(['"b" left', '"c" is dead, and was not told'])
  })
})

test('a dead member is forgotten, a living one is not', async () => {
  await using cluster = new LiveCluster()
  const a = await cluster.add('a', { deadKeptMs: '1h' })
  const b = await cluster.add('b')
  await cluster.agreeOn(2)
  expect(await cluster.act(a, 'forget', { name: 'b' })).toMatchObject({
    status: 409,
    json: { code: 'ACTION_REFUSED', detail: expect.stringContaining('alive') },
  })
  await b.process.service.leave()
  await cluster.agreeOn(1)
  expect((await cluster.act(a, 'forget', { name: 'b', dryRun: true })).json).toMatchObject({ changed: true })
  expect(a.process.service.source.members.map(({ name }) => name)).toEqual(['a', 'b'])
  expect((await cluster.act(a, 'forget', { name: 'b' })).status).toBe(200)
  expect(a.process.service.source.members.map(({ name }) => name)).toEqual(['a'])
  expect(await cluster.act(a, 'forget', { name: 'b' })).toMatchObject({ status: 404 })
})

test('a changed keyring is taken up at once, is only looked at in a dry run, and a broken one is refused', async () => {
  await using cluster = new LiveCluster()
  const a = await cluster.add('a')
  const reload = (dryRun = false) => cluster.act(a, 'reload', { dryRun })
  const keys = () => a.process.service.control!.report().keys.length
  const saying = (changed: boolean, details: RegExp) => ({
    status: 200,
    json: { changed, details: [expect.stringMatching(details)] },
  })
  expect(await reload()).toMatchObject(saying(false, /^Its keyring has the keys [0-9a-f]{8}, of which/))
  appendFileSync(cluster.keyringFile, `${generateKey()}\n`)
  const two = '[0-9a-f]{8}, [0-9a-f]{8}, of which the first encrypts'
  expect(await reload(true)).toMatchObject(
    saying(true, new RegExp(`^Its keyring would have the keys ${two}`)),
  )
  expect(keys()).toBe(1)
  expect(a.logger.of('admin.action')).toHaveLength(1)
  expect(await reload()).toMatchObject(saying(true, new RegExp(`^Its keyring has the keys ${two}`)))
  expect(keys()).toBe(2)
  expect(await reload(true)).toMatchObject(saying(false, new RegExp(`^Its keyring has the keys ${two}`)))

  writeFileSync(cluster.keyringFile, 'nonsense\n')
  for (const dryRun of [true, false]) {
    expect(await reload(dryRun)).toMatchObject({
      status: 409,
      json: {
        code: 'ACTION_REFUSED',
        detail: expect.stringMatching(
          new RegExp(
            `^Its keyring file ${cluster.keyringFile} cannot be used: line 1 is not a key.*allowed. Its keyring has the keys ${two}, as before$`,
          ),
        ),
      },
    })
  }
  expect(keys()).toBe(2)
  // The file is wrong, and nothing failed here: a warning without a stack, which names the file.
  expect(a.logger.of('admin.failed')).toMatchObject([
    {
      level: 'warn',
      message: 'Did not do what an operator asked for',
      fields: {
        action: 'reload',
        code: 'ACTION_REFUSED',
        because: expect.stringContaining(`Its keyring file ${cluster.keyringFile} cannot be used: line 1`),
      },
    },
  ])
  expect(a.logger.of('admin.failed')[0]?.fields).not.toHaveProperty('err')
})

test('what would be done by halves is refused', async () => {
  await using cluster = new LiveCluster()
  const open = { keyringFile: undefined }
  const a = await cluster.add('a', open)
  for (const [action, body] of [
    ['drain', {}],
    ['evict', { name: 'a' }],
    ['evict', { name: 'a', dryRun: true }],
  ] as const)
    expect(await cluster.act(a, action, body)).toMatchObject({
      status: 409,
      json: { detail: expect.stringContaining('it would be empty') },
    })
  expect(a.process.service.state).toBe('running')
  const b = await cluster.add('b', open)
  await cluster.agreeOn(2)
  expect(await cluster.act(a, 'evict', { name: 'b' })).toMatchObject({
    status: 409,
    json: { detail: expect.stringContaining(`--url ${b.addresses.admin.url}`) },
  })
  expect(await cluster.act(a, 'reload')).toMatchObject({
    status: 200,
    json: { changed: false, message: 'This member follows no files', details: [] },
  })
  // At its own admin port it leaves, keys or none.
  expect(await cluster.act(b, 'evict', { name: 'b' })).toMatchObject({
    status: 200,
    json: { changed: true, message: expect.stringContaining('Started again, it is taken back at once') },
  })
  await cluster.agreeOn(1)
  expect(await cluster.act(b, 'return')).toMatchObject({ status: 409 })
})

test('the only member on the ring is not evicted by one that is drained, and a drained one is', async () => {
  await using cluster = new LiveCluster()
  const [a, b] = await cluster.addAll('a', 'b')
  await cluster.agreeOn(2)
  expect(await cluster.act(b, 'drain')).toMatchObject({ status: 200 })
  await cluster.agreeOn(1)
  expect(await cluster.act(b, 'evict', { name: 'a' })).toMatchObject({
    status: 409,
    json: { detail: 'no other member is on the ring, and without "a" it would be empty' },
  })
  expect(await cluster.act(a, 'evict', { name: 'b', dryRun: true })).toMatchObject({ status: 200 })
  expect(await cluster.act(b, 'evict', { name: 'b', dryRun: true })).toMatchObject({ status: 200 })
})

test('Go members cannot be evicted, and keep others from draining and weights', async () => {
  await using cluster = new LiveCluster()
  const a = await cluster.add('a')
  const keyring = parseKeyring(readFileSync(cluster.keyringFile, 'utf8'))
  const go = new MemberlistNode({
    name: 'go',
    meta: new TextEncoder().encode('{"ServicePort":"9000"}'),
    bindHost: '127.0.0.1',
    gossipPort: 0,
    preset: 'local',
    keyring,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  })
  await go.start(new AbortController().signal)
  go.join([{ address: '127.0.0.1', port: a.addresses.gossip?.port ?? 0 }])
  await cluster.agreeOn(2)
  for (const [action, body] of [
    ['evict', { name: 'go' }],
    ['drain', {}],
    ['weight', { weight: 2 }],
  ] as const) {
    expect(await cluster.act(a, action, body)).toMatchObject({
      status: 409,
      json: { detail: expect.stringMatching(/Go member/) },
    })
  }
  await go.stop()
})

describe('nobody acts', () => {
  test.each([
    ['without a token', { authorization: '' }, 401, 'UNAUTHORIZED'],
    ['with another one', { authorization: 'Bearer open-sesam' }, 401, 'UNAUTHORIZED'],
    ['with one that a browser keeps', { authorization: 'Basic OnNlc2FtZQ==' }, 401, 'UNAUTHORIZED'],
    ['from a page of elsewhere', { origin: 'http://evil.example' }, 403, 'FORBIDDEN'],
    ['from a page of another port', { 'sec-fetch-site': 'same-site' }, 403, 'FORBIDDEN'],
    ['by a form', { 'content-type': 'text/plain' }, 415, 'CONTENT_TYPE_UNSUPPORTED'],
  ])('%s', async (_, headers, status, code) => {
    await using cluster = new LiveCluster()
    const a = await cluster.add('a')
    expect(await cluster.act(a, 'evict', { name: 'a' }, headers)).toMatchObject({ status, json: { code } })
    expect(a.process.service.state).toBe('running')
  })

  test('until there is a token file', async () => {
    await using cluster = new LiveCluster()
    const a = await cluster.add('a', { tokenFile: undefined })
    expect(await cluster.act(a, 'reload')).toMatchObject({
      status: 404,
      json: { detail: expect.stringMatching(/^this member was started without --token-file, .*restart it/) },
    })
  })

  test.each([
    ['evict', { name: 'a', x: 1 }],
    ['evict', {}],
    ['evict', { name: 'a\u001b[2J' }],
    ['evict', { name: 'a', forMs: 0 }],
    ['weight', { weight: 0 }],
    ['weight', { weight: 1001 }],
    ['drain', { dryRun: 'no' }],
    ['drain', { reason: 'x\ny' }],
    ['drain', []],
  ])('%s with %j is refused', async (action, body) => {
    await using cluster = new LiveCluster()
    const a = await cluster.add('a')
    expect(await cluster.act(a, action, body)).toMatchObject({ status: 400, json: { code: 'BODY_INVALID' } })
    expect(a.process.service.state).toBe('running')
  })
})

test('a page of the admin port itself may act, and is told what it can do', async () => {
  await using cluster = new LiveCluster()
  const a = await cluster.add('a')
  const { url } = a.addresses.admin
  const headers = { origin: url, 'sec-fetch-site': 'same-origin', authorization: `Bearer ${cluster.token}` }
  const answer = await fetch(`${url}/v1/admin`, { headers })
  expect(await answer.json()).toEqual({
    name: 'a',
    source: 'memberlist',
    keyed: true,
    drained: false,
    weight: 1,
    actions: ['forget', 'evict', 'drain', 'return', 'weight', 'reload'],
  })
})

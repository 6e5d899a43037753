import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HashRing } from '../src/ring/hash-ring.ts'
import type { RingNode } from '../src/ring/node.ts'
import type { Driver, DriverKey, DriverRequest, OpenRequest } from './driver.ts'
import type { RingVector, VectorKey, Vectors } from './make-vectors.ts'
import { ringEvent, ringJson, ScriptedServer, type Asked } from './scripted-server.ts'

/** Something that every client does. It fails by throwing. */
export interface Scenario {
  readonly name: string
  /** @returns Why it was left out, if the driver does not know how. */
  run(client: Client, vectors: Vectors): Promise<string | undefined | void>
}

/** Time limits that the clients get here, so that a scenario does not last. */
const TIMEOUT_MS = 1000
const SILENCE_MS = 1500

/** How long something may take that is to happen at once. */
const SOON_MS = 10_000

/** How long it may take where a client has failed before: the longest wait between two tries is 15 s. */
const AFTER_WAITS_MS = 30_000

const nodes = (letters: string): RingNode[] => letters.split('').map((ringKey) => ({ ringKey, weight: 1 }))
const digestOf = (given: readonly RingNode[]) => HashRing.of(given).digest
const KEY: DriverKey = { text: 'user:42' }

/** The client under test, by its driver. */
export class Client {
  readonly #driver: Driver

  constructor(driver: Driver) {
    this.#driver = driver
  }

  ask(request: DriverRequest) {
    return this.#driver.ask(request)
  }

  async open(
    servers: readonly (ScriptedServer | string)[],
    options: Partial<OpenRequest> = {},
  ): Promise<void> {
    const urls = servers.map((server) => (typeof server === 'string' ? server : server.url))
    await this.ask({ op: 'open', urls, timeoutMs: TIMEOUT_MS, silenceMs: SILENCE_MS, ...options })
  }

  /** Opens, and waits for the first ring. */
  async follow(
    servers: readonly (ScriptedServer | string)[],
    options: Partial<OpenRequest> = {},
  ): Promise<void> {
    await this.open(servers, options)
    assert.equal((await this.ask({ op: 'ready', timeoutMs: SOON_MS })).ready, true, 'the client has no ring')
  }

  async state() {
    const { digest, ageMs, stale } = await this.ask({ op: 'state' })
    assert(digest !== undefined && ageMs !== undefined && stale !== undefined, 'an answer lacks fields')
    return { digest, ageMs, stale }
  }

  /** Waits until the copy is the ring of these nodes. */
  async has(given: readonly RingNode[], what = 'the copy is not the ring that was shown'): Promise<void> {
    const wanted = digestOf(given)
    await until(async () => (await this.state()).digest === wanted, what)
  }

  /** For a while, the copy is this ring, and it answers. */
  async keeps(given: readonly RingNode[], forMs: number): Promise<void> {
    const wanted = digestOf(given)
    const endMs = performance.now() + forMs
    do {
      assert.equal((await this.state()).digest, wanted, 'the copy was given up for another one')
      await this.owns(given)
      await sleep(20)
    } while (performance.now() < endMs)
  }

  /** The owner of a key is that of this ring. */
  async owns(given: readonly RingNode[]): Promise<void> {
    const { node, error } = await this.ask({ op: 'owner', key: KEY })
    assert.equal(error, undefined, 'a look-up failed')
    assert.equal(node?.ringKey, HashRing.of(given).ownerOf('user:42')?.ringKey, 'another owner')
  }

  async error(request: DriverRequest): Promise<string | undefined> {
    return (await this.ask(request)).error
  }
}

async function until(
  holds: () => boolean | Promise<boolean>,
  otherwise: string,
  withinMs = AFTER_WAITS_MS,
): Promise<void> {
  const endMs = performance.now() + withinMs
  while (!(await holds())) {
    assert(performance.now() < endMs, otherwise)
    await sleep(10)
  }
}

const keyOf = (key: VectorKey): DriverKey => ('text' in key ? { text: key.text } : { hex: key.hex })
const watchesOf = (server: ScriptedServer) => server.asked.filter(({ path }) => path.endsWith('/ring/watch'))

/** Two members with the same ring. */
async function pair(given: readonly RingNode[]) {
  const servers = [await ScriptedServer.start(given), await ScriptedServer.start(given)] as const
  return {
    servers,
    /** The one that the client watches, and the other one. */
    followed: () => (servers[0].watches > 0 ? servers : ([servers[1], servers[0]] as const)),
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server[Symbol.asyncDispose]()
    },
  }
}

async function checkRing(client: Client, vector: RingVector, keys: readonly VectorKey[]): Promise<void> {
  await client.has(vector.nodes, `the digest of "${vector.name}" is another one`)
  const { shares } = await client.ask({ op: 'shares' })
  const expected = Object.fromEntries(
    vector.nodes.map(({ ringKey }, at) => [ringKey, (vector.shares[at] ?? 0) / 2 ** 32]),
  )
  assert.deepEqual(shares, expected, `other shares of "${vector.name}"`)
  if (vector.nodes.length === 0) return
  const named = (places: readonly number[]) => places.map((place) => vector.nodes[place]?.ringKey)
  const asked = keys.map(keyOf)
  const three = await client.ask({ op: 'owners', keys: asked, n: 3 })
  keys.forEach((key, at) => {
    assert.deepEqual(
      three.owners?.[at],
      named(vector.owners3[at]!),
      `owners of ${JSON.stringify(key)} on "${vector.name}"`,
    )
  })
  const one = await client.ask({ op: 'owners', keys: asked, n: 1 })
  assert.deepEqual(
    one.owners?.map(([first]) => first),
    named(vector.owner),
    `first owners on "${vector.name}"`,
  )
  const all = await client.ask({ op: 'owners', keys: asked.slice(0, 1), n: vector.nodes.length + 5 })
  assert.deepEqual(all.owners?.[0], named(vector.allOwners), `all owners on "${vector.name}"`)
}

/** A stream that gives this, then is left open. The client is to keep its copy, and to go to the other member. */
function refusal(what: string, bytes: () => string | Uint8Array, kept = nodes('abc')): Scenario {
  return {
    name: `does not take ${what}`,
    async run(client) {
      await using members = await pair(kept)
      await client.follow(members.servers)
      const [followed, other] = members.followed()
      followed.send(bytes())
      await until(() => other.watches === 1, 'the other member was not asked')
      await until(() => followed.watches === 0, 'the connection was not closed')
      await client.keeps(kept, 100)
    },
  }
}

/** A member that does this from the start. The client is to go to the other one. */
function passedOver(what: string, prepare: (server: ScriptedServer) => void): Scenario {
  return {
    name: `passes over a member that ${what}`,
    async run(client) {
      await using good = await ScriptedServer.start(nodes('abc'))
      await using bad = await ScriptedServer.start(nodes('xyz'))
      prepare(bad)
      await client.follow([bad, good])
      await client.keeps(nodes('abc'), 100)
    },
  }
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'owners, shares and digests of every ring of the vectors',
    async run(client, { rings, keys }) {
      const [first, ...others] = rings.filter(({ nodes: { length } }) => length > 0)
      await using server = await ScriptedServer.start(first!.nodes)
      await client.follow([server])
      for (const vector of [first!, ...others, ...rings]) {
        server.show(vector.nodes)
        await checkRing(client, vector, keys)
      }
    },
  },
  {
    name: 'what moves between the rings of the vectors',
    async run(client, { moves, rings }) {
      const of = (name: string) => rings.find((ring) => ring.name === name)!.nodes
      for (const { from, to, moved, stretches } of moves) {
        const answer = await client.ask({ op: 'moved', from: of(from), to: of(to) })
        if (answer.unsupported === true) return 'it does not know what moves'
        assert.equal(answer.share, moved / 2 ** 32, `the share that moves from "${from}" to "${to}"`)
        if (stretches !== undefined)
          assert.deepEqual(answer.stretches, stretches, `stretches from "${from}" to "${to}"`)
      }
      return undefined
    },
  },
  {
    name: 'plans',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abcd'))
      await client.follow([server])
      const change = { leave: ['a'], join: nodes('e'), reweight: [{ ringKey: 'b', weight: 3 }] }
      const answer = await client.ask({ op: 'plan', ...change })
      if (answer.unsupported === true) return 'it makes no plans'
      const next = HashRing.of([...nodes('cde'), { ringKey: 'b', weight: 3 }])
      assert.equal(answer.after, next.digest)
      assert.equal(answer.movedShare, HashRing.of(nodes('abcd')).movedTo(next).share)
      assert.equal(await client.error({ op: 'plan', ...change, leave: ['z'] }), 'PLAN_INVALID')
      return undefined
    },
  },
  {
    name: 'gives the nodes as the member does, and passes over what it does not know',
    async run(client) {
      const full = {
        ringKey: 'a',
        weight: 2,
        name: 'member-0',
        address: '2001:db8::1',
        port: 8000,
        zone: 'z',
      }
      await using server = await ScriptedServer.start([full])
      await client.follow([server])
      const { node } = await client.ask({ op: 'owner', key: KEY })
      assert.deepEqual(node, full)
      server.send('event: later\ndata: {\n\nunknown: field\n\n')
      const moved = [{ ...full, address: '10.0.0.9' }]
      server.show(moved)
      await until(
        async () => (await client.ask({ op: 'owner', key: KEY })).node?.address === '10.0.0.9',
        'an address that changed was not taken',
      )
    },
  },
  {
    name: 'says why there is no answer',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('a'))
      server.be('hang')
      await client.open([server])
      assert.equal(await client.error({ op: 'owner', key: KEY }), 'RING_UNKNOWN')
      assert.equal((await client.ask({ op: 'ready', timeoutMs: 50 })).ready, false)
      assert.deepEqual(await client.state(), { digest: null, ageMs: null, stale: true })
      server.show([])
      server.be('serve')
      assert.equal((await client.ask({ op: 'ready', timeoutMs: SOON_MS })).ready, true)
      assert.equal(await client.error({ op: 'owner', key: KEY }), 'RING_EMPTY')
      server.show(nodes('a'))
      await client.has(nodes('a'))
      assert.equal(await client.error({ op: 'owner', key: { text: '' } }), 'KEY_EMPTY')
      for (const n of [0, -1])
        assert.equal(await client.error({ op: 'owners', keys: [KEY], n }), 'N_OUT_OF_RANGE')
    },
  },
  {
    name: 'follows joins, one by one and in a burst, with the newest ring for a slow reader of changes',
    async run(client) {
      const count = (n: number) => Array.from({ length: n }, (_, at) => ({ ringKey: `n-${at}`, weight: 1 }))
      await using server = await ScriptedServer.start(count(3))
      await client.follow([server])
      const changes = await client.ask({ op: 'changes' })
      const reads = changes.unsupported !== true
      if (reads)
        assert.equal((await client.ask({ op: 'change', timeoutMs: SOON_MS })).digest, digestOf(count(3)))
      for (let n = 4; n <= 8; n++) {
        server.show(count(n))
        await client.has(count(n))
      }
      if (reads) {
        const change = await client.ask({ op: 'change', timeoutMs: SOON_MS })
        assert.equal(change.digest, digestOf(count(8)), 'a slow reader got a ring that is not the newest')
        if (change.share !== undefined) {
          assert.equal(change.share, HashRing.of(count(3)).movedTo(HashRing.of(count(8))).share)
        }
      }
      for (let n = 9; n <= 60; n++) server.show(count(n))
      await client.has(count(60))
      if (reads) {
        await until(
          async () => (await client.ask({ op: 'change', timeoutMs: SOON_MS })).digest === digestOf(count(60)),
          'a reader of changes did not get the newest ring',
        )
        server.send(server.event)
        assert.equal(
          (await client.ask({ op: 'change', timeoutMs: 200 })).timeout,
          true,
          'the same ring was a change',
        )
      }
    },
  },
  {
    name: 'takes a ring that comes in small pieces, cut within characters and line ends',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      await client.follow([server], { silenceMs: 20_000 })
      const odd = [...nodes('abc'), { ringKey: 'ünï-😀', weight: 3, name: 'é'.repeat(50) }]
      const bytes = Buffer.from(ringEvent(ringJson(odd)).replaceAll('\n', '\r\n'))
      await server.sendSlowly(bytes, 7, 1)
      await client.has(odd)
      await server.sendSlowly(Buffer.from(`: comment\n\n${ringEvent(ringJson(nodes('ab')))}`), 1, 0)
      await client.has(nodes('ab'))
    },
  },
  {
    name: 'answers on when connections are reset, and comes back with waits that grow',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      await client.follow([server])
      for (let broken = 0; broken < 3; broken++) {
        server.reset()
        await client.owns(nodes('abc'))
        await until(() => server.watches === 1, 'it did not come back')
      }
      const times = watchesOf(server).map(({ atMs }) => atMs)
      const gaps = times.slice(1).map((atMs, at) => atMs - times[at]!)
      for (const [at, leastMs] of [100, 200, 400].entries()) {
        assert(
          (gaps[at] ?? 0) > leastMs,
          `connected again after ${Math.round(gaps[at] ?? 0)} ms, at least ${leastMs} are right`,
        )
      }
      server.show(nodes('abcd'))
      await client.has(nodes('abcd'))
    },
  },
  {
    name: 'tries each URL once before its waits grow',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      // Nobody listens there.
      const dead = Array.from({ length: 20 }, () => 'http://127.0.0.1:1')
      await client.follow([...dead, server])
      await client.has(nodes('abc'))
    },
  },
  {
    name: 'comes back when a watch ends, and keeps its copy while nobody is there',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      await client.follow([server])
      server.be('close')
      await client.keeps(nodes('abc'), 1000)
      assert(server.asked.length < 8, 'it connects without a pause')
      server.show(nodes('abcd'))
      server.be('serve')
      await client.has(nodes('abcd'))
      server.end()
      await until(() => watchesOf(server).length > 1 && server.watches === 1, 'it did not come back')
    },
  },
  {
    name: 'leaves a member that is silent; half an event is no sign of life',
    async run(client) {
      await using members = await pair(nodes('abc'))
      await client.follow(members.servers)
      const [followed, other] = members.followed()
      const [{ atMs: askedMs }] = watchesOf(followed) as [Asked]
      await followed.sendSlowly(Buffer.from(`event: ring\ndata: ${' '.repeat(200)}`), 1, 10)
      await until(() => other.watches === 1, 'the other member was not asked')
      assert(performance.now() - askedMs > SILENCE_MS / 2, 'it left too soon')
      await client.keeps(nodes('abc'), 100)
    },
  },
  {
    name: 'takes comments for signs of life',
    async run(client) {
      await using members = await pair(nodes('abc'))
      await client.follow(members.servers, { staleAfterMs: 2 * SILENCE_MS, whenStale: 'throw' })
      const [followed, other] = members.followed()
      followed.heartbeat(SILENCE_MS / 8)
      await client.keeps(nodes('abc'), 2.5 * SILENCE_MS)
      const { ageMs, stale } = await client.state()
      assert(ageMs !== null && ageMs < SILENCE_MS && !stale, `the copy is ${ageMs} ms old`)
      assert.equal(other.asked.length, 0, 'it left a member that lives')
    },
  },
  {
    name: 'takes whole events of other names for signs of life, which do not confirm the copy',
    async run(client) {
      await using members = await pair(nodes('abc'))
      await client.follow(members.servers)
      const [followed, other] = members.followed()
      const endMs = performance.now() + 2.5 * SILENCE_MS
      while (performance.now() < endMs) {
        followed.send('event: later\ndata: {"of":"a newer member"}\n\n')
        await sleep(SILENCE_MS / 8)
      }
      assert.equal(other.asked.length, 0, 'it left a member that lives')
      const { ageMs } = await client.state()
      assert(ageMs !== null && ageMs > 2 * SILENCE_MS, `the copy is ${ageMs} ms old`)
    },
  },
  passedOver('cannot be reached', (server) => {
    server.be('close')
  }),
  passedOver('does not answer', (server) => {
    server.be('hang')
  }),
  passedOver('never gives a ring', (server) => {
    server.watch = 'no-ring'
    server.ring = 'hang'
    server.heartbeat(50)
  }),
  passedOver('redirects', (server) => {
    server.be('redirect')
  }),
  passedOver('is another program', (server) => {
    server.be('page')
  }),
  refusal('what is not JSON', () => 'event: ring\ndata: {"nodes":\n\n'),
  refusal('JSON of another form', () => 'event: ring\ndata: {"nodes":{"a":1}}\n\n'),
  refusal('a digest that is not that of the nodes', () =>
    ringEvent(ringJson(nodes('abcd'), digestOf(nodes('abc')))),
  ),
  refusal('a weight below 1', () => ringEvent(ringJson(nodes('abcd')).replace('"weight":1', '"weight":0'))),
  refusal('an empty ring key', () =>
    ringEvent(ringJson(nodes('abcd')).replace('"ringKey":"a"', '"ringKey":""')),
  ),
  refusal('a node without a ring key', () =>
    ringEvent(ringJson(nodes('abcd')).replace('"ringKey":"a",', '')),
  ),
  refusal('bytes that are no UTF-8 in place of a ring', () =>
    Buffer.from([...Buffer.from('event: ring\ndata: '), 0xff, 0xfe, 10, 10]),
  ),
  refusal('values nested a million deep', () => `event: ring\ndata: {"nodes":${'['.repeat(1_000_000)}\n\n`),
  refusal('more than 20,000 nodes', () =>
    ringEvent(
      `{"nodes":[${Array.from({ length: 20_001 }, (_, at) => `{"ringKey":"${at}","weight":1,"share":0}`).join(',')}],"digest":"0","epoch":1,"sinceChangeMs":0}`,
    ),
  ),
  {
    name: 'does not take an event without an end',
    async run(client) {
      await using members = await pair(nodes('abc'))
      await client.follow(members.servers, { silenceMs: 10_000 })
      const [followed, other] = members.followed()
      followed.send('event: ring\ndata: ')
      const taken = await followed.flood(64 * 1024 * 1024)
      assert(taken < 64 * 1024 * 1024, `it took ${taken} bytes of one event`)
      await until(() => other.watches === 1, 'the other member was not asked')
      await client.keeps(nodes('abc'), 100)
    },
  },
  {
    name: 'polls by entity tag where it may not watch',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      server.watch = '503'
      await client.follow([server])
      const polls = () => server.asked.filter(({ path }) => path === '/v1/ring')
      await until(() => polls().length >= 2, 'it does not poll', 8000)
      assert.notEqual(polls()[1]?.headers['if-none-match'], undefined, 'it sends no entity tag')
      await until(
        async () => ((await client.state()).ageMs ?? Infinity) < 1000,
        'a 304 does not confirm the copy',
      )
      server.show(nodes('abd'))
      await client.has(nodes('abd'))
      assert(polls().length + watchesOf(server).length < 10, 'it polls without a pause')
    },
  },
  {
    name: 'polls no more often where another member is dead',
    async run(client) {
      await using full = await ScriptedServer.start(nodes('abc'))
      await using dead = await ScriptedServer.start(nodes('abc'))
      full.watch = '503'
      dead.be('close')
      await client.follow([dead, full])
      await sleep(1500)
      const before = full.asked.length
      await sleep(3000)
      const requests = full.asked.length - before
      assert(requests <= 4, `it sent ${requests} requests in 3 s`)
      await client.owns(nodes('abc'))
    },
  },
  {
    name: 'asks every member for a watch before it polls',
    async run(client) {
      await using full = await ScriptedServer.start(nodes('abc'))
      await using free = await ScriptedServer.start(nodes('abc'))
      full.watch = '503'
      await client.follow([full, free])
      await until(() => free.watches === 1, 'it does not watch the member that has room', 3000)
    },
  },
  {
    name: 'keeps its copy when all members answer 503',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      await client.follow([server])
      server.be('503')
      await client.keeps(nodes('abc'), 500)
    },
  },
  {
    name: 'a stale copy answers, if the caller wants it so',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      await client.follow([server], { staleAfterMs: 300, whenStale: 'go-on' })
      server.be('close')
      await until(async () => (await client.state()).stale, 'the copy does not become stale')
      await client.keeps(nodes('abc'), 100)
      server.be('serve')
      await until(async () => !(await client.state()).stale, 'the copy is not fresh again')
    },
  },
  {
    name: 'or does not, until a member confirms it',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      await client.follow([server], { staleAfterMs: 300, whenStale: 'throw' })
      server.be('close')
      await until(
        async () => (await client.error({ op: 'owner', key: KEY })) === 'RING_STALE',
        'it answers from a stale copy',
      )
      const { digest, ageMs, stale } = await client.state()
      assert.deepEqual([digest, stale], [digestOf(nodes('abc')), true])
      assert(ageMs !== null && ageMs >= 300, `it says that a stale copy is ${ageMs} ms old`)
      server.be('serve')
      await until(
        async () => (await client.error({ op: 'owner', key: KEY })) === undefined,
        'it does not answer again',
      )
    },
  },
  {
    name: 'stays with the member that it follows while members disagree, and changes when that is lost',
    async run(client) {
      await using members = await pair(nodes('abcd'))
      await client.follow(members.servers)
      const [followed, other] = members.followed()
      followed.heartbeat(100)
      other.show(nodes('abxy'))
      await client.keeps(nodes('abcd'), 500)
      assert.equal(other.asked.length, 0, 'it asks another member although the one that it follows lives')
      followed.be('close')
      await client.has(nodes('abxy'))
      followed.show(nodes('abcd'))
      followed.be('serve')
      other.heartbeat(100)
      await client.keeps(nodes('abxy'), 500)
    },
  },
  {
    name: 'does not believe a member that knows less than half of the nodes, before another one says the same',
    async run(client) {
      await using members = await pair(nodes('abcdef'))
      await client.follow(members.servers)
      const [followed, other] = members.followed()
      other.show(nodes('a'))
      followed.reset()
      await until(() => other.asked.length > 0, 'the other member was not asked')
      await client.keeps(nodes('abcdef'), 50)
      await until(() => followed.watches === 1, 'it did not go back to the member that knows all')
      await client.keeps(nodes('abcdef'), 100)
      followed.show(nodes('a'))
      await client.has(nodes('a'))
    },
  },
  {
    name: 'believes a lone member the second time',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abcdef'))
      await client.follow([server])
      server.be('close')
      server.show([])
      server.be('serve')
      await client.has([])
      const watches = watchesOf(server).length
      assert(watches >= 3, 'it believed it at once')
    },
  },
  {
    name: 'leaves a member that becomes unsure, and keeps its copy',
    async run(client) {
      await using members = await pair(nodes('abcdef'))
      await client.follow(members.servers)
      const [followed, other] = members.followed()
      other.heartbeat(100)
      followed.unsure = true
      followed.show(nodes('abcde'))
      await until(() => other.watches === 1 && followed.watches === 0, 'it did not go to the other member')
      await client.keeps(nodes('abcdef'), 500)
      assert.equal(watchesOf(followed).length, 1, 'it went back')
    },
  },
  {
    name: 'passes over members that are unsure as long as there are others',
    async run(client) {
      await using sure = await ScriptedServer.start(nodes('abc'))
      await using first = await ScriptedServer.start()
      await using second = await ScriptedServer.start()
      for (const server of [first, second]) {
        server.unsure = true
        server.show(nodes('abx'))
      }
      await client.follow([first, second, sure])
      await client.has(nodes('abc'))
      sure.heartbeat(100)
      await client.keeps(nodes('abc'), 500)
      sure.reset()
      await until(() => sure.watches === 1, 'it did not come back to the member that is sure')
      await client.keeps(nodes('abc'), 100)
    },
  },
  {
    name: 'takes what unsure members say where there is no better, which does not confirm it',
    async run(client) {
      await using server = await ScriptedServer.start()
      server.unsure = true
      server.show(nodes('ab'))
      await client.follow([server])
      await client.owns(nodes('ab'))
      server.show(nodes('a'))
      const startedMs = performance.now()
      await client.has(nodes('a'))
      const watches = watchesOf(server).length
      assert(watches >= 3, 'it believed it too soon')
      const waitedMs = performance.now() - startedMs
      const { ageMs } = await client.state()
      assert(ageMs !== null && ageMs >= waitedMs / 2, `the copy is ${ageMs} ms old after ${waitedMs} ms`)
      server.unsure = false
      server.show(nodes('ab'))
      await client.has(nodes('ab'))
      server.heartbeat(100)
      await until(async () => ((await client.state()).ageMs ?? Infinity) < 1000, 'the copy is not confirmed')
    },
  },
  {
    name: 'is not confirmed by the 304 of a member that is unsure',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      server.watch = '503'
      await client.follow([server])
      server.unsure = true
      const polls = () => server.asked.filter(({ headers }) => headers['if-none-match'] !== undefined)
      await until(() => polls().length >= 2, 'it does not poll by entity tag', 18_000)
      const { ageMs } = await client.state()
      assert(ageMs !== null && ageMs > 2000, `the copy is ${ageMs} ms old`)
      await client.owns(nodes('abc'))
    },
  },
  {
    name: 'starts from a ring file, and goes on with what a member says',
    async run(client) {
      const folder = await mkdtemp(join(tmpdir(), 'conformance-'))
      try {
        const ringFile = join(folder, 'ring.json')
        await writeFile(ringFile, ringJson(nodes('abc')))
        await using server = await ScriptedServer.start(nodes('abcd'))
        server.be('close')
        await client.follow([server], { ringFile })
        await client.keeps(nodes('abc'), 100)
        server.be('serve')
        await client.has(nodes('abcd'))
        await client.ask({ op: 'close' })
        await writeFile(ringFile, ringJson(nodes('xyz'), digestOf(nodes('abc'))))
        await client.follow([server], { ringFile })
        await client.has(nodes('abcd'))
        await client.ask({ op: 'close' })
        await client.follow([server], { ringFile: join(folder, 'missing.json') })
        await client.has(nodes('abcd'))
      } finally {
        await rm(folder, { recursive: true })
      }
    },
  },
  {
    name: 'sends the headers that it is given, and says what it accepts',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      await client.follow([server], { headers: { authorization: 'Bearer t' } })
      const [asked] = watchesOf(server)
      assert.deepEqual(
        [asked?.headers.authorization, asked?.headers.accept],
        ['Bearer t', 'text/event-stream'],
      )
    },
  },
  {
    name: 'follows the ring of a HashRing by its name, watched and polled',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      server.name = 'shop/cache.v2'
      await client.follow([server], { ring: server.name })
      server.show(nodes('abcd'))
      await client.has(nodes('abcd'))
      server.watch = '503'
      server.show(nodes('abd'))
      server.reset()
      await client.has(nodes('abd'))
      const root = '/v1/rings/shop/cache.v2/ring'
      assert.deepEqual(new Set(server.asked.map(({ path }) => path)), new Set([`${root}/watch`, root]))
    },
  },
  {
    name: 'never goes back to an older version of one HashRing, and takes those of another',
    async run(client) {
      await using members = await pair(nodes('abc'))
      const [one, two] = members.servers
      const show = (server: ScriptedServer, letters: string, version: number | undefined, uid = 'u-1') => {
        server.version = version
        server.uid = version === undefined ? undefined : uid
        server.show(nodes(letters))
      }
      for (const server of members.servers) {
        server.name = 'shop/cache'
        show(server, 'abc', 7)
      }
      await client.follow(members.servers, { ring: 'shop/cache' })
      const [followed, other] = members.followed()
      show(other, 'abd', 6)
      followed.reset()
      await until(() => watchesOf(other).length > 0, 'the other member was not asked')
      await until(() => followed.watches === 1, 'it stays with a member that is behind')
      await client.keeps(nodes('abc'), 100)
      // In the midst of a watch.
      show(followed, 'abe', 5)
      await until(() => followed.watches === 0, 'the connection was not closed')
      await client.keeps(nodes('abc'), 500)
      show(other, 'abf', 8)
      await client.has(nodes('abf'))
      // By polls.
      for (const server of members.servers) server.watch = '503'
      show(one, 'abc', 7)
      show(two, 'abc', 7)
      one.reset()
      two.reset()
      const polls = () =>
        [one, two].flatMap(({ asked }) => asked).filter(({ path }) => path.endsWith('/ring'))
      const before = polls().length
      await until(() => polls().length >= before + 2, 'it does not poll')
      await client.keeps(nodes('abf'), 100)
      for (const server of members.servers) {
        // A HashRing that was made again counts from the beginning.
        show(server, 'axy', 1, 'u-2')
        server.watch = 'serve'
      }
      await client.has(nodes('axy'))
      // An older member gives no version.
      for (const server of members.servers) show(server, 'axz', undefined)
      await client.has(nodes('axz'))
    },
  },
  {
    name: 'answers on after it is closed, without a connection',
    async run(client) {
      await using server = await ScriptedServer.start(nodes('abc'))
      await client.follow([server])
      await client.ask({ op: 'close' })
      await until(() => server.watches === 0, 'the connection stays open')
      await client.owns(nodes('abc'))
      await sleep(500)
      assert.equal(watchesOf(server).length, 1, 'it connected again')
    },
  },
]

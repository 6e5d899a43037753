import { Agent, request } from 'node:http'
import { beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { createApp } from '../../../src/http/app.ts'
import { httpParts } from '../../support/http-parts.ts'
import { openServer } from '../../../src/http/server.ts'
import { silentLogger } from '../../../src/logger.ts'
import { HashRingManager } from '../../../src/manager/hash-ring-manager.ts'
import { RingService } from '../../../src/service/ring-service.ts'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { RingmanPeer } from '../../../lab/peers/ringman-peer.ts'
import { eventually } from './eventually.ts'
import { statesHeldBy, untilHeld } from './held-state.ts'
import { everybodyShows, metaOf, NEWS_MS, NOTICE_MS, ourMetaOf } from './mixed-cluster.ts'
import { asShown } from './mixed-member.ts'
import { OurMember, type OurSettings } from './our-member.ts'

const KEYS = Array.from({ length: 10_000 }, (_, i) => `user:${i}:${(i * 2_654_435_761) % 4_294_967_296}`)
/** Requests under way at a time, to one member. */
const CONNECTIONS = 16
const DEFAULT_CLUSTER = { clusterName: 'default' }

beforeAll(async () => {
  await buildGoProgram('ringman-peer')
})

/** One of ours with its ring behind the HTTP look-ups. */
class OurRing implements AsyncDisposable {
  readonly member: OurMember
  readonly url: string
  readonly #stop: () => Promise<void>

  private constructor(member: OurMember, url: string, stop: () => Promise<void>) {
    this.member = member
    this.url = url
    this.#stop = stop
  }

  static async start(settings: OurSettings): Promise<OurRing> {
    const member = await OurMember.create(settings)
    const ring = new RingService({
      source: member.source,
      manager: new HashRingManager({ clock: systemClock, foldWindowMs: 10 }),
      logger: silentLogger,
      clock: systemClock,
      ringKeyMode: 'address',
    })
    await ring.start()
    const parts = httpParts()
    const server = await openServer(createApp({ ring, ...parts, version: '0.0.0' }), parts)
    return new OurRing(member, server.url, async () => {
      await server.close(0)
      await ring.stop()
    })
  }

  get name(): string {
    return this.member.name
  }

  get gossipAddress(): string {
    return this.member.gossipAddress
  }

  untilShown(names: readonly string[], deadlineMs: number): Promise<void> {
    return this.member.untilShown(names, deadlineMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stop()
  }
}

interface RingCluster {
  readonly go: readonly RingmanPeer[]
  readonly ours: readonly OurRing[]
  readonly all: readonly (RingmanPeer | OurRing)[]
  readonly names: readonly string[]
}

/** Three Go ringman members `g1`… and three of ours `r1`…, each joined through one of the other kind. */
async function startRings(stack: AsyncDisposableStack): Promise<RingCluster> {
  const go: RingmanPeer[] = []
  const ours: OurRing[] = []
  for (let i = 1; i <= 3; i++) {
    const join = ours.slice(-1).map(({ gossipAddress }) => gossipAddress)
    // Ring keys have no gossip port: members that share an address must differ in their service ports.
    const peer = await RingmanPeer.start({
      name: `g${i}`,
      servicePort: String(9000 + i),
      preset: 'local',
      join,
    })
    go.push(stack.use(peer))
    ours.push(stack.use(await startOurRing(i, [peer.gossipAddress])))
  }
  const all = [...go, ...ours]
  const names = all.map(({ name }) => name)
  await everybodyShows(all, names, NEWS_MS)
  await ringsOf(all, 6)
  return { go, ours, all, names }
}

const startOurRing = (i: number, join: readonly string[]) =>
  OurRing.start({ name: `r${i}`, servicePort: 8000 + i, join, ...DEFAULT_CLUSTER })

describe('three members of Go ringman and three of ours', () => {
  test('list each other alike over HTTP and agree on the owners of 10,000 keys', async () => {
    await using stack = new AsyncDisposableStack()
    const { go, ours, all } = await startRings(stack)
    const expected = all
      .map((member, i) => asShown(member, i < 3 ? metaOf(9001 + i) : ourMetaOf(7998 + i)))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const member of all) expect(await nodesOf(member.url), member.name).toEqual(expected)

    // All keys on one member of each side, some on the others.
    const [reference = [], ...others] = await eachInTurn(
      [go[0]!, ours[0]!, go[1]!, go[2]!, ours[1]!, ours[2]!],
      ({ url }, i) => ownersOf(url, i < 2 ? KEYS : KEYS.slice(0, 1000)),
    )
    expect(new Set(reference)).toEqual(
      new Set(
        expected.map(({ meta }) => `127.0.0.1:${(JSON.parse(meta) as { ServicePort: string }).ServicePort}`),
      ),
    )
    for (const owners of others) expect(differences(owners, reference)).toEqual([])
  })

  test('agree again after leaves, kills and returns of both kinds', async () => {
    await using stack = new AsyncDisposableStack()
    const { go, ours } = await startRings(stack)
    const some = KEYS.slice(0, 1000)
    const agree = async (members: readonly (RingmanPeer | OurRing)[], ringKeys: readonly string[]) => {
      await everybodyShows(
        members,
        members.map(({ name }) => name),
        NOTICE_MS,
      )
      await ringsOf(members, members.length)
      const [reference = [], ...others] = await eachInTurn(members, ({ url }) => ownersOf(url, some))
      expect(new Set(reference)).toEqual(new Set(ringKeys.map((port) => `127.0.0.1:${port}`)))
      for (const [i, owners] of others.entries()) {
        expect(differences(owners, reference), members[i + 1]?.name).toEqual([])
      }
    }
    await ours[2]!.member.leave()
    await go[2]!.leave()
    const stay = [go[0]!, go[1]!, ours[0]!, ours[1]!]
    await agree(stay, ['9001', '9002', '8001', '8002'])
    for (const our of ours.slice(0, 2)) expect(our.member.timesSeen('dead'), our.member.facts()).toBe(0)
    // The fork has no state for those that left: to it they are dead.
    expect((await statesHeldBy(go[0]!, DEFAULT_CLUSTER)).get('r3')).toBe('dead')

    await Promise.all([go[1]!.kill(), ours[1]!.member.kill()])
    await agree([go[0]!, ours[0]!], ['9001', '8001'])
    expect([ours[0]!.member.get('g2')?.state, ours[0]!.member.get('r2')?.state]).toEqual(['dead', 'dead'])
    await untilHeld(go[0]!, 'r2', 'dead', NEWS_MS, DEFAULT_CLUSTER)

    // The fork takes a dead name from the same address only.
    const { port } = asShown(ours[1]!, '')
    const peer = stack.use(
      await RingmanPeer.start({
        name: 'g2',
        servicePort: '9002',
        preset: 'local',
        bindPort: asShown(go[1]!, '').port,
        join: [ours[0]!.gossipAddress],
      }),
    )
    const our = stack.use(
      await OurRing.start({
        name: 'r2',
        servicePort: 8002,
        gossipPort: port,
        join: [go[0]!.gossipAddress],
        ...DEFAULT_CLUSTER,
      }),
    )
    await agree([go[0]!, peer, ours[0]!, our], ['9001', '9002', '8001', '8002'])
  })

  test('a member with another cluster name stays out, on either side', async () => {
    await using stack = new AsyncDisposableStack()
    const peer = stack.use(await RingmanPeer.start({ name: 'g1', servicePort: '9001', preset: 'local' }))
    const our = stack.use(
      await OurMember.start({ name: 'r1', clusterName: 'default', join: [peer.gossipAddress] }),
    )
    await everybodyShows([peer, our], ['g1', 'r1'], NEWS_MS)
    const other = stack.use(
      await RingmanPeer.start({ name: 'g2', servicePort: '9002', preset: 'local', clusterName: 'other' }),
    )
    await expect(other.join(our.gossipAddress)).rejects.toThrow()
    expect(our.source.node.counters?.refused['cluster-name-differs'], our.facts()).toBeGreaterThan(0)
    for (const clusterName of ['other', undefined]) {
      const stranger = stack.use(
        await OurMember.start({
          name: `stranger-${clusterName ?? 'nameless'}`,
          join: [peer.gossipAddress],
          ...(clusterName === undefined ? {} : { clusterName }),
        }),
      )
      await stranger.until('a failed join', () => stranger.source.health().condition === 'refused', NEWS_MS)
    }
    await everybodyShows([peer, our], ['g1', 'r1'], NEWS_MS)
  })
})

/** Waits until each ring has so many nodes. */
async function ringsOf(members: readonly (RingmanPeer | OurRing)[], size: number): Promise<void> {
  for (const member of members) {
    if (!(member instanceof OurRing)) continue
    let nodes = 0
    await eventually(
      `${member.name} has ${size} nodes on its ring`,
      async () => {
        const response = await fetch(`${member.url}/v1/ring`)
        nodes = ((await response.json()) as { nodes: unknown[] }).nodes.length
        return nodes === size
      },
      NEWS_MS,
      () => `it has ${nodes}`,
    )
  }
}

/** `GET /hashring/nodes`, which has the same form on both sides. */
async function nodesOf(url: string) {
  const response = await fetch(`${url}/hashring/nodes`)
  const nodes = (await response.json()) as { Name: string; Addr: string; Port: number; Meta: string }[]
  return nodes
    .map(({ Name, Addr, Port, Meta }) => ({ name: Name, address: Addr, port: Port, meta: atob(Meta) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function eachInTurn<T, R>(
  items: readonly T[],
  ask: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const answers: R[] = []
  for (const [i, item] of items.entries()) answers.push(await ask(item, i))
  return answers
}

/** The owners of these keys as a member answers over HTTP, over a few connections that stay open. */
async function ownersOf(url: string, keys: readonly string[]): Promise<string[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  try {
    const owners: string[] = Array.from({ length: keys.length })
    let next = 0
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        for (let i = next++; i < keys.length; i = next++) owners[i] = await ownerOf(url, keys[i] ?? '', agent)
      }),
    )
    return owners
  } finally {
    agent.destroy()
  }
}

/** `GET /hashring/nodes/get`. */
function ownerOf(url: string, key: string, agent: Agent): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const sent = request(`${url}/hashring/nodes/get?key=${encodeURIComponent(key)}`, { agent }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    response.on('error', reject)
    response.on('end', () => {
      const { Node, Key } = JSON.parse(text) as { Node: string; Key: string }
      if (response.statusCode === 200 && Key === key) resolve(Node)
      else reject(new Error(`${url} answered ${response.statusCode} for ${key}: ${text}`))
    })
  })
  sent.on('error', reject)
  sent.end()
  return promise
}

/** The keys of `a` whose owners differ, with both. */
function differences(a: readonly string[], b: readonly string[]): string[] {
  return a.flatMap((owner, i) => (owner === b[i] ? [] : [`${KEYS[i]}: ${owner}, ${b[i]}`]))
}

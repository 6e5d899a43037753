import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { Driver, type DriverKey } from '../../conformance/driver.ts'
import { systemClock } from '../../src/clock.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { nodeView, ringAnswer } from '../../src/client/answers.ts'
import { PHASES, sliceOf, type SlicePod } from '../membership/kubernetes/slice-fixtures.ts'
import { GOSSIP } from '../support/child-process.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../support/fake-kubernetes-api.ts'
import { FakeKubernetesServer } from '../support/fake-kubernetes-server.ts'
import { RingProcess } from '../system/k8s/ring-process.ts'
import { CLIENTS } from './clients.ts'

const RING = 'shop/cache'
const KEYS: readonly DriverKey[] = Array.from({ length: 100 }, (_, at) => ({ text: `user:${at} ü` }))
const PATIENCE = { timeout: 60_000, interval: 20 }

async function serve(name: string, kubeconfig: string, seeds: readonly string[]): Promise<RingProcess> {
  return RingProcess.start([
    '--hash-rings',
    '--kubernetes-kubeconfig',
    kubeconfig,
    '--name',
    name,
    '--log-format',
    'json',
    ...GOSSIP,
    '--seeds',
    seeds.join(','),
  ])
}

/** The ring that a member has for the HashRing. */
async function ringOf(member: RingProcess): Promise<HashRing> {
  const answer = await fetch(`${member.url}/v1/rings/${RING}/ring`)
  const { nodes, digest } = ringAnswer(await answer.json(), 'the ring')
  const ring = HashRing.of(nodes.map((node) => nodeView(node, 'a node')))
  expect(ring.digest).toBe(digest)
  return ring
}

/** A client that reads changes. */
class Follower {
  readonly name: string
  readonly driver: Driver
  /** The ring of the last change. */
  #before = HashRing.empty

  constructor(name: string, driver: Driver) {
    this.name = name
    this.driver = driver
  }

  /** It has this ring, answers by it as the member does, and has read what moved since the last one. */
  async agreesWith(member: RingProcess, rings: ReadonlyMap<string, HashRing>): Promise<void> {
    const wanted = await ringOf(member)
    await vi.waitFor(async () => {
      expect((await this.driver.ask({ op: 'state' })).digest, this.name).toBe(wanted.digest)
    }, PATIENCE)
    while (this.#before.digest !== wanted.digest) {
      const { digest, share } = await this.driver.ask({ op: 'change', timeoutMs: 10_000 })
      const ring = rings.get(digest ?? '')
      expect(ring, `${this.name} tells of a ring that no member had: ${digest}`).toBeDefined()
      expect(share, this.name).toBe(this.#before.movedTo(ring!).share)
      this.#before = ring!
    }
    const asked = await fetch(`${member.url}/v1/rings/${RING}/owners`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ keys: KEYS.map((key) => ('text' in key ? key.text : '')), n: 2 }),
    })
    const { nodes, owners } = (await asked.json()) as { nodes: { ringKey: string }[]; owners: number[][] }
    const named = owners.map((places) => places.map((place) => nodes[place]?.ringKey))
    expect((await this.driver.ask({ op: 'owners', keys: KEYS, n: 2 })).owners, this.name).toEqual(named)
    const { node } = await this.driver.ask({ op: 'owner', key: KEYS[0]! })
    expect(node, this.name).toEqual(wanted.ownerOf((KEYS[0] as { text: string }).text))
  }
}

test('all clients follow the ring of a HashRing, through a rolling update and the loss of a member', async () => {
  const api = new FakeKubernetesApi(systemClock)
  await using server = await FakeKubernetesServer.open(api)
  const kubeconfig = server.kubeconfig({ token: 't' })
  const pods = new Map<string, SlicePod>()
  let addresses = 0
  const put = (changes: Readonly<Record<string, keyof typeof PHASES | 'gone'>>) => {
    for (const [name, phase] of Object.entries(changes)) {
      if (phase === 'gone') pods.delete(name)
      else {
        const address = pods.get(name)?.address ?? `10.0.0.${++addresses}`
        pods.set(name, { name, address, ...PHASES[phase] })
      }
    }
    const slice = sliceOf('cache-a', [...pods.values()])
    api.put(COLLECTIONS.allSlices, { ...slice, metadata: { ...slice.metadata, namespace: 'shop' } })
  }
  put({ 'cache-1': 'serving', 'cache-2': 'serving', 'cache-3': 'serving' })
  api.put(COLLECTIONS.hashRings, {
    metadata: { name: 'cache', namespace: 'shop', generation: 1 },
    spec: { service: { name: 'cache' } },
  })

  await using first = await serve('ringman-0', kubeconfig, [])
  const { gossip } = (await first.process.event('ready')) as { gossip: { host: string; port: number } }
  await using second = await serve('ringman-1', kubeconfig, [`${gossip.host}:${gossip.port}`])
  const rings = new Map<string, HashRing>()
  const haveNodes = async (members: readonly RingProcess[], names: readonly string[]) => {
    await vi.waitFor(async () => {
      for (const member of members) {
        const ring = await ringOf(member)
        rings.set(ring.digest, ring)
        expect(ring.nodes.map(({ name }) => name)).toEqual(names)
      }
    }, PATIENCE)
  }
  await haveNodes([first, second], ['cache-1', 'cache-2', 'cache-3'])

  const folder = await mkdtemp(join(tmpdir(), 'ringman-driver-'))
  await using drivers = new AsyncDisposableStack()
  drivers.defer(() => rm(folder, { recursive: true }))
  const followers: Follower[] = []
  for (const [name, makeDriver] of CLIENTS) {
    const driver = drivers.use(new Driver(await makeDriver(folder)))
    const urls = [first.url, second.url]
    await driver.ask({ op: 'open', urls, ring: RING, timeoutMs: 5000, silenceMs: 45_000 })
    expect((await driver.ask({ op: 'ready', timeoutMs: 10_000 })).ready, name).toBe(true)
    await driver.ask({ op: 'changes' })
    followers.push(new Follower(name, driver))
  }
  const allAgree = (member: RingProcess) =>
    Promise.all(followers.map((follower) => follower.agreesWith(member, rings)))
  await allAgree(first)

  // As a Deployment rolls: a new pod, then an old one less.
  for (const [at, members] of [[first, second], [first, second], [second]].entries()) {
    const [next, old] = [`cache-${at + 4}`, `cache-${at + 1}`]
    const left = (count: number) => Array.from({ length: count }, (_, i) => `cache-${i + at + 1}`)
    if (members.length === 1) {
      first.process.signal('SIGKILL')
      await first.process.ended
    }
    put({ [next]: 'serving' })
    await haveNodes(members, left(4))
    await allAgree(second)
    put({ [old]: 'draining' })
    await haveNodes(members, left(4).slice(1))
    await allAgree(second)
    put({ [old]: 'gone' })
  }

  const none = followers.map(async ({ name, driver }) => {
    await driver.ask({ op: 'close' })
    await driver.ask({
      op: 'open',
      urls: [second.url],
      ring: 'shop/none',
      timeoutMs: 1000,
      silenceMs: 45_000,
    })
    expect((await driver.ask({ op: 'ready', timeoutMs: 500 })).ready, name).toBe(false)
    expect((await driver.ask({ op: 'owner', key: KEYS[0]! })).error, name).toBe('RING_UNKNOWN')
  })
  await Promise.all(none)
}, 240_000)

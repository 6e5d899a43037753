import { writeFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Random } from '../../../src/clock.ts'
import { seededRandom } from '../../../lab/sim/seeded-random.ts'
import { ApiServer, TOKEN_MEMORY_MS } from '../../support/api-server.ts'
import { askApi } from '../../support/kubernetes-api.ts'
import { TcpRelay } from '../../support/tcp-relay.ts'
import { PublishedSlices, type PublishedEndpoint } from './published-slices.ts'
import { RingProcess } from './ring-process.ts'

/** How soon the ring must follow once nothing is in the way; the source's waits after failures grow up to 30 s. */
const FOLLOW_DEADLINE_MS = 60_000
const SERVICE = 'web'
const ACCOUNT = 'follower'

/** A namespace with a Service's slices, and a ring that follows them through a relay with a token in a file. */
class Followed implements AsyncDisposable {
  readonly server: ApiServer
  readonly namespace: string
  readonly slices: PublishedSlices
  readonly relay: TcpRelay
  readonly ring: RingProcess
  readonly #tokenFile: string

  private constructor(
    server: ApiServer,
    namespace: string,
    slices: PublishedSlices,
    relay: TcpRelay,
    ring: RingProcess,
    tokenFile: string,
  ) {
    this.server = server
    this.namespace = namespace
    this.slices = slices
    this.relay = relay
    this.ring = ring
    this.#tokenFile = tokenFile
  }

  /** @param lifetimeMs - Of the token that it begins with. */
  static async start(server: ApiServer, namespace: string, lifetimeMs = 600_000): Promise<Followed> {
    await server.createNamespace(namespace)
    await allowFollowing(server, namespace)
    const slices = new PublishedSlices(server, namespace, SERVICE)
    await slices.put('web-0', [
      { pod: 'a', address: '10.77.1.1', zone: 'z1' },
      { pod: 'b', address: '10.77.1.2' },
    ])
    const relay = await TcpRelay.start({ host: server.host, port: 0 }, { host: server.host, port: 6443 })
    const tokenFile = join(server.folder, `${namespace}.token`)
    await writeFile(tokenFile, await server.mintToken(namespace, ACCOUNT, lifetimeMs))
    const url = `https://${server.host}:${relay.port}`
    const kubeconfig = await server.writeKubeconfig(namespace, { tokenFile, url, namespace })
    try {
      const ring = await RingProcess.start([
        '--source',
        'kubernetes',
        '--kubernetes-service',
        SERVICE,
        '--kubernetes-port',
        'http',
        '--kubernetes-kubeconfig',
        kubeconfig,
        '--hold-restarting',
        '0',
      ])
      return new Followed(server, namespace, slices, relay, ring, tokenFile)
    } catch (error) {
      await relay.stop()
      throw error
    }
  }

  /** Replaces the token whole, as the kubelet does. */
  async writeToken(token: string): Promise<void> {
    await writeFile(`${this.#tokenFile}.new`, token)
    await rename(`${this.#tokenFile}.new`, this.#tokenFile)
  }

  /** Waits until the ring is what the slices say, and goes on being so. */
  async untilTrue(deadlineMs = FOLLOW_DEADLINE_MS): Promise<void> {
    const { truth } = this.slices
    let shown: string[] = []
    try {
      await this.server.until(
        'the ring to be as the slices say',
        async () => {
          shown = await this.ring.addresses()
          return JSON.stringify(shown) === JSON.stringify(truth)
        },
        deadlineMs,
      )
    } catch (error) {
      const { out } = this.ring.process
      throw new Error(`${JSON.stringify(shown)} instead of ${JSON.stringify(truth)}\n${out.slice(-4000)}`, {
        cause: error,
      })
    }
  }

  async untilOk(ok: boolean, deadlineMs = FOLLOW_DEADLINE_MS): Promise<void> {
    const what = `the source to say that it is ${ok ? '' : 'not '}well`
    await this.server.until(what, async () => (await this.ring.source()).ok === ok, deadlineMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ring[Symbol.asyncDispose]()
    await this.relay.stop()
  }
}

/** The Role that the source needs, and nothing more. */
async function allowFollowing(server: ApiServer, namespace: string): Promise<void> {
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`
  const metadata = { name: ACCOUNT }
  await server.ask('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { body: { metadata } })
  const rules = [{ apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] }]
  await server.ask('POST', `${rbac}/roles`, { body: { metadata, rules } })
  await bind(server, namespace)
}

async function bind(server: ApiServer, namespace: string): Promise<void> {
  await server.ask('POST', `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`, {
    body: {
      metadata: { name: ACCOUNT },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: ACCOUNT },
      subjects: [{ kind: 'ServiceAccount', name: ACCOUNT, namespace }],
    },
  })
}

/** Creates, changes and removes slices by chance; at least one is left. */
async function changeByChance(slices: PublishedSlices, random: Random, count: number): Promise<void> {
  const below = (limit: number): number => Math.floor(random() * limit)
  for (let i = 0; i < count; i++) {
    const { names } = slices
    const name = `web-${below(4)}`
    if (names.includes(name) && names.length > 1 && random() < 0.3) {
      await slices.remove(name)
      continue
    }
    // A pod is in one slice at a time, so that the truth needs no rule for which one counts.
    const taken = new Set(
      names
        .filter((other) => other !== name)
        .flatMap((other) => slices.endpointsOf(other).map(({ pod }) => pod)),
    )
    const endpoints = Array.from({ length: 12 }, (_, pod): PublishedEndpoint => {
      const fate = random()
      return {
        pod: `p${pod}`,
        // It comes back with another address now and then.
        address: `10.77.${2 + below(3)}.${pod + 1}`,
        ready: fate > 0.15,
        terminating: fate > 0.85,
      }
    }).filter(({ pod }) => !taken.has(pod) && random() < 0.4)
    await slices.put(name, endpoints)
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe('the source kubernetes at a real API server', () => {
  let server: ApiServer

  beforeAll(async () => {
    server = await ApiServer.start()
  })
  afterAll(async () => {
    await server.stop()
  })

  test('follows slices that are created, changed and deleted', async () => {
    await using followed = await Followed.start(server, 'follows')
    const { slices } = followed
    expect(await followed.ring.nodes()).toMatchObject([
      { name: 'a', address: '10.77.1.1', port: 8000, zone: 'z1' },
      { name: 'b', address: '10.77.1.2', port: 8000 },
    ])
    await slices.put('web-1', [{ pod: 'c', address: '10.77.1.3', zone: 'z2' }])
    await followed.untilTrue()
    await slices.put('web-0', [{ pod: 'a', address: '10.77.1.1', terminating: true }])
    await followed.untilTrue()
    await slices.remove('web-0')
    await followed.untilTrue()
    expect(slices.truth).toEqual(['10.77.1.3'])
    // Of another Service, and of another namespace: no business of this ring.
    const other = new PublishedSlices(server, 'follows', 'other')
    await other.put('other-0', [{ pod: 'x', address: '10.77.9.9' }])
    await slices.put('web-2', [{ pod: 'd', address: '10.77.1.4' }])
    await followed.untilTrue()
    await followed.untilOk(true)
  })

  test('is right again after each fault of the network, whatever changed meanwhile', async () => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
    const random = seededRandom(seed)
    await using followed = await Followed.start(server, 'cuts')
    const { relay, slices } = followed
    const faults: Readonly<Record<string, () => Promise<void>>> = {
      'one cut': async () => {
        const changing = changeByChance(slices, random, 6)
        relay.cutOnce()
        await changing
      },
      'many cuts': async () => {
        const changing = changeByChance(slices, random, 30)
        for (let i = 0; i < 10; i++) {
          relay.cutOnce()
          await pause(100 * random())
        }
        await changing
      },
      'away for a while': async () => {
        relay.cut()
        await changeByChance(slices, random, 10)
        await pause(1500)
        relay.pass()
      },
      'stalled, and on': async () => {
        relay.stall()
        await changeByChance(slices, random, 10)
        await pause(1000)
        relay.pass()
      },
      'stalled, then cut': async () => {
        relay.stall()
        await changeByChance(slices, random, 10)
        relay.pass({ forget: true })
        relay.cutOnce()
      },
    }
    try {
      for (let round = 0; round < 3; round++) {
        for (const [name, happen] of Object.entries(faults)) {
          await happen()
          await followed.untilTrue().catch((error: unknown) => {
            throw new Error(`after ${name}, round ${round}`, { cause: error })
          })
        }
      }
    } catch (error) {
      throw new Error(`SEED=${seed}`, { cause: error })
    }
    await followed.untilOk(true)
  })

  test.for(['stop', 'kill'] as const)('goes on after the API server was away (%s)', async (how) => {
    await using followed = await Followed.start(server, `restart-${how}`)
    await changeByChance(followed.slices, seededRandom(1), 5)
    await followed.untilTrue()
    await server.stopApi(how)
    await followed.untilOk(false)
    // Nobody says anything of the pods: they stay.
    expect(await followed.ring.addresses()).toEqual(followed.slices.truth)
    expect((await fetch(`${followed.ring.url}/v1/owner?key=k`)).status).toBe(200)
    await server.startApi()
    await changeByChance(followed.slices, seededRandom(2), 5)
    await followed.untilTrue()
    await followed.untilOk(true)
  })

  test('goes on after the API server was frozen', async () => {
    await using followed = await Followed.start(server, 'frozen')
    server.freezeApi()
    await pause(3000)
    expect(await followed.ring.addresses()).toEqual(followed.slices.truth)
    server.thawApi()
    await changeByChance(followed.slices, seededRandom(3), 5)
    await followed.untilTrue()
  })

  test('lists anew when its version is gone (410), and misses nothing', async () => {
    await using followed = await Followed.start(server, 'compacted')
    const { relay, slices } = followed
    const path = '/apis/discovery.k8s.io/v1/namespaces/compacted/endpointslices'
    const { metadata } = await server.ask<{ metadata: { resourceVersion: string } }>('GET', path)
    relay.cut()
    await slices.put('web-0', [{ pod: 'b', address: '10.77.1.2' }])
    await slices.put('web-1', [{ pod: 'c', address: '10.77.1.3' }])
    await slices.put('web-2', [{ pod: 'd', address: '10.77.1.4' }])
    await slices.remove('web-1')
    await server.stopApi('kill')
    await server.compact()
    await server.startApi()
    // What the ring last saw cannot be gone on from: the server says so to anybody who asks.
    const query = `watch=1&timeoutSeconds=5&resourceVersion=${metadata.resourceVersion}`
    expect(JSON.stringify((await server.tryAsk('GET', `${path}?${query}`)).body)).toContain('410')
    relay.pass()
    await followed.untilTrue()
    await followed.untilOk(true)
    await slices.put('web-1', [{ pod: 'e', address: '10.77.1.5' }])
    await followed.untilTrue()
  })

  // The rest waits more than it works, and leaves the server alone.
  test.concurrent(
    'takes the new token when the old one has expired, and keeps the ring meanwhile',
    async () => {
      // Long enough for the process to begin, on a busy machine too.
      const lifetimeMs = 30_000
      await using followed = await Followed.start(server, 'expiry', lifetimeMs)
      const { relay, slices } = followed
      await pause(lifetimeMs + TOKEN_MEMORY_MS + 2000)
      // The watch that was allowed goes on; the next one is refused.
      relay.cutOnce()
      await slices.put('web-1', [{ pod: 'c', address: '10.77.1.3' }])
      await followed.untilOk(false)
      expect(await followed.ring.addresses()).toEqual(['10.77.1.1', '10.77.1.2'])
      await followed.writeToken(await server.requestToken('expiry', ACCOUNT))
      await followed.untilTrue()
      await followed.untilOk(true)
    },
  )

  test.concurrent('a token that is replaced in time is never missed', async () => {
    // Long enough for the process to begin, on a busy machine too.
    const lifetimeMs = 30_000
    await using followed = await Followed.start(server, 'rotation', lifetimeMs)
    await followed.writeToken(await server.mintToken('rotation', ACCOUNT, 600_000))
    await pause(lifetimeMs + TOKEN_MEMORY_MS + 2000)
    followed.relay.cutOnce()
    await followed.slices.put('web-1', [{ pod: 'c', address: '10.77.1.3' }])
    await followed.untilTrue()
    await followed.untilOk(true)
    // The first 401 has it read the token again, in silence.
    const { events } = followed.ring.process
    expect(
      events.filter(({ event, reason }) => event === 'kubernetes.failed' && reason === 'unauthorized'),
    ).toEqual([])
  })

  test.concurrent(
    'says so when it may no longer look, keeps the ring, and goes on when it may again',
    async () => {
      await using followed = await Followed.start(server, 'revoked')
      const { relay, slices } = followed
      const bindings = '/apis/rbac.authorization.k8s.io/v1/namespaces/revoked/rolebindings'
      await server.ask('DELETE', `${bindings}/${ACCOUNT}`)
      const access = { ...server.admin, token: await server.requestToken('revoked', ACCOUNT) }
      const path = '/apis/discovery.k8s.io/v1/namespaces/revoked/endpointslices'
      await server.until(
        'the right to be gone',
        async () => (await askApi(access, 'GET', path)).status === 403,
      )
      relay.cutOnce()
      await slices.put('web-1', [{ pod: 'c', address: '10.77.1.3' }])
      await followed.untilOk(false)
      expect((await followed.ring.source()).message).toMatch(/endpointslices/)
      expect(await followed.ring.addresses()).toEqual(['10.77.1.1', '10.77.1.2'])
      await bind(server, 'revoked')
      await followed.untilTrue()
      await followed.untilOk(true)
    },
  )

  test.concurrent('gives up a watch that is silent for ever, and none that is only quiet', async () => {
    await using silent = await Followed.start(server, 'silent')
    await using quiet = await Followed.start(server, 'quiet')
    silent.relay.stall()
    silent.relay.pass({ forget: true })
    await silent.slices.put('web-1', [{ pod: 'c', address: '10.77.1.3' }])
    const connections = quiet.relay.accepted
    await silent.untilTrue(150_000)
    await silent.untilOk(true)
    // Real bookmarks came in time: the same connection is there.
    expect(quiet.relay.accepted).toBe(connections)
    await quiet.slices.put('web-1', [{ pod: 'c', address: '10.77.1.3' }])
    await quiet.untilTrue()
  })
})

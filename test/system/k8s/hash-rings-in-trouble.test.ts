import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HASH_RING_GROUP, HASH_RINGS } from '../../../src/rings/hash-ring-resource.ts'
import { ApiServer } from '../../support/api-server.ts'
import { PATCH_TYPES } from '../../support/kubernetes-api.ts'
import { TcpRelay } from '../../support/tcp-relay.ts'
import { FakeKubelet, readyAddresses } from './fake-kubelet.ts'
import { CHART } from './rendered-objects.ts'
import { RingProcess, type ShownNode } from './ring-process.ts'

const HOME = 'rings'
const SHOP = 'shop'
const NAME = 'web'
const RING = `/apis/${HASH_RING_GROUP}/${HASH_RINGS.version}/namespaces/${SHOP}/hashrings/${NAME}`
const STATEFUL_SETS = `/apis/apps/v1/namespaces/${SHOP}/statefulsets`
const HOLD_SECONDS = 4
const DEADLINE_MS = 60_000

interface HashRing {
  readonly metadata: { readonly resourceVersion: string }
  readonly status?: {
    readonly version?: number
    readonly digest?: string
    readonly onRingCount?: number
    readonly nodes?: readonly { readonly name: string; readonly state: string; readonly address: string }[]
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly reason: string
      readonly message: string
    }[]
  }
}

interface ShownRing {
  readonly digest: string
  readonly version?: number
  readonly nodes: readonly ShownNode[]
}

/**
 * A workload of the real StatefulSet and EndpointSlice controllers, two pods of ringman that make its ring, and what goes
 * wrong with each of them and with the API server.
 */
describe('a HashRing in trouble', () => {
  let server: ApiServer
  let kubelet: FakeKubelet
  let relay: TcpRelay
  /** Two, which gossip on one port at addresses of their own. */
  let members: RingProcess[]
  let token: string
  /** All versions that were ever seen, in order. */
  const versions: number[] = []

  const addressOf = (i: number) => server.host.replace(/\d+$/, String(i + 1))

  /** The second one goes through a relay. */
  async function startMember(i: number): Promise<RingProcess> {
    const url = i === 1 ? `https://${server.host}:${relay.port}` : server.url
    const kubeconfig = await server.writeKubeconfig(`member-${i}`, { token, url })
    const seeds = [addressOf(0), addressOf(1)]
    return RingProcess.startForHashRings(`ringman-${i}`, addressOf(i), { seeds, minMembers: 1, kubeconfig })
  }

  beforeAll(async () => {
    server = await ApiServer.start({
      controllers: ['endpointslice-controller', 'statefulset-controller', 'garbage-collector-controller'],
    })
    for (const name of [HOME, SHOP]) await server.createNamespace(name)
    await installOldChart()
    token = await server.requestToken(HOME, 'ring-ringman')
    kubelet = new FakeKubelet(server, SHOP, {
      nodes: [
        { name: 'node-1', zone: 'zone-1' },
        { name: 'node-2', zone: 'zone-2' },
      ],
      graceMs: 500,
    })
    await kubelet.start()
    await server.ask('POST', `/api/v1/namespaces/${SHOP}/services`, {
      body: {
        metadata: { name: NAME },
        spec: {
          clusterIP: 'None',
          selector: { app: NAME },
          ports: [{ name: 'http', port: 80, targetPort: 'web' }],
        },
      },
    })
    await server.ask('POST', STATEFUL_SETS, { body: statefulSet(4) })
    await server.ask('POST', RING.slice(0, RING.lastIndexOf('/')), {
      body: {
        apiVersion: `${HASH_RING_GROUP}/${HASH_RINGS.version}`,
        kind: 'HashRing',
        metadata: { name: NAME },
        spec: { service: { name: NAME, port: 'http' }, hold: `${HOLD_SECONDS}s` },
      },
    })
    relay = await TcpRelay.start({ host: server.host, port: 0 }, { host: server.host, port: 6443 })
    members = await Promise.all([0, 1].map(startMember))
    await untilReady(4)
    await untilAgreed(4)
  })
  afterAll(async () => {
    await Promise.all((members ?? []).map((member) => member[Symbol.asyncDispose]()))
    await kubelet?.stop()
    await relay?.stop()
    await server?.stop()
  })

  /** As a chart was before a column and a field came into the definition. */
  async function installOldChart(): Promise<void> {
    const old = join(server.folder, 'old-chart')
    await cp(CHART, old, { recursive: true })
    const file = join(old, 'templates', 'hash-ring-crd.yaml')
    const text = await readFile(file, 'utf8')
    const column = /        - name: Digest\n(?: {10}.*\n)+/
    expect(text).toMatch(column)
    await writeFile(file, text.replace(column, ''))
    const { code, stderr } = await server.helm([
      'install',
      'ring',
      old,
      '--namespace',
      HOME,
      '--set',
      'rings.enabled=true',
    ])
    expect([code, stderr]).toEqual([0, ''])
    await server.until('HashRings to be served', async () => {
      return (await server.tryAsk('GET', RING.slice(0, RING.lastIndexOf('/')))).status === 200
    })
  }

  async function status(): Promise<NonNullable<HashRing['status']>> {
    const { status: now = {} } = await server.ask<HashRing>('GET', RING)
    if (now.version !== undefined && now.version !== versions.at(-1)) versions.push(now.version)
    return now
  }

  const conditionOf = ({ conditions }: NonNullable<HashRing['status']>, type: string) => {
    const found = conditions?.find((condition) => condition.type === type)
    return found && `${found.status} ${found.reason}`
  }

  async function ringAt(member: RingProcess): Promise<ShownRing> {
    const answer = await fetch(`${member.url}/v1/rings/${SHOP}/${NAME}/ring`)
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`)
    return (await answer.json()) as ShownRing
  }

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    try {
      await server.until(what, holds, DEADLINE_MS)
    } catch (error) {
      const rings = await Promise.allSettled(members.map(ringAt))
      throw new Error(JSON.stringify([await server.tryAsk('GET', RING), rings]).slice(0, 4000), {
        cause: error,
      })
    }
  }

  async function untilReady(count: number): Promise<void> {
    await until(`${count} ready Pods`, async () => {
      const pods = await kubelet.pods()
      return pods.length === count && readyAddresses(pods).length === count
    })
  }

  /** Waits until the status and all members have the ring of the ready Pods, by their addresses. */
  async function untilAgreed(count: number): Promise<NonNullable<HashRing['status']>> {
    let now: NonNullable<HashRing['status']> = {}
    await until(`all to hold the ring of ${count}`, async () => {
      now = await status()
      const wanted = String(readyAddresses(await kubelet.pods()))
      const rings = await Promise.all(members.map(ringAt))
      const addresses = rings.map(({ nodes }) => String(nodes.map(({ address }) => address).sort()))
      return (
        addresses.every((each) => each === wanted) &&
        now.onRingCount === count &&
        rings.every(({ version, digest }) => version === now.version && digest === now.digest)
      )
    })
    return now
  }

  async function scale(replicas: number): Promise<void> {
    const body = { spec: { replicas } }
    await server.ask('PATCH', `${STATEFUL_SETS}/${NAME}/scale`, { body, contentType: PATCH_TYPES.merge })
  }

  /** Starts the API server again; the one that looks after the Pods would not bear it. */
  async function restartApi(how: 'stop' | 'kill', meanwhile: () => Promise<void>): Promise<void> {
    await kubelet.stop()
    await server.stopApi(how)
    await meanwhile()
    await server.startApi()
    kubelet = new FakeKubelet(server, SHOP, { nodes: [], graceMs: 500 })
    await kubelet.start()
  }

  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

  test('the definition is upgraded by a plain upgrade of the chart', async () => {
    const columns = async () => (await server.kubectl(['get', 'hring', '-n', SHOP])).stdout.split('\n')[0]
    expect(await columns()).not.toContain('DIGEST')
    const args = ['upgrade', 'ring', CHART, '--namespace', HOME, '--set', 'rings.enabled=true']
    const { code, stderr } = await server.helm(args)
    expect([code, stderr]).toEqual([0, ''])
    await until('the column', async () => (await columns())?.includes('DIGEST') === true)
    const waited = await server.kubectl([
      'wait',
      '-n',
      SHOP,
      `hashring/${NAME}`,
      '--for=condition=Settled',
      '--timeout=120s',
    ])
    expect([waited.code, waited.stderr]).toEqual([0, ''])
  })

  test('a rolling update keeps the names on the ring, moves the addresses, and pulls no brake', async () => {
    const before = await untilAgreed(4)
    const addresses = readyAddresses(await kubelet.pods())
    const body = { spec: { template: { metadata: { annotations: { revision: '2' } } } } }
    await server.ask('PATCH', `${STATEFUL_SETS}/${NAME}`, { body, contentType: PATCH_TYPES.strategic })
    let braked = false
    await until('all Pods to be new ones', async () => {
      braked ||= conditionOf(await status(), 'Degraded') === 'True BrakeOn'
      const now = readyAddresses(await kubelet.pods())
      return now.length === 4 && now.every((address) => !addresses.includes(address))
    })
    const after = await untilAgreed(4)
    expect(braked).toBe(false)
    expect(after.digest).toBe(before.digest)
    expect(after.version).toBeGreaterThan(before.version ?? 0)
  })

  test('scaling to 0 empties the ring without a brake, and it comes back', async () => {
    const before = await untilAgreed(4)
    await scale(0)
    await until(
      'the ring to be empty',
      async () => conditionOf(await status(), 'Ready') === 'False RingEmpty',
    )
    const empty = await status()
    expect(conditionOf(empty, 'Degraded')).toBe('False AsExpected')
    const answer = await fetch(`${members[0]!.url}/v1/rings/${SHOP}/${NAME}/owner?key=k`)
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([503, 'RING_EMPTY'])
    await scale(4)
    await untilReady(4)
    const after = await untilAgreed(4)
    expect(after.digest).toBe(before.digest)
  })

  test('a Pod that restarts keeps its place within the hold, and loses it beyond', async () => {
    const before = await untilAgreed(4)
    await kubelet.setReady('web-1', false)
    // Asked of a member: the status of a workload that changes often is written every ten seconds only.
    const stateOf = async (name: string) => {
      const answer = await fetch(`${members[0]!.url}/v1/rings/${SHOP}/${NAME}/members`)
      const { members: all } = (await answer.json()) as { members: { name: string; state: string }[] }
      return all.find((member) => member.name === name)?.state
    }
    await until('it to be held', async () => (await stateOf('web-1')) === 'suspect')
    expect((await ringAt(members[0]!)).digest).toBe(before.digest)
    await kubelet.setReady('web-1', true)
    await until('it to serve', async () => (await stateOf('web-1')) === 'alive')
    expect((await status()).version).toBe(before.version)

    await kubelet.setReady('web-1', false)
    await untilAgreed(3)
    await kubelet.setReady('web-1', true)
    const after = await untilAgreed(4)
    expect(after.digest).toBe(before.digest)
    expect(after.version).toBe((before.version ?? 0) + 2)
  })

  test('when most fail at once the brake keeps the ring, and it goes off by itself', async () => {
    const before = await untilAgreed(4)
    await Promise.all(['web-0', 'web-1', 'web-2'].map((name) => kubelet.setReady(name, false)))
    await until('the brake', async () => conditionOf(await status(), 'Degraded') === 'True BrakeOn')
    await pause(1000 * HOLD_SECONDS + 1000)
    for (const member of members) expect((await ringAt(member)).digest).toBe(before.digest)
    await Promise.all(['web-0', 'web-1', 'web-2'].map((name) => kubelet.setReady(name, true)))
    await until(
      'the brake to go off',
      async () => conditionOf(await status(), 'Degraded') === 'False AsExpected',
    )
    expect((await untilAgreed(4)).digest).toBe(before.digest)
  })

  test('the rings go on while the API server is frozen and while it is killed, and follow it afterwards', async () => {
    const before = await untilAgreed(4)
    server.freezeApi()
    try {
      await pause(3000)
      for (const member of members) expect((await ringAt(member)).digest).toBe(before.digest)
    } finally {
      server.thawApi()
    }
    await scale(5)
    await untilReady(5)
    await untilAgreed(5)
    await restartApi('kill', async () => {
      await pause(2000)
      for (const member of members) expect((await ringAt(member)).nodes).toHaveLength(5)
    })
    await scale(4)
    await until('the Pod to go', async () => (await kubelet.pods()).length === 4)
    await untilAgreed(4)
  })

  test('a member whose watch is too old lists again', async () => {
    await untilAgreed(4)
    relay.cut()
    await kubelet.setReady('web-3', false)
    await until('the other one to follow', async () => (await ringAt(members[0]!)).nodes.length === 3)
    // The API server remembers what etcd has forgotten, until it is started again.
    await restartApi('stop', () => server.compact())
    relay.pass()
    await untilAgreed(3)
    await kubelet.setReady('web-3', true)
    await untilAgreed(4)
  })

  test('when the pod that writes the status is killed, the other one goes on with the numbers', async () => {
    const before = await untilAgreed(4)
    for (const i of [0, 1]) {
      members[i]!.process.signal('SIGKILL')
      await members[i]!.process.ended
      const other = members[1 - i]!
      await kubelet.setReady('web-3', i === 1)
      const wanted = i === 1 ? 4 : 3
      await until('the other one to write', async () => {
        const now = await status()
        return now.onRingCount === wanted && (await ringAt(other)).version === now.version
      })
      await members[i]![Symbol.asyncDispose]()
      members[i] = await startMember(i)
    }
    const after = await untilAgreed(4)
    expect(after.version).toBe((before.version ?? 0) + 2)
  })

  test('a pod that was frozen, or cut off, while it wrote takes nothing back', async () => {
    const before = await untilAgreed(4)
    for (const member of members) {
      member.process.signal('SIGSTOP')
      const other = members.find((each) => each !== member)!
      await kubelet.setReady('web-2', false)
      await until('the other one to write', async () => {
        const now = await status()
        return now.onRingCount === 3 && (await ringAt(other)).version === now.version
      })
      member.process.signal('SIGCONT')
      await untilAgreed(3)
      await kubelet.setReady('web-2', true)
      await untilAgreed(4)
    }
    relay.stall()
    await kubelet.setReady('web-2', false)
    await until('the other one to follow', async () => (await ringAt(members[0]!)).nodes.length === 3)
    await kubelet.setReady('web-2', true)
    await until('the other one to follow', async () => (await ringAt(members[0]!)).nodes.length === 4)
    relay.pass({ forget: true })
    relay.cutOnce()
    const after = await untilAgreed(4)
    expect(after.version).toBeGreaterThanOrEqual((before.version ?? 0) + 4)
  })

  test('no version was ever taken back', () => {
    expect(versions).toEqual(versions.toSorted((a, b) => a - b))
    expect(versions.length).toBeGreaterThan(10)
  })
})

/** Four Pods that come and go all at once, so that a rolling update does not take a minute. */
function statefulSet(replicas: number) {
  return {
    metadata: { name: NAME },
    spec: {
      replicas,
      serviceName: NAME,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: { app: NAME } },
      template: {
        metadata: { labels: { app: NAME } },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'web', image: 'web', ports: [{ name: 'web', containerPort: 8000 }] }],
        },
      },
    },
  }
}

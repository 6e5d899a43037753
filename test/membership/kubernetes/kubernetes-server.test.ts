import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { systemClock, type Clock, type Random } from '../../../src/clock.ts'
import { isRingmanError } from '../../../src/errors.ts'
import { HttpsTransport } from '../../../src/kubernetes/https-transport.ts'
import { InClusterAccess } from '../../../src/kubernetes/in-cluster-access.ts'
import { KubeconfigAccess } from '../../../src/kubernetes/kubeconfig-access.ts'
import type { ApiTransport } from '../../../src/kubernetes/api-transport.ts'
import { KubernetesSource } from '../../../src/membership/kubernetes/kubernetes-source.ts'
import { seededRandom } from '../../../lab/sim/seeded-random.ts'
import { FakeKubernetesApi, type FakeFault } from '../../support/fake-kubernetes-api.ts'
import { FakeKubernetesServer } from '../../support/fake-kubernetes-server.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { SliceWorld, type Phase } from './slice-world.ts'
import { disturb, DISTURBANCES } from './watch-disturbances.ts'

// It takes seconds to load on a busy machine, which is not what is tested here.
beforeAll(async () => {
  await import('@kubernetes/client-node')
})

const SEED = Number(process.env['SIM_SEED'] ?? Date.now() % 100_000)

async function openServer(options: Parameters<typeof FakeKubernetesServer.open>[1] = {}, seed = SEED) {
  const random = seededRandom(seed)
  const api = new FakeKubernetesApi(systemClock, random)
  const server = await FakeKubernetesServer.open(api, options)
  onTestFinished(() => server.close())
  return { api, server, world: new SliceWorld(api), random }
}

/** Nothing but the test of its end waits for that long. */
const START_TIMEOUT_MS = 60_000

/** A source with times that suit a test. What the API server owes it has long ones where it is not to be late. */
function makeSource(
  transport: ApiTransport,
  {
    clock = systemClock,
    logger = new RecordingLogger(),
    random = seededRandom(SEED),
    answerMs = 30_000,
  }: { clock?: Clock; logger?: RecordingLogger; random?: Random; answerMs?: number } = {},
) {
  const source = KubernetesSource.watching(
    {
      slices: { serviceName: 'cache' },
      holdRestartingMs: 300,
      startTimeoutMs: START_TIMEOUT_MS,
      listWatch: { pageSize: 2, backoffMinMs: 5, backoffMaxMs: 50, relistMinMs: 2000, relistMaxMs: 3000 },
      client: {
        requestTimeoutMs: answerMs,
        stallMs: answerMs,
        lineLimitBytes: 20_000,
        pageLimitBytes: 100_000,
      },
    },
    { transport, clock, random, logger },
  )
  onTestFinished(() => source.stop())
  return source
}

const inCluster = (server: FakeKubernetesServer, folder: string) =>
  new HttpsTransport(
    new InClusterAccess({ env: server.env, now: () => systemClock.now(), folder }),
    'ringman/test',
  )

const transportOf = (kubeconfig: string) =>
  new HttpsTransport(new KubeconfigAccess(kubeconfig, () => systemClock.now()), 'ringman/test')

const start = (source: KubernetesSource) => source.start(new AbortController().signal)

const ring = (source: KubernetesSource) =>
  source.members
    .filter(({ state }) => state === 'alive' || state === 'suspect')
    .map(({ name, address, metadata }) => `${name} ${address}:${metadata?.servicePort}`)

const same = (a: readonly string[], b: readonly string[]) => a.join() === b.join()

describe('over HTTPS', () => {
  test('the ring follows, with the service account of a pod and a token that is replaced', async () => {
    const { api, server, world } = await openServer()
    const folder = server.serviceAccount('first')
    api.tokens = new Set(['first'])
    world.setPhase(0, 'serving')
    const source = makeSource(inCluster(server, folder))
    await start(source)
    expect(ring(source)).toEqual(world.truth())

    api.tokens = new Set(['second'])
    server.serviceAccount('second')
    api.dropAll()
    world.setPhase(1, 'serving')
    await expect.poll(() => same(ring(source), world.truth())).toBe(true)
    expect(new Set(api.requests.map(({ token }) => token))).toEqual(new Set(['first', 'second']))
    await source.stop()
    await expect.poll(() => api.openCount).toBe(0)
  })

  test('a certificate of another authority is not trusted', async () => {
    const { server } = await openServer()
    let giveUp = () => {}
    const clock: Clock = {
      ...systemClock,
      after: (delayMs, fn) => {
        if (delayMs !== START_TIMEOUT_MS) return systemClock.after(delayMs, fn)
        giveUp = fn
        return () => {}
      },
    }
    const logger = new RecordingLogger()
    const source = makeSource(
      transportOf(server.kubeconfig({ token: 't' }, { 'certificate-authority-data': undefined })),
      { clock, logger },
    )
    const starting = start(source)
    // The time for the start is over once the first try has failed.
    await expect.poll(() => logger.lines.some(({ level }) => level === 'warn')).toBe(true)
    giveUp()
    await expect(starting).rejects.toSatisfy(
      (error) => isRingmanError(error) && error.code === 'SOURCE_FAILED' && /self.signed/.test(error.message),
    )
  })
})

describe('with a kubeconfig', () => {
  test('token, authority, namespace and a path before the API are taken from it', async () => {
    const { api, server, world } = await openServer({ prefix: '/k8s/clusters/c-1' })
    api.tokens = new Set(['secret'])
    world.setPhase(0, 'serving')
    const source = makeSource(transportOf(server.kubeconfig({ token: 'secret' })))
    await start(source)
    expect(ring(source)).toEqual(world.truth())
    expect(source.health().detail['namespace']).toBe('default')
  })

  test('a tokenFile is read, also one beside the kubeconfig, and read again when it was replaced', async () => {
    const { api, server, world } = await openServer()
    api.tokens = new Set(['first'])
    world.setPhase(0, 'serving')
    const kubeconfig = server.kubeconfig({ tokenFile: 'user.token', token: 'not this one' })
    const tokenFile = join(dirname(kubeconfig), 'user.token')
    writeFileSync(tokenFile, 'first\n')
    const source = makeSource(transportOf(kubeconfig))
    await start(source)
    expect(ring(source)).toEqual(world.truth())

    writeFileSync(tokenFile, 'second\n')
    api.tokens = new Set(['second'])
    api.dropAll()
    world.setPhase(1, 'serving')
    await expect.poll(() => same(ring(source), world.truth())).toBe(true)
  })

  test('plain HTTP to this machine works, as kubectl proxy gives it', async () => {
    const { server, world } = await openServer({ scheme: 'http' })
    world.setPhase(0, 'serving')
    const source = makeSource(transportOf(server.kubeconfig({})))
    await start(source)
    expect(ring(source)).toEqual(world.truth())
  })

  test('plain HTTP to another machine is refused', async () => {
    const { server } = await openServer({ scheme: 'http' })
    const source = makeSource(transportOf(server.kubeconfig({}, { server: 'http://192.0.2.1:8001' })))
    await expect(start(source)).rejects.toSatisfy(
      (error) => isRingmanError(error) && error.message.includes('insecure-skip-tls-verify'),
    )
  })

  test('a file that is not there is named', async () => {
    const source = makeSource(transportOf('/nowhere/kubeconfig'))
    await expect(start(source)).rejects.toSatisfy(
      (error) => isRingmanError(error) && error.message.includes('/nowhere/kubeconfig'),
    )
  })

  test('without a namespace it is the one that kubectl takes', async () => {
    const { server, world } = await openServer()
    world.setPhase(0, 'serving')
    const source = makeSource(transportOf(server.kubeconfig({ token: 't' }, {}, {})))
    await start(source)
    expect(ring(source)).toEqual(world.truth())
  })
})

test('a pod without a service account says what is missing', async () => {
  const { server } = await openServer()
  const source = makeSource(inCluster(server, '/nowhere'))
  await expect(start(source)).rejects.toSatisfy(
    (error) => isRingmanError(error) && error.message.includes('automountServiceAccountToken'),
  )
})

test('outside of Kubernetes the flag for a kubeconfig is named', async () => {
  const source = makeSource(
    new HttpsTransport(new InClusterAccess({ env: {}, now: () => 0 }), 'ringman/test'),
  )
  await expect(start(source)).rejects.toSatisfy(
    (error) => isRingmanError(error) && error.message.includes('--kubernetes-kubeconfig'),
  )
})

test(`after every kind of fault on the wire the ring is what Kubernetes says (SIM_SEED=${SEED})`, async () => {
  const { api, server, world, random } = await openServer()
  api.bookmarkEveryMs = 50
  api.chop = true
  const folder = server.serviceAccount('token')
  for (let n = 0; n < 5; n++) world.setPhase(n, 'serving')
  const source = makeSource(inCluster(server, folder), { random, answerMs: 500 })
  await start(source)
  const faults: FakeFault[] = [
    { kind: 'refuse' },
    { kind: 'hang' },
    { kind: 'mute' },
    { kind: 'status', status: 410 },
    { kind: 'status', status: 500 },
    { kind: 'cut', afterBytes: 300, clean: false },
    { kind: 'cut', afterBytes: 300, clean: true },
    { kind: 'body', text: 'not what was asked for' },
    { kind: 'body', text: `{"items":["${'x'.repeat(120_000)}"]}` },
  ]
  const phases: Phase[] = ['serving', 'unready', 'draining', 'terminating']
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  for (const disturbance of DISTURBANCES) {
    for (let changes = 0; changes < 3; changes++) {
      const n = Math.floor(random() * 6)
      if (random() < 0.3) world.remove(n)
      else world.setPhase(n, pick(phases))
    }
    let left = Math.floor(random() * 3)
    const fault = pick(faults)
    api.faultFor = () => (left-- > 0 ? fault : undefined)
    disturb(disturbance, api.streams)
    if (random() < 0.2) api.compact()
    world.setPhase(Math.floor(random() * 6), 'serving')
    await expect.poll(() => same(ring(source), world.truth()), { timeout: 60_000 }).toBe(true)
  }
  // A fault that no request has met yet may still come.
  api.faultFor = () => undefined
  await expect.poll(() => source.health().ok).toBe(true)
  await source.stop()
  await expect.poll(() => api.openCount).toBe(0)
})

import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { loadServeConfig } from '../../src/config/load.ts'
import { serveRing } from '../http/running-ring.ts'
import { ChartPod } from '../support/chart-pod.ts'
import { at, only, parseManifest, type KubernetesObject } from '../support/chart.ts'
import { GOSSIP, TestProcess } from '../support/child-process.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../support/fake-kubernetes-api.ts'
import { FakeKubernetesServer } from '../support/fake-kubernetes-server.ts'
import { fakeMember } from '../support/fake-source.ts'
import { freePort } from '../support/free-port.ts'
import { PHASES, sliceOf } from '../membership/kubernetes/slice-fixtures.ts'
import { RingProcess } from '../system/k8s/ring-process.ts'

const FOLDER = resolve(import.meta.dirname, '../../manifests/examples')
const PATIENCE = { timeout: 60_000, interval: 50 }
const FACTS = { name: 'pod-0', namespace: 'apps', ip: '10.1.2.3' }

async function objectsOf(file: string): Promise<readonly KubernetesObject[]> {
  return parseManifest(await readFile(join(FOLDER, file), 'utf8'))
}

function isWorkload({ kind }: KubernetesObject): boolean {
  return kind === 'StatefulSet' || kind === 'Deployment'
}

function containersOf(workload: KubernetesObject): readonly Readonly<Record<string, unknown>>[] {
  return at(workload, 'spec.template.spec.containers') as Readonly<Record<string, unknown>>[]
}

const files = (await readdir(FOLDER)).filter((name) => name.endsWith('.yaml'))

test('there are examples of a sidecar, a consumer, a workload with a HashRing and a Go ring', () => {
  expect(files.sort()).toEqual([
    'consumer.yaml',
    'go-ringman.yaml',
    'hash-ring.yaml',
    'sidecar-container.yaml',
  ])
})

describe.each(files)('%s', async (file) => {
  const objects = await objectsOf(file)
  const workloads = objects.filter(isWorkload)

  test('selects pods that it makes', () => {
    const labels = workloads.map(
      (workload) => at(workload, 'spec.template.metadata.labels') as Record<string, string>,
    )
    for (const workload of workloads) {
      expect(at(workload, 'spec.template.metadata.labels')).toMatchObject(
        at(workload, 'spec.selector.matchLabels') as object,
      )
    }
    const selectors = objects.flatMap((object) => {
      if (object.kind === 'Service') return [at(object, 'spec.selector')]
      if (object.kind === 'PodDisruptionBudget') return [at(object, 'spec.selector.matchLabels')]
      return object.kind === 'NetworkPolicy' ? [at(object, 'spec.podSelector.matchLabels')] : []
    }) as Record<string, string>[]
    for (const selector of selectors) {
      expect(labels.some((one) => Object.entries(selector).every(([key, value]) => one[key] === value))).toBe(
        true,
      )
    }
  })

  test('has pods that are "restricted", with ports and volumes that exist', () => {
    for (const workload of workloads) {
      const spec = at(workload, 'spec.template.spec')
      expect(at(spec, 'securityContext')).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      })
      const volumes = ((at(spec, 'volumes') ?? []) as { name: string }[]).map(({ name }) => name)
      const ports = containersOf(workload).flatMap((container) =>
        ((container['ports'] as { name: string }[] | undefined) ?? []).map(({ name }) => name),
      )
      for (const container of containersOf(workload)) {
        expect(container['securityContext']).toMatchObject({
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        })
        for (const { name } of (container['volumeMounts'] ?? []) as { name: string }[])
          expect(volumes).toContain(name)
        for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
          const port = at(container, `${probe}.httpGet.port`)
          if (port !== undefined) expect(ports).toContain(port)
        }
      }
    }
  })

  const members = workloads.filter((workload) =>
    containersOf(workload).some(({ name }) => name === 'ringman'),
  )
  test.each(members)('gives $metadata.name settings that ringman takes', async (workload) => {
    await using pod = await ChartPod.make(
      [workload, ...objects.filter((object) => !isWorkload(object))],
      FACTS,
    )
    const { values, warnings } = loadServeConfig({ values: {}, unknown: [] }, pod.env)
    expect(warnings).toEqual([])
    expect(values).toMatchObject({ source: 'memberlist', name: 'pod-0', bind: '10.1.2.3', servicePort: 8000 })
    const [seed] = values.seeds
    const headless = objects.filter((object) => at(object, 'spec.clusterIP') === 'None')
    expect(headless.map(({ metadata }) => `${metadata.name}.apps.svc`)).toEqual([at(seed, 'name')])
    // Go knows no labels and hashes addresses; without Go both are to be had.
    const isGo = values.clusterName !== undefined
    expect(values.label).toBe(isGo ? undefined : 'apps/sessions')
    expect(values.ringKey).toBe(isGo ? 'address' : 'name')
    // Sleep, farewell, drain and close.
    const sleepS = Number(at(containersOf(workload)[0], 'lifecycle.preStop.sleep.seconds') ?? 0)
    const graceS = Number(at(workload, 'spec.template.spec.terminationGracePeriodSeconds'))
    expect(graceS).toBeGreaterThanOrEqual(sleepS + 5 + values.drainMs / 1000)
  })
})

/** A script out of a ConfigMap, as a file. */
async function scriptOf(file: string, map: string, name: string) {
  const folder = await mkdtemp(join(tmpdir(), 'ringman-example-'))
  const path = join(folder, name)
  const data = only(await objectsOf(file), 'ConfigMap', map)['data'] as Readonly<Record<string, string>>
  await writeFile(path, data[name] ?? '')
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}

describe('the programs of the examples', () => {
  test('the application answers for its own sessions and hands on the others', async () => {
    await using script = await scriptOf('sidecar-container.yaml', 'sessions-app', 'app.mjs')
    await using served = await serveRing({ members: [], ringKeyMode: 'name' })
    await using stack = new AsyncDisposableStack()
    const ports = new Map<string, number>()
    for (const name of ['sessions-0', 'sessions-1']) {
      const env = { POD_NAME: name, PORT: '0', HOST: '127.0.0.1', RING_URL: served.server.url }
      const app = stack.use(new TestProcess([script.path], { env }))
      const line = await app.until('its port', () =>
        app.outLines.find((out) => out.startsWith('listening on ')),
      )
      ports.set(name, Number(line.split(' ').at(-1)))
    }
    const ask = async (name: string, path: string) => {
      const response = await fetch(`http://127.0.0.1:${ports.get(name)}${path}`)
      return { status: response.status, text: await response.text() }
    }
    // With no member on the ring nobody owns anything.
    expect(await ask('sessions-0', '/session/1')).toMatchObject({ status: 503 })
    const changed = served.ring.manager.snapshot
    served.source.set(
      [...ports].map(([name, port]) => fakeMember(name, '127.0.0.1', { servicePort: String(port) })),
    )
    while (served.ring.manager.snapshot === changed) await new Promise((done) => setImmediate(done))

    const answeredBy = new Set<string>()
    for (let id = 0; id < 40; id++) {
      const [one, other] = await Promise.all(
        [...ports.keys()].map(async (name) => (await ask(name, `/session/${id}`)).text),
      )
      expect(one).toBe(other)
      expect(one).toMatch(new RegExp(`^session ${id}, answered by sessions-[01]\n$`))
      answeredBy.add(one ?? '')
    }
    const answerers = new Set([...answeredBy].map((text) => text.trim().split(' ').at(-1)))
    expect(answerers).toEqual(new Set(['sessions-0', 'sessions-1']))
    expect(await ask('sessions-0', '/healthz')).toEqual({ status: 200, text: 'ok\n' })
    expect((await ask('sessions-0', '/elsewhere')).status).toBe(404)
  })

  test('the workload of a HashRing counts for its own keys and passes on the others', async () => {
    await using script = await scriptOf('hash-ring.yaml', 'counter-app', 'counter.mjs')
    const api = new FakeKubernetesApi(systemClock)
    await using server = await FakeKubernetesServer.open(api)
    const port = await freePort()
    const pods = ['127.0.0.2', '127.0.0.3', '127.0.0.4']
    const put = (addresses: readonly string[]) => {
      const endpoints = addresses.map((address) => ({ name: address, address, ...PHASES.serving }))
      const slice = sliceOf('counter-a', endpoints, {
        labels: { 'kubernetes.io/service-name': 'counter' },
        ports: [{ name: 'http', port }],
      })
      api.put(COLLECTIONS.allSlices, { ...slice, metadata: { ...slice.metadata, namespace: 'shop' } })
    }
    put(pods)
    api.put(COLLECTIONS.hashRings, {
      metadata: { name: 'counter', namespace: 'shop', generation: 1 },
      spec: { service: { name: 'counter' }, brake: '100%' },
    })
    await using member = await RingProcess.start([
      '--hash-rings',
      '--kubernetes-kubeconfig',
      server.kubeconfig({ token: 't' }),
      ...GOSSIP,
      '--min-members',
      '1',
    ])
    const ring = `${member.url}/v1/rings/shop/counter`
    await vi.waitFor(async () => {
      const owner = await fetch(`${ring}/owner?key=a`)
      expect(await owner.json()).toMatchObject({ version: 1 })
    }, PATIENCE)
    await using stack = new AsyncDisposableStack()
    for (const address of pods) {
      const env = { POD_IP: address, PORT: String(port), RING_URL: ring }
      const app = stack.use(new TestProcess([script.path], { env }))
      await app.until('it to listen', () => app.outLines.find((out) => out.startsWith('listening on ')))
    }
    const count = async (host: string, key: string, headers: Readonly<Record<string, string>> = {}) => {
      const response = await fetch(`http://${host}:${port}/count/${key}`, { headers })
      return [response.status, await response.text()]
    }
    const counters = new Set<string>()
    for (let i = 0; i < 30; i++) {
      const key = `key-${i}`
      const { owner } = (await (await fetch(`${ring}/owner?key=${key}`)).json()) as {
        owner: { address: string }
      }
      counters.add(owner.address)
      for (const [j, host] of pods.entries()) {
        expect(await count(host, key)).toEqual([200, `${key} is ${j + 1}, counted by ${owner.address}\n`])
      }
    }
    expect([...counters].toSorted()).toEqual(pods)

    put(pods.slice(0, 2))
    await vi.waitFor(async () => {
      for (const host of pods.slice(0, 2)) {
        const { owner, version } = (await (await fetch(`${ring}/owner?key=a`)).json()) as {
          owner: { address: string }
          version: number
        }
        expect(version).toBe(2)
        expect((await count(host, 'a'))[1]).toContain(`counted by ${owner.address}`)
      }
    }, PATIENCE)
    // One that goes by the ring of before is told so.
    expect((await count(pods[0]!, 'a', { 'x-ring-version': '1' }))[0]).toBe(409)
  })

  test('the consumer prints owners, and again when they change', async () => {
    await using script = await scriptOf('consumer.yaml', 'consumer-app', 'consumer.mjs')
    const member = (index: number) => fakeMember(`m${index}`, `10.0.0.${index}`)
    await using served = await serveRing({ members: [member(1), member(2)] })
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
    const env = { RING_URL: served.server.url, KEYS: keys.join(',') }
    await using consumer = new TestProcess([script.path], { env })
    const ownersIn = (lines: readonly string[]) =>
      new Map(
        lines.map((line) => /^(\w) is at (\S+) now \(ring \w+\)$/.exec(line)?.slice(1) as [string, string]),
      )
    const owner = (key: string) => served.ring.manager.getNode(key).ringKey
    await consumer.until('all owners', () =>
      ownersIn(consumer.outLines).size === keys.length ? true : undefined,
    )
    for (const [key, place] of ownersIn(consumer.outLines)) expect(place).toBe(owner(key))
    served.source.set([member(2)])
    await consumer.until('the owners after the change', () => {
      const owners = ownersIn(consumer.outLines)
      return [...owners.values()].every((place) => place === '10.0.0.2:8000') ? true : undefined
    })
    consumer.signal('SIGTERM')
    expect(await consumer.ended).toEqual({ code: 0, signal: null })
    expect(consumer.err).toBe('')
  })
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiServer } from '../../support/api-server.ts'
import { PATCH_TYPES } from '../../support/kubernetes-api.ts'
import { FakeKubelet, readyAddresses, type Pod } from './fake-kubelet.ts'
import { RingProcess, type ShownNode } from './ring-process.ts'

const NAMESPACE = 'work'
const NAME = 'web'
const STATEFUL_SETS = `/apis/apps/v1/namespaces/${NAMESPACE}/statefulsets`
const SLICES = `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`
const LABELS = { app: NAME }
const HOLD_RESTARTING_MS = 8000
const GRACE_MS = 1500

/**
 * The real EndpointSlice controller makes the slices of real Pods, which the real StatefulSet controller makes; what
 * kubelets say of them is made up. So the slices change as they do in a cluster, a few at a time and in its own order.
 */
describe('the source kubernetes behind the real controllers', () => {
  let server: ApiServer
  let kubelet: FakeKubelet
  let ring: RingProcess

  beforeAll(async () => {
    server = await ApiServer.start({
      controllers: ['endpointslice-controller', 'statefulset-controller', 'garbage-collector-controller'],
      // So few that five Pods take three slices, and move between them.
      endpointsPerSlice: 2,
    })
    await server.createNamespace(NAMESPACE)
    kubelet = new FakeKubelet(server, NAMESPACE, {
      nodes: [
        { name: 'node-1', zone: 'zone-1' },
        { name: 'node-2', zone: 'zone-2' },
        { name: 'node-3', zone: 'zone-3' },
      ],
      graceMs: GRACE_MS,
    })
    await kubelet.start()
    await server.ask('POST', `/api/v1/namespaces/${NAMESPACE}/services`, {
      body: {
        metadata: { name: NAME },
        spec: {
          clusterIP: 'None',
          publishNotReadyAddresses: false,
          selector: LABELS,
          ports: [{ name: 'http', port: 80, targetPort: 'web' }],
        },
      },
    })
    await server.ask('POST', STATEFUL_SETS, { body: statefulSet(3) })
    await untilPods(3)
    ring = await RingProcess.start([
      '--source',
      'kubernetes',
      '--kubernetes-service',
      NAME,
      '--kubernetes-port',
      'http',
      '--kubernetes-namespace',
      NAMESPACE,
      '--kubernetes-kubeconfig',
      server.kubeconfig,
      '--hold-restarting',
      `${HOLD_RESTARTING_MS}ms`,
    ])
  })
  afterAll(async () => {
    await ring[Symbol.asyncDispose]()
    await kubelet.stop()
    await server.stop()
  })

  /** Waits for so many Pods that are ready, and none besides. */
  async function untilPods(count: number): Promise<Pod[]> {
    let pods: Pod[] = []
    await server.until(`${count} ready Pods`, async () => {
      pods = await kubelet.pods()
      return pods.length === count && readyAddresses(pods).length === count
    })
    return pods
  }

  /** Waits until the ring is the ready Pods. */
  async function untilTrue(): Promise<void> {
    await server.until(
      'the ring to be as the Pods are',
      async () => String(await ring.addresses()) === String(readyAddresses(await kubelet.pods())),
    )
  }

  async function scale(replicas: number): Promise<void> {
    const body = { spec: { replicas } }
    await server.ask('PATCH', `${STATEFUL_SETS}/${NAME}/scale`, { body, contentType: PATCH_TYPES.merge })
  }

  const names = (nodes: readonly ShownNode[]): string[] => nodes.map(({ name }) => name).sort()

  test('is the ready Pods, with their ports, names and zones', async () => {
    await untilTrue()
    const nodes = await ring.nodes()
    expect(names(nodes)).toEqual(['web-0', 'web-1', 'web-2'])
    const pods = await kubelet.pods()
    for (const { name, port, zone } of nodes) {
      const nodeName = pods.find((pod) => pod.metadata.name === name)?.spec.nodeName
      expect({ name, port, zone }).toEqual({ name, port: 8000, zone: nodeName?.replace('node', 'zone') })
    }
  })

  test('follows as the StatefulSet grows and shrinks over several slices', async () => {
    await scale(5)
    await untilPods(5)
    await untilTrue()
    const { items } = await server.ask<{ items: unknown[] }>('GET', SLICES)
    expect(items.length).toBeGreaterThanOrEqual(3)
    await scale(2)
    await untilPods(2)
    await untilTrue()
    await scale(4)
    await untilPods(4)
    await untilTrue()
    expect(await ring.nodes()).toHaveLength(4)
  })

  test('a Pod that is deleted leaves at once, while it still ends, and its successor comes', async () => {
    const [first] = await kubelet.pods()
    const old = first?.status.podIP ?? ''
    kubelet.hold()
    await server.ask('DELETE', `/api/v1/namespaces/${NAMESPACE}/pods/web-0`)
    const hasLeft = async () => !names(await ring.nodes()).includes('web-0')
    await server.until('web-0 to leave', hasLeft, HOLD_RESTARTING_MS - 1000)
    // It was terminating, serving still: as in a cluster during its grace.
    const still = (await kubelet.pods()).find(({ status }) => status.podIP === old)
    expect(still?.metadata.deletionTimestamp).toBeDefined()
    kubelet.release()
    await server.until('a successor with another address', async () => {
      const pod = (await kubelet.pods()).find(({ metadata }) => metadata.name === 'web-0')
      return pod?.status.podIP !== undefined && pod.status.podIP !== old
    })
    await untilTrue()
    expect(names(await ring.nodes())).toContain('web-0')
  })

  test('a Pod that is deleted by force, without grace, leaves soon', async () => {
    kubelet.hold()
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 }
    await server.ask('DELETE', `/api/v1/namespaces/${NAMESPACE}/pods/web-1`, { body })
    await server.until('web-1 to leave', async () => !names(await ring.nodes()).includes('web-1'))
    kubelet.release()
    await untilPods(4)
    await untilTrue()
  })

  test('a Pod that restarts keeps its place for a while, and only for a while', async () => {
    await untilTrue()
    const before = await ring.addresses()
    const lostAtMs = performance.now()
    await kubelet.setReady('web-2', false)
    await server.until('the slices to say so', async () =>
      JSON.stringify(await server.ask('GET', SLICES)).includes('"ready":false'),
    )
    await new Promise((resolve) => setTimeout(resolve, 1000))
    expect(await ring.addresses()).toEqual(before)
    await kubelet.setReady('web-2', true)
    await new Promise((resolve) => setTimeout(resolve, HOLD_RESTARTING_MS))
    expect(await ring.addresses()).toEqual(before)
    await kubelet.setReady('web-2', false)
    const lostAgainAtMs = performance.now()
    await server.until('web-2 to go', async () => !names(await ring.nodes()).includes('web-2'))
    expect(performance.now() - lostAgainAtMs).toBeGreaterThan(HOLD_RESTARTING_MS - 500)
    expect(performance.now()).toBeGreaterThan(lostAtMs)
    await kubelet.setReady('web-2', true)
    await untilTrue()
    expect(await ring.addresses()).toEqual(before)
  })

  test('a Pod that is evicted goes, and its successor comes', async () => {
    await kubelet.fail('web-3')
    await server.until('a successor', async () => {
      const pod = (await kubelet.pods()).find(({ metadata }) => metadata.name === 'web-3')
      return pod?.status.phase === 'Running'
    })
    await untilPods(4)
    await untilTrue()
  })

  test('a rolling update never empties the ring, nor leaves a Pod of before on it', async () => {
    await untilTrue()
    const before = new Set(await ring.addresses())
    const sizes: number[] = []
    const watching = new AbortController()
    const watched = watchSizes(ring.url, watching.signal, (size) => sizes.push(size))
    await server.ask('PATCH', `${STATEFUL_SETS}/${NAME}`, {
      body: { spec: { template: { metadata: { annotations: { roll: '1' } } } } },
      contentType: PATCH_TYPES.merge,
    })
    await server.until('every Pod to be new', async () => {
      const addresses = readyAddresses(await kubelet.pods())
      return addresses.length === 4 && addresses.every((address) => !before.has(address))
    })
    await untilTrue()
    watching.abort()
    await watched
    // One at a time, as a StatefulSet rolls. That one left and another came may be told as one change.
    expect(Math.min(...sizes)).toBe(3)
    expect(Math.max(...sizes)).toBe(4)
    expect(sizes.length).toBeGreaterThan(4)
  })

  test('a Service whose port moves takes the ring along', async () => {
    await server.ask('PATCH', `/api/v1/namespaces/${NAMESPACE}/services/${NAME}`, {
      body: { spec: { ports: [{ name: 'http', port: 80, targetPort: 'admin' }] } },
      contentType: PATCH_TYPES.merge,
    })
    await server.until('the other port', async () => {
      const nodes = await ring.nodes()
      return nodes.length === 4 && nodes.every(({ port }) => port === 8081)
    })
    await untilTrue()
  })

  test('scaling to none empties the ring', async () => {
    await scale(0)
    await untilPods(0)
    await server.until('an empty ring', async () => (await ring.nodes()).length === 0)
    await scale(2)
    await untilPods(2)
    await untilTrue()
  })
})

function statefulSet(replicas: number): object {
  return {
    metadata: { name: NAME },
    spec: {
      serviceName: NAME,
      replicas,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: LABELS },
      template: {
        metadata: { labels: LABELS },
        spec: {
          containers: [
            {
              name: 'web',
              image: 'web',
              ports: [
                { name: 'web', containerPort: 8000 },
                { name: 'admin', containerPort: 8081 },
              ],
            },
          ],
        },
      },
    },
  }
}

/** Calls `onSize` with the number of nodes of each ring that `/v1/ring/watch` tells of. */
async function watchSizes(url: string, signal: AbortSignal, onSize: (size: number) => void): Promise<void> {
  try {
    const { body } = await fetch(`${url}/v1/ring/watch`, { signal })
    let text = ''
    for await (const chunk of (body ?? new ReadableStream<Uint8Array>()).pipeThrough(
      new TextDecoderStream(),
    )) {
      const lines = `${text}${chunk}`.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines.filter((each) => each.startsWith('data:'))) {
        onSize((JSON.parse(line.slice(5)) as { nodes: unknown[] }).nodes.length)
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

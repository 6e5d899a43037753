import { parse } from 'yaml'
import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiServer } from '../../support/api-server.ts'
import type { KubernetesObject } from '../../support/kubernetes-api.ts'
import { operatorDefinitions } from '../../support/kubernetes-schemas.ts'
import { FakeKubelet, readyAddresses, type Pod } from './fake-kubelet.ts'
import {
  CHART,
  MANIFESTS,
  manifestFiles,
  matrixEntries,
  nameOf,
  parseObjects,
  type MatrixEntry,
} from './rendered-objects.ts'

const matrix = await matrixEntries()
const manifests = await manifestFiles()
const RELEASE = 'ring'
/** What every namespace has of itself. */
const OF_ITSELF = ['ServiceAccount/default', 'ConfigMap/kube-root-ca.crt']
const CONTROLLERS = [
  ...['statefulset-controller', 'deployment-controller', 'replicaset-controller', 'endpointslice-controller'],
  ...[
    'garbage-collector-controller',
    'disruption-controller',
    'namespace-controller',
    'root-ca-certificate-publisher-controller',
  ],
]

/**
 * The chart at a real API server, with the real controllers behind it: what they make of the objects is made, and goes
 * away with them. Pods are admitted as in a cluster, by the standard "restricted"; nothing runs in them.
 */
describe('the chart at a real API server', () => {
  let server: ApiServer

  beforeAll(async () => {
    server = await ApiServer.start({ controllers: CONTROLLERS })
    const { code, stderr } = await server.kubectl([
      'apply',
      '--server-side',
      '-f',
      await operatorDefinitions(),
    ])
    expect([code, stderr]).toEqual([0, ''])
    await server.until('the kinds of the operator', async () => {
      const { status } = await server.tryAsk('GET', '/apis/monitoring.coreos.com/v1/prometheusrules')
      return status === 200
    })
  })
  afterAll(async () => {
    await server.stop()
  })

  /** A namespace that takes Pods of the standard "restricted" only, or that warns when they are less. */
  async function createNamespace(name: string, level: 'restricted' | 'privileged'): Promise<void> {
    const prefix = 'pod-security.kubernetes.io'
    await server.createNamespace(name, { [`${prefix}/enforce`]: level, [`${prefix}/warn`]: level })
  }

  /** All objects of a namespace, of every kind that there is, without those it has of itself. */
  async function objectsIn(namespace: string): Promise<string[]> {
    const { stdout: kinds } = await server.kubectl([
      'api-resources',
      '--namespaced',
      '--verbs=list',
      '--output=name',
    ])
    const resources = kinds
      .trim()
      .split('\n')
      .filter((kind) => !/^(?:events|events\.events\.k8s\.io|localsubject)/.test(kind))
    const { stdout } = await server.kubectl(['get', resources.join(','), '-n', namespace, '-o', 'json'])
    const { items } = JSON.parse(stdout) as { items: KubernetesObject[] }
    return items
      .map((item) => nameOf(item))
      .filter((name) => !OF_ITSELF.includes(name))
      .sort()
  }

  /** Runs helm and expects it to succeed without a word of warning. */
  async function helm(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await server.helm(args)
    expect({ code, stderr, stdout: code === 0 ? '' : stdout }).toEqual({ code: 0, stderr: '', stdout: '' })
    return stdout
  }

  const dataOf = async (namespace: string, name: string): Promise<Record<string, string> | undefined> => {
    const { status, body } = await server.tryAsk('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`)
    return status === 200 ? (body as { data: Record<string, string> }).data : undefined
  }

  async function podsIn(namespace: string): Promise<Pod[]> {
    return (await server.ask<{ items: Pod[] }>('GET', `/api/v1/namespaces/${namespace}/pods`)).items
  }

  test.for(matrix)(
    '$name: accepted, installed, upgraded, uninstalled, and nothing is left',
    async (entry) => {
      const namespace = `matrix-${entry.name}`
      const { isRestricted, replicas, kind } = await expectations(entry)
      await createNamespace(namespace, isRestricted ? 'restricted' : 'privileged')
      const values = ['--namespace', namespace, '--values', entry.path]

      // Server-side validation, with every warning of the admission.
      const rendered = await helm(
        'template',
        RELEASE,
        CHART,
        ...values,
        '--api-versions',
        'monitoring.coreos.com/v1',
      )
      const dryRun = await server.kubectl(
        ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-n', namespace, '-f', '-'],
        rendered,
      )
      expect([dryRun.code, dryRun.stderr]).toEqual([0, ''])

      await helm('install', RELEASE, CHART, ...values)
      const pods = await untilPods(namespace, replicas)
      expect(pods.every(({ metadata }) => metadata.name.startsWith(RELEASE))).toBe(true)
      const keyring = await dataOf(namespace, `${RELEASE}-ringman-keyring`)

      await helm('upgrade', RELEASE, CHART, ...values)
      expect(await dataOf(namespace, `${RELEASE}-ringman-keyring`)).toEqual(keyring)
      // Nothing changed, so no Pod may be replaced.
      const { spec, status } = await workload(namespace, kind)
      expect({ generation: status.observedGeneration, replicas: spec.replicas }).toMatchObject({
        generation: 1,
      })

      await helm('uninstall', RELEASE, '--namespace', namespace)
      await untilPods(namespace, 0)
      await server.until(
        `nothing to be left in ${namespace}`,
        async () => (await objectsIn(namespace)).length === 0,
      )
    },
  )

  interface Workload {
    readonly spec: { readonly replicas?: number }
    readonly status: { readonly observedGeneration?: number; readonly updateRevision?: string }
  }

  function workload(namespace: string, kind: string): Promise<Workload> {
    return server.ask(
      'GET',
      `/apis/apps/v1/namespaces/${namespace}/${kind.toLowerCase()}s/${RELEASE}-ringman`,
    )
  }

  /** Waits until the controllers have made so many Pods, or have removed all of them. No kubelet is there to end them. */
  async function untilPods(namespace: string, count: number): Promise<Pod[]> {
    let pods: Pod[] = []
    await server.until(`${count} Pods in ${namespace}`, async () => {
      pods = await podsIn(namespace)
      const ending = pods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
      for (const { metadata } of ending) {
        const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 }
        await server.tryAsk('DELETE', `/api/v1/namespaces/${namespace}/pods/${metadata.name}`, { body })
      }
      return pods.length - ending.length === count
    })
    return pods
  }

  test('keeps the generated keyring through changes of other values, and rolls only for what Pods see', async () => {
    const namespace = 'upgrades'
    await createNamespace(namespace, 'restricted')
    await using kubelet = new FakeKubelet(server, namespace, { nodes: [{ name: 'node-1', zone: 'zone-1' }] })
    await kubelet.start()
    const settings = ['--namespace', namespace, '--set', 'minReadySeconds=1']
    await helm('install', RELEASE, CHART, ...settings, '--wait', '--timeout', '60s')
    const keyring = await dataOf(namespace, `${RELEASE}-ringman-keyring`)
    expect(Buffer.from(keyring?.['keyring'] ?? '', 'base64').toString()).toMatch(/^[A-Za-z0-9+/]{43}=\n$/)
    const uids = async () => (await kubelet.pods()).map(({ metadata }) => metadata.uid)
    const before = await uids()
    expect(before).toHaveLength(3)

    // Others come, nobody of before goes.
    await helm(
      'upgrade',
      RELEASE,
      CHART,
      ...settings,
      '--set',
      'replicas=4,config.minMembers=2',
      '--wait',
      '--timeout',
      '60s',
    )
    await server.until('4 Pods', async () => readyAddresses(await kubelet.pods()).length === 4)
    expect(await dataOf(namespace, `${RELEASE}-ringman-keyring`)).toEqual(keyring)

    // The configuration is changed: every Pod is replaced, one by one.
    await helm(
      'upgrade',
      RELEASE,
      CHART,
      ...settings,
      '--set',
      'config.logLevel=debug',
      '--wait',
      '--timeout',
      '120s',
    )
    await server.until('3 new Pods', async () => {
      const after = await kubelet.pods()
      return after.length === 3 && after.every(({ metadata }) => !before.includes(metadata.uid))
    })
    expect(await dataOf(namespace, `${RELEASE}-ringman-keyring`)).toEqual(keyring)

    await helm('rollback', RELEASE, '1', '--namespace', namespace, '--wait', '--timeout', '120s')
    expect(await dataOf(namespace, `${RELEASE}-ringman-keyring`)).toEqual(keyring)
    await helm('uninstall', RELEASE, '--namespace', namespace, '--wait', '--timeout', '60s')
    await server.until('nothing to be left', async () => (await objectsIn(namespace)).length === 0)
  })

  test('two releases in one namespace do not meet', async () => {
    await createNamespace('two', 'restricted')
    for (const name of ['blue', 'green']) await helm('install', name, CHART, '--namespace', 'two')
    await untilPods('two', 6)
    const path = '/api/v1/namespaces/two/services/blue-ringman-gossip'
    const { spec } = await server.ask<{ spec: { selector: Record<string, string> } }>('GET', path)
    const selector = Object.entries(spec.selector)
      .map(([key, value]) => `${key}=${value}`)
      .join(',')
    const { items } = await server.ask<{ items: Pod[] }>(
      'GET',
      `/api/v1/namespaces/two/pods?labelSelector=${encodeURIComponent(selector)}`,
    )
    expect(items.map(({ metadata }) => metadata.name).sort()).toEqual([
      'blue-ringman-0',
      'blue-ringman-1',
      'blue-ringman-2',
    ])
    for (const name of ['blue', 'green']) await helm('uninstall', name, '--namespace', 'two')
  })

  test.for(manifests.map((path) => [relative(MANIFESTS, path), path] as const))(
    'manifests/%s is accepted',
    async ([name, path]) => {
      const objects = parseObjects(await readFile(path, 'utf8'))
      const namespaces = new Set(objects.map(({ metadata }) => metadata.namespace ?? ''))
      const fallback = `manifests-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`.slice(0, 63)
      await createNamespace(fallback, 'restricted')
      for (const namespace of namespaces) {
        if (namespace === '') continue
        const { status } = await server.tryAsk('GET', `/api/v1/namespaces/${namespace}`)
        if (status === 404) await createNamespace(namespace, 'restricted')
      }
      // The namespace of the file itself wins over the one on the command line only when it is in the object.
      const args = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', path]
      const inFallback = namespaces.has('') ? ['-n', fallback] : []
      const { code, stderr } = await server.kubectl([...args, ...inFallback])
      expect([code, stderr]).toEqual([0, ''])
    },
  )
})

/** What a values file comes to. */
async function expectations(
  entry: MatrixEntry,
): Promise<{ isRestricted: boolean; replicas: number; kind: string }> {
  const values = (parse(await readFile(entry.path, 'utf8')) ?? {}) as {
    hostNetwork?: boolean
    kind?: string
    replicas?: number
    autoscaling?: { enabled?: boolean; minReplicas?: number }
  }
  const isScaled = values.autoscaling?.enabled === true
  return {
    // The standard has no room for the node's own network.
    isRestricted: values.hostNetwork !== true,
    kind: values.kind ?? 'StatefulSet',
    // No autoscaler is running: without `replicas` there is one.
    replicas: isScaled ? 1 : (values.replicas ?? 3),
  }
}

import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiServer } from '../../support/api-server.ts'
import { SEEN_CLUSTER } from '../../support/chart.ts'
import type { KubernetesObject } from '../../support/kubernetes-api.ts'
import { operatorDefinitions } from '../../support/kubernetes-schemas.ts'
import { FakeKubelet, readyAddresses, type Pod } from './fake-kubelet.ts'
import { CHART, MANIFESTS, manifestFiles, matrixEntries, nameOf, parseObjects } from './rendered-objects.ts'

const matrix = await matrixEntries()
const manifests = await manifestFiles()
const RELEASE = 'ring'
/** The group of the Prometheus operator's kinds. */
const OPERATOR = 'monitoring.coreos.com/v1'
/** What every namespace has of itself. */
const OF_ITSELF = ['ServiceAccount/default', 'ConfigMap/kube-root-ca.crt']
const CONTROLLERS = [
  'statefulset-controller',
  'deployment-controller',
  'replicaset-controller',
  'endpointslice-controller',
  'garbage-collector-controller',
  'disruption-controller',
  'namespace-controller',
  'root-ca-certificate-publisher-controller',
]

/**
 * The chart at a real API server, with the real controllers behind it: what they make of the objects is made, and goes
 * away with them. Pods are admitted as in a cluster, by the standard "restricted"; nothing runs in them.
 */
describe('the chart at a real API server', () => {
  let server: ApiServer
  /** The resources that a namespace can hold; they take kubectl a while to find out. */
  let kinds: string[] | undefined

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

  /** A namespace that takes Pods of one of Kubernetes' standards only. */
  async function ensureNamespace(name: string, level: 'restricted' | 'privileged'): Promise<void> {
    const { status } = await server.tryAsk('GET', `/api/v1/namespaces/${name}`)
    const prefix = 'pod-security.kubernetes.io'
    if (status === 404)
      await server.createNamespace(name, { [`${prefix}/enforce`]: level, [`${prefix}/warn`]: level })
  }

  /** All objects of some namespaces, of every kind that there is, without those that a namespace has of itself. */
  async function objectsIn(namespaces: readonly string[]): Promise<string[]> {
    kinds ??= (
      await server.kubectl(['api-resources', '--namespaced', '--verbs=list', '--output=name'])
    ).stdout
      .trim()
      .split('\n')
      .filter((kind) => !kind.startsWith('events'))
    const names: string[] = []
    for (const namespace of namespaces) {
      const { stdout, stderr } = await server.kubectl(['get', kinds.join(','), '-n', namespace, '-o', 'json'])
      if (stdout === '') throw new Error(stderr)
      const { items } = JSON.parse(stdout) as { items: KubernetesObject[] }
      names.push(...items.map((item) => `${namespace}/${nameOf(item)}`))
    }
    return names.filter((name) => !OF_ITSELF.some((own) => name.endsWith(`/${own}`))).sort()
  }

  /** Runs helm and expects it to succeed without a word of warning. */
  async function helm(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await server.helm(args)
    expect({ code, stderr, stdout: code === 0 ? '' : stdout }).toEqual({ code: 0, stderr: '', stdout: '' })
    return stdout
  }

  async function keyringIn(namespace: string): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/secrets/${RELEASE}-ringman-keyring`
    const { data } = await server.ask<{ data: { keyring: string } }>('GET', path)
    return Buffer.from(data.keyring, 'base64').toString()
  }

  test.for(matrix)(
    '$name: accepted, installed, upgraded, uninstalled, and nothing is left',
    async (entry) => {
      const release = `m-${entry.name}`
      const values = ['--namespace', release, '--values', entry.path]
      const seen = ['--api-versions', `${OPERATOR},${SEEN_CLUSTER}`]
      const rendered = await helm('template', RELEASE, CHART, ...values, ...seen)
      const objects = parseObjects(rendered)
      const workload = objects.find(isWorkload)
      if (workload === undefined) throw new Error('no StatefulSet and no Deployment was rendered')
      const { namespace: home = release } = workload.metadata
      const pod = workload.spec.template.spec
      const namespaces = [
        ...new Set([release, ...objects.map(({ metadata }) => metadata.namespace ?? release)]),
      ]
      // The standard has no room for the node's own network.
      const level = pod.hostNetwork === true ? 'privileged' : 'restricted'
      for (const namespace of namespaces) await ensureNamespace(namespace, level)
      const account = pod.serviceAccountName ?? 'default'
      const isGiven =
        account !== 'default' && !objects.some((object) => nameOf(object) === `ServiceAccount/${account}`)
      if (isGiven) {
        await server.ask('POST', `/api/v1/namespaces/${home}/serviceaccounts`, {
          body: { metadata: { name: account } },
        })
      }
      const before = await objectsIn(namespaces)

      await helm('install', RELEASE, CHART, ...values)
      // Server-side validation of each object as it was rendered, that of the test too, with every warning. After the
      // account is there, without which no Pod is admitted.
      const apply = ['apply', '--server-side', '--force-conflicts', '--dry-run=server', '--validate=strict']
      const dryRun = await server.kubectl([...apply, '-f', '-'], rendered)
      expect([dryRun.code, dryRun.stderr]).toEqual([0, ''])
      await untilPods(home, workload.spec.replicas ?? 1)
      const [secrets, revision] = [await secretsIn(home), await revisionsIn(home)]
      await helm('upgrade', RELEASE, CHART, ...values)
      // Nothing changed: the same keys, and no Pod is to be replaced.
      expect(await secretsIn(home)).toEqual(secrets)
      expect(await revisionsIn(home)).toEqual(revision)

      await helm('uninstall', RELEASE, '--namespace', release)
      await untilPods(home, 0)
      await untilLeft(namespaces, before)
    },
  )

  /** What is in each Secret that is not helm's own record. */
  async function secretsIn(namespace: string): Promise<unknown> {
    const path = `/api/v1/namespaces/${namespace}/secrets?fieldSelector=type%3DOpaque`
    const { items } = await server.ask<{ items: (KubernetesObject & { data: unknown })[] }>('GET', path)
    return items.map(({ metadata, data }) => [metadata.name, data])
  }

  /** The generations of what makes Pods: a changed template is another one. */
  async function revisionsIn(namespace: string): Promise<unknown> {
    const { stdout } = await server.kubectl(['get', 'statefulset,deployment', '-n', namespace, '-o', 'json'])
    const { items } = JSON.parse(stdout) as {
      items: (KubernetesObject & { metadata: { generation: number } })[]
    }
    return items.map((item) => [nameOf(item), item.metadata.generation])
  }

  /** Waits until the namespaces hold nothing but what they held before. */
  async function untilLeft(namespaces: readonly string[], before: readonly string[]): Promise<void> {
    let now: readonly string[] = []
    try {
      await server.until('nothing to be left', async () => {
        now = await objectsIn(namespaces)
        return String(now) === String(before)
      })
    } catch (error) {
      throw new Error(`left behind: ${now.filter((name) => !before.includes(name)).join(', ')}`, {
        cause: error,
      })
    }
  }

  /** Waits until the controllers have made so many Pods, and ends those that are to end, as no kubelet does. */
  async function untilPods(namespace: string, count: number): Promise<void> {
    await server.until(`${count} Pods in ${namespace}`, async () => {
      const path = `/api/v1/namespaces/${namespace}/pods`
      const { items } = await server.ask<{ items: Pod[] }>('GET', path)
      const ending = items.filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
      for (const { metadata } of ending) {
        const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 }
        await server.tryAsk('DELETE', `${path}/${metadata.name}`, { body })
      }
      return items.length - ending.length === count
    })
  }

  test('keeps the generated keyring through changes of other values, and rolls only for what Pods see', async () => {
    const namespace = 'upgrades'
    await ensureNamespace(namespace, 'restricted')
    await using kubelet = new FakeKubelet(server, namespace, { nodes: [{ name: 'node-1', zone: 'zone-1' }] })
    await kubelet.start()
    const settings = ['--namespace', namespace, '--set', 'minReadySeconds=1']
    const upgrade = (values: string) =>
      helm('upgrade', RELEASE, CHART, ...settings, '--set', values, '--wait', '--timeout', '180s')
    await helm('install', RELEASE, CHART, ...settings, '--wait', '--timeout', '180s')
    const keyring = await keyringIn(namespace)
    expect(keyring).toMatch(/^[A-Za-z0-9+/]{43}=\n$/)
    const uids = async () => (await kubelet.pods()).map(({ metadata }) => metadata.uid)
    const before = await uids()
    expect(before).toHaveLength(3)

    // Others come, nobody of before goes.
    await upgrade('replicas=4,config.minMembers=2')
    await server.until('4 Pods', async () => readyAddresses(await kubelet.pods()).length === 4)
    expect(await keyringIn(namespace)).toEqual(keyring)

    // The configuration is changed: every Pod is replaced, one by one.
    await upgrade('config.logLevel=debug')
    await server.until('3 new Pods', async () => {
      const after = await kubelet.pods()
      return after.length === 3 && after.every(({ metadata }) => !before.includes(metadata.uid))
    })
    expect(await keyringIn(namespace)).toEqual(keyring)

    await helm('rollback', RELEASE, '1', '--namespace', namespace, '--wait', '--timeout', '180s')
    expect(await keyringIn(namespace)).toEqual(keyring)
    await helm('uninstall', RELEASE, '--namespace', namespace, '--wait', '--timeout', '180s')
    await untilLeft([namespace], [])
  })

  test('two releases in one namespace do not meet', async () => {
    await ensureNamespace('two', 'restricted')
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
    'manifests/%s is accepted, in a namespace for restricted Pods',
    async ([name, path]) => {
      const namespace = `manifests-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`
      await ensureNamespace(namespace, 'restricted')
      const objects = parseObjects(await readFile(path, 'utf8'))
      for (const { metadata } of objects) await ensureNamespace(metadata.namespace ?? namespace, 'restricted')
      const args = ['apply', '--server-side', '--validate=strict', '-n', namespace, '-f', path]
      const { code, stderr } = await server.kubectl(args)
      expect([code, stderr]).toEqual([0, ''])
      // Their Pods are admitted, not only their workloads.
      const wanted = objects.filter(isWorkload).reduce((sum, { spec }) => sum + (spec.replicas ?? 1), 0)
      await untilPods(namespace, wanted)
    },
  )

  test('kubectl apply -k manifests is accepted', async () => {
    await ensureNamespace('kustomized', 'restricted')
    const { code, stderr } = await server.kubectl([
      'apply',
      '--server-side',
      '-n',
      'kustomized',
      '-k',
      MANIFESTS,
    ])
    expect([code, stderr]).toEqual([0, ''])
    await untilPods('kustomized', 3)
  })
})

/** What makes Pods. */
interface Workload extends KubernetesObject {
  readonly spec: {
    readonly replicas?: number
    readonly template: {
      readonly spec: { readonly hostNetwork?: boolean; readonly serviceAccountName?: string }
    }
  }
}

function isWorkload(object: KubernetesObject): object is Workload {
  return object.kind === 'StatefulSet' || object.kind === 'Deployment'
}

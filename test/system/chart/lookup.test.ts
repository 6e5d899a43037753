import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { at, CHART_FOLDER, helm, NAMESPACE, only, parseManifest, RELEASE } from '../../support/chart.ts'

const SECRET = `/api/v1/namespaces/${NAMESPACE}/secrets/prod-ringman-keyring`

/** The kinds of the chart that are no part of the core. */
const GROUPS = [
  ['authorization.k8s.io/v1', 'SelfSubjectAccessReview'],
  ['autoscaling/v2', 'HorizontalPodAutoscaler'],
  ['apps/v1', 'StatefulSet'],
  ['policy/v1', 'PodDisruptionBudget'],
  ['networking.k8s.io/v1', 'NetworkPolicy'],
] as const

function groupOf([groupVersion]: (typeof GROUPS)[number]) {
  const [name, version] = groupVersion.split('/')
  const one = { groupVersion, version }
  return { name, versions: [one], preferredVersion: one }
}

function resourcesOf(groupVersion: string, kinds: readonly string[]) {
  const resources = kinds.map((kind) => {
    const singularName = kind.toLowerCase()
    const name = singularName.endsWith('y') ? `${singularName.slice(0, -1)}ies` : `${singularName}s`
    return { name, singularName, namespaced: true, kind, verbs: ['get', 'list', 'create'] }
  })
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources }
}

/**
 * As much of an API server as helm needs to look up an object while it renders. What a real one makes of the chart is the
 * business of `npm run test:k8s`.
 */
class LookUpServer {
  /** Objects by path; anything else is not found. */
  readonly objects = new Map<string, unknown>([
    ['/version', { major: '1', minor: '35', gitVersion: 'v1.35.0' }],
    ['/api', { kind: 'APIVersions', versions: ['v1'] }],
    ['/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups: GROUPS.map(groupOf) }],
    ['/api/v1', resourcesOf('v1', ['ConfigMap', 'Pod', 'Secret', 'Service', 'ServiceAccount'])],
    ...GROUPS.map(([version, kind]) => [`/apis/${version}`, resourcesOf(version, [kind])] as const),
  ])
  readonly asked: string[] = []
  readonly #server: Server = createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?')
    this.asked.push(path)
    const found = this.objects.get(path)
    const status = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 }
    response.writeHead(found === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(found ?? status))
  })
  #folder = ''

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const { port } = this.#server.address() as AddressInfo
    this.#folder = await mkdtemp(join(tmpdir(), 'ringman-lookup-'))
    const cluster = { name: 'c', cluster: { server: `http://127.0.0.1:${port}` } }
    await writeFile(
      this.kubeconfig,
      stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [cluster],
        users: [{ name: 'u', user: {} }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    )
  }

  get kubeconfig(): string {
    return join(this.#folder, 'kubeconfig')
  }

  async stop(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

let server: LookUpServer
beforeEach(async () => {
  server = new LookUpServer()
  await server.start()
})
afterEach(async () => {
  await server.stop()
})

/** What marks an object as this release's. */
const ours = { 'meta.helm.sh/release-name': RELEASE, 'meta.helm.sh/release-namespace': NAMESPACE }

const render = (...flags: string[]) =>
  helm([
    'template',
    RELEASE,
    CHART_FOLDER,
    '--namespace',
    NAMESPACE,
    '--dry-run=server',
    '--disable-openapi-validation',
    '--kubeconfig',
    server.kubeconfig,
    ...flags,
  ])

describe('the number of pods of a release that is in a cluster', () => {
  const STATEFUL_SET = `/apis/apps/v1/namespaces/${NAMESPACE}/statefulsets/prod-ringman`
  const ON = ['--set', 'autoscaling.enabled=true,autoscaling.minReplicas=4']

  /** Renders, and puts what was rendered into the cluster. Returns the number of pods that it says. */
  async function apply(...flags: string[]): Promise<unknown> {
    const { code, stdout, stderr } = await render(...flags)
    expect(code, stderr).toBe(0)
    const workload = only(parseManifest(stdout), 'StatefulSet')
    const { metadata } = workload
    server.objects.set(STATEFUL_SET, {
      ...workload,
      metadata: { ...metadata, annotations: { ...metadata.annotations, ...ours } },
    })
    return at(workload, 'spec.replicas')
  }

  /** What an autoscaler, or `kubectl scale`, does. */
  function scale(replicas: number): void {
    const workload = server.objects.get(STATEFUL_SET) as { spec: { replicas?: number } }
    workload.spec.replicas = replicas
  }

  test('begins with the least one of an autoscaler', async () => {
    expect(await apply(...ON)).toBe(4)
  })

  test('stays when an autoscaler is switched on, and as the autoscaler sets it', async () => {
    expect(await apply('--set', 'replicas=5')).toBe(5)
    expect(await apply(...ON)).toBe(5)
    scale(7)
    expect(await apply(...ON)).toBe(7)
    expect(await apply(...ON, '--set', 'replicas=2')).toBe(7)
  })

  test('stays when the autoscaler is switched off, until `replicas` is changed', async () => {
    await apply(...ON)
    scale(7)
    expect(await apply()).toBe(7)
    expect(await apply('--set', 'config.drain=10s')).toBe(7)
    expect(await apply('--set', 'replicas=6')).toBe(6)
    // From here on as if there had never been one.
    scale(9)
    expect(await apply('--set', 'replicas=6')).toBe(6)
    expect(await apply()).toBe(3)
  })

  test('is that of `replicas` when that is given while the autoscaler is switched off', async () => {
    await apply(...ON)
    scale(7)
    expect(await apply('--set', 'replicas=8')).toBe(8)
  })

  test('is `replicas` where there never was an autoscaler, whatever it was scaled to', async () => {
    await apply()
    scale(9)
    expect(await apply()).toBe(3)
  })

  test('may be no pods at all', async () => {
    await apply(...ON)
    scale(0)
    expect(await apply(...ON)).toBe(0)
  })
})

describe('the keyring of a release that is in a cluster', () => {
  const put = (data: Record<string, string>, annotations: Record<string, string> = ours) => {
    const labels = { 'app.kubernetes.io/managed-by': 'Helm' }
    const metadata = { name: 'prod-ringman-keyring', namespace: NAMESPACE, labels, annotations }
    server.objects.set(SECRET, { apiVersion: 'v1', kind: 'Secret', metadata, data })
  }

  async function keyringOf(...flags: string[]): Promise<unknown> {
    const { code, stdout, stderr } = await render(...flags)
    expect(code, stderr).toBe(0)
    return at(only(parseManifest(stdout), 'Secret'), 'data.keyring')
  }

  test('is made once, and stays as it is at each upgrade, rotated or not', async () => {
    const made = await keyringOf()
    expect(server.asked).toContain(SECRET)
    expect(await keyringOf()).not.toBe(made)
    for (const keyring of [String(made), Buffer.from('two keys\nin rotation\n').toString('base64')]) {
      put({ keyring })
      expect(await keyringOf()).toBe(keyring)
      expect(await keyringOf('--set', 'replicas=5,config.drain=10s')).toBe(keyring)
    }
  })

  test('is what the values say, where they have keys', async () => {
    put({ keyring: Buffer.from('old').toString('base64') })
    const key = Buffer.alloc(32, 1).toString('base64')
    expect(await keyringOf('--set', `keyring.keys={${key}}`)).toBe(Buffer.from(`${key}\n`).toString('base64'))
  })

  test('is made for another key of the Secret, if that is not there', async () => {
    put({ other: 'eA==' })
    expect(Buffer.from(String(await keyringOf()), 'base64').toString()).toMatch(/^[A-Za-z0-9+/]{43}=\n$/)
  })

  test('cannot be deleted by calling it one of yours', async () => {
    const flags = ['--set', 'keyring.existingSecret=prod-ringman-keyring']
    put({ keyring: 'eA==' })
    const refused = await render(...flags)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain(
      `first run kubectl -n ${NAMESPACE} annotate secret prod-ringman-keyring helm.sh/resource-policy=keep`,
    )
    put({ keyring: 'eA==' }, { ...ours, 'helm.sh/resource-policy': 'keep' })
    expect((await render(...flags)).code).toBe(0)
    put({ keyring: 'eA==' }, {})
    expect((await render(...flags)).code).toBe(0)
    server.objects.delete(SECRET)
    expect((await render(...flags)).code).toBe(0)
  })
})

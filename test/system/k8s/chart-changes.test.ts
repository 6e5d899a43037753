import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ApiServer } from '../../support/api-server.ts'
import { SEEN_CLUSTER } from '../../support/chart.ts'
import { PATCH_TYPES, type KubernetesObject } from '../../support/kubernetes-api.ts'
import { CHART, nameOf } from './rendered-objects.ts'

const NAME = 'ring-ringman'

interface Port {
  readonly name: string
  readonly protocol: string
  readonly port?: number
  readonly containerPort?: number
}

interface StatefulSet extends KubernetesObject {
  readonly spec: {
    readonly replicas: number
    readonly template: {
      readonly spec: { readonly containers: readonly { readonly ports: readonly Port[] }[] }
    }
  }
}

/** Both ways to change objects: Helm 4 applies on the server, Helm 3 sends a patch that it made itself. */
const WAYS = ['--server-side=true', '--server-side=false']

/** What upgrades make of objects that a real API server has. Nothing runs in it: no controller, no Pod. */
describe('a change of the chart at a real API server', () => {
  let server: ApiServer
  beforeAll(async () => {
    server = await ApiServer.start()
  })
  afterAll(async () => {
    await server.stop()
  })

  async function helm(...args: string[]): Promise<void> {
    const { code, stdout, stderr } = await server.helm(args)
    expect({ code, stderr, stdout: code === 0 ? '' : stdout }).toEqual({ code: 0, stderr: '', stdout: '' })
  }

  const setPath = (namespace: string) => `/apis/apps/v1/namespaces/${namespace}/statefulsets/${NAME}`
  const replicasIn = async (namespace: string) =>
    (await server.ask<StatefulSet>('GET', setPath(namespace))).spec.replicas

  test.each(WAYS)('an autoscaler is switched on and off, and the pods stay: %s', async (way) => {
    const namespace = `scale-${way.slice(-4)}`.replaceAll(/[^a-z-]/g, '')
    await server.createNamespace(namespace)
    const upgrade = (...values: string[]) =>
      helm('upgrade', '--install', 'ring', CHART, way, '-n', namespace, ...values)
    await upgrade('--set', 'replicas=5')
    expect(await replicasIn(namespace)).toBe(5)
    await upgrade('--set', 'replicas=5,autoscaling.enabled=true')
    expect(await replicasIn(namespace)).toBe(5)
    // As the autoscaler does it.
    await server.ask('PATCH', `${setPath(namespace)}/scale`, {
      body: { spec: { replicas: 8 } },
      contentType: PATCH_TYPES.merge,
    })
    await upgrade('--set', 'replicas=5,autoscaling.enabled=true,config.drain=10s')
    expect(await replicasIn(namespace)).toBe(8)
    await upgrade('--set', 'replicas=5')
    expect(await replicasIn(namespace)).toBe(8)
    await upgrade('--set', 'replicas=5,config.drain=9s')
    expect(await replicasIn(namespace)).toBe(8)
    // The field was set by another than Helm 4, which wants to be told that this is meant.
    const force = way === '--server-side=true' ? ['--force-conflicts'] : []
    await upgrade('--set', 'replicas=7', ...force)
    expect(await replicasIn(namespace)).toBe(7)
  })

  test.each(['helm', 'kubectl'])('the ports of the first version become those of now: %s', async (tool) => {
    const namespace = `ports-${tool}`
    await server.createNamespace(namespace)
    const values = 'keyring.existingSecret=mine,config.httpPort=8085,tests.enabled=false'
    const args = ['template', 'ring', CHART, '-n', namespace, '--set', values]
    const now = (await server.helm([...args, '--api-versions', SEEN_CLUSTER])).stdout
    // Two ports with one number, in the Service and in the container; and another number for look-ups.
    const before = now
      .replaceAll('8085', '8080')
      .replaceAll(
        /^( *)- name: (?:admin\n *containerPort|http\n *port): 808.\n(?:\1 .*\n)*/gm,
        (port, indent: string) => {
          const key = port.includes('containerPort') ? 'containerPort' : 'port'
          const gossip = ['UDP', 'TCP'].map((protocol) =>
            [`- name: gossip-${protocol.toLowerCase()}`, `  ${key}: 7946`, `  protocol: ${protocol}`]
              .map((line) => `${indent}${line}\n`)
              .join(''),
          )
          return `${port}${gossip.join('')}`
        },
      )
    expect(before.match(/gossip-udp/g)).toHaveLength(3)
    if (tool === 'helm') {
      const chart = await chartOf(before)
      await helm('install', 'ring', chart, '--server-side=false', '-n', namespace)
      const flags = ['--server-side=false', '-n', namespace, '--set', values]
      await helm('upgrade', 'ring', CHART, ...flags)
    } else {
      for (const text of [before, now]) {
        const { code, stderr } = await server.kubectl(['apply', '-n', namespace, '-f', '-'], text)
        expect([code, stderr]).toEqual([0, ''])
      }
    }
    const path = `/api/v1/namespaces/${namespace}/services/${NAME}-gossip`
    const { spec } = await server.ask<{ spec: { ports: Port[] } }>('GET', path)
    expect(spec.ports.map(({ name, port }) => `${name} ${port}`)).toEqual(['http 8085'])
    const set = await server.ask<StatefulSet>('GET', setPath(namespace))
    const own = set.spec.template.spec.containers[0]?.ports ?? []
    expect(own.map(({ name, containerPort }) => `${name} ${containerPort}`).sort()).toEqual([
      'admin 8081',
      'http 8085',
    ])
  })

  /** A chart that makes these objects and nothing else. */
  async function chartOf(text: string): Promise<string> {
    const folder = join(server.folder, 'chart')
    await mkdir(join(folder, 'templates'), { recursive: true })
    await writeFile(join(folder, 'Chart.yaml'), 'apiVersion: v2\nname: before\nversion: 1.0.0\n')
    const files = join(folder, 'files')
    await mkdir(files)
    await writeFile(join(files, 'all.yaml'), text)
    await writeFile(join(folder, 'templates', 'all.yaml'), '{{ .Files.Get "files/all.yaml" }}')
    return folder
  }

  test('rights in one namespace are enough to install, and to keep the key', async () => {
    const namespace = 'narrow'
    await server.createNamespace(namespace)
    const core = `/api/v1/namespaces/${namespace}`
    await server.ask('POST', `${core}/serviceaccounts`, { body: { metadata: { name: 'deployer' } } })
    const rules = [
      { apiGroups: [''], resources: ['configmaps', 'secrets', 'services', 'serviceaccounts'], verbs: ['*'] },
      { apiGroups: ['apps'], resources: ['statefulsets'], verbs: ['*'] },
      { apiGroups: ['policy'], resources: ['poddisruptionbudgets'], verbs: ['*'] },
      { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['*'] },
    ]
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`
    await server.ask('POST', `${rbac}/roles`, { body: { metadata: { name: 'deployer' }, rules } })
    await server.ask('POST', `${rbac}/rolebindings`, {
      body: {
        metadata: { name: 'deployer' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'deployer' },
        subjects: [{ kind: 'ServiceAccount', name: 'deployer', namespace }],
      },
    })
    const token = await server.requestToken(namespace, 'deployer')
    const kubeconfig = await server.writeKubeconfig('deployer', { token })
    const upgrade = async (...values: string[]) => {
      const args = ['upgrade', '--install', 'ring', CHART, '-n', namespace, ...values]
      const { code, stderr } = await server.helm([...args, '--kubeconfig', kubeconfig])
      expect([code, stderr]).toEqual([0, ''])
      const secret = await server.ask<{ data: { keyring: string } }>('GET', `${core}/secrets/${NAME}-keyring`)
      return secret.data.keyring
    }
    const elsewhere = await server.kubectl(['--kubeconfig', kubeconfig, 'get', 'secrets', '-n', 'default'])
    expect(elsewhere.stderr).toContain('forbidden')
    const made = await upgrade()
    expect(Buffer.from(made, 'base64').toString()).toMatch(/^[A-Za-z0-9+/]{43}=\n$/)
    expect(await upgrade('--set', 'replicas=4')).toBe(made)
  })

  test('a release is installed into a namespace that helm makes', async () => {
    await helm('install', 'ring', CHART, '-n', '1234', '--create-namespace')
    const { items } = await server.ask<{ items: KubernetesObject[] }>(
      'GET',
      '/api/v1/namespaces/1234/secrets',
    )
    expect(items.map((item) => nameOf({ ...item, kind: 'Secret' }))).toContain(`Secret/${NAME}-keyring`)
    expect(await replicasIn('1234')).toBe(3)
  })
})

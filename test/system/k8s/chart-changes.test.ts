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
    await upgrade('--set', 'replicas=7')
    expect(await replicasIn(namespace)).toBe(7)
  })

  /** The gossip ports of the Service, and those of the container. */
  async function gossipPortsIn(namespace: string): Promise<unknown> {
    const path = `/api/v1/namespaces/${namespace}/services/${NAME}-gossip`
    const { spec } = await server.ask<{ spec: { ports: Port[] } }>('GET', path)
    const set = await server.ask<StatefulSet>('GET', setPath(namespace))
    const own = set.spec.template.spec.containers[0]?.ports ?? []
    return [
      spec.ports.map(({ name, port, protocol }) => `${name} ${port} ${protocol}`),
      own.map(({ name, containerPort, protocol }) => `${name} ${containerPort} ${protocol}`),
    ]
  }

  const portsWith = (gossip: number) => [
    [`gossip-tcp ${gossip} TCP`],
    ['http 8080 TCP', 'admin 8081 TCP', `gossip-tcp ${gossip} TCP`],
  ]

  test.each(WAYS)('the gossip port is changed, in the Service and in the Pods: %s', async (way) => {
    const namespace = `port-${way.slice(-4)}`.replaceAll(/[^a-z-]/g, '')
    await server.createNamespace(namespace)
    for (const port of [7946, 7950, 7946]) {
      const values = ['--set', `config.gossipPort=${port}`]
      await helm('upgrade', '--install', 'ring', CHART, way, '-n', namespace, ...values)
      expect(await gossipPortsIn(namespace)).toEqual(portsWith(port))
    }
  })

  test('kubectl apply changes the gossip port, from the two ports of the first version on', async () => {
    const namespace = 'applied'
    await server.createNamespace(namespace)
    const render = async (port: number): Promise<string> => {
      const values = `config.gossipPort=${port},keyring.existingSecret=mine`
      const args = ['template', 'ring', CHART, '-n', namespace, '--set', values]
      return (await server.helm([...args, '--api-versions', SEEN_CLUSTER])).stdout
    }
    const apply = async (text: string): Promise<void> => {
      const { code, stderr } = await server.kubectl(['apply', '-n', namespace, '-f', '-'], text)
      expect([code, stderr]).toEqual([0, ''])
    }
    const now = await render(7946)
    const before = now.replaceAll(/^( *)- name: gossip-tcp\n(?:\1 .*\n)*/gm, (tcp) => {
      const udp = tcp.replaceAll('gossip-tcp', 'gossip-udp').replace('protocol: TCP', 'protocol: UDP')
      return `${udp.replace(/ *appProtocol: tcp\n/, '')}${tcp}`
    })
    expect(before.match(/name: gossip-udp/g)).toHaveLength(2)
    for (const [text, port] of [
      [before, 0],
      [now, 7946],
      [await render(7950), 7950],
    ] as const) {
      await apply(text)
      if (port !== 0) expect(await gossipPortsIn(namespace)).toEqual(portsWith(port))
    }
  })

  test('rights in one namespace are enough to install, and to keep the key', async () => {
    const namespace = 'narrow'
    await server.createNamespace(namespace)
    const core = `/api/v1/namespaces/${namespace}`
    await server.ask('POST', `${core}/serviceaccounts`, { body: { metadata: { name: 'deployer' } } })
    // The rights that Kubernetes itself has a role for, bound in this namespace alone.
    await server.ask('POST', `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`, {
      body: {
        metadata: { name: 'deployer' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' },
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
    expect(await upgrade('--set', 'autoscaling.enabled=true')).toBe(made)
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

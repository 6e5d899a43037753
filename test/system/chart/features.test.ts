import { describe, expect, test } from 'vitest'
import { HASH_RINGS } from '../../../src/rings/hash-ring-resource.ts'
import {
  at,
  configurationOf,
  environmentOf,
  memberContainer,
  MEMBER_LABELS,
  NAMESPACE,
  objectsOfFile,
  objectsWith,
  only,
  RELEASE,
  workloadOf,
  type KubernetesObject,
} from '../../support/chart.ts'

describe('network policy', () => {
  test.each([
    [{}, []],
    [{ tracing: { enabled: true, endpoint: 'http://$(HOST_IP):4318' } }, [4318]],
    [{ tracing: { enabled: true, endpoint: 'https://traces.example.com/v1' } }, [443]],
    [{ tracing: { enabled: true, endpoint: 'http://[fd00::1]:4318/' } }, [4318]],
    [
      {
        config: {
          source: 'sidecar',
          sidecarService: 'a',
          sidecarServicePort: 1,
          sidecarUrl: 'http://s:7777/state.json',
        },
      },
      [7777],
    ],
    [{ config: { source: 'kubernetes', kubernetesService: 'a' } }, [443, 6443]],
    [{ seeds: { from: 'pods' } }, [443, 6443]],
  ])('the policy opens the ports of what %j names', async (values, expected) => {
    const rules = at(only(await objectsWith(values), 'NetworkPolicy'), 'spec.egress') as {
      ports: { port: number }[]
    }[]
    const ports = rules.flatMap((rule) => rule.ports.map(({ port }) => port))
    expect(ports.filter((port) => ![53, 5353, 7946].includes(port))).toEqual(expected)
  })

  test('restricts every port and what goes out', async () => {
    const objects = await objectsOfFile('hardened')
    const policy = only(objects, 'NetworkPolicy')
    const [gossip, lookUps, admin] = at(policy, 'spec.ingress') as Record<string, unknown>[]
    const own = { podSelector: { matchLabels: MEMBER_LABELS } }
    const tester = {
      podSelector: { matchLabels: { ...MEMBER_LABELS, 'app.kubernetes.io/component': 'test' } },
    }
    const namespace = (name: string) => ({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } },
    })
    expect(gossip?.['from']).toEqual([own])
    expect(lookUps?.['from']).toEqual([own, tester, namespace('apps')])
    expect(admin?.['from']).toEqual([namespace('monitoring')])
    expect(at(policy, 'spec.policyTypes')).toEqual(['Ingress', 'Egress'])
    const [dns, toGossip, extra] = at(policy, 'spec.egress') as Record<string, unknown>[]
    expect(dns).not.toHaveProperty('to')
    expect(toGossip?.['to']).toEqual([own])
    expect(extra?.['to']).toEqual([namespace('observability')])
    // The pod of `helm test` has the labels by which it is let in.
    expect(only(objects, 'Pod').metadata.labels).toMatchObject(tester.podSelector.matchLabels)
  })

  test('lets Go members gossip, both ways', async () => {
    const objects = await objectsOfFile('go-ringman')
    const go = { podSelector: { matchLabels: { app: 'go-ringman' } } }
    expect(at(only(objects, 'NetworkPolicy'), 'spec.ingress.0.from')).toEqual([
      { podSelector: { matchLabels: MEMBER_LABELS } },
      go,
    ])
    expect(environmentOf(memberContainer(workloadOf(objects)))['RINGMAN_SEEDS']).toBe(
      `dns:prod-ringman-gossip.$(POD_NAMESPACE).svc,dns:go-ringman.${NAMESPACE}.svc:7946`,
    )
  })
})

describe('what users add', () => {
  test('is in the pods, with templates filled in', async () => {
    const objects = await objectsOfFile('application-in-pod')
    const workload = workloadOf(objects)
    expect(workload['spec']).toMatchObject({
      updateStrategy: { rollingUpdate: { partition: 1 } },
      template: {
        metadata: {
          labels: { ...MEMBER_LABELS, app: 'sessions' },
          annotations: { 'example.com/release': RELEASE },
        },
        spec: {
          initContainers: [{ name: 'prepare' }],
          containers: [
            {
              name: 'ringman',
              args: ['serve', '--log-level=debug'],
              envFrom: [{ configMapRef: { name: 'ring-environment' } }],
              lifecycle: { preStop: { exec: { command: ['sleep', '5'] } } },
            },
            { name: 'application' },
          ],
          terminationGracePeriodSeconds: 60,
        },
      },
    })
    const mounts = memberContainer(workload)['volumeMounts'] as { mountPath: string }[]
    expect(mounts.at(-1)).toMatchObject({ name: 'work', mountPath: '/run/state' })
    expect(at(only(objects, 'ConfigMap', 'prod-ringman-extra'), 'data.release')).toBe(RELEASE)
    expect(at(only(objects, 'ConfigMap', 'prod-text'), 'data.pods')).toBe('3')
    expect(only(objects, 'Service', 'prod-ringman')['spec']).toMatchObject({
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
      ports: [{ port: 80, nodePort: 30_080 }],
    })
    // The policy lets the application be reached.
    const ports = at(only(objects, 'NetworkPolicy'), 'spec.ingress.1.ports') as { port: number }[]
    expect(ports.map(({ port }) => port)).toContain(3000)
  })

  test('schedules the pods', async () => {
    const pod = at(workloadOf(await objectsOfFile('hardened')), 'spec.template.spec')
    expect(pod).toMatchObject({
      priorityClassName: 'system-cluster-critical',
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ key: 'dedicated' }],
      imagePullSecrets: [{ name: 'registry' }],
      topologySpreadConstraints: [
        { whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: MEMBER_LABELS } },
      ],
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { labelSelector: { matchLabels: { 'app.kubernetes.io/instance': RELEASE } } },
          ],
        },
      },
    })
    expect(at(pod, 'volumes.1.secret.secretName')).toBe('prod-keys')
  })

  test('is in every object, where it is meant for all', async () => {
    const objects = await objectsOfFile('names')
    for (const { kind, metadata } of objects) {
      expect(metadata.namespace, kind).toBe('rings')
      expect(metadata.labels, kind).toMatchObject({ 'cost-center': '42' })
      expect(metadata.annotations, kind).toMatchObject({ 'example.com/owner': 'platform' })
    }
    expect(at(workloadOf(objects), 'spec.template.spec.serviceAccountName')).toBe('shared')
    expect(objects.map(({ kind }) => kind)).not.toContain('ServiceAccount')
  })

  test('can be as little as the ring', async () => {
    const objects = await objectsOfFile('bare')
    expect(objects.map(({ kind }) => kind).sort()).toEqual([
      'ConfigMap',
      'Secret',
      'Service',
      'Service',
      'StatefulSet',
    ])
    const container = memberContainer(workloadOf(objects))
    expect(container).not.toHaveProperty('lifecycle')
    expect(container).not.toHaveProperty('resources')
    expect(container).not.toHaveProperty('startupProbe')
    expect(environmentOf(container)).not.toHaveProperty('RINGMAN_ZONE')
    expect(at(workloadOf(objects), 'spec.template.spec.serviceAccountName')).toBe('default')
  })

  test('is on the network of the node, with its DNS', async () => {
    const objects = await objectsOfFile('host-network')
    expect(at(workloadOf(objects), 'spec.template.spec')).toMatchObject({
      hostNetwork: true,
      dnsPolicy: 'ClusterFirstWithHostNet',
    })
  })

  test('has the families of addresses that were asked for', async () => {
    for (const service of (await objectsOfFile('ipv6')).filter(({ kind }) => kind === 'Service')) {
      expect(service['spec']).toMatchObject({
        ipFamilyPolicy: 'PreferDualStack',
        ipFamilies: ['IPv6', 'IPv4'],
      })
    }
  })
})

describe('access to the API server', () => {
  test('a Service elsewhere is watched by a Role there', async () => {
    const objects = await objectsOfFile('kubernetes-source')
    const role = only(objects, 'Role')
    expect(role.metadata.namespace).toBe('apps')
    expect(role['rules']).toEqual([
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ])
    expect(only(objects, 'RoleBinding').metadata.namespace).toBe('apps')
    expect(at(workloadOf(objects), 'spec.template.spec.automountServiceAccountToken')).toBe(true)
    expect(JSON.stringify(at(only(objects, 'NetworkPolicy'), 'spec.egress'))).toContain('6443')
  })

  test('pods as seeds, and the check, need to see pods', async () => {
    const objects = await objectsOfFile('kubernetes-seeds')
    expect(only(objects, 'Role')['rules']).toEqual([
      { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
    ])
    expect(environmentOf(memberContainer(workloadOf(objects)))).toMatchObject({
      RINGMAN_SEEDS: 'pods:',
      RINGMAN_KUBERNETES_POD_SELECTOR:
        'app.kubernetes.io/component=member,app.kubernetes.io/instance=prod,app.kubernetes.io/name=ringman',
    })
    for (const values of [
      { seeds: { from: 'pods' } },
      { config: { kubernetesCheck: true } },
      { seeds: { extra: ['pods:7946'] } },
      { config: { seeds: ['pods:'] } },
    ]) {
      expect(only(await objectsWith(values), 'Role')['rules'], JSON.stringify(values)).toHaveLength(1)
    }
  })

  test('is not given where a kubeconfig is, nor a Role where you make it', async () => {
    const withFile = await objectsWith({
      config: { kubernetesCheck: true, kubernetesKubeconfig: '/kube/config' },
    })
    expect(withFile.map(({ kind }) => kind)).not.toContain('Role')
    expect(at(workloadOf(withFile), 'spec.template.spec.automountServiceAccountToken')).toBe(false)
    const own = await objectsWith({ config: { kubernetesCheck: true }, rbac: { create: false } })
    expect(own.map(({ kind }) => kind)).not.toContain('Role')
    expect(at(workloadOf(own), 'spec.template.spec.automountServiceAccountToken')).toBe(true)
  })
})

describe('rings of HashRings', () => {
  const WATCHED = [
    { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    { apiGroups: ['ringman.dev'], resources: ['hashrings'], verbs: ['list', 'watch'] },
    { apiGroups: ['ringman.dev'], resources: ['hashrings/status'], verbs: ['patch'] },
    { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create'] },
  ]
  const rolesOf = (objects: readonly KubernetesObject[]) =>
    objects.filter(({ kind, metadata }) => kind.endsWith('Role') && metadata.name.endsWith(':rings'))

  test('of all namespaces take a ClusterRole, published ones the right to write ConfigMaps', async () => {
    const objects = await objectsOfFile('rings')
    const [role, ...others] = rolesOf(objects)
    expect(others).toEqual([])
    expect(role).toMatchObject({
      kind: 'ClusterRole',
      metadata: { name: 'prod-ringman:rings-ns:rings' },
      rules: [...WATCHED, { apiGroups: [''], resources: ['configmaps'], verbs: ['create', 'patch'] }],
    })
    expect(configurationOf(objects)).toMatchObject({
      hashRings: true,
      hashRingPublish: true,
      hashRingInstallation: 'rings-ns/prod-ringman',
    })
    expect(configurationOf(objects)).not.toHaveProperty('hashRingNamespaces')
  })

  test('of some namespaces take a Role in each, and no definition where another release has it', async () => {
    const objects = await objectsOfFile('rings-of-namespaces')
    expect(rolesOf(objects).map(({ kind, metadata, rules }) => [kind, metadata.namespace, rules])).toEqual([
      ['Role', 'shop', WATCHED],
      ['Role', 'search', WATCHED],
    ])
    expect(configurationOf(objects)).toMatchObject({
      hashRings: true,
      hashRingNamespaces: ['shop', 'search'],
    })
    expect(configurationOf(objects)).not.toHaveProperty('hashRingPublish')
    expect(objects.filter(({ metadata }) => metadata.name.startsWith('hashrings.'))).toEqual([])
  })

  test('are defined with the release, and kept after it unless that is not wanted', async () => {
    const kept = only(await objectsOfFile('rings'), 'CustomResourceDefinition')
    expect(kept.metadata.annotations).toEqual({ 'helm.sh/resource-policy': 'keep' })
    expect(kept.metadata.name).toBe(`${HASH_RINGS.plural}.${HASH_RINGS.group}`)
    expect(kept['spec']).toMatchObject({
      group: HASH_RINGS.group,
      names: { kind: 'HashRing', plural: HASH_RINGS.plural, shortNames: ['hring'] },
      versions: [{ name: HASH_RINGS.version, served: true, storage: true, subresources: { status: {} } }],
    })
    const gone = only(
      await objectsWith({ rings: { enabled: true }, crds: { keep: false } }),
      'CustomResourceDefinition',
    )
    expect(gone.metadata).not.toHaveProperty('annotations')
  })

  test('may be made by those who may edit, and seen by those who may view', async () => {
    const objects = await objectsOfFile('rings')
    const [edit, view] = ['edit', 'view'].map((name) =>
      only(objects, 'ClusterRole', `hashrings.ringman.dev:${name}`),
    )
    const prefix = 'rbac.authorization.k8s.io/aggregate-to-'
    expect(edit?.metadata.labels).toMatchObject({ [`${prefix}edit`]: 'true' })
    expect(view?.metadata.labels).toMatchObject({ [`${prefix}view`]: 'true' })
    for (const role of [edit, view]) {
      expect(JSON.stringify(role?.['rules'])).toContain('"resources":["hashrings"]')
    }
  })

  test('get the memory that they need, unless another limit is set', async () => {
    const limitWith = async (values: Readonly<Record<string, unknown>>) =>
      at(memberContainer(workloadOf(await objectsWith(values))), 'resources.limits.memory')
    const rings = { enabled: true }
    expect(await limitWith({})).toBe('320Mi')
    expect(await limitWith({ rings })).toBe('512Mi')
    expect(await limitWith({ rings, resources: { limits: { memory: '1Gi' } } })).toBe('1Gi')
    expect(await limitWith({ rings, resources: { limits: null } })).toBeUndefined()
  })

  test('are asked for among the members, through the policy', async () => {
    const rules = at(only(await objectsOfFile('rings'), 'NetworkPolicy'), 'spec.egress')
    expect(rules).toContainEqual({
      to: [{ podSelector: { matchLabels: MEMBER_LABELS } }],
      ports: [{ port: 8080, protocol: 'TCP' }],
    })
    expect(rules).toContainEqual({
      ports: [
        { port: 443, protocol: 'TCP' },
        { port: 6443, protocol: 'TCP' },
      ],
    })
  })

  test('need no Role where a kubeconfig is, nor where you make it', async () => {
    const withFile = await objectsWith({
      rings: { enabled: true },
      config: { kubernetesKubeconfig: '/kube/config' },
    })
    expect(rolesOf(withFile)).toEqual([])
    const own = await objectsWith({ rings: { enabled: true }, rbac: { create: false } })
    expect(own.filter(({ kind }) => kind.includes('Role'))).toEqual([])
    expect(at(workloadOf(own), 'spec.template.spec.automountServiceAccountToken')).toBe(true)
  })
})

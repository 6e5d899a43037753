import { beforeAll, describe, expect, test } from 'vitest'
import {
  at,
  configurationOf,
  environmentOf,
  kindsOf,
  memberContainer,
  MEMBER_LABELS,
  NAMESPACE,
  objectsWith,
  only,
  workloadOf,
  type KubernetesObject,
} from '../../support/chart.ts'

describe('with no values at all', () => {
  let objects: readonly KubernetesObject[]
  let workload: KubernetesObject
  beforeAll(async () => {
    objects = await objectsWith({ dashboards: { enabled: false } })
    workload = workloadOf(objects)
  })

  test('makes what a ring needs, and nothing that needs rights or other software', () => {
    expect(kindsOf(objects)).toEqual([
      'ConfigMap',
      'NetworkPolicy',
      'Pod',
      'PodDisruptionBudget',
      'Secret',
      'Service',
      'Service',
      'ServiceAccount',
      'StatefulSet',
    ])
    for (const { metadata } of objects) expect(metadata.namespace).toBe(NAMESPACE)
  })

  test('is a StatefulSet whose pods start together and are replaced one after the other', () => {
    expect(workload).toMatchObject({
      kind: 'StatefulSet',
      spec: {
        replicas: 3,
        serviceName: 'prod-ringman-gossip',
        podManagementPolicy: 'Parallel',
        minReadySeconds: 10,
        updateStrategy: { type: 'RollingUpdate' },
        selector: { matchLabels: MEMBER_LABELS },
        template: { metadata: { labels: MEMBER_LABELS } },
      },
    })
  })

  test('gossips under its namespace and release, by name, encrypted, through the headless Service', () => {
    expect(environmentOf(memberContainer(workload))).toEqual({
      POD_NAME: { from: 'metadata.name' },
      POD_NAMESPACE: { from: 'metadata.namespace' },
      POD_IP: { from: 'status.podIP' },
      HOST_IP: { from: 'status.hostIP' },
      NODE_NAME: { from: 'spec.nodeName' },
      RINGMAN_CONFIG: '/etc/ringman/config/ringman.yaml',
      RINGMAN_NAME: '$(POD_NAME)',
      RINGMAN_BIND: '$(POD_IP)',
      RINGMAN_ADVERTISE: '$(POD_IP)',
      RINGMAN_ZONE: { from: "metadata.labels['topology.kubernetes.io/zone']" },
      RINGMAN_SEEDS: 'dns:prod-ringman-gossip.$(POD_NAMESPACE).svc',
      RINGMAN_LABEL: '$(POD_NAMESPACE)/prod',
    })
    expect(configurationOf(objects)).toEqual({
      source: 'memberlist',
      ringKey: 'name',
      minMembers: 2,
      drain: '5s',
      logFormat: 'json',
      keyringFile: '/etc/ringman/keyring/keyring',
    })
  })

  test('makes variables before those that use them', () => {
    const env = memberContainer(workload)['env'] as { name: string; value?: string }[]
    for (const [place, { value }] of env.entries()) {
      for (const [, used] of (value ?? '').matchAll(/\$\((\w+)\)/g)) {
        const definedAt = env.findIndex(({ name }) => name === used)
        expect(definedAt, used).toBeGreaterThanOrEqual(0)
        expect(definedAt, used).toBeLessThan(place)
      }
    }
  })

  test('has Services for look-ups and for gossip, and none for the admin port', () => {
    expect(only(objects, 'Service', 'prod-ringman')).toMatchObject({
      spec: {
        type: 'ClusterIP',
        selector: MEMBER_LABELS,
        ports: [{ name: 'http', port: 8080, targetPort: 'http', appProtocol: 'http' }],
      },
    })
    expect(only(objects, 'Service', 'prod-ringman-gossip')).toMatchObject({
      spec: {
        clusterIP: 'None',
        publishNotReadyAddresses: true,
        selector: MEMBER_LABELS,
        ports: [{ name: 'http', port: 8080, targetPort: 'http', protocol: 'TCP', appProtocol: 'http' }],
      },
    })
    const served = objects
      .filter(({ kind }) => kind === 'Service')
      .flatMap((service) => at(service, 'spec.ports'))
    expect(served.map((port) => at(port, 'targetPort'))).not.toContain('admin')
    expect(memberContainer(workload)['ports']).toEqual([
      { name: 'http', containerPort: 8080, protocol: 'TCP' },
      { name: 'admin', containerPort: 8081, protocol: 'TCP' },
    ])
  })

  test('probes the admin port, and gives a pod the time to leave', () => {
    const container = memberContainer(workload)
    expect(container).toMatchObject({
      startupProbe: { httpGet: { path: '/livez', port: 'admin' }, failureThreshold: 60 },
      readinessProbe: { httpGet: { path: '/readyz', port: 'admin' } },
      livenessProbe: { httpGet: { path: '/livez', port: 'admin' } },
      lifecycle: { preStop: { sleep: { seconds: 3 } } },
      args: ['serve'],
    })
    // 3 s of sleep, 5 to leave, 5 of drain, 5 to close.
    expect(at(workload, 'spec.template.spec.terminationGracePeriodSeconds')).toBe(18)
  })

  test('has no token, no links to Services, and the keyring where the group of the pod reads it', () => {
    expect(at(workload, 'spec.template.spec')).toMatchObject({
      serviceAccountName: 'prod-ringman',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { fsGroup: 65_532 },
      volumes: [
        { name: 'config', configMap: { name: 'prod-ringman' } },
        {
          name: 'keyring',
          secret: {
            secretName: 'prod-ringman-keyring',
            defaultMode: 0o440,
            items: [{ key: 'keyring', path: 'keyring' }],
          },
        },
      ],
    })
    const mounts = memberContainer(workload)['volumeMounts'] as Readonly<Record<string, unknown>>[]
    expect(mounts.map(({ mountPath }) => mountPath)).toEqual(['/etc/ringman/config', '/etc/ringman/keyring'])
    for (const mount of mounts) expect(mount).not.toHaveProperty('subPath')
    expect(only(objects, 'ServiceAccount')).toMatchObject({ automountServiceAccountToken: false })
  })

  test('makes a key of 32 bytes, another one for each rendering', async () => {
    const keyOf = (all: readonly KubernetesObject[]) =>
      Buffer.from(String(at(only(all, 'Secret'), 'data.keyring')), 'base64').toString('latin1')
    const key = keyOf(objects)
    expect(Buffer.from(key.trim(), 'base64')).toHaveLength(32)
    expect(keyOf(await objectsWith({}))).not.toBe(key)
  })

  test('lets one pod go at a time, and spreads them', () => {
    expect(only(objects, 'PodDisruptionBudget')).toMatchObject({
      spec: {
        maxUnavailable: 1,
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
        selector: { matchLabels: MEMBER_LABELS },
      },
    })
    expect(at(workload, 'spec.template.spec.topologySpreadConstraints')).toEqual(
      ['topology.kubernetes.io/zone', 'kubernetes.io/hostname'].map((topologyKey) => ({
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: MEMBER_LABELS },
      })),
    )
  })

  test('lets its own pods gossip, everybody look up keys, and nothing else in or out but DNS', () => {
    const own = [{ podSelector: { matchLabels: MEMBER_LABELS } }]
    const gossip = [
      { port: 7946, protocol: 'UDP' },
      { port: 7946, protocol: 'TCP' },
    ]
    expect(at(only(objects, 'NetworkPolicy'), 'spec')).toEqual({
      podSelector: { matchLabels: MEMBER_LABELS },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [
        { from: own, ports: gossip },
        {
          ports: [
            { port: 8080, protocol: 'TCP' },
            { port: 8000, protocol: 'TCP' },
          ],
        },
      ],
      egress: [
        {
          ports: [53, 5353].flatMap((port) => ['UDP', 'TCP'].map((protocol) => ({ port, protocol }))),
        },
        { to: own, ports: gossip },
      ],
    })
  })

  test('has a test that asks every pod, and that no Service takes for a member', () => {
    const pod = only(objects, 'Pod')
    expect(pod.metadata.annotations).toMatchObject({ 'helm.sh/hook': 'test' })
    expect(at(pod, 'spec.containers.0.args')).toEqual([
      'agree',
      `dns:prod-ringman-gossip.${NAMESPACE}.svc:8080`,
      '--expect=3',
      '--keys=1000',
      '--wait=60s',
    ])
    expect(pod.metadata.labels?.['app.kubernetes.io/component']).toBe('test')
  })
})

import { describe, expect, test } from 'vitest'
import {
  at,
  configurationOf,
  environmentOf,
  kindsOf,
  memberContainer,
  MEMBER_LABELS,
  objectsWith,
  only,
  renderChart,
  tryRender,
  workloadOf,
  type KubernetesObject,
} from '../../support/chart.ts'

describe('sources', () => {
  test('swim has neither label nor keyring, and gossips over UDP alone', async () => {
    const objects = await objectsWith({ config: { source: 'swim' } })
    expect(kindsOf(objects)).not.toContain('Secret')
    expect(configurationOf(objects)).not.toHaveProperty('keyringFile')
    const container = memberContainer(workloadOf(objects))
    expect(environmentOf(container)).not.toHaveProperty('RINGMAN_LABEL')
    expect(at(only(objects, 'NetworkPolicy'), 'spec.ingress.0.ports')).toEqual([
      { port: 7946, protocol: 'UDP' },
    ])
  })

  test.each([
    { source: 'static', staticMembers: ['a:8000', 'b:8000=2'] },
    {
      source: 'sidecar',
      sidecarService: 'svc',
      sidecarServicePort: 9999,
      sidecarUrl: 'http://sidecar:7777/state',
    },
  ])('$source does not gossip', async (config) => {
    const objects = await objectsWith({ config })
    const container = memberContainer(workloadOf(objects))
    const names = Object.keys(environmentOf(container))
    expect(names.filter((name) => name.startsWith('RINGMAN_'))).toEqual(['RINGMAN_CONFIG', 'RINGMAN_NAME'])
    expect(configurationOf(objects)).toMatchObject(config)
    expect(configurationOf(objects)).not.toHaveProperty('minMembers')
    expect(at(only(objects, 'NetworkPolicy'), 'spec.ingress')).toHaveLength(1)
  })

  test('sidecar hashes addresses, as Sidecar has no names of members', async () => {
    const config = { source: 'sidecar', sidecarService: 'svc', sidecarServicePort: 9999 }
    expect(configurationOf(await objectsWith({ config }))).toMatchObject({ ringKey: 'address' })
  })
})

describe('config', () => {
  test('wins over what the chart makes', async () => {
    const objects = await objectsWith({
      config: {
        name: 'x',
        bind: '0.0.0.0',
        advertise: '10.0.0.1',
        zone: 'a',
        seeds: 'h:1',
        label: '{{ .Release.Name }}-blue',
        keyringFile: '/elsewhere',
        minMembers: 3,
        ringKey: 'address',
        logFormat: 'pretty',
      },
    })
    expect(configurationOf(objects)).toMatchObject({
      name: 'x',
      bind: '0.0.0.0',
      advertise: '10.0.0.1',
      zone: 'a',
      seeds: 'h:1',
      label: 'prod-blue',
      keyringFile: '/elsewhere',
      minMembers: 3,
      ringKey: 'address',
      logFormat: 'pretty',
    })
    const names = Object.keys(environmentOf(memberContainer(workloadOf(objects))))
    expect(names.filter((name) => name.startsWith('RINGMAN_'))).toEqual(['RINGMAN_CONFIG'])
    expect(kindsOf(objects)).not.toContain('Secret')
  })

  test('leaves the label to a file that the configuration names', async () => {
    const labelFile = '/etc/ringman/labels/labels.json'
    const objects = await objectsWith({
      config: { labelFile },
      extraVolumes: [{ name: 'labels', configMap: { name: 'ringman-labels' } }],
      extraVolumeMounts: [{ name: 'labels', mountPath: '/etc/ringman/labels', readOnly: true }],
    })
    expect(configurationOf(objects)).toMatchObject({ labelFile })
    expect(environmentOf(memberContainer(workloadOf(objects)))).not.toHaveProperty('RINGMAN_LABEL')
  })

  test('switches the label off with an empty text, and leaves a key without value alone', async () => {
    const objects = await objectsWith({ config: { label: '', minMembers: null } })
    expect(configurationOf(objects)).not.toHaveProperty('label')
    expect(configurationOf(objects)).toMatchObject({ minMembers: 2 })
    expect(environmentOf(memberContainer(workloadOf(objects)))).not.toHaveProperty('RINGMAN_LABEL')
  })

  test('moves ports everywhere', async () => {
    const objects = await objectsWith({
      config: { httpPort: 9080, adminPort: 9081, gossipPort: 9946, servicePort: 3000 },
      metrics: { annotations: true },
      networkPolicy: { admin: { from: [{ namespaceSelector: {} }] } },
    })
    const text = JSON.stringify(objects)
    expect(text).not.toMatch(/\b(8080|8081|7946|8000)\b(?<!"port":8080)/)
    expect(at(only(objects, 'Service', 'prod-ringman'), 'spec.ports.0')).toMatchObject({
      port: 8080,
      targetPort: 'http',
    })
    expect(at(workloadOf(objects), 'spec.template.metadata.annotations')).toMatchObject({
      'prometheus.io/scrape': 'true',
      'prometheus.io/port': '9081',
      'prometheus.io/path': '/metrics',
    })
  })

  test('rolls the pods when it changes, and not for a new chart version', async () => {
    const templateOf = async (values: Readonly<Record<string, unknown>>) =>
      at(workloadOf(await objectsWith(values)), 'spec.template')
    const before = await templateOf({})
    expect(await templateOf({ config: { maxKey: '1KiB' } })).not.toEqual(before)
    expect(JSON.stringify(before)).not.toContain('helm.sh/chart')
  })

  test.each([
    ['500ms', 14],
    ['1.5s', 15],
    ['2m', 133],
    [0, 13],
  ])('fits the grace period to a drain of %s', async (drain, seconds) => {
    const workload = workloadOf(await objectsWith({ config: { drain } }))
    expect(at(workload, 'spec.template.spec.terminationGracePeriodSeconds')).toBe(seconds)
  })
})

describe('keyring', () => {
  test('comes from a Secret that exists, and none is made', async () => {
    const objects = await objectsWith({ keyring: { existingSecret: 'mine', secretKey: 'keys.txt' } })
    expect(kindsOf(objects)).not.toContain('Secret')
    expect(configurationOf(objects)).toMatchObject({ keyringFile: '/etc/ringman/keyring/keys.txt' })
    const volumes = at(workloadOf(objects), 'spec.template.spec.volumes') as object[]
    expect(volumes[1]).toMatchObject({
      secret: { secretName: 'mine', items: [{ key: 'keys.txt', path: 'keys.txt' }] },
    })
  })

  test('takes keys from values, in their order', async () => {
    const keys = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64'))
    const data = at(only(await objectsWith({ keyring: { keys } }), 'Secret'), 'data.keyring')
    expect(Buffer.from(String(data), 'base64').toString()).toBe(`${keys.join('\n')}\n`)
  })

  test.each([
    ['helm template', []],
    // Argo CD names what it can watch.
    ['Argo CD', ['v1', 'v1/Secret', 'apps/v1/StatefulSet', 'authorization.k8s.io/v1']],
  ])('is not made up by %s, which does not see the cluster', async (_, apiVersions) => {
    const { code, stderr } = await tryRender({ apiVersions })
    expect(code).toBe(1)
    expect(stderr).toContain('name it in keyring.existingSecret, or give keyring.keys')
    const keys = [Buffer.alloc(32).toString('base64')]
    for (const keyring of [{ existingSecret: 'mine' }, { keys }, { enabled: false }])
      expect((await tryRender({ apiVersions, values: { keyring } })).code).toBe(0)
  })

  test('is not made, and no pod rolls for a change of it, where it is off', async () => {
    const objects = await objectsWith({ keyring: { enabled: false } })
    expect(kindsOf(objects)).not.toContain('Secret')
    expect(JSON.stringify(workloadOf(objects))).not.toContain('keyring')
  })
})

describe('workload', () => {
  test('as a Deployment starts a new pod before an old one ends', async () => {
    const objects = await objectsWith({ kind: 'Deployment' })
    const workload = workloadOf(objects)
    expect(workload).toMatchObject({
      kind: 'Deployment',
      spec: {
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        minReadySeconds: 10,
        selector: { matchLabels: MEMBER_LABELS },
      },
    })
    for (const field of ['serviceName', 'podManagementPolicy', 'updateStrategy']) {
      expect(workload['spec']).not.toHaveProperty(field)
    }
  })

  test('leaves the number of pods to an autoscaler', async () => {
    const values = { autoscaling: { enabled: true, minReplicas: 4 }, keyring: { existingSecret: 'mine' } }
    const { objects } = await renderChart({ values, apiVersions: [] })
    expect(workloadOf(objects)['spec']).not.toHaveProperty('replicas')
    expect(only(objects, 'HorizontalPodAutoscaler')).toMatchObject({
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'prod-ringman' },
        minReplicas: 4,
        maxReplicas: 10,
        metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { averageUtilization: 80 } } }],
      },
    })
    expect(configurationOf(objects)).toMatchObject({ minMembers: 3 })
    expect(at(only(objects, 'Pod'), 'spec.containers.0.args')).toContain('--expect=4')
  })

  test('replaces a variable in place of having it twice', async () => {
    const objects = await objectsWith({ extraEnv: [{ name: 'RINGMAN_ZONE', value: '{{ .Release.Name }}' }] })
    const env = memberContainer(workloadOf(objects))['env'] as { name: string; value?: string }[]
    expect(env.filter(({ name }) => name === 'RINGMAN_ZONE')).toEqual([
      { name: 'RINGMAN_ZONE', value: 'prod' },
    ])
  })

  test.each([
    [{}, 'ringman:0.1.0'],
    [{ image: { registry: 'ghcr.io', repository: 'a/b', tag: 'x' } }, 'ghcr.io/a/b:x'],
    [{ image: { tag: 'x', digest: `sha256:${'a'.repeat(64)}` } }, `ringman@sha256:${'a'.repeat(64)}`],
    [
      { image: { registry: 'ghcr.io' }, global: { imageRegistry: 'mirror:5000/' } },
      'mirror:5000/ringman:0.1.0',
    ],
  ])('takes the image of %j', async (values, expected) => {
    const objects = await objectsWith(values)
    expect(memberContainer(workloadOf(objects))['image']).toBe(expected)
    expect(at(only(objects, 'Pod'), 'spec.containers.0.image')).toBe(expected)
  })

  test('takes pull secrets of both kinds once', async () => {
    const objects = await objectsWith({
      image: { pullSecrets: ['a'] },
      global: { imagePullSecrets: ['b', { name: 'a' }, { name: 'c' }] },
    })
    expect(at(workloadOf(objects), 'spec.template.spec.imagePullSecrets')).toEqual([
      { name: 'a' },
      { name: 'b' },
      { name: 'c' },
    ])
  })
})

describe('names', () => {
  test.each([
    ['ringman', {}, 'ringman'],
    ['eu-ringman-1', {}, 'eu-ringman-1'],
    ['v1.prod', {}, 'v1-prod-ringman'],
    ['prod', { nameOverride: 'owners' }, 'prod-owners'],
    ['prod', { fullnameOverride: 'owners' }, 'owners'],
    ['a'.repeat(53), {}, 'a'.repeat(52)],
  ])('of the release %s with %j are %s', async (release, values, expected) => {
    const { objects } = await renderChart({ release, values })
    expect(workloadOf(objects).metadata.name).toBe(expected)
    for (const { metadata } of objects) {
      expect(metadata.name.length).toBeLessThanOrEqual(63)
      expect(metadata.name.startsWith(expected)).toBe(true)
    }
  })

  test('keep two of these charts in one release apart', async () => {
    const [one, two] = await Promise.all(
      ['ringman', 'sessions'].map(
        async (nameOverride) => (await renderChart({ values: { nameOverride } })).objects,
      ),
    )
    const labelOf = (objects: readonly KubernetesObject[] | undefined) =>
      environmentOf(memberContainer(workloadOf(objects ?? [])))['RINGMAN_LABEL']
    expect(labelOf(one)).toBe('$(POD_NAMESPACE)/prod')
    expect(labelOf(two)).toBe('$(POD_NAMESPACE)/prod/sessions')
    const namesOf = (objects: readonly KubernetesObject[] | undefined) =>
      objects?.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
    expect(namesOf(one)?.filter((name) => namesOf(two)?.includes(name))).toEqual([])
  })
})

import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  at,
  CHART_FOLDER,
  environmentOf,
  memberContainer,
  NAMESPACE,
  only,
  RELEASE,
  renderChart,
  tryRender,
  workloadOf,
  type KubernetesObject,
} from '../../support/chart.ts'

type Objects = readonly KubernetesObject[]

async function objectsOf(values: Readonly<Record<string, unknown>>): Promise<Objects> {
  return (await renderChart({ values })).objects
}

async function objectsOfFile(name: string): Promise<Objects> {
  return (await renderChart({ valuesFiles: [join(CHART_FOLDER, 'ci', `${name}-values.yaml`)] })).objects
}

const MEMBERS = {
  'app.kubernetes.io/name': 'ringman',
  'app.kubernetes.io/instance': RELEASE,
  'app.kubernetes.io/component': 'member',
}
const RELEASE_RULE = {
  sourceLabels: ['__meta_kubernetes_pod_label_app_kubernetes_io_instance'],
  targetLabel: 'release',
}

describe('metrics', () => {
  test('a PodMonitor scrapes the admin port, from another namespace too', async () => {
    const monitor = only(await objectsOfFile('pod-monitor'), 'PodMonitor')
    expect(monitor.metadata).toMatchObject({
      namespace: 'monitoring',
      labels: { release: 'kube-prometheus-stack' },
    })
    expect(monitor['spec']).toMatchObject({
      jobLabel: 'app.kubernetes.io/name',
      namespaceSelector: { matchNames: [NAMESPACE] },
      selector: { matchLabels: MEMBERS },
      podMetricsEndpoints: [
        {
          port: 'admin',
          path: '/metrics',
          interval: '15s',
          scrapeTimeout: '10s',
          relabelings: [RELEASE_RULE, { targetLabel: 'node' }],
          metricRelabelings: [{ action: 'drop' }],
        },
      ],
    })
  })

  test('tells two rings of one release apart', async () => {
    const metrics = { podMonitor: { enabled: true } }
    const monitor = only(await objectsOf({ nameOverride: 'sessions', metrics }), 'PodMonitor')
    expect(at(monitor, 'spec.podMetricsEndpoints.0.relabelings')).toEqual([
      { ...RELEASE_RULE, replacement: '$1/sessions' },
    ])
  })

  test('a ServiceMonitor finds its own Service, and no other one of the chart', async () => {
    const objects = await objectsOfFile('service-monitor')
    const monitor = only(objects, 'ServiceMonitor')
    const wanted = Object.entries(at(monitor, 'spec.selector.matchLabels') as Record<string, string>)
    const found = objects.filter(
      ({ kind, metadata }) =>
        kind === 'Service' && wanted.every(([key, value]) => metadata.labels?.[key] === value),
    )
    expect(found.map(({ metadata }) => metadata.name)).toEqual(['prod-ringman-metrics'])
    expect(found[0]).toMatchObject({
      spec: {
        clusterIP: 'None',
        publishNotReadyAddresses: true,
        selector: MEMBERS,
        ports: [{ name: 'admin', port: 8081, targetPort: 'admin' }],
      },
    })
    expect(at(monitor, 'spec.endpoints.0')).toMatchObject({
      port: 'admin',
      path: '/metrics',
      relabelings: [RELEASE_RULE],
    })
    expect(monitor['spec']).not.toHaveProperty('namespaceSelector')
  })
})

describe('traces', () => {
  test('are told to the process by the variables of OpenTelemetry', async () => {
    const environment = environmentOf(memberContainer(workloadOf(await objectsOfFile('tracing'))))
    expect(environment).toMatchObject({
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://$(HOST_IP):4318',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
      OTEL_SERVICE_NAME: 'prod-ringman',
      OTEL_RESOURCE_ATTRIBUTES:
        'k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME),k8s.node.name=$(NODE_NAME),' +
        'deployment.environment.name=staging,team=rings%20and%20things',
      OTEL_EXPORTER_OTLP_HEADERS: { from: { name: 'collector-headers', key: 'headers' } },
    })
  })

  test('are off by default, and need no ratio with other samplers', async () => {
    expect(JSON.stringify(await objectsOf({}))).not.toContain('OTEL_')
    const tracing = { enabled: true, endpoint: 'http://c:4318', sampler: 'always_on' }
    const environment = environmentOf(memberContainer(workloadOf(await objectsOf({ tracing }))))
    expect(environment).not.toHaveProperty('OTEL_TRACES_SAMPLER_ARG')
  })
})

describe('network policy', () => {
  test('restricts every port and what goes out', async () => {
    const objects = await objectsOfFile('hardened')
    const policy = only(objects, 'NetworkPolicy')
    const [gossip, lookUps, admin] = at(policy, 'spec.ingress') as Record<string, unknown>[]
    const own = { podSelector: { matchLabels: MEMBERS } }
    const tester = { podSelector: { matchLabels: { ...MEMBERS, 'app.kubernetes.io/component': 'test' } } }
    const namespace = (name: string) => ({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } },
    })
    expect(gossip?.['from']).toEqual([own])
    expect(lookUps?.['from']).toEqual([own, tester, namespace('apps')])
    expect(admin?.['from']).toEqual([namespace('monitoring')])
    expect(at(policy, 'spec.policyTypes')).toEqual(['Ingress', 'Egress'])
    const [dns, toGossip, extra] = at(policy, 'spec.egress') as Record<string, unknown>[]
    expect(dns).toEqual({
      ports: [
        { port: 53, protocol: 'UDP' },
        { port: 53, protocol: 'TCP' },
      ],
    })
    expect(toGossip?.['to']).toEqual([own])
    expect(extra?.['to']).toEqual([namespace('observability')])
    // The pod of `helm test` has the labels by which it is let in.
    expect(only(objects, 'Pod').metadata.labels).toMatchObject(tester.podSelector.matchLabels)
  })

  test('lets Go members gossip, both ways', async () => {
    const objects = await objectsOfFile('go-ringman')
    const go = { podSelector: { matchLabels: { app: 'go-ringman' } } }
    expect(at(only(objects, 'NetworkPolicy'), 'spec.ingress.0.from')).toEqual([
      { podSelector: { matchLabels: MEMBERS } },
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
          labels: { ...MEMBERS, app: 'sessions' },
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
    expect(mounts.at(-1)).toMatchObject({ name: 'work', mountPath: '/work' })
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
        { whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: MEMBERS } },
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

/** The chart with rules and dashboards of the test's own, so that what becomes of them does not hang on the real ones. */
describe('rules and dashboards', () => {
  let chart: string
  const DASHBOARD = '{"title":"Rings","panels":[{"legendFormat":"{{pod}} of {{ namespace }}"}]}'
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ringman-chart-'))
    chart = join(folder, 'ringman')
    await cp(CHART_FOLDER, chart, { recursive: true })
    await rm(join(chart, 'files/dashboards'), { recursive: true, force: true })
    await mkdir(join(chart, 'files/dashboards'))
    await writeFile(join(chart, 'files/dashboards/ringman-overview.json'), DASHBOARD)
    await writeFile(
      join(chart, 'files/rules.yaml'),
      `groups:
  - name: ringman
    interval: 30s
    rules:
      - record: ringman:nodes:max
        expr: max by (release) (ringman_ring_nodes)
      - alert: RingmanSplit
        expr: count(x) > 1
        for: 2m
        labels: { severity: critical }
        annotations: { summary: 'Rings of {{ $labels.release }} differ', runbook_url: docs/split.md }
      - alert: RingmanAlone
        expr: y == 1
        for: 5m
        labels: { severity: warning }
  - name: other
    rules:
      - alert: RingmanOther
        expr: z
`,
    )
  })
  afterAll(async () => {
    await rm(join(chart, '..'), { recursive: true, force: true })
  })

  test('a dashboard is a ConfigMap that Grafana finds, with its text as it is', async () => {
    const { objects } = await renderChart({
      chart,
      values: { dashboards: { annotations: { grafana_folder: 'Rings' }, namespace: 'monitoring' } },
    })
    const map = only(objects, 'ConfigMap', 'prod-ringman-dashboard-overview')
    expect(map).toMatchObject({
      metadata: {
        namespace: 'monitoring',
        labels: { grafana_dashboard: '1' },
        annotations: { grafana_folder: 'Rings' },
      },
    })
    expect((map['data'] as Record<string, string>)['ringman-overview.json']?.trim()).toBe(DASHBOARD)
    const off = await renderChart({ chart, values: { dashboards: { enabled: false } } })
    expect(off.manifest).not.toContain('grafana_dashboard')
  })

  test('rules are off, and as the file has them when switched on', async () => {
    expect((await renderChart({ chart })).manifest).not.toContain('PrometheusRule')
    const { objects } = await renderChart({ chart, values: { prometheusRule: { enabled: true } } })
    expect(at(only(objects, 'PrometheusRule'), 'spec.groups')).toEqual([
      {
        name: 'ringman',
        interval: '30s',
        rules: [
          { record: 'ringman:nodes:max', expr: 'max by (release) (ringman_ring_nodes)' },
          {
            alert: 'RingmanSplit',
            expr: 'count(x) > 1',
            for: '2m',
            labels: { severity: 'critical' },
            annotations: { summary: 'Rings of {{ $labels.release }} differ', runbook_url: 'docs/split.md' },
          },
          { alert: 'RingmanAlone', expr: 'y == 1', for: '5m', labels: { severity: 'warning' } },
        ],
      },
      { name: 'other', rules: [{ alert: 'RingmanOther', expr: 'z' }] },
    ])
  })

  test('single rules are changed or left out; a group without rules goes', async () => {
    const { objects } = await renderChart({
      chart,
      values: {
        prometheusRule: {
          enabled: true,
          runbookBaseUrl: 'https://git.example/ringman/',
          labels: { release: 'kps' },
          alertLabels: { team: 'platform' },
          overrides: {
            RingmanSplit: { for: '10m', severity: 'page', annotations: { runbook: 'https://x' } },
            RingmanAlone: { expr: 'y == 2', labels: { area: 'ring', team: 'rings' } },
            RingmanOther: { enabled: false },
          },
          extraGroups: [{ name: 'own', rules: [{ alert: 'Mine', expr: '1' }] }],
        },
      },
    })
    const rule = only(objects, 'PrometheusRule')
    expect(rule.metadata.labels).toMatchObject({ release: 'kps' })
    expect(at(rule, 'spec.groups')).toEqual([
      {
        name: 'ringman',
        interval: '30s',
        rules: [
          { record: 'ringman:nodes:max', expr: 'max by (release) (ringman_ring_nodes)' },
          {
            alert: 'RingmanSplit',
            expr: 'count(x) > 1',
            for: '10m',
            labels: { severity: 'page', team: 'platform' },
            annotations: {
              summary: 'Rings of {{ $labels.release }} differ',
              runbook: 'https://x',
              runbook_url: 'https://git.example/ringman/docs/split.md',
            },
          },
          {
            alert: 'RingmanAlone',
            expr: 'y == 2',
            for: '5m',
            labels: { severity: 'warning', area: 'ring', team: 'rings' },
          },
        ],
      },
      { name: 'own', rules: [{ alert: 'Mine', expr: '1' }] },
    ])
  })

  test('a rule that does not exist is told, with those that do', async () => {
    const { code, stderr } = await tryRender({
      chart,
      values: { prometheusRule: { enabled: true, overrides: { RingmanSpilt: { for: '1m' } } } },
    })
    expect(code).toBe(1)
    expect(stderr).toContain(
      'prometheusRule.overrides has RingmanSpilt, and the rules are ringman:nodes:max, RingmanSplit, RingmanAlone, RingmanOther',
    )
  })
})

describe('the rules and dashboards of this repository', () => {
  test('are in the objects, each alert with its severity and runbook', async () => {
    const objects = await objectsOfFile('pod-monitor')
    const groups = at(only(objects, 'PrometheusRule'), 'spec.groups') as {
      rules: Record<string, unknown>[]
    }[]
    const alerts = groups.flatMap(({ rules }) => rules).filter(({ alert }) => alert !== undefined)
    expect(alerts.length).toBeGreaterThan(5)
    for (const alert of alerts.filter(({ alert: name }) => name !== 'RingmanScrapeMissing')) {
      expect(at(alert, 'labels.team')).toBe('platform')
      expect(['critical', 'warning', 'info']).toContain(at(alert, 'labels.severity'))
      expect(at(alert, 'annotations.runbook_url')).toMatch(/^docs\/runbooks\/.*\.md$/)
    }
    const dashboards = objects.filter(({ metadata }) => metadata.labels?.['grafana_dashboard'] === '1')
    expect(dashboards.length).toBeGreaterThan(0)
    for (const { metadata, data } of dashboards) {
      expect(metadata.namespace).toBe('monitoring')
      for (const [file, text] of Object.entries(data as Record<string, string>)) {
        expect(file).toMatch(/\.json$/)
        expect(JSON.parse(text)).toHaveProperty('panels')
        // A ConfigMap holds a MiB at most.
        expect(text.length).toBeLessThan(900_000)
      }
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
      expect(only(await objectsOf(values), 'Role')['rules'], JSON.stringify(values)).toHaveLength(1)
    }
  })

  test('is not given where a kubeconfig is, nor a Role where you make it', async () => {
    const withFile = await objectsOf({
      config: { kubernetesCheck: true, kubernetesKubeconfig: '/kube/config' },
    })
    expect(withFile.map(({ kind }) => kind)).not.toContain('Role')
    expect(at(workloadOf(withFile), 'spec.template.spec.automountServiceAccountToken')).toBe(false)
    const own = await objectsOf({ config: { kubernetesCheck: true }, rbac: { create: false } })
    expect(own.map(({ kind }) => kind)).not.toContain('Role')
    expect(at(workloadOf(own), 'spec.template.spec.automountServiceAccountToken')).toBe(true)
  })
})

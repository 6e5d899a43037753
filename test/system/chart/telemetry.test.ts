import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  at,
  CHART_FOLDER,
  environmentOf,
  memberContainer,
  MEMBER_LABELS,
  NAMESPACE,
  objectsOfFile,
  objectsWith,
  only,
  renderChart,
  tryRender,
  workloadOf,
} from '../../support/chart.ts'

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
      selector: { matchLabels: MEMBER_LABELS },
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
    const monitor = only(
      await objectsWith({
        nameOverride: 'sessions',
        metrics,
        networkPolicy: { admin: { from: [{ namespaceSelector: {} }] } },
      }),
      'PodMonitor',
    )
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
        selector: MEMBER_LABELS,
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
    expect(JSON.stringify(await objectsWith({}))).not.toContain('OTEL_')
    const tracing = { enabled: true, endpoint: 'http://c:4318', sampler: 'always_on' }
    const environment = environmentOf(memberContainer(workloadOf(await objectsWith({ tracing }))))
    expect(environment).not.toHaveProperty('OTEL_TRACES_SAMPLER_ARG')
  })
})

/** The chart with rules and dashboards of the test's own, so that what becomes of them does not hang on the real ones. */
describe('rules and dashboards', () => {
  let chart: string
  const DASHBOARD = {
    uid: 'ringman-overview',
    title: 'ringman: overview',
    templating: { list: ['datasource', 'namespace', 'release', 'pod'].map((name) => ({ name })) },
    panels: [{ legendFormat: '{{pod}} of {{ namespace }}', url: '/d/ringman-pod?a=<b>' }],
  }
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ringman-chart-'))
    chart = join(folder, 'ringman')
    await cp(CHART_FOLDER, chart, { recursive: true })
    await rm(join(chart, 'files/dashboards'), { recursive: true, force: true })
    await mkdir(join(chart, 'files/dashboards'))
    await writeFile(join(chart, 'files/dashboards/ringman-overview.json'), JSON.stringify(DASHBOARD))
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

  test('a dashboard is a ConfigMap that Grafana finds, and opens with this ring', async () => {
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
    const [[file, text] = ['', '']] = Object.entries(map['data'] as Record<string, string>)
    const [, id] = /^ringman-overview-([0-9a-f]{10})\.json$/.exec(file) ?? []
    const chosen = (name: string, value: string) => ({ name, current: { text: value, value } })
    expect(JSON.parse(text)).toEqual({
      uid: `${id}-ringman-overview`,
      title: `ringman ${NAMESPACE}/prod-ringman: overview`,
      templating: {
        list: [
          { name: 'datasource' },
          chosen('namespace', NAMESPACE),
          chosen('release', 'prod'),
          { name: 'pod' },
        ],
      },
      panels: [{ legendFormat: '{{pod}} of {{ namespace }}', url: `/d/${id}-ringman-pod?a=<b>` }],
    })
    const off = await renderChart({ chart, values: { dashboards: { enabled: false } } })
    expect(off.manifest).not.toContain('grafana_dashboard')
  })

  test('dashboards of two rings have neither a file nor a uid nor a title in common', async () => {
    const rings = [{}, { release: 'other' }, { namespace: 'other' }, { values: { nameOverride: 'sessions' } }]
    const identities: unknown[] = []
    for (const ring of rings) {
      const { objects } = await renderChart({ chart, ...ring })
      const [map] = objects.filter(({ metadata }) => metadata.labels?.['grafana_dashboard'] === '1')
      const [[file, text] = ['', '{}']] = Object.entries(map?.['data'] as Record<string, string>)
      const { uid, title } = JSON.parse(text) as { uid: string; title: string }
      identities.push(file, uid, title)
    }
    expect(new Set(identities).size).toBe(3 * rings.length)
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

  test.each([true, false])('about HashRings are there only where rings are made: %s', async (enabled) => {
    const { manifest } = await renderChart({
      values: { rings: { enabled }, prometheusRule: { enabled: true }, dashboards: { enabled: true } },
    })
    expect(manifest.includes('RingmanHashRingBraked')).toBe(enabled)
    expect(manifest.includes('dashboard-hash-rings')).toBe(enabled)
  })
})

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CHART_FILES, ALERT_GROUPS } from '../../../monitoring/artifacts.ts'
import type { AlertGroup } from '../../../monitoring/rules/alert-rule.ts'
import { ALERT_CASES } from './alerts/alert-cases.ts'
import { promtool, testRules } from './alerts/promtool.ts'
import { rollingUpdate, scaling, type RollingUpdate } from './alerts/rolling-update.ts'
import { sampleKubernetes, samplePods, type SampledPod } from './alerts/sampled-pods.ts'

/** Prometheus' own tool evaluates the rules over recorded series. */

test('promtool takes the rules that the chart ships', () => {
  const { status, output } = promtool('check', 'rules', `${CHART_FILES}/rules.yaml`)
  expect(status, output).toBe(0)
})

test('promtool takes the scrape configuration of docs/monitoring.md', () => {
  const [, config = ''] =
    /```yaml\n(scrape_configs:\n[\s\S]*?)```/.exec(readFileSync('docs/monitoring.md', 'utf8')) ?? []
  const folder = mkdtempSync(join(tmpdir(), 'ringman-scrape-'))
  try {
    const file = join(folder, 'prometheus.yaml')
    // Debian's build knows no discovery in Kubernetes; the rules on labels are the same for any.
    writeFileSync(file, config.replace('kubernetes_sd_configs: [{ role: pod }]', 'static_configs: []'))
    const { status, output } = promtool('check', 'config', file)
    expect(status, output).toBe(0)
    expect(output).toContain('SUCCESS')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('every alert is shown to fire', () => {
  const shown = new Set(ALERT_CASES.flatMap(({ fires }) => fires.map(({ alert }) => alert)))
  const all = ALERT_GROUPS.flatMap(({ rules }) => rules.map(({ alert }) => alert))
  expect([...shown].toSorted()).toEqual(all.toSorted())
})

test.each(ALERT_CASES.map((each) => [each.name, each] as const))(
  '%s',
  (_, { pods, kubernetes, minutes, fires }) => {
    const seconds = minutes * 60
    const series = [
      ...samplePods(pods, seconds),
      ...(kubernetes === undefined ? [] : sampleKubernetes(kubernetes, seconds)),
    ]
    expect(testRules(series, seconds, fires)).toBe('')
  },
)

const UPDATES: readonly (readonly [string, RollingUpdate])[] = [
  [
    'a StatefulSet of 6, a pod every 40 s',
    { kind: 'StatefulSet', replicas: 6, beginSeconds: 600, paceSeconds: 40, startSeconds: 5 },
  ],
  [
    'a StatefulSet of 20 in a hurry, a pod every 17 s',
    { kind: 'StatefulSet', replicas: 20, beginSeconds: 600, paceSeconds: 17, startSeconds: 1 },
  ],
  [
    'a StatefulSet of 3 whose pods take 4 minutes to come back',
    { kind: 'StatefulSet', replicas: 3, beginSeconds: 600, paceSeconds: 300, startSeconds: 240 },
  ],
  [
    'a Deployment of 12, a pod every 15 s',
    { kind: 'Deployment', replicas: 12, beginSeconds: 600, paceSeconds: 15, startSeconds: 3 },
  ],
  [
    'a Deployment of 9, a pod every 70 s',
    { kind: 'Deployment', replicas: 9, beginSeconds: 600, paceSeconds: 70, startSeconds: 30 },
  ],
]

describe.each(UPDATES)('rolling update of %s', (_, update) => {
  const { pods, kubernetes, endSeconds } = rollingUpdate(update)

  test('no alert fires', () => {
    const series = [...samplePods(pods, endSeconds), ...sampleKubernetes(kubernetes, endSeconds)]
    expect(testRules(series, endSeconds, [])).toBe('')
  })

  test('no alert fires without kube-state-metrics', () => {
    expect(testRules(samplePods(pods, endSeconds), endSeconds, [])).toBe('')
  })
})

test.each([
  [3, 12],
  [10, 13],
])('no alert fires when a release of %d pods is scaled to %d and back', (few, many) => {
  const { pods, kubernetes, endSeconds } = scaling(few, many)
  const series = samplePods(pods, endSeconds)
  expect(testRules([...series, ...sampleKubernetes(kubernetes, endSeconds)], endSeconds, [])).toBe('')
  expect(testRules(series, endSeconds, [])).toBe('')
})

/** What one would write first. */
const HASTY: AlertGroup = {
  name: 'hasty',
  rules: [
    {
      alert: 'Hasty',
      severity: 'warning',
      for: '2m',
      expr: 'count by (namespace, release) (count by (namespace, release, digest) (ringman_ring_info)) > 1',
      summary: '',
      description: '',
    },
  ],
}

test('the updates are hard enough: a rule that only counts digests for two minutes does fire', () => {
  const problems = UPDATES.map(([, update]) => {
    const { pods, endSeconds } = rollingUpdate(update)
    return testRules(samplePods(pods, endSeconds), endSeconds, [], [HASTY])
  })
  expect(problems.filter((problem) => problem.includes('Hasty')).length).toBeGreaterThanOrEqual(2)
})

test('a pod with a ring of its own is found once the update is over', () => {
  const { pods, endSeconds } = rollingUpdate({
    kind: 'Deployment',
    replicas: 5,
    beginSeconds: 60,
    paceSeconds: 30,
    startSeconds: 3,
  })
  const stuck: SampledPod = {
    pod: 'stuck',
    instance: '10.0.9.9:8081',
    view: () => ({ digest: 'of before', nodes: 5, ready: false }),
  }
  expect(
    testRules(samplePods([...pods, stuck], endSeconds), endSeconds, [
      { alert: 'RingmanDigestsDiffer', value: '2' },
    ]),
  ).toBe('')
})

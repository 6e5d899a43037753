import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Dashboard, Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard'
import { describe, expect, test } from 'vitest'
import {
  CHART_FILES,
  renderArtifacts,
  renderHashRingsPage,
  renderPodPage,
  renderRingPage,
} from '../../monitoring/artifacts.ts'
import { HASH_RINGS_PAGE_UID, POD_PAGE_UID, RING_PAGE_UID } from '../../monitoring/dashboards/page.ts'
import { readExpression } from './promql.ts'
import { METRICS } from '../../src/telemetry/metrics.ts'
import { unknownsOf } from './known-metrics.ts'

/** As the chart ships them, which the first test holds equal to the sources. */
const PAGES = [
  ['ring', renderRingPage()],
  ['pod', renderPodPage()],
  ['rings of HashRings', renderHashRingsPage()],
] as const satisfies readonly (readonly [string, Dashboard])[]

const isPanel = (panel: Panel | RowPanel): panel is Panel => panel.type !== 'row'
const panelsOf = (page: Dashboard) => (page.panels ?? []).filter(isPanel)

const readSelectors = (expr: string) => readExpression(expr).selectors

/** The labels that the outermost aggregation leaves; the one of the first operand where there are several. */
function labelsOfResult(expr: string): readonly string[] {
  const [, labels = ''] = /\bby \(([^)]*)\)/.exec(expr) ?? []
  return labels.split(', ')
}

/** What is in a target of Prometheus' that the type of all targets does not have. */
interface PrometheusTarget {
  readonly expr: string
  readonly legendFormat?: string
  readonly datasource?: unknown
}

const targetsOf = (panel: Panel) => (panel.targets ?? []) as unknown as readonly PrometheusTarget[]

/** All PromQL of a page, with the place where each stands. */
function expressionsOf(page: Dashboard): (readonly [place: string, expr: string])[] {
  const inPanels = panelsOf(page).flatMap((panel) =>
    targetsOf(panel).map(({ expr }) => [panel.title ?? '', expr] as const),
  )
  const annotations = (page.annotations.list ?? []).map(
    (annotation) => [`annotation ${annotation.name}`, annotation.expr ?? ''] as const,
  )
  return [...inPanels, ...annotations]
}

test.each([...renderArtifacts()])(
  '%s of the chart is current: else run `npm run monitoring`',
  (path, text) => {
    expect(readFileSync(resolve(CHART_FILES, path), 'utf8')).toBe(text)
  },
)

describe.each(PAGES)('the page of the %s', (_, page) => {
  test('asks only for metrics and labels that ringman serves', () => {
    const unknown = expressionsOf(page).flatMap(([place, expr]) =>
      unknownsOf(expr).map((problem) => `${place}: ${problem}`),
    )
    expect(unknown).toEqual([])
  })

  test('asks only for labels in legends and links that the results have', () => {
    const wrong = panelsOf(page).flatMap((panel) =>
      targetsOf(panel).flatMap(({ expr, legendFormat = '' }) => {
        const outer = labelsOfResult(expr)
        const wanted = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label)
        return wanted.filter((label) => !outer.includes(label)).map((label) => `${panel.title}: ${label}`)
      }),
    )
    expect(wrong).toEqual([])
  })

  test('limits every query to the chosen ring', () => {
    const own = /^(?!kube_|ALERTS$).*/
    for (const [place, expr] of expressionsOf(page)) {
      for (const { metric, matchers } of readSelectors(expr)) {
        // A selector that only says which pods are ringman's is limited by what it is joined with.
        if (metric === 'ringman_build_info' || !own.test(metric)) continue
        const text = matchers.map(({ label, operator, value }) => `${label}${operator}${value}`)
        expect(text, `${place}: ${metric}`).toEqual(
          expect.arrayContaining(['namespace=$namespace', 'release=$release']),
        )
      }
    }
  })

  test('describes every panel, and gives it a title, a unit and the chosen data source', () => {
    for (const panel of panelsOf(page)) {
      const { title = '', description = '' } = panel
      expect(title).not.toBe('')
      expect(description.length, title).toBeGreaterThan(40)
      expect(description, title).toMatch(/[.]$/)
      expect(panel.fieldConfig?.defaults.unit, title).toBeDefined()
      for (const { datasource } of [panel, ...targetsOf(panel)]) {
        expect(datasource, title).toEqual({ type: 'prometheus', uid: '${datasource}' })
      }
    }
    const titles = panelsOf(page).map(({ title }) => title)
    expect(new Set(titles).size).toBe(titles.length)
  })

  test('places panels on the grid of 24 columns, and none on another', () => {
    const taken = new Map<string, string>()
    for (const panel of page.panels ?? []) {
      const { x, y, w, h } = panel.gridPos ?? { x: -1, y: 0, w: 0, h: 0 }
      expect(x).toBeGreaterThanOrEqual(0)
      expect(x + w, panel.title).toBeLessThanOrEqual(24)
      expect(w * h, panel.title).toBeGreaterThan(0)
      for (let row = y; row < y + h; row++) {
        for (let column = x; column < x + w; column++) {
          const other = taken.get(`${column},${row}`)
          expect(other, `${panel.title} lies on ${other}`).toBeUndefined()
          taken.set(`${column},${row}`, panel.title ?? '')
        }
      }
    }
  })

  test('fills every row from edge to edge', () => {
    const widths = new Map<number, number>()
    for (const { gridPos } of page.panels ?? []) {
      widths.set(gridPos?.y ?? -1, (widths.get(gridPos?.y ?? -1) ?? 0) + (gridPos?.w ?? 0))
    }
    expect([...new Set(widths.values())]).toEqual([24])
  })

  test('has ids that differ, and the variables', () => {
    const ids = (page.panels ?? []).map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(page.templating.list?.map(({ name }) => name)).toEqual([
      'datasource',
      'namespace',
      'release',
      'pod',
      ...(page.uid === HASH_RINGS_PAGE_UID ? ['ring_namespace', 'ring'] : []),
    ])
  })

  test('leads to the other page with the choice and the time range', () => {
    const [link] = page.links ?? []
    const other = page.uid === RING_PAGE_UID ? POD_PAGE_UID : RING_PAGE_UID
    expect(link?.url).toBe(
      `/d/${other}?\${datasource:queryparam}&\${namespace:queryparam}&\${release:queryparam}`,
    )
    expect(link?.keepTime).toBe(true)
    expect(page.links).toHaveLength(1)
    expect(JSON.stringify(page)).not.toContain('inControlsMenu')
  })
})

test('series of pods lead to the page of the pod', () => {
  const linked = panelsOf(renderRingPage()).filter((panel) =>
    JSON.stringify(panel).includes(`/d/${POD_PAGE_UID}?`),
  )
  expect(renderPodPage().uid).toBe(POD_PAGE_UID)
  expect(linked.length).toBeGreaterThan(8)
})

test('the pages show every metric of gossip sources, except those that are named here', () => {
  const shown = new Set(
    PAGES.flatMap(([, page]) => expressionsOf(page)).flatMap(([, expr]) =>
      readSelectors(expr).map(({ metric }) => metric.replace(/_(bucket|sum|count)$/, '')),
    ),
  )
  const hidden = Object.values(METRICS)
    .filter(({ name, ...metric }) => {
      const sources: readonly string[] | undefined = 'sources' in metric ? metric.sources : undefined
      return !shown.has(name) && (sources === undefined || sources.includes('memberlist'))
    })
    .map(({ name }) => name)
  expect(hidden).toEqual([
    // There is one thread, unless `--http-threads` says more.
    'ringman_http_threads',
    'ringman_http_threads_replaced_total',
    // Always far below the 5 ms at which `ringman_manager_up` becomes 0.
    'ringman_manager_ping_seconds',
    'ringman_gossip_packets_total',
    'ringman_gossip_message_bytes_total',
    'ringman_gossip_send_failures_total',
    'ringman_gossip_conflicts_total',
    'ringman_gossip_udp_blocked_members',
    'ringman_gossip_stalls_total',
    // Looked at while keys are rotated: docs/kubernetes.md.
    'ringman_gossip_key_info',
    // Of the Kubernetes API, which gossip only asks with `--kubernetes-check`.
    'ringman_kubernetes_lists_total',
    'ringman_kubernetes_watches_total',
    'ringman_kubernetes_events_total',
    'ringman_kubernetes_failures_total',
    'process_max_fds',
  ])
})

import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import {
  AnnotationQueryBuilder,
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
  VariableSort,
  type Dashboard,
  type Panel,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DATASOURCE, FIRING_ALERTS, increase, THE_RING } from './queries.ts'

interface PagePanel extends Builder<Panel> {
  span(width: number): PagePanel
  height(height: number): PagePanel
}

/** A heading, which is a question, and the panels that answer it. */
export interface PageRow {
  readonly question: string
  /** The size of all its panels, in 24ths of the page and in rows of the grid. @default each has its own */
  readonly size?: readonly [width: number, height: number]
  readonly panels: readonly PagePanel[]
}

export interface PageOptions {
  readonly title: string
  readonly uid: string
  readonly description: string
  /** The other page, to which a link at the top leads with the chosen ring and time range. */
  readonly other: { readonly title: string; readonly uid: string }
  /** Whether one pod is looked at, or any number of them. */
  readonly pods: 'one' | 'many'
  /** Whether rings of HashRings are chosen too. @default false */
  readonly hashRings?: boolean
  readonly rows: readonly PageRow[]
}

/** The uids of the pages, which links and bookmarks name. */
export const RING_PAGE_UID = 'ringman'
export const POD_PAGE_UID = 'ringman-pod'
export const HASH_RINGS_PAGE_UID = 'ringman-hash-rings'

/** The choice of the ring, for the URL of a link. The pods are not in it: one page takes many, the other one. */
export const RING_IN_URL = '${datasource:queryparam}&${namespace:queryparam}&${release:queryparam}'

/** A page with its variables, links, annotations, rows and panels; panels have ids from 1 in the order of the page. */
export function renderPage(options: PageOptions): Dashboard {
  const builder = new DashboardBuilder(options.title)
    .uid(options.uid)
    .description(options.description)
    .tags(['ringman'])
    .time({ from: 'now-1h', to: 'now' })
    .refresh('30s')
    .timezone('browser')
    .editable()
    .tooltip(DashboardCursorSync.Crosshair)
    .variables(variablesFor(options))
    .link(
      new DashboardLinkBuilder(options.other.title)
        .type(DashboardLinkType.Link)
        .icon('dashboard')
        .url(`/d/${options.other.uid}?${RING_IN_URL}`)
        .keepTime(true),
    )
    .annotation(
      annotation('Changes of the ring', 'blue', `max by (cause) (${CHANGES}) > 0`)
        .titleFormat('Ring changed')
        .textFormat('{{cause}}'),
    )
    .annotation(
      annotation('Alerts', 'red', `max by (alertname) (${FIRING_ALERTS})`)
        .titleFormat('{{alertname}}')
        .textFormat('The alert was firing.'),
    )
  for (const { question, size, panels } of options.rows) {
    builder.withRow(new RowBuilder(question))
    for (const panel of panels) {
      builder.withPanel(size === undefined ? panel : panel.span(size[0]).height(size[1]))
    }
  }
  const page = builder.build()
  page.panels?.forEach((panel, index) => {
    panel.id = index + 1
  })
  return withoutPlacement(page)
}

const CHANGES = increase('ringman_ring_changes_total', 'pod, cause', THE_RING)

function annotation(name: string, color: string, expr: string) {
  return new AnnotationQueryBuilder()
    .name(name)
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor(color)
    .expr(expr)
    .step('30s')
}

/** The SDK puts links and annotations into a menu, where nobody looks for them; left out, they stand at the top. */
function withoutPlacement(page: Dashboard): Dashboard {
  return JSON.parse(
    JSON.stringify(page, (key, value: unknown) =>
      key === 'placement' && value === 'inControlsMenu' ? undefined : value,
    ),
  ) as Dashboard
}

function hashRingVariables() {
  const selector = `ringman_hash_ring_accepted{${THE_RING}`
  return [
    fromRing(
      'ring_namespace',
      'Namespace of the HashRing',
      'Where the HashRings are.',
      `label_values(${selector}}, ring_namespace)`,
    ),
    fromRing(
      'ring',
      'HashRing',
      'The rings that are shown below the first row.',
      `label_values(${selector},ring_namespace=~"$ring_namespace"}, ring)`,
    ),
  ].map((variable) => variable.multi(true).includeAll(true).allValue('.*'))
}

function fromRing(name: string, label: string, description: string, query: string) {
  return new QueryVariableBuilder(name)
    .label(label)
    .description(description)
    .datasource(DATASOURCE)
    .query({ query, refId: name })
    .definition(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.NaturalAsc)
}

function variablesFor({ pods, hashRings = false }: PageOptions) {
  const pod = fromRing(
    'pod',
    'Pod',
    pods === 'one' ? 'The pod that this page is about.' : 'For panels with a series for each pod.',
    `label_values(ringman_build_info{${THE_RING}}, pod)`,
  )
  return [
    new DatasourceVariableBuilder('datasource')
      .label('Data source')
      .description('The Prometheus that scrapes the pods.')
      .type('prometheus'),
    fromRing('namespace', 'Namespace', 'Of the release.', 'label_values(ringman_build_info, namespace)'),
    fromRing(
      'release',
      'Release',
      'The Helm release: one ring. Empty where targets have no label `release`.',
      'label_values(ringman_build_info{namespace="$namespace"}, release)',
    ),
    pods === 'one' ? pod : pod.multi(true).includeAll(true).allValue('.*'),
    ...(hashRings ? hashRingVariables() : []),
  ]
}

import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus'
import type { DataSourceRef } from '@grafana/grafana-foundation-sdk/common'
import { assertNever } from '../../src/errors.ts'
import { select } from '../ring-queries.ts'

/** The data source that is chosen at the top of the page. */
export const DATASOURCE: DataSourceRef = { type: 'prometheus', uid: '${datasource}' }

/** Matchers of the ring that is chosen at the top of the page: all its pods, whatever pods are chosen. */
export const THE_RING = 'namespace="$namespace",release="$release"'

/** Matchers of the pods that are chosen at the top of the page. */
export const THE_PODS = `${THE_RING},pod=~"$pod"`

/** Matchers of the HashRings that are chosen at the top of their page, as the chosen pods have them. */
export const THE_HASH_RING = `${THE_PODS},ring_namespace=~"$ring_namespace",ring=~"$ring"`

/** The alerts about the ring that fire. */
export const FIRING_ALERTS = `ALERTS{alertname=~"Ringman.+",alertstate="firing",${THE_RING}}`

/** Which of the series that every exporter has are of ringman's processes. */
export const OF_RINGMAN = 'and on (namespace, pod) ringman_build_info'

/** The window of rates: Grafana makes it at least four scrapes long. */
export const WINDOW = '$__rate_interval'

/** One query of a panel. */
export interface PanelQuery {
  readonly expr: string
  /** A legend in Grafana's notation: `{{pod}}`. @default the labels by which `expr` aggregates */
  readonly legend?: string
  /** `latest` asks for one value at the end of the time range, as stats and tables want. @default range */
  readonly kind?: 'range' | 'latest' | 'table' | 'heatmap'
  /** Whether the traces of single requests are shown as points. @default false */
  readonly exemplars?: boolean
}

/** A query of which there is the expression alone. */
export function asQuery(query: PanelQuery | string): PanelQuery {
  return typeof query === 'string' ? { expr: query } : query
}

/** The labels by which an expression aggregates, but the buckets of a quantile, and what is chosen at the top of the page. */
function legendOf(expr: string): string | undefined {
  const [, ofBuckets, labels] =
    /^(?:sort_desc\()?(histogram_quantile\(\S+ )?\w+ by \((.*?)\)/.exec(expr) ?? []
  const dull = ['namespace', 'release', ...(ofBuckets === undefined ? [] : ['le'])]
  const names = labels?.split(', ').filter((label) => !dull.includes(label)) ?? []
  return names.length === 0 ? undefined : names.map((name) => `{{${name}}}`).join(' ')
}

/** The queries of a panel as Grafana's targets, named A, B, C… in order. */
export function targetsOf(queries: readonly (PanelQuery | string)[]): DataqueryBuilder[] {
  return queries.map(asQuery).map(({ expr, kind = 'range', exemplars = false, ...query }, index) => {
    const target = new DataqueryBuilder()
      .datasource(DATASOURCE)
      .refId(String.fromCharCode(65 + index))
      .expr(expr)
    const legend = query.legend ?? (kind === 'table' ? undefined : legendOf(expr))
    if (legend !== undefined) target.legendFormat(legend)
    if (exemplars) target.exemplar(true)
    return withKind(target, kind)
  })
}

function withKind(target: DataqueryBuilder, kind: NonNullable<PanelQuery['kind']>): DataqueryBuilder {
  switch (kind) {
    case 'range':
      return target.range()
    case 'latest':
      return target.instant()
    case 'table':
      return target.instant().format(PromQueryFormat.Table)
    case 'heatmap':
      return target.range().format(PromQueryFormat.Heatmap)
    default:
      return assertNever(kind)
  }
}

/** The rate of a counter in the window, for each second, summed by labels. */
export function rate(metric: string, by: string, ...matchers: readonly string[]): string {
  return `sum by (${by}) (rate(${select(metric, ...matchers)}[${WINDOW}]))`
}

/** How much a counter rose in the window, summed by labels. */
export function increase(metric: string, by: string, ...matchers: readonly string[]): string {
  return `sum by (${by}) (increase(${select(metric, ...matchers)}[${WINDOW}]))`
}

/** A quantile of a histogram in the window, by labels besides `le`. */
export function quantile(
  q: number,
  histogram: string,
  by: readonly string[],
  ...matchers: readonly string[]
): string {
  const buckets = select(`${histogram}_bucket`, ...matchers)
  return `histogram_quantile(${q}, sum by (${[...by, 'le'].join(', ')}) (rate(${buckets}[${WINDOW}])))`
}

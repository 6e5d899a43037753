import { readExpression } from './promql.ts'
import { METRICS } from '../../src/telemetry/metrics.ts'
import { kindOf, type Metric } from '../../src/telemetry/metric.ts'
import { labelNamesOf } from '../support/metric-labels.ts'

/** Labels that every target has, as the chart's monitors and `docs/monitoring.md` set them. */
export const TARGET_LABELS = ['namespace', 'release', 'pod'] as const

/** Metrics of others, with the labels that they are documented to have. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  // kube-state-metrics
  kube_pod_status_ready: ['namespace', 'pod', 'condition'],
  // Prometheus, from its own rules; with the labels of the alert.
  ALERTS: ['alertname', 'alertstate', 'severity', 'namespace', 'release', 'pod'],
}

/** The labels of each series name, as Prometheus stores it. */
export const SERIES_LABELS: ReadonlyMap<string, readonly string[]> = new Map([
  ...Object.values<Metric>(METRICS).flatMap(seriesOf),
  ...Object.entries(FOREIGN),
])

function seriesOf(metric: Metric): [name: string, labels: readonly string[]][] {
  const labels = [...labelNamesOf(metric), ...TARGET_LABELS]
  if (kindOf(metric) !== 'histogram') return [[metric.name, labels]]
  return [
    [`${metric.name}_bucket`, [...labels, 'le']],
    [`${metric.name}_sum`, labels],
    [`${metric.name}_count`, labels],
  ]
}

/** The values that a label of a metric may have, or undefined when the table leaves them open. */
function valuesOf(series: string, label: string): readonly string[] | undefined {
  const name = series.replace(/_(bucket|sum|count)$/, '')
  const metric = Object.values<Metric>(METRICS).find((each) => each.name === name || each.name === series)
  const meaning = metric?.labels?.[label]
  return meaning === undefined || typeof meaning === 'string' ? undefined : Object.keys(meaning)
}

/** What in an expression is not in the table of metrics: names, labels, and values of labels with closed lists. */
export function unknownsOf(expression: string): string[] {
  const { selectors, groupingLabels } = readExpression(expression)
  const problems: string[] = []
  const usable = new Set<string>()
  for (const { metric, matchers } of selectors) {
    const labels = SERIES_LABELS.get(metric)
    if (labels === undefined) {
      problems.push(`there is no metric ${metric}`)
      continue
    }
    for (const label of labels) usable.add(label)
    for (const { label, operator, value } of matchers) {
      if (!labels.includes(label)) problems.push(`${metric} has no label ${label}`)
      const allowed = valuesOf(metric, label)
      const wanted = operator.endsWith('~') ? value.split('|') : [value]
      for (const word of wanted) {
        if (allowed !== undefined && !allowed.includes(word)) {
          problems.push(`${label} of ${metric} is never ${word}`)
        }
      }
    }
  }
  for (const label of groupingLabels) {
    if (!usable.has(label)) problems.push(`no metric has the label ${label} to group by`)
  }
  return problems
}

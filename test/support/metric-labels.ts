import type { LabelMeaning, Metric } from '../../src/telemetry/metric.ts'

/** The names of a metric's labels, in order. */
export function labelNamesOf(metric: Metric): readonly string[] {
  return Object.keys(metric.labels ?? {})
}

/** The values that a label may have; undefined for one of ours that the table has in words. */
export function labelValuesOf(meaning: LabelMeaning): readonly string[] | undefined {
  return typeof meaning === 'string' ? undefined : Object.keys(meaning)
}

import type { SourceKind } from '../membership/source.ts'

/**
 * What a label may hold: a closed list of values, each with its meaning where the word alone does not say it, or one
 * value of ours (a version, a digest) in words. Nothing that a peer or a client sends becomes a label value.
 */
export type LabelMeaning = Readonly<Record<string, string>> | string

/** One metric: everything that its collector, its documentation, dashboards and alerts are made of. */
export interface Metric {
  /**
   * The name in Prometheus, without the suffixes of a histogram's series. It says what the metric is: a counter's ends
   * with `_total`; before that comes the base unit: `_seconds`, `_bytes` or `_ratio`. Without a unit values count things,
   * unless the meaning says otherwise.
   */
  readonly name: string
  /** Label names in the order in which they are written. @default none */
  readonly labels?: Readonly<Record<string, LabelMeaning>>
  /** Of a histogram, which nothing else has: upper bounds of its buckets in the unit, ascending, without `+Inf`. */
  readonly buckets?: readonly number[]
  /** One sentence with its full stop: the HELP line. */
  readonly meaning: string
  /** How to read it, for whoever is woken by it. */
  readonly reading?: string
  /** An example in PromQL. */
  readonly query?: string
  /** The sources under which it is served. @default all */
  readonly sources?: readonly SourceKind[]
  /**
   * Whose it is: a ring's, or the process's, of which a library user has one however many rings there are, or that of the
   * rings of HashRings, where the process makes such.
   * @default 'ring'
   */
  readonly scope?: MetricScope
}

/** See {@link Metric.scope}. */
export type MetricScope = 'ring' | 'process' | 'hash-rings'

/** What a metric is to Prometheus. */
export function kindOf({ name, buckets }: Metric): 'counter' | 'gauge' | 'histogram' {
  if (buckets !== undefined) return 'histogram'
  return name.endsWith('_total') ? 'counter' : 'gauge'
}

/** Makes rows of the table that have something in common; what one of them says itself counts for it. */
export function rowsWith(common: Pick<Metric, 'labels' | 'sources' | 'scope'>) {
  return <const Rows extends Readonly<Record<string, Metric>>>(rows: Rows) =>
    Object.fromEntries(Object.entries(rows).map(([id, row]) => [id, { ...common, ...row }])) as Rows
}

import type { SourceKind } from '../membership/source.ts'

/** What a metric is to Prometheus. Histograms have `_bucket`, `_sum` and `_count` series. */
export type MetricKind = 'counter' | 'gauge' | 'histogram'

/**
 * The base unit, which is also how the name ends (before `_total`). Values without a unit count things, unless the
 * meaning says otherwise.
 */
export type MetricUnit = 'seconds' | 'bytes' | 'ratio'

/**
 * What a label may hold: a closed list of values, each with its meaning where the word alone does not say it, or one
 * value of ours (a version, a digest) in words. Nothing that a peer or a client sends becomes a label value.
 */
export type LabelMeaning = Readonly<Record<string, string>> | string

/** One metric: everything that its collector, its documentation, dashboards and alerts are made of. */
export interface Metric {
  /** The name in Prometheus; with `_total` for counters, without the suffixes of a histogram's series. */
  readonly name: string
  readonly kind: MetricKind
  readonly unit?: MetricUnit
  /** Label names in the order in which they are written. @default none */
  readonly labels?: Readonly<Record<string, LabelMeaning>>
  /** Upper bounds of a histogram's buckets in the unit, ascending, without `+Inf`. */
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

/** A part of the table, with what is to be said of all its metrics. */
export interface MetricSection {
  readonly title: string
  readonly introduction?: string
  readonly metrics: Readonly<Record<string, Metric>>
}

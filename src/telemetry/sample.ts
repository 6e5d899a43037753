import type { DistributionView } from '../distribution.ts'
import type { MetricId } from './metrics.ts'

/** What a look-up's trace leaves in a histogram. */
export interface Exemplar {
  readonly traceId: string
  /** The value seen, in the metric's unit. */
  readonly value: number
  /** Seconds since the Unix epoch. */
  readonly atSeconds: number
}

/** One series of a metric, now. */
export interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
  /** For the series of histograms. */
  readonly suffix?: '_bucket' | '_sum' | '_count'
  readonly exemplar?: Exemplar | undefined
}

/** Metrics with their series. One that is left out, or has no series, is served with its name and meaning alone. */
export type Samples = Partial<Record<MetricId, readonly Sample[]>>

/** Something that knows samples when it is asked. It is asked at each scrape, and never fails on purpose. */
export type Collector = () => Samples | Promise<Samples>

/** A metric without labels; none for undefined. */
export function single(value: number | undefined): Sample[] {
  return value === undefined ? [] : [{ value }]
}

/** One series for each entry of a record, in its order; `undefined` ones are left out. */
export function byLabel(
  label: string,
  values: Readonly<Partial<Record<string, number>>>,
  labels: Readonly<Record<string, string>> = {},
): Sample[] {
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined ? [] : [{ value, labels: { ...labels, [label]: name } }],
  )
}

/**
 * The series of a histogram.
 *
 * @param exemplars - By the index of the count in the distribution.
 */
export function histogram(
  distribution: DistributionView | undefined,
  labels: Readonly<Record<string, string>> = {},
  exemplars: readonly (Exemplar | undefined)[] = [],
): Sample[] {
  if (distribution === undefined) return []
  const { bounds, counts, sum, count } = distribution
  let within = 0
  const buckets = counts.map((inBucket, index): Sample => {
    within += inBucket
    const bound = bounds[index]
    const exemplar = exemplars[index]
    return {
      value: within,
      labels: { ...labels, le: bound === undefined ? '+Inf' : String(bound) },
      suffix: '_bucket',
      exemplar,
    }
  })
  return [...buckets, { value: sum, labels, suffix: '_sum' }, { value: count, labels, suffix: '_count' }]
}

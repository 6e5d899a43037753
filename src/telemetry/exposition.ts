import { Registry, type RegistryContentType } from 'prom-client'
import type { ExpositionFormat, MetricsText } from '../http/metrics-answer.ts'
import { METRICS, type MetricId } from './metrics.ts'
import { kindOf, type Metric } from './metric.ts'
import type { Sample, Samples } from './sample.ts'

/**
 * Writes metrics down. The registry is made for this one text: nothing of one scrape is left for the next, or for
 * another ring in the process.
 *
 * @param ids - What is served, with or without series.
 * @param labels - Added to every series.
 */
export async function writeMetrics(
  format: ExpositionFormat,
  ids: readonly MetricId[],
  samples: Samples,
  labels: Readonly<Record<string, string>> = {},
): Promise<MetricsText> {
  const registry = new Registry<RegistryContentType>()
  registry.setContentType(
    format === 'openmetrics' ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE,
  )
  registry.setDefaultLabels(labels)
  for (const id of ids) registry.registerMetric(registered(METRICS[id], samples[id] ?? []))
  return { contentType: registry.contentType, body: await registry.metrics() }
}

type Registered = Parameters<Registry['registerMetric']>[0]

/** A metric as the registry takes it: all that it calls is `get`. Its own classes would hash labels once more. */
function registered(metric: Metric, samples: readonly Sample[]): Registered {
  const { name, meaning } = metric
  const held = {
    name,
    help: meaning,
    type: kindOf(metric),
    aggregator: 'sum',
    values: samples.map(({ value, labels = {}, suffix = '', exemplar }) => ({
      value,
      labels,
      ...(suffix === '' ? {} : { metricName: `${name}${suffix}` }),
      ...(exemplar === undefined
        ? {}
        : {
            exemplar: {
              labelSet: { trace_id: exemplar.traceId },
              value: exemplar.value,
              timestamp: exemplar.atSeconds,
            },
          }),
    })),
    get: () => Promise.resolve(held),
  }
  return held as unknown as Registered
}

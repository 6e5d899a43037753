import type { Metric, MetricSection } from './metric.ts'
import { GOSSIP_METRICS } from './table/gossip-table.ts'
import { HASH_RING_METRICS } from './table/hash-ring-table.ts'
import { HTTP_METRICS } from './table/http-table.ts'
import { PROCESS_METRICS } from './table/process-table.ts'
import { MANAGER_METRICS, RING_METRICS } from './table/ring-table.ts'
import { KUBERNETES_METRICS, SEED_METRICS, SIDECAR_METRICS, SOURCE_METRICS } from './table/source-table.ts'

/**
 * Every metric that ringman serves, by a name for programs: the one table. What is served, `docs/metrics.md`, the
 * dashboards and the alerts are made of it, and a test holds them together.
 */
export const METRICS = {
  ...RING_METRICS,
  ...HTTP_METRICS,
  ...MANAGER_METRICS,
  ...SOURCE_METRICS,
  ...SEED_METRICS,
  ...GOSSIP_METRICS,
  ...SIDECAR_METRICS,
  ...KUBERNETES_METRICS,
  ...HASH_RING_METRICS,
  ...PROCESS_METRICS,
} as const satisfies Readonly<Record<string, Metric>>

/** The name of a metric in {@link METRICS}. */
export type MetricId = keyof typeof METRICS

/** The table in the order in which people read it. */
export const METRIC_SECTIONS: readonly MetricSection[] = [
  { title: 'Ring', metrics: RING_METRICS },
  { title: 'Look-ups and HTTP', metrics: HTTP_METRICS },
  { title: 'Manager', metrics: MANAGER_METRICS },
  { title: 'Source', metrics: SOURCE_METRICS },
  { title: 'Seeds and joins', metrics: SEED_METRICS },
  { title: 'Gossip', metrics: GOSSIP_METRICS },
  { title: 'Sidecar', metrics: SIDECAR_METRICS },
  {
    title: 'Kubernetes',
    introduction:
      'What following the Kubernetes API came to: EndpointSlices with the source `kubernetes`; pods beside gossip, where it is checked against them or takes its seeds from them. Without that there are no series.',
    metrics: KUBERNETES_METRICS,
  },
  {
    title: 'Rings of HashRings',
    introduction:
      'Only where the process makes rings of HashRings (`--hash-rings`). Each ring has series of its own, with its namespace and its name as labels; they go with it.',
    metrics: HASH_RING_METRICS,
  },
  { title: 'Process', metrics: PROCESS_METRICS },
]

import type { Metric } from './metric.ts'
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

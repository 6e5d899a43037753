import { listChoice } from '../../src/config/setting.ts'
import { kindOf, type Metric } from '../../src/telemetry/metric.ts'
import { GOSSIP_METRICS } from '../../src/telemetry/table/gossip-table.ts'
import { HASH_RING_METRICS } from '../../src/telemetry/table/hash-ring-table.ts'
import { HTTP_METRICS } from '../../src/telemetry/table/http-table.ts'
import { PROCESS_METRICS } from '../../src/telemetry/table/process-table.ts'
import { MANAGER_METRICS, RING_METRICS } from '../../src/telemetry/table/ring-table.ts'
import {
  KUBERNETES_METRICS,
  SEED_METRICS,
  SIDECAR_METRICS,
  SOURCE_METRICS,
} from '../../src/telemetry/table/source-table.ts'
import { DOCUMENT_INTRODUCTION } from './metrics-introduction.ts'

/** A part of the table, with what is to be said of all its metrics. */
interface MetricSection {
  readonly title: string
  readonly introduction?: string
  readonly metrics: Readonly<Record<string, Metric>>
}

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

/** Values of labels that are explained already, and at which metric: several metrics have the same ones. */
type Explained = Map<string, string>

/** The text of `docs/metrics.md`. */
export function documentMetrics(): string {
  const explained: Explained = new Map()
  return [
    DOCUMENT_INTRODUCTION,
    ...METRIC_SECTIONS.map((section) => documentSection(section, explained)),
  ].join('\n')
}

function documentSection({ title, introduction, metrics }: MetricSection, explained: Explained): string {
  const opening = introduction === undefined ? [] : [`${introduction}\n`]
  return [
    `## ${title}\n`,
    ...opening,
    ...Object.values(metrics).map((metric) => documentMetric(metric, explained)),
  ].join('\n')
}

function documentMetric(metric: Metric, explained: Explained): string {
  const { name, labels = {}, buckets, meaning, reading, query, sources, scope } = metric
  const [, unit] = /_(seconds|bytes|ratio)(?:_total)?$/.exec(name) ?? []
  const properties = [
    kindOf(metric),
    ...(unit === undefined ? [] : [unit]),
    ...(sources === undefined ? [] : [`only with the source ${listWords(sources)}`]),
    ...(scope === 'process' ? ['of the process: not among the metrics of a library’s ring'] : []),
    ...(scope === 'hash-rings' ? ['only with `--hash-rings`'] : []),
  ].join(', ')
  const lists = [
    ...(buckets === undefined ? [] : [`- Buckets: ${buckets.map(String).join(', ')}`]),
    ...Object.entries(labels).flatMap(([label, values]) => documentLabel(label, values, name, explained)),
  ]
  return [
    `### \`${name}\`\n`,
    `_${properties.charAt(0).toUpperCase()}${properties.slice(1)}._ ${meaning}${reading === undefined ? '' : ` ${reading}`}\n`,
    ...(lists.length === 0 ? [] : [`${lists.join('\n')}\n`]),
    ...(query === undefined ? [] : [`\`\`\`promql\n${query}\n\`\`\`\n`]),
  ].join('\n')
}

function documentLabel(
  label: string,
  values: NonNullable<Metric['labels']>[string],
  metric: string,
  explained: Explained,
): string[] {
  if (typeof values === 'string') return [`- \`${label}\`: ${values}`]
  const entries = Object.entries(values)
  if (entries.every(([, meaning]) => meaning === '')) {
    return [`- \`${label}\`: ${entries.map(([value]) => `\`${value}\``).join(', ')}`]
  }
  const place = explained.get(JSON.stringify([label, values]))
  if (place !== undefined) return [`- \`${label}\`: as for [\`${place}\`](#${place})`]
  explained.set(JSON.stringify([label, values]), metric)
  return entries.map(([value, meaning]) => `- \`${label}="${value}"\`${meaning === '' ? '' : `: ${meaning}`}`)
}

function listWords(words: readonly string[]): string {
  return listChoice(words.map((word) => `\`${word}\``))
}

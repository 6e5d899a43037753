import type { Metric, MetricSection } from '../../src/telemetry/metric.ts'
import { METRIC_SECTIONS } from '../../src/telemetry/metrics.ts'
import { DOCUMENT_INTRODUCTION } from './metrics-introduction.ts'

/** The text of `docs/metrics.md`. */
export function documentMetrics(): string {
  return [DOCUMENT_INTRODUCTION, ...METRIC_SECTIONS.map(documentSection)].join('\n')
}

function documentSection({ title, introduction, metrics }: MetricSection): string {
  const opening = introduction === undefined ? [] : [`${introduction}\n`]
  return [`## ${title}\n`, ...opening, ...Object.values(metrics).map(documentMetric)].join('\n')
}

function documentMetric(metric: Metric): string {
  const { name, kind, unit, labels = {}, buckets, meaning, reading, query, sources, scope } = metric
  const facts = [
    `- ${kind}${unit === undefined ? '' : `, ${unit}`}`,
    ...(buckets === undefined ? [] : [`- Buckets: ${buckets.map(String).join(', ')}`]),
    ...(sources === undefined ? [] : [`- Only with the source ${listWords(sources)}`]),
    ...(scope === 'process' ? ['- Of the process: not among the metrics of a library’s ring'] : []),
    ...(scope === 'hash-rings' ? ['- Only with `--hash-rings`'] : []),
    ...Object.entries(labels).flatMap(([label, values]) => documentLabel(label, values)),
  ]
  return [
    `### \`${name}\`\n`,
    `${meaning}\n`,
    ...(reading === undefined ? [] : [`${reading}\n`]),
    `${facts.join('\n')}\n`,
    ...(query === undefined ? [] : [`\`\`\`promql\n${query}\n\`\`\`\n`]),
  ].join('\n')
}

function documentLabel(label: string, values: NonNullable<Metric['labels']>[string]): string[] {
  if (typeof values === 'string') return [`- Label \`${label}\`: ${values}`]
  const entries = Object.entries(values)
  if (entries.every(([, meaning]) => meaning === '')) {
    return [`- Label \`${label}\`: ${entries.map(([value]) => `\`${value}\``).join(', ')}`]
  }
  return [
    `- Label \`${label}\`:`,
    ...entries.map(([value, meaning]) => `  - \`${value}\`${meaning === '' ? '' : `: ${meaning}`}`),
  ]
}

function listWords(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ')
}

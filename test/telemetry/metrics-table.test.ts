import { describe, expect, test } from 'vitest'
import { SOURCE_NAMES } from '../../src/config/member-settings.ts'
import { documentMetrics, METRIC_SECTIONS } from '../../tools/docs/metrics.ts'
import type { Metric } from '../../src/telemetry/metric.ts'
import { labelNamesOf, labelValuesOf } from '../support/metric-labels.ts'
import { METRICS } from '../../src/telemetry/metrics.ts'

const table: [string, Metric][] = Object.entries(METRICS)

/** What every exporter serves under these names. */
const STANDARD =
  /^(process_(cpu_seconds_total|start_time_seconds|resident_memory_bytes|open_fds|max_fds)|nodejs_[a-z_]+_bytes)$/

describe('the table of metrics', () => {
  test('has each name once', () => {
    const names = table.map(([, { name }]) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  test.each(table)('%s is named by the conventions of Prometheus', (_, metric) => {
    const { name, buckets, labels = {} } = metric
    expect(name).toMatch(/^[a-z]+(_[a-z0-9]+)*$/)
    if (!name.startsWith('ringman_')) expect(name).toMatch(STANDARD)
    expect(name).not.toMatch(/_(count|sum|bucket|milliseconds|ms|kib|mib|percent)(_total)?$/)
    expect(name).not.toMatch(/_(seconds|bytes|ratio)_(?!total$)/)
    if (buckets !== undefined) expect(name).not.toMatch(/_total$/)
    for (const label of Object.keys(labels)) {
      expect(label).toMatch(/^[a-z]+(_[a-z]+)*$/)
      expect(['le', 'quantile', 'job', 'instance', 'pod', 'namespace', 'key']).not.toContain(label)
    }
  })

  test.each(table.filter(([, { buckets }]) => buckets !== undefined))(
    '%s has ascending buckets',
    (_, { buckets = [] }) => {
      expect(buckets.length).toBeGreaterThan(3)
      expect(buckets.length).toBeLessThanOrEqual(12)
      expect([...buckets]).toEqual([...new Set(buckets)].toSorted((a, b) => a - b))
    },
  )

  test.each(table)('%s says what it means in a sentence', (_, { meaning, reading }) => {
    for (const text of [meaning, reading].filter((one) => one !== undefined)) {
      expect(text).toMatch(/^[^\n]+[.]$/)
    }
  })

  test('only a few labels have values that are not in the table', () => {
    const open = table.flatMap(([, metric]) =>
      Object.entries(metric.labels ?? {}).flatMap(([label, meaning]) =>
        // A HashRing's own name, of 2,000 at most.
        labelValuesOf(meaning) === undefined && metric.scope !== 'hash-rings'
          ? [`${metric.name} ${label}`]
          : [],
      ),
    )
    expect(open.toSorted()).toEqual([
      'ringman_build_info node_version',
      'ringman_build_info version',
      'ringman_gossip_key_info id',
      'ringman_gossip_key_info place',
      'ringman_http_requests_total route',
      'ringman_http_requests_total status',
      'ringman_ring_info digest',
    ])
    for (const [, metric] of table.filter(([, { scope }]) => scope === 'hash-rings')) {
      expect(['', 'state', 'ring_namespace ring']).toContain(labelNamesOf(metric).join(' '))
    }
    expect(labelNamesOf(METRICS.httpRequests)).toEqual(['route', 'method', 'status'])
  })

  test('names sources that there are', () => {
    const known = new Set<string>([...SOURCE_NAMES, 'kubernetes'])
    for (const [, { sources = [] }] of table) for (const source of sources) expect(known).toContain(source)
  })

  test('is in the sections, all of it', () => {
    const inSections = METRIC_SECTIONS.flatMap(({ metrics }) => Object.keys(metrics))
    expect(inSections.toSorted()).toEqual(Object.keys(METRICS).toSorted())
  })

  test('the first bucket of look-ups is 50 µs', () => {
    expect(METRICS.lookUpDuration.buckets[0]).toBe(50e-6)
  })
})

describe('docs/metrics.md', () => {
  test('is what the table says; `vitest run test/telemetry -u` writes it', async () => {
    await expect(documentMetrics()).toMatchFileSnapshot('../../docs/metrics.md')
  })

  test('names every metric', () => {
    const text = documentMetrics()
    for (const [, { name }] of table) expect(text).toContain(`### \`${name}\``)
  })
})

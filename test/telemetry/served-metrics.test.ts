import { describe, expect, onTestFinished, test } from 'vitest'
import { httpParts } from '../support/http-parts.ts'
import { healthIn } from '../../src/membership/condition.ts'
import type { SourceKind } from '../../src/membership/source.ts'
import { EventLoopDelay } from '../../src/telemetry/event-loop-delay.ts'
import type { ExpositionFormat } from '../../src/http/metrics-answer.ts'
import { kindOf, type Metric } from '../../src/telemetry/metric.ts'
import { labelNamesOf, labelValuesOf } from '../support/metric-labels.ts'
import { METRICS } from '../../src/telemetry/metrics.ts'
import { processCollector } from '../../src/telemetry/process-collector.ts'
import { RingMetrics } from '../../src/telemetry/ring-metrics.ts'
import { makeRing, THREE_MEMBERS } from '../http/running-ring.ts'
import { parseExposition, type ParsedMetric } from '../support/exposition.ts'
import { fakeMember } from '../support/fake-source.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { fullStatistics } from './full-statistics.ts'

const KINDS = ['memberlist', 'swim', 'sidecar', 'kubernetes', 'static'] as const
const FORMATS = ['prometheus', 'openmetrics'] as const

/** A ring of three members on a fake source with everything counted that its kind counts. */
async function ringWith(kind: SourceKind, options: { readonly process?: boolean } = {}) {
  const clock = new VirtualClock()
  const made = makeRing({ kind, selfName: 'node1', clock })
  made.source.statisticsNow = fullStatistics(kind)
  const metrics = new RingMetrics({
    ring: made.ring,
    clock,
    ...(options.process === true
      ? {
          processCollectors: [
            () => ({ ready: [{ value: 1 }] }),
            () => new EventLoopDelay().collect(),
            processCollector(() => httpParts().ledger.counts()),
          ],
        }
      : {}),
  })
  onTestFinished(() => made.ring.stop())
  await clock.during(0, made.ring.start())
  return { ...made, clock, metrics }
}

async function scrape(metrics: RingMetrics, format: ExpositionFormat = 'prometheus') {
  return parseExposition((await metrics.write(format)).body, format)
}

/** What the table has for a source, by name. */
function inTable(kind: SourceKind, scope: 'ring' | 'process'): Map<string, Metric> {
  const rows = Object.values<Metric>(METRICS).filter(
    (metric) => (metric.sources ?? KINDS).includes(kind) && [undefined, 'ring', scope].includes(metric.scope),
  )
  return new Map(rows.map((metric) => [metric.name, metric]))
}

describe.each(KINDS)('with the source %s', (kind) => {
  test.each(FORMATS)(
    'what is served in %s is what the table has, and the other way round',
    async (format) => {
      const { metrics } = await ringWith(kind, { process: true })
      const served = await scrape(metrics, format)
      const table = inTable(kind, 'process')
      const nameOf = (metric: Metric) =>
        format === 'openmetrics' && kindOf(metric) === 'counter'
          ? metric.name.replace(/_total$/, '')
          : metric.name
      expect([...served.keys()]).toEqual([...table.values()].map(nameOf))
      for (const metric of table.values()) checkAgainstTable(served.get(nameOf(metric)), metric)
    },
  )

  test('every row of the table has series', async () => {
    const { source, metrics } = await ringWith(kind, { process: true })
    const without = async () =>
      Array.from(await scrape(metrics)).flatMap(([name, { samples }]) => (samples.length === 0 ? [name] : []))
    // Comes with its first request.
    expect(await without()).toEqual(['ringman_http_requests_total'])
    // What a source has not counted, or cannot say now, is named and has no value.
    source.statisticsNow = {}
    for (const name of await without()) {
      expect(name).toMatch(/^ringman_(http_requests|source_staleness|seed|joins|gossip|sidecar|kubernetes)/)
    }
  })

  test('a library’s ring serves what is the ring’s', async () => {
    const { metrics } = await ringWith(kind)
    expect([...(await scrape(metrics)).keys()]).toEqual([...inTable(kind, 'ring').keys()])
  })
})

function checkAgainstTable(served: ParsedMetric | undefined, metric: Metric): void {
  expect(served).toMatchObject({ type: kindOf(metric), help: metric.meaning })
  const { labels: meanings = {}, buckets } = metric
  for (const { labels } of served?.samples ?? []) {
    const names = Object.keys(labels).filter((name) => name !== 'le' || buckets === undefined)
    expect(names.toSorted()).toEqual(labelNamesOf(metric).toSorted())
    for (const name of names) {
      const allowed = labelValuesOf(meanings[name] ?? '')
      if (allowed !== undefined) expect(allowed).toContain(labels[name])
    }
  }
  const bounds = served?.samples.flatMap(({ labels }) => (labels['le'] === undefined ? [] : [labels['le']]))
  if (buckets !== undefined) {
    expect([...new Set(bounds)]).toEqual([...buckets.map(String), '+Inf'])
  }
}

describe('values', () => {
  const valuesOf = (served: Map<string, ParsedMetric>, name: string) =>
    Object.fromEntries(
      (served.get(name)?.samples ?? []).map(({ labels, value }) => [Object.values(labels).join(' '), value]),
    )

  test('of the ring are those of its snapshot', async () => {
    const { ring, source, metrics, clock } = await ringWith('memberlist')
    source.set([
      ...THREE_MEMBERS.slice(0, 2),
      fakeMember('node3', '127.0.0.3', { state: 'dead' }),
      fakeMember('node4', '127.0.0.4', { state: 'suspect', weight: 3 }),
    ])
    await clock.advance(10)
    const served = await scrape(metrics)
    const { ring: current } = ring.manager.snapshot
    expect(valuesOf(served, 'ringman_members')).toEqual({ alive: 2, suspect: 1, dead: 1, left: 0 })
    expect(valuesOf(served, 'ringman_ring_nodes')).toEqual({ '': 3 })
    expect(valuesOf(served, 'ringman_ring_points')).toEqual({ '': current.pointCount })
    expect(valuesOf(served, 'ringman_ring_epoch')).toEqual({ '': 2 })
    expect(valuesOf(served, 'ringman_ring_info')).toEqual({ [current.digest]: 1 })
    expect(valuesOf(served, 'ringman_ring_share_ratio')).toEqual({
      '': current.shares().get('127.0.0.1:8000'),
    })
    expect(valuesOf(served, 'ringman_ring_balance_ratio')['']).toBeCloseTo(
      Math.max(...current.shares().values()) * 3,
      12,
    )
    expect(valuesOf(served, 'ringman_ring_changes_total')).toMatchObject({ joined: 2, dead: 1, left: 0 })
    expect(valuesOf(served, 'ringman_ring_last_change_timestamp_seconds')).toEqual({
      '': Date.UTC(2026, 0, 1) / 1000 + ring.manager.snapshot.changedAtMs / 1000,
    })
  })

  test('of the manager say whether it answers', async () => {
    const { ring, metrics } = await ringWith('static')
    const running = await scrape(metrics)
    expect(valuesOf(running, 'ringman_manager_up')).toEqual({ '': 1 })
    expect(valuesOf(running, 'ringman_manager_ping_seconds')).toEqual({ '': 0 })
    expect(valuesOf(running, 'ringman_manager_mailbox_depth')).toEqual({ '': 0 })
    await ring.stop()
    const stopped = await scrape(metrics)
    expect(valuesOf(stopped, 'ringman_manager_up')).toEqual({ '': 0 })
    expect(valuesOf(stopped, 'ringman_manager_ping_seconds')).toEqual({})
  })

  test('of the source are those that it counted', async () => {
    const { source, metrics } = await ringWith('memberlist')
    source.healthNow = healthIn('alone', 'Alone')
    const served = await scrape(metrics)
    expect(valuesOf(served, 'ringman_condition')).toMatchObject({ alone: 1, well: 0, draining: 0 })
    const expected = {
      ringman_source_ok: { memberlist: 0 },
      ringman_source_staleness_seconds: { memberlist: 1.5 },
      ringman_seeds: { resolved: 2, unresolved: 1 },
      ringman_seed_addresses: { '': 4 },
      ringman_joins_total: { completed: 15, failed: 16, refused: 24 },
      ringman_gossip_packets_total: { sent: 1, received: 2 },
      ringman_gossip_messages_total: { 'ping sent': 3, 'ping received': 4 },
      ringman_gossip_message_bytes_total: { 'ping sent': 300, 'ping received': 400 },
      ringman_gossip_bytes_total: { 'udp sent': 5, 'udp received': 6, 'tcp sent': 17, 'tcp received': 18 },
      ringman_gossip_drops_total: { 'label-differs': 7, malformed: 0 },
      ringman_gossip_send_failures_total: { '': 8 },
      ringman_gossip_probes_total: { direct: 19, relay: 20, stream: 21, failed: 22 },
      ringman_gossip_suspicions_total: { '': 9 },
      ringman_gossip_refutations_total: { '': 10 },
      ringman_gossip_declared_dead_total: { silence: 11, refusal: 23 },
      ringman_gossip_conflicts_total: { '': 12 },
      ringman_gossip_health_score: { '': 1 },
      ringman_gossip_push_pulls_total: { completed: 24, failed: 25, answered: 26 },
      ringman_gossip_queue_depth: { '': 27 },
      ringman_gossip_queue_drops_total: { full: 28, 'too-large': 29 },
      ringman_gossip_udp_blocked_members: { '': 29 },
      ringman_gossip_stalls_total: { '': 13 },
      ringman_gossip_stalled_seconds_total: { '': 1.4 },
    }
    for (const [name, values] of Object.entries(expected))
      expect(valuesOf(served, name), name).toEqual(values)
    expect(valuesOf(served, 'ringman_gossip_probe_duration_seconds')).toMatchObject({
      '0.0005': 1,
      '0.5': 1,
      '1': 2,
      '+Inf': 2,
    })
    expect(valuesOf(served, 'ringman_gossip_push_pull_bytes')).toMatchObject({
      'sent 256': 0,
      'sent 1024': 1,
      'received 4194304': 0,
      'received +Inf': 1,
    })
  })

  test('of Sidecar and Kubernetes too', async () => {
    const sidecar = await ringWith('sidecar')
    const one = await scrape(sidecar.metrics)
    expect(valuesOf(one, 'ringman_sidecar_fetches_total')).toEqual({ completed: 30, failed: 31 })
    expect(valuesOf(one, 'ringman_sidecar_updates_total')).toEqual({
      accepted: 32,
      ignored: 33,
      refused: 34,
      folded: 35,
    })
    expect(valuesOf(one, 'ringman_sidecar_stream_up')).toEqual({ '': 1 })
    expect(valuesOf(one, 'ringman_sidecar_skipped_instances')).toEqual({ '': 36 })
    const kubernetes = await ringWith('kubernetes')
    const other = await scrape(kubernetes.metrics)
    expect(valuesOf(other, 'ringman_kubernetes_lists_total')).toEqual({ '': 37 })
    expect(valuesOf(other, 'ringman_kubernetes_watches_total')).toEqual({ '': 38 })
    expect(valuesOf(other, 'ringman_kubernetes_events_total')).toEqual({ change: 39, bookmark: 40 })
    expect(valuesOf(other, 'ringman_kubernetes_failures_total')).toEqual({ '': 41 })
  })

  test('a process that is no member has no share; one that left has none of the circle', async () => {
    const watcher = makeRing({ kind: 'sidecar' })
    const clock = new VirtualClock()
    const metrics = new RingMetrics({ ring: watcher.ring, clock })
    await watcher.ring.start()
    expect(valuesOf(await scrape(metrics), 'ringman_ring_share_ratio')).toEqual({})
    await watcher.ring.stop()
    const member = await ringWith('swim')
    await member.clock.during(10, member.ring.leave())
    const served = await scrape(member.metrics)
    expect(valuesOf(served, 'ringman_ring_share_ratio')).toEqual({ '': 0 })
    expect(valuesOf(served, 'ringman_ring_changes_total')).toMatchObject({ left: 1 })
  })
})

describe('series', () => {
  test('of departed members and of old digests go away', async () => {
    const { ring, source, metrics, clock } = await ringWith('memberlist')
    const before = await scrape(metrics)
    const count = (served: Map<string, ParsedMetric>) =>
      [...served.values()].reduce((sum, { samples }) => sum + samples.length, 0)
    for (let round = 0; round < 50; round++) {
      source.set([...THREE_MEMBERS, fakeMember(`extra${round}`, `10.1.0.${round}`)])
      await clock.advance(10)
    }
    const after = await scrape(metrics)
    expect(count(after)).toBe(count(before))
    expect(after.get('ringman_ring_info')?.samples).toEqual([
      { name: 'ringman_ring_info', labels: { digest: ring.manager.snapshot.ring.digest }, value: 1 },
    ])
  })

  test('can carry labels that tell rings apart', async () => {
    const { metrics } = await ringWith('static')
    const { body } = await metrics.write('prometheus', { ring: 'a"b\\c\nd' })
    for (const { samples } of parseExposition(body, 'prometheus').values()) {
      for (const { labels } of samples) expect(labels['ring']).toBe('a"b\\c\nd')
    }
  })

  test('of several rings in a process are each ring’s own', async () => {
    const one = await ringWith('static')
    const two = await ringWith('static')
    two.source.set(THREE_MEMBERS.slice(0, 1))
    await two.clock.advance(10)
    const nodes = async (metrics: RingMetrics) =>
      (await scrape(metrics)).get('ringman_ring_nodes')?.samples[0]?.value
    expect([await nodes(one.metrics), await nodes(two.metrics)]).toEqual([3, 1])
  })
})

test('scrapers that come together share one text', async () => {
  const { metrics } = await ringWith('static')
  const texts = await Promise.all(Array.from({ length: 50 }, () => metrics.write('prometheus')))
  expect(new Set(texts).size).toBe(1)
  expect(await metrics.write('prometheus')).not.toBe(texts[0])
})

import { expect, test } from 'vitest'
import { WorkloadRing } from '../../src/rings/workload-ring.ts'
import type { NamedRings, NamedRingSummary } from '../../src/service/named-rings.ts'
import { collectHashRings } from '../../src/telemetry/hash-ring-collector.ts'
import type { Metric } from '../../src/telemetry/metric.ts'
import { METRICS } from '../../src/telemetry/metrics.ts'
import { RingMetrics } from '../../src/telemetry/ring-metrics.ts'
import { makeRing } from '../http/running-ring.ts'
import { PHASES } from '../membership/kubernetes/slice-fixtures.ts'
import { HashRingWorld } from '../rings/hash-ring-world.ts'
import { parseExposition } from '../support/exposition.ts'

const serving = (...names: readonly string[]) =>
  names.map((name, i) => ({ name, address: `10.0.0.${i + 1}`, ...PHASES.serving }))

test('each ring has series with its namespace and its name, and none once it is gone', async () => {
  const world = new HashRingWorld()
  world.putRing('shop/cache')
  world.putRing('shop/absent', { service: { name: 'absent' } })
  world.putRing('ops/wrong', { service: { name: 'x' }, brake: 'much' })
  world.putSlice('shop', 'cache', serving('a', 'b', 'c'))
  const rings = await world.pod()
  const writer = world.writer(rings)
  await world.clock.advance(5000)
  const { ring } = makeRing({ clock: world.clock })
  const metrics = new RingMetrics({
    ring,
    clock: world.clock,
    hashRings: { rings, settled: (name) => writer.settled(name), statusWrites: () => writer.writes },
  })
  const served = async () => {
    const found = new Map<string, number>()
    const parsed = parseExposition((await metrics.write('prometheus')).body, 'prometheus')
    for (const { samples } of parsed.values()) {
      for (const { name, labels, value } of samples) {
        if (name.startsWith('ringman_hash_ring'))
          found.set([name.slice('ringman_hash_ring'.length), ...Object.values(labels)].join(' '), value)
      }
    }
    return Object.fromEntries(found)
  }
  const before = await served()
  expect(before).toMatchObject({
    's well': 1,
    's not-accepted': 2,
    's braked': 0,
    s_without_series: 0,
    _status_writes_total: writer.writes,
    '_accepted shop cache': 1,
    '_accepted shop absent': 0,
    '_accepted ops wrong': 0,
    '_braked shop cache': 0,
    '_settled shop cache': 1,
    '_version shop cache': 1,
    '_nodes shop cache': 3,
    '_nodes shop absent': 0,
    '_held_nodes shop cache': 0,
    '_changes_total shop cache': 1,
    '_keys_moved_ratio_total shop cache': 0,
  })
  expect(before).not.toHaveProperty('_nodes ops wrong')
  expect(before['_balance_ratio shop cache']).toBeGreaterThan(1)
  const wallSeconds = world.clock.wallNow() / 1000
  expect(wallSeconds - before['_last_change_timestamp_seconds shop cache']!).toBeLessThan(7)

  world.putSlice('shop', 'cache', [
    ...serving('a'),
    ...['b', 'c'].map((name) => ({ name, address: '10.0.0.9', ...PHASES.unready })),
  ])
  await world.clock.advance(1000)
  expect(await served()).toMatchObject({
    's braked': 1,
    '_braked shop cache': 1,
    '_held_nodes shop cache': 2,
    '_nodes shop cache': 3,
  })

  world.removeRing('shop/cache')
  await world.clock.advance(1000)
  const after = await served()
  expect(Object.keys(after).filter((name) => name.includes('shop cache'))).toEqual([])
  expect(after['s braked']).toBe(0)
})

test('serves what the table has, and nothing of it where there are no such rings', async () => {
  const world = new HashRingWorld()
  const rings = await world.pod()
  const { ring } = makeRing({ clock: world.clock })
  const hashRings = { rings, settled: () => undefined, statusWrites: () => 0 }
  const namesOf = async (metrics: RingMetrics) =>
    [...parseExposition((await metrics.write('prometheus')).body, 'prometheus').keys()].filter((name) =>
      name.startsWith('ringman_hash_ring'),
    )
  const table = Object.values<Metric>(METRICS).filter(({ scope }) => scope === 'hash-rings')
  expect(await namesOf(new RingMetrics({ ring, clock: world.clock, hashRings }))).toEqual(
    table.map(({ name }) => name),
  )
  expect(await namesOf(new RingMetrics({ ring, clock: world.clock }))).toEqual([])
})

test('no more than 2,000 rings have series, those that are not well before the others', async () => {
  const world = new HashRingWorld()
  const nodes = [{ ringKey: 'a', weight: 1 }]
  const kept = { ringKey: 'name', braked: false, nodes } as const
  const ring = WorkloadRing.taken('shop/ring', kept, 'another', world)
  const summaries = Array.from({ length: 2500 }, (_, i): NamedRingSummary => ({
    name: `shop/ring-${i}`,
    accepted: i !== 2400,
    reason: undefined,
    ring: i === 2400 ? undefined : ring,
  }))
  const rings = { known: () => summaries } as unknown as NamedRings
  const { hashRingAccepted = [], hashRingsOmitted } = await collectHashRings(
    { rings, settled: () => undefined, statusWrites: () => 0 },
    world.clock,
  )
  expect(hashRingAccepted).toHaveLength(2000)
  expect(hashRingAccepted[0]).toMatchObject({ value: 0, labels: { ring: 'ring-2400' } })
  expect(hashRingsOmitted).toEqual([{ value: 500 }])
})

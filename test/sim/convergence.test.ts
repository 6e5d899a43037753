import { describe, expect, test } from 'vitest'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import { GOOD_LAN } from '../../lab/sim/sim-network.ts'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'
import { simSeed } from '../../lab/sim/seeded-random.ts'

const ROUGH = {
  lossRate: 0.1,
  minDelayMs: 0.2,
  maxDelayMs: 40,
  duplicateRate: 0.05,
  reorderRate: 0.2,
  reorderDelayMs: 100,
}

describe('joining', () => {
  test.each([3, 10, 30, 100])('%i members that start together all see each other', (count) => {
    const cluster = new SimCluster(simSeed(count))
    cluster.startMany(count)
    const tookMs = cluster.runUntil(() => cluster.isConverged(), 15_000)
    expect(tookMs, `seed ${cluster.seed}`).toBeDefined()
  })

  test.each([true, false])('120 members that start at once from one seed (with keys: %s)', (keyed) => {
    const cluster = new SimCluster(simSeed(120), { ...PRESETS.lan, keyed })
    cluster.startMany(120, 500, 1)
    const tookMs = cluster.runUntil(() => cluster.isConverged(), 5000)
    expect(tookMs, `seed ${cluster.seed}`).toBeDefined()
    // States are exchanged while new members come, and not afterwards.
    cluster.run(2000)
    const exchanged = () =>
      cluster.running.reduce((sum, { protocol }) => sum + protocol.counters.pushPullsStarted, 0)
    const before = exchanged()
    cluster.run(5000)
    expect(exchanged() - before, `seed ${cluster.seed}`).toBeLessThan(40)
  })

  test('members converge on a network that loses, delays, doubles and reorders', () => {
    const cluster = new SimCluster(simSeed(1), undefined, ROUGH)
    cluster.startMany(30)
    expect(
      cluster.runUntil(() => cluster.isConverged(), 60_000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
  })

  test('a new member is seen by all of ten within half a second', () => {
    const cluster = new SimCluster(simSeed(2))
    const [first] = cluster.startMany(10)
    cluster.run(20_000)
    cluster.start('late', { seeds: [first!.endpoint] })
    expect(
      cluster.runUntil(() => cluster.isConverged(), 500),
      `seed ${cluster.seed}`,
    ).toBeDefined()
  })

  test('members whose seeds were not there at first find each other later', () => {
    const cluster = new SimCluster(simSeed(3))
    const late = cluster.endpoint()
    cluster.network.hostUp(late.address)
    const early = Array.from({ length: 4 }, (_, i) => cluster.start(`early-${i}`, { seeds: [late] }))
    cluster.run(30_000)
    for (const member of early) expect(member.protocol.livingCount).toBe(1)
    cluster.start('late', { endpoint: late })
    expect(
      cluster.runUntil(() => cluster.isConverged(), 20_000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
  })

  test('metadata of an update reaches everybody', () => {
    const cluster = new SimCluster(simSeed(4), undefined, ROUGH)
    const [first] = cluster.startMany(20)
    cluster.run(10_000)
    const meta = new TextEncoder().encode('{"ServicePort":"9000"}')
    first!.handle({ kind: 'update-metadata', meta })
    const seen = () =>
      cluster.running.every((member) => member.protocol.member(first!.name)?.meta.join() === meta.join())
    expect(cluster.runUntil(seen, 35_000), `seed ${cluster.seed}`).toBeDefined()
  })

  test('a user broadcast goes to as many different members as the limit says', () => {
    const cluster = new SimCluster(simSeed(5))
    const [first] = cluster.startMany(20)
    cluster.run(10_000)
    const heard = new Set<string>()
    for (const member of cluster.running) {
      member.onEffect = (effect) => {
        if (effect.kind === 'user-message' && effect.payload[0] === 7) heard.add(member.name)
      }
    }
    first!.handle({ kind: 'broadcast', id: 1, payload: Uint8Array.of(7) })
    cluster.run(3000)
    // The machine sends an application's message itself and does not relay those of others, as memberlist does not.
    expect(heard.size).toBeGreaterThanOrEqual(10)
    expect(heard.size).toBeLessThanOrEqual(12)
    expect(heard.has(first!.name)).toBe(false)
  })
})

describe('load', () => {
  test('packets that a member sends per second do not grow with the cluster', () => {
    const rates = [10, 40, 120].map((count) => {
      const cluster = new SimCluster(simSeed(6))
      cluster.startMany(count)
      cluster.run(30_000)
      const before = cluster.network.packetsSent
      cluster.run(30_000)
      return (cluster.network.packetsSent - before) / 30 / count
    })
    for (const rate of rates) {
      expect(rate).toBeGreaterThan(1.5)
      // A ping and an ack each second.
      expect(rate).toBeLessThan(2.2)
    }
  })

  test('under loss too a member sends no more than its rounds allow, however large the cluster', () => {
    for (const count of [20, 80]) {
      const cluster = new SimCluster(simSeed(7))
      cluster.startMany(count)
      cluster.run(20_000)
      cluster.network.conditions = { ...GOOD_LAN, lossRate: 0.2 }
      cluster.run(10_000)
      const before = cluster.network.packetsSent
      cluster.run(30_000)
      // Gossip to three members five times a second, and probes, their answers, and those for others.
      expect((cluster.network.packetsSent - before) / 30 / count).toBeLessThan(15 + 6)
    }
  })
})

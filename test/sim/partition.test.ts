import { describe, expect, test } from 'vitest'
import { simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import type { SimMember } from '../../lab/sim/sim-member.ts'

function split(members: readonly SimMember[], sizes: readonly number[]): SimMember[][] {
  let from = 0
  return sizes.map((size) => members.slice(from, (from += size)))
}

describe('partitions heal', () => {
  test.each([
    [[5, 5], 60_000],
    [[9, 1], 60_000],
    [[1, 1, 1], 90_000],
    [[4, 3, 3], 300_000],
    [[20, 20], 60_000],
    [[30, 10], 600_000],
  ] as const)('%j for %i ms', (sizes, durationMs) => {
    const count = sizes.reduce((sum, size) => sum + size, 0)
    const cluster = SimCluster.settled(simSeed(count), count)
    const groups = split(cluster.running, sizes)
    cluster.partition(groups)
    cluster.run(durationMs)
    for (const group of groups) {
      // One member alone blames itself first (Lifeguard) and takes minutes to give up on many others.
      if (group.length === 1 && count > 3) continue
      for (const member of group)
        expect(member.protocol.livingCount, `seed ${cluster.seed}`).toBe(group.length)
    }
    cluster.heal()
    const tookMs = cluster.runUntil(() => cluster.isConverged(), 60_000)
    expect(tookMs, `seed ${cluster.seed}`).toBeDefined()
    expect(tookMs).toBeLessThan(30_000)
    cluster.run(20_000)
    expect(cluster.isConverged(), `seed ${cluster.seed}`).toBe(true)
  })

  test('of a random shape, again and again', () => {
    const cluster = SimCluster.settled(simSeed(77), 16)
    for (let round = 0; round < 6; round++) {
      const groups: SimMember[][] = [[], [], []]
      for (const member of cluster.running) groups[Math.floor(cluster.random() * 3)]!.push(member)
      cluster.partition(groups)
      cluster.run(5000 + cluster.random() * 60_000)
      cluster.heal()
      expect(
        cluster.runUntil(() => cluster.isConverged(), 60_000),
        `seed ${cluster.seed}, round ${round}`,
      ).toBeDefined()
    }
  })

  test('who was cut off talks the others out of nobody when it is back', () => {
    for (let trial = 0; trial < 40; trial++) {
      const cluster = SimCluster.settled(simSeed(900 + trial), 10)
      const [lone, ...others] = cluster.running.toReversed()
      cluster.partition([others, [lone!]])
      // Long enough for the others to give it up, not for it to give up all of them: it suspects some when it is back.
      cluster.run(10_000 + 40_000 * cluster.random())
      cluster.falseRemovals.length = 0
      cluster.heal()
      const tookMs = cluster.runUntil(() => cluster.isConverged(), 60_000)
      expect(tookMs, `seed ${cluster.seed}`).toBeDefined()
      cluster.run(10_000)
      expect(cluster.isConverged(), `seed ${cluster.seed}`).toBe(true)
      expect(
        cluster.falseRemovals.filter(({ by }) => by !== lone!.name),
        `seed ${cluster.seed}`,
      ).toEqual([])
    }
  })

  test('a link between two members that is down parts nobody', () => {
    const cluster = SimCluster.settled(simSeed(78), 6)
    const [a, b] = [cluster.get('node-1').endpoint.address, cluster.get('node-2').endpoint.address]
    cluster.network.passes = (from, to) => !((from === a && to === b) || (from === b && to === a))
    cluster.run(120_000)
    expect(cluster.isConverged()).toBe(true)
    expect(cluster.running.every((member) => member.protocol.counters.declaredDead === 0)).toBe(true)
  })

  test('a way that is open in one direction only is closed, and heals', () => {
    const cluster = SimCluster.settled(simSeed(79), 8)
    const deaf = cluster.get('node-1').endpoint.address
    cluster.network.passes = (_, to) => to !== deaf
    cluster.run(60_000)
    for (const member of cluster.running) {
      if (member.name !== 'node-1') expect(cluster.lists(member, 'node-1')).toBe(false)
    }
    cluster.heal()
    expect(
      cluster.runUntil(() => cluster.isConverged(), 60_000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
  })

  test('two clusters that never knew each other merge when one gets a seed of the other', () => {
    const cluster = SimCluster.settled(simSeed(80), 4)
    const first = cluster.start('other-0')
    cluster.start('other-1', { seeds: [first.endpoint] })
    cluster.run(10_000)
    expect(first.protocol.livingCount).toBe(2)
    first.handle({ kind: 'join', seeds: [cluster.get('node-0').endpoint] })
    expect(
      cluster.runUntil(() => cluster.isConverged(), 5000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
  })
})

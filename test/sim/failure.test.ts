import { describe, expect, test } from 'vitest'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'
import { memberlistLike } from '../../lab/sim/other-rules.ts'
import { simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import type { SimMember } from '../../lab/sim/sim-member.ts'
import { GOOD_LAN } from '../../lab/sim/sim-network.ts'

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}

/** Times until a killed member is gone everywhere, over some seeds. */
function removalTimes(
  count: number,
  seeds: number,
  kill: (cluster: SimCluster, victim: SimMember) => void,
): number[] {
  return Array.from({ length: seeds }, (_, i) => {
    const cluster = SimCluster.settled(simSeed(100 + i), count)
    const victim = cluster.get('node-1')
    kill(cluster, victim)
    const tookMs = cluster.runUntil(() => cluster.isGoneEverywhere(victim.name), 60_000)
    expect(tookMs, `seed ${cluster.seed}`).toBeDefined()
    expect(cluster.falseRemovals, `seed ${cluster.seed}`).toEqual([])
    return tookMs!
  })
}

describe('detection', () => {
  test.each([
    [3, 3200],
    [10, 3900],
  ])(
    'a process killed on a living host is gone from %i members in half of the time of Go',
    (count, limitMs) => {
      const times = removalTimes(count, 20, (_, victim) => {
        victim.kill()
      })
      expect(median(times)).toBeLessThan(limitMs)
    },
  )

  test('the same holds after others have left', () => {
    const times = Array.from({ length: 20 }, (_, i) => {
      const cluster = SimCluster.settled(simSeed(200 + i), 5)
      for (const name of ['node-3', 'node-4']) {
        cluster.get(name).handle({ kind: 'leave' })
        cluster.run(500)
        cluster.get(name).kill()
      }
      cluster.run(1000)
      cluster.get('node-1').kill()
      return cluster.runUntil(() => cluster.isGoneEverywhere('node-1'), 60_000)!
    })
    expect(median(times)).toBeLessThan(3200)
  })

  test('a silent host takes the shortest suspicion, not longer after others have left', () => {
    const times = Array.from({ length: 10 }, (_, i) => {
      const cluster = SimCluster.settled(simSeed(300 + i), 5)
      for (const name of ['node-3', 'node-4']) {
        cluster.get(name).handle({ kind: 'leave' })
        cluster.run(500)
        cluster.get(name).kill()
      }
      const victim = cluster.get('node-1')
      victim.kill()
      cluster.network.hostDown(victim.endpoint.address)
      return cluster.runUntil(() => cluster.isGoneEverywhere('node-1'), 60_000)!
    })
    expect(Math.max(...times)).toBeLessThan(9000)
  })

  test('a member whose TCP port refuses but that answers pings stays, under loss too', () => {
    const cluster = SimCluster.settled(simSeed(1), 8)
    cluster.network.conditions = { ...GOOD_LAN, lossRate: 0.2 }
    cluster.network.tcpRefusedAt.add(cluster.get('node-1').endpoint.address)
    cluster.run(300_000)
    expect(cluster.falseRemovals, `seed ${cluster.seed}`).toEqual([])
    const declaredDead = cluster.running.map((member) => member.protocol.counters.declaredDead)
    expect(declaredDead.every((count) => count === 0)).toBe(true)
  })

  test('a member that answers over TCP only stays', () => {
    const cluster = SimCluster.settled(simSeed(2), 5)
    cluster.network.udpBlocked = true
    cluster.run(60_000)
    expect(cluster.isConverged()).toBe(true)
  })
})

describe('no false removals', () => {
  test.each([
    [0.1, 30],
    [0.25, 50],
    [0.25, 12],
    [0.25, 5],
    [0.4, 30],
  ])('at %f loss among %i members for ten minutes', (lossRate, count) => {
    const cluster = SimCluster.settled(simSeed(3), count)
    cluster.network.conditions = {
      ...GOOD_LAN,
      lossRate,
      reorderRate: 0.1,
      reorderDelayMs: 20,
      duplicateRate: 0.02,
    }
    cluster.run(600_000)
    expect(cluster.falseRemovals, `seed ${cluster.seed}`).toEqual([])
  })

  test("by memberlist's rules, as beside Go members, suspects hear of it in time at 25 % loss", () => {
    const cluster = SimCluster.settled(simSeed(7), 50, memberlistLike(PRESETS.lan))
    cluster.network.conditions = { ...GOOD_LAN, lossRate: 0.25 }
    cluster.run(120_000)
    expect(cluster.falseRemovals, `seed ${cluster.seed}`).toEqual([])
  })

  test('while members stall for seconds: nobody is declared dead by the stalled', () => {
    const cluster = SimCluster.settled(simSeed(5), 20)
    const slow = cluster.running.slice(0, 4)
    for (let round = 0; round < 30; round++) {
      for (const member of slow) member.freeze()
      cluster.run(1000 + 1000 * cluster.random())
      for (const member of slow) member.thaw()
      cluster.run(2000 + 1000 * cluster.random())
    }
    expect(cluster.falseRemovals, `seed ${cluster.seed}`).toEqual([])
    expect(slow.every((member) => member.protocol.counters.stalls > 10)).toBe(true)
  })

  test('a member frozen for long is removed, and back at once when it goes on, without suspecting others', () => {
    const cluster = SimCluster.settled(simSeed(6), 10)
    const frozen = cluster.get('node-1')
    frozen.freeze()
    cluster.run(20_000)
    expect(cluster.isGoneEverywhere('node-1')).toBe(true)
    const before = cluster.falseRemovals.length
    frozen.thaw()
    expect(
      cluster.runUntil(() => cluster.isConverged(), 3000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
    cluster.run(20_000)
    expect(cluster.isConverged()).toBe(true)
    expect(cluster.falseRemovals.slice(before)).toEqual([])
    expect(frozen.protocol.counters.declaredDead).toBe(0)
  })
})

test('each member is watched by exactly one other, and by the next one when its watcher goes', () => {
  const cluster = SimCluster.settled(simSeed(41), 30)
  const watchers = () => {
    const pings = new Map<string, number>()
    for (const member of cluster.running) {
      member.onEffect = (effect) => {
        if (effect.kind !== 'probe-finished') return
        const pair = `${member.name} ${effect.member.name}`
        pings.set(pair, (pings.get(pair) ?? 0) + 1)
      }
    }
    cluster.run(30_000)
    const watched = [...pings].filter(([, count]) => count >= 15).map(([pair]) => pair.split(' '))
    return new Map(watched.map(([watcher = '', member = '']) => [member, watcher]))
  }
  const before = watchers()
  expect([...before.keys()].toSorted()).toEqual([...cluster.members.keys()].toSorted())
  expect(new Set(before.values()).size).toBe(30)
  const gone = before.get('node-7')!
  cluster.get(gone).kill()
  cluster.run(10_000)
  const after = watchers()
  expect(after.get('node-7')).toBe(before.get(gone))
  expect(after.size).toBe(29)
})

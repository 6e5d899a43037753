import { describe, expect, test } from 'vitest'
import { simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'

describe.each([true, false])('a member that advertises an address where it is not, keys: %s', (keyed) => {
  test('knows it, comes onto rings less and less often, and is taken once it is reached there', () => {
    const cluster = SimCluster.settled(simSeed(100), 6, { ...PRESETS.lan, keyed })
    const advertise = cluster.endpoint()
    const rest = [...cluster.running]
    const joins: number[] = []
    for (const member of rest) {
      member.onEffect = (effect) => {
        if (effect.kind === 'member-changed' && effect.member.name === 'lost' && effect.change === 'joined')
          joins.push(cluster.nowMs)
      }
    }
    const startedMs = cluster.nowMs
    const lost = cluster.start('lost', { seeds: [rest[0]!.endpoint], advertise })
    expect(
      cluster.runUntil(() => lost.protocol.isUnreached, 90_000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
    cluster.run(600_000)
    expect(lost.protocol.isUnreached).toBe(true)
    for (const member of rest) expect(member.protocol.isUnreached).toBe(false)
    // Each of the others took it once when it was new, and once more at most on the word of another.
    expect(joins.length).toBeLessThanOrEqual(2 * rest.length)
    expect(joins.filter((atMs) => atMs - startedMs > 60_000)).toEqual([])
    expect(cluster.falseRemovals.filter(({ member }) => member !== 'lost')).toEqual([])
    // Now its address leads to it.
    cluster.network.alias(advertise, lost.endpoint)
    const listed = () => rest.every((member) => cluster.lists(member, 'lost'))
    expect(cluster.runUntil(listed, 320_000), `seed ${cluster.seed}`).toBeDefined()
    cluster.run(30_000)
    expect(listed()).toBe(true)
    expect(lost.protocol.isUnreached).toBe(false)
  })

  test('a member that died and comes back is asked before it has its place again, with keys by a few and not by all', () => {
    const cluster = SimCluster.settled(simSeed(101), 30, { ...PRESETS.lan, keyed })
    // So that everybody has once had an answer from everybody.
    cluster.run(90_000)
    const { endpoint } = cluster.get('node-1')
    cluster.get('node-1').kill()
    cluster.run(30_000)
    expect(cluster.isGoneEverywhere('node-1')).toBe(true)
    const askers = new Set<string>()
    for (const member of cluster.running) {
      member.onEffect = (effect) => {
        if (
          effect.kind === 'send-packet' &&
          effect.messages.some((message) => message.kind === 'ping' && message.node === 'node-1') &&
          !cluster.lists(member, 'node-1')
        )
          askers.add(member.name)
      }
    }
    cluster.start('node-1', { endpoint, seeds: [cluster.get('node-0').endpoint] })
    expect(
      cluster.runUntil(() => cluster.isConverged(), 3000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
    // With keys none has to ask where the first that hears of it is the seed, which it connected to.
    if (keyed) expect(askers.size).toBeLessThan(15)
    else expect(askers.size).toBeGreaterThan(0)
    cluster.run(20_000)
    expect(cluster.isConverged()).toBe(true)
  })
})

import { describe, expect, test } from 'vitest'
import { simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import { GOOD_LAN } from '../../lab/sim/sim-network.ts'

describe('leaving', () => {
  test.each([0, 0.2])(
    'everybody shows the member as left, and a peer acknowledged it, at loss %f',
    (lossRate) => {
      for (let i = 0; i < 5; i++) {
        const cluster = SimCluster.settled(simSeed(10 + i), 10)
        cluster.network.conditions = { ...GOOD_LAN, lossRate }
        const leaver = cluster.get('node-2')
        leaver.keepEffects = true
        leaver.handle({ kind: 'leave' })
        cluster.runUntil(() => leaver.effects.some(({ effect }) => effect.kind === 'left'), 6000)
        const left = leaver.effects.map(({ effect }) => effect).filter((effect) => effect.kind === 'left')
        expect(left).toHaveLength(1)
        expect(left[0]?.acknowledgedBy).toBe(3)
        leaver.kill()
        const shown = () =>
          cluster.running.every((member) => member.protocol.member('node-2')?.state === 'left')
        expect(cluster.runUntil(shown, 5000), `seed ${cluster.seed}`).toBeDefined()
      }
    },
  )

  test('a member that left goes on following the others', () => {
    const cluster = SimCluster.settled(simSeed(20), 6)
    const leaver = cluster.get('node-2')
    leaver.handle({ kind: 'leave' })
    cluster.run(60_000)
    const late = cluster.start('late', { seeds: [cluster.get('node-0').endpoint] })
    cluster.get('node-3').kill()
    cluster.run(20_000)
    expect(leaver.protocol.member('late')?.state).toBe('alive')
    expect(cluster.lists(leaver, 'node-3')).toBe(false)
    expect(cluster.lists(late, 'node-2')).toBe(false)
  })

  test('the last member leaves at once', () => {
    const cluster = new SimCluster(simSeed(21))
    const only = cluster.start('only')
    only.keepEffects = true
    cluster.run(5000)
    only.handle({ kind: 'leave' })
    only.handle({ kind: 'leave' })
    const left = only.effects.filter(({ effect }) => effect.kind === 'left')
    expect(left.map(({ effect }) => effect)).toEqual([{ kind: 'left', acknowledgedBy: 0, others: 0 }])
  })
})

describe('restarts', () => {
  test('with the same name and address, before anybody noticed', () => {
    const cluster = SimCluster.settled(simSeed(30), 10)
    const { endpoint } = cluster.get('node-4')
    cluster.get('node-4').kill()
    cluster.run(300)
    const again = cluster.start('node-4', {
      endpoint,
      seeds: [cluster.get('node-0').endpoint],
      meta: Uint8Array.of(1),
    })
    const seen = () => cluster.running.every((member) => member.protocol.member('node-4')?.meta[0] === 1)
    expect(cluster.runUntil(seen, 2000), `seed ${cluster.seed}`).toBeDefined()
    cluster.run(20_000)
    expect(cluster.isConverged()).toBe(true)
    expect(again.protocol.counters.refutations).toBeGreaterThan(0)
  })

  test('with another address after leaving: taken at once', () => {
    const cluster = SimCluster.settled(simSeed(31), 10)
    const old = cluster.get('node-4')
    old.handle({ kind: 'leave' })
    cluster.run(1000)
    old.kill()
    cluster.network.hostDown(old.endpoint.address)
    cluster.start('node-4', { seeds: [cluster.get('node-0').endpoint] })
    expect(
      cluster.runUntil(() => cluster.isConverged(), 1500),
      `seed ${cluster.seed}`,
    ).toBeDefined()
    cluster.run(30_000)
    expect(cluster.isConverged()).toBe(true)
  })

  test('with another address while the old one is still listed as alive: in a few seconds', () => {
    for (let i = 0; i < 5; i++) {
      const cluster = SimCluster.settled(simSeed(40 + i), 10)
      const old = cluster.get('node-4')
      old.kill()
      cluster.network.hostDown(old.endpoint.address)
      cluster.start('node-4', { seeds: [cluster.get('node-0').endpoint] })
      expect(
        cluster.runUntil(() => cluster.isConverged(), 5000),
        `seed ${cluster.seed}`,
      ).toBeDefined()
      cluster.run(30_000)
      expect(cluster.isConverged(), `seed ${cluster.seed}`).toBe(true)
    }
  })

  test('an address taken over by another name: the old name dies, the new one lives', () => {
    const cluster = SimCluster.settled(simSeed(50), 6)
    const old = cluster.get('node-4')
    old.kill()
    cluster.start('other', { endpoint: old.endpoint, seeds: [cluster.get('node-0').endpoint] })
    cluster.run(15_000)
    expect(cluster.isConverged(cluster.running)).toBe(true)
    expect(cluster.isGoneEverywhere('node-4')).toBe(true)
  })

  test('a rolling update with new names and addresses keeps everybody right', () => {
    const cluster = SimCluster.settled(simSeed(51), 10)
    for (let i = 0; i < 10; i++) {
      const old = cluster.get(`node-${i}`)
      const next = cluster.get(i < 9 ? `node-${i + 1}` : 'new-0')
      cluster.start(`new-${i}`, { seeds: [next.endpoint] })
      cluster.run(2000)
      old.handle({ kind: 'leave' })
      cluster.run(500)
      old.kill()
      cluster.network.hostDown(old.endpoint.address)
      cluster.run(1500)
    }
    expect(
      cluster.runUntil(() => cluster.isConverged(), 3000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
    expect(cluster.falseRemovals).toEqual([])
    cluster.run(65_000)
    for (const member of cluster.running) expect(member.protocol.members()).toHaveLength(10)
  })
})

describe('two processes of one name', () => {
  test('each member keeps the one it knows, and both are told', () => {
    const cluster = SimCluster.settled(simSeed(60), 5)
    const first = cluster.get('node-1')
    const conflicts = new Set<string>()
    first.onEffect = (effect) => {
      if (effect.kind === 'conflict-found') conflicts.add('first')
    }
    const second = cluster.start('node-1', { seeds: [cluster.get('node-0').endpoint] })
    second.onEffect = (effect) => {
      if (effect.kind === 'conflict-found') conflicts.add('second')
    }
    const before = cluster.network.packetsSent
    cluster.run(60_000)
    expect(conflicts).toEqual(new Set(['first', 'second']))
    for (const name of ['node-0', 'node-2', 'node-3', 'node-4']) {
      expect(cluster.get(name).protocol.member('node-1')?.endpoint).toEqual(first.endpoint)
    }
    // They do not outbid each other without end.
    expect(first.protocol.member('node-1')!.incarnation).toBeLessThan(20)
    expect((cluster.network.packetsSent - before) / 60 / 6).toBeLessThan(6)
  })
})

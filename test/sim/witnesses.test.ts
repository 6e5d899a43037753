import { describe, expect, test } from 'vitest'
import { badLink, oneWay, partitioned, stalls, starved } from '../../lab/sim/histories.ts'
import { memberlistLike } from '../../lab/sim/other-rules.ts'
import { simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import { massFailure } from '../../lab/sim/mass-failure.ts'
import type { SimMember } from '../../lab/sim/sim-member.ts'
import { GOOD_LAN } from '../../lab/sim/sim-network.ts'
import { PRESETS, type ProtocolSettings } from '../../src/membership/memberlist/protocol/settings.ts'

function hostDown(cluster: SimCluster, victim: SimMember): void {
  victim.kill()
  cluster.network.hostDown(victim.endpoint.address)
}

const byWitnesses = (cluster: SimCluster) =>
  [...cluster.members.values()].reduce(
    (sum, { protocol }) => sum + protocol.counters.declaredDeadBy.witnesses,
    0,
  )

/** Times until a member whose host is gone is off all lists. */
function removalTimes(count: number, seeds: number, settings?: ProtocolSettings): number[] {
  return Array.from({ length: seeds }, (_, i) => {
    const cluster = SimCluster.settled(simSeed(700 + i), count, settings)
    hostDown(cluster, cluster.get('node-1'))
    const tookMs = cluster.runUntil(() => cluster.isGoneEverywhere('node-1'), 60_000)
    expect(tookMs, `seed ${cluster.seed}`).toBeDefined()
    expect(cluster.falseRemovals, `seed ${cluster.seed}`).toEqual([])
    return tookMs!
  }).toSorted((a, b) => a - b)
}

describe('a silent host', () => {
  test('is off all lists of 10 members in half of the time of the whole suspicion', () => {
    const times = removalTimes(10, 20)
    expect(times[10]).toBeLessThan(3000)
    const whole = removalTimes(10, 8, { ...PRESETS.lan, witnesses: 'off' })
    expect(whole[0]).toBeGreaterThan(4900)
  })

  test('is found by frozen members as little as by anybody else: one that stands still is dead after 2.5 s, not before', () => {
    const cluster = SimCluster.settled(simSeed(730), 10)
    const frozen = cluster.get('node-1')
    frozen.freeze()
    cluster.run(2000)
    expect(cluster.running.every((by) => by === frozen || cluster.lists(by, 'node-1'))).toBe(true)
    expect(cluster.runUntil(() => cluster.isGoneEverywhere('node-1'), 3000)).toBeDefined()
    frozen.thaw()
    expect(
      cluster.runUntil(() => cluster.isConverged(), 3000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
    expect(frozen.protocol.counters.declaredDead).toBe(0)
  })

  test('takes the whole suspicion where nobody else could look, and with the rule off', () => {
    expect(removalTimes(2, 3)[0]).toBeGreaterThan(3900)
  })

  test('costs no more than some pings while it is looked for, among very many members too', () => {
    const cluster = SimCluster.settled(simSeed(740), 60)
    const { packetsSent } = cluster.network
    cluster.run(5000)
    const restPerSecond = (cluster.network.packetsSent - packetsSent) / 5 / 60
    hostDown(cluster, cluster.get('node-1'))
    const before = cluster.network.packetsSent
    const tookMs = cluster.runUntil(() => byWitnesses(cluster) > 0, 10_000)!
    const perSecond = (cluster.network.packetsSent - before) / (tookMs / 1000) / 60
    expect(restPerSecond).toBeLessThan(2.3)
    expect(perSecond).toBeLessThan(3 * 7.5)
  })
})

describe('many hosts that go at once', () => {
  test('are off all rings within seconds, and each of the others makes few rings of it', () => {
    const cluster = SimCluster.settled(simSeed(760), 40)
    cluster.run(10_000)
    const { goneMs, offRingsMs, rings, falseRemovals } = massFailure(cluster, 12, 1000)
    expect(goneMs, `seed ${cluster.seed}`).toBeLessThan(8000)
    expect(offRingsMs).toBeLessThan(9000)
    expect(rings).toBeLessThanOrEqual(4)
    expect(falseRemovals).toBe(0)
  })

  test('cost each of the others some three times the packets of memberlist meanwhile', () => {
    const ratesOf = (settings: ProtocolSettings) =>
      [1, 2, 3].map(
        (i) => massFailure(SimCluster.settled(simSeed(770 + i), 40, settings), 12, 1000).packetsPerSecond,
      )
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value) / values.length
    const [ours, memberlist] = [ratesOf(PRESETS.lan), ratesOf(memberlistLike(PRESETS.lan))].map(mean)
    expect(ours! / memberlist!).toBeLessThan(3.5)
  })
})

describe('nobody who lives is removed', () => {
  test.each([500, 1000, 2000])('by stalls of %i ms, of any member or of any ten at once', (stallMs) => {
    for (const atOnce of [1, 10]) {
      const cluster = SimCluster.settled(simSeed(750), 24)
      expect(stalls(cluster, { stallMs, atOnce, times: 15 }), `seed ${cluster.seed}`).toEqual([])
    }
  })

  test('by processors that give each process a tenth of the time', () => {
    const cluster = SimCluster.settled(simSeed(751), 8)
    expect(starved(cluster, 120_000), `seed ${cluster.seed}`).toEqual([])
  })

  test.each(['deaf', 'mute'] as const)(
    'by one that hears nothing, and none but one whom nobody hears: %s',
    (how) => {
      const cluster = SimCluster.settled(simSeed(752), 10)
      expect(oneWay(cluster, how, 60_000), `seed ${cluster.seed}`).toEqual([])
      expect(cluster.runUntil(() => cluster.isConverged(), 60_000)).toBeDefined()
    },
  )

  test.each(['both ways', 'one way'] as const)('by a bad link between two alone, %s', (ways) => {
    const cluster = SimCluster.settled(simSeed(753), 10)
    expect(badLink(cluster, ways, 120_000), `seed ${cluster.seed}`).toEqual([])
  })

  test('by 25 % and 40 % loss', () => {
    for (const lossRate of [0.25, 0.4]) {
      const cluster = SimCluster.settled(simSeed(754), 20)
      cluster.network.conditions = { ...GOOD_LAN, lossRate, reorderRate: 0.1, reorderDelayMs: 20 }
      cluster.run(180_000)
      expect(byWitnesses(cluster), `${lossRate}, seed ${cluster.seed}`).toBe(0)
    }
  })

  test('by a partition of 60 s, and both parts come together', () => {
    const cluster = SimCluster.settled(simSeed(755), 10)
    let living = 0
    cluster.clock.after(59_000, () => {
      living = cluster.get('node-0').protocol.livingCount
    })
    expect(partitioned(cluster, 60_000), `seed ${cluster.seed}`).toEqual([])
    expect(living).toBe(7)
    expect(cluster.isConverged()).toBe(true)
  })
})

/** What may happen to a cluster at one moment of a history. */
function disturb(cluster: SimCluster, blocked: Set<string>, thawAtMs: Map<SimMember, number>): void {
  const { running, random, network } = cluster
  const any = () => running[Math.floor(random() * running.length)]!
  const kind = Math.floor(random() * 6)
  const [one, other] = [any(), any()]
  if (kind === 0 && running.length > 3) hostDown(cluster, one)
  else if (kind === 1) {
    for (const member of [one, other]) {
      if (thawAtMs.has(member)) continue
      member.freeze()
      thawAtMs.set(member, cluster.nowMs + 2000 * random())
    }
  } else if (kind === 2) blocked.add(`${one.endpoint.address} ${other.endpoint.address}`)
  else if (kind === 3) blocked.clear()
  else if (kind === 4) network.conditions = { ...GOOD_LAN, lossRate: 0.4 * random(), maxDelayMs: 40 }
  else network.conditions = GOOD_LAN
}

/** Whether a process runs and somebody whose process runs as well reaches it and hears it. */
function isReached(cluster: SimCluster, name: string, frozen: ReadonlyMap<SimMember, number>): boolean {
  const member = cluster.get(name)
  const { passes } = cluster.network
  const at = member.endpoint.address
  return (
    member.running &&
    cluster.running.some(
      (other) =>
        other !== member &&
        !frozen.has(other) &&
        passes(other.endpoint.address, at) &&
        passes(at, other.endpoint.address),
    )
  )
}

describe('many histories', () => {
  test('hold to it: nobody with a living process that others reach is declared dead by witnesses', () => {
    let deaths = 0
    for (let i = 0; i < 60; i++) {
      const cluster = SimCluster.settled(simSeed(900 + i), 3 + (i % 9))
      const blocked = new Set<string>()
      const thawAtMs = new Map<SimMember, number>()
      cluster.network.passes = (from, to) => !blocked.has(`${from} ${to}`)
      const wrong: string[] = []
      for (const member of cluster.running) {
        const handle = member.onEffect
        member.onEffect = (effect, by) => {
          handle?.(effect, by)
          if (effect.kind !== 'log' || effect.fields['evidence'] !== 'witnesses') return
          const name = String(effect.fields['peer'])
          if (isReached(cluster, name, thawAtMs)) wrong.push(`${by.name} on ${name} at ${cluster.nowMs}`)
        }
      }
      for (let at = 0; at < 60_000; at += 250) {
        if (cluster.random() < 0.1) disturb(cluster, blocked, thawAtMs)
        cluster.run(250)
        for (const [member, thawMs] of thawAtMs) {
          if (cluster.nowMs < thawMs) continue
          member.thaw()
          thawAtMs.delete(member)
        }
      }
      expect(wrong, `seed ${cluster.seed}`).toEqual([])
      deaths += byWitnesses(cluster)
    }
    expect(deaths).toBeGreaterThan(60)
  })
})

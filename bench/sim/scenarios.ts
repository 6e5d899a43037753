import { PRESETS, type ProtocolSettings } from '../../src/membership/memberlist/protocol/settings.ts'
import { leaveMs } from '../../lab/sim/join-and-leave.ts'
import { memberlistLike, plainSwim } from '../../lab/sim/other-rules.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import { GOOD_LAN } from '../../lab/sim/sim-network.ts'

/** The protocol as it is, with memberlist's rules only, and without Lifeguard. */
export const KINDS: readonly (readonly [name: string, settings: ProtocolSettings])[] = [
  ['ringman', PRESETS.lan],
  ['memberlist rules', memberlistLike(PRESETS.lan)],
  ['plain SWIM', plainSwim(PRESETS.lan)],
]

/** A cluster in which everybody has seen everybody and nothing more waits to be said. */
export function settledCluster(seed: number, count: number, settings: ProtocolSettings): SimCluster {
  const cluster = new SimCluster(seed, settings)
  cluster.startMany(count, Math.max(500, count * 5))
  // The cheap question first: the other one looks at each member of each.
  const quiet = () =>
    cluster.running.every(({ protocol }) => protocol.queuedCount === 0) && cluster.isConverged()
  if (cluster.runUntil(quiet, 600_000) === undefined)
    throw new Error(`seed ${seed}: ${count} members did not settle`)
  cluster.run(5000 + 1000 * cluster.random())
  return cluster
}

/** How a member goes. */
export type Fate = 'killed' | 'host gone' | 'after churn' | 'left'

/** Milliseconds until nobody lists a member that went. */
export function removalMs(cluster: SimCluster, name: string, fate: Fate): number {
  const victim = cluster.get(name)
  if (fate === 'left') return leaveMs(cluster, victim)
  victim.kill()
  if (fate === 'host gone') cluster.network.hostDown(victim.endpoint.address)
  return cluster.runUntil(() => cluster.isGoneEverywhere(name), 180_000) ?? Number.NaN
}

/** Milliseconds until nobody lists a member whose host went, at this loss; NaN where it was gone before, wrongly. */
export function removalUnderLossMs(
  seed: number,
  count: number,
  settings: ProtocolSettings,
  lossRate: number,
): number {
  const cluster = settledCluster(seed, count, settings)
  cluster.network.conditions = { ...GOOD_LAN, lossRate }
  cluster.run(20_000)
  if (cluster.isGoneEverywhere('node-1')) return Number.NaN
  return removalMs(cluster, 'node-1', 'host gone')
}

/** Milliseconds until a new member is listed by everybody and lists everybody. */
export function joinMs(cluster: SimCluster): number {
  const seed = cluster.running[Math.floor(cluster.random() * cluster.running.length)]
  cluster.start(`late-${cluster.nowMs}`, { seeds: seed === undefined ? [] : [seed.endpoint] })
  return cluster.runUntil(() => cluster.isConverged(), 120_000) ?? Number.NaN
}

/** Milliseconds until `count` members that start within half a second, from one seed, list each other. */
export function togetherMs(count: number, keyed: boolean): number {
  const cluster = new SimCluster(7, { ...PRESETS.lan, keyed })
  cluster.startMany(count, 500, 1)
  return 500 + (cluster.runUntil(() => cluster.isConverged(), 60_000) ?? Number.NaN)
}

/** What an hour under bad conditions came to. */
export interface Ordeal {
  /** Members held for dead by somebody while they lived: one for each member that held it. */
  readonly falseRemovals: number
  /** Times that a member was declared dead while it lived, by the one who declared it. */
  readonly falseDeaths: number
  readonly suspicions: number
  readonly packetsPerSecond: number
}

/** Loss at this rate, some reordering and duplication, for so many simulated minutes. */
export function loss(
  seed: number,
  count: number,
  settings: ProtocolSettings,
  lossRate: number,
  minutes: number,
): Ordeal {
  const cluster = settledCluster(seed, count, settings)
  cluster.network.conditions = {
    ...GOOD_LAN,
    lossRate,
    reorderRate: 0.1,
    reorderDelayMs: 20,
    duplicateRate: 0.02,
  }
  return endure(cluster, () => {
    cluster.run(minutes * 60_000)
  })
}

/** A tenth of the members stall, each for 0.5 to 5 s out of every 10, as where processors are short. */
export function slow(seed: number, count: number, settings: ProtocolSettings, minutes: number): Ordeal {
  const cluster = settledCluster(seed, count, settings)
  const untilMs = cluster.nowMs + minutes * 60_000
  for (const member of cluster.running.slice(0, Math.ceil(count / 10))) {
    const stall = () => {
      if (cluster.nowMs >= untilMs) return
      const stallMs = 500 + cluster.random() * 4500
      member.freeze()
      cluster.clock.after(stallMs, () => {
        member.thaw()
      })
      cluster.clock.after(10_000, stall)
    }
    cluster.clock.after(cluster.random() * 10_000, stall)
  }
  return endure(cluster, () => {
    cluster.run(minutes * 60_000)
  })
}

function endure(cluster: SimCluster, run: () => void): Ordeal {
  const startMs = cluster.nowMs
  const packets = cluster.network.packetsSent
  const sum = (of: 'declaredDead' | 'suspicionsRaised') =>
    cluster.running.reduce((total, { protocol }) => total + protocol.counters[of], 0)
  const [declaredDead, suspicions] = [sum('declaredDead'), sum('suspicionsRaised')]
  cluster.falseRemovals.length = 0
  run()
  return {
    falseRemovals: cluster.falseRemovals.length,
    falseDeaths: sum('declaredDead') - declaredDead,
    suspicions: sum('suspicionsRaised') - suspicions,
    packetsPerSecond:
      (cluster.network.packetsSent - packets) / ((cluster.nowMs - startMs) / 1000) / cluster.running.length,
  }
}

/** Milliseconds from the end of a partition in two halves until everybody lists everybody. */
export function healMs(cluster: SimCluster, durationMs: number): number {
  const half = Math.floor(cluster.running.length / 2)
  cluster.partition([cluster.running.slice(0, half), cluster.running.slice(half)])
  cluster.run(durationMs)
  cluster.heal()
  return cluster.runUntil(() => cluster.isConverged(), 600_000) ?? Number.NaN
}

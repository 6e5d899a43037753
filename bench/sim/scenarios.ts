import { PRESETS, type ProtocolSettings } from '../../src/membership/memberlist/protocol/settings.ts'
import { memberlistLike, plainSwim } from '../../lab/sim/other-rules.ts'
import type { MemberView } from '../../src/membership/memberlist/protocol/effects.ts'
import type { Member } from '../../src/membership/member.ts'
import { DeathGathering } from '../../src/service/death-gathering.ts'
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
  if (fate === 'left') {
    victim.handle({ kind: 'leave' })
    // It ends when it has told enough others, as a process does.
    victim.onEffect = (effect) => {
      if (effect.kind === 'left')
        cluster.clock.after(0, () => {
          victim.kill()
        })
    }
  } else {
    victim.kill()
    if (fate === 'host gone') cluster.network.hostDown(victim.endpoint.address)
  }
  return cluster.runUntil(() => cluster.isGoneEverywhere(name), 180_000) ?? Number.NaN
}

/** Milliseconds until a new member is listed by everybody and lists everybody. */
export function joinMs(cluster: SimCluster): number {
  const seed = cluster.running[Math.floor(cluster.random() * cluster.running.length)]
  cluster.start(`late-${cluster.nowMs}`, { seeds: seed === undefined ? [] : [seed.endpoint] })
  return cluster.runUntil(() => cluster.isConverged(), 120_000) ?? Number.NaN
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

/** What many deaths at once came to. */
export interface MassFailure {
  /** Until nobody lists any of them, and until nobody has any of them on its ring. */
  readonly goneMs: number
  readonly offRingsMs: number
  /** Rings that one member made of it, the most of all. */
  readonly rings: number
  /** Deaths of members that live. */
  readonly falseRemovals: number
}

/** So many hosts go at once; each of the others makes rings as a process does, with deaths gathered. */
export function massFailure(cluster: SimCluster, goneCount: number, gatherMs: number): MassFailure {
  const all = cluster.running
  const victims = all.slice(1, goneCount + 1)
  const survivors = all.filter((member) => !victims.includes(member))
  const gone = new Set(victims.map(({ name }) => name))
  const startMs = cluster.nowMs
  const rings = new Map<string, { count: number; left: number }>()
  let offRingsMs = 0
  cluster.falseRemovals.length = 0
  for (const survivor of survivors) {
    const gathering = new DeathGathering(gatherMs)
    const state = { count: 0, left: goneCount }
    rings.set(survivor.name, state)
    const look = () => {
      const members = survivor.protocol.members().map((view) => memberOf(view))
      const { members: placed, untilMs } = gathering.take(members, cluster.nowMs)
      if (untilMs !== undefined) cluster.clock.at(untilMs, look)
      const left = placed.filter((one) => gone.has(one.name) && one.state !== 'dead').length
      if (left === state.left) return
      state.left = left
      state.count++
      if (left === 0) offRingsMs = Math.max(offRingsMs, cluster.nowMs - startMs)
    }
    look()
    const watch = survivor.onEffect
    survivor.onEffect = (effect, by) => {
      watch?.(effect, by)
      if (effect.kind === 'member-changed') cluster.clock.after(0, look)
    }
  }
  for (const victim of victims) {
    victim.kill()
    cluster.network.hostDown(victim.endpoint.address)
  }
  const isGone = () => victims.every(({ name }) => cluster.isGoneEverywhere(name))
  const goneMs = cluster.runUntil(isGone, 180_000) ?? Number.NaN
  cluster.run(2 * gatherMs + 100)
  return {
    goneMs,
    offRingsMs,
    rings: Math.max(...Array.from(rings.values(), ({ count }) => count)),
    falseRemovals: cluster.falseRemovals.length,
  }
}

function memberOf({ name, endpoint, state, meta, versions }: MemberView): Member {
  const { address, port } = endpoint
  return { name, address, port, state, stateSinceMs: 0, meta, metadata: { servicePort: '8000' }, versions }
}

/** Milliseconds from the end of a partition in two halves until everybody lists everybody. */
export function healMs(cluster: SimCluster, durationMs: number): number {
  const half = Math.floor(cluster.running.length / 2)
  cluster.partition([cluster.running.slice(0, half), cluster.running.slice(half)])
  cluster.run(durationMs)
  cluster.heal()
  return cluster.runUntil(() => cluster.isConverged(), 600_000) ?? Number.NaN
}

import type { MemberView } from '../../src/membership/memberlist/protocol/effects.ts'
import type { Member } from '../../src/membership/member.ts'
import { DeathGathering } from '../../src/service/death-gathering.ts'
import type { SimCluster } from './sim-cluster.ts'

/** What many deaths at once came to. */
export interface MassFailure {
  /** Until nobody lists any of them, and until nobody has any of them on its ring. */
  readonly goneMs: number
  readonly offRingsMs: number
  /** Rings that one member made of it, the most of all. */
  readonly rings: number
  /** Deaths of members that live. */
  readonly falseRemovals: number
  /** What each of the others sent in a second, from the first suspicion until nobody lists any of those that went. */
  readonly packetsPerSecond: number
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
  let suspected: { readonly atMs: number; readonly packetsSent: number } | undefined
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
      if (effect.kind !== 'member-changed') return
      cluster.clock.after(0, look)
      if (effect.change === 'suspected')
        suspected ??= { atMs: cluster.nowMs, packetsSent: cluster.network.packetsSent }
    }
  }
  for (const victim of victims) {
    victim.kill()
    cluster.network.hostDown(victim.endpoint.address)
  }
  const isGone = () => victims.every(({ name }) => cluster.isGoneEverywhere(name))
  const goneMs = cluster.runUntil(isGone, 180_000) ?? Number.NaN
  const packets = cluster.network.packetsSent - (suspected?.packetsSent ?? 0)
  const seconds = (cluster.nowMs - (suspected?.atMs ?? 0)) / 1000
  cluster.run(2 * gatherMs + 100)
  return {
    goneMs,
    offRingsMs,
    rings: Math.max(...Array.from(rings.values(), ({ count }) => count)),
    falseRemovals: cluster.falseRemovals.length,
    packetsPerSecond: packets / seconds / survivors.length,
  }
}

function memberOf({ name, endpoint, state, meta, versions }: MemberView): Member {
  const { address, port } = endpoint
  return { name, address, port, state, stateSinceMs: 0, meta, metadata: { servicePort: '8000' }, versions }
}

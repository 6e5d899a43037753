import type { SimCluster } from './sim-cluster.ts'
import type { SimMember } from './sim-member.ts'

/** What joins and leaves of one member, and rest, cost a settled cluster. */
export interface JoinsAndLeaves {
  /** Until all that run list a newcomer, and until none lists one that leaves. */
  readonly joinsMs: readonly number[]
  readonly leavesMs: readonly number[]
  /** What a member sends in a second at rest, and on average while the joins and leaves went on, 10 s apart. */
  readonly packetsAtRest: number
  readonly packetsPerSecond: number
}

/** Lets members of a cluster in which nothing happens join and leave, `times` each. @param join - Starts one, through `seed`. */
export function joinsAndLeaves(
  cluster: SimCluster,
  times: number,
  join: (name: string, seed: SimMember) => SimMember,
): JoinsAndLeaves {
  const rate = (startMs: number, packetsSent: number) =>
    (cluster.network.packetsSent - packetsSent) / ((cluster.nowMs - startMs) / 1000) / cluster.running.length
  const atRest = [cluster.nowMs, cluster.network.packetsSent] as const
  cluster.run(10_000)
  const packetsAtRest = rate(...atRest)
  const joinsMs: number[] = []
  const leavesMs: number[] = []
  const busy = [cluster.nowMs, cluster.network.packetsSent] as const
  for (let i = 0; i < times; i++) {
    const [seed, leaver] = [cluster.get(`node-${3 * i}`), cluster.get(`node-${3 * i + 1}`)]
    const late = join(`late-${i}`, seed)
    const isListed = () => cluster.running.every((by) => by === late || cluster.lists(by, late.name))
    joinsMs.push(cluster.runUntil(isListed, 60_000) ?? Number.NaN)
    cluster.run(10_000)
    leavesMs.push(leaveMs(cluster, leaver))
    cluster.run(10_000)
  }
  return { joinsMs, leavesMs, packetsAtRest, packetsPerSecond: rate(...busy) }
}

/** Milliseconds until nobody lists a member that leaves, and ends when it has told enough others, as a process does. */
export function leaveMs(cluster: SimCluster, leaver: SimMember): number {
  const watch = leaver.onEffect
  leaver.onEffect = (effect, by) => {
    watch?.(effect, by)
    if (effect.kind !== 'left') return
    cluster.clock.after(0, () => {
      leaver.kill()
    })
  }
  leaver.handle({ kind: 'leave' })
  return cluster.runUntil(() => cluster.isGoneEverywhere(leaver.name), 180_000) ?? Number.NaN
}

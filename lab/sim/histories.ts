import { shuffle } from '../../src/shuffle.ts'
import type { FalseRemoval, SimCluster } from './sim-cluster.ts'

/** What befalls a cluster in which nobody dies: each gives the removals of members that live and are in reach. */

/** So many members at a time, whichever, stand still for so long, again and again. */
export function stalls(
  cluster: SimCluster,
  { stallMs, atOnce, times }: { stallMs: number; atOnce: number; times: number },
): readonly FalseRemoval[] {
  cluster.falseRemovals.length = 0
  for (let time = 0; time < times; time++) {
    const stalled = shuffle(cluster.running, cluster.random).slice(0, atOnce)
    for (const member of stalled) member.freeze()
    cluster.run(stallMs)
    for (const member of stalled) member.thaw()
    cluster.run(3000 + 2000 * cluster.random())
  }
  return cluster.falseRemovals
}

/** Half of the members run a tenth of the time, 10 ms in each 100. */
export function starved(cluster: SimCluster, durationMs: number): readonly FalseRemoval[] {
  cluster.falseRemovals.length = 0
  const members = cluster.running.slice(0, cluster.running.length / 2)
  for (let ms = 0; ms < durationMs; ms += 100) {
    for (const member of members) member.freeze()
    cluster.run(90)
    for (const member of members) member.thaw()
    cluster.run(10)
  }
  return cluster.falseRemovals
}

/**
 * One member hears nothing (`deaf`), or nobody hears it (`mute`). That it is removed, and what it makes itself of hearing
 * nobody, is not counted.
 */
export function oneWay(
  cluster: SimCluster,
  how: 'deaf' | 'mute',
  durationMs: number,
): readonly FalseRemoval[] {
  cluster.falseRemovals.length = 0
  const { address } = cluster.get('node-1').endpoint
  cluster.network.passes = (from, to) => (how === 'deaf' ? to : from) !== address
  cluster.run(durationMs)
  cluster.heal()
  cluster.run(20_000)
  return cluster.falseRemovals.filter(({ by, member }) => by !== 'node-1' && member !== 'node-1')
}

/** Nothing passes between two members alone, or only in one direction. */
export function badLink(
  cluster: SimCluster,
  ways: 'both ways' | 'one way',
  durationMs: number,
): readonly FalseRemoval[] {
  cluster.falseRemovals.length = 0
  const [a, b] = [cluster.get('node-1').endpoint.address, cluster.get('node-2').endpoint.address]
  cluster.network.passes = (from, to) =>
    !(from === a && to === b) && !(ways === 'both ways' && from === b && to === a)
  cluster.run(durationMs)
  cluster.heal()
  return cluster.falseRemovals
}

/** A partition of three tenths of the members for so long. Removals across it are right; others, and any from then on, are not. */
export function partitioned(cluster: SimCluster, durationMs: number): readonly FalseRemoval[] {
  cluster.falseRemovals.length = 0
  const members = cluster.running
  const cut = Math.floor(members.length * 0.7)
  cluster.partition([members.slice(0, cut), members.slice(cut)])
  cluster.run(durationMs)
  cluster.heal()
  cluster.run(60_000)
  return cluster.falseRemovals
}

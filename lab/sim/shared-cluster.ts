import { createRecord } from '../../src/membership/memberlist/protocol/core.ts'
import { tryParseAddress } from '../../src/membership/memberlist/protocol/endpoint.ts'
import { vsnOf } from '../../src/membership/memberlist/protocol/members.ts'
import type { ProtocolSettings } from '../../src/membership/memberlist/protocol/settings.ts'
import { seededRandom } from './seeded-random.ts'
import { SharedCrowd, SharedTable } from './shared-table.ts'
import { SimCluster } from './sim-cluster.ts'
import type { SimMember } from './sim-member.ts'

/**
 * A model of a cluster of very many: each member runs the whole machine, with its own probes, queue and timers, over a table
 * that shares what all hold alike ({@link SharedTable}). It is for joins, leaves and rest in a network without loss, in a ring
 * with keys, where who was never heard of by a member needs no answer first.
 *
 * What it leaves out, besides: the start, as all know each other from the beginning; and that a newcomer is sent the whole
 * state and tells the others of every entry of it, which costs it packets for minutes and brings nobody anything new.
 */
export class SharedCluster {
  readonly cluster: SimCluster
  readonly #crowd: SharedCrowd

  /** `count` members, `node-0` and on, that know each other and begin at once. */
  constructor(seed: number, count: number, settings: ProtocolSettings) {
    const cluster = new SimCluster(seed, { ...settings, keyed: true })
    this.cluster = cluster
    const endpoints = Array.from({ length: count }, () => cluster.endpoint())
    this.#crowd = new SharedCrowd(
      endpoints.map((endpoint, i) => {
        const addressBytes = tryParseAddress(endpoint.address) ?? new Uint8Array(4)
        const vsn = vsnOf(settings.versions)
        return {
          ...createRecord(`node-${i}`, endpoint, addressBytes, new Uint8Array(0), vsn),
          incarnation: 1,
        }
      }),
    )
    for (const [i, endpoint] of endpoints.entries())
      cluster.start(`node-${i}`, { endpoint, members: this.#table(true) })
  }

  /** Starts one more, that joins through `seed` and knows the others once that has answered. */
  join(name: string, seed: SimMember): SimMember {
    const members = this.#table(false)
    const newcomer = this.cluster.start(name, { seeds: [seed.endpoint], members })
    const watch = newcomer.onEffect
    newcomer.onEffect = (effect, by) => {
      watch?.(effect, by)
      if (effect.kind === 'join-finished') members.attach()
    }
    return newcomer
  }

  #table(isAttached: boolean): SharedTable {
    const { random, settings } = this.cluster
    const own = seededRandom(Math.floor(random() * 2 ** 32))
    return new SharedTable(this.#crowd, own, settings.probeIntervalMs, isAttached)
  }
}

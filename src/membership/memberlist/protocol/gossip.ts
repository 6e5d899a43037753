import { isLiving } from '../../member.ts'
import { ask } from './ask.ts'
import type { Core } from './core.ts'
import type { MemberRecord } from './members.ts'
import type { Merge } from './merge.ts'

/** The first message of news waits this part of the interval at most, so that what comes together goes together. */
const FIRST_WAIT = 0.1

/**
 * Gossip: while there is news, each `gossipIntervalMs` a packet of it goes to each of `gossipNodes` living members, suspects among
 * them, since they must hear of it to refute. For the same reason one more goes to a member that has recently fallen: if the dead and
 * left were among the others, the living would miss news after many have gone, as in a rolling update. One that is evicted is told
 * nothing: started again, it would take the others that it hears of for its ring. The first message goes nearly at once.
 */
export class GossipRounds {
  readonly #core: Core
  readonly #merge: Pick<Merge, 'isEvicted'>
  #scheduled = false
  #lastMs = -Infinity

  constructor(core: Core, merge: Pick<Merge, 'isEvicted'>) {
    this.#core = core
    this.#merge = merge
  }

  /** Sees to it that what waits is said. */
  wake(): void {
    if (this.#scheduled) return
    const { deadlines, nowMs, random, settings } = this.#core
    this.#scheduled = true
    const soonMs = nowMs + random() * FIRST_WAIT * settings.gossipIntervalMs
    deadlines.set(Math.max(soonMs, this.#lastMs + settings.gossipIntervalMs), () => {
      this.#scheduled = false
      this.#gossip()
    })
  }

  #gossip(): void {
    const core = this.#core
    const { settings, clockMs } = core
    this.#lastMs = core.nowMs
    const isToldFallen = (record: MemberRecord) =>
      !isLiving(record) &&
      clockMs - record.sinceMs < settings.gossipToTheDeadMs &&
      !this.#merge.isEvicted(record.name)
    let targets = core.members.nextToTell(settings.gossipNodes, isLiving)
    if (targets.length === 0) targets = core.members.nextToTell(settings.gossipNodes, isToldFallen)
    else {
      const fallen = core.members.randomFallen(isToldFallen)
      if (fallen !== undefined) core.send(fallen.endpoint, [])
    }
    core.gossipTo(targets.flatMap(({ endpoint }) => (core.isReached(endpoint) ? [endpoint] : [])))
    for (const { endpoint, name } of targets) {
      if (core.queue.count === 0) break
      if (core.isReached(endpoint)) continue
      // Who has not answered us yet is greeted first.
      ask(core, { place: endpoint, name }, (payload) => {
        if (payload !== undefined) core.gossipTo([endpoint])
      })
    }
    // With nobody to tell it waits for somebody, without a timer that runs for nothing.
    if (targets.length > 0 && core.queue.count > 0) this.wake()
  }
}

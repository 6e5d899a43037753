import type { Core } from './core.ts'
import { isLiving } from './members.ts'

/** The first word of news waits this part of the interval at most, so that what comes together goes together. */
const FIRST_WAIT = 0.1

/**
 * Gossip: while something waits to be said, each `gossipIntervalMs` a packet of it to each of `gossipNodes` random
 * members, the recently dead among them. The first word goes nearly at once.
 */
export class GossipRounds {
  readonly #core: Core
  #scheduled = false
  #lastMs = -Infinity

  constructor(core: Core) {
    this.#core = core
  }

  /** Sees to it that what waits is said. */
  wake(): void {
    if (this.#scheduled) return
    const { deadlines, nowMs, settings, random } = this.#core
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
    const targets = core.members.nextToTell(
      settings.gossipNodes,
      (record) => isLiving(record) || clockMs - record.sinceMs < settings.gossipToTheDeadMs,
    )
    for (const { endpoint } of targets) {
      if (core.queue.count === 0) return
      core.send(endpoint, [])
    }
    if (targets.length === 0) {
      // Nobody to tell: it waits for somebody, without a timer that runs for nothing.
      return
    }
    if (core.queue.count > 0) this.wake()
  }
}

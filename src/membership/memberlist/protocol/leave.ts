import { ask } from './ask.ts'
import type { Contests } from './contests.ts'
import type { Core } from './core.ts'

/** Peers whose acks make a leave sure; all of them where there are fewer. */
const ACKS_WANTED = 3

/**
 * The graceful leave: news of our own death, gossiped as all news is, and also sent with pings to random members until
 * enough of them have acked a packet that carried it.
 */
export class Leave {
  readonly #core: Core
  readonly #contests: Pick<Contests, 'isUnlisted'>
  readonly #onLeft: () => void
  readonly #acked = new Set<string>()
  #others = 0
  #untilMs = 0
  #finished = false

  /** @param onLeft - Called once, when leaving is over. */
  constructor(core: Core, contests: Pick<Contests, 'isUnlisted'>, onLeft: () => void) {
    this.#core = core
    this.#contests = contests
    this.#onLeft = onLeft
  }

  start(): void {
    const core = this.#core
    if (core.leaving) return
    core.leaving = true
    core.self.state = 'left'
    core.self.sinceMs = core.clockMs
    core.tell('left', core.self)
    this.#others = core.members.living.length
    if (this.#contests.isUnlisted) {
      // The others would take the other process of this name off their lists.
      this.#finish()
      return
    }
    this.#untilMs = core.nowMs + core.settings.leaveTimeoutMs
    core.queueMessage(core.ownLeave(), { space: 'member', name: core.self.name })
    this.#press()
  }

  #press(): void {
    if (this.#finished) return
    const core = this.#core
    const wanted = Math.min(ACKS_WANTED, core.members.living.length)
    if (this.#acked.size >= wanted || core.nowMs >= this.#untilMs) {
      this.#finish()
      return
    }
    const targets = core.members.randomLiving(wanted, (record) => !this.#acked.has(record.name))
    for (const record of targets) {
      ask(core, { place: record.endpoint, name: record.name, say: [core.ownLeave()] }, (payload) => {
        if (payload !== undefined) this.#ack(record.name, wanted)
      })
    }
    core.deadlines.set(core.nowMs + core.settings.gossipIntervalMs, () => this.#press())
  }

  #ack(name: string, wanted: number): void {
    this.#acked.add(name)
    if (this.#acked.size >= wanted) this.#finish()
  }

  #finish(): void {
    if (this.#finished) return
    this.#finished = true
    this.#core.emit({ kind: 'left', acknowledgedBy: this.#acked.size, others: this.#others })
    this.#onLeft()
  }
}

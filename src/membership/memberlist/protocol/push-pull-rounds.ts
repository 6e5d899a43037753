import type { Core } from './core.ts'
import type { Deadline } from './deadlines.ts'
import type { Exchanges } from './exchanges.ts'
import { pushPullIntervalMs } from './intervals.ts'
import type { MemberRecord } from './members.ts'
import type { Prober } from './probe.ts'

/** After its leave a member gets less gossip, and follows the others by push/pull at least this often. */
const FOLLOW_INTERVAL_MS = 5000

/** About so long after news was left out a state is fetched. */
const CATCH_UP_MS = 10_000

/** After so many new members a state is exchanged about so much later: news of so many takes gossip much longer. */
const MANY_LISTED = 32
const MANY_LISTED_MS = 1000

/** Anti-entropy: at intervals the whole state is exchanged with one random member, so that nothing stays lost. */
export class PushPullRounds {
  readonly #core: Core
  readonly #exchanges: Pick<Exchanges, 'start'>
  readonly #prober: Pick<Prober, 'probe'>
  #next: Deadline | undefined
  #catchUp: Deadline | undefined
  #listed = 0

  constructor(core: Core, exchanges: Pick<Exchanges, 'start'>, prober: Pick<Prober, 'probe'>) {
    this.#core = core
    this.#exchanges = exchanges
    this.#prober = prober
  }

  /** Begins the rounds, at a random moment of the first interval. */
  start(): void {
    const { random, settings } = this.#core
    if (settings.pushPullIntervalMs > 0) this.#schedule(random() * this.#intervalMs())
  }

  /** The next round is now, and the others follow from there: when news may have passed us by, and after leaving. */
  hasten(): void {
    if (this.#core.settings.pushPullIntervalMs > 0) this.#schedule(0)
  }

  /** A state comes besides the rounds: too much news came at once, or one that was alone hears of others, who may have evicted it. */
  catchUp(afterMs = CATCH_UP_MS): void {
    const { deadlines, nowMs, settings } = this.#core
    if (settings.pushPullIntervalMs <= 0 || (this.#catchUp?.atMs ?? Infinity) <= nowMs + afterMs) return
    deadlines.cancel(this.#catchUp)
    this.#catchUp = deadlines.set(nowMs + this.#core.jitter(afterMs), () => {
      this.#catchUp = undefined
      const isMore = this.#listed >= MANY_LISTED
      this.#listed = 0
      this.#exchange(this.#seed())
      // The other one may not have known all of them yet.
      if (isMore) this.catchUp(MANY_LISTED_MS)
    })
  }

  /**
   * There is one more member. When there are many at once, as when a large cluster starts, members exchange their states
   * besides the rounds until no more come: each time that doubles what they know.
   */
  noteListed(): void {
    if (++this.#listed >= MANY_LISTED) this.catchUp(MANY_LISTED_MS)
  }

  #intervalMs(): number {
    const { settings, livingCount, leaving } = this.#core
    const intervalMs = pushPullIntervalMs(settings.pushPullIntervalMs, livingCount)
    return leaving ? Math.min(intervalMs, FOLLOW_INTERVAL_MS) : intervalMs
  }

  #schedule(afterMs: number): void {
    const { deadlines, nowMs } = this.#core
    deadlines.cancel(this.#next)
    this.#next = deadlines.set(nowMs + afterMs, () => {
      this.#exchange()
      this.#schedule(this.#intervalMs())
    })
  }

  /** A living seed, in a ring without keys: there only a seed is believed about members that have not answered us. */
  #seed(): MemberRecord | undefined {
    const { members, random, seeds, settings } = this.#core
    if (settings.keyed) return undefined
    const living = seeds.flatMap((seed) => members.livingAt(seed) ?? [])
    return living[Math.floor(random() * living.length)]
  }

  #exchange(chosen?: MemberRecord): void {
    const core = this.#core
    const [record] =
      chosen === undefined
        ? core.members.randomLiving(1, (other) => other.state === 'alive' && core.isReached(other.endpoint))
        : [chosen]
    if (record === undefined) return
    this.#exchanges.start(record.endpoint, false, (failure) => {
      if (failure === undefined) return
      // Refused means that the member has just gone, which its probe finds out and tells.
      core.logLimited(
        failure.outcome === 'refused' ? 'debug' : 'warn',
        'push-pull.failed',
        'Could not exchange state with a member',
        { event: 'push-pull.failed', peer: record.name, outcome: failure.outcome, error: failure.message },
      )
      // A closed port is worth a look at once.
      if (failure.outcome === 'refused') this.#prober.probe(record)
    })
  }
}

import type { Core } from './core.ts'
import type { ExchangeFailure } from './effects.ts'
import { type Endpoint, keyOf, sameEndpoint } from './endpoint.ts'
import type { Exchanges } from './exchanges.ts'
import { shuffle } from '../../../shuffle.ts'

/** Seeds contacted at once. */
const PARALLEL_LIMIT = 8
/** Seeds kept at most. */
const SEEDS_LIMIT = 1024
/** The first wait before seeds are contacted again. */
const FIRST_WAIT_MS = 1000

interface Join {
  waiting: Endpoint[]
  /** By {@link keyOf}, as are those that ended. */
  readonly running: Set<string>
  readonly reached: Map<string, Endpoint>
  readonly failed: Map<string, ExchangeFailure & { readonly seed: Endpoint }>
}

/**
 * Joining by seeds, once on request and then forever: a seed that is no living member here may be the door to
 * another island of the same cluster.
 */
export class Rejoin {
  readonly #core: Core
  readonly #exchanges: Pick<Exchanges, 'start'>
  #join: Join | undefined
  #waitMs = FIRST_WAIT_MS
  #retrying = false
  #scheduled = false

  constructor(core: Core, exchanges: Pick<Exchanges, 'start'>) {
    this.#core = core
    this.#exchanges = exchanges
  }

  /** The seeds are these from now on; those not alive here are contacted now. */
  join(seeds: readonly Endpoint[]): void {
    const own = this.#core.self.endpoint
    this.#core.seeds = seeds.filter((seed) => !sameEndpoint(seed, own)).slice(0, SEEDS_LIMIT)
    // Asked again while at it, both end as one; what runs counts on the object that it began with.
    this.#join ??= { waiting: [], running: new Set(), reached: new Map(), failed: new Map() }
    const { running } = this.#join
    // One that is slow to answer is not asked twice, or being asked again would keep the join from ever ending.
    this.#join.waiting = shuffle(
      this.#core.seeds.filter((seed) => !running.has(keyOf(seed))),
      this.#core.random,
    )
    this.#advance(this.#join)
    this.#schedule()
  }

  #advance(join: Join): void {
    const { running, reached, failed } = join
    while (running.size < PARALLEL_LIMIT) {
      const seed = join.waiting.shift()
      if (seed === undefined) break
      const key = keyOf(seed)
      failed.delete(key)
      reached.delete(key)
      if (this.#core.members.livingAt(seed) !== undefined) {
        reached.set(key, seed)
        continue
      }
      running.add(key)
      this.#exchanges.start(seed, true, (failure) => {
        running.delete(key)
        if (failure === undefined) reached.set(key, seed)
        else failed.set(key, { seed, ...failure })
        this.#advance(join)
      })
    }
    if (running.size > 0 || this.#join !== join) return
    this.#join = undefined
    this.#core.emit({ kind: 'join-finished', reached: [...reached.values()], failed: [...failed.values()] })
  }

  #schedule(): void {
    const { settings, deadlines, nowMs } = this.#core
    if (this.#scheduled || settings.rejoinIntervalMs <= 0 || this.#core.seeds.length === 0) return
    this.#scheduled = true
    deadlines.set(nowMs + this.#core.jitter(this.#waitMs), () => {
      this.#scheduled = false
      this.#retry()
      this.#schedule()
    })
  }

  /** Contacts one missing seed; all of them (few at once) while alone. */
  #retry(): void {
    const { settings, leaving, members } = this.#core
    const missing = this.#core.seeds.filter((seed) => members.livingAt(seed) === undefined)
    const intervalMs = settings.rejoinIntervalMs
    if (missing.length === 0) {
      this.#waitMs = Math.min(FIRST_WAIT_MS, intervalMs)
      return
    }
    this.#waitMs = Math.min(intervalMs, this.#waitMs * 2)
    if (leaving || this.#join !== undefined || this.#retrying) return
    const chosen = shuffle(missing, this.#core.random).slice(
      0,
      members.living.length === 0 ? PARALLEL_LIMIT : 1,
    )
    let runningCount = chosen.length
    this.#retrying = true
    for (const seed of chosen) {
      this.#exchanges.start(seed, true, (failure) => {
        if (--runningCount === 0) this.#retrying = false
        if (failure === undefined) return
        const message =
          failure.outcome === 'rejected'
            ? 'A seed refuses this member, or is refused by it; trying again'
            : 'Could not reach a seed; retrying'
        this.#core.logLimited('info', 'seed.failed', message, {
          event: 'seed.failed',
          address: seed.address,
          port: seed.port,
          outcome: failure.outcome,
          error: failure.message,
        })
      })
    }
  }
}

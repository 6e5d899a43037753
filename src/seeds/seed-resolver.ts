import { isIP } from 'node:net'
import { LimitedWarnings } from '../limited-warnings.ts'
import { shuffle } from '../shuffle.ts'
import { unlessAborted } from '../unless-aborted.ts'
import type { Basics } from '../basics.ts'
import { dnsCodeOf, isAbsence, type DnsResolver } from './dns-resolver.ts'
import { formatHostPort } from '../addresses.ts'
import { faultOfSeedAddress, formatSeed, type Seed, type SeedAddress } from './seed.ts'

/** How often seeds are resolved, and how much of an answer counts. */
export const DEFAULT_SEED_SETTINGS = {
  /** First wait between rounds while alone, in milliseconds; it doubles up to `aloneMaxMs`. */
  aloneMinMs: 500,
  aloneMaxMs: 5000,
  /** Wait between rounds while not alone, in milliseconds. */
  settledMs: 15_000,
  /** Each wait is changed by up to this fraction, either way; 0 to 1. */
  jitter: 0.2,
  /** Milliseconds after which a name counts as not resolved for this round. */
  timeoutMs: 5000,
  /** Addresses of one seed that count, a random choice where there are more. */
  addressesPerSeed: 64,
  /** Targets of one SRV name that are looked up. */
  targetsPerService: 16,
  /** How long the last answer stands in while the DNS does not answer, in milliseconds. */
  staleMs: 300_000,
}

/** Of each seed and reason there is at most one warning in this time. */
const WARNING_MS = 60_000

export type SeedSettings = Readonly<typeof DEFAULT_SEED_SETTINGS>

export interface SeedResolverOptions extends Basics {
  readonly seeds: readonly Seed[]
  /** The port of seeds that name none. */
  readonly defaultPort: number
  readonly dns: DnsResolver
  /** Knows the pods that `pods:` seeds mean; without it such a seed does not resolve. */
  readonly pods?: PodDirectory | undefined
  /**
   * The family that this process gossips in, 4 or 6. Of a name with addresses of both only these count: at the others
   * nobody may listen, or members that are known already. @default both count
   */
  readonly family?: () => number
  /** Whether an address is this process's own; such a one is left out. */
  readonly isSelf: (address: SeedAddress) => boolean
  /** Called after each round with the other processes' addresses, without doubles, in the order of the seeds. */
  readonly onAddresses: (addresses: readonly SeedAddress[]) => void
  readonly settings?: Partial<SeedSettings> | undefined
}

/** Knows where pods are. */
export interface PodDirectory {
  /**
   * The addresses of the pods that run, of both families.
   *
   * @throws An error whose `code` is the reason in short, as the DNS has them, soon after `signal` aborts.
   */
  addresses(signal: AbortSignal): Promise<readonly string[]>
}

/** What the last round came to, for health and the page. */
export interface SeedStatus {
  /** Rounds that ended. */
  readonly rounds: number
  /** Addresses of others that the last round gave. */
  readonly addresses: readonly SeedAddress[]
  /** Whether this process's own address was among the answers. */
  readonly foundSelf: boolean
  /** Seeds that do not resolve at present, with the DNS code. */
  readonly failures: readonly { readonly seed: string; readonly reason: string }[]
}

/** What is remembered of one seed. */
interface SeedState {
  readonly seed: Seed
  readonly text: string
  lastGood: readonly SeedAddress[]
  lastGoodAtMs: number
  failure: string | undefined
  /** The query that has not come back, also after its time is up: there is never a second one beside it. */
  flight: Promise<readonly SeedAddress[]> | undefined
}

/**
 * Resolves seeds again and again, forever: with backoff while this process is alone, at a steady pace
 * otherwise. A name that does not resolve is a warning with the DNS code, never an error.
 */
export class SeedResolver {
  readonly #options: SeedResolverOptions
  readonly #settings: SeedSettings
  readonly #states: readonly SeedState[]
  readonly #warnings: LimitedWarnings
  readonly #abort = new AbortController()
  #alone = true
  #aloneRounds = 0
  #cancelTimer: (() => void) | undefined
  #status: SeedStatus = { rounds: 0, addresses: [], foundSelf: false, failures: [] }

  constructor(options: SeedResolverOptions) {
    this.#options = options
    this.#settings = { ...DEFAULT_SEED_SETTINGS, ...options.settings }
    this.#warnings = new LimitedWarnings(options.clock, options.logger, WARNING_MS)
    this.#states = options.seeds.map((seed) => ({
      seed,
      text: formatSeed(seed),
      lastGood: [],
      lastGoodAtMs: 0,
      failure: undefined,
      flight: undefined,
    }))
  }

  get status(): SeedStatus {
    return this.#status
  }

  /** Begins the first round at once. Without seeds it does nothing. */
  start(): void {
    if (!this.#abort.signal.aborted && this.#states.length > 0) void this.#round()
  }

  /** Ends the rounds and cancels the queries; nothing is called afterwards. Idempotent. */
  stop(): void {
    this.#abort.abort()
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
  }

  /** Says whether this process is without others; being alone makes the rounds faster. It is at the start. */
  setAlone(alone: boolean): void {
    if (alone === this.#alone) return
    this.#alone = alone
    this.#aloneRounds = 0
    // A long wait may just have begun; one that became alone does not sit it out.
    if (alone && this.#cancelTimer !== undefined) this.#schedule()
  }

  #schedule(): void {
    this.#cancelTimer?.()
    const { aloneMinMs, aloneMaxMs, settledMs, jitter } = this.#settings
    const meanMs = this.#alone
      ? Math.min(aloneMaxMs, aloneMinMs * 2 ** Math.min(this.#aloneRounds, 30))
      : settledMs
    if (this.#alone) this.#aloneRounds += 1
    const delayMs = meanMs * (1 + jitter * (2 * this.#options.random() - 1))
    this.#cancelTimer = this.#options.clock.after(delayMs, () => {
      this.#cancelTimer = undefined
      void this.#round()
    })
  }

  /** One round; it never rejects. */
  async #round(): Promise<void> {
    const answers = await Promise.all(this.#states.map((state) => this.#resolve(state)))
    if (this.#abort.signal.aborted) return
    const others = new Map<string, SeedAddress>()
    let foundSelf = false
    for (const address of answers.flat()) {
      if (this.#options.isSelf(address)) foundSelf = true
      else others.set(formatHostPort(address), address)
    }
    const addresses = [...others.values()]
    const failures = this.#states.flatMap(({ text, failure }) =>
      failure === undefined ? [] : [{ seed: text, reason: failure }],
    )
    this.#status = { rounds: this.#status.rounds + 1, addresses, foundSelf, failures }
    this.#schedule()
    this.#options.onAddresses(addresses)
  }

  async #resolve(state: SeedState): Promise<readonly SeedAddress[]> {
    const { clock, logger } = this.#options
    try {
      const found = await this.#withinTime(state)
      if (state.failure !== undefined && !this.#abort.signal.aborted) {
        logger.info(
          { event: 'seed.resolved', seed: state.text, addresses: found.length },
          'Resolved the seed',
        )
      }
      state.lastGood = found
      state.lastGoodAtMs = clock.now()
      state.failure = undefined
      return found
    } catch (error) {
      if (this.#abort.signal.aborted) return []
      const reason = dnsCodeOf(error)
      this.#warnings.warn(
        { event: 'seed.unresolved', seed: state.text, reason, err: error },
        'Failed to resolve the seed; it is tried again',
        `${state.text} ${reason}`,
      )
      state.failure = reason
      const stale = isAbsence(error) || clock.now() - state.lastGoodAtMs > this.#settings.staleMs
      if (stale) state.lastGood = []
      return state.lastGood
    }
  }

  /** The answer for one seed, or a rejection with `ETIMEOUT` when its time is up; then the query is cancelled. */
  #withinTime(state: SeedState): Promise<readonly SeedAddress[]> {
    const { seed } = state
    if (seed.kind === 'address') {
      return Promise.resolve([{ address: seed.address, port: seed.port ?? this.#options.defaultPort }])
    }
    const { timeoutMs } = this.#settings
    const late = new AbortController()
    const cancelTimer = this.#options.clock.after(timeoutMs, () => {
      late.abort(Object.assign(new Error(`no answer in ${timeoutMs} ms`), { code: 'ETIMEOUT' }))
    })
    const signal = AbortSignal.any([late.signal, this.#abort.signal])
    state.flight ??= this.#ask(seed, signal).finally(() => {
      state.flight = undefined
    })
    return unlessAborted(signal, state.flight).finally(cancelTimer)
  }

  async #ask(seed: Exclude<Seed, { kind: 'address' }>, signal: AbortSignal): Promise<readonly SeedAddress[]> {
    const { dns, pods, defaultPort } = this.#options
    if (seed.kind === 'pods') {
      if (pods === undefined) throw Object.assign(new Error('nobody knows the pods'), { code: 'NOTIMPL' })
      return this.#bounded(await pods.addresses(signal), seed.port ?? defaultPort)
    }
    if (seed.kind !== 'srv') {
      const asked = seed.kind === 'host' ? dns.lookUp(seed.name, signal) : dns.addressesOf(seed.name, signal)
      return this.#bounded(await asked, seed.port ?? defaultPort)
    }
    const targets = this.#sample(await dns.servicesOf(seed.name, signal), this.#settings.targetsPerService)
    const answers = await Promise.allSettled(
      targets.map(async ({ name, port }) => {
        if (isIP(name) !== 0) return this.#bounded([name], port)
        // Targets are absolute by definition; the search list has no part in them.
        return this.#bounded(await dns.addressesOf(name.endsWith('.') ? name : `${name}.`, signal), port)
      }),
    )
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    const failed = answers.find((answer) => answer.status === 'rejected')
    // With the address of at least one target, one that is just going or coming does not matter.
    if (found.length === 0 && failed !== undefined) throw failed.reason as Error
    return this.#sample(found, this.#settings.addressesPerSeed)
  }

  #bounded(addresses: readonly string[], port: number): SeedAddress[] {
    const hosts = addresses.filter(
      (address) => isIP(address) !== 0 && faultOfSeedAddress(address) === undefined,
    )
    const family = this.#options.family?.() ?? 0
    const own = hosts.filter((address) => isIP(address) === family)
    const usable = own.length > 0 ? own : hosts
    return this.#sample([...new Set(usable)], this.#settings.addressesPerSeed).map((address) => ({
      address,
      port,
    }))
  }

  /** At most `limit` of the items, chosen by chance, so that a large service does not send everyone to the same few. */
  #sample<T>(items: readonly T[], limit: number): T[] {
    return items.length <= limit ? [...items] : shuffle([...items], this.#options.random).slice(0, limit)
  }
}

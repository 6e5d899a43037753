import type { Tracer } from '@opentelemetry/api'
import { sleep, systemClock, systemRandom, type Clock, type Random } from '../../clock.ts'
import { messageOf, RingmanError } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import { shortened } from '../../printable.ts'
import { noTracer } from '../../tracing.ts'
import { healthIn, type SourceHealth } from '../condition.ts'
import type { MembershipSource } from '../source.ts'
import { SourceBase } from '../source-base.ts'
import type { SourceStatistics } from '../statistics.ts'
import { changeCounts, parseJson, parseUpdate, type SidecarState } from './catalog.ts'
import { HoldDown } from './hold-down.ts'
import { getOverHttp, type HttpGet, SidecarClient } from './sidecar-client.ts'
import { membersOf, selectInstances, SKIP_REASONS, type Selection } from './instances.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import { SIDECAR_DEFAULTS, type ResolvedOptions, type SidecarSourceOptions } from './sidecar-options.ts'
import { StateLedger, type Offered } from './state-ledger.ts'

/** How far the clock of Sidecar's host may be ahead of ours, in milliseconds. */
const MAX_AHEAD_MS = 5 * 60_000

/** After a fetch that left a doubt, and after the first that failed. */
const SOON_MS = 1000
/** Longest wait before the stream is asked for again. */
const RECONNECT_LIMIT_MS = 30_000
/** Fetches that may be missing before the members count as out of date. */
const STALE_AFTER_INTERVALS = 3
/** Instances that one log line names. */
const NAMED_LIMIT = 10
/** Characters of a name that a log line takes. */
const NAME_SHOWN = 64

export interface SidecarSourceDeps {
  readonly logger: Logger
  readonly clock?: Clock
  readonly random?: Random
  readonly tracer?: Tracer
  /** How HTTP is spoken; tests bring their own. */
  readonly get?: HttpGet
}

/** What became of an update: `accepted` ones change the ring, now or when the hold-down ends. */
export type UpdateOutcome = 'accepted' | 'not-newer' | 'not-counting' | 'other-service' | 'stopped'

/**
 * Members from Nitro Sidecar: the instances of one service that Sidecar knows to be alive are on the ring. This
 * process is not one of the members; it may run as one of the instances, but that is Sidecar's to say.
 *
 * The state comes in four ways: fetched at the start, posted by Sidecar ({@link SidecarSource.update}), streamed
 * (`watch`), and fetched again at intervals, so that a lost post cannot leave the ring stale. Which one counts
 * is {@link StateLedger}'s to decide.
 */
export class SidecarSource extends SourceBase implements MembershipSource {
  readonly kind = 'sidecar'
  readonly selfName = undefined
  readonly #options: ResolvedOptions
  readonly #clock: Clock
  readonly #random: Random
  readonly #get: HttpGet
  readonly #logger: Logger
  readonly #tracer: Tracer
  readonly #ledger = new StateLedger()
  readonly #holdDown: HoldDown<Selection>
  readonly #warnings: LimitedWarnings
  readonly #counts = { accepted: 0, ignored: 0, refused: 0, folded: 0, fetchFailures: 0 }
  readonly #fetches = { completed: 0, failed: 0 }
  #client: SidecarClient | undefined
  #applied: Selection | undefined
  #loops: Promise<unknown>[] = []
  #confirmedAtMs: number | undefined
  #watching = false
  /** Cuts the wait before the next fetch short. */
  #wake: (() => void) | undefined

  constructor(options: SidecarSourceOptions, deps: SidecarSourceDeps) {
    super(deps.logger)
    this.#options = { ...SIDECAR_DEFAULTS, ...options }
    this.#clock = deps.clock ?? systemClock
    this.#random = deps.random ?? systemRandom
    this.#get = deps.get ?? getOverHttp
    this.#logger = deps.logger.child({ component: 'sidecar' })
    this.#tracer = deps.tracer ?? noTracer
    this.#warnings = new LimitedWarnings(this.#clock, this.#logger)
    this.#holdDown = new HoldDown({
      clock: this.#clock,
      holdDownMs: this.#options.holdDownMs,
      capacity: this.#options.capacity,
      apply: (selection, folded) => this.#apply(selection, folded),
    })
  }

  get populated(): boolean {
    return this.#applied !== undefined
  }

  protected async open(ending: AbortSignal): Promise<void> {
    const { url } = this.#options
    if (url === undefined) return
    const parts = { clock: this.#clock, get: this.#get, tracer: this.#tracer }
    this.#client = new SidecarClient({ ...this.#options, ...parts, url: new URL(url) })
    await this.#fetchFirst(this.#client, url, ending)
  }

  protected begin(): void {
    const client = this.#client
    if (client !== undefined) {
      if (this.#options.refetchIntervalMs > 0) this.#follow(this.#refetchLoop(client))
      if (this.#options.watch) this.#follow(this.#watchLoop(client))
    }
    // What was posted meanwhile is in the ledger, if it is newer than what was fetched.
    const { newest } = this.#ledger
    if (newest !== undefined) this.#apply(newest, 0)
  }

  /**
   * Takes what Sidecar posts to its listeners. Any number may come at any time: see {@link HoldDown}.
   *
   * @param body - JSON.
   * @throws {RingmanError} `BODY_INVALID` when it is no such update; nothing is changed then.
   */
  update(body: Uint8Array): UpdateOutcome {
    if (this.stage === 'stopped') return 'stopped'
    let update
    try {
      update = parseUpdate(parseJson(body), this.#options.serviceName)
    } catch (error) {
      this.#counts.refused += 1
      this.#warnings.warn(
        { event: 'update.refused', err: error, sizeBytes: body.byteLength },
        'Refused an update that is not one of Sidecar',
      )
      throw error
    }
    const outcome = this.#judge(update)
    if (outcome !== 'accepted') this.#counts.ignored += 1
    this.#logger.debug({ event: 'update.received', outcome }, 'Received an update')
    return outcome
  }

  protected async close(): Promise<void> {
    this.#holdDown.close()
    this.#wake?.()
    await Promise.allSettled(this.#loops)
  }

  health(): SourceHealth {
    const { url, refetchIntervalMs, timeoutMs, watch } = this.#options
    const stream = watch ? (this.#watching ? 'open' : 'lost') : 'none'
    const detail = {
      instances: this.set.current.length,
      skippedInstances: this.#applied?.skipped.length ?? 0,
      updatesAccepted: this.#counts.accepted,
      updatesIgnored: this.#counts.ignored,
      updatesRefused: this.#counts.refused,
      updatesFolded: this.#counts.folded,
      updatesWaiting: this.#holdDown.waitingCount,
      fetchFailuresInARow: this.#counts.fetchFailures,
      stream,
    }
    const sinceMs = this.#sinceConfirmedMs
    if (sinceMs === undefined) {
      const missing =
        url === undefined ? 'Sidecar has posted no update yet' : "Sidecar's state has not been fetched yet"
      return healthIn('waiting', missing, detail)
    }
    const seconds = Math.round(sinceMs / 1000)
    const known = { ...detail, secondsSinceConfirmed: seconds }
    if (this.#isFetchedAgain && sinceMs > STALE_AFTER_INTERVALS * (refetchIntervalMs + timeoutMs)) {
      const message = `Sidecar has said nothing for ${seconds} s: the members may be out of date`
      return healthIn('stale', message, known)
    }
    if (!this.#isFetchedAgain && stream === 'lost') {
      return healthIn('stale', "Sidecar's stream is lost and its state is not fetched again", known)
    }
    return healthIn('well', `Sidecar said what it knows ${seconds} s ago`, known)
  }

  /** Whether its state is fetched after the first time too. Else silence means that nothing changed. */
  get #isFetchedAgain(): boolean {
    return this.#options.url !== undefined && this.#options.refetchIntervalMs > 0
  }

  get #sinceConfirmedMs(): number | undefined {
    return this.#confirmedAtMs === undefined ? undefined : this.#clock.now() - this.#confirmedAtMs
  }

  statistics(): SourceStatistics {
    const { accepted, ignored, refused, folded } = this.#counts
    const staleMs = this.#isFetchedAgain ? this.#sinceConfirmedMs : undefined
    return {
      ...(staleMs === undefined ? {} : { staleMs }),
      sidecar: {
        fetches: this.#fetches,
        updates: { accepted, ignored, refused, folded },
        ...(this.#options.watch ? { streamUp: this.#watching } : {}),
        skippedInstances: this.#applied?.skipped.length ?? 0,
      },
    }
  }

  async #fetchFirst(client: SidecarClient, url: string, signal: AbortSignal): Promise<void> {
    try {
      this.#offerPresent(await client.fetchState(signal), this.#ledger.version)
      this.#fetches.completed += 1
    } catch (error) {
      const message = `Sidecar's state could not be fetched from ${url}: ${messageOf(error)}`
      throw new RingmanError('SOURCE_FAILED', message, { cause: error })
    }
  }

  #follow(loop: Promise<void>): void {
    this.#loops.push(loop.catch((error: unknown) => this.fail(error)))
  }

  async #refetchLoop(client: SidecarClient): Promise<void> {
    const { refetchIntervalMs } = this.#options
    let doubtful = false
    while (!this.stopped.aborted) {
      const failures = this.#counts.fetchFailures
      const soonMs = SOON_MS * 2 ** Math.min(failures, 10)
      const baseMs = failures > 0 || doubtful ? Math.min(soonMs, refetchIntervalMs) : refetchIntervalMs
      const pausedAtMs = this.#clock.now()
      await this.#pause(baseMs * (0.9 + 0.2 * this.#random()))
      // Woken by the stream: soon, but not at once, however often the stream says so.
      if (this.#clock.now() - pausedAtMs < baseMs / 2) {
        await sleep(this.#clock, Math.min(SOON_MS, refetchIntervalMs), this.stopped)
      }
      if (this.stopped.aborted) return
      const version = this.#ledger.version
      try {
        const offered = this.#offerPresent(await client.fetchState(this.stopped), version)
        doubtful = offered === 'doubtful'
        if (this.#counts.fetchFailures > 0) {
          this.#logger.info(
            { event: 'sidecar.reached', failures: this.#counts.fetchFailures },
            "Fetched Sidecar's state again",
          )
        }
        this.#counts.fetchFailures = 0
        this.#fetches.completed += 1
      } catch (error) {
        if (this.stopped.aborted) return
        this.#fetches.failed += 1
        this.#counts.fetchFailures += 1
        const fields = { event: 'sidecar.fetch-failed', err: error, failures: this.#counts.fetchFailures }
        // Once an outage, not once a try.
        if (this.#counts.fetchFailures === 1) this.#logger.warn(fields, "Failed to fetch Sidecar's state")
        else this.#logger.debug(fields, "Failed to fetch Sidecar's state")
      }
    }
  }

  async #watchLoop(client: SidecarClient): Promise<void> {
    let failures = 0
    while (!this.stopped.aborted) {
      try {
        // A document that follows was made after the one before it was read here, or the stream was opened.
        let version = this.#ledger.version
        for await (const state of client.watchState(this.stopped)) {
          if (!this.#watching) this.#logger.info({ event: 'watch.opened' }, "Opened Sidecar's stream")
          this.#watching = true
          failures = 0
          if (this.#offerPresent(state, version) === 'doubtful') this.#wake?.()
          version = this.#ledger.version
        }
        this.#closeWatch(undefined, failures)
      } catch (error) {
        if (this.stopped.aborted) return
        this.#closeWatch(error, failures)
      }
      const waitMs = Math.min(SOON_MS * 2 ** Math.min(failures, 10), RECONNECT_LIMIT_MS)
      failures += 1
      await sleep(this.#clock, waitMs * (0.5 + 0.5 * this.#random()), this.stopped)
    }
  }

  #closeWatch(error: unknown, failures: number): void {
    this.#watching = false
    const fields = { event: 'watch.closed', ...(error === undefined ? {} : { err: error }) }
    if (failures === 0) this.#logger.warn(fields, "Lost Sidecar's stream")
    else this.#logger.debug(fields, "Failed to open Sidecar's stream")
  }

  /** Waits for `delayMs`, or for `#wake`. */
  async #pause(delayMs: number): Promise<void> {
    if (this.stopped.aborted) return
    const wake = new AbortController()
    this.#wake = () => wake.abort()
    await sleep(this.#clock, delayMs, wake.signal)
    this.#wake = undefined
  }

  #judge({ state, change }: ReturnType<typeof parseUpdate>): UpdateOutcome {
    // Neither of the two moves the time of the newest state: Sidecar posts one state for several changes, and
    // the one that counts may come after one that does not.
    if (change.serviceName !== this.#options.serviceName) return 'other-service'
    if (!changeCounts(change.status, change.previousStatus)) return 'not-counting'
    // One date far ahead would shut out every honest update after it.
    if (state.lastChanged > BigInt(Math.round(this.#clock.wallNow()) + MAX_AHEAD_MS) * 1_000_000n) {
      throw new RingmanError('BODY_INVALID', "LastChanged lies ahead of this host's clock")
    }
    const selection = this.#select(state)
    if (this.#ledger.offerPosted({ lastChanged: state.lastChanged, selection }) !== 'accepted')
      return 'not-newer'
    this.#accepted(selection)
    return 'accepted'
  }

  #offerPresent(state: SidecarState, askedAtVersion: number): Offered {
    this.#confirmedAtMs = this.#clock.now()
    const selection = this.#select(state)
    const offered = this.#ledger.offerPresent({ lastChanged: state.lastChanged, selection }, askedAtVersion)
    if (offered === 'accepted') this.#accepted(selection)
    return offered
  }

  #accepted(selection: Selection): void {
    this.#counts.accepted += 1
    this.#confirmedAtMs = this.#clock.now()
    if (this.stage === 'running') this.#holdDown.offer(selection)
  }

  #apply(selection: Selection, folded: number): boolean {
    this.#counts.folded += folded
    const changed = this.#applied?.signature !== selection.signature
    const first = this.#applied === undefined
    this.#applied = selection
    if (!changed || (first && selection.instances.length === 0)) return false
    if (folded > 0) this.#logger.info({ event: 'updates.folded', folded }, 'Folded updates into one change')
    this.set.publish(membersOf(selection, this.set.current, this.#clock.wallNow()))
    return true
  }

  #select(state: SidecarState): Selection {
    const selection = selectInstances(state.services, this.#options.servicePort)
    if (selection.skipped.length > 0) {
      this.#warnings.warn(
        {
          event: 'instance.skipped',
          service: this.#options.serviceName,
          servicePort: this.#options.servicePort,
          instances: selection.skipped
            .slice(0, NAMED_LIMIT)
            .map(
              ({ id, hostname, reason }) =>
                `${shortened(id, NAME_SHOWN)} on ${shortened(hostname, NAME_SHOWN)}: ${SKIP_REASONS[reason]}`,
            ),
          skipped: selection.skipped.length,
        },
        'Skipped instances that have no place on the ring',
      )
    }
    return selection
  }
}

import type { Basics } from '../../basics.ts'
import { RingmanError } from '../../errors.ts'
import { apiErrorKindOf } from '../../kubernetes/api-error.ts'
import type { LogFields, Logger } from '../../logger.ts'
import type { SourceHealth } from '../condition.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import { listedMember, type ListedMetadata, type Member } from '../member.ts'
import { byName } from '../member-set.ts'
import type { MembershipSource } from '../source.ts'
import { SourceBase } from '../source-base.ts'
import { eachInSteps, finish, mergeInSteps, sortInSteps, type Steps } from '../../ring/steps.ts'
import { takeInTurns } from '../../turns.ts'
import { unlessAborted } from '../../unless-aborted.ts'
import type { SourceStatistics } from '../statistics.ts'
import { Brake } from './brake.ts'
import type { EndpointSlice } from './endpoint-slice.ts'
import { viewEndpoints, type Endpoint, type EndpointsView, type KnownEndpoints } from './endpoints.ts'
import { kubernetesHealth, portProblem } from './kubernetes-health.ts'
import {
  DEFAULT_HOLD_RESTARTING_MS,
  DEFAULT_START_TIMEOUT_MS,
  ENDPOINTS_LIMIT,
  describeSlices,
  type KubernetesSourceOptions,
} from './kubernetes-options.ts'
import { PlaceKeeper, type Place } from './place-keeper.ts'
import { watchSlices, type OpenSliceFeed, type SliceFeed, type WatchedSlicesDeps } from './slice-feed.ts'

const WARNING_INTERVAL_MS = 60_000
/** A place whose time is over is not taken away while the API is away; so often it is looked whether it is back. */
const RECHECK_MS = 1000

/** Thousands of members take long to make: for each so many of them, they are made again a millisecond later. */
const MEMBERS_PER_MS = 10

/** But so many milliseconds later at most. */
const LONGEST_REST_MS = 500

export interface KubernetesSourceDeps extends Omit<Basics, 'random'> {
  readonly openFeed: OpenSliceFeed
  /** What another process knows. */
  readonly kept?: KeptPlaces | undefined
}

/** What another process knows from memory, and the slices do not say. */
export interface KeptPlaces {
  /** Members that it holds although they do not serve: by name, for so many milliseconds more. */
  readonly held: ReadonlyMap<string, number>
  /** The nodes of its ring where its brake is on; undefined where it is off. */
  readonly frozen: readonly Endpoint[] | undefined
}

/**
 * Members from Kubernetes: the endpoints of a Service that serve are on the ring. This process is not one of the
 * members; it may run in one of the pods, but whether that is on the ring is Kubernetes' to say.
 *
 * What the API server said last counts while it is away. `docs/kubernetes-source.md` explains who keeps a place and who
 * loses it.
 */
export class KubernetesSource extends SourceBase implements MembershipSource {
  readonly kind = 'kubernetes'
  readonly selfName = undefined
  readonly #options: KubernetesSourceOptions
  readonly #deps: KubernetesSourceDeps
  readonly #logger: Logger
  readonly #feed: SliceFeed
  readonly #keeper: PlaceKeeper
  readonly #warnings: LimitedWarnings
  /** Ends the start, with the reason. */
  readonly #giveUp = new AbortController()
  readonly #brake: Brake | undefined
  #view: EndpointsView | undefined
  #cancelTimer: (() => void) | undefined
  readonly #endpoints: KnownEndpoints = new WeakMap()
  /** The members that were published last, by name, with what each was made of. */
  readonly #members = new Map<string, { readonly place: Place; readonly member: Member }>()
  /** Whether something has changed that the members do not show yet; and whether slices have. */
  #isStale = false
  #slicesChanged = false
  /** Whether members are in the making, and what cancels that. */
  #isRefreshing = false
  #cancelRefresh: (() => void) | undefined
  #restsUntilMs = 0

  constructor(options: KubernetesSourceOptions, deps: KubernetesSourceDeps) {
    super(deps.logger)
    this.#options = options
    this.#deps = deps
    this.#feed = deps.openFeed(
      () => {
        this.#slicesChanged = true
        if (this.stage === 'running') this.#refresh()
      },
      (error) => {
        // What cannot be read at the start will not mend itself; later on it may be in the middle of being replaced.
        if (this.stage === 'starting' && apiErrorKindOf(error) === 'credentials') this.#giveUp.abort(error)
      },
    )
    this.#logger = deps.logger.child({ component: 'kubernetes' })
    const { brake, holdRestartingMs = DEFAULT_HOLD_RESTARTING_MS } = options
    this.#keeper = new PlaceKeeper(holdRestartingMs)
    this.#brake = brake === undefined ? undefined : new Brake(brake, holdRestartingMs)
    this.#warnings = new LimitedWarnings(deps.clock, this.#logger, WARNING_INTERVAL_MS)
    this.#feed.done.catch(this.fail)
  }

  /** A source with a watch of its own. */
  static watching(options: KubernetesSourceOptions, deps: WatchedSlicesDeps): KubernetesSource {
    const logger = deps.logger.child({ component: 'kubernetes' })
    return new KubernetesSource(options, { ...deps, openFeed: watchSlices(options, { ...deps, logger }) })
  }

  /** Whether the ring stays as it is, because too many nodes stopped serving at once. */
  get braked(): boolean {
    return this.#brake?.on === true
  }

  /** The slices that the members were made of. */
  get slices(): Iterable<EndpointSlice> {
    return this.#feed.objects.values()
  }

  acceptLoss(): void {
    if (!this.braked) return
    this.#brake?.accept()
    this.#refresh()
  }

  /** Changes for how long places are held, and when the brake goes on. */
  adjust(options: { readonly holdRestartingMs: number; readonly brake: number }): void {
    this.#keeper.holdRestartingMs = options.holdRestartingMs
    if (this.#brake !== undefined) {
      this.#brake.share = options.brake
      this.#brake.holdMs = options.holdRestartingMs
    }
    if (this.stage === 'running') this.#refresh()
  }

  get populated(): boolean {
    return this.#view !== undefined
  }

  protected async open(ending: AbortSignal): Promise<void> {
    const timeoutMs = this.#options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS
    const cancel = this.#deps.clock.after(timeoutMs, () => {
      const { problem = 'no answer' } = this.#feed.status
      this.#giveUp.abort(
        new RingmanError(
          'SOURCE_FAILED',
          `the EndpointSlices of ${describeSlices(this.#options)} could not be listed within ${timeoutMs} ms: ${problem}`,
        ),
      )
    })
    try {
      this.#feed.start()
      await unlessAborted(AbortSignal.any([ending, this.#giveUp.signal]), this.#feed.listed)
    } finally {
      cancel()
    }
  }

  protected begin(): void {
    if (this.#deps.kept !== undefined) this.#restore(this.#deps.kept)
    // The first set is there when the start is over; nobody looks anything up before.
    this.#isStale = true
    this.#slicesChanged = true
    finish(this.#refreshInSteps())
  }

  protected async close(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelRefresh?.()
    await this.#feed.stop()
  }

  health(): SourceHealth {
    const { status, namespace } = this.#feed
    const { members, braked } = this
    return kubernetesHealth({ status, view: this.#view, options: this.#options, namespace, members, braked })
  }

  statistics(): SourceStatistics {
    const { sinceConfirmedMs, counts } = this.#feed.status
    return { staleMs: sinceConfirmedMs, kubernetes: counts }
  }

  #restore({ held, frozen }: KeptPlaces): void {
    const { port, family } = this.#options
    const { endpoints } = finish(viewEndpoints(this.#feed.objects.values(), port, family ?? 'auto'))
    const nowMs = this.#deps.clock.now()
    for (const [name, leftMs] of held) {
      const endpoint = endpoints.get(name)
      if (endpoint !== undefined && !endpoint.serving) this.#keeper.hold(endpoint, nowMs + leftMs)
    }
    if (frozen === undefined) return
    this.#brake?.freeze(new Map(frozen.map((endpoint) => [endpoint.name, { endpoint, state: 'suspect' }])))
  }

  /** Makes the members anew; what changes while that goes on, or soon after, is taken afterwards, all at once. */
  #refresh(): void {
    this.#isStale = true
    if (this.#isRefreshing) return
    this.#isRefreshing = true
    const { clock } = this.#deps
    const begin = () => {
      takeInTurns(clock, this.#refreshOrFail(), (cancel) => {
        this.#cancelRefresh = cancel
      })
    }
    const restMs = this.#restsUntilMs - clock.now()
    if (restMs > 0) this.#cancelRefresh = clock.after(restMs, begin)
    else begin()
  }

  *#refreshOrFail(): Steps<void> {
    try {
      yield* this.#refreshInSteps()
    } catch (error) {
      this.fail(error)
    }
    this.#isRefreshing = false
    if (this.#isStale) this.#refresh()
  }

  *#refreshInSteps(): Steps<void> {
    this.#isStale = false
    if (this.#slicesChanged) yield* this.#observe()
    else yield* this.#keeper.expire(this.#deps.clock.now())
    yield
    yield* this.#publish()
    const restMs = Math.min(LONGEST_REST_MS, Math.floor(this.#members.size / MEMBERS_PER_MS))
    this.#restsUntilMs = this.#deps.clock.now() + restMs
    this.#setTimer()
  }

  *#observe(): Steps<void> {
    const { port, family } = this.#options
    this.#slicesChanged = false
    const view = yield* viewEndpoints(this.#feed.objects.values(), port, family ?? 'auto', this.#endpoints)
    this.#view = view
    this.#warn(view)
    if (view.endpoints.size <= ENDPOINTS_LIMIT) {
      yield* this.#keeper.observe(view, this.#deps.clock.now())
    }
  }

  #setTimer(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    if (this.stage === 'stopped') return
    const { clock } = this.#deps
    const dueMs = this.#keeper.nextDueMs
    if (dueMs === Infinity) return
    const leftMs = dueMs - clock.now()
    this.#cancelTimer = clock.after(leftMs > 0 ? leftMs : RECHECK_MS, () => {
      this.#cancelTimer = undefined
      // While the API is away nobody knows whether the pod is back: the last known ring stays.
      if (this.#feed.status.current) {
        this.#refresh()
      }
      this.#setTimer()
    })
  }

  *#publish(): Steps<void> {
    const all = this.#members
    const nowMs = this.#deps.clock.wallNow()
    const wasBraked = this.braked
    const kept = this.#brake?.look(this.#keeper.places, this.#deps.clock.now()) ?? this.#keeper.places
    if (wasBraked !== this.braked) this.#logBrake()
    const come: Member[] = []
    const metadata: ListedMetadata = new Map()
    yield* eachInSteps([...kept.values()], (place) => {
      const { name } = place.endpoint
      const before = all.get(name)
      if (before?.place === place) return
      const member = memberOf(place, before?.member, nowMs, metadata)
      all.set(name, { place, member })
      if (member !== before?.member) come.push(member)
    })
    yield
    const isSmaller = all.size > kept.size
    if (isSmaller) {
      yield* eachInSteps([...all.keys()], (name) => {
        if (!kept.has(name)) all.delete(name)
      })
      yield
    }
    if (isSmaller || come.length > 0) {
      const stay = this.set.current.filter((member) => all.get(member.name)?.member === member)
      yield
      const sorted = yield* sortInSteps(come, byName)
      this.set.publish(yield* mergeInSteps(stay, sorted, byName))
    }
  }

  #logBrake(): void {
    const slices = describeSlices(this.#options)
    if (this.braked) {
      this.#logger.warn(
        { event: 'brake.on', slices, nodes: this.set.current.length },
        'Keeps the ring as it is, because too many nodes stopped serving at once',
      )
    } else this.#logger.info({ event: 'brake.off', slices }, 'Lets the ring follow its endpoints again')
  }

  #warn(view: EndpointsView): void {
    const about = { slices: describeSlices(this.#options), namespace: this.#feed.namespace }
    const warn = (message: string, fields: LogFields & { readonly event: string }) =>
      this.#warnings.warn({ ...fields, ...about }, message)
    if (view.sliceCount === 0) {
      warn('Found no EndpointSlice; the Service may not exist, or lack a selector', {
        event: 'service.absent',
      })
    }
    if (view.endpoints.size > ENDPOINTS_LIMIT) {
      const fields = { event: 'endpoint.refused', endpoints: view.endpoints.size }
      warn('Refused more endpoints than make a ring; the last one stays', fields)
    }
    if (view.portlessCount > 0) {
      const fields = { event: 'endpoint.skipped', reason: portProblem(view, this.#options.portSetting) }
      warn('Skipped endpoints that have no place on the ring', fields)
    }
    if (view.hostNameSlices > 0) {
      const fields = { event: 'slice.skipped', skipped: view.hostNameSlices }
      warn('Skipped EndpointSlices with host names instead of addresses', fields)
    }
  }
}

/** The member that a place makes; the same object as before if nothing of it changed. */
function memberOf(place: Place, before: Member | undefined, nowMs: number, known: ListedMetadata): Member {
  const { state } = place
  const { name, address, port, zone } = place.endpoint
  if (
    before !== undefined &&
    before.state === state &&
    before.address === address &&
    before.metadata?.servicePort === String(port) &&
    before.metadata.zone === zone
  ) {
    return before
  }
  const stateSinceMs = before?.state === state ? before.stateSinceMs : nowMs
  return listedMember({ name, address, port, zone, state }, stateSinceMs, known)
}

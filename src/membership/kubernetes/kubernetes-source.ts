import type { Clock, Random } from '../../clock.ts'
import { RingmanError } from '../../errors.ts'
import { ApiClient } from '../../kubernetes/api-client.ts'
import { apiErrorKindOf } from '../../kubernetes/api-error.ts'
import { ENDPOINT_SLICES } from '../../kubernetes/api-resource.ts'
import type { ApiTransport } from '../../kubernetes/api-transport.ts'
import { ListWatch } from '../../kubernetes/list-watch.ts'
import type { Logger } from '../../logger.ts'
import type { SourceHealth } from '../condition.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import { DEFAULT_VERSIONS, encodeMetadata, type Member } from '../member.ts'
import type { MembershipSource } from '../source.ts'
import { SourceBase } from '../source-base.ts'
import { type SourceStatistics, apiStatistics } from '../statistics.ts'
import { parseEndpointSlice, type EndpointSlice } from './endpoint-slice.ts'
import { viewEndpoints, type EndpointsView } from './endpoints.ts'
import { kubernetesHealth, portProblem } from './kubernetes-health.ts'
import {
  DEFAULT_GONE_AFTER_MS,
  DEFAULT_HOLD_RESTARTING_MS,
  DEFAULT_START_TIMEOUT_MS,
  ENDPOINTS_LIMIT,
  describeSlices,
  selectorOf,
  type KubernetesSourceOptions,
} from './kubernetes-options.ts'
import { PlaceKeeper, type Place } from './place-keeper.ts'

const WARNING_INTERVAL_MS = 60_000
/** A place whose time is over is not taken away while the API is away; so often it is looked whether it is back. */
const RECHECK_MS = 1000

export interface KubernetesSourceDeps {
  /** How the API server is reached. */
  readonly transport: ApiTransport
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
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
  readonly #watch: ListWatch<EndpointSlice>
  readonly #keeper: PlaceKeeper
  readonly #warnings: LimitedWarnings
  readonly #refused = Promise.withResolvers<never>()
  #view: EndpointsView | undefined
  #cancelTimer: (() => void) | undefined

  constructor(options: KubernetesSourceOptions, deps: KubernetesSourceDeps) {
    super(deps.logger)
    const { clock, random } = deps
    this.#options = options
    this.#deps = deps
    this.#logger = deps.logger.child({ component: 'kubernetes' })
    this.#keeper = new PlaceKeeper({
      holdRestartingMs: options.holdRestartingMs ?? DEFAULT_HOLD_RESTARTING_MS,
      goneAfterMs: options.goneAfterMs ?? DEFAULT_GONE_AFTER_MS,
    })
    this.#warnings = new LimitedWarnings(clock, this.#logger, WARNING_INTERVAL_MS)
    this.#watch = new ListWatch({
      client: new ApiClient(deps.transport, clock, options.client),
      selection: {
        kind: ENDPOINT_SLICES,
        labelSelector: selectorOf(options),
        namespace: options.namespace,
      },
      parse: parseEndpointSlice,
      onObjects: () => {
        if (this.stage === 'running') this.#refresh()
      },
      onFailure: (error) => {
        // What cannot be read at the start will not mend itself; later on it may be in the middle of being replaced.
        if (this.stage === 'starting' && apiErrorKindOf(error) === 'credentials') this.#refused.reject(error)
      },
      clock,
      random,
      logger: this.#logger,
      settings: options.listWatch,
    })
    this.#watch.done.catch(this.fail)
    this.#refused.promise.catch(() => {})
  }

  get populated(): boolean {
    return this.#view !== undefined
  }

  protected async open(ending: AbortSignal): Promise<void> {
    const timeoutMs = this.#options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS
    const over = Promise.withResolvers<'aborted' | 'timed out'>()
    const onAbort = () => {
      over.resolve('aborted')
    }
    ending.addEventListener('abort', onAbort, { once: true })
    const cancel = this.#deps.clock.after(timeoutMs, () => {
      over.resolve('timed out')
    })
    try {
      this.#watch.start()
      const outcome = await Promise.race([this.#watch.listed, over.promise, this.#refused.promise])
      if (outcome === 'timed out') {
        const { problem = 'no answer' } = this.#watch.status
        throw new RingmanError(
          'SOURCE_FAILED',
          `the EndpointSlices of ${describeSlices(this.#options)} could not be listed within ${timeoutMs} ms: ${problem}`,
        )
      }
    } finally {
      cancel()
      ending.removeEventListener('abort', onAbort)
    }
  }

  protected begin(): void {
    this.#refresh()
  }

  leave(): Promise<void> {
    return Promise.resolve()
  }

  protected async close(): Promise<void> {
    this.#cancelTimer?.()
    await this.#watch.stop()
  }

  health(): SourceHealth {
    const members = this.set.current
    return kubernetesHealth({
      status: this.#watch.status,
      view: this.#view,
      slices: describeSlices(this.#options),
      namespace: this.#watch.selection?.namespace,
      members: members.length,
      held: members.filter(({ state }) => state === 'suspect').length,
    })
  }

  statistics(): SourceStatistics {
    return apiStatistics(this.#watch.status)
  }

  /** Takes what the slices say now. */
  #refresh(): void {
    const { port, family } = this.#options
    const view = viewEndpoints(this.#watch.objects.values(), port, family ?? 'auto')
    this.#view = view
    this.#warn(view)
    if (view.endpoints.size > ENDPOINTS_LIMIT) return
    this.#keeper.observe(view, this.#deps.clock.now())
    this.#publish()
    this.#setTimer()
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
      if (this.#watch.status.current) {
        this.#keeper.expire(clock.now())
        this.#publish()
      }
      this.#setTimer()
    })
  }

  #publish(): void {
    const before = this.set.current
    const known = new Map(before.map((member) => [member.name, member]))
    const nowMs = this.#deps.clock.wallNow()
    const members = Array.from(this.#keeper.places.values(), (place) =>
      memberOf(place, known.get(place.endpoint.name), nowMs),
    )
    if (members.length === before.length && members.every((member) => known.get(member.name) === member))
      return
    this.set.publish(members)
  }

  #warn(view: EndpointsView): void {
    const slices = describeSlices(this.#options)
    const namespace = this.#watch.selection?.namespace
    if (view.sliceCount === 0) {
      this.#warnings.warn(
        { event: 'service.absent', slices, namespace },
        'Found no EndpointSlice; the Service may not exist, or have no selector',
      )
    }
    if (view.endpoints.size > ENDPOINTS_LIMIT) {
      this.#warnings.warn(
        { event: 'endpoint.refused', slices, namespace, endpoints: view.endpoints.size },
        'Refused more endpoints than make a ring; the last one stays',
      )
    }
    if (view.portlessCount > 0) {
      this.#warnings.warn(
        { event: 'endpoint.skipped', slices, namespace, reason: portProblem(view) },
        'Skipped endpoints that have no place on the ring',
      )
    }
    if (view.hostNameSlices > 0) {
      this.#warnings.warn(
        { event: 'slice.skipped', slices, namespace, skipped: view.hostNameSlices },
        'Skipped EndpointSlices with host names instead of addresses',
      )
    }
  }
}

/** The member that a place makes; the same object as before if nothing of it changed. */
function memberOf({ endpoint, state }: Place, before: Member | undefined, nowMs: number): Member {
  const { name, address, port, zone } = endpoint
  const servicePort = String(port)
  if (
    before !== undefined &&
    before.state === state &&
    before.address === address &&
    before.metadata?.servicePort === servicePort &&
    before.metadata.zone === zone
  ) {
    return before
  }
  const metadata = { servicePort, ...(zone === undefined ? {} : { zone }) }
  return {
    name,
    address,
    port: 0,
    state,
    stateSinceMs: before?.state === state ? before.stateSinceMs : nowMs,
    meta: encodeMetadata(metadata),
    metadata,
    versions: DEFAULT_VERSIONS,
  }
}

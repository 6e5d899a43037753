import type { Clock, Random } from '../../clock.ts'
import type { RingmanError } from '../../errors.ts'
import { ApiClient } from '../../kubernetes/api-client.ts'
import { ENDPOINT_SLICES } from '../../kubernetes/api-resource.ts'
import type { ApiTransport } from '../../kubernetes/api-transport.ts'
import { ListWatch, type ListWatchStatus } from '../../kubernetes/list-watch.ts'
import type { Logger } from '../../logger.ts'
import { parseEndpointSlice, type EndpointSlice } from './endpoint-slice.ts'
import { selectorOf, type KubernetesSourceOptions } from './kubernetes-options.ts'

/** Where a source has its EndpointSlices from: a watch of its own, or one that many share. */
export interface SliceFeed {
  /** The slices as they are known now. */
  readonly slices: Iterable<EndpointSlice>
  readonly status: ListWatchStatus
  /** Where they are; undefined before it is known. */
  readonly namespace: string | undefined
  /** Resolves when the slices are known for the first time. */
  readonly listed: Promise<void>
  /** Rejects when the watch itself breaks. */
  readonly done: Promise<void>
  /** Begins: `onSlices` is called after each change, and whenever the slices were confirmed. Once only. */
  start(onSlices: () => void, onFailure: (error: RingmanError) => void): void
  /** Ends it; nothing is called afterwards. */
  stop(): Promise<void>
}

/** The slices of one Service, or of one selector, by a watch of their own. */
export class WatchedSlices implements SliceFeed {
  readonly listed: Promise<void>
  readonly done: Promise<void>
  readonly #watch: ListWatch<EndpointSlice>
  #onSlices = () => {}
  #onFailure: (error: RingmanError) => void = () => {}

  constructor(
    options: KubernetesSourceOptions,
    deps: {
      readonly transport: ApiTransport
      readonly clock: Clock
      readonly random: Random
      readonly logger: Logger
    },
  ) {
    const { transport, clock, random, logger } = deps
    this.#watch = new ListWatch({
      client: new ApiClient(transport, clock, options.client),
      selection: {
        kind: ENDPOINT_SLICES,
        labelSelector: selectorOf(options),
        namespace: options.namespace,
      },
      parse: parseEndpointSlice,
      onObjects: () => {
        this.#onSlices()
      },
      onFailure: (error) => {
        this.#onFailure(error)
      },
      clock,
      random,
      logger,
      settings: options.listWatch,
    })
    this.listed = this.#watch.listed
    this.done = this.#watch.done
  }

  get slices(): Iterable<EndpointSlice> {
    return this.#watch.objects.values()
  }

  get status(): ListWatchStatus {
    return this.#watch.status
  }

  get namespace(): string | undefined {
    return this.#watch.selection?.namespace
  }

  start(onSlices: () => void, onFailure: (error: RingmanError) => void): void {
    this.#onSlices = onSlices
    this.#onFailure = onFailure
    this.#watch.start()
  }

  stop(): Promise<void> {
    return this.#watch.stop()
  }
}

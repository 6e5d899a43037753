import type { RingmanError } from '../../errors.ts'
import type { Basics } from '../../basics.ts'
import { ApiClient } from '../../kubernetes/api-client.ts'
import { ENDPOINT_SLICES } from '../../kubernetes/api-resource.ts'
import type { ApiTransport } from '../../kubernetes/api-transport.ts'
import { ListWatch, type ListWatchStatus } from '../../kubernetes/list-watch.ts'
import { parseEndpointSlice, type EndpointSlice } from './endpoint-slice.ts'
import { selectorOf, type KubernetesSourceOptions } from './kubernetes-options.ts'

/** Where a source has its EndpointSlices from: a watch of its own, or one that many share. */
export interface SliceFeed {
  readonly slices: Iterable<EndpointSlice>
  readonly status: ListWatchStatus
  /** Where they are; undefined before it is known. */
  readonly namespace: string | undefined
  /** Resolves when the slices are known for the first time. */
  readonly listed: Promise<void>
  /** Rejects when the watch itself breaks. */
  readonly done: Promise<void>
  /** Begins. Once only. */
  start(): void
  /** Ends it; nothing is called afterwards. */
  stop(): Promise<void>
}

/** Makes a feed that calls `onSlices` after each change, and whenever the slices were confirmed. */
export type OpenSliceFeed = (onSlices: () => void, onFailure: (error: RingmanError) => void) => SliceFeed

export interface WatchedSlicesDeps extends Basics {
  readonly transport: ApiTransport
}

/** The slices of one Service, or of one selector, by a watch of their own. */
export function watchSlices(options: KubernetesSourceOptions, deps: WatchedSlicesDeps): OpenSliceFeed {
  return (onSlices, onFailure) => {
    const watch = new ListWatch({
      ...deps,
      client: new ApiClient(deps.transport, deps.clock, options.client),
      selection: {
        kind: ENDPOINT_SLICES,
        labelSelector: selectorOf(options),
        namespace: options.namespace,
      },
      parse: parseEndpointSlice,
      onObjects: onSlices,
      onFailure,
      settings: options.listWatch,
    })
    return {
      get slices() {
        return watch.objects.values()
      },
      get status() {
        return watch.status
      },
      get namespace() {
        return watch.selection?.namespace
      },
      listed: watch.listed,
      done: watch.done,
      start: () => {
        watch.start()
      },
      stop: () => watch.stop(),
    }
  }
}

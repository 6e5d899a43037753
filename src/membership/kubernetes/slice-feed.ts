import type { RingmanError } from '../../errors.ts'
import type { Basics } from '../../basics.ts'
import { ApiClient } from '../../kubernetes/api-client.ts'
import { ENDPOINT_SLICES } from '../../kubernetes/api-resource.ts'
import type { ApiTransport } from '../../kubernetes/api-transport.ts'
import { ListWatch } from '../../kubernetes/list-watch.ts'
import { parseEndpointSlice, type EndpointSlice } from './endpoint-slice.ts'
import { selectorOf, type KubernetesSourceOptions } from './kubernetes-options.ts'

/** Where a source has its EndpointSlices from: a watch of its own, or one that many share. */
export type SliceFeed = Pick<
  ListWatch<EndpointSlice>,
  'objects' | 'namespace' | 'status' | 'listed' | 'done' | 'start' | 'stop'
>

/** Makes a feed that calls `onSlices` after each change, and whenever the slices were confirmed. */
export type OpenSliceFeed = (onSlices: () => void, onFailure: (error: RingmanError) => void) => SliceFeed

export interface WatchedSlicesDeps extends Basics {
  readonly transport: ApiTransport
}

/** The slices of one Service, or of one selector, by a watch of their own. */
export function watchSlices(options: KubernetesSourceOptions, deps: WatchedSlicesDeps): OpenSliceFeed {
  return (onSlices, onFailure) =>
    new ListWatch({
      ...deps,
      client: new ApiClient(deps.transport, deps.clock, options.client),
      selection: { kind: ENDPOINT_SLICES, labelSelector: selectorOf(options), namespace: options.namespace },
      parse: parseEndpointSlice,
      onObjects: onSlices,
      onFailure,
      settings: options.listWatch,
    })
}

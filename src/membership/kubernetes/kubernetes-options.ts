import type { ApiClientSettings } from '../../kubernetes/api-client.ts'
import type { ListWatchSettings } from '../../kubernetes/list-watch.ts'
import { SERVICE_LABEL } from './endpoint-slice.ts'
import type { FamilyChoice, PortChoice } from './endpoints.ts'

/** How long a pod that only restarts keeps its place, in milliseconds. */
export const DEFAULT_HOLD_RESTARTING_MS = 30_000
/** How long the start waits for the first list, in milliseconds. */
export const DEFAULT_START_TIMEOUT_MS = 30_000
/** Endpoints that a ring is made of at most; with more the last one stays. */
export const ENDPOINTS_LIMIT = 10_000
/** What was confirmed longer ago counts as out of date, in milliseconds: a stall and a list that takes its time. */
export const STALE_AFTER_MS = 150_000

export interface KubernetesSourceOptions {
  /** Whose endpoints the members are: a Service by name, or EndpointSlices by their labels. */
  readonly slices: { readonly serviceName: string } | { readonly labelSelector: string }
  /** @default the pod's own, or that of the kubeconfig's context */
  readonly namespace?: string | undefined
  /** The port's name in the Service, or its number on the pods. @default the only one there is */
  readonly port?: Exclude<PortChoice, undefined> | undefined
  /** @default 'auto' */
  readonly family?: FamilyChoice
  /** Milliseconds, 0 for not at all. @default 30_000 */
  readonly holdRestartingMs?: number
  /** Milliseconds. @default 30_000 */
  readonly startTimeoutMs?: number
  /** See {@link Brake}: above this share of nodes that stop serving at once the ring stays as it is. @default none */
  readonly brake?: number
  /** What to set to choose the port, for messages. @default '--kubernetes-port' */
  readonly portSetting?: string
  readonly listWatch?: Partial<ListWatchSettings> | undefined
  readonly client?: Partial<ApiClientSettings>
}

export function selectorOf({ slices }: KubernetesSourceOptions): string {
  return 'serviceName' in slices ? `${SERVICE_LABEL}=${slices.serviceName}` : slices.labelSelector
}

/** The slices in words, such as `the Service "cache"`. */
export function describeSlices({ slices }: KubernetesSourceOptions): string {
  return 'serviceName' in slices
    ? `the Service "${slices.serviceName}"`
    : `the selector "${slices.labelSelector}"`
}

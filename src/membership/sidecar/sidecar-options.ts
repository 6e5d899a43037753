/** Updates that may wait for the end of a hold-down: the Go library's `DefaultReceiverCapacity`. */
export const DEFAULT_CAPACITY = 50
/** The least time between two changes of the ring in a burst, in milliseconds: the Go library's. */
export const DEFAULT_HOLD_DOWN_MS = 5000
/** Time between two fetches of the state, in milliseconds. */
export const DEFAULT_REFETCH_INTERVAL_MS = 30_000
/** Time for a fetch, and for a stream to begin, in milliseconds: the Go library's. */
export const DEFAULT_TIMEOUT_MS = 5000
/** Largest state, and largest update, in bytes. */
export const STATE_LIMIT_BYTES = 8 * 1024 * 1024

export interface SidecarSourceOptions {
  /**
   * Where the state is, such as `http://localhost:7777/api/state.json`. Without it nothing is fetched: the
   * members are those of the first update.
   */
  readonly url?: string | undefined
  readonly serviceName: string
  /** The `ServicePort` by which an instance's port is found, 1 to 65535. */
  readonly servicePort: number
  /** Follow Sidecar's stream of states (`/api/watch`); needs `url`. @default false */
  readonly watch?: boolean
  /** Milliseconds between two fetches; 0 for none after the first. @default 30_000 */
  readonly refetchIntervalMs?: number
  /** Milliseconds, 0 for none. @default 5000 */
  readonly holdDownMs?: number
  /** Updates that may wait in a hold-down, at least 1. @default 50 */
  readonly capacity?: number
  /** Milliseconds. @default 5000 */
  readonly timeoutMs?: number
  /** @default 8 MiB */
  readonly limitBytes?: number
}

/** {@link SidecarSourceOptions} with every default filled in. */
export type ResolvedOptions = Required<Omit<SidecarSourceOptions, 'url'>> & {
  readonly url: string | undefined
}

/** Fills in the defaults. */
export function resolveOptions(options: SidecarSourceOptions): ResolvedOptions {
  return {
    url: undefined,
    watch: false,
    refetchIntervalMs: DEFAULT_REFETCH_INTERVAL_MS,
    holdDownMs: DEFAULT_HOLD_DOWN_MS,
    capacity: DEFAULT_CAPACITY,
    timeoutMs: DEFAULT_TIMEOUT_MS,
    limitBytes: STATE_LIMIT_BYTES,
    ...options,
  }
}

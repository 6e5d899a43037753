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

/** What counts where nothing was given; hold-down, capacity and timeout are the Go library's. */
export const SIDECAR_DEFAULTS = {
  url: undefined,
  watch: false,
  refetchIntervalMs: 30_000,
  holdDownMs: 5000,
  capacity: 50,
  timeoutMs: 5000,
  limitBytes: 8 * 1024 * 1024,
} as const satisfies Partial<SidecarSourceOptions>

/** {@link SidecarSourceOptions} with every default filled in. */
export type ResolvedOptions = Required<Omit<SidecarSourceOptions, 'url'>> & {
  readonly url: string | undefined
}

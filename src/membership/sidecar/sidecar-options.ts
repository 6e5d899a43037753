/** What counts where nothing was given; hold-down, capacity and timeout are the Go library's. */
export const SIDECAR_DEFAULTS = {
  /** Follow Sidecar's stream of states (`/api/watch`); needs `url`. */
  watch: false,
  /** Milliseconds between two fetches; 0 for none after the first. */
  refetchIntervalMs: 30_000,
  /** Milliseconds, 0 for none. */
  holdDownMs: 5000,
  /** Updates that may wait in a hold-down, at least 1. */
  capacity: 50,
  /** Milliseconds that an answer may take. */
  timeoutMs: 5000,
  /** Largest state, in bytes. */
  limitBytes: 8 * 1024 * 1024,
}

type Defaults = Readonly<typeof SIDECAR_DEFAULTS>

export interface SidecarSourceOptions extends Partial<Defaults> {
  /**
   * Where the state is, such as `http://localhost:7777/api/state.json`. Without it nothing is fetched: the
   * members are those of the first update.
   */
  readonly url?: string | undefined
  readonly serviceName: string
  /** The `ServicePort` by which an instance's port is found, 1 to 65535. */
  readonly servicePort: number
}

/** {@link SidecarSourceOptions} with every default filled in. */
export type ResolvedOptions = SidecarSourceOptions & Defaults

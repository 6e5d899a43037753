import { close, open } from 'node:fs'
import { devNull } from 'node:os'
import type { Clock } from '../clock.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import type { Logger } from '../logger.ts'
import type { PortConnections } from './port-connections.ts'

/** Milliseconds between two looks whether there is a file descriptor left. */
const LOOK_MS = 1000

/** Milliseconds between two lines about it. */
const WARNING_MS = 60_000

/** Connections of clients, of which fewer can be allowed. */
export type ClientPort = Pick<PortConnections, 'limit' | 'allowFewer' | 'allowMore'>

/**
 * Notices that file descriptors have run out, which nothing else does: libuv closes the connections that come then, probes
 * among them, and says nothing. Idle connections of clients make room, and fewer are allowed for a while.
 */
export class DescriptorWatch {
  readonly #clock: Clock
  readonly #warnings: LimitedWarnings
  readonly #ports: readonly ClientPort[]
  readonly #tryOpen: () => Promise<boolean>
  #cancel = () => {}
  #stopped = false

  /** @param deps - `ports`: those whose clients make room. `tryOpen`: whether one more descriptor can be had. */
  constructor(deps: {
    readonly clock: Clock
    readonly logger: Logger
    readonly ports: readonly ClientPort[]
    readonly tryOpen?: () => Promise<boolean>
  }) {
    this.#clock = deps.clock
    this.#warnings = new LimitedWarnings(deps.clock, deps.logger, WARNING_MS)
    this.#ports = deps.ports
    this.#tryOpen = deps.tryOpen ?? tryOpenOne
  }

  start(): void {
    this.#cancel = this.#clock.after(LOOK_MS, () => {
      void this.#look().then(() => {
        if (!this.#stopped) this.start()
      })
    })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  async #look(): Promise<void> {
    if (await this.#tryOpen()) {
      for (const port of this.#ports) port.allowMore()
      return
    }
    for (const port of this.#ports) port.allowFewer()
    this.#warnings.warn(
      { event: 'descriptors.exhausted', limit: this.#ports.reduce((sum, { limit }) => sum + limit, 0) },
      'File descriptors have run out: closed idle connections, and allow fewer',
    )
  }
}

/** By callbacks: `node:fs/promises` is a megabyte that an idle member has no other use for. */
function tryOpenOne(): Promise<boolean> {
  return new Promise((resolve) => {
    open(devNull, (error, descriptor) => {
      if (error === null) {
        close(descriptor, () => {
          resolve(true)
        })
      } else resolve(error.code !== 'EMFILE' && error.code !== 'ENFILE')
    })
  })
}

import type { ServerResponse } from 'node:http'
import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { RingService } from '../compose/ring-service.ts'
import type { HttpLimits } from './limits.ts'
import type { CurrentView } from './ring-view.ts'

/** The event of a Koa application that ends its open watches; `openServer` emits it when it begins to close. */
export const CLOSING_EVENT = 'closing'

const EVENT_STREAM = [
  'Content-Type',
  'text/event-stream',
  'Cache-Control',
  'no-store',
  // nginx would hold the events back.
  'X-Accel-Buffering',
  'no',
  // A stream takes its connection with it, so that none is left open at shutdown.
  'Connection',
  'close',
]

/** Milliseconds after which a client that lost its stream should come back. */
const RETRY_MS = 1000

interface Watcher {
  readonly res: ServerResponse
  /** Bytes waited at the last heartbeat, and none was taken since. */
  stalled: boolean
}

/**
 * The open watches of a ring: each gets the ring at once and after each change, as server-sent events, and
 * comments between them so that it notices a dead connection. Nothing is kept for one that does not read: with
 * too much waiting, or nothing taken for a whole heartbeat, its connection is cut.
 */
export class RingWatch {
  readonly #ring: RingService
  readonly #view: CurrentView
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #limits: HttpLimits
  readonly #watchers = new Set<Watcher>()
  /** Applications whose closing is listened for already. */
  readonly #apps = new WeakSet<Koa>()
  #unsubscribe: (() => void) | undefined
  #cancelHeartbeat: (() => void) | undefined

  constructor(deps: {
    readonly ring: RingService
    readonly view: CurrentView
    readonly clock: Clock
    readonly logger: Logger
    readonly limits: HttpLimits
  }) {
    this.#ring = deps.ring
    this.#view = deps.view
    this.#clock = deps.clock
    this.#logger = deps.logger
    this.#limits = deps.limits
  }

  /** How many watches are open. */
  get size(): number {
    return this.#watchers.size
  }

  /**
   * Answers with the stream of events.
   *
   * @throws {RingmanError} `MANAGER_NOT_RUNNING`, `TOO_MANY_WATCHERS`.
   */
  open(ctx: Koa.Context): void {
    if (!this.#ring.manager.running) {
      throw new RingmanError('MANAGER_NOT_RUNNING', 'the ring manager is not running')
    }
    if (this.#watchers.size >= this.#limits.maxWatchers) {
      throw new RingmanError(
        'TOO_MANY_WATCHERS',
        `${this.#limits.maxWatchers} watches are open already; ask another member`,
        { detail: { limit: this.#limits.maxWatchers } },
      )
    }
    ctx.respond = false
    const { res } = ctx
    res.writeHead(200, EVENT_STREAM)
    if (ctx.method === 'HEAD') {
      res.end()
      return
    }
    if (!this.#apps.has(ctx.app)) {
      this.#apps.add(ctx.app)
      ctx.app.on(CLOSING_EVENT, () => {
        this.close()
      })
    }
    const watcher: Watcher = { res, stalled: false }
    this.#watchers.add(watcher)
    res.on('drain', () => {
      watcher.stalled = false
    })
    res.on('close', () => {
      this.#watchers.delete(watcher)
      if (this.#watchers.size === 0) this.#rest()
    })
    this.#wake()
    res.write(`retry: ${RETRY_MS}\n${this.#event()}`, 'latin1')
  }

  /** Ends every open watch; new ones can be opened. */
  close(): void {
    for (const { res } of this.#watchers) res.end()
  }

  #event(): string {
    const view = this.#view.get()
    return `id: ${view.snapshot.epoch}\nevent: ring\ndata: ${view.ringJson(this.#clock.now())}\n\n`
  }

  /** Begins to follow the ring, with the first watcher. */
  #wake(): void {
    this.#unsubscribe ??= this.#ring.manager.subscribe(() => {
      try {
        this.#broadcast()
      } catch (error) {
        // The manager ends at a listener that throws; a fault in what is shown must not end the ring.
        this.#logger.error({ event: 'watch.failed', err: error }, 'Failed to send a ring to its watchers')
      }
    })
    this.#cancelHeartbeat ??= this.#clock.after(this.#limits.heartbeatMs, () => {
      this.#cancelHeartbeat = undefined
      this.#beat()
    })
  }

  /** Stops following, with the last watcher. */
  #rest(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
    this.#cancelHeartbeat?.()
    this.#cancelHeartbeat = undefined
  }

  #broadcast(): void {
    const event = this.#event()
    for (const watcher of this.#watchers) {
      if (watcher.res.writableLength > this.#limits.watchBufferBytes) this.#drop(watcher)
      else watcher.res.write(event, 'latin1')
    }
  }

  #beat(): void {
    if (!this.#ring.manager.running) {
      this.close()
      return
    }
    for (const watcher of this.#watchers) {
      const waits = watcher.res.writableLength > 0
      if (waits && watcher.stalled) {
        this.#drop(watcher)
        continue
      }
      watcher.stalled = waits
      // One who has not taken the last bytes needs no sign of life.
      if (!waits) watcher.res.write(': heartbeat\n\n', 'latin1')
    }
    if (this.#watchers.size > 0) this.#wake()
  }

  #drop({ res }: Watcher): void {
    this.#logger.debug(
      { event: 'watch.dropped', waitingBytes: res.writableLength },
      'Dropped a watcher that does not read',
    )
    res.destroy()
  }
}

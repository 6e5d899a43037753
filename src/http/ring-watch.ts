import type { ServerResponse } from 'node:http'
import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { NamedRing } from '../service/named-rings.ts'
import type { RingService } from '../service/ring-service.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import type { RingSnapshot } from '../manager/snapshot.ts'
import { HashRing } from '../ring/hash-ring.ts'
import type { MovedStretches, Stretch } from '../ring/moved.ts'
import type { RingNode } from '../ring/node.ts'
import { findNode } from '../service/ownership.ts'
import type { HeldBytes } from './held-bytes.ts'
import { hasLargeHead, type HttpLimits } from './limits.ts'
import { asciiJson, pour, type Responder } from './respond.ts'
import { nodeFields, type CurrentView, type RingView } from './ring-view.ts'

/** The event of a Koa application that ends its open watches; `openServer` emits it when it begins to close. */
export const CLOSING_EVENT = 'closing'

const EVENT_STREAM = Object.entries({
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-store',
  // nginx would hold the events back.
  'X-Accel-Buffering': 'no',
  // A stream takes its connection with it, so that none is left open at shutdown.
  Connection: 'close',
}).flat()

const HEARTBEAT = Buffer.from(': heartbeat\n\n')

/** Milliseconds after which a client that lost its stream should come back. */
const RETRY_MS = 1000

/** Bytes of events that are written in one turn of the event loop. */
const TURN_BYTES = 4 * 1024 * 1024

/** What finding out what one node gained and lost costs, counted in bytes that are written. */
const NODE_EVENT_COST = 100_000

/** Stretches of which an event tells with both owners: some 600 KB. */
const MAX_MOVED = 10_000

/** Changes of which an event tells; `/v1/changes` has more. */
const CHANGES_TOLD = 16

/** How old the encoded event of a ring may be that a new watcher gets, in milliseconds. */
const EVENT_AGE_MS = 1000

/** One event, encoded once for all watchers that get it. It counts in the ledger while somebody has not taken it. */
class EncodedEvent {
  readonly view: RingView
  readonly bytes: Buffer
  readonly encodedAtMs: number
  readonly #answers: HeldBytes
  #holders = 0
  #release = () => {}

  constructor(view: RingView, text: string, nowMs: number, answers: HeldBytes) {
    this.view = view
    this.bytes = Buffer.from(text, 'latin1')
    this.encodedAtMs = nowMs
    this.#answers = answers
  }

  get hasRoom(): boolean {
    return this.#holders > 0 || this.#answers.hasRoom(this.bytes.length)
  }

  hold(): void {
    if (this.#holders === 0) this.#release = this.#answers.hold(this.bytes.length)
    this.#holders += 1
  }

  letGo(): void {
    this.#holders -= 1
    if (this.#holders === 0) this.#release()
  }
}

interface Watcher {
  readonly res: ServerResponse
  /** The ring key or name of the node whose stretches it watches; undefined for the whole ring. */
  readonly node: string | undefined
  /** What it was sent last. */
  sent: RingView | undefined
  /** Gives up what is being written to it; undefined when it has taken everything. */
  letGo: (() => void) | undefined
}

interface RingWatchDeps {
  readonly ring: RingService
  readonly view: CurrentView
  /** The same ring where it is known by name: its version may be told later than the ring. */
  readonly named?: NamedRing | undefined
  readonly responder: Responder
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: HttpLimits
}

/**
 * The open watches of a ring: each gets the ring at once and after each change, as server-sent events, and
 * comments between them so that it notices a dead connection. What makes an answer another one (that this member became unsure, a
 * version) is a change, too. Nothing queues for one that is behind: when it has taken
 * an event, it gets the newest ring, if that is another by then. A watch of one node gets its stretches in the same way:
 * what it is told has moved is the difference between the last ring that it was sent and the newest.
 */
export class RingWatch {
  readonly #deps: RingWatchDeps
  readonly #watchers = new Set<Watcher>()
  /** Watchers whose turn is still to come. */
  readonly #waiting = new Set<Watcher>()
  /** Applications whose closing is listened for already. */
  readonly #apps = new WeakSet<Koa>()
  #lastEvent: EncodedEvent | undefined
  /** What moved between two rings: most watchers are at the same one. */
  #lastMoved: { readonly from: HashRing; readonly to: HashRing; readonly moved: MovedStretches } | undefined
  #turnDue = false
  #unsubscribe: (() => void) | undefined
  #cancelHeartbeat: (() => void) | undefined

  constructor(deps: RingWatchDeps) {
    this.#deps = deps
  }

  /**
   * Answers with the stream of events.
   *
   * @param node - Ring key or name: the stretches of this node, instead of the whole ring.
   * @throws {RingmanError} `MANAGER_NOT_RUNNING`, `PARAMETER_INVALID`, `TOO_MANY_WATCHERS`, `OVERLOADED`.
   */
  open(ctx: Koa.Context, node?: string): void {
    if (!this.#deps.ring.manager.running) {
      throw new RingmanError('MANAGER_NOT_RUNNING', 'the ring manager is not running')
    }
    if (hasLargeHead(ctx.req)) {
      throw new RingmanError(
        'PARAMETER_INVALID',
        'the head of a watch may have 16 KiB, as it is held for as long as the watch',
      )
    }
    if (this.#watchers.size >= this.#deps.limits.maxWatchers) {
      throw new RingmanError(
        'TOO_MANY_WATCHERS',
        `${this.#deps.limits.maxWatchers} watches are open already; ask another member`,
        { detail: { limit: this.#deps.limits.maxWatchers } },
      )
    }
    if (node === undefined && !this.#event().hasRoom) {
      throw new RingmanError('OVERLOADED', 'too many answers wait for slow readers; try again in a moment')
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
      ctx.app.on(CLOSING_EVENT, () => this.close())
    }
    const watcher: Watcher = { res, node, sent: undefined, letGo: undefined }
    this.#watchers.add(watcher)
    res.on('close', () => {
      watcher.letGo?.()
      this.#watchers.delete(watcher)
      this.#waiting.delete(watcher)
      if (this.#watchers.size === 0) this.#rest()
    })
    this.#wake()
    res.write(`retry: ${RETRY_MS}\n`, 'latin1')
    this.#serve(watcher)
  }

  /** Ends every open watch; new ones can be opened. */
  close(): void {
    for (const { res } of this.#watchers) res.end()
  }

  #event(): EncodedEvent {
    const nowMs = this.#deps.clock.now()
    const view = this.#deps.view.get()
    const last = this.#lastEvent
    if (last?.view === view && nowMs - last.encodedAtMs <= EVENT_AGE_MS) return last
    const changes = asciiJson(changesAfter(this.#deps.ring.manager, -1))
    const data = `${view.ringJson(nowMs).slice(0, -1)},"changes":${changes}}`
    const text = `id: ${view.snapshot.epoch}\nevent: ring\ndata: ${data}\n\n`
    return (this.#lastEvent = new EncodedEvent(view, text, nowMs, this.#deps.responder.answers))
  }

  /**
   * What a watcher of one node is to get: all that the node owns at first, then how that differs from what it was sent; all
   * again where the difference would be far longer.
   */
  #nodeEvent(node: string, sent: RingSnapshot | undefined): EncodedEvent {
    const { snapshot } = this.#deps.ring.manager
    const ringKey = findNode(snapshot.ring, node)?.ringKey
    const difference = sent && this.#difference(node, sent, ringKey)
    const fields = difference ?? {
      stretches: [...this.#moved(HashRing.empty).gainedBy(ringKey)].map(bounds),
    }
    const start = asciiJson({ node, ringKey: ringKey ?? null, ...fields }).slice(0, -1)
    const name = difference === undefined ? 'owned' : 'moved'
    const view = this.#deps.view.get()
    const text = `id: ${snapshot.epoch}\nevent: ${name}\ndata: ${start},${view.state}}\n\n`
    return new EncodedEvent(view, text, this.#deps.clock.now(), this.#deps.responder.answers)
  }

  #difference(node: string, sent: RingSnapshot, ringKey: string | undefined): object | undefined {
    const keyBefore = findNode(sent.ring, node)?.ringKey
    const moved = this.#moved(sent.ring)
    const gained = moved.gainedBy(ringKey, keyBefore)
    const lost = moved.lostBy(keyBefore, ringKey)
    if (gained.count + lost.count > MAX_MOVED) return undefined
    const others = new Map<string, RingNode>()
    const keyOf = (other: RingNode | undefined) => {
      if (other !== undefined) others.set(other.ringKey, other)
      return other?.ringKey ?? null
    }
    return {
      gained: Array.from(gained, (stretch) => ({ ...bounds(stretch), from: keyOf(stretch.from) })),
      lost: Array.from(lost, (stretch) => ({ ...bounds(stretch), to: keyOf(stretch.to) })),
      before: sent.ring.digest,
      after: this.#deps.ring.manager.snapshot.ring.digest,
      changes: changesAfter(this.#deps.ring.manager, sent.epoch),
      nodes: [...others.values()].map(nodeFields),
    }
  }

  /** What moves from a ring to the newest one. */
  #moved(from: HashRing): MovedStretches {
    const { ring } = this.#deps.ring.manager.snapshot
    if (this.#lastMoved?.from !== from || this.#lastMoved.to !== ring) {
      this.#lastMoved = { from, to: ring, moved: from.movedTo(ring) }
    }
    return this.#lastMoved.moved
  }

  /**
   * Sends the newest ring to a watcher that does not have it, and has taken what it was sent before. Returns what that
   * cost, in bytes.
   */
  #serve(watcher: Watcher): number {
    if (watcher.letGo !== undefined) return 0
    const { node, sent } = watcher
    if (sent === this.#deps.view.get()) return 0
    const event = node === undefined ? this.#event() : this.#nodeEvent(node, sent?.snapshot)
    // The next heartbeat tries again.
    if (!event.hasRoom) return 0
    event.hold()
    watcher.sent = event.view
    this.#write(watcher, event.bytes, () => event.letGo())
    return event.bytes.length + (node === undefined ? 0 : NODE_EVENT_COST)
  }

  /** Writes to a watcher that has taken everything before. */
  #write(watcher: Watcher, bytes: Buffer, whenTaken: () => void): void {
    const { res } = watcher
    const release = this.#deps.responder.ledger.watchReader(res.req.socket)
    watcher.letGo = () => {
      watcher.letGo = undefined
      release()
      whenTaken()
    }
    pour(res, bytes, () => {
      watcher.letGo?.()
      if (this.#watchers.has(watcher)) this.#serve(watcher)
    })
  }

  /** Begins to follow the ring, with the first watcher. */
  #wake(): void {
    this.#unsubscribe ??= this.#follow(() => {
      for (const watcher of this.#watchers) this.#waiting.add(watcher)
      this.#turnLater()
    })
    this.#cancelHeartbeat ??= this.#deps.clock.after(this.#deps.limits.heartbeatMs, () => {
      this.#cancelHeartbeat = undefined
      this.#beat()
    })
  }

  #follow(listener: () => void): () => void {
    const ends = [
      this.#deps.ring.manager.subscribe(listener),
      this.#deps.ring.onUnsure(listener),
      this.#deps.named?.onVersion(listener),
    ]
    return () => {
      for (const end of ends) end?.()
    }
  }

  /** Stops following, with the last watcher. */
  #rest(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = undefined
    this.#cancelHeartbeat?.()
    this.#cancelHeartbeat = undefined
    this.#lastEvent = undefined
  }

  /** Serves the watchers a few at a time, so that a change of the ring does not hold up look-ups. */
  #turnLater(): void {
    if (this.#turnDue || this.#waiting.size === 0) return
    this.#turnDue = true
    setImmediate(() => {
      this.#turnDue = false
      try {
        let leftBytes = TURN_BYTES
        for (const watcher of this.#waiting) {
          if (leftBytes <= 0) break
          this.#waiting.delete(watcher)
          leftBytes -= this.#serve(watcher)
        }
      } catch (error) {
        this.#deps.logger.error(
          { event: 'watch.failed', err: error },
          'Failed to send a ring to its watchers',
        )
      }
      this.#turnLater()
    })
  }

  #beat(): void {
    if (!this.#deps.ring.manager.running) {
      this.close()
      return
    }
    for (const watcher of this.#watchers) {
      this.#serve(watcher)
      // One who has not taken the last bytes needs no sign of life.
      if (watcher.letGo === undefined) this.#write(watcher, HEARTBEAT, () => {})
    }
    if (this.#watchers.size > 0) this.#wake()
  }
}

function bounds({ start, end }: Stretch) {
  return { start, end }
}

/** Why the ring changed after an epoch, the newest first, {@link CHANGES_TOLD} at most. */
function changesAfter(manager: HashRingManager, epoch: number) {
  return manager.recentChanges
    .slice(0, CHANGES_TOLD)
    .filter((change) => change.epoch > epoch)
    .flatMap(({ epoch: at, records }) =>
      records.map((record) => {
        const { digests: _, ...told } = record
        return { epoch: at, ...told }
      }),
    )
}

import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { sleep, type Clock } from '../../clock.ts'
import { RingmanError } from '../../errors.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import type { Logger } from '../../logger.ts'
import type { RingCopies } from '../../manager/hash-ring-manager.ts'
import type { RingSnapshot } from '../../manager/snapshot.ts'
import type { HashRing } from '../../ring/hash-ring.ts'
import type { RingService } from '../../service/ring-service.ts'
import type { LedgerCounts } from '../connection-ledger.ts'
import type { HttpLimits } from '../limits.ts'
import type { PortConnections } from '../port-connections.ts'
import type { RequestMeter } from '../route.ts'
import type { OpenServer } from '../server.ts'
import { sharedNowMs, type FromThread, type ThreadSetup, type ToThread } from './messages.ts'
import { RelayServer } from './relay.ts'
import { OpenCounts, ThreadTally } from './shared-counts.ts'
import { CurrentCopy, type RingCopy } from './thread-ring.ts'

/** How long a thread may take to have a new ring: so many looks, so many milliseconds apart. A process that stands still misses one. */
const LOOKS = 10
const LOOK_MS = 10

/** How often each thread is asked whether it is there, and how often in a row it may be silent. */
const ASK_MS = 1000
const SILENCES = 3

/** How long a thread that ends is missing before the next one starts, in milliseconds: one that cannot listen ends at once. */
const PAUSE_MS = 1000

/** How many looks threads may take to listen at the start: a minute, and more where all of the machine is slow. */
const START_LOOKS = 6000

/** Milliseconds between two lines about threads that were replaced. */
const WARNING_MS = 10_000

/** Why a thread was replaced: it had not the newest ring in time, said nothing, or ended. */
export type ReplacementReason = 'late' | 'silent' | 'ended'

type ThreadCounts = Pick<LedgerCounts, 'closed' | 'heldBytes'>

/** A thread besides the main one. */
interface Thread {
  readonly place: number
  readonly worker: Worker
  stage: 'loading' | 'following' | 'listening'
  /** The last copy of the ring that it has. */
  has: number
  /** How often in a row it has said nothing. */
  silences: number
  counts: ThreadCounts | undefined
}

/** A ring, the one that it becomes once all moves are done, and the number of the copies of both. */
interface Copied {
  readonly number: number
  readonly ring: HashRing
  readonly after: HashRing
}

export interface LookUpThreadsDeps {
  /** Of all threads, the main one among them; at least 2. */
  readonly count: number
  readonly service: RingService
  readonly clock: Clock
  readonly logger: Logger
  /** Those of the look-up port. */
  readonly limits: HttpLimits
  /** The look-up port as the main thread has it, which shares it. */
  readonly server: OpenServer
  readonly connections: PortConnections
  readonly meter: RequestMeter
  /** The ranges in which the meter counts. */
  readonly bounds: readonly number[]
}

/**
 * The threads besides the main one that answer look-ups. Each has a listener at the look-up port, among which the system
 * divides the connections, and the fast path; what that does not answer it relays to the main thread, whose is all else.
 *
 * All have one ring at a time. A new one is first given to each thread; when all have it, or those that do not are being
 * replaced, one store in shared memory makes it count for all of them, in the turn in which it becomes the manager's.
 */
export class LookUpThreads implements RingCopies {
  /** Most connections beyond those that the look-up port may have: they count together. */
  readonly limit = 0
  readonly #deps: LookUpThreadsDeps
  readonly #warnings: LimitedWarnings
  readonly #relays: RelayServer
  readonly #current = new CurrentCopy()
  readonly #open: OpenCounts
  readonly #tallies: readonly ThreadTally[]
  readonly #threads = new Set<Thread>()
  /** What the threads that are gone have counted. */
  #gone: readonly ThreadCounts[] = []
  readonly #replaced: Record<ReplacementReason, number> = { late: 0, silent: 0, ended: 0 }
  /** Called when a thread has said something, or is gone. */
  readonly #onNews = new Set<() => void>()
  #cancelAsking = () => {}
  #unsubscribe = () => {}
  readonly #closing = new AbortController()
  #lastNumber = 0
  #counting: Copied | undefined
  /** The next ring, from when the threads get it until it counts. */
  #next: Copied | undefined
  /** The copies that a new thread needs, in order. */
  #copies: readonly RingCopy[] = []

  constructor(deps: LookUpThreadsDeps) {
    this.#deps = deps
    this.#warnings = new LimitedWarnings(deps.clock, deps.logger, WARNING_MS)
    this.#relays = new RelayServer((socket) => deps.server.take(socket))
    this.#open = OpenCounts.of(deps.count)
    this.#tallies = Array.from(
      { length: deps.count - 1 },
      () => new ThreadTally(deps.bounds, () => deps.clock.now()),
    )
  }

  /**
   * Resolves when all threads listen.
   *
   * @throws {RingmanError} `LISTEN_FAILED`.
   */
  async start(): Promise<void> {
    const { service, count, connections, limits } = this.#deps
    await this.#relays.start()
    if (this.#isClosing) throw this.#failure
    connections.others = this.#open.besides(0, limits.maxConnections)
    const { manager, ringAfterMoves } = service
    this.#count(this.#copy(manager.snapshot.ring, ringAfterMoves), manager.snapshot.epoch)
    manager.keepCopies(this)
    this.#unsubscribe = service.source.subscribe(() => this.#followMoves())
    for (let place = 1; place < count; place++) this.#startThread(place)
    for (let looks = 0; this.answering < count;) {
      if (this.#replaced.ended > 0 || looks > START_LOOKS || this.#isClosing) throw this.#failure
      if (!(await this.#news(LOOK_MS))) looks++
    }
    this.#askLater()
  }

  async prepare(ring: HashRing): Promise<void> {
    this.#next = this.#copy(ring, this.#deps.service.afterMovesOf(ring))
    await this.#spread(this.#next)
  }

  swap({ ring, epoch }: RingSnapshot): void {
    const isPrepared = this.#next?.ring === ring
    const copied = isPrepared ? this.#next : this.#counting
    // The epoch may rise while the next ring is being prepared.
    if (isPrepared) this.#next = undefined
    if (copied !== undefined) this.#count(copied, epoch)
    this.#followMoves()
  }

  /** Moves begin and end without a new ring. */
  #followMoves(): void {
    const { service } = this.#deps
    const { ring, after } = this.#counting ?? {}
    // A ring that is about to count brings its own, and is followed by this again.
    if (ring === undefined || this.#next !== undefined || service.ringAfterMoves === after) return
    const copied = this.#copy(ring, service.ringAfterMoves)
    void this.#spread(copied).then(() => {
      const isNewest = this.#counting?.ring === ring && this.#counting.number < copied.number
      if (isNewest) this.#count(copied, service.manager.snapshot.epoch)
    })
  }

  /** From now on these copies count. */
  #count(copied: Copied, epoch: number): void {
    this.#counting = copied
    this.#copies = this.#copies.filter(({ number }) => number >= copied.number)
    this.#current.set(copied.number, epoch)
  }

  #copy(ring: HashRing, after: HashRing): Copied {
    const number = ++this.#lastNumber
    const copy = { number, ring: ring.share(), after: after === ring ? undefined : after.share() }
    this.#copies = [...this.#copies, copy]
    for (const thread of this.#following) send(thread, { kind: 'copy', copy })
    return { number, ring, after }
  }

  /** Resolves when all threads have these copies, or those that do not are being replaced. */
  async #spread({ number }: Copied): Promise<void> {
    const lacking = () => this.#following.filter(({ has }) => has < number)
    for (let looks = 0; looks < LOOKS && lacking().length > 0;) {
      if (!(await this.#news(LOOK_MS))) looks++
    }
    for (const thread of lacking()) this.#replace(thread, 'late')
  }

  get #failure(): RingmanError {
    const { port } = this.#deps.server
    return new RingmanError('LISTEN_FAILED', `a thread could not listen on port ${port}`, {
      detail: { port },
    })
  }

  get #isClosing(): boolean {
    return this.#closing.signal.aborted
  }

  get #following(): readonly Thread[] {
    return this.#isClosing ? [] : [...this.#threads].filter(({ stage }) => stage !== 'loading')
  }

  /** Waits for a message of any thread. @returns Whether there was one in time. */
  #news(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (came: boolean) => {
        cancel()
        this.#onNews.delete(hear)
        resolve(came)
      }
      const hear = () => finish(true)
      const cancel = this.#deps.clock.after(withinMs, () => finish(false))
      this.#onNews.add(hear)
    })
  }

  #startThread(place: number): void {
    const { server, limits, service, bounds, count } = this.#deps
    const tally = this.#tallies[place - 1]!
    const { sureness } = service
    const setup: ThreadSetup = {
      place,
      host: server.address,
      port: server.port,
      limits: {
        ...limits,
        maxHeldHeadBytes: Math.ceil(limits.maxHeldHeadBytes / count),
        maxWaitingAnswerBytes: Math.ceil(limits.maxWaitingAnswerBytes / count),
      },
      relay: this.#relays.target,
      startedMs: sharedNowMs() - this.#deps.clock.now(),
      sureness: { bounds: sureness.bounds, memory: sureness.memory },
      current: this.#current.memory,
      open: this.#open.memory,
      tally: { bounds, memory: tally.memory },
    }
    // The same kind of file as this one: TypeScript from source, JavaScript where it is built.
    const file = new URL(`./look-up-thread${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(file, { workerData: setup, name: `look-ups ${place}` })
    const thread: Thread = { place, worker, stage: 'loading', has: 0, silences: 0, counts: undefined }
    this.#threads.add(thread)
    let err: unknown
    worker.on('message', (message: FromThread) => {
      if (this.#threads.has(thread)) this.#hear(thread, message)
    })
    worker.on('error', (error: unknown) => {
      err = error
    })
    worker.on('exit', () => this.#replace(thread, 'ended', err))
  }

  #hear(thread: Thread, message: FromThread): void {
    thread.silences = 0
    switch (message.kind) {
      case 'loaded':
        thread.stage = 'following'
        for (const copy of this.#copies) send(thread, { kind: 'copy', copy })
        break
      case 'listening':
        thread.stage = 'listening'
        break
      case 'has':
        thread.has = message.number
        break
      case 'here':
        thread.counts = message.counts
        break
      case 'log':
        this.#deps.logger[message.level](message.fields, message.message)
    }
    this.#callNews()
  }

  #callNews(): void {
    for (const hear of [...this.#onNews]) hear()
  }

  /** Ends a thread, with its connections, and starts another one in its place. */
  #replace(thread: Thread, reason: ReplacementReason, err?: unknown): void {
    if (!this.#threads.delete(thread)) return
    this.#callNews()
    const { place, worker, counts } = thread
    const gone = worker.terminate().then(() => this.#open.forget(place))
    if (counts !== undefined) this.#gone = [addUp([...this.#gone, { ...counts, heldBytes: NOTHING_HELD }])]
    if (this.#isClosing) return
    this.#replaced[reason]++
    this.#warnings.warn(
      { event: 'thread.replaced', thread: place, reason, ...(err === undefined ? {} : { err }) },
      'Replaced a thread that answers look-ups',
    )
    const { clock } = this.#deps
    void Promise.all([
      gone,
      reason === 'ended' ? sleep(clock, PAUSE_MS, this.#closing.signal) : undefined,
    ]).then(() => {
      if (!this.#isClosing) this.#startThread(place)
    })
  }

  #askLater(): void {
    this.#cancelAsking = this.#deps.clock.after(ASK_MS, () => {
      for (const thread of this.#following) {
        if (thread.silences === SILENCES) {
          this.#replace(thread, 'silent')
          continue
        }
        thread.silences++
        send(thread, { kind: 'ask' })
      }
      this.#askLater()
    })
  }

  /** How many threads answer look-ups now, the main one among them. */
  get answering(): number {
    return 1 + [...this.#threads].filter(({ stage }) => stage === 'listening').length
  }

  get replaced(): Readonly<Record<ReplacementReason, number>> {
    return this.#replaced
  }

  /** Counts for the meter what the threads have answered since the last time. */
  count(): void {
    for (const tally of this.#tallies) tally.pourInto(this.#deps.meter)
  }

  /** What the ledger of the main thread counts, with what those of the others do, as of the last second. */
  addTo(counts: LedgerCounts): LedgerCounts {
    const others = [...this.#threads].flatMap((thread) => thread.counts ?? [])
    return { ...counts, ...addUp([counts, ...this.#gone, ...others]) }
  }

  allowFewer(): void {
    for (const thread of this.#following) send(thread, { kind: 'fewer' })
  }

  allowMore(): void {
    for (const thread of this.#following) send(thread, { kind: 'more' })
  }

  /** Ends all threads, each when its last connection has ended, after `graceMs` at the latest. Idempotent. */
  async close(graceMs: number): Promise<void> {
    const following = this.#following
    this.#closing.abort()
    this.#unsubscribe()
    this.#deps.service.manager.keepCopies(undefined)
    this.#cancelAsking()
    for (const thread of this.#threads) {
      if (following.includes(thread)) send(thread, { kind: 'close' })
      else this.#replace(thread, 'ended')
    }
    const untilMs = this.#deps.clock.now() + graceMs
    while (this.#threads.size > 0 && this.#deps.clock.now() < untilMs) await this.#news(LOOK_MS)
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()))
    this.#relays.stop()
    this.count()
  }
}

const NOTHING_HELD = { head: 0, body: 0, answer: 0 }

function addUp(all: readonly ThreadCounts[]): ThreadCounts {
  return {
    closed: sum(all.map(({ closed }) => closed)),
    heldBytes: sum(all.map(({ heldBytes }) => heldBytes)),
  }
}

function sum<Name extends string>(all: readonly Readonly<Record<Name, number>>[]): Record<Name, number> {
  const total = { ...all[0] } as Record<Name, number>
  for (const one of all.slice(1)) for (const name of Object.keys(total) as Name[]) total[name] += one[name]
  return total
}

function send({ worker }: Thread, message: ToThread): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- no window
  worker.postMessage(message)
}

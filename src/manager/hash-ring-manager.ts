import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import { HashRing } from '../ring/hash-ring.ts'
import { checkCount, checkKey } from '../ring/key-hash.ts'
import { Listeners } from '../listeners.ts'
import { silentLogger, type Logger } from '../logger.ts'
import { checkNode, type RingNode } from '../ring/node.ts'
import { Pace, type Steps } from '../ring/steps.ts'
import { takeInTurns } from '../turns.ts'
import { diffRings, recordChange, type ChangeRecord, type RingDifference } from './change-record.ts'
import { Mailbox } from './mailbox.ts'
import { DIGESTS_KEPT } from './ring-order.ts'
import type { RingChange, RingSnapshot } from './snapshot.ts'

/** Commands that the mailbox holds before it makes senders wait; the Go library's `CommandChannelLength`. */
export const COMMAND_CHANNEL_LENGTH = 10

/** How long a ping may take, in milliseconds; the Go library's `PingTimeout`. */
export const PING_TIMEOUT_MS = 5

/** How long changes gather before they become one ring, in milliseconds. */
export const DEFAULT_FOLD_WINDOW_MS = 10

/** A large ring takes long to make: for each so many nodes that it has, changes gather for at least a millisecond. */
const NODES_PER_MS = 100

/** But for so many milliseconds at most. */
const LONGEST_WINDOW_MS = 100

/** Changes of the ring that are remembered with their causes. */
export const CHANGES_KEPT = 200

/** Why the ring became the one of an epoch. */
export interface RecentChange {
  readonly epoch: number
  readonly records: readonly ChangeRecord[]
}

export interface HashRingManagerOptions {
  readonly clock: Clock
  /** Nodes on the ring from the start, at epoch 0. @default none */
  readonly nodes?: Iterable<RingNode>
  /**
   * Changes that arrive within this many milliseconds of the first one become one ring. With 0 they still fold
   * with what is in the mailbox at that moment. On a ring of thousands of nodes they gather for a millisecond for each hundred,
   * up to 100, where that is longer.
   * @default DEFAULT_FOLD_WINDOW_MS
   */
  readonly foldWindowMs?: number
  /** Told of what a listener throws. @default none: it becomes a warning of the process */
  readonly logger?: Logger
}

/** Parts that answer from copies of the ring, and must have the next one in the moment in which it becomes the current one. */
export interface RingCopies {
  /** @returns Resolves when the copies have the ring, in a bounded time; it never rejects. */
  prepare(ring: HashRing): Promise<void>
  /** From now on this is the current ring, which was prepared last, or the same one as before with another epoch. */
  swap(snapshot: RingSnapshot): void
}

/** The state of a member by its name; undefined when its source does not list it. */
type StateOf = (name: string) => string | undefined

interface Sender {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

type SetMutation = {
  readonly kind: 'set'
  readonly nodes: readonly RingNode[] | (() => Steps<readonly RingNode[]>)
  readonly stateOf: StateOf
}

type Mutation = { readonly sender: Sender } & (
  | { readonly kind: 'add'; readonly node: RingNode }
  | { readonly kind: 'remove'; readonly ringKey: string }
  | SetMutation
)

/** A ring that is about to become the current one. */
interface NextRing {
  readonly ring: HashRing
  readonly difference: RingDifference
  readonly records: readonly ChangeRecord[]
}

type Command = Mutation | { readonly kind: 'ping'; readonly sender: Sender }

/**
 * Owns the ring: the one writer. Mutations and pings pass through a mailbox, in order; look-ups read the
 * current immutable ring and never wait.
 *
 * ```
 * new ──run()──▶ running ──stop()──▶ stopped (for good)
 *  └──────────────stop()───────────────▲
 * ```
 */
export class HashRingManager {
  readonly #clock: Clock
  readonly #foldWindowMs: number
  readonly #mailbox = new Mailbox<Command>(COMMAND_CHANNEL_LENGTH)
  readonly #listeners: Listeners<RingChange>
  #state: 'new' | 'running' | 'stopped' = 'new'
  #snapshot: RingSnapshot
  #digests: readonly string[]
  #recentChanges: readonly RecentChange[] = []
  /** What makes the next ring and, behind it, what came after that was begun, in order. */
  readonly #folded: Mutation[] = []
  /** Cancels the next ring, or the rest of it. */
  #cancelFold: (() => void) | undefined
  #copies: RingCopies | undefined

  /** @throws {RingmanError} `NODE_INVALID` for a bad initial node. */
  constructor(options: HashRingManagerOptions) {
    this.#clock = options.clock
    this.#foldWindowMs = options.foldWindowMs ?? DEFAULT_FOLD_WINDOW_MS
    this.#listeners = new Listeners(options.logger ?? silentLogger)
    this.#snapshot = { ring: HashRing.of(options.nodes ?? []), epoch: 0, changedAtMs: options.clock.now() }
    this.#digests = [this.#snapshot.ring.digest]
  }

  /** The current ring; also readable before `run` and after `stop`. */
  get snapshot(): RingSnapshot {
    return this.#snapshot
  }

  /** The digests of the last rings, the current one first, 64 at most: by them members put their rings in order. */
  get digests(): readonly string[] {
    return this.#digests
  }

  /** Why the ring changed the last times, the newest first, {@link CHANGES_KEPT} at most. */
  get recentChanges(): readonly RecentChange[] {
    return this.#recentChanges
  }

  get running(): boolean {
    return this.#state === 'running'
  }

  /**
   * Adds a node, or replaces the one with the same ring key.
   *
   * @returns Resolves once the current ring has it. Waits while the mailbox is full.
   * @throws {RingmanError} `NODE_INVALID`; `MANAGER_NOT_RUNNING`, also when it stops meanwhile.
   */
  addNode(node: RingNode): Promise<void> {
    return this.#mutate((sender) => {
      checkNode(node)
      return { kind: 'add', node, sender }
    })
  }

  /** Removes a node; one that is not there is no error. Resolves and throws as {@link addNode}. */
  removeNode(ringKey: string): Promise<void> {
    return this.#mutate((sender) => ({ kind: 'remove', ringKey, sender }))
  }

  /**
   * Makes `nodes` the whole ring. Resolves and throws as {@link addNode}.
   *
   * @param nodes - Or what finds them in steps: called when the next ring is made, and not at all where later ones take their
   *   place before that. What it throws is what every change of that ring rejects with.
   * @param stateOf - The state of a member by its name, by which a change says why a node went. @default unknown
   */
  setNodes(
    nodes: Iterable<RingNode> | (() => Steps<readonly RingNode[]>),
    stateOf: StateOf = unknownState,
  ): Promise<void> {
    return this.#mutate((sender) => {
      if (typeof nodes === 'function') return { kind: 'set', nodes, stateOf, sender }
      const all = [...nodes]
      for (const node of all) checkNode(node)
      return { kind: 'set', nodes: all, stateOf, sender }
    })
  }

  /** From here on a ring becomes the current one once `copies` are prepared for it. There is one such; undefined ends it. */
  keepCopies(copies: RingCopies | undefined): void {
    this.#copies = copies
  }

  /**
   * Tells those who subscribed that the others had taken a node of this process off their rings for a while: the ring is
   * the same, and the epoch rises by one.
   */
  noteOffRing(ringKey: string): void {
    const { ring } = this.#snapshot
    const digests = { before: ring.digest, after: ring.digest }
    const movedShare = ring.shares().get(ringKey) ?? 0
    const timeMs = this.#clock.wallNow()
    this.#publish({
      ring,
      difference: { added: [], removed: [], updated: [], moved: ring.movedTo(ring) },
      records: [{ timeMs, cause: 'was-off-ring', node: ringKey, count: 1, movedShare, digests }],
    })
  }

  /**
   * The owner of a key on the current ring.
   *
   * @param key - Text, hashed as UTF-8, or bytes.
   * @throws {RingmanError} `KEY_EMPTY`, `KEY_INVALID`, `RING_EMPTY`, `MANAGER_NOT_RUNNING`.
   */
  getNode(key: string | Uint8Array): RingNode {
    const owner = this.#ringFor(key).ownerOf(key)
    if (owner === undefined) throw new RingmanError('RING_EMPTY', 'no nodes in ring')
    return owner
  }

  /**
   * The first `n` distinct owners of a key on the current ring, or all nodes where there are fewer.
   *
   * @param n - Integer >= 1.
   * @throws {RingmanError} As {@link getNode}, and `N_OUT_OF_RANGE`.
   */
  getNodes(key: string | Uint8Array, n: number): RingNode[] {
    const ring = this.#ringFor(key)
    checkCount(n)
    const owners = ring.ownersOf(key, n)
    if (owners.length === 0) throw new RingmanError('RING_EMPTY', 'no nodes in ring')
    return owners
  }

  /**
   * Whether the command loop answers: the ping waits its turn in the mailbox like any command.
   *
   * @param timeoutMs - @default PING_TIMEOUT_MS
   * @returns False when it is not running or did not answer in time; it never rejects.
   */
  ping(timeoutMs: number = PING_TIMEOUT_MS): Promise<boolean> {
    if (this.#state !== 'running') return Promise.resolve(false)
    return new Promise((resolve) => {
      const cancel = this.#clock.after(timeoutMs, () => resolve(false))
      const answer = (alive: boolean) => {
        cancel()
        resolve(alive)
      }
      this.#send({ kind: 'ping', sender: { resolve: () => answer(true), reject: () => answer(false) } })
    })
  }

  /** Commands in the mailbox that the loop has not taken yet, and senders that wait for room. */
  pending(): number {
    return this.#mailbox.pending + this.#mailbox.waiting
  }

  /**
   * Runs the command loop until `stop`.
   *
   * @returns Resolves after `stop`.
   * @throws {RingmanError} `MANAGER_NOT_RUNNING` when it runs already or was stopped.
   */
  async run(): Promise<void> {
    if (this.#state !== 'new') {
      throw new RingmanError('MANAGER_NOT_RUNNING', 'the ring manager runs only once')
    }
    this.#state = 'running'
    for (;;) {
      const command = await this.#mailbox.receive()
      if (command === undefined) break
      if (command.kind === 'ping') command.sender.resolve()
      else {
        this.#folded.push(command)
        this.#foldLater()
      }
    }
    // One command may have been on its way from the mailbox when `stop` was called.
    this.stop()
  }

  /** Stops for good: waiting senders get `MANAGER_NOT_RUNNING`, look-ups too. Idempotent. */
  stop(): void {
    this.#state = 'stopped'
    this.#cancelFold?.()
    for (const { sender } of [...this.#folded, ...this.#mailbox.close()]) sender.reject(notRunning())
  }

  /**
   * Calls `listener` after each ring change, once the new ring is current. What it throws is logged and stops nothing.
   *
   * @returns A function that ends the subscription.
   */
  subscribe(listener: (change: RingChange) => void): () => void {
    return this.#listeners.add(listener)
  }

  #ringFor(key: string | Uint8Array): HashRing {
    this.#checkRunning()
    checkKey(key)
    return this.#snapshot.ring
  }

  #checkRunning(): void {
    if (this.#state !== 'running') throw notRunning()
  }

  #mutate(make: (sender: Sender) => Mutation): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkRunning()
      this.#send(make({ resolve, reject }))
    })
  }

  #send(command: Command): void {
    void (async () => {
      if (!(await this.#mailbox.send(command))) command.sender.reject(notRunning())
    })()
  }

  #foldLater(): void {
    const leastMs = Math.min(LONGEST_WINDOW_MS, Math.floor(this.#snapshot.ring.size / NODES_PER_MS))
    const waitMs = Math.max(this.#foldWindowMs, leastMs)
    this.#cancelFold ??= this.#clock.after(waitMs, () => {
      takeInTurns(this.#clock, this.#swap(), (cancel) => {
        this.#cancelFold = cancel
      })
    })
  }

  /** Makes the next ring in steps; the last one makes it current, where no copies have to be prepared first, and tells the listeners. */
  *#swap(): Steps<void> {
    const folded = [...this.#folded]
    let outcome: (sender: Sender) => void = (sender) => sender.resolve()
    let next: NextRing | undefined
    try {
      next = yield* this.#makeNext(folded)
    } catch (error) {
      outcome = (sender) => sender.reject(error)
    }
    const finishSwap = () => {
      this.#cancelFold = undefined
      this.#folded.splice(0, folded.length)
      if (next !== undefined) this.#publish(next)
      for (const { sender } of folded) outcome(sender)
      if (this.running && this.#folded.length > 0) this.#foldLater()
    }
    const preparing = next && this.#copies?.prepare(next.ring)
    if (preparing === undefined) finishSwap()
    else this.#cancelFold = unlessCancelled(preparing, finishSwap)
  }

  /** Makes the next ring and finds out what it changes; undefined when it changes nothing. */
  *#makeNext(folded: readonly Mutation[]): Steps<NextRing | undefined> {
    const { ring: previous } = this.#snapshot
    const ring = yield* previous.withInSteps(yield* applyAll(folded, previous.nodes))
    yield
    const difference = yield* diffRings(previous, ring)
    if (difference === undefined) return undefined
    const stateOf = folded.findLast((one) => one.kind === 'set')?.stateOf ?? unknownState
    const timeMs = this.#clock.wallNow()
    const records = yield* recordChange(previous, ring, difference, stateOf, timeMs)
    return { ring, difference, records }
  }

  /** Makes a ring the current one, and tells the listeners. */
  #publish({ ring, difference, records }: NextRing): void {
    const previous = this.#snapshot
    this.#snapshot = { ring, epoch: previous.epoch + 1, changedAtMs: this.#clock.now() }
    this.#copies?.swap(this.#snapshot)
    const { epoch } = this.#snapshot
    this.#recentChanges = [{ epoch, records }, ...this.#recentChanges.slice(0, CHANGES_KEPT - 1)]
    if (ring.digest !== previous.ring.digest) {
      this.#digests = [ring.digest, ...this.#digests.slice(0, DIGESTS_KEPT - 1)]
    }
    this.#listeners.call({ previous, current: this.#snapshot, ...difference, records })
  }
}

const unknownState: StateOf = () => undefined

/** @returns Call it so that `then` is not called. */
function unlessCancelled(promise: Promise<void>, then: () => void): () => void {
  let isCancelled = false
  void promise.then(() => {
    if (!isCancelled) then()
  })
  return () => {
    isCancelled = true
  }
}

/** The nodes that there are after all mutations, in order; of two with one ring key, the later one counts. */
function* applyAll(mutations: readonly Mutation[], before: readonly RingNode[]): Steps<Iterable<RingNode>> {
  // What was there before a whole set, and came before it, does not matter.
  const setAt = mutations.findLastIndex(({ kind }) => kind === 'set')
  const set = mutations[setAt] as SetMutation | undefined
  const nodes = typeof set?.nodes === 'function' ? yield* set.nodes() : (set?.nodes ?? before)
  if (setAt === mutations.length - 1) return nodes
  const byRingKey = new Map<string, RingNode>()
  const pace = new Pace()
  for (const node of nodes) {
    byRingKey.set(node.ringKey, node)
    if (pace.endsStep()) yield
  }
  for (const mutation of mutations.slice(setAt + 1)) {
    if (mutation.kind === 'remove') byRingKey.delete(mutation.ringKey)
    else if (mutation.kind === 'add') byRingKey.set(mutation.node.ringKey, mutation.node)
  }
  return byRingKey.values()
}

function notRunning(): RingmanError {
  return new RingmanError('MANAGER_NOT_RUNNING', 'the ring manager is not running')
}

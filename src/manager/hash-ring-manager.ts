import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import { HashRing } from '../ring/hash-ring.ts'
import { checkNode, type RingNode } from '../ring/node.ts'
import { Mailbox } from './mailbox.ts'
import { diffRings, type RingChange, type RingSnapshot } from './snapshot.ts'

/** Commands that the mailbox holds before it makes senders wait; the Go library's `CommandChannelLength`. */
export const COMMAND_CHANNEL_LENGTH = 10

/** How long a ping may take, in milliseconds; the Go library's `PingTimeout`. */
export const PING_TIMEOUT_MS = 5

/** How long changes gather before they become one ring, in milliseconds. */
export const DEFAULT_FOLD_WINDOW_MS = 10

export interface HashRingManagerOptions {
  readonly clock: Clock
  /** Nodes on the ring from the start, at epoch 0. @default none */
  readonly nodes?: Iterable<RingNode>
  /**
   * Changes that arrive within this many milliseconds of the first one become one ring. With 0 they still fold
   * with what is in the mailbox at that moment.
   * @default DEFAULT_FOLD_WINDOW_MS
   */
  readonly foldWindowMs?: number
}

type Command =
  | { readonly kind: 'add'; readonly node: RingNode; readonly settle: Settle }
  | { readonly kind: 'remove'; readonly ringKey: string; readonly settle: Settle }
  | { readonly kind: 'set'; readonly nodes: readonly RingNode[]; readonly settle: Settle }
  | { readonly kind: 'ping'; readonly answer: () => void }

interface Settle {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

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
  readonly #listeners = new Set<(change: RingChange) => void>()
  #state: 'new' | 'running' | 'stopped' = 'new'
  #snapshot: RingSnapshot
  /** What the next ring will hold; undefined while it would be the current one. */
  #next: Map<string, RingNode> | undefined
  /** Senders whose changes are in `#next`. */
  #folded: Settle[] = []
  #cancelFold: (() => void) | undefined
  #fault: ((error: unknown) => void) | undefined

  /** @throws {RingmanError} `NODE_INVALID` for a bad initial node. */
  constructor(options: HashRingManagerOptions) {
    this.#clock = options.clock
    this.#foldWindowMs = options.foldWindowMs ?? DEFAULT_FOLD_WINDOW_MS
    this.#snapshot = { ring: HashRing.of(options.nodes ?? []), epoch: 0, changedAtMs: options.clock.now() }
  }

  /** The current ring; also readable before `run` and after `stop`. */
  get snapshot(): RingSnapshot {
    return this.#snapshot
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
    return this.#mutate((settle) => {
      checkNode(node)
      return { kind: 'add', node, settle }
    })
  }

  /** Removes a node; one that is not there is no error. Resolves and throws as {@link addNode}. */
  removeNode(ringKey: string): Promise<void> {
    return this.#mutate((settle) => ({ kind: 'remove', ringKey, settle }))
  }

  /** Makes `nodes` the whole ring. Resolves and throws as {@link addNode}. */
  setNodes(nodes: Iterable<RingNode>): Promise<void> {
    return this.#mutate((settle) => {
      const all = [...nodes]
      for (const node of all) checkNode(node)
      return { kind: 'set', nodes: all, settle }
    })
  }

  /**
   * The owner of a key on the current ring.
   *
   * @param key - Text, hashed as UTF-8, or bytes.
   * @throws {RingmanError} `RING_EMPTY`, `MANAGER_NOT_RUNNING`.
   */
  getNode(key: string | Uint8Array): RingNode {
    this.#checkRunning()
    const owner = this.#snapshot.ring.ownerOf(key)
    if (owner === undefined) throw new RingmanError('RING_EMPTY', 'no nodes in ring')
    return owner
  }

  /**
   * The first `n` distinct owners of a key on the current ring, or all nodes where there are fewer.
   *
   * @param n - Integer >= 1.
   * @throws {RingmanError} `RING_EMPTY`, `MANAGER_NOT_RUNNING`, `N_OUT_OF_RANGE`.
   */
  getNodes(key: string | Uint8Array, n: number): RingNode[] {
    this.#checkRunning()
    if (!Number.isSafeInteger(n) || n < 1) {
      throw new RingmanError('N_OUT_OF_RANGE', `n must be an integer of at least 1, got ${n}`)
    }
    const owners = this.#snapshot.ring.ownersOf(key, n)
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
      const cancel = this.#clock.after(timeoutMs, () => {
        resolve(false)
      })
      const answer = (alive: boolean) => {
        cancel()
        resolve(alive)
      }
      this.#send(
        {
          kind: 'ping',
          answer: () => {
            answer(true)
          },
        },
        () => {
          answer(false)
        },
      )
    })
  }

  /** Commands in the mailbox that the loop has not taken yet, and senders that wait for room. */
  pending(): number {
    return this.#mailbox.pending + this.#mailbox.waiting
  }

  /**
   * Runs the command loop until `stop`.
   *
   * @returns Resolves after `stop`; rejects with what a listener threw, and then has stopped.
   * @throws {RingmanError} `MANAGER_NOT_RUNNING` when it runs already or was stopped.
   */
  async run(): Promise<void> {
    if (this.#state !== 'new') {
      throw new RingmanError(
        'MANAGER_NOT_RUNNING',
        this.#state === 'running' ? 'the ring manager runs already' : 'the ring manager was stopped for good',
      )
    }
    this.#state = 'running'
    const fault = new Promise<never>((_, reject) => {
      this.#fault = reject
    })
    try {
      await Promise.race([this.#loop(), fault])
    } finally {
      this.stop()
    }
  }

  /** Stops for good: waiting senders get `MANAGER_NOT_RUNNING`, look-ups too. Idempotent. */
  stop(): void {
    if (this.#state === 'stopped') return
    this.#state = 'stopped'
    this.#cancelFold?.()
    const dropped = this.#mailbox.close()
    const error = notRunning()
    for (const command of dropped) if (command.kind !== 'ping') command.settle.reject(error)
    for (const settle of this.#folded.splice(0)) settle.reject(error)
    this.#listeners.clear()
  }

  /**
   * Calls `listener` after each ring change, once the new ring is current. A listener that throws ends `run`.
   *
   * @returns A function that ends the subscription.
   */
  subscribe(listener: (change: RingChange) => void): () => void {
    const entry = (change: RingChange) => {
      listener(change)
    }
    this.#listeners.add(entry)
    return () => {
      this.#listeners.delete(entry)
    }
  }

  #checkRunning(): void {
    if (this.#state !== 'running') throw notRunning()
  }

  #mutate(make: (settle: Settle) => Command): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkRunning()
      const command = make({ resolve, reject })
      this.#send(command, () => {
        reject(notRunning())
      })
    })
  }

  #send(command: Command, onRefused: () => void): void {
    void (async () => {
      if (!(await this.#mailbox.send(command))) onRefused()
    })()
  }

  async #loop(): Promise<void> {
    for (;;) {
      const command = await this.#mailbox.receive()
      if (command === undefined) return
      if (command.kind === 'ping') command.answer()
      else this.#take(command)
    }
  }

  #take(command: Exclude<Command, { kind: 'ping' }>): void {
    this.#next ??= new Map(this.#snapshot.ring.nodes.map((node) => [node.ringKey, node]))
    switch (command.kind) {
      case 'add':
        this.#next.set(command.node.ringKey, command.node)
        break
      case 'remove':
        this.#next.delete(command.ringKey)
        break
      case 'set':
        this.#next = new Map(command.nodes.map((node) => [node.ringKey, node]))
        break
    }
    this.#folded.push(command.settle)
    this.#cancelFold ??= this.#clock.after(this.#foldWindowMs, () => {
      this.#swap()
    })
  }

  #swap(): void {
    const previous = this.#snapshot
    const nodes = this.#next?.values() ?? previous.ring.nodes
    const folded = this.#folded.splice(0)
    this.#cancelFold = undefined
    this.#next = undefined
    const ring = previous.ring.with(nodes)
    const difference = diffRings(previous.ring, ring)
    if (difference !== undefined) {
      this.#snapshot = { ring, epoch: previous.epoch + 1, changedAtMs: this.#clock.now() }
      const change: RingChange = { previous, current: this.#snapshot, ...difference }
      for (const listener of [...this.#listeners]) {
        try {
          listener(change)
        } catch (error) {
          this.#fault?.(error)
        }
      }
    }
    for (const settle of folded) settle.resolve()
  }
}

function notRunning(): RingmanError {
  return new RingmanError('MANAGER_NOT_RUNNING', 'the ring manager is not running')
}

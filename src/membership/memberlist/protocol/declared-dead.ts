import type { GossipQueue, QueueOutcome } from './gossip-queue.ts'

/**
 * The members that this one declared dead. When it hears that others declared it dead, it was most
 * likely cut off, and what it took for their silence was its own: such deaths are not sent on any more, and those
 * that were to come are put off.
 */
export class DeclaredDead {
  readonly #queue: GossipQueue
  /** Members that we declared dead and whose dead message still waits in the queue; no more than the queue holds. */
  readonly #untold = new Set<string>()
  #doubtedMs = -Infinity

  constructor(queue: GossipQueue) {
    this.#queue = queue
  }

  /** When they were last in doubt; on the machine's own time. */
  get doubtedMs(): number {
    return this.#doubtedMs
  }

  /** Notes that news of a death is in the queue. @returns To be called when it has left the queue. */
  queued(name: string): (outcome: QueueOutcome) => void {
    this.#untold.add(name)
    return () => this.#untold.delete(name)
  }

  /** Others hold us for dead. Those whose death is not told any more are found dead by the others, if they are. */
  doubt(nowMs: number): void {
    this.#doubtedMs = nowMs
    this.withdraw()
  }

  /** Keeps to ourselves what of it was not told yet. */
  withdraw(): void {
    for (const name of this.#untold) this.#queue.remove({ space: 'member', name })
  }
}

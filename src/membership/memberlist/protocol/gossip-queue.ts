import type { Message } from '../wire/messages.ts'

/** How a queued message ended: `sent` as often as the limit allows; `replaced` by a later one of its topic; `dropped`: queue full, too large, no packets. */
export type QueueOutcome = 'sent' | 'replaced' | 'dropped'

/** What a queued message is called; a later one of the same topic replaces it. */
export interface QueueTopic {
  /**
   * `member`: the newest message on a member; `confirmation`: another's suspicion of it, beside our own; `claim`: a name taken
   * over from another endpoint; `user`: the application's.
   */
  readonly space: 'member' | 'confirmation' | 'claim' | 'user'
  readonly name: string
}

interface Item {
  readonly message: Message
  readonly sizeBytes: number
  readonly topic: QueueTopic | undefined
  readonly finished: ((outcome: QueueOutcome) => void) | undefined
  transmits: number
  removed: boolean
}

/** Misfits looked at before a packet is taken as full. */
const MISFITS_LIMIT = 8

/**
 * Messages to be sent on, each a limited number of times: those sent least often first, of these the newest first.
 * Work is in proportion to what is taken, not to what waits.
 *
 * @see SWIM (Das, Gupta, Motivala 2002), section 4.1
 */
export class GossipQueue {
  readonly #capacity: number
  /** By transmits so far; in each the newest last. */
  readonly #buckets: Item[][] = []
  readonly #byTopic = {
    member: new Map<string, Item>(),
    confirmation: new Map<string, Item>(),
    claim: new Map<string, Item>(),
    user: new Map<string, Item>(),
  }
  #count = 0
  #removedCount = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get count(): number {
    return this.#count
  }

  /**
   * Adds a message in front of all others.
   *
   * @param sizeBytes - What it takes in a packet, framing included.
   * @param finished - Called once, when it leaves the queue.
   * @returns Messages dropped to make room: 0 or 1.
   */
  offer(
    message: Message,
    sizeBytes: number,
    topic?: QueueTopic,
    finished?: (outcome: QueueOutcome) => void,
  ): number {
    if (topic !== undefined) this.remove(topic)
    const dropped = this.#count >= this.#capacity && this.#dropOne() ? 1 : 0
    const item: Item = { message, sizeBytes, topic, finished, transmits: 0, removed: false }
    if (topic !== undefined) this.#byTopic[topic.space].set(topic.name, item)
    this.#bucket(0).push(item)
    this.#count++
    return dropped
  }

  /** Takes a topic's message out, if one waits: it was replaced. */
  remove(topic: QueueTopic): void {
    const item = this.#byTopic[topic.space].get(topic.name)
    if (item === undefined) return
    this.#finish(item, 'replaced')
    this.#removedCount++
    if (this.#removedCount > this.#count + 64) this.#compact()
  }

  /**
   * Takes messages for a packet that goes to `copies` members, counting each as sent so often.
   *
   * @param budgetBytes - Room, in the sizes that `offer` was given.
   * @param maxCount - Messages at most.
   * @param limit - Transmits at which a message is done with.
   */
  take(budgetBytes: number, maxCount: number, limit: number, copies = 1): Message[] {
    const taken: Item[] = []
    let roomBytes = budgetBytes
    let misfits = 0
    for (const bucket of this.#buckets) {
      const skipped: Item[] = []
      while (misfits < MISFITS_LIMIT && taken.length < maxCount) {
        const item = bucket.pop()
        if (item === undefined) break
        if (item.removed) {
          this.#removedCount--
        } else if (item.sizeBytes <= roomBytes) {
          roomBytes -= item.sizeBytes
          taken.push(item)
        } else {
          skipped.push(item)
          misfits++
        }
      }
      for (let i = skipped.length - 1; i >= 0; i--) bucket.push(skipped[i] as Item)
    }
    // Oldest first, so that the newest comes to lie on top of its next bucket.
    for (let i = taken.length - 1; i >= 0; i--) {
      const item = taken[i] as Item
      item.transmits += copies
      if (item.transmits >= limit) this.#finish(item, 'sent')
      else this.#bucket(item.transmits).push(item)
    }
    return taken.map((item) => item.message)
  }

  /**
   * What {@link take} would give, without counting it as sent: for what goes along with other packets.
   *
   * @param budgetBytes - Room, in the sizes that `offer` was given.
   * @param maxCount - Messages at most.
   */
  look(budgetBytes: number, maxCount: number): Message[] {
    const seen: Message[] = []
    let roomBytes = budgetBytes
    let misfits = 0
    for (const bucket of this.#buckets) {
      for (let i = bucket.length - 1; i >= 0; i--) {
        if (misfits >= MISFITS_LIMIT || seen.length >= maxCount) return seen
        const item = bucket[i] as Item
        if (item.removed) continue
        if (item.sizeBytes > roomBytes) {
          misfits++
          continue
        }
        roomBytes -= item.sizeBytes
        seen.push(item.message)
      }
    }
    return seen
  }

  #bucket(transmits: number): Item[] {
    while (this.#buckets.length <= transmits) this.#buckets.push([])
    return this.#buckets[transmits] as Item[]
  }

  #finish(item: Item, outcome: QueueOutcome): void {
    item.removed = true
    this.#count--
    if (item.topic !== undefined) this.#byTopic[item.topic.space].delete(item.topic.name)
    item.finished?.(outcome)
  }

  /** Drops the oldest of those sent most often. */
  #dropOne(): boolean {
    for (let i = this.#buckets.length - 1; i >= 0; i--) {
      const bucket = this.#buckets[i] as Item[]
      for (let item = bucket.shift(); item !== undefined; item = bucket.shift()) {
        if (item.removed) {
          this.#removedCount--
          continue
        }
        this.#finish(item, 'dropped')
        return true
      }
    }
    return false
  }

  #compact(): void {
    for (const [i, bucket] of this.#buckets.entries()) {
      this.#buckets[i] = bucket.filter((item) => !item.removed)
    }
    this.#removedCount = 0
  }
}

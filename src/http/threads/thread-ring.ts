import type { RingSnapshot } from '../../manager/snapshot.ts'
import { RingmanError } from '../../errors.ts'
import { HashRing, type SharedRing } from '../../ring/hash-ring.ts'
import type { RingNode } from '../../ring/node.ts'
import { nextOwner } from '../../service/next-owner.ts'
import type { Sureness } from '../../service/sureness.ts'
import type { LookUpRing } from '../compatible-owner.ts'

/** What a thread gets to know before it counts. */
export interface RingCopy {
  /** From 1, one more for each. */
  readonly number: number
  readonly ring: SharedRing
  /** The ring once all moves under way are done; absent where none are. */
  readonly after?: SharedRing | undefined
}

/**
 * Which copy of the ring counts, and as what epoch, in one word of shared memory: all threads go from one ring to the next at
 * the same moment.
 */
export class CurrentCopy {
  readonly memory: SharedArrayBuffer
  readonly #word: BigInt64Array

  constructor(memory = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory
    this.#word = new BigInt64Array(memory)
  }

  /** Number and epoch together. */
  get word(): bigint {
    return Atomics.load(this.#word, 0)
  }

  set(number: number, epoch: number): void {
    Atomics.store(this.#word, 0, (BigInt(number) << 32n) | BigInt(epoch))
  }
}

/** The ring as a thread besides the main one has it: copies of it, one of which counts. */
export class ThreadRing implements LookUpRing {
  readonly manager: LookUpRing['manager']
  readonly #current: CurrentCopy
  readonly #sureness: Sureness
  readonly #copies = new Map<number, { readonly ring: HashRing; readonly after: HashRing }>()
  #word = -1n
  #counting: { readonly snapshot: RingSnapshot; readonly after: HashRing } | undefined

  constructor(current: CurrentCopy, sureness: Sureness) {
    this.#current = current
    this.#sureness = sureness
    const snapshot = () => this.#snapshot
    this.manager = {
      running: true,
      get snapshot() {
        return snapshot()
      },
      getNode(key) {
        const owner = snapshot().ring.ownerOf(key)
        if (owner === undefined) throw new RingmanError('RING_EMPTY', 'no nodes in ring')
        return owner
      },
    }
  }

  get unsure(): boolean {
    return this.#sureness.doubt !== undefined
  }

  /** Takes what will count later. */
  learn({ number, ring: shared, after }: RingCopy): void {
    const ring = HashRing.fromShared(shared)
    this.#copies.set(number, { ring, after: after === undefined ? ring : HashRing.fromShared(after) })
  }

  /**
   * Has what follows go by the copy that counts now.
   *
   * @returns Whether this thread has that copy, and there are nodes on it; otherwise it has no answer.
   */
  catchUp(): boolean {
    const { word } = this.#current
    if (word !== this.#word) {
      this.#word = word
      const number = Number(word >> 32n)
      const copy = this.#copies.get(number)
      const epoch = Number(BigInt.asUintN(32, word))
      this.#counting = copy && { snapshot: { ring: copy.ring, epoch, changedAtMs: 0 }, after: copy.after }
      for (const known of this.#copies.keys()) if (known < number) this.#copies.delete(known)
    }
    return this.#counting !== undefined && this.#counting.snapshot.ring.size > 0
  }

  nextOwnerOf(key: string | Uint8Array): RingNode | undefined {
    const { ring } = this.#snapshot
    return nextOwner(ring, this.#counting?.after ?? ring, key)
  }

  get #snapshot(): RingSnapshot {
    if (this.#counting === undefined) throw new RingmanError('MANAGER_NOT_RUNNING', 'this thread has no ring')
    return this.#counting.snapshot
  }
}

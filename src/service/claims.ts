import type { RingmanError } from '../errors.ts'

/** A member's declared work on a key: it may go on while the claim is held. */
export interface Claim extends Disposable {
  /** Whether it is held still: neither lost nor released. Costs less than `signal`. */
  readonly held: boolean
  /**
   * Aborts when the claim is lost, with a `CLAIM_LOST` as its reason, and stays aborted although the key may come back. It
   * is made when it is first read: claims whose signal nobody reads cost less than half as much. After `release` it does
   * not abort any more.
   */
  readonly signal: AbortSignal
  /** Ends the work: the claim is not told of any more. Idempotent; `using` calls it. */
  release(): void
}

/** A part of the circle in which claims are lost: hashes from `start` to before `end`, at most 2^32. */
export interface LostStretch {
  readonly start: number
  readonly end: number
  /** What the signals of its claims abort with; asked when one does, and the same for all of them. */
  readonly reason: () => RingmanError
}

/** The loss of claims while it is being told. */
interface Sweep {
  /** It concerns the claims from before it. */
  readonly number: number
  /** In ascending order, without overlaps. */
  readonly stretches: readonly LostStretch[]
  /** The stretch that it has come to, and the hash. */
  stretch: number
  at: number
}

/** Least slots that are kept. */
const MIN_SLOTS = 64

/** Places of a slot, so many that it lies within one line of the processor's cache. */
const FIELDS = 4
/** The hash of its key. */
const HASH = 0
/** The next slot of its slice, or of the free ones: 1 + its number, 0 for none. */
const NEXT = 1
/** The number of the last sweep before it. */
const BORN = 2

/** Slots for each slice of the circle: so many claims are looked at to find one. */
const SLOTS_PER_SLICE = 4

/** What one turn of the event loop tells, counted in claims whose signal was not read: some milliseconds. */
const TURN_COST = 10_000

/** What it costs to abort a signal, counted in the same. */
const ABORT_COST = 20

/**
 * The claims of a member: numbers, the hashes of their keys, put down by the slice of the circle that they lie in, so that
 * a loss touches only claims in the stretches that were lost and their neighbours. A claim takes about 25 bytes here and
 * 50 for the object that its holder has.
 *
 * A large loss is told in turns of the event loop; whoever asks a claim in the meantime is told the truth, and a claim that
 * is made in the meantime is not touched.
 */
export class Claims {
  readonly #later: (turn: () => void) => void
  readonly #turnCost: number
  #held: (HeldClaim | undefined)[] = []
  /** For each slot its {@link HASH}, {@link NEXT} and {@link BORN}, side by side: a loss comes by slots in no order. */
  #slots = new Uint32Array(MIN_SLOTS * FIELDS)
  #heads = new Uint32Array(MIN_SLOTS / SLOTS_PER_SLICE)
  #firstFree = 0
  #usedSlots = 0
  #count = 0
  #lastSweep = 0
  #sweeps: Sweep[] = []
  #turnDue = false

  /**
   * @param later - Calls a function in a later turn of the event loop.
   * @param turnCost - What one turn may tell, in claims whose signal was not read.
   */
  constructor(later: (turn: () => void) => void, turnCost = TURN_COST) {
    this.#later = later
    this.#turnCost = turnCost
  }

  /** How many are held, those among them whose loss is still to be told. */
  get count(): number {
    return this.#count
  }

  /** @param hash - Of the key, 32 bits, signed or unsigned. */
  add(hash: number): Claim {
    const slot = this.#takeSlot()
    const unsigned = hash >>> 0
    const slice = this.#sliceOf(unsigned)
    this.#slots[slot * FIELDS + HASH] = unsigned
    this.#slots[slot * FIELDS + BORN] = this.#lastSweep
    this.#slots[slot * FIELDS + NEXT] = this.#heads[slice]!
    this.#heads[slice] = slot + 1
    this.#count++
    return (this.#held[slot] = new HeldClaim(this, slot))
  }

  /**
   * Ends the claims in some stretches: at once what one turn can do, the rest in later turns, one after the other.
   *
   * @param stretches - In ascending order, without overlaps.
   */
  lose(stretches: readonly LostStretch[]): void {
    const [first] = stretches
    if (first === undefined || this.#count === 0) return
    this.#lastSweep++
    this.#sweeps.push({ number: this.#lastSweep, stretches, stretch: 0, at: first.start })
    if (!this.#turnDue) this.#turn()
  }

  /** Ends a claim whose loss is still to be told. */
  settle(slot: number, claim: HeldClaim): void {
    for (const { number, stretches } of this.#sweeps) {
      if (number <= this.#slots[slot * FIELDS + BORN]!) continue
      const found = find(stretches, this.#slots[slot * FIELDS + HASH]!)
      if (found === undefined) continue
      this.remove(slot)
      claim.end(found)?.abort(found.reason())
      return
    }
  }

  /** Forgets a claim. */
  remove(slot: number): void {
    const slice = this.#sliceOf(this.#slots[slot * FIELDS + HASH]!)
    const following = this.#slots[slot * FIELDS + NEXT]!
    if (this.#heads[slice] === slot + 1) {
      this.#heads[slice] = following
    } else {
      let at = this.#heads[slice]! - 1
      while (this.#slots[at * FIELDS + NEXT] !== slot + 1) at = this.#slots[at * FIELDS + NEXT]! - 1
      this.#slots[at * FIELDS + NEXT] = following
    }
    this.#free(slot)
  }

  #sliceOf(unsigned: number): number {
    return Math.floor(unsigned / (CIRCLE / this.#heads.length))
  }

  #takeSlot(): number {
    if (this.#firstFree > 0) {
      const slot = this.#firstFree - 1
      this.#firstFree = this.#slots[slot * FIELDS + NEXT]!
      return slot
    }
    if (this.#usedSlots * FIELDS === this.#slots.length) this.#grow()
    return this.#usedSlots++
  }

  #free(slot: number): void {
    this.#held[slot] = undefined
    this.#slots[slot * FIELDS + NEXT] = this.#firstFree
    this.#firstFree = slot + 1
    this.#count--
    if (this.#count > 0 || this.#slots.length === MIN_SLOTS * FIELDS) return
    // Nothing of a crowd that has gone is kept.
    this.#held = []
    this.#slots = new Uint32Array(MIN_SLOTS * FIELDS)
    this.#heads = new Uint32Array(MIN_SLOTS / SLOTS_PER_SLICE)
    this.#firstFree = 0
    this.#usedSlots = 0
  }

  /** Doubles the slots, all of which are used. */
  #grow(): void {
    const slots = new Uint32Array(2 * this.#slots.length)
    slots.set(this.#slots)
    this.#slots = slots
    this.#heads = new Uint32Array(slots.length / FIELDS / SLOTS_PER_SLICE)
    for (let slot = 0; slot < this.#usedSlots; slot++) {
      const slice = this.#sliceOf(this.#slots[slot * FIELDS + HASH]!)
      this.#slots[slot * FIELDS + NEXT] = this.#heads[slice]!
      this.#heads[slice] = slot + 1
    }
  }

  #turn(): void {
    this.#turnDue = true
    let left = this.#turnCost
    for (let sweep = this.#sweeps[0]; sweep !== undefined && left > 0; sweep = this.#sweeps[0]) {
      left -= this.#sweepSlice(sweep)
      if (sweep.stretch === sweep.stretches.length || this.#count === 0) this.#sweeps.shift()
    }
    this.#turnDue = this.#sweeps.length > 0
    if (this.#turnDue) this.#later(() => this.#turn())
  }

  /** Ends the claims of one stretch in one slice, and moves on. Returns what it cost. */
  #sweepSlice(sweep: Sweep): number {
    const stretch = sweep.stretches[sweep.stretch]!
    const { start, end } = stretch
    const slices = this.#heads.length
    const slice = this.#sliceOf(sweep.at)
    let controllers: AbortController[] | undefined
    let cost = 1
    let before = 0
    for (let next = this.#heads[slice]!; next > 0; cost++) {
      const slot = next - 1
      next = this.#slots[slot * FIELDS + NEXT]!
      const hash = this.#slots[slot * FIELDS + HASH]!
      if (hash >= start && hash < end && this.#slots[slot * FIELDS + BORN]! < sweep.number) {
        if (before === 0) this.#heads[slice] = next
        else this.#slots[(before - 1) * FIELDS + NEXT] = next
        const controller = this.#held[slot]!.end(stretch)
        if (controller !== undefined) (controllers ??= []).push(controller)
        this.#free(slot)
      } else {
        before = slot + 1
      }
    }
    sweep.at = (slice + 1) * (CIRCLE / slices)
    if (sweep.at >= end) {
      sweep.stretch++
      sweep.at = sweep.stretches[sweep.stretch]?.start ?? CIRCLE
    }
    if (controllers === undefined) return cost
    // Only now, as whoever listens to a signal can make and release claims.
    for (const controller of controllers) controller.abort(stretch.reason())
    return cost + controllers.length * ABORT_COST
  }
}

/** All hashes of the circle. */
const CIRCLE = 2 ** 32

/** All of the circle. */
export function everywhere(reason: () => RingmanError): LostStretch {
  return { start: 0, end: CIRCLE, reason }
}

/** The stretch that a hash lies in. */
function find(stretches: readonly LostStretch[], hash: number): LostStretch | undefined {
  let low = 0
  let high = stretches.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (stretches[middle]!.end <= hash) low = middle + 1
    else high = middle
  }
  const found = stretches[low]
  return found !== undefined && found.start <= hash ? found : undefined
}

/** Where a claim is that has ended. */
const ENDED = -1

class HeldClaim implements Claim {
  readonly #claims: Claims
  #slot: number
  /** The controller of its signal, once that was read; else the stretch in which it was lost, once it was. */
  #end: AbortController | LostStretch | undefined

  constructor(claims: Claims, slot: number) {
    this.#claims = claims
    this.#slot = slot
  }

  get held(): boolean {
    if (this.#slot !== ENDED) this.#claims.settle(this.#slot, this)
    return this.#slot !== ENDED
  }

  get signal(): AbortSignal {
    if (this.#slot !== ENDED) this.#claims.settle(this.#slot, this)
    if (this.#end instanceof AbortController) return this.#end.signal
    const controller = new AbortController()
    if (this.#end !== undefined) controller.abort(this.#end.reason())
    this.#end = controller
    return controller.signal
  }

  release(): void {
    if (this.#slot === ENDED) return
    this.#claims.settle(this.#slot, this)
    if (this.#slot === ENDED) return
    this.#claims.remove(this.#slot)
    this.#slot = ENDED
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** Loses it. Returns what there is to abort. */
  end(stretch: LostStretch): AbortController | undefined {
    this.#slot = ENDED
    if (this.#end instanceof AbortController) return this.#end
    this.#end = stretch
    return undefined
  }
}

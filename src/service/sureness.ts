import type { Clock } from '../clock.ts'

/** How often a process looks at its own clock, in milliseconds. */
export const LOOK_MS = 250

/** How long look-ups stay unsure after a stall, in milliseconds: by then the members were heard again. */
const UNSURE_MS = 2000

/** From when on look-ups are unsure. */
export interface SurenessBounds {
  /** After a stall of this many milliseconds; 0 for never. */
  readonly unsureAfterMs: number
  /** While no other member was heard for this many milliseconds; 0 for never. */
  readonly maxSilenceMs: number
}

/** Why look-ups are unsure. */
export type Doubt = 'stood-still' | 'silence'

/** The places of what is known in the memory, all of it times in milliseconds. */
const [LOOKED, LOOKED_WALL, UNSURE_UNTIL, HEARD, RUNNING] = [0, 1, 2, 3, 4]
const PLACES = 5

/**
 * Whether look-ups may be old just now: this process stood still for longer than a bound, and has not had the time to hear
 * from the others again; or it has not heard from any of them for longer than the bound for that. What it goes by is in memory
 * that the threads of a process share, so that all of them say the same.
 */
export class Sureness {
  readonly bounds: SurenessBounds
  readonly memory: SharedArrayBuffer
  readonly #clock: Pick<Clock, 'now' | 'wallNow'>
  readonly #times: Float64Array

  /** @param memory - That of the thread that looks, for the others. */
  constructor(
    clock: Pick<Clock, 'now' | 'wallNow'>,
    bounds: SurenessBounds,
    memory = new SharedArrayBuffer(PLACES * Float64Array.BYTES_PER_ELEMENT),
  ) {
    this.bounds = bounds
    this.memory = memory
    this.#clock = clock
    this.#times = new Float64Array(memory)
  }

  /** Whether there is any bound. */
  get isBounded(): boolean {
    return this.bounds.unsureAfterMs > 0 || this.bounds.maxSilenceMs > 0
  }

  /** Whether the process runs; one that starts or leaves is sure of what it says. */
  set running(is: boolean) {
    this.#times[RUNNING] = Number(is)
  }

  /** When this process looked at its clock last, monotonic and of the day: a paused machine loses only the latter. */
  get looked(): { readonly nowMs: number; readonly wallMs: number } {
    return { nowMs: this.#times[LOOKED]!, wallMs: this.#times[LOOKED_WALL]! }
  }

  /** By how much the next look is overdue, in milliseconds. */
  get lateMs(): number {
    const { nowMs, wallMs } = this.looked
    return Math.max(this.#clock.now() - nowMs, this.#clock.wallNow() - wallMs) - LOOK_MS
  }

  /** This process looks at its clock now, and after {@link LOOK_MS} again. */
  look(): void {
    this.#times[LOOKED] = this.#clock.now()
    this.#times[LOOKED_WALL] = this.#clock.wallNow()
  }

  /** It stood still by as much as it looks late. */
  noteStall(): void {
    const { unsureAfterMs } = this.bounds
    if (unsureAfterMs > 0 && this.lateMs >= unsureAfterMs) {
      this.#times[UNSURE_UNTIL] = this.#clock.now() + UNSURE_MS
    }
  }

  /** Another member was heard then, or there was none to be heard. */
  noteHeard(atMs: number): void {
    this.#times[HEARD] = atMs
  }

  /** How long no other member was heard, in milliseconds. */
  get silentMs(): number {
    return this.#clock.now() - this.#times[HEARD]!
  }

  /** Why look-ups are unsure now; undefined while they are not. */
  get doubt(): Doubt | undefined {
    if (this.#times[RUNNING] === 0) return undefined
    const { unsureAfterMs, maxSilenceMs } = this.bounds
    // A look-up may come before the look that is overdue.
    if (
      unsureAfterMs > 0 &&
      (this.lateMs >= unsureAfterMs || this.#clock.now() < this.#times[UNSURE_UNTIL]!)
    ) {
      return 'stood-still'
    }
    return maxSilenceMs > 0 && this.silentMs > maxSilenceMs ? 'silence' : undefined
  }
}

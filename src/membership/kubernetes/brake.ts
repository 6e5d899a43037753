import type { Place } from './place-keeper.ts'
import { isLiving } from '../member.ts'

/**
 * Keeps a ring as it is when too many of its nodes stop serving at once, instead of handing everything to the few that
 * are left, which would then go down as well.
 *
 * It goes on when more than a share of the nodes stopped serving within the hold and was not seen terminating: those
 * that are held, and those that vanished from the slices meanwhile. While it is on, the ring has the nodes that it had.
 * It goes off by itself when as many pods serve as are needed for it not to go on, whatever their names, or when
 * somebody accepts the loss. Pure: times are arguments, in monotonic milliseconds.
 */
export class Brake {
  /** Above it, of the nodes, the brake goes on: from 0, for any loss, to 1, for none. */
  share: number
  holdMs: number
  /** The nodes of the ring when it went on. */
  #frozen: ReadonlyMap<string, Place> | undefined
  /** What was put on the ring the last time. */
  #before: ReadonlyMap<string, Place> = new Map()
  /** When those vanished that were in no slice any more, by name. */
  readonly #vanished = new Map<string, number>()
  /** Whether the loss was accepted that goes on now. */
  #accepted = false

  /** Both may be changed; that counts from the next look on. */
  constructor(share: number, holdMs: number) {
    this.share = share
    this.holdMs = holdMs
  }

  get on(): boolean {
    return this.#frozen !== undefined
  }

  /** Goes on with these nodes: another process had it on. */
  freeze(places: ReadonlyMap<string, Place>): void {
    this.#frozen = places
    this.#before = places
  }

  /** Lets the loss happen that the brake is on for, and goes off. */
  accept(): void {
    if (!this.on) return
    this.#frozen = undefined
    this.#accepted = true
  }

  /** Takes the places as they are now. @returns The places that make the ring. */
  look(places: ReadonlyMap<string, Place>, nowMs: number): ReadonlyMap<string, Place> {
    this.#noteVanished(places, nowMs)
    const states = Array.from(places.values(), ({ state }) => state)
    const serving = states.filter((state) => state === 'alive').length
    if (this.#frozen !== undefined) {
      const { size } = this.#frozen
      if (size - serving > this.share * size) return this.#keep(this.#frozen, places)
      this.#frozen = undefined
      this.#vanished.clear()
    }
    const lost = states.filter((state) => state === 'suspect').length + this.#vanished.size
    const tooMany = lost > this.share * (serving + lost)
    if (!tooMany) this.#accepted = false
    else if (!this.#accepted) {
      this.#frozen = this.#before
      return this.#keep(this.#frozen, places)
    }
    this.#before = new Map([...places].filter(([, place]) => isLiving(place)))
    return places
  }

  #noteVanished(places: ReadonlyMap<string, Place>, nowMs: number): void {
    for (const name of this.#before.keys()) {
      if (!places.has(name) && !this.#vanished.has(name)) this.#vanished.set(name, nowMs)
    }
    for (const [name, atMs] of this.#vanished) {
      if (places.has(name) || nowMs - atMs >= this.holdMs) this.#vanished.delete(name)
    }
  }

  /** The nodes of the frozen ring, each as it is now where it still has a place. */
  #keep(frozen: ReadonlyMap<string, Place>, places: ReadonlyMap<string, Place>): ReadonlyMap<string, Place> {
    this.#before = new Map(
      Array.from(frozen, ([name, before]) => {
        const now = places.get(name)
        return [name, now !== undefined && isLiving(now) ? now : { ...before, state: 'suspect' }]
      }),
    )
    return this.#before
  }
}

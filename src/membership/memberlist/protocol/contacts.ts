import type { Endpoint } from './endpoint.ts'

/** An answer is remembered so long. */
const KEPT_MS = 3_600_000

interface Answer {
  readonly name: string
  readonly atMs: number
}

/**
 * What is known of an address and port: who answered our pings from there, and when. The one table of it: contested
 * names, members that come back and takeovers ask it. Times are the machine's own.
 */
export class Contacts {
  readonly #limit: number
  /** By place, the longest silent first. */
  readonly #answers = new Map<string, Answer>()

  /** @param limit - Places remembered; the longest silent make room. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Notes that whoever is at `place` answered a ping of ours that named `name`. */
  answered(place: Endpoint, name: string, nowMs: number): void {
    const key = keyOf(place)
    this.#answers.delete(key)
    this.#answers.set(key, { name, atMs: nowMs })
    for (const [oldest, { atMs }] of this.#answers) {
      if (this.#answers.size <= this.#limit && nowMs - atMs <= KEPT_MS) break
      this.#answers.delete(oldest)
    }
  }

  /** Whether `name` answered us from `place` at `sinceMs` or later. */
  hasAnswered(place: Endpoint, name: string, sinceMs: number): boolean {
    const answer = this.#answers.get(keyOf(place))
    return answer !== undefined && answer.name === name && answer.atMs >= sinceMs
  }
}

/** An address and port as the key of a map. */
export function keyOf({ address, port }: Endpoint): string {
  return `${address} ${port}`
}

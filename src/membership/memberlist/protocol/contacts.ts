import type { Endpoint } from './endpoint.ts'

/** What is known of a place is remembered so long. */
const KEPT_MS = 3_600_000
/** The longest wait before a place that stays silent is asked again. */
const MAX_WAIT_MS = 300_000

interface Answer {
  readonly name: string
  readonly atMs: number
}

/** A place where a member died without ever having answered us, or did not answer when it was to come back. */
interface Silence {
  readonly name: string
  readonly atMs: number
  /** How often it was asked in vain. */
  readonly count: number
  readonly askAtMs: number
}

/**
 * What is known of an address and port: who answered our pings from there and when, and who did not. The one table of it:
 * contested names, members that come back and takeovers ask it. Times are the machine's own.
 */
export class Contacts {
  readonly #limit: number
  /** By place, the longest silent first. */
  readonly #answers = new Map<string, Answer>()
  /** By place, the one noted longest ago first. */
  readonly #silences = new Map<string, Silence>()

  /** @param limit - Places remembered; the longest silent make room. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Notes that whoever is at `place` answered a ping of ours that named `name`. */
  answered(place: Endpoint, name: string, nowMs: number): void {
    const key = keyOf(place)
    this.#note(this.#answers, key, { name, atMs: nowMs })
    if (this.#silences.get(key)?.name === name) this.#silences.delete(key)
  }

  /** Whether `name` answered us from `place` at `sinceMs` or later. */
  hasAnswered(place: Endpoint, name: string, sinceMs: number): boolean {
    const answer = this.#answers.get(keyOf(place))
    return answer !== undefined && answer.name === name && answer.atMs >= sinceMs
  }

  /** Notes that `name` died at `place`, where nobody here ever had an answer from it. */
  diedUnreached(place: Endpoint, name: string, nowMs: number): void {
    if (!this.isSilent(place, name, nowMs)) {
      this.#note(this.#silences, keyOf(place), { name, atMs: nowMs, count: 0, askAtMs: nowMs })
    }
  }

  /** Whether `name` was not to be reached at `place`, and has not answered there since. */
  isSilent(place: Endpoint, name: string, nowMs: number): boolean {
    const silence = this.#silences.get(keyOf(place))
    return silence !== undefined && silence.name === name && nowMs - silence.atMs <= KEPT_MS
  }

  /**
   * Notes that `name` is about to be asked at `place`, to be taken back by {@link answered}.
   *
   * @param waitMs - How long to wait after the first silence; twice as long after each further one.
   * @returns Whether it may be asked: not while the wait since the last time is not over.
   */
  mayAsk(place: Endpoint, name: string, nowMs: number, waitMs: number): boolean {
    const known = this.#silences.get(keyOf(place))
    const before = known?.name === name ? known : undefined
    if (before !== undefined && nowMs < before.askAtMs) return false
    const count = (before?.count ?? 0) + 1
    const askAtMs = nowMs + Math.min(MAX_WAIT_MS, waitMs * 2 ** count)
    this.#note(this.#silences, keyOf(place), { name, atMs: nowMs, count, askAtMs })
    return true
  }

  #note<T extends { readonly atMs: number }>(map: Map<string, T>, key: string, value: T): void {
    map.delete(key)
    map.set(key, value)
    for (const [oldest, { atMs }] of map) {
      if (map.size <= this.#limit && value.atMs - atMs <= KEPT_MS) break
      map.delete(oldest)
    }
  }
}

/** An address and port as the key of a map. */
export function keyOf({ address, port }: Endpoint): string {
  return `${address} ${port}`
}

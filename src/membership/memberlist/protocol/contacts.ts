import { TokenBucket } from '../../../token-bucket.ts'
import { type Endpoint, keyOf } from './endpoint.ts'

/** What is known of a place is remembered so long. */
const KEPT_MS = 3_600_000
/** The longest wait before a place that stays silent is asked again. */
const MAX_WAIT_MS = 300_000

interface Answer {
  readonly name: string
  readonly atMs: number
  /** When the last packet came from there. */
  heardMs: number
}

/** What IP and UDP add to a packet. */
const HEADER_BYTES = 28
/** Bytes that places which have not answered us get beyond what they sent: at once, and for each second. */
const UNANSWERED_BYTES = { burst: 8192, perSecond: 2048 }

/** A ping with long names takes so much. */
const PROBE_BYTES = 700

/**
 * Why a packet is sent: `answer` to what came from there, or news; `probe` on our own account; `relay` for another member;
 * `round`, the probe rounds, which are few by themselves.
 */
export type Purpose = 'answer' | 'probe' | 'relay' | 'round'

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
  /** By place that has not answered, what it sent us less what it got; the longest silent first. */
  readonly #credits = new Map<string, { readonly atMs: number; readonly bytes: number }>()
  /** What is left of the bytes that all such places share. */
  readonly #shared = { probe: new TokenBucket(UNANSWERED_BYTES), relay: new TokenBucket(UNANSWERED_BYTES) }

  /** @param limit - Places remembered; the longest silent make room. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Notes that whoever is at `place` answered a ping of ours that named `name`. */
  answered(place: Endpoint, name: string, nowMs: number): void {
    const key = keyOf(place)
    this.#note(this.#answers, key, { name, atMs: nowMs, heardMs: nowMs })
    if (this.#silences.get(key)?.name === name) this.#silences.delete(key)
    this.#credits.delete(key)
  }

  /** Whether anybody answered us from `place` within the last hour. */
  isReached(place: Endpoint, nowMs: number): boolean {
    const answer = this.#answers.get(keyOf(place))
    return answer !== undefined && nowMs - answer.atMs <= KEPT_MS
  }

  /** When the last packet came from a place that has answered us; `-Infinity` of any other. */
  heardMs(place: Endpoint): number {
    return this.#answers.get(keyOf(place))?.heardMs ?? -Infinity
  }

  /** Notes a packet from a place. @param sizeBytes - Payload, as it came. */
  received(place: Endpoint, sizeBytes: number, nowMs: number): void {
    const key = keyOf(place)
    const answer = this.#answers.get(key)
    if (answer !== undefined && nowMs - answer.atMs <= KEPT_MS) {
      answer.heardMs = nowMs
      return
    }
    const bytes = Math.min(
      UNANSWERED_BYTES.burst,
      (this.#credits.get(key)?.bytes ?? 0) + sizeBytes + HEADER_BYTES,
    )
    this.#note(this.#credits, key, { atMs: nowMs, bytes })
  }

  /** Whether a probe may be sent to a place now. */
  mayProbe(place: Endpoint, nowMs: number): boolean {
    if (this.isReached(place, nowMs)) return true
    const bytes = this.#credits.get(keyOf(place))?.bytes ?? -Infinity
    return Math.max(bytes, this.#shared.probe.tokens(nowMs)) >= PROBE_BYTES
  }

  /**
   * Whether a packet may be sent to a place, which counts it. A place that has not answered us gets no more than it sent
   * (its address may be forged, and be that of somebody who never asked for anything), but for a few probes.
   */
  spend(place: Endpoint, sizeBytes: number, purpose: Purpose, nowMs: number): boolean {
    if (purpose === 'round' || this.isReached(place, nowMs)) return true
    const key = keyOf(place)
    const bytes = sizeBytes + HEADER_BYTES
    const credit = this.#credits.get(key)
    if (credit !== undefined && credit.bytes >= bytes) {
      this.#credits.set(key, { atMs: credit.atMs, bytes: credit.bytes - bytes })
      return true
    }
    return purpose !== 'answer' && this.#shared[purpose].tryTake(nowMs, bytes)
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

  /** Whether `name` was asked at `place` in vain, and it is too early to ask again. */
  isResting(place: Endpoint, name: string, nowMs: number): boolean {
    const silence = this.#silences.get(keyOf(place))
    return silence !== undefined && silence.name === name && nowMs < silence.askAtMs
  }

  /**
   * Notes that `name` is about to be asked at `place`, to be taken back by {@link answered}.
   *
   * @param waitMs - How long it rests after the first silence; twice as long after each further one.
   */
  asks(place: Endpoint, name: string, nowMs: number, waitMs: number): void {
    const known = this.#silences.get(keyOf(place))
    const count = (known?.name === name ? known.count : 0) + 1
    const askAtMs = nowMs + Math.min(MAX_WAIT_MS, waitMs * 2 ** count)
    this.#note(this.#silences, keyOf(place), { name, atMs: nowMs, count, askAtMs })
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

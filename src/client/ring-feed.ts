import { createParser } from 'eventsource-parser'
import { sleep } from '../clock.ts'
import { isRingmanError, RingmanError, type ErrorCode } from '../errors.ts'
import { RequestDeadline } from '../request-deadline.ts'
import { TokenBucket } from '../token-bucket.ts'
import { ringAnswer, type RingAnswer } from './answers.ts'
import { notRingman, parseJson, readAnswer, RING_LIMIT, unreachable, type Members } from './members.ts'

/** First wait between two connections, until each URL was tried, and longest, in milliseconds. A connection that lasted that begins again. */
const BACKOFF_MIN_MS = 250
const BACKOFF_MAX_MS = 15_000

/** Wait between two polls where nobody lets this client watch, in milliseconds. */
const POLL_MS = 5000

/** How long it polls before it asks again whether it may watch, in milliseconds. */
const WATCH_AGAIN_MS = 30_000

/** Rings that are taken at once, and in a second: a member that sends more is read more slowly, and skips some. */
const TAKEN_RINGS = { burst: 20, perSecond: 10 }

/** What went wrong with a watch so that its member need not be polled. */
const NO_USE_TO_POLL: ReadonlySet<ErrorCode> = new Set(['MEMBERS_DISAGREE', 'UNREACHABLE', 'UNSURE'])

/** Who hears of the rings. */
export interface RingReader {
  /**
   * A ring that a member says is its own now.
   *
   * @param first - Whether it is the first that this connection gives.
   * @throws {RingmanError} When it is not taken: the next member is asked.
   */
  take(ring: RingAnswer, first: boolean): void
  /** The ring that was taken last is still the member's. */
  confirm?(): void
  /** Why a connection ended, or a ring was not taken. */
  fail?(error: RingmanError): void
}

/**
 * Follows the ring: one member at a time, by its watch, and when that ends the next one. A member that answers, but lets
 * nobody watch, is polled by entity tag. `docs/clients.md` has the whole behaviour, for other languages, too.
 */
export class RingFeed {
  readonly #members: Members
  readonly #reader: RingReader
  readonly #taken = new TokenBucket(TAKEN_RINGS)
  /** Index of the URL that is asked next. */
  #at: number
  /** Of the newest ring that was taken, where rings have versions. */
  #newest: { readonly uid: string | undefined; readonly version: number } | undefined
  /** Of the ring that was taken last, if it was polled. */
  #etag: string | undefined
  /** Whether the watch of this turn gave a ring. */
  #watched = false

  /** @param first - Index of the URL to begin with. */
  constructor(members: Members, reader: RingReader, first: number) {
    this.#members = members
    this.#reader = reader
    this.#at = first
  }

  /** Runs until `signal` aborts; it rejects only with a fault of its own. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, urls, root } = this.#members
    /** Connections one after another that failed, or did not last. */
    let failures = 0
    /** Turns one after another in which there was no watch. */
    let refusals = 0
    /** Turns since a poll was answered. */
    let sincePoll = Infinity
    let watchAgainMs = 0
    while (!signal.aborted) {
      const startedMs = clock.now()
      const url = `${urls[this.#at] ?? ''}${root}/ring`
      // After a while, each of them is asked once more whether it has room.
      if (startedMs >= watchAgainMs) refusals = 0
      // In a whole round nobody let this client watch, and somebody answered a poll.
      const mayWatch = refusals < urls.length || sincePoll >= urls.length
      const polled = await this.#follow(url, mayWatch, signal)
      if (signal.aborted) return
      this.#at = (this.#at + 1) % urls.length
      if (mayWatch) watchAgainMs = clock.now() + WATCH_AGAIN_MS
      refusals = this.#watched ? 0 : refusals + 1
      sincePoll = polled ? 0 : sincePoll + 1
      if (polled || clock.now() - startedMs >= BACKOFF_MAX_MS) failures = 0
      const doubled = Math.max(0, failures - (urls.length - 1))
      const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** doubled)
      // Until each URL has been asked for a watch, the next one is not kept waiting.
      const waitMs = polled && refusals >= urls.length ? POLL_MS : backoffMs
      if (!polled) failures += 1
      await sleep(clock, waitMs * (0.5 + random() / 2), signal)
    }
  }

  /** Watches a member to the end, or polls it. @returns Whether a poll was answered. */
  async #follow(url: string, mayWatch: boolean, signal: AbortSignal): Promise<boolean> {
    this.#watched = false
    if (mayWatch) {
      const error = await this.#try(() => this.#watch(`${url}/watch`, signal), signal)
      if (error !== undefined) this.#reader.fail?.(error)
      if (error === undefined || this.#watched || NO_USE_TO_POLL.has(error.code)) return false
    }
    const error = await this.#try(() => this.#poll(url, signal), signal)
    // After a watch that failed, that is what the reader has heard of.
    if (error !== undefined && !mayWatch) this.#reader.fail?.(error)
    return error === undefined && !signal.aborted
  }

  /** @returns What went wrong; nothing when it is over because `signal` aborted. */
  async #try(work: () => Promise<void>, signal: AbortSignal): Promise<RingmanError | undefined> {
    try {
      await work()
      return undefined
    } catch (error) {
      if (signal.aborted) return undefined
      if (isRingmanError(error)) return error
      throw error
    }
  }

  async #poll(url: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#members.jsonUnless(url, this.#etag, signal)
    if (answer === undefined) {
      this.#reader.confirm?.()
      return
    }
    await this.#take(answer.value, url, true, signal)
    this.#etag = answer.etag
  }

  /** Reads the events of one connection. It always throws: a watch has no end of its own. */
  async #watch(url: string, outer: AbortSignal): Promise<void> {
    const { clock, timeoutMs, silenceMs } = this.#members
    const deadline = new RequestDeadline(clock, outer)
    const { signal } = deadline
    const limit = (ms: number, what: string) => {
      deadline.set(ms, () => new RingmanError('TIMEOUT', `${url} ${what} for ${ms} ms`))
    }
    let newest: string | undefined
    /** Whether something whole came since the last piece, and whether that was a comment. */
    let alive = false
    let confirmed = false
    let tooLong = false
    const parser = createParser({
      maxBufferSize: RING_LIMIT,
      onEvent: ({ event, data }) => {
        alive = true
        if (event === 'ring') newest = data
      },
      onComment: () => {
        alive = true
        confirmed = true
      },
      onError: ({ type }) => {
        tooLong ||= type === 'max-buffer-size-exceeded'
      },
    })
    const decoder = new TextDecoder()
    try {
      const stream = await this.#members.events(url, signal)
      limit(timeoutMs, 'gave no ring')
      for await (const chunk of stream) {
        parser.feed(decoder.decode(chunk, { stream: true }))
        if (tooLong) throw notRingman(url, `an event is longer than ${RING_LIMIT} characters`)
        if (newest !== undefined) {
          const data = newest
          newest = undefined
          await this.#take(parseJson(data, url, 'an event'), url, !this.#watched, signal)
          this.#etag = undefined
          this.#watched = true
        } else if (confirmed && this.#watched) this.#reader.confirm?.()
        if (alive && this.#watched) limit(silenceMs, 'was silent')
        alive = false
        confirmed = false
      }
    } catch (error) {
      if (isRingmanError(error)) throw error
      throw deadline.problem ?? unreachable(url, error)
    } finally {
      deadline.end()
    }
    throw deadline.problem ?? new RingmanError('UNREACHABLE', `${url} ended the watch`)
  }

  async #take(value: unknown, url: string, first: boolean, signal: AbortSignal): Promise<void> {
    const { clock } = this.#members
    while (!this.#taken.tryTake(clock.now())) {
      await sleep(clock, this.#taken.waitMs(clock.now()), signal)
      signal.throwIfAborted()
    }
    const ring = readAnswer(ringAnswer, value, url)
    const { uid, version } = ring
    if (version !== undefined && this.#newest?.uid === uid && version < (this.#newest?.version ?? 0)) {
      throw new RingmanError('MEMBERS_DISAGREE', `${url} is behind: its ring is an older one`)
    }
    this.#reader.take(ring, first)
    if (version !== undefined) this.#newest = { uid, version }
  }
}

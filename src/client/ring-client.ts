import { systemClock, type Clock } from '../clock.ts'
import { isRingmanError, messageOf, RingmanError } from '../errors.ts'
import { Listeners } from '../listeners.ts'
import { silentLogger } from '../logger.ts'
import { HashRing } from '../ring/hash-ring.ts'
import { checkCount, checkKey } from '../ring/key-hash.ts'
import type { MovedStretches } from '../ring/moved.ts'
import type { RingNode } from '../ring/node.ts'
import { plan, type RingPlan, type RingPlanChange } from '../ring/plan.ts'
import { nodeView, ringAnswer, type RingAnswer } from './answers.ts'
import { Members, problemsOfTime, RING_LIMIT, unsure, type MemberOptions } from './members.ts'
import { Newest } from './newest.ts'
import { RingFeed } from './ring-feed.ts'

/** Rings in a row of members that are unsure, with no other between them, that are passed over at least. */
const PASSED_OVER_UNSURE = 2

export interface RingClientOptions extends MemberOptions {
  /**
   * Milliseconds after which a copy that no member has confirmed counts as stale. Members say something every 15 s, so
   * less than 45,000 is a stale copy in a well cluster. @default never
   */
  readonly staleAfterMs?: number
  /** Whether a stale copy still answers, or look-ups throw `RING_STALE`, which needs `staleAfterMs`. @default 'go-on' */
  readonly whenStale?: 'go-on' | 'throw'
  /** A file with the JSON of `GET /v1/ring`, which answers until a member has given its ring. */
  readonly ringFile?: string
  /** Hears of everything that goes wrong behind the look-ups: a lost member, a ring that was not taken. */
  readonly onProblem?: (error: RingmanError) => void
}

const NEVER_STALE = 'whenStale throw needs staleAfterMs: without it no copy is stale'

/** The options that are this client's alone; the compiler sees that none is missing. */
const OWN_OPTIONS = { staleAfterMs: true, whenStale: true, ringFile: true, onProblem: true } satisfies Record<
  Exclude<keyof RingClientOptions, keyof MemberOptions>,
  true
>

/** What a reader of {@link RingClient.changes} gets. */
export class RingClientChange {
  readonly ring: HashRing
  /** The ring that this reader got before; the empty one at first. Those between them were skipped. */
  readonly previous: HashRing
  #moved: MovedStretches | undefined

  /** Made by the client alone. */
  constructor(previous: HashRing, ring: HashRing) {
    this.previous = previous
    this.ring = ring
  }

  /** Which keys got another owner since the reader's last ring; found when it is first asked for. */
  get moved(): MovedStretches {
    return (this.#moved ??= this.previous.movedTo(this.ring))
  }
}

/**
 * Keeps a copy of the ring and answers from it, without a request. It follows one member by `/v1/ring/watch`, the next one
 * when that is lost, and polls where it may not watch. The copy is never given up because members cannot be reached.
 *
 * Look-ups throw `RING_UNKNOWN` before the first ring, `RING_STALE` if the caller wants it, and `RING_EMPTY`.
 */
export class RingClient implements AsyncDisposable {
  readonly #options: RingClientOptions
  readonly #members: Members
  readonly #rings = new Newest<HashRing>()
  readonly #problems = new Listeners<RingmanError>(silentLogger)
  readonly #over = new AbortController()
  /** A wait for staleness alone is no reason for the process to stay. */
  readonly #staleClock: Clock
  #running: Promise<void> | undefined
  #copy: HashRing | undefined
  /** What look-ups ask: the copy, unless it is stale and must not be used. */
  #answering: HashRing | undefined
  #confirmedAtMs = -Infinity
  #stale = false
  #stopStaleTimer = () => {}
  /** Digest of a ring that lacked most nodes of the copy, and waits for somebody to say the same. */
  #doubted: string | undefined
  /** Rings in a row whose members were unsure. */
  #unsure = 0
  /** What went wrong last, for those who still wait for a ring. */
  #lastProblem: RingmanError | undefined

  /** @throws {RingmanError} `CONFIG_INVALID`. It does nothing before {@link ready} or {@link changes} is called. */
  constructor(options: RingClientOptions = {}) {
    const { staleAfterMs, whenStale, onProblem } = options
    this.#options = options
    this.#members = new Members(options, {
      names: Object.keys(OWN_OPTIONS),
      problems: [
        ...(staleAfterMs === undefined ? [] : problemsOfTime('staleAfterMs', staleAfterMs)),
        ...(whenStale === undefined || whenStale === 'go-on' || whenStale === 'throw'
          ? []
          : [`whenStale is go-on or throw, got ${JSON.stringify(whenStale)}`]),
        ...(whenStale === 'throw' && staleAfterMs === undefined ? [NEVER_STALE] : []),
      ],
    })
    this.#staleClock = options.clock ?? systemClock
    if (onProblem !== undefined) this.#problems.add(onProblem)
  }

  /**
   * Begins to follow the ring, and resolves when there is a copy, be it from the file.
   *
   * @param signal - Ends the wait; the client goes on.
   * @throws {RingmanError} `RING_UNKNOWN` when `signal` aborts first, with its reason as `cause`, or the client is closed. The
   *   message says what went wrong last.
   */
  async ready(signal?: AbortSignal): Promise<void> {
    this.#start()
    if (this.#copy !== undefined) return
    for await (const _ of this.#rings.read(signal)) return
    throw this.#unknownRing(signal?.reason)
  }

  /**
   * The owner of a key, by the copy.
   *
   * @param key - Text, hashed as its UTF-8 bytes, or bytes; not empty.
   * @throws {RingmanError} `RING_UNKNOWN`, `RING_STALE`, `RING_EMPTY`, `KEY_EMPTY`, `KEY_INVALID`.
   */
  owner(key: string | Uint8Array): RingNode {
    const ring = this.#answering ?? this.#refuse()
    checkKey(key)
    return ring.ownerOf(key) ?? noNodes()
  }

  /**
   * The first `n` distinct owners of a key, or all nodes where there are fewer.
   *
   * @param n - An integer of at least 1.
   * @throws {RingmanError} As {@link owner}, and `N_OUT_OF_RANGE`.
   */
  owners(key: string | Uint8Array, n: number): RingNode[] {
    const ring = this.#answering ?? this.#refuse()
    checkKey(key)
    checkCount(n)
    const found = ring.ownersOf(key, n)
    return found.length > 0 ? found : noNodes()
  }

  /** The fraction of the circle that each node owns, by ring key. @throws {RingmanError} `RING_UNKNOWN`, `RING_STALE`. */
  shares(): ReadonlyMap<string, number> {
    return this.ring.shares()
  }

  /** What a change would move. @throws {RingmanError} `RING_UNKNOWN`, `RING_STALE`, `PLAN_INVALID`. */
  plan(change: RingPlanChange): RingPlan {
    return plan(this.ring, change)
  }

  /** The copy: for several look-ups by one ring. It is immutable. @throws {RingmanError} `RING_UNKNOWN`, `RING_STALE`. */
  get ring(): HashRing {
    return this.#answering ?? this.#refuse()
  }

  /** The digest of the copy, stale or not; undefined while there is none. */
  get digest(): string | undefined {
    return this.#copy?.digest
  }

  /**
   * Milliseconds since a member that is not unsure last said that the copy is its ring; of a copy from a file, its age.
   * Infinity without.
   */
  get ageMs(): number {
    return this.#members.clock.now() - this.#confirmedAtMs
  }

  /** Whether the copy is older than `staleAfterMs`; true while there is none. */
  get stale(): boolean {
    return this.#copy === undefined || this.#stale
  }

  /**
   * The ring now, and again after each change, as long as the client runs. A reader that is slow gets the newest ring, with
   * the one that it had before.
   *
   * @param signal - Ends it, without an error, also while it waits. The client goes on following the ring.
   */
  async *changes(signal?: AbortSignal): AsyncGenerator<RingClientChange, void, void> {
    this.#start()
    let previous = HashRing.empty
    for await (const ring of this.#rings.read(signal)) {
      yield new RingClientChange(previous, ring)
      previous = ring
    }
  }

  /** Ends the connection and all readers of changes. Look-ups go on with the copy that there is. */
  async close(): Promise<void> {
    this.#over.abort()
    this.#rings.end()
    await this.#running
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #start(): void {
    this.#running ??= this.#run().catch((error: Error) => {
      this.#problems.call(
        new RingmanError('INTERNAL', 'the client stopped following the ring', { cause: error }),
      )
      this.#rings.end(error)
    })
  }

  async #run(): Promise<void> {
    const { signal } = this.#over
    const { ringFile } = this.#options
    if (ringFile !== undefined) await this.#readFile(ringFile)
    const { urls, random } = this.#members
    const reader = {
      take: (ring: RingAnswer, first: boolean) => this.#take(ring, first),
      confirm: () => this.#confirm(this.#members.clock.now()),
      fail: (error: RingmanError) => this.#fail(error),
    }
    // Each client begins somewhere else, or all would watch one member.
    await new RingFeed(this.#members, reader, Math.floor(random() * urls.length)).run(signal)
  }

  /** @throws {RingmanError} Why the next member is asked: `RESPONSE_INVALID`, `MEMBERS_DISAGREE`, `UNSURE`. */
  #take(answer: RingAnswer, first: boolean): void {
    const before = this.#copy ?? HashRing.empty
    const ring = makeRing(before, answer)
    if (answer.unsure === true) {
      this.#unsure += 1
      if (this.#copy === undefined) this.#set(ring, this.#members.clock.now())
      // There is no better one to be had.
      else if (this.#unsure > Math.max(PASSED_OVER_UNSURE, this.#members.urls.length)) {
        this.#set(ring, this.#confirmedAtMs)
      }
      throw unsure()
    }
    this.#unsure = 0
    // A member that has just started, or is cut off, knows few others: another one is asked before it is believed.
    if (first && ring.size * 2 < before.size && ring.digest !== this.#doubted) {
      this.#doubted = ring.digest
      throw new RingmanError(
        'MEMBERS_DISAGREE',
        `a member knows ${ring.size} of ${before.size} nodes; another one is asked`,
      )
    }
    this.#doubted = undefined
    this.#set(ring, this.#members.clock.now())
  }

  async #readFile(path: string): Promise<void> {
    const { clock } = this.#members
    try {
      const { readSmallFile } = await import('../small-file.ts')
      const { text, mtimeMs } = await readSmallFile(path, RING_LIMIT)
      const answer = ringAnswer(JSON.parse(text), 'the ring')
      this.#set(makeRing(HashRing.empty, answer), clock.now() - Math.max(0, clock.wallNow() - mtimeMs))
    } catch (error) {
      const code =
        error instanceof SyntaxError || isRingmanError(error) ? 'RESPONSE_INVALID' : 'CONFIG_INVALID'
      const why = `${messageOf(error)}; allowed is a plain file with the JSON of GET /v1/ring`
      this.#fail(new RingmanError(code, `the ring file ${path} was not taken: ${why}`, { cause: error }))
    }
  }

  #set(ring: HashRing, atMs: number): void {
    const changed = ring !== this.#copy
    this.#copy = ring
    this.#confirm(atMs)
    if (changed) this.#rings.publish(ring)
  }

  #confirm(atMs: number): void {
    this.#confirmedAtMs = atMs
    this.#stale = false
    this.#answering = this.#copy
    this.#stopStaleTimer()
    this.#expireInTime()
  }

  #expireInTime(): void {
    const { staleAfterMs = Infinity, whenStale } = this.#options
    if (staleAfterMs === Infinity) return
    const leftMs = staleAfterMs - this.ageMs
    if (leftMs > 0) {
      // Timers may be a little early.
      this.#stopStaleTimer = this.#staleClock.after(Math.ceil(leftMs), () => this.#expireInTime())
      return
    }
    this.#stale = true
    if (whenStale === 'throw') this.#answering = undefined
  }

  #fail(error: RingmanError): void {
    this.#lastProblem = error
    this.#problems.call(error)
  }

  #unknownRing(cause?: unknown): RingmanError {
    if (this.#running === undefined) {
      return new RingmanError('RING_UNKNOWN', 'there is no ring yet: await ready() before the first look-up')
    }
    if (this.#over.signal.aborted) {
      return new RingmanError('RING_UNKNOWN', 'the client was closed before it had a ring', { cause })
    }
    const { urls } = this.#members
    const others = urls.length > 1 ? ` and ${urls.length - 1} more` : ''
    const last = this.#lastProblem === undefined ? '' : `; what went wrong last: ${this.#lastProblem.message}`
    return new RingmanError('RING_UNKNOWN', `no ring from ${urls[0]}${others} yet${last}`, { cause })
  }

  /** @throws {RingmanError} Why there is no ring to answer by. */
  #refuse(): never {
    if (this.#copy === undefined) throw this.#unknownRing()
    throw new RingmanError(
      'RING_STALE',
      `no member has confirmed the ring for ${Math.round(this.ageMs)} ms; ${this.#options.staleAfterMs} are allowed`,
    )
  }
}

/** The ring of an answer, made from the one before. @throws {RingmanError} `RESPONSE_INVALID`. */
function makeRing(before: HashRing, answer: RingAnswer): HashRing {
  let ring
  try {
    ring = before.with(answer.nodes.map((node) => nodeView(node, 'a node')))
  } catch (error) {
    throw isRingmanError(error)
      ? new RingmanError('RESPONSE_INVALID', error.message, { cause: error })
      : error
  }
  if (ring.digest === answer.digest) return ring
  throw new RingmanError('RESPONSE_INVALID', 'the digest of a ring is not that of its nodes')
}

function noNodes(): never {
  throw new RingmanError('RING_EMPTY', 'no nodes in ring')
}

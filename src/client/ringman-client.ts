import { isRingmanError, RingmanError, type ErrorCode } from '../errors.ts'
import { checkKey } from '../ring/key-hash.ts'
import { traceHeaders } from '../tracing.ts'
import {
  membersAnswer,
  ownerAnswer,
  ownersAnswer,
  planAnswer,
  ringAnswer,
  ringsAnswer,
  type MembersAnswer,
  type OwnerAnswer,
  type OwnersAnswer,
  type PlanAnswer,
  type RingAnswer,
  type RingsAnswer,
} from './answers.ts'
import { Members, readAnswer, type MemberOptions } from './members.ts'
import { Newest } from './newest.ts'
import { RingFeed } from './ring-feed.ts'
import type { Shape } from './shape.ts'

/** How members are reached; several URLs are tried in their order. */
export type RingmanClientOptions = MemberOptions

/** What a change of the ring would be. Lists of ring keys. */
export interface PlannedChange {
  readonly leave?: readonly string[]
  /** Each with `=WEIGHT` if it is not 1. */
  readonly join?: readonly string[]
  /** Each as `RINGKEY=WEIGHT`. */
  readonly weight?: readonly string[]
}

/** Codes after which another member may still have an answer. */
const TRY_NEXT: ReadonlySet<ErrorCode> = new Set([
  'INTERNAL',
  'MANAGER_NOT_RUNNING',
  'OVERLOADED',
  'RESPONSE_INVALID',
  'RING_EMPTY',
  'TIMEOUT',
  'TOO_MANY_WATCHERS',
  'UNREACHABLE',
])

/**
 * Asks members over HTTP. A member that cannot be reached, or that has no ring yet, is passed over; the one that
 * answered is asked first the next time.
 *
 * Every method rejects with a `RingmanError`: `UNREACHABLE`, `TIMEOUT`, `RESPONSE_INVALID`, or the code that the member
 * gave (`RING_EMPTY`, `KEY_TOO_LONG`, …). Where all members fail it is the last one's error.
 */
export class RingmanClient {
  readonly #members: Members
  /** Index of the member to ask first. */
  #preferred = 0

  /** @throws {RingmanError} `CONFIG_INVALID` without a URL, or with a text that is no URL. */
  constructor(options: RingmanClientOptions = {}) {
    this.#members = new Members(options, { traceHeaders })
  }

  /** The owner of a key. */
  async owner(key: string, signal?: AbortSignal): Promise<OwnerAnswer> {
    return this.#get('/owner', new URLSearchParams({ key: checked(key) }), ownerAnswer, signal)
  }

  /** The first `n` distinct owners of a key, or all nodes where there are fewer. */
  async owners(key: string, n: number, signal?: AbortSignal): Promise<OwnersAnswer> {
    const query = new URLSearchParams({ key: checked(key), n: String(n) })
    return this.#get('/owners', query, ownersAnswer, signal)
  }

  /** The ring as the asked member holds it. */
  ring(signal?: AbortSignal): Promise<RingAnswer> {
    return this.#get('/ring', undefined, ringAnswer, signal)
  }

  /** Every member that the asked one knows, dead ones among them. */
  members(signal?: AbortSignal): Promise<MembersAnswer> {
    return this.#get('/members', undefined, membersAnswer, signal)
  }

  /** The rings of HashRings that the asked member has, whatever `ring` is. */
  rings(signal?: AbortSignal): Promise<RingsAnswer> {
    return this.#get('/v1/rings', undefined, ringsAnswer, signal, '')
  }

  /** What would move if nodes left, joined or changed weight. */
  plan(change: PlannedChange, signal?: AbortSignal): Promise<PlanAnswer> {
    const query = new URLSearchParams()
    for (const [name, list] of Object.entries(change) as [string, readonly string[] | undefined][]) {
      if (list !== undefined && list.length > 0) query.set(name, list.join(','))
    }
    return this.#get('/plan', query, planAnswer, signal)
  }

  /**
   * The ring now, and again after each change, without an end: when a connection ends, fails or falls silent, the next
   * member is asked, after a wait that grows. What is the same as before is not repeated. A reader that is slow gets
   * fewer rings, never an old one after a new one of the same member.
   *
   * @param options - `signal` ends it, without an error. `onDisconnect` hears why a connection ended.
   */
  async *watch(
    options: { readonly signal?: AbortSignal; readonly onDisconnect?: (error: RingmanError) => void } = {},
  ): AsyncGenerator<RingAnswer, void, void> {
    const over = new AbortController()
    const signal = options.signal === undefined ? over.signal : AbortSignal.any([over.signal, options.signal])
    const newest = new Newest<RingAnswer>()
    const reader = {
      take: (ring: RingAnswer) => newest.publish(ring),
      ...(options.onDisconnect === undefined ? {} : { fail: options.onDisconnect }),
    }
    // It reads on while the caller is busy.
    const following = new RingFeed(this.#members, reader, this.#preferred).run(signal)
    following.then(
      () => newest.end(),
      (error: Error) => newest.end(error),
    )
    let last: string | undefined
    try {
      for await (const ring of newest.read(signal)) {
        const content = JSON.stringify([ring.digest, ring.nodes])
        if (content !== last) yield ring
        last = content
      }
    } finally {
      over.abort()
    }
  }

  async #get<T>(
    path: string,
    query: URLSearchParams | undefined,
    shape: Shape<T>,
    signal: AbortSignal | undefined,
    root = this.#members.root,
  ): Promise<T> {
    const suffix = query === undefined || query.size === 0 ? '' : `?${query.toString()}`
    const { urls } = this.#members
    const first = this.#preferred
    for (let attempt = 1; ; attempt++) {
      const at = (first + attempt - 1) % urls.length
      const url = `${urls[at] ?? ''}${root}${path}`
      try {
        const answer = await this.#members.json(url + suffix, {}, signal)
        const read = readAnswer(shape, answer, url)
        this.#preferred = at
        return read
      } catch (error) {
        const last = attempt === urls.length
        if (last || !isRingmanError(error) || !TRY_NEXT.has(error.code)) throw error
      }
    }
  }
}

/** A URL would silently carry another key in the place of one with half a surrogate pair; an empty key needs no request. */
function checked(key: string): string {
  if (typeof key !== 'string') throw new RingmanError('KEY_INVALID', `a key is text, got ${typeof key}`)
  checkKey(key)
  return key
}

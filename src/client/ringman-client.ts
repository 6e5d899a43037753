import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { z } from 'zod'
import { holdingClock, sleep, systemRandom, type Clock, type Random } from '../clock.ts'
import { isRingmanError, RingmanError } from '../errors.ts'
import {
  membersAnswer,
  ownerAnswer,
  ownersAnswer,
  planAnswer,
  ringAnswer,
  type MembersAnswer,
  type OwnerAnswer,
  type OwnersAnswer,
  type PlanAnswer,
  type RingAnswer,
} from './answers.ts'
import { notRingman, openEventStream, requestJson, type Fetch } from './transport.ts'

export interface RingmanClientOptions {
  /** Base URL of a member or of a Service of members, such as `http://10.0.0.1:8080`; any member answers for all. */
  readonly url?: string
  /** Several, in the order in which they are tried; together with `url` that one comes first. */
  readonly urls?: readonly string[]
  /** Milliseconds that one member may take to answer. @default 5000 */
  readonly timeoutMs?: number
  /** Milliseconds without a sign of life after which a watch goes to the next member. @default 45_000 */
  readonly silenceMs?: number
  /** @default the global `fetch` */
  readonly fetch?: Fetch
  readonly clock?: Clock
  readonly random?: Random
}

/** What a change of the ring would be. Lists of ring keys. */
export interface PlannedChange {
  readonly leave?: readonly string[]
  /** Each with `=WEIGHT` if it is not 1. */
  readonly join?: readonly string[]
  /** Each as `RINGKEY=WEIGHT`. */
  readonly weight?: readonly string[]
}

/** First and longest wait between attempts of a watch, in milliseconds. */
const BACKOFF_MIN_MS = 250
const BACKOFF_MAX_MS = 15_000

/** Longest event of a watch, in characters. */
const EVENT_LIMIT = 64 * 1024 * 1024

/** Codes after which another member may still have an answer. */
const TRY_NEXT: ReadonlySet<string> = new Set([
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
  readonly #urls: readonly string[]
  readonly #timeoutMs: number
  readonly #silenceMs: number
  readonly #fetch: Fetch
  readonly #clock: Clock
  readonly #random: Random
  /** Index of the member to ask first. */
  #preferred = 0

  /** @throws {RingmanError} `CONFIG_INVALID` without a URL. */
  constructor(options: RingmanClientOptions) {
    const { url, urls = [] } = options
    this.#urls = [...(url === undefined ? [] : [url]), ...urls].map((base) => base.replace(/\/+$/, ''))
    if (this.#urls.length === 0) {
      throw new RingmanError('CONFIG_INVALID', 'a client needs the URL of at least one member')
    }
    this.#timeoutMs = options.timeoutMs ?? 5000
    this.#silenceMs = options.silenceMs ?? 45_000
    this.#fetch = options.fetch ?? ((...request) => fetch(...request))
    this.#clock = options.clock ?? holdingClock
    this.#random = options.random ?? systemRandom
  }

  /** The owner of a key. */
  async owner(key: string, signal?: AbortSignal): Promise<OwnerAnswer> {
    return this.#get('/v1/owner', new URLSearchParams({ key: checked(key) }), ownerAnswer, signal)
  }

  /** The first `n` distinct owners of a key, or all nodes where there are fewer. */
  async owners(key: string, n: number, signal?: AbortSignal): Promise<OwnersAnswer> {
    return this.#get(
      '/v1/owners',
      new URLSearchParams({ key: checked(key), n: String(n) }),
      ownersAnswer,
      signal,
    )
  }

  /** The ring as the asked member holds it. */
  ring(signal?: AbortSignal): Promise<RingAnswer> {
    return this.#get('/v1/ring', undefined, ringAnswer, signal)
  }

  /** Every member that the asked one knows, dead ones among them. */
  members(signal?: AbortSignal): Promise<MembersAnswer> {
    return this.#get('/v1/members', undefined, membersAnswer, signal)
  }

  /** What would move if nodes left, joined or changed weight. */
  plan(change: PlannedChange, signal?: AbortSignal): Promise<PlanAnswer> {
    const query = new URLSearchParams()
    for (const [name, list] of Object.entries(change) as [string, readonly string[] | undefined][]) {
      if (list !== undefined && list.length > 0) query.set(name, list.join(','))
    }
    return this.#get('/v1/plan', query, planAnswer, signal)
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
    let newest: RingAnswer | undefined
    let wake = () => {}
    // It reads on while the caller is busy, and keeps the newest ring alone.
    const following = this.#keepFollowing(signal, options.onDisconnect, (ring) => {
      newest = ring
      wake()
    })
    let ended = false
    const end = () => {
      ended = true
      wake()
    }
    following.then(end, end)
    let last: string | undefined
    try {
      for (;;) {
        if (newest !== undefined) {
          const ring = newest
          newest = undefined
          const content = JSON.stringify([ring.digest, ring.nodes])
          if (content === last) continue
          last = content
          yield ring
        } else if (ended) {
          return await following
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
        if (signal.aborted) return undefined
      }
    } finally {
      over.abort()
    }
  }

  /** Follows one member after the other until the signal aborts; it rejects only with a fault of its own. */
  async #keepFollowing(
    signal: AbortSignal,
    onDisconnect: ((error: RingmanError) => void) | undefined,
    onRing: (ring: RingAnswer) => void,
  ): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      const url = `${this.#urls[this.#preferred] ?? ''}/v1/ring/watch`
      try {
        for await (const ring of this.#follow(url, signal)) {
          failures = 0
          onRing(ring)
        }
        throw new RingmanError('UNREACHABLE', `${url} ended the watch`)
      } catch (error) {
        if (signal.aborted) return
        if (!isRingmanError(error)) throw error
        onDisconnect?.(error)
      }
      this.#preferred = (this.#preferred + 1) % this.#urls.length
      const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures, 10))
      failures++
      await sleep(this.#clock, ceiling * (0.5 + this.#random() / 2), signal)
    }
  }

  async #get<T>(
    path: string,
    query: URLSearchParams | undefined,
    schema: z.ZodType<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const suffix = query === undefined || query.size === 0 ? '' : `?${query.toString()}`
    const first = this.#preferred
    for (let attempt = 1; ; attempt++) {
      const at = (first + attempt - 1) % this.#urls.length
      const url = `${this.#urls[at] ?? ''}${path}`
      try {
        const patience = { timeoutMs: this.#timeoutMs, signal }
        const answer = await requestJson(this.#fetch, url + suffix, { headers: JSON_HEADERS }, patience)
        const parsed = schema.safeParse(answer)
        if (!parsed.success) throw notRingman(url, 'its answer has another form', parsed.error)
        this.#preferred = at
        return parsed.data
      } catch (error) {
        const last = attempt === this.#urls.length
        if (last || !isRingmanError(error) || !TRY_NEXT.has(error.code)) throw error
      }
    }
  }

  /** The events of one connection. Returns when the member ends it; throws as the transport does. */
  async *#follow(url: string, outer: AbortSignal): AsyncGenerator<RingAnswer, void, void> {
    const silence = new AbortController()
    const signal = AbortSignal.any([outer, silence.signal])
    const stream = await openEventStream(this.#fetch, url, { timeoutMs: this.#timeoutMs, signal })
    const events: EventSourceMessage[] = []
    let broken = false
    const parser = createParser({
      maxBufferSize: EVENT_LIMIT,
      onEvent: (event) => {
        events.push(event)
      },
      onError: ({ type }) => {
        broken ||= type === 'max-buffer-size-exceeded'
      },
    })
    const decoder = new TextDecoder()
    const reader = stream.getReader()
    try {
      for (;;) {
        const cancel = this.#clock.after(this.#silenceMs, () => {
          silence.abort(new RingmanError('TIMEOUT', `${url} was silent for ${this.#silenceMs} ms`))
        })
        let chunk: { readonly done: boolean; readonly value?: Uint8Array | undefined }
        try {
          chunk = await reader.read()
        } catch (error) {
          throw signal.aborted
            ? signal.reason
            : new RingmanError('UNREACHABLE', `lost ${url}`, { cause: error })
        } finally {
          cancel()
        }
        if (chunk.done) return
        parser.feed(decoder.decode(chunk.value, { stream: true }))
        if (broken) throw notRingman(url, `an event is longer than ${EVENT_LIMIT} characters`)
        for (const { event, data } of events.splice(0)) {
          if (event === 'ring') yield parseRing(data, url)
        }
      }
    } finally {
      silence.abort()
      await reader.cancel().catch(() => {
        // The connection has failed already, and the caller knows why.
      })
    }
  }
}

/** A URL would silently carry another key than one with half a surrogate pair. */
function checked(key: string): string {
  if (key.isWellFormed()) return key
  throw new RingmanError('KEY_INVALID', 'the key has half a surrogate pair, which no UTF-8 can have')
}

const JSON_HEADERS = { accept: 'application/json' }

function parseRing(data: string, url: string): RingAnswer {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch (error) {
    throw notRingman(url, 'an event is not JSON', error)
  }
  const parsed = ringAnswer.safeParse(value)
  if (!parsed.success) throw notRingman(url, 'an event has another form', parsed.error)
  return parsed.data
}

import type { Clock } from '../clock.ts'
import { compatibleOwnerAnswer, ownerOf, type LookUpRing } from './compatible-owner.ts'
import type { HttpLimits } from './limits.ts'
import { readOnlyKey } from './parameters.ts'
import { firstValue } from './query.ts'
import { SMALL_ANSWER_BYTES, type Answer } from './respond.ts'
import { CurrentView } from './ring-view.ts'
import type { RouteMeter } from './route.ts'

/** Bytes that are looked at in one go. A head that does not end within them is not plain. Node takes fewer than a thousand fields: so many do not fit. */
const WINDOW_BYTES = 4000

const LINE_END = ' HTTP/1.1\r\n'

/**
 * The rest of the first line, behind an exact path and `?`: a query of what may stand in a URL. For this and the next one
 * `lastIndex` is set before each use.
 */
const QUERY_AND_LINE_END = new RegExp(String.raw`[!"$-~]*${LINE_END}`, 'y')

/**
 * Header fields that leave no doubt that the request ends with them and the connection stays as it is: exactly one Host, no
 * Connection but `keep-alive`, nothing about a body, and only what is printable in ASCII. Names are tokens, and each line
 * ends with CR and LF.
 */
const HEADER_FIELDS = (() => {
  const value = String.raw`[\t -~]*`
  const special = 'connection:|content-|expect:|host:|proxy-|te:|trailer:|transfer-|upgrade:'
  const others = String.raw`(?:(?!${special})[!#$%&'*+.^_\x60|~\w-]+:${value}\r\n|connection: ?keep-alive\r\n)*`
  return new RegExp(String.raw`${others}host:${value}\r\n${others}\r\n`, 'iy')
})()

/** The plain look-ups that some bytes began with. */
export interface FastAnswers {
  /** How many of the first bytes they had. */
  readonly bytes: number
  readonly count: number
  /** Their answers in order, in byte text. */
  readonly text: string
}

interface FastRoute {
  /** The first line up to the query. */
  readonly lineStart: string
  /** The answer as it is written, where it is a small 200. */
  readonly answer: (query: string) => string | undefined
  readonly meter: Pick<RouteMeter, 'answered'> | undefined
}

/**
 * The fast path: it answers plain look-ups of a single key from the bytes of a connection, without Node's HTTP parser and
 * Koa, which cost more than all else. A look-up is plain when it is a whole `GET` without a body that no two parsers could read
 * in two ways, and its answer is a small 200. All others are left to the routes, which answer a plain one with the same bytes.
 */
export class FastLookUps {
  readonly #clock: Clock
  readonly #routes: readonly FastRoute[]
  /** What each head ends with, behind the date. */
  readonly #keepAlive: string
  #dateSeconds = NaN
  /** What each head of this second ends with. */
  #headEnd = ''
  /** Answers of this second that are given again and again, as they are written: to put one together takes longer than all else. */
  #written = new WeakMap<Answer, string>()

  constructor(deps: {
    readonly ring: LookUpRing
    readonly clock: Clock
    readonly limits: HttpLimits
    /** Counts what is answered, by route. */
    readonly meter?: { forRoute(path: string): Pick<RouteMeter, 'answered'> }
  }) {
    const { ring, limits, meter } = deps
    this.#clock = deps.clock
    const view = new CurrentView(ring)
    const answers: Record<string, FastRoute['answer']> = {
      '/v1/owner': (query) => {
        const key = readOnlyKey(query, limits)
        const current = view.get()
        const answer = current.ownerAnswer(ring.manager.getNode(key), ring.nextOwnerOf(key))
        const { keepsAnswers, unsure } = current
        return keepsAnswers ? this.#writeAgain(answer, unsure) : this.#write(answer, unsure)
      },
      '/hashring/nodes/get': (query) => {
        const key = firstValue(query, 'key')
        if (key === undefined || key === '' || key.length > limits.maxKeyBytes) return undefined
        return this.#write(compatibleOwnerAnswer(ownerOf(ring, key), key), ring.unsure)
      },
    }
    this.#routes = Object.entries(answers).map(([path, answer]) => {
      return { lineStart: `GET ${path}?`, answer, meter: meter?.forRoute(path) }
    })
    const keepAliveSeconds = Math.floor(limits.keepAliveTimeoutMs / 1000)
    this.#keepAlive = `\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n\r\n`
  }

  /** Answers the plain look-ups that the first `length` bytes begin with, as many as fit the window; undefined when there is none. */
  answer(bytes: Buffer, length = bytes.length): FastAnswers | undefined {
    const requests = bytes.toString('latin1', 0, Math.min(length, WINDOW_BYTES))
    this.#takeTime()
    let at = 0
    let count = 0
    let text = ''
    while (at < requests.length) {
      const startedAtMs = this.#clock.now()
      const route = this.#routes.find(({ lineStart }) => requests.startsWith(lineStart, at))
      if (route === undefined) break
      const queryAt = at + route.lineStart.length
      QUERY_AND_LINE_END.lastIndex = queryAt
      if (!QUERY_AND_LINE_END.test(requests)) break
      HEADER_FIELDS.lastIndex = QUERY_AND_LINE_END.lastIndex
      if (!HEADER_FIELDS.test(requests)) break
      const answer = tryAnswer(route, requests.slice(queryAt, QUERY_AND_LINE_END.lastIndex - LINE_END.length))
      if (answer === undefined) break
      text += answer
      route.meter?.answered(startedAtMs)
      at = HEADER_FIELDS.lastIndex
      count++
    }
    return count === 0 ? undefined : { bytes: at, count, text }
  }

  #takeTime(): void {
    const seconds = Math.floor(this.#clock.wallNow() / 1000)
    if (seconds === this.#dateSeconds) return
    this.#dateSeconds = seconds
    this.#headEnd = `Date: ${new Date(seconds * 1000).toUTCString()}${this.#keepAlive}`
    this.#written = new WeakMap()
  }

  /** An answer as it is written; undefined for one that is not small. */
  #write({ headers, body }: Answer, unsure: boolean): string | undefined {
    if (body.length > SMALL_ANSWER_BYTES) return undefined
    let head = unsure ? 'HTTP/1.1 200 OK\r\nRingman-Unsure: true\r\n' : 'HTTP/1.1 200 OK\r\n'
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
    return head + this.#headEnd + body
  }

  /** The same for an answer that is another one when its ring, or whether that is unsure, changes. */
  #writeAgain(answer: Answer, unsure: boolean): string | undefined {
    let text = this.#written.get(answer)
    if (text === undefined) {
      text = this.#write(answer, unsure)
      if (text !== undefined) this.#written.set(answer, text)
    }
    return text
  }
}

function tryAnswer({ answer }: FastRoute, query: string): string | undefined {
  try {
    return answer(query)
  } catch {
    // Routes meet the same error, and answer it.
    return undefined
  }
}

import type { Clock } from '../clock.ts'
import { compatibleOwnerAnswer, ownerOf, type LookUpRing } from './compatible-owner.ts'
import type { HttpLimits } from './limits.ts'
import { readOnlyKey } from './parameters.ts'
import { firstValue } from './query.ts'
import { SMALL_ANSWER_BYTES, type Answer } from './respond.ts'
import { CurrentView } from './ring-view.ts'
import type { RouteMeter } from './route.ts'

/** Bytes that are looked at in one go. A head that does not end within them is not plain. */
const WINDOW_BYTES = 4096

/**
 * The first line of a plain look-up: an exact path, and a query of what may stand in a URL. For this and the next one
 * `lastIndex` is set before each use.
 */
const REQUEST_LINE = /GET (\/v1\/owner|\/hashring\/nodes\/get)\?([!"$-~]*) HTTP\/1\.1\r\n/y

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
  /** The answer, where it is a 200. */
  readonly answer: (query: string) => Answer | undefined
  readonly meter: Pick<RouteMeter, 'answered'> | undefined
}

/** Counts what is answered, by route. */
export interface FastMeter {
  forRoute(path: string): Pick<RouteMeter, 'answered'>
}

/**
 * The fast path: it answers plain look-ups of a single key from the bytes of a connection, without Node's HTTP parser and
 * Koa, which cost more than all else. A look-up is plain when it is a whole `GET` without a body that no two parsers could read
 * in two ways, and its answer is a small 200. All others are left to the routes, which answer a plain one with the same bytes.
 */
export class FastLookUps {
  readonly #ring: LookUpRing
  readonly #clock: Clock
  readonly #routes: Readonly<Record<string, FastRoute>>
  /** What follows the date in each head. */
  readonly #headEnd: string
  #dateSeconds = NaN
  #date = ''

  constructor({
    ring,
    clock,
    limits,
    meter,
  }: {
    readonly ring: LookUpRing
    readonly clock: Clock
    readonly limits: HttpLimits
    readonly meter?: FastMeter
  }) {
    this.#ring = ring
    this.#clock = clock
    const view = new CurrentView(ring)
    const answers: Record<string, FastRoute['answer']> = {
      '/v1/owner': (query) => {
        const key = readOnlyKey(query, limits)
        return view.get().ownerAnswer(ring.manager.getNode(key), ring.nextOwnerOf(key))
      },
      '/hashring/nodes/get': (query) => {
        const key = firstValue(query, 'key')
        if (key === undefined || key === '' || key.length > limits.maxKeyBytes) return undefined
        return compatibleOwnerAnswer(ownerOf(ring, key), key)
      },
    }
    this.#routes = Object.fromEntries(
      Object.entries(answers).map(([path, answer]) => [path, { answer, meter: meter?.forRoute(path) }]),
    )
    const keepAliveSeconds = Math.floor(limits.keepAliveTimeoutMs / 1000)
    this.#headEnd = `\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${keepAliveSeconds}\r\n\r\n`
  }

  /** Answers the plain look-ups that these bytes begin with, as many as fit the window; undefined when there is none. */
  answer(bytes: Buffer): FastAnswers | undefined {
    const requests = bytes.toString('latin1', 0, Math.min(bytes.length, WINDOW_BYTES))
    let at = 0
    let count = 0
    let text = ''
    while (at < requests.length) {
      const startedAtMs = this.#clock.now()
      REQUEST_LINE.lastIndex = at
      const [line, path = '', query = ''] = REQUEST_LINE.exec(requests) ?? []
      if (line === undefined) break
      HEADER_FIELDS.lastIndex = REQUEST_LINE.lastIndex
      if (!HEADER_FIELDS.test(requests)) break
      const route = this.#routes[path]
      const answer = route && tryAnswer(route, query)
      if (answer === undefined) break
      text += this.#write(answer)
      route?.meter?.answered(startedAtMs)
      at = HEADER_FIELDS.lastIndex
      count++
    }
    return count === 0 ? undefined : { bytes: at, count, text }
  }

  #write({ headers, body }: Answer): string {
    let head = this.#ring.unsure ? 'HTTP/1.1 200 OK\r\nRingman-Unsure: true\r\n' : 'HTTP/1.1 200 OK\r\n'
    for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`
    return `${head}Date: ${this.#dateNow()}${this.#headEnd}${body}`
  }

  #dateNow(): string {
    const seconds = Math.floor(this.#clock.wallNow() / 1000)
    if (seconds !== this.#dateSeconds) {
      this.#dateSeconds = seconds
      this.#date = new Date(seconds * 1000).toUTCString()
    }
    return this.#date
  }
}

function tryAnswer({ answer }: FastRoute, query: string): Answer | undefined {
  try {
    const found = answer(query)
    return found === undefined || found.body.length > SMALL_ANSWER_BYTES ? undefined : found
  } catch {
    // Routes meet the same error, and answer it.
    return undefined
  }
}

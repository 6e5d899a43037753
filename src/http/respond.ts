import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { problemOf } from './error-body.ts'

/**
 * An answer, ready to send. It is written past Koa's body handling, which would cost a look-up more than the ring
 * does; what a middleware around the routes wants to add to the headers it sets before it calls `next()`.
 */
export interface Answer {
  readonly status: number
  /** Names and values in turn, Content-Length among them. */
  readonly headers: string[]
  /** Byte text: each character is one byte. JSON of ours is ASCII, so that it is the same in any encoding. */
  readonly body: string
}

/** Makes an answer; its Content-Length is added to `headers`. */
export function makeAnswer(status: number, headers: readonly string[], body: string): Answer {
  return { status, headers: [...headers, 'Content-Length', String(body.length)], body }
}

const JSON_HEADERS = ['Content-Type', 'application/json', 'Cache-Control', 'no-store'] as const

/** A 200 with JSON in ASCII, which nobody may cache. */
export function jsonAnswer(body: string): Answer {
  return makeAnswer(200, JSON_HEADERS, body)
}

/** JSON with everything beyond ASCII as `\uXXXX`. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => String.raw`\u` + unit.charCodeAt(0).toString(16).padStart(4, '0'),
  )
}

/** Sends an answer. Node leaves the body out for HEAD, and keeps its Content-Length. */
export function send(ctx: Koa.Context, answer: Answer): void {
  ctx.respond = false
  const { res } = ctx
  res.writeHead(answer.status, answer.headers)
  res.end(answer.body, 'latin1')
}

/** How long the rest of a refused body is thrown away before the connection ends, in milliseconds. */
const LINGER_MS = 500

/**
 * Sends the answer to a request of which no more is wanted, and ends the connection. For a moment the rest of the
 * body is read and thrown away: ended at once, the connection would be reset, and the client would miss the answer.
 */
export function sendAndHangUp(ctx: Koa.Context, answer: Answer, clock: Clock): void {
  ctx.respond = false
  const { req, res } = ctx
  res.writeHead(answer.status, [...answer.headers, 'Connection', 'close'])
  if (req.complete || req.destroyed) {
    res.end(answer.body, 'latin1')
    return
  }
  res.write(answer.body, 'latin1')
  const finish = () => {
    cancel()
    req.off('end', finish)
    req.off('close', finish)
    res.end()
  }
  const cancel = clock.after(LINGER_MS, finish)
  req.on('end', finish)
  req.on('close', finish)
  req.resume()
}

/**
 * Answers with the problem that an error is, if there is still somebody to answer. A fault of our own is logged
 * here, and only here.
 *
 * @param headers - More headers, names and values in turn.
 */
export function sendProblem(
  ctx: Koa.Context,
  error: unknown,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  headers: readonly string[] = [],
): void {
  const { problem, retryAfterSeconds, internal } = problemOf(error)
  if (internal) logger.error({ event: 'request.failed', err: error, method: ctx.method }, 'Failed a request')
  ctx.respond = false
  ctx['_problemCode'] = problem.code
  const { res } = ctx
  if (res.headersSent || res.destroyed) {
    // Part of another answer is out: a cut connection tells the client that it is not whole.
    res.destroy()
    return
  }
  const answer = makeAnswer(
    problem.status,
    [
      'Content-Type',
      'application/problem+json',
      'Cache-Control',
      'no-store',
      ...(retryAfterSeconds === undefined ? [] : ['Retry-After', String(retryAfterSeconds)]),
      ...headers,
    ],
    asciiJson(problem),
  )
  if (problem.code === 'BODY_TOO_LARGE' || problem.code === 'OVERLOADED') sendAndHangUp(ctx, answer, clock)
  else send(ctx, answer)
}

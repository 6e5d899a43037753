import type { ServerResponse } from 'node:http'
import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { unitEscape } from '../printable.ts'
import type { ConnectionLedger, PortName } from './connection-ledger.ts'
import { problemOf } from './error-body.ts'
import type { HeldBytes } from './held-bytes.ts'

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

const NOT_KEPT = ['Cache-Control', 'no-store', 'X-Content-Type-Options', 'nosniff']
const JSON_HEADERS = ['Content-Type', 'application/json', ...NOT_KEPT]

/** A 200 with JSON in ASCII, which nobody may cache. */
export function jsonAnswer(body: string): Answer {
  return makeAnswer(200, JSON_HEADERS, body)
}

/** JSON with everything beyond ASCII as `\uXXXX`. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, unitEscape)
}

/** How long the rest of a refused body is thrown away before the connection ends, in milliseconds. */
const LINGER_MS = 500

/** Largest answer that is written at once, and sent whatever else waits: the system takes it from whoever reads. */
export const SMALL_ANSWER_BYTES = 4096

/** Bytes of a large answer that are written at once. A reader must take one such piece within `slowReaderMs`. */
const PIECE_BYTES = 32 * 1024

/** Sends answers, within the bounds of the ledger. */
export class Responder {
  readonly ledger: ConnectionLedger
  /** What waits for readers. */
  readonly answers: HeldBytes
  readonly #port: PortName
  readonly #clock: Clock
  readonly #logger: Logger

  /** @param deps - `port` is whose share of the ledger the answers take. */
  constructor(deps: {
    readonly ledger: ConnectionLedger
    readonly port: PortName
    readonly clock: Clock
    readonly logger: Logger
  }) {
    this.ledger = deps.ledger
    this.#port = deps.port
    this.answers = deps.ledger.answers(deps.port)
    this.#clock = deps.clock
    this.#logger = deps.logger
  }

  /** Sends an answer, or `OVERLOADED` when too many bytes wait for readers. Node leaves the body out for HEAD. */
  send(ctx: Koa.Context, answer: Answer): void {
    ctx.respond = false
    const { req, res } = ctx
    const { socket } = req
    const sizeBytes = req.method === 'HEAD' ? 0 : answer.body.length
    const large = sizeBytes > SMALL_ANSWER_BYTES
    this.ledger.intake.chargeAnswer(answer.body.length)
    if (large && !this.answers.hasRoom(sizeBytes)) {
      this.sendProblem(
        ctx,
        new RingmanError('OVERLOADED', 'too many answers wait for slow readers; try again in a moment'),
      )
      return
    }
    res.writeHead(answer.status, answer.headers)
    if (!large) {
      res.end(answer.body, 'latin1')
      // Nearly always the system has taken it by now. Else the reader is behind.
      if (res.writableLength === 0) return
      this.answers.hasRoom(sizeBytes)
    }
    if (socket.destroyed) return
    res.on('close', this.ledger.holdAnswer(this.#port, socket, sizeBytes))
    if (large) pour(res, answer.body, () => res.end())
  }

  /**
   * Sends the answer to a request of which no more is wanted, and ends the connection. For a moment the rest of the
   * body is read and thrown away: ended at once, the connection would be reset, and the client would miss the answer.
   */
  sendAndHangUp(ctx: Koa.Context, answer: Answer): void {
    ctx.respond = false
    const { req, res } = ctx
    res.on('close', this.ledger.watchReader(req.socket))
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
    const cancel = this.#clock.after(LINGER_MS, finish)
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
  sendProblem(ctx: Koa.Context, error: unknown, headers: readonly string[] = []): void {
    const { problem, retryAfterSeconds } = problemOf(error)
    if (problem.code === 'INTERNAL') {
      this.#logger.error({ event: 'request.failed', err: error, method: ctx.method }, 'Failed a request')
    }
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
        ...NOT_KEPT,
        ...(problem.code === 'UNAUTHORIZED' ? ['WWW-Authenticate', 'Bearer realm="ringman"'] : []),
        ...(retryAfterSeconds === undefined ? [] : ['Retry-After', String(retryAfterSeconds)]),
        ...headers,
      ],
      asciiJson(problem),
    )
    // The rest of a refused body is not wanted.
    if (problem.code === 'BODY_TOO_LARGE' || problem.code === 'OVERLOADED') this.sendAndHangUp(ctx, answer)
    else this.send(ctx, answer)
  }
}

/** Writes bytes, or byte text, in pieces, each when the system has taken the one before, and calls `done` after the last. */
export function pour(res: ServerResponse, bytes: string | Buffer, done: () => void): void {
  let at = 0
  const next = (error?: Error | null) => {
    // A connection that is lost says so itself.
    if ((error !== undefined && error !== null) || res.writableEnded || res.destroyed) return
    if (at >= bytes.length) {
      done()
      return
    }
    const piece =
      typeof bytes === 'string' ? bytes.slice(at, at + PIECE_BYTES) : bytes.subarray(at, at + PIECE_BYTES)
    at += piece.length
    res.write(piece, 'latin1', next)
  }
  next()
}

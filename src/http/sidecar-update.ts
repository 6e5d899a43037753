import { isRingmanError, type ErrorCode } from '../errors.ts'
import type { ActingGuard } from './acting-guard.ts'
import { checkJsonSize, readBody } from './body.ts'
import { goJsonString, toByteText } from './go-json.ts'
import { makeAnswer, type Answer, type Responder } from './respond.ts'
import type { Route } from './route.ts'

/** What takes the updates: a Sidecar source, as far as this handler needs it. */
export interface SidecarUpdates {
  /**
   * @returns `stopped` when it takes none any more; anything else means that it was understood.
   * @throws {RingmanError} `BODY_INVALID`; nothing was changed then.
   */
  update(body: Uint8Array): string
}

export interface SidecarUpdateOptions {
  readonly updates: SidecarUpdates
  /** Says who may send them. The token may come as bearer token, or as the password of basic authentication. */
  readonly guard: ActingGuard
  /** Largest body in bytes. @default 8 MiB */
  readonly limitBytes?: number
}

const MIB = 1024 * 1024
/** A state of 10,000 instances has some 300,000 values. */
const JSON_LIMITS = { maxValues: 500_000, maxDepth: 32 }
const JSON_HEADERS = ['Content-Type', 'application/json'] as const
const UNDERSTOOD = makeAnswer(200, JSON_HEADERS, '')

/**
 * `/hashring/update`: where Sidecar posts its state at each change. The method does not matter, nor does the
 * content type, as in the Go library. What is understood is answered with 200 and no body, also when it changes
 * nothing; what is not, with Sidecar's error shape, `{"errors":["…"]}`: 500 for bad JSON and for JSON that is no
 * update, 401 without the token, 403 for what a web page sends or for a host that is not allowed, 413 above the limit,
 * 503 while too much is held and after the stop. How long a body may take is the server's to limit.
 */
export function sidecarUpdate(options: SidecarUpdateOptions): (responder: Responder) => Route {
  const { updates, guard, limitBytes = 8 * MIB } = options
  return (responder) => ({
    path: '/hashring/update',
    any: async (ctx) => {
      try {
        guard.checkOrigin(ctx.req, false)
        // Sidecar knows no headers, but Go sends the user and password of a listener's URL this way.
        guard.checkToken(ctx.req, true)
        const body = await readBody(ctx.req, responder.ledger, limitBytes)
        checkJsonSize(body, JSON_LIMITS)
        return updates.update(body) === 'stopped' ? errorAnswer(503, 'the ring is shutting down') : UNDERSTOOD
      } catch (error) {
        const refusal = tryRefusal(error)
        if (refusal === undefined) throw error
        // A connection of which nothing is left to read can go on.
        if (ctx.req.complete) return refusal
        return responder.sendAndHangUp(ctx, refusal)
      }
    },
  })
}

const STATUSES: Readonly<Partial<Record<ErrorCode, number>>> = {
  BODY_INVALID: 500,
  BODY_TOO_LARGE: 413,
  FORBIDDEN: 403,
  OVERLOADED: 503,
  UNAUTHORIZED: 401,
}

const MORE_HEADERS: Readonly<Partial<Record<number, readonly string[]>>> = {
  401: ['WWW-Authenticate', 'Bearer realm="ringman"'],
  503: ['Retry-After', '1'],
}

function tryRefusal(error: unknown): Answer | undefined {
  if (!isRingmanError(error)) return undefined
  const status = STATUSES[error.code]
  if (status === undefined) return undefined
  return errorAnswer(status, error.message, MORE_HEADERS[status] ?? [])
}

function errorAnswer(status: number, message: string, headers: readonly string[] = []): Answer {
  return makeAnswer(
    status,
    [...JSON_HEADERS, ...headers],
    `{"errors":[${goJsonString(toByteText(message))}]}`,
  )
}

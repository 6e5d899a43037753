import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Context, Middleware } from 'koa'
import type { Clock } from '../clock.ts'
import { isRingmanError } from '../errors.ts'
import { GrowingBuffer } from '../growing-buffer.ts'
import { goJsonString, toByteText } from './go-json.ts'

/** What takes the updates: a Sidecar source, as far as this handler needs it. */
export interface SidecarUpdates {
  /**
   * @returns `stopped` when it takes none any more; anything else means that it was understood.
   * @throws {RingmanError} `BODY_INVALID` or `BODY_TOO_LARGE`; nothing was changed then.
   */
  update(body: Uint8Array): string
}

export interface SidecarUpdateOptions {
  readonly updates: SidecarUpdates
  readonly clock: Clock
  /** Required of the sender when given: as bearer token, or as the password of basic authentication. */
  readonly token?: string
  /** Largest body in bytes. @default 8 MiB */
  readonly limitBytes?: number
  /** Bytes of unfinished bodies that may be held at once, over all requests. @default 32 MiB */
  readonly heldLimitBytes?: number
  /** Milliseconds within which a body must have come. @default 10_000 */
  readonly timeoutMs?: number
}

const MIB = 1024 * 1024

/**
 * `/hashring/update`: where Sidecar posts its state at each change. The method does not matter, nor does the
 * content type, as in the Go library. What is understood is answered with 200 and no body, also when it changes
 * nothing; what is not, with Sidecar's error shape, `{"errors":["…"]}`: 500 for bad JSON, 401 without the token,
 * 413 above the limit, 408 when the body does not come, 503 while too much is held or after the stop.
 */
export function sidecarUpdate(options: SidecarUpdateOptions): Middleware {
  const { updates, clock, token } = options
  const limitBytes = options.limitBytes ?? 8 * MIB
  const heldLimitBytes = options.heldLimitBytes ?? 32 * MIB
  const timeoutMs = options.timeoutMs ?? 10_000
  const tokenDigest = token === undefined ? undefined : digestOf(token)
  const held = { bytes: 0 }

  return async (ctx) => {
    if (tokenDigest !== undefined && !isAuthorized(ctx.get('authorization'), tokenDigest)) {
      ctx.set('WWW-Authenticate', 'Bearer realm="ringman"')
      refuse(ctx, 401, 'the token is missing or wrong')
      return
    }
    if (Number(ctx.get('content-length')) > limitBytes) {
      refuse(ctx, 413, `an update may have ${limitBytes} bytes at most`)
      return
    }
    const body = await readBody(ctx.req, { limitBytes, heldLimitBytes, timeoutMs, held, clock })
    switch (body) {
      case 'too large':
        refuse(ctx, 413, `an update may have ${limitBytes} bytes at most`)
        return
      case 'too much held':
        ctx.set('Retry-After', '1')
        refuse(ctx, 503, 'too many updates at once')
        return
      case 'too slow':
        refuse(ctx, 408, `the update did not come within ${timeoutMs} ms`)
        return
      case 'aborted':
        // Nobody is there to be answered.
        refuse(ctx, 400, 'the update was cut off')
        return
    }
    try {
      if (updates.update(body) === 'stopped') {
        refuse(ctx, 503, 'the ring is shutting down')
        return
      }
    } catch (error) {
      if (!isRingmanError(error) || (error.code !== 'BODY_INVALID' && error.code !== 'BODY_TOO_LARGE'))
        throw error
      answer(ctx, error.code === 'BODY_INVALID' ? 500 : 413, error.message)
      return
    }
    ctx.status = 200
    ctx.set('Content-Type', 'application/json')
    ctx.body = ''
  }
}

/** Whether an `Authorization` header holds the token; it takes the same time however much of it is right. */
function isAuthorized(header: string, tokenDigest: Buffer): boolean {
  const [, scheme = '', credentials = ''] = /^(\S+) +(\S+) *$/.exec(header) ?? []
  let given: string
  if (scheme.toLowerCase() === 'bearer') {
    given = credentials
  } else if (scheme.toLowerCase() === 'basic') {
    // Sidecar knows no headers, but Go sends the user and password of a listener's URL this way.
    const pair = Buffer.from(credentials, 'base64').toString('utf8')
    given = pair.slice(pair.indexOf(':') + 1)
  } else {
    return false
  }
  return timingSafeEqual(digestOf(given), tokenDigest)
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/** Refuses without having read the body to its end: the connection is of no further use. */
function refuse(ctx: Context, status: number, message: string): void {
  ctx.set('Connection', 'close')
  answer(ctx, status, message)
}

function answer(ctx: Context, status: number, message: string): void {
  ctx.status = status
  ctx.set('Content-Type', 'application/json')
  ctx.body = Buffer.from(`{"errors":[${goJsonString(toByteText(message))}]}`, 'latin1')
}

interface ReadOptions {
  readonly limitBytes: number
  readonly heldLimitBytes: number
  readonly timeoutMs: number
  /** Bytes held by all requests that share it. */
  readonly held: { bytes: number }
  readonly clock: Clock
}

/** Reads a whole body, or says why not; what it held is given back when it returns. */
function readBody(
  request: IncomingMessage,
  { limitBytes, heldLimitBytes, timeoutMs, held, clock }: ReadOptions,
): Promise<Uint8Array | 'too large' | 'too much held' | 'too slow' | 'aborted'> {
  return new Promise((resolve) => {
    const body = new GrowingBuffer()
    const finish = (result: Uint8Array | 'too large' | 'too much held' | 'too slow' | 'aborted') => {
      cancel()
      held.bytes -= typeof result === 'string' ? body.sizeBytes : result.length
      request.off('data', onData)
      request.off('end', onEnd)
      request.off('close', onClose)
      // An error that comes after this one has nobody else to hear it.
      request.on('error', () => {})
      request.off('error', onClose)
      if (typeof result === 'string') request.pause()
      resolve(result)
    }
    const onData = (part: Buffer) => {
      if (body.sizeBytes + part.length > limitBytes) {
        finish('too large')
      } else if (held.bytes + part.length > heldLimitBytes) {
        finish('too much held')
      } else {
        held.bytes += part.length
        body.append(part)
      }
    }
    const onEnd = () => {
      finish(body.take())
    }
    const onClose = () => {
      finish('aborted')
    }
    const cancel = clock.after(timeoutMs, () => {
      finish('too slow')
    })
    request.on('data', onData)
    request.on('end', onEnd)
    request.on('close', onClose)
    request.on('error', onClose)
    if (request.destroyed) finish('aborted')
  })
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline, Readable, type Duplex } from 'node:stream'
import type { Agent } from 'undici'
import type { Clock } from '../clock.ts'
import { isRingmanError, RingmanError } from '../errors.ts'
import { http } from '../node-http.ts'
import { RequestDeadline } from '../request-deadline.ts'
import { formatHostPort } from '../addresses.ts'
import { passHeaders } from './forward-headers.ts'

/** Where a request goes on to. */
export interface Target {
  readonly host: string
  readonly port: number
  /** What errors call it; by default its host and port. */
  readonly called?: string
  /** Headers that go in the place of those that came; names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds until the answer must have begun. */
  readonly timeoutMs: number
  /** Aborts when nobody answers there any more: with it ends the wait for an answer, and a connection that was joined. */
  readonly gone?: AbortSignal | undefined
}

const NOTHING = Buffer.alloc(0)

/** How far a request came that was not answered. */
export class RelayFailure extends Error {
  override readonly name = 'RelayFailure'
  /** Whether nothing of its body was read, so that it can be sent elsewhere. */
  readonly isUntouched: boolean
  readonly error: RingmanError

  constructor(error: RingmanError, isUntouched: boolean) {
    super(error.message)
    this.error = error
    this.isUntouched = isUntouched
  }
}

/**
 * Sends a request on and streams the answer back, both with back-pressure. When the client goes away the request is
 * aborted; when the other side breaks off the answer, so is the client's.
 *
 * @returns The status, once the answer was written or broken off.
 * @throws {RelayFailure} While nothing of an answer was written.
 */
export async function relayRequest(
  { agent, clock }: { readonly agent: Agent; readonly clock: Clock },
  req: IncomingMessage,
  res: ServerResponse,
  target: Target,
): Promise<number> {
  const client = new AbortController()
  const onClose = () => client.abort()
  res.once('close', onClose)
  const deadline = new RequestDeadline(clock, client.signal)
  deadline.set(target.timeoutMs, () => timeoutAt(target))
  const onGone = () => deadline.set(0, () => goneAt(target))
  target.gone?.addEventListener('abort', onGone)
  const body = lazyBody(req)
  try {
    const answer = await agent.request({
      origin: `http://${formatHostPort({ address: target.host, port: target.port })}`,
      path: req.url ?? '/',
      method: req.method ?? 'GET',
      headers: passHeaders(req.rawHeaders, target.headers),
      body: body?.stream ?? null,
      signal: deadline.signal,
      headersTimeout: 0,
      bodyTimeout: 0,
      responseHeaders: 'raw',
    })
    deadline.lift()
    target.gone?.removeEventListener('abort', onGone)
    const raw = answer.headers as unknown as readonly (string | Buffer)[]
    res.writeHead(answer.statusCode, passHeaders(raw.map((text) => text.toString('latin1'))))
    // An event stream may say nothing for long: its head goes at once. (`flushHeaders` would write it as UTF-8.)
    res.write(NOTHING)
    await new Promise<void>((resolve) => pipeline(answer.body, res, () => resolve()))
    return answer.statusCode
  } catch (error) {
    throw new RelayFailure(deadline.problem ?? unreachable(target, error), body?.begun !== true)
  } finally {
    res.off('close', onClose)
    target.gone?.removeEventListener('abort', onGone)
    deadline.end()
  }
}

/**
 * Sends an upgrade (a WebSocket) on and joins the two connections. An answer to anything but an upgrade is passed back, and
 * the connection ends with it.
 *
 * @returns The status.
 * @throws {RelayFailure} While nothing of an answer was written.
 */
export function relayUpgrade(
  clock: Clock,
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  target: Target,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const { host, port, headers, timeoutMs, gone } = target
    const upstream = http.request({
      host,
      port,
      path: req.url ?? '/',
      method: req.method ?? 'GET',
      headers: passHeaders(req.rawHeaders, headers, ['connection', 'upgrade']),
      agent: false,
    })
    const onClose = () => upstream.destroy()
    socket.once('close', onClose)
    const onGone = () => upstream.destroy(goneAt(target))
    gone?.addEventListener('abort', onGone)
    const cancel = clock.after(timeoutMs, () => upstream.destroy(timeoutAt(target)))
    const begin = (answer: IncomingMessage, kept: readonly string[], own: Target['headers']) => {
      cancel()
      socket.off('close', onClose)
      gone?.removeEventListener('abort', onGone)
      const fields = passHeaders(answer.rawHeaders, own, kept)
      const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`]
      for (let at = 0; at < fields.length; at += 2) lines.push(`${fields[at]}: ${fields[at + 1]}`)
      socket.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
      resolve(answer.statusCode ?? 0)
    }
    upstream.once('upgrade', (answer, other, firstBytes) => {
      begin(answer, ['connection', 'upgrade'], {})
      if (firstBytes.length > 0) socket.write(firstBytes)
      if (head.length > 0) other.write(head)
      join(socket, other)
      gone?.addEventListener('abort', () => socket.destroy())
    })
    upstream.once('response', (answer) => {
      begin(answer, [], { connection: 'close' })
      pipeline(answer, socket, () => {})
    })
    upstream.once('error', (error) => {
      cancel()
      socket.off('close', onClose)
      reject(new RelayFailure(isRingmanError(error) ? error : unreachable(target, error), true))
    })
    upstream.end()
  })
}

/** Each side's bytes go to the other, and each side's end ends the other. */
export function join(one: Duplex, other: Duplex): void {
  const end = (error?: Error | null) => {
    if (error) for (const side of [one, other]) side.destroy()
  }
  pipeline(one, other, end)
  pipeline(other, one, end)
}

/**
 * A body that is only read once somebody is connected who takes it; undefined where there is none. `begun` says whether some
 * of it was read.
 */
function lazyBody(req: IncomingMessage): { readonly begun: boolean; readonly stream: Readable } | undefined {
  const { 'content-length': length, 'transfer-encoding': encoding } = req.headers
  if (encoding === undefined && (length === undefined || length === '0')) return undefined
  async function* read(): AsyncGenerator<Buffer> {
    body.begun = true
    // A connection that breaks must not take the client's with it, who is to be told.
    for await (const chunk of req.iterator({ destroyOnReturn: false })) yield chunk as Buffer
  }
  const body = { begun: false, stream: Readable.from(read(), { objectMode: false }) }
  return body
}

function timeoutAt(target: Target): RingmanError {
  const within = `within ${Math.round(target.timeoutMs)} ms`
  return new RingmanError('TIMEOUT', `${nameOf(target)} did not begin to answer ${within}`)
}

function goneAt(target: Target): RingmanError {
  return new RingmanError('UNREACHABLE', `${nameOf(target)} was declared dead before it answered`)
}

function unreachable(target: Target, cause: unknown): RingmanError {
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown }
  const reason = typeof code === 'string' ? code : String(message)
  return new RingmanError('UNREACHABLE', `${nameOf(target)} did not answer: ${reason}`, { cause })
}

function nameOf({ called, host, port }: Target): string {
  return called ?? `${host}:${port}`
}

import { isIP, type BlockList } from 'node:net'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Tracer } from '@opentelemetry/api'
import type Koa from 'koa'
import type { Agent } from 'undici'
import { sleep, type Clock } from '../clock.ts'
import { isRingmanError, RingmanError } from '../errors.ts'
import { problemOf } from '../http/error-body.ts'
import type { HttpLimits } from '../http/limits.ts'
import type { Handlers } from '../http/server.ts'
import { checkKey } from '../http/parameters.ts'
import { splitTarget } from '../http/query.ts'
import { findKey, type KeyPlace } from '../http/route-key.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import type { Logger } from '../logger.ts'
import { http } from '../node-http.ts'
import type { RingNode } from '../ring/node.ts'
import { blockListOf, formatHostPort } from '../addresses.ts'
import type { ForwardOutcome } from '../service/ownership.ts'
import type { RingService } from '../service/ring-service.ts'
import { traceHeaders, withSpan } from '../tracing.ts'
import { decide, MAX_HOPS, type DisagreementRules, type ForwardedBy } from './decision.ts'
import { forwardHeaders, readForwardedBy, readTimeLeft } from './forward-headers.ts'
import { RelayFailure, relayRequest, relayUpgrade, type Target } from './relay.ts'

/** Where somebody listens. */
export type Place = Pick<Target, 'host' | 'port'>

/** How requests are forwarded. */
export interface ForwarderSettings extends DisagreementRules {
  /** Where the key of a request is; a request without one is served here. */
  readonly key: readonly KeyPlace[] | ((request: IncomingMessage) => string | undefined)
  /** Networks that owners may be in, as CIDR; undefined where every address of the ring may be trusted. */
  readonly networks: readonly string[] | undefined
  /** Milliseconds until the owner must have begun to answer. */
  readonly timeoutMs: number
  /** Milliseconds that a member waits for its ring to change. */
  readonly waitMs: number
}

export interface ForwarderDeps {
  readonly ring: RingService
  readonly clock: Clock
  readonly logger: Logger
  readonly tracer: Tracer
  readonly limits: HttpLimits
}

/** Methods whose requests may be sent to another member when the first one cannot be reached (RFC 9110, 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PUT', 'TRACE'])

/** For a connection to another member, in milliseconds. */
const CONNECT_TIMEOUT_MS = 2000

/** The owner and those that come after it: so many are tried. */
const TRIED_OWNERS = 3

/** Between two lines of one kind, in milliseconds. */
const WARNING_MS = 60_000

/** What can be done with one request that is not served here. */
interface WayOut {
  /** Sends it on: resolves with the status once the answer was written, rejects with a {@link RelayFailure}. */
  readonly relay: (target: Target) => Promise<number>
  readonly refuse: (error: RingmanError) => void
  /** Whether nobody waits for an answer any more. */
  readonly isGone: () => boolean
  /** The client's connection, where it is joined with the owner's for as long as both are open. */
  readonly joined?: Duplex | undefined
}

/** As what a request is served here; undefined for one without a key, which no outcome counts. */
type ServedAs = 'served' | 'stood-in' | undefined

interface Way extends WayOut {
  readonly serve: (as: ServedAs) => void
}

/** A request that was sent to an owner, and has no answer yet; or a connection that is joined with the owner's. */
interface SentTo extends Pick<WayOut, 'joined'> {
  readonly owner: RingNode
  readonly gone: AbortController
}

/**
 * Serves a request here when this member owns its key, and sends it to the owner else. `docs/ownership.md` says how members
 * that disagree treat each other's requests.
 */
export class Forwarder {
  readonly #deps: ForwarderDeps
  readonly #settings: ForwarderSettings
  readonly #allowed: BlockList | undefined
  readonly #warnings: LimitedWarnings
  readonly #sent = new Set<SentTo>()
  readonly #unsubscribe: () => void
  #agent: Promise<Agent> | undefined

  constructor(settings: ForwarderSettings, deps: ForwarderDeps) {
    this.#settings = settings
    this.#deps = deps
    this.#allowed = settings.networks && blockListOf(settings.networks)
    this.#warnings = new LimitedWarnings(deps.clock, deps.logger, WARNING_MS)
    this.#unsubscribe = deps.ring.manager.subscribe(() => this.#giveUpTheDead())
  }

  /** A listener for the `request` events of a `node:http` server. What `serve` throws or rejects with is its own. */
  readonly handler =
    (serve: (req: IncomingMessage, res: ServerResponse) => void) =>
    (req: IncomingMessage, res: ServerResponse): void => {
      void this.#handle(req, {
        ...this.#wayOf(req, res),
        serve: (as) => {
          this.#count(as)
          serve(req, res)
        },
      })
    }

  /** A listener for the `upgrade` events of a `node:http` server: WebSockets. */
  readonly upgrade =
    (serve: (req: IncomingMessage, socket: Duplex, head: Buffer) => void) =>
    (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const onError = () => socket.destroy()
      socket.on('error', onError)
      void this.#handle(req, {
        ...this.#wayOfUpgrade(req, socket, head),
        serve: (as) => {
          this.#count(as)
          socket.off('error', onError)
          serve(req, socket, head)
        },
      })
    }

  /** Koa middleware: what is served here goes on to `next`. It has to come before whatever reads bodies. */
  readonly middleware: Koa.Middleware = async (ctx, next) => {
    let served: Promise<unknown> | undefined
    const way = this.#wayOf(ctx.req, ctx.res)
    await this.#handle(ctx.req, {
      ...way,
      serve: (as) => {
        this.#count(as)
        ctx.respond = true
        served = next()
      },
      relay: (target) => {
        ctx.respond = false
        return way.relay(target)
      },
      refuse: (error) => {
        ctx.respond = false
        way.refuse(error)
      },
    })
    await served
  }

  /**
   * What a server does that stands in front of a program: requests for keys of this member go to the program, all others to
   * the members that own their keys.
   */
  before(program: Place): Handlers {
    const handle = (req: IncomingMessage, way: WayOut) => {
      void this.#handle(req, { ...way, serve: (as) => void this.#pass(program, req, way, as) })
    }
    return {
      request: (req, res) => handle(req, this.#wayOf(req, res)),
      upgrade: (req, socket, head) => {
        socket.on('error', () => socket.destroy())
        handle(req, this.#wayOfUpgrade(req, socket, head))
      },
    }
  }

  #wayOf(req: IncomingMessage, res: ServerResponse): WayOut {
    return {
      relay: async (target) =>
        relayRequest({ agent: await this.#getAgent(), clock: this.#deps.clock }, req, res, target),
      refuse: (error) => refuseRequest(res, error),
      isGone: () => res.destroyed,
    }
  }

  #wayOfUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): WayOut {
    return {
      relay: (target) => relayUpgrade(this.#deps.clock, req, socket, head, target),
      refuse: (error) => refuseUpgrade(socket, error),
      isGone: () => socket.destroyed,
      joined: socket,
    }
  }

  /** Sends a request of this member to the program that answers it, and counts what came of it. */
  async #pass(to: Place, req: IncomingMessage, way: WayOut, as: ServedAs): Promise<void> {
    const { timeoutMs } = this.#settings
    const upstream = formatHostPort({ address: to.host, port: to.port })
    try {
      await way.relay({
        ...to,
        called: `the program behind this proxy, at ${upstream},`,
        headers: { ...xForwardedFor(req), ...traceHeaders() },
        timeoutMs: Math.max(1, Math.min(timeoutMs, readTimeLeft(req.headers) ?? timeoutMs)),
      })
      this.#count(as)
    } catch (error) {
      const isFailure = error instanceof RelayFailure
      // A client that goes away ends the request, and says nothing of the program.
      const isProgram = isFailure && !way.isGone()
      if (isProgram) {
        this.#warnings.warn(
          { event: 'program.failed', upstream, error: error.message },
          'The program behind this proxy does not answer: see --upstream',
        )
      }
      this.#count(as && (isProgram ? 'program-failed' : isFailure ? as : 'failed'))
      this.#refuse(isFailure ? error.error : error, way)
    }
  }

  #count(outcome: ForwardOutcome | undefined): void {
    if (outcome !== undefined) this.#deps.ring.ownership.forwards[outcome]++
  }

  #refuse(error: unknown, way: WayOut): void {
    const isOurs = isRingmanError(error)
    if (!isOurs) {
      this.#deps.logger.error({ event: 'forward.failed', err: error }, 'Failed to forward a request')
    }
    if (way.isGone()) return
    way.refuse(isOurs ? error : new RingmanError('INTERNAL', 'the request could not be forwarded'))
  }

  /** Closes the connections to other members once their requests are done; those that were upgraded end at once. */
  async close(): Promise<void> {
    this.#unsubscribe()
    for (const { joined, gone } of this.#sent) if (joined !== undefined) gone.abort()
    await (await this.#agent)?.close()
  }

  async #handle(req: IncomingMessage, way: Way): Promise<void> {
    let as: ServedAs | 'elsewhere'
    try {
      const key = this.#keyOf(req)
      const by = readForwardedBy(req.headers)
      as =
        key === undefined
          ? undefined
          : ((await this.#mayServe(key, by)) ?? (await this.#forward(key, by, req, way)) ?? 'elsewhere')
    } catch (error) {
      const isRefusal = isRingmanError(error) && error.code !== 'UNREACHABLE' && error.code !== 'TIMEOUT'
      this.#count(isRefusal ? 'refused' : 'failed')
      this.#refuse(error, way)
      return
    }
    if (as !== 'elsewhere') way.serve(as)
  }

  #keyOf(req: IncomingMessage): string | undefined {
    const { key: place } = this.#settings
    const key =
      typeof place === 'function'
        ? place(req)
        : findKey(place, { rawHeaders: req.rawHeaders, ...splitTarget(req.url ?? '') })
    return key === undefined || key === '' ? undefined : checkKey(key, this.#deps.limits)
  }

  /**
   * Whether a request is for this member: now, or once its ring has changed.
   *
   * @returns As what it is served here; undefined when it is to be sent on.
   * @throws {RingmanError} `MISDIRECTED` when it is for nobody to be found out.
   */
  async #mayServe(key: string, by: ForwardedBy): Promise<ServedAs> {
    const { ring, clock } = this.#deps
    const { ownership } = ring
    if (by.hops === 0) return ring.owns(key) ? 'served' : undefined
    const endMs = clock.now() + this.#settings.waitMs
    for (;;) {
      const { verdict, mine } = ownership.check(key, by.digests)
      const decision = decide({ verdict, mine }, by, this.#settings)
      if (decision === 'serve') return mine ? 'served' : 'stood-in'
      if (decision === 'forward') return undefined
      const leftMs = endMs - clock.now()
      // A ring that came back cannot be put in order, and may be the newest one: nothing more changes then.
      if (leftMs <= 0 && verdict === 'unknown' && by.hops < MAX_HOPS) return undefined
      if (decision === 'refuse' || leftMs <= 0) {
        const why = 'this member does not own the key, and cannot find out who does'
        throw new RingmanError('MISDIRECTED', why, { detail: { verdict } })
      }
      await this.#ringChange(leftMs)
    }
  }

  /** Resolves with the next change of the ring, or after some time. */
  async #ringChange(withinMs: number): Promise<void> {
    const changed = new AbortController()
    const unsubscribe = this.#deps.ring.manager.subscribe(() => changed.abort())
    await sleep(this.#deps.clock, withinMs, changed.signal)
    unsubscribe()
  }

  /**
   * Sends a request to the owner; an idempotent one to those that come after it, when the ones before cannot be reached.
   *
   * @returns As what it is to be served here; undefined once another member has answered.
   */
  async #forward(key: string, by: ForwardedBy, req: IncomingMessage, way: Way): Promise<ServedAs> {
    const { ring, clock, tracer } = this.#deps
    const { timeoutMs } = this.#settings
    const endMs = clock.now() + Math.min(timeoutMs, readTimeLeft(req.headers) ?? timeoutMs)
    const isIdempotent = IDEMPOTENT.has(req.method ?? '')
    const tried = new Set<string>()
    let last: unknown
    while (tried.size < (isIdempotent ? TRIED_OWNERS : 1)) {
      // The ring may have changed during the last attempt.
      const owners = ring.manager.getNodes(key, TRIED_OWNERS)
      const place = owners.findIndex(({ ringKey }) => !tried.has(ringKey))
      const owner = owners[place]
      if (owner === undefined) break
      tried.add(owner.ringKey)
      if (owner.ringKey === ring.ownRingKey) return place === 0 ? 'served' : 'stood-in'
      const timeLeftMs = endMs - clock.now()
      if (timeLeftMs <= 0) {
        last ??= new RingmanError('TIMEOUT', 'the time for the answer was over before the owner was asked')
        break
      }
      const { digests } = ring.manager
      const own = forwardHeaders({ hops: by.hops + 1, digests, standIn: place > 0, timeLeftMs })
      const target = { ...this.#addressOf(owner), timeoutMs: timeLeftMs }
      const attributes = { 'ringman.owner': owner.ringKey, 'ringman.forward.attempt': tried.size - 1 }
      const sent = { owner, gone: new AbortController(), joined: way.joined }
      if (isIdempotent) this.#sent.add(sent)
      try {
        await withSpan(tracer, 'ring.forward', { attributes }, async (span) => {
          const headers = { ...own, ...xForwardedFor(req), ...traceHeaders() }
          const status = await way.relay({ ...target, headers, gone: sent.gone.signal })
          span.setAttribute('http.response.status_code', status)
        })
        this.#count('forwarded')
        if (way.joined === undefined || way.isGone()) this.#sent.delete(sent)
        else way.joined.once('close', () => this.#sent.delete(sent))
        return undefined
      } catch (error) {
        this.#sent.delete(sent)
        if (!(error instanceof RelayFailure)) throw error
        last = error.error
        if (!error.isUntouched || way.isGone()) break
      }
    }
    throw last
  }

  /** Waits no longer for members that are dead: one that stands still keeps its connections, and answers nothing. */
  #giveUpTheDead(): void {
    if (this.#sent.size === 0) return
    const { members } = this.#deps.ring.source
    const dead = new Set(members.flatMap(({ name, state }) => (state === 'dead' ? [name] : [])))
    for (const { owner, gone } of this.#sent) {
      if (owner.name !== undefined && dead.has(owner.name)) gone.abort()
    }
  }

  /** @throws {RingmanError} `UNREACHABLE` for an address that requests must not be sent to. */
  #addressOf({ ringKey, address, port }: RingNode): Place {
    if (address === undefined || port === undefined) {
      throw new RingmanError('UNREACHABLE', `the owner ${ringKey} has no address`)
    }
    const family = isIP(address)
    const allowed =
      this.#allowed === undefined ||
      (family !== 0 && this.#allowed.check(address, family === 6 ? 'ipv6' : 'ipv4'))
    if (!allowed) {
      this.#warnings.warn(
        { event: 'forward.forbidden', node: ringKey, address },
        'Sent no request to an owner outside the allowed networks: see networks (--forward-networks)',
      )
      throw new RingmanError('UNREACHABLE', `the owner ${ringKey} is not in one of the allowed networks`)
    }
    return { host: address, port }
  }

  #getAgent(): Promise<Agent> {
    this.#agent ??= import('undici').then(
      ({ Agent: UndiciAgent }) => new UndiciAgent({ connect: { timeout: CONNECT_TIMEOUT_MS } }),
    )
    return this.#agent
  }
}

/** Who the client is, for the member that serves it. */
function xForwardedFor(req: IncomingMessage): Record<string, string> {
  const { remoteAddress } = req.socket
  const before = req.headers['x-forwarded-for']
  if (remoteAddress === undefined) return {}
  return { 'x-forwarded-for': before === undefined ? remoteAddress : `${String(before)}, ${remoteAddress}` }
}

function refuseRequest(res: ServerResponse, error: RingmanError): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const { problem, retryAfterSeconds } = problemOf(error)
  // What is left of a body is not read.
  res.writeHead(problem.status, {
    'content-type': 'application/problem+json',
    connection: 'close',
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  })
  res.end(JSON.stringify(problem))
}

function refuseUpgrade(socket: Duplex, error: RingmanError): void {
  const { problem } = problemOf(error)
  const body = JSON.stringify(problem)
  socket.end(
    `HTTP/1.1 ${problem.status} ${http.STATUS_CODES[problem.status] ?? ''}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}

import { createHash } from 'node:crypto'
import type Koa from 'koa'
import { RingmanError } from '../errors.ts'
import type { NamedRing, NamedRings, NamedRingSummary } from '../service/named-rings.ts'
import { readParameters, shorten } from './parameters.ts'
import { asciiJson, type Responder } from './respond.ts'
import { taggedAnswer } from './ring-view.ts'
import { RouteTable, type FoundRoute, type RequestMeter, type Route } from './route.ts'

/** Where the rings are that are known by name; below it are the routes of each, as they are under `/v1` for the own ring. */
const ROOT = '/v1/rings'

/** What stands for one ring's path in metrics and traces. */
const TEMPLATE = `${ROOT}/{namespace}/{name}`

/** Finds the routes of rings that are known by name, and lists these rings. */
export class NamedRingRoutes {
  readonly #rings: NamedRings
  readonly #responder: Responder
  readonly #makeRoutes: (ring: NamedRing) => readonly Route[]
  readonly #meter: RequestMeter | undefined
  /** Made for each ring when somebody asks for it. */
  readonly #tables = new WeakMap<NamedRing, RouteTable>()
  readonly #meters = new Map<string, ReturnType<RequestMeter['forRoute']>>()

  /** @param deps - `makeRoutes` makes the routes of a ring with the paths that they have for the own ring. */
  constructor(deps: {
    readonly rings: NamedRings
    readonly responder: Responder
    readonly makeRoutes: (ring: NamedRing) => readonly Route[]
    readonly meter: RequestMeter | undefined
  }) {
    this.#rings = deps.rings
    this.#responder = deps.responder
    this.#makeRoutes = deps.makeRoutes
    this.#meter = deps.meter
  }

  /** `/v1/rings`. */
  get list(): Route {
    return {
      path: ROOT,
      GET: (ctx, query) => {
        readParameters(query, [])
        this.#send(ctx, this.listJson())
      },
    }
  }

  /** What `/v1/rings` answers. */
  listJson(): string {
    return `{"rings":[${this.#rings.list().map(summaryJson).join(',')}]}`
  }

  /** The route of a path below `/v1/rings/`; undefined for every other path, and where a ring has no such route. */
  find(path: string): FoundRoute | undefined {
    if (!path.startsWith(`${ROOT}/`)) return undefined
    const [namespace = '', name = '', ...rest] = path.slice(ROOT.length + 1).split('/')
    if (namespace === '' || name === '') return undefined
    const full = `${namespace}/${name}`
    if (rest.length === 0) return this.#found(TEMPLATE, { path: TEMPLATE, GET: this.#getOne(full) })
    let ring
    try {
      ring = this.#rings.get(full)
    } catch (error) {
      const refuse = () => {
        throw error instanceof RingmanError && error.code === 'RING_NOT_FOUND'
          ? new RingmanError('RING_NOT_FOUND', `there is no HashRing ${shorten(full)}`)
          : error
      }
      return this.#found(TEMPLATE, { path: TEMPLATE, any: refuse })
    }
    let table = this.#tables.get(ring)
    if (table === undefined) {
      table = new RouteTable(this.#makeRoutes(ring), () => undefined)
      this.#tables.set(ring, table)
    }
    const found = table.find(`/v1/${rest.join('/')}`)
    return (
      found && this.#found(`${TEMPLATE}${found.route.path.slice('/v1'.length)}`, found.route, found.below)
    )
  }

  #found(template: string, route: Route, below = ''): FoundRoute {
    let meter = this.#meters.get(template)
    if (meter === undefined && this.#meter !== undefined) {
      meter = this.#meter.forRoute(template)
      this.#meters.set(template, meter)
    }
    return { template, route, below, meter }
  }

  #getOne(full: string): (ctx: Koa.Context, query: string) => void {
    return (ctx, query) => {
      readParameters(query, [])
      const summary = this.#rings.list().find(({ name }) => name === full)
      if (summary === undefined) {
        throw new RingmanError('RING_NOT_FOUND', `there is no HashRing ${shorten(full)}`)
      }
      this.#send(ctx, summaryJson(summary))
    }
  }

  #send(ctx: Koa.Context, body: string): void {
    const etag = `W/"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`
    this.#responder.send(
      ctx,
      taggedAnswer(ctx.req, etag, () => body),
    )
  }
}

function summaryJson({ name, accepted, reason, ring }: NamedRingSummary): string {
  if (ring === undefined) return asciiJson({ name, accepted, reason: reason ?? null, ring: null })
  const { service, version, fingerprint, braked } = ring
  const { snapshot } = service.manager
  const { condition, ok, message } = service.health()
  return asciiJson({
    name,
    accepted,
    reason: reason ?? null,
    ring: {
      digest: snapshot.ring.digest,
      fingerprint,
      version: version ?? null,
      epoch: snapshot.epoch,
      nodes: snapshot.ring.size,
      ringKey: service.ringKeyMode,
      held: service.source.members.filter(({ state }) => state === 'suspect').length,
      braked,
      condition,
      ok,
      message,
    },
  })
}

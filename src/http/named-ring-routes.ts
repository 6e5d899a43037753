import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { RingmanError } from '../errors.ts'
import { getOrMake } from '../get-or-make.ts'
import type { NamedRing, NamedRings, NamedRingSummary } from '../service/named-rings.ts'
import { shorten } from './parameters.ts'
import { asciiJson, type Answer } from './respond.ts'
import { taggedAnswer } from './ring-view.ts'
import { plainRoute, RouteTable, type FoundRoute, type Route } from './route.ts'

/** Where the rings are that are known by name; below it are the routes of each, as they are under `/v1` for the own ring. */
const ROOT = '/v1/rings'

/** What stands for one ring's path in metrics and traces. */
const TEMPLATE = `${ROOT}/{namespace}/{name}`

/** Finds the routes of rings that are known by name, and lists these rings. */
export class NamedRingRoutes {
  readonly #rings: NamedRings
  readonly #makeRoutes: (ring: NamedRing) => readonly Route[]
  /** Made for each ring when somebody asks for it. */
  readonly #tables = new WeakMap<NamedRing, RouteTable>()

  /** @param makeRoutes - Makes the routes of a ring with the paths that they have for the own ring. */
  constructor(rings: NamedRings, makeRoutes: (ring: NamedRing) => readonly Route[]) {
    this.#rings = rings
    this.#makeRoutes = makeRoutes
  }

  /** `/v1/rings`. */
  get list(): Route {
    return plainRoute(ROOT, ({ req }) => tagged(req, this.listJson()))
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
    if (rest.length === 0) return { template: TEMPLATE, route: this.#oneRing(full), below: '' }
    let ring
    try {
      ring = this.#rings.get(full)
    } catch (error) {
      const refuse = () => {
        throw error instanceof RingmanError && error.code === 'RING_NOT_FOUND'
          ? new RingmanError('RING_NOT_FOUND', `there is no HashRing ${shorten(full)}`)
          : error
      }
      return { template: TEMPLATE, route: { path: TEMPLATE, any: refuse }, below: '' }
    }
    const table = getOrMake(this.#tables, ring, () => new RouteTable(this.#makeRoutes(ring)))
    const found = table.find(`/v1/${rest.join('/')}`)
    return found && { ...found, template: `${TEMPLATE}${found.template.slice('/v1'.length)}` }
  }

  #oneRing(full: string): Route {
    return plainRoute(TEMPLATE, ({ req }) => {
      const summary = this.#rings.list().find(({ name }) => name === full)
      if (summary === undefined) {
        throw new RingmanError('RING_NOT_FOUND', `there is no HashRing ${shorten(full)}`)
      }
      return tagged(req, summaryJson(summary))
    })
  }
}

function tagged(request: IncomingMessage, body: string): Answer {
  const etag = `W/"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`
  return taggedAnswer(request, etag, () => body)
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

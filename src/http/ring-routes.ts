import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import { compareRingKeys } from '../ring/node.ts'
import { plan } from '../ring/plan.ts'
import type { RingService } from '../service/ring-service.ts'
import { TokenBucket } from '../token-bucket.ts'
import type { HttpLimits } from './limits.ts'
import { memberAnswer } from './member-answer.ts'
import { readParameters } from './parameters.ts'
import { parsePlanQuery } from './plan-query.ts'
import { asciiJson, jsonAnswer, makeAnswer, type Answer, type Responder } from './respond.ts'
import { matchesEtag, type CurrentView } from './ring-view.ts'
import type { RingWatch } from './ring-watch.ts'
import type { Route } from './route.ts'

/** Nodes that plans may go over in a second, and at once; a plan of 1,000 nodes takes up to 0.1 s. */
const PLANNED_NODES = { burst: 4000, perSecond: 2000 }

/** Plans of so few nodes cost too little to be counted. */
const SMALL_PLAN_NODES = 50

/** `/v1/ring`, `/v1/ring/watch`, `/v1/members` and `/v1/plan`: the ring as a whole. */
export function ringRoutes(deps: {
  readonly ring: RingService
  readonly view: CurrentView
  readonly watch: RingWatch
  readonly responder: Responder
  readonly clock: Clock
  readonly limits: HttpLimits
}): Route[] {
  const { ring, view, watch, responder, clock, limits } = deps

  const planned = new TokenBucket(PLANNED_NODES)
  const takeCredit = (nodes: number) => {
    // A plan of a ring beyond the bound waits for all of it.
    const cost = nodes <= SMALL_PLAN_NODES ? 0 : Math.min(nodes, PLANNED_NODES.burst)
    if (!planned.tryTake(clock.now(), cost)) {
      throw new RingmanError('OVERLOADED', 'a ring of this size answers only a few plans in a second')
    }
  }

  const runningView = () => {
    if (ring.manager.running) return view.get()
    throw new RingmanError('MANAGER_NOT_RUNNING', 'the ring manager is not running')
  }

  const getRing = (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    const current = runningView()
    const caching = ['ETag', current.etag, 'Cache-Control', 'no-cache']
    responder.send(
      ctx,
      matchesEtag(ctx.req.headers['if-none-match'], current.etag)
        ? notModified(caching)
        : makeAnswer(
            200,
            ['Content-Type', 'application/json', 'X-Content-Type-Options', 'nosniff', ...caching],
            current.ringJson(clock.now()),
          ),
    )
  }

  const watchRing = (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    watch.open(ctx)
  }

  const getMembers = (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    const { source, ringKeyMode: mode } = ring
    const { snapshot, state } = view.get()
    const members = source.members.map((member) =>
      asciiJson(memberAnswer(member, { snapshot, mode, selfName: source.selfName })),
    )
    const { condition, ok, message } = ring.health()
    const health = asciiJson({ kind: source.kind, condition, ok, message })
    responder.send(ctx, jsonAnswer(`{"members":[${members.join(',')}],"source":${health},${state}}`))
  }

  const getPlan = (ctx: Koa.Context, query: string) => {
    const change = parsePlanQuery(query, limits)
    const { snapshot, state } = runningView()
    const { leave, join, reweight } = change
    takeCredit(snapshot.ring.size + leave.length + join.length + reweight.length)
    const { sharesBefore, sharesAfter, ...rest } = plan(snapshot.ring, change)
    const ringKeys = [...new Set([...sharesBefore.keys(), ...sharesAfter.keys()])].sort(compareRingKeys)
    const shares = ringKeys.map((ringKey) => ({
      ringKey,
      before: sharesBefore.get(ringKey) ?? 0,
      after: sharesAfter.get(ringKey) ?? 0,
    }))
    responder.send(ctx, jsonAnswer(`${asciiJson({ ...rest, shares }).slice(0, -1)},${state}}`))
  }

  return [
    { path: '/v1/ring', GET: getRing },
    { path: '/v1/ring/watch', GET: watchRing },
    { path: '/v1/members', GET: getMembers },
    { path: '/v1/plan', GET: getPlan },
  ]
}

/** A 304, which has no body and no Content-Length. */
function notModified(caching: readonly string[]): Answer {
  return { status: 304, headers: [...caching], body: '' }
}

import type Koa from 'koa'
import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import { isWeight, WEIGHT_LIMIT } from '../membership/member.ts'
import { compareRingKeys, type RingNode } from '../ring/node.ts'
import type { HashRing } from '../ring/hash-ring.ts'
import { planInSteps, type RingMove, type RingPlanChange } from '../ring/plan.ts'
import { finish, type Steps } from '../ring/steps.ts'
import { TokenBucket } from '../token-bucket.ts'
import type { HttpLimits } from './limits.ts'
import { readParameters, shorten } from './parameters.ts'
import { asciiJson, jsonAnswer, makeAnswer, type Answer, type Responder } from './respond.ts'
import type { RingAnswers } from './ring-answers.ts'
import { matchesEtag } from './ring-view.ts'
import type { RingWatch } from './ring-watch.ts'
import type { Route } from './route.ts'

/** Nodes that plans may go over in a second, and at once; a plan of 1,000 nodes takes up to 0.1 s, in turns. */
const PLANNED_NODES = { burst: 4000, perSecond: 2000 }

/** Plans of so few nodes cost too little to be counted. */
const SMALL_PLAN_NODES = 50

/** The answer repeats ring keys many times. No member's is nearly so long. */
const MAX_ENTRY_LENGTH = 600

const LISTS = ['leave', 'join', 'weight']

/** `/v1/ring`, `/v1/ring/watch`, `/v1/members`, `/v1/changes`, `/v1/agreement` and `/v1/plan`: the ring as a whole. */
export function ringRoutes(deps: {
  readonly answers: RingAnswers
  readonly watch: RingWatch
  readonly responder: Responder
  readonly clock: Clock
  readonly limits: HttpLimits
}): Route[] {
  const { answers, watch, responder, clock, limits } = deps

  const planned = new TokenBucket(PLANNED_NODES)
  const takeCredit = (nodes: number) => {
    // A plan of a ring beyond the bound waits for all of it.
    const cost = nodes <= SMALL_PLAN_NODES ? 0 : Math.min(nodes, PLANNED_NODES.burst)
    if (!planned.tryTake(clock.now(), cost)) {
      throw new RingmanError('OVERLOADED', 'a ring of this size answers only a few plans in a second')
    }
  }

  const getRing = (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    const { etag } = answers.runningView()
    const caching = ['ETag', etag, 'Cache-Control', 'no-cache']
    responder.send(
      ctx,
      matchesEtag(ctx.req.headers['if-none-match'], etag)
        ? notModified(caching)
        : makeAnswer(
            200,
            ['Content-Type', 'application/json', 'X-Content-Type-Options', 'nosniff', ...caching],
            answers.ring(),
          ),
    )
  }

  const watchRing = (ctx: Koa.Context, query: string) => {
    const node = readParameters(query, ['node']).get('node')
    if (node !== undefined && (node === '' || node.length > MAX_ENTRY_LENGTH)) {
      throw new RingmanError(
        'PARAMETER_INVALID',
        `the parameter node must be a ring key or a member's name of 1 to ${MAX_ENTRY_LENGTH} characters`,
      )
    }
    watch.open(ctx, node)
  }

  const getMembers = (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    responder.send(ctx, jsonAnswer(answers.members()))
  }

  const getChanges = (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    responder.send(ctx, jsonAnswer(answers.changes()))
  }

  const getAgreement = async (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    responder.send(ctx, jsonAnswer(await answers.agreement()))
  }

  const getPlan = (ctx: Koa.Context, query: string) => {
    const change = parsePlanQuery(query, limits)
    const { snapshot, state } = answers.runningView()
    const { leave, join, reweight } = change
    const nodes = snapshot.ring.size + leave.length + join.length + reweight.length
    takeCredit(nodes)
    const answer = planAnswer(snapshot.ring, change, state)
    if (nodes > SMALL_PLAN_NODES) return sendInTurns(ctx, answer)
    responder.send(ctx, finish(answer))
    return undefined
  }

  /** One step in each turn of the event loop, and one answer at a time. */
  const sendInTurns = async (ctx: Koa.Context, steps: Steps<Answer>) => {
    const { turns } = responder.ledger
    await turns.begin()
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) {
      // Nobody is left to answer.
      if (ctx.req.socket.destroyed) return
      await turns.goOn()
    }
    responder.send(ctx, step.value)
  }

  return [
    { path: '/v1/ring', GET: getRing },
    { path: '/v1/ring/watch', GET: watchRing },
    { path: '/v1/members', GET: getMembers },
    { path: '/v1/changes', GET: getChanges },
    { path: '/v1/agreement', GET: getAgreement },
    { path: '/v1/plan', GET: getPlan },
  ]
}

/** What `/v1/plan` answers; `state` is what stands in each answer of this ring. */
function* planAnswer(ring: HashRing, change: RingPlanChange, state: string): Steps<Answer> {
  const { sharesBefore, sharesAfter, moves, maxMeanBefore, maxMeanAfter, ...rest } = yield* planInSteps(
    ring,
    change,
  )
  const ringKeys = [...new Set([...sharesBefore.keys(), ...sharesAfter.keys()])].sort(compareRingKeys)
  const shares = ringKeys.map((ringKey) => ({
    ringKey,
    before: sharesBefore.get(ringKey) ?? 0,
    after: sharesAfter.get(ringKey) ?? 0,
  }))
  const first = asciiJson(rest).slice(0, -1)
  const last = asciiJson({ maxMeanBefore, maxMeanAfter, shares }).slice(1, -1)
  return jsonAnswer(`${first},"moves":[${yield* movesJson(moves)}],${last},${state}}`)
}

/** There may be a hundred thousand. */
function* movesJson(moves: readonly RingMove[]): Steps<string> {
  let json = ''
  for (let at = 0; at < moves.length; at += MOVES_PER_STEP) {
    if (at > 0) yield
    json += (at > 0 ? ',' : '') + asciiJson(moves.slice(at, at + MOVES_PER_STEP)).slice(1, -1)
  }
  return json
}

const MOVES_PER_STEP = 2000

/** A 304, which has no body and no Content-Length. */
function notModified(caching: readonly string[]): Answer {
  return { status: 304, headers: [...caching], body: '' }
}

/**
 * The change that a query of `/v1/plan` describes, in comma lists, which may be repeated: `leave=RINGKEY,…`, `join=RINGKEY[=WEIGHT],…`,
 * `weight=RINGKEY=WEIGHT,…`. An entry's last equals sign parts ring key and weight.
 *
 * @throws {RingmanError} `PARAMETER_INVALID`.
 */
function parsePlanQuery(query: string, { maxPlannedNodes }: HttpLimits): Required<RingPlanChange> {
  const parameters = readParameters(query, LISTS, LISTS)
  const leave = listOf(parameters.get('leave'))
  const join = listOf(parameters.get('join')).map(parseJoin)
  const reweight = listOf(parameters.get('weight')).map(parseReweight)
  const named = leave.length + join.length + reweight.length
  if (named > maxPlannedNodes) {
    throw new RingmanError(
      'PARAMETER_INVALID',
      `the plan names ${named} nodes; at most ${maxPlannedNodes} are allowed`,
      { detail: { limit: maxPlannedNodes } },
    )
  }
  return { leave, join, reweight }
}

function listOf(value: string | undefined): string[] {
  const entries = value === undefined ? [] : value.split(',').filter((entry) => entry !== '')
  const long = entries.find(({ length }) => length > MAX_ENTRY_LENGTH)
  if (long === undefined) return entries
  throw new RingmanError(
    'PARAMETER_INVALID',
    `a plan takes ring keys of at most ${MAX_ENTRY_LENGTH} characters, got ${shorten(long)}`,
  )
}

function parseJoin(entry: string): RingNode {
  const { ringKey, weight } = splitWeight(entry)
  return { ringKey, weight: weight === undefined ? 1 : checkWeight('join', entry, weight) }
}

function parseReweight(entry: string): { readonly ringKey: string; readonly weight: number } {
  const { ringKey, weight } = splitWeight(entry)
  if (weight === undefined) {
    throw new RingmanError('PARAMETER_INVALID', `weight takes RINGKEY=WEIGHT, got ${shorten(entry)}`)
  }
  return { ringKey, weight: checkWeight('weight', entry, weight) }
}

function splitWeight(entry: string): { readonly ringKey: string; readonly weight: string | undefined } {
  const equals = entry.lastIndexOf('=')
  return equals === -1
    ? { ringKey: entry, weight: undefined }
    : { ringKey: entry.slice(0, equals), weight: entry.slice(equals + 1) }
}

function checkWeight(parameter: string, entry: string, text: string): number {
  const weight = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (isWeight(weight)) return weight
  throw new RingmanError(
    'PARAMETER_INVALID',
    `${parameter} takes weights from 1 to ${WEIGHT_LIMIT}, got ${shorten(entry)}`,
  )
}

import type Koa from 'koa'
import { RingmanError } from '../errors.ts'
import type { HttpLimits } from './limits.ts'
import { readParameters } from './parameters.ts'
import { jsonAnswer, type Responder } from './respond.ts'
import type { RingAnswers } from './ring-answers.ts'
import { PLAN_PARAMETERS, readPlan } from './ring-plans.ts'
import { taggedAnswer } from './ring-view.ts'
import type { RingWatch } from './ring-watch.ts'
import type { Route } from './route.ts'

/** Longest ring key or name that can be watched, in characters. */
const MAX_NODE_LENGTH = 600

/** `/v1/ring`, `/v1/ring/watch`, `/v1/members`, `/v1/changes`, `/v1/agreement` and `/v1/plan`: the ring as a whole. */
export function ringRoutes(deps: {
  readonly answers: RingAnswers
  readonly watch: RingWatch
  readonly responder: Responder
  readonly limits: HttpLimits
}): Route[] {
  const { answers, watch, responder, limits } = deps

  const getRing = (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    responder.send(
      ctx,
      taggedAnswer(ctx.req, answers.runningView().etag, () => answers.ring()),
    )
  }

  const watchRing = (ctx: Koa.Context, query: string) => {
    const node = readParameters(query, ['node']).get('node')
    if (node !== undefined && (node === '' || node.length > MAX_NODE_LENGTH)) {
      throw new RingmanError(
        'PARAMETER_INVALID',
        `the parameter node must be a ring key or a member's name of 1 to ${MAX_NODE_LENGTH} characters`,
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

  const getPlan = async (ctx: Koa.Context, query: string) => {
    const change = readPlan(readParameters(query, PLAN_PARAMETERS, PLAN_PARAMETERS), limits)
    const answer = await answers.plan(change, responder.ledger.turns, ctx.req.socket)
    if (answer !== undefined) responder.send(ctx, jsonAnswer(answer))
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

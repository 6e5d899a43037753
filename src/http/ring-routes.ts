import { RingmanError } from '../errors.ts'
import type { HttpLimits } from './limits.ts'
import { readParameters } from './parameters.ts'
import { jsonAnswer } from './respond.ts'
import type { RingAnswers } from './ring-answers.ts'
import { PLAN_PARAMETERS, readPlan } from './ring-plans.ts'
import { taggedAnswer } from './ring-view.ts'
import type { RingWatch } from './ring-watch.ts'
import { plainRoute, type Handler, type Route } from './route.ts'
import type { Turns } from './turns.ts'

/** Longest ring key or name that can be watched, in characters. */
const MAX_NODE_LENGTH = 600

/** `/v1/ring`, `/v1/ring/watch`, `/v1/members`, `/v1/changes`, `/v1/agreement` and `/v1/plan`: the ring as a whole. */
export function ringRoutes(
  answers: RingAnswers,
  watch: RingWatch,
  turns: Turns,
  limits: HttpLimits,
): Route[] {
  const watchRing: Handler = (ctx, query) => {
    const node = readParameters(query, ['node']).get('node')
    if (node !== undefined && (node === '' || node.length > MAX_NODE_LENGTH)) {
      throw new RingmanError(
        'PARAMETER_INVALID',
        `the parameter node must be a ring key or a member's name of 1 to ${MAX_NODE_LENGTH} characters`,
      )
    }
    watch.open(ctx, node)
  }

  const getPlan: Handler = async (ctx, query) => {
    const change = readPlan(readParameters(query, PLAN_PARAMETERS, PLAN_PARAMETERS), limits)
    const answer = await answers.plan(change, turns, ctx.req.socket)
    return answer === undefined ? undefined : jsonAnswer(answer)
  }

  return [
    plainRoute('/v1/ring', ({ req }) => taggedAnswer(req, answers.runningView().etag, () => answers.ring())),
    { path: '/v1/ring/watch', GET: watchRing },
    plainRoute('/v1/members', () => jsonAnswer(answers.members())),
    plainRoute('/v1/changes', () => jsonAnswer(answers.changes())),
    plainRoute('/v1/agreement', async () => jsonAnswer(await answers.agreement())),
    { path: '/v1/plan', GET: getPlan },
  ]
}

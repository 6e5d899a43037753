import type Koa from 'koa'
import { RingmanError } from '../errors.ts'
import { isObject } from '../is-object.ts'
import { isWithin } from '../is-within.ts'
import { isPlainText, isWeight, MAX_EVICTION_MS, WEIGHT_LIMIT } from '../membership/member.ts'
import { ACTIONS, type Action, type ActionRequest, type Operations } from '../service/operations.ts'
import type { ActingGuard } from './acting-guard.ts'
import { checkContentType, readJson } from './body.ts'
import { readParameters, shorten } from './parameters.ts'
import type { ConnectionLedger } from './connection-ledger.ts'
import { asciiJson, jsonAnswer } from './respond.ts'
import type { Handler, Route } from './route.ts'

const ROOT = '/v1/admin'
const BODY_LIMIT_BYTES = 16 * 1024
const JSON_LIMITS = { maxValues: 32, maxDepth: 2 }
/** Characters of a name, and of the texts for the log. */
export const TEXT_LIMIT = 256

/** The fields that an action takes, besides those that all take. */
export const FIELDS: Readonly<Record<Action, readonly string[]>> = {
  forget: ['name'],
  evict: ['name', 'forMs'],
  drain: [],
  return: [],
  weight: ['weight'],
  reload: [],
}
const COMMON_FIELDS = ['reason', 'by', 'dryRun', 'relayed']

/** What an operator can do at the admin port: `/v1/admin` says what, `POST /v1/admin/ACTION` does it. */
export function adminActions(operations: Operations, guard: ActingGuard, ledger: ConnectionLedger): Route[] {
  const check = (ctx: Koa.Context) => {
    if (!guard.hasToken) {
      throw new RingmanError(
        'NOT_FOUND',
        'this member was started without --token-file, so it takes no actions; restart it with one',
      )
    }
    guard.checkOrigin(ctx.req, true)
    guard.checkToken(ctx.req, false)
  }

  const describe: Handler = (ctx, query) => {
    check(ctx)
    readParameters(query, [])
    return jsonAnswer(asciiJson(operations.describe()))
  }

  const act = async (ctx: Koa.Context, action: Action) => {
    check(ctx)
    checkContentType(ctx.req.headers)
    const body = await readJson(ctx.req, ledger, BODY_LIMIT_BYTES, JSON_LIMITS)
    const request = readRequest(action, body, ctx.req.socket.remoteAddress ?? '')
    const steps = operations.plan(request)
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) await ledger.turns.goOn()
    return jsonAnswer(asciiJson(await operations.finish(request, step.value)))
  }

  return [
    { path: ROOT, GET: describe },
    ...ACTIONS.map((action): Route => ({ path: `${ROOT}/${action}`, POST: (ctx) => act(ctx, action) })),
  ]
}

/** @throws {RingmanError} `BODY_INVALID`. */
function readRequest(action: Action, body: unknown, address: string): ActionRequest {
  if (!isObject(body)) throw invalid('the body must be a JSON object')
  const allowed = [...FIELDS[action], ...COMMON_FIELDS]
  const unknown = Object.keys(body).find((key) => !allowed.includes(key))
  if (unknown !== undefined) throw invalid(`${action} takes ${allowed.join(', ')}, got ${shorten(unknown)}`)
  const { name, weight, forMs, reason = '', by = '', dryRun = false, relayed = false } = body
  if (FIELDS[action].includes('name') && !isText(name)) {
    throw invalid(`name must be the name of a member, got ${shorten(name)}`)
  }
  if (action === 'weight' && !isWeight(weight)) {
    throw invalid(`weight must be an integer from 1 to ${WEIGHT_LIMIT}, got ${shorten(weight)}`)
  }
  if (forMs !== undefined && !isWithin(forMs, 1, MAX_EVICTION_MS)) {
    throw invalid(`forMs must be an integer from 1 to ${MAX_EVICTION_MS}, got ${shorten(forMs)}`)
  }
  for (const [key, text] of Object.entries({ reason, by })) {
    if (text !== '' && !isText(text)) {
      throw invalid(
        `${key} must be a text of at most ${TEXT_LIMIT} characters, none of them a control character`,
      )
    }
  }
  if (typeof dryRun !== 'boolean' || typeof relayed !== 'boolean') {
    throw invalid('dryRun and relayed must be true or false')
  }
  return {
    action,
    name: typeof name === 'string' ? name : undefined,
    weight: isWeight(weight) ? weight : undefined,
    forMs,
    reason: String(reason),
    by: String(by),
    address,
    dryRun,
    relayed,
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= TEXT_LIMIT && value.isWellFormed() && isPlainText(value)
}

function invalid(message: string): RingmanError {
  return new RingmanError('BODY_INVALID', message)
}

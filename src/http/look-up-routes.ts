import type Koa from 'koa'
import { RingmanError } from '../errors.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import type { RingNode } from '../ring/node.ts'
import { readBody } from './body.ts'
import type { HttpLimits } from './limits.ts'
import {
  checkKey,
  checkOwnerCount,
  parseOwnerCount,
  readOnlyKey,
  readParameters,
  shorten,
} from './parameters.ts'
import { jsonAnswer, type Responder } from './respond.ts'
import type { CurrentView } from './ring-view.ts'
import { KEY_COUNT, type Route } from './route.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** `/v1/owner` and `/v1/owners`: who owns a key, or many keys. */
export function lookUpRoutes(deps: {
  readonly manager: HashRingManager
  readonly view: CurrentView
  readonly responder: Responder
  readonly limits: HttpLimits
}): Route[] {
  const { manager, view, responder, limits } = deps

  const getOwner = (ctx: Koa.Context, query: string) => {
    const owner = manager.getNode(readOnlyKey(query, limits))
    ctx['_ringOwner'] = owner.ringKey
    responder.send(ctx, view.get().ownerAnswer(owner))
  }

  const getOwners = (ctx: Koa.Context, query: string) => {
    const parameters = readParameters(query, ['key', 'n'])
    const key = checkKey(parameters.get('key'), limits)
    const owners = manager.getNodes(key, parseOwnerCount(parameters.get('n'), limits))
    const current = view.get()
    ctx['_ringOwner'] = owners[0]?.ringKey
    const nodes = owners.map((node) => current.nodeJson(node)).join(',')
    responder.send(ctx, jsonAnswer(`{"owners":[${nodes}],${current.state}}`))
  }

  const postOwners = async (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    if (!isJson(ctx.req.headers['content-type'])) {
      throw new RingmanError('CONTENT_TYPE_UNSUPPORTED', 'the body must be of type application/json')
    }
    const { keys, n } = parseBatch(await readBody(ctx.req, responder.ledger, limits.maxBodyBytes), limits)
    const asked = keys.length * Math.min(n, manager.snapshot.ring.size)
    if (asked > limits.maxBatchOwners) {
      throw new RingmanError(
        'N_OUT_OF_RANGE',
        `${keys.length} keys with n = ${n} ask for ${asked} owners; at most ${limits.maxBatchOwners} are allowed`,
        { detail: { limit: limits.maxBatchOwners } },
      )
    }
    const current = view.get()
    const places = new Map<RingNode, number>()
    const placeOf = (node: RingNode) => {
      let place = places.get(node)
      if (place === undefined) {
        place = places.size
        places.set(node, place)
      }
      return place
    }
    const owners = keys.map((key) =>
      n === 1 ? `[${placeOf(manager.getNode(key))}]` : `[${manager.getNodes(key, n).map(placeOf).join(',')}]`,
    )
    const nodes = Array.from(places.keys(), (node) => current.nodeJson(node)).join(',')
    ctx[KEY_COUNT] = keys.length
    responder.send(ctx, jsonAnswer(`{"nodes":[${nodes}],"owners":[${owners.join(',')}],${current.state}}`))
  }

  return [
    { path: '/v1/owner', GET: getOwner },
    { path: '/v1/owners', GET: getOwners, POST: postOwners },
  ]
}

function isJson(contentType: string | undefined): boolean {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() === 'application/json'
}

function parseBatch(
  body: Uint8Array,
  limits: HttpLimits,
): { readonly keys: readonly string[]; readonly n: number } {
  let value: unknown
  try {
    value = JSON.parse(utf8.decode(body))
  } catch (error) {
    throw new RingmanError('BODY_INVALID', 'the body is not JSON in UTF-8', { cause: error })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RingmanError('BODY_INVALID', 'the body must be an object: {"keys":["…"],"n":1}')
  }
  const { keys, n, ...others } = value as Record<string, unknown>
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) {
    throw new RingmanError(
      'BODY_INVALID',
      `the field ${shorten(unknown)} is not known; keys and n are allowed`,
    )
  }
  if (!Array.isArray(keys)) throw new RingmanError('BODY_INVALID', 'the field keys must be a list of strings')
  if (keys.length > limits.maxBatchKeys) {
    throw new RingmanError(
      'BODY_INVALID',
      `the body has ${keys.length} keys; at most ${limits.maxBatchKeys} are allowed`,
      { detail: { limit: limits.maxBatchKeys } },
    )
  }
  const count = checkOwnerCount(n, limits)
  return { n: count, keys: keys.map((key: unknown, at) => checkBatchKey(key, at, limits)) }
}

function checkBatchKey(key: unknown, at: number, limits: HttpLimits): string {
  const where = `keys[${at}]`
  if (typeof key !== 'string') throw new RingmanError('BODY_INVALID', `${where} is not a string`)
  if (!key.isWellFormed()) {
    throw new RingmanError('KEY_INVALID', `${where} has half a surrogate pair, which no UTF-8 can have`)
  }
  return checkKey(key, limits, where)
}

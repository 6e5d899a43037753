import type { IncomingMessage } from 'node:http'
import type Koa from 'koa'
import { RingmanError } from '../errors.ts'
import { getOrMake } from '../get-or-make.ts'
import { isObject } from '../is-object.ts'
import { DIGESTS_KEPT } from '../manager/ring-order.ts'
import type { RingNode } from '../ring/node.ts'
import { nextOwner } from '../service/next-owner.ts'
import { checkContentType, readJson } from './body.ts'
import type { ConnectionLedger } from './connection-ledger.ts'
import type { HttpLimits } from './limits.ts'
import {
  checkKey,
  checkOwnerCount,
  keyAt,
  parseOwnerCount,
  readOnlyKey,
  readParameters,
  shorten,
} from './parameters.ts'
import { jsonAnswer, type Responder } from './respond.ts'
import type { RingAnswers } from './ring-answers.ts'
import { KEY_COUNT, type Route } from './route.ts'

/** Owners that a batch looks up in one turn of the event loop. */
const OWNERS_PER_TURN = 2000

/** How deep a batch is nested, and what may stand beside its keys. */
const BATCH_DEPTH = 2
const BATCH_EXTRA_VALUES = 100

/** `/v1/owner`, `/v1/owners` and `/v1/check`: who owns a key, or many keys, and whether a request belongs here. */
export function lookUpRoutes(
  { service, view }: RingAnswers,
  responder: Responder,
  limits: HttpLimits,
): Route[] {
  const { manager, ownership } = service
  const { turns } = responder.ledger

  const getOwner = (ctx: Koa.Context, query: string) => {
    const key = readOnlyKey(query, limits)
    const owner = manager.getNode(key)
    ctx['_ringOwner'] = owner.ringKey
    return view.get().ownerAnswer(owner, service.nextOwnerOf(key))
  }

  const getOwners = (ctx: Koa.Context, query: string) => {
    const parameters = readParameters(query, ['key', 'n'])
    const key = checkKey(parameters.get('key'), limits)
    const owners = manager.getNodes(key, parseOwnerCount(parameters.get('n'), limits))
    const current = view.get()
    ctx['_ringOwner'] = owners[0]?.ringKey
    const nodes = owners.map((node) => current.nodeJson(node)).join(',')
    const next = current.nextField(service.nextOwnerOf(key))
    return jsonAnswer(`{"owners":[${nodes}],${next}${current.state}}`)
  }

  const check = (ctx: Koa.Context, query: string) => {
    const parameters = readParameters(query, ['key', 'digest'], ['digest'])
    const key = checkKey(parameters.get('key'), limits)
    const digests = parseDigests(parameters.get('digest'))
    const { verdict, mine, owner } = ownership.check(key, digests)
    const current = view.get()
    ctx['_ringOwner'] = owner.ringKey
    return jsonAnswer(
      `{"verdict":"${verdict}","mine":${mine},"owner":${current.nodeJson(owner)},${current.state}}`,
    )
  }

  const postOwners = async (ctx: Koa.Context, query: string) => {
    readParameters(query, [])
    checkContentType(ctx.req.headers)
    const { keys, n } = await readBatch(ctx.req, responder.ledger, limits)
    if (keys.length > OWNERS_PER_TURN) await turns.goOn()
    const asked = keys.length * Math.min(n, manager.snapshot.ring.size)
    if (asked > limits.maxBatchOwners) {
      throw new RingmanError(
        'N_OUT_OF_RANGE',
        `${keys.length} keys with n = ${n} ask for ${asked} owners; at most ${limits.maxBatchOwners} are allowed`,
        { detail: { limit: limits.maxBatchOwners } },
      )
    }
    const current = view.get()
    // Both rings are those of now, also for the keys of later turns.
    const after = service.ringAfterMoves
    /** The place of each node among those of the answer, as text. */
    const places = new Map<RingNode, string>()
    const nextPlace = () => String(places.size)
    const placeOf = (node: RingNode) => getOrMake(places, node, nextPlace)
    // A ring that is empty or does not run says so here. From then on all keys go by the ring of now.
    const { ring } = current.snapshot
    if (keys[0] !== undefined) manager.getNode(keys[0])
    // One list and one text: many small ones live long enough to be kept, and to fill the memory.
    const owners: string[] = []
    const isMoving = after !== ring
    const next: string[] = []
    let left = OWNERS_PER_TURN
    for (const key of keys) {
      owners.push(n === 1 ? placeOf(ring.ownerOf(key)!) : ring.ownersOf(key, n).map(placeOf).join(','))
      if (isMoving) {
        const later = nextOwner(ring, after, key)
        // The node as it is on the ring now, where it is there: each is listed once.
        next.push(later === undefined ? 'null' : placeOf(ring.get(later.ringKey) ?? later))
        left -= 2
      }
      left -= Math.min(n, ring.size)
      if (left > 0) continue
      await turns.goOn()
      // Nobody is left to answer.
      if (ctx.req.socket.destroyed) return undefined
      left = OWNERS_PER_TURN
    }
    const nodes = Array.from(places.keys(), (node) => current.nodeJson(node)).join(',')
    const lists = owners.length === 0 ? '' : `[${owners.join('],[')}]`
    ctx[KEY_COUNT] = keys.length
    return jsonAnswer(
      `{"nodes":[${nodes}],"owners":[${lists}],${isMoving ? `"next":[${next.join(',')}],` : ''}${current.state}}`,
    )
  }

  return [
    { path: '/v1/owner', GET: getOwner },
    { path: '/v1/owners', GET: getOwners, POST: postOwners },
    { path: '/v1/check', GET: check },
  ]
}

/** @throws {RingmanError} `PARAMETER_INVALID` for no digest, too many, or a text that is no digest. */
function parseDigests(list: string | undefined): readonly string[] {
  const digests = list?.split(',') ?? []
  if (digests.length === 0 || digests.length > DIGESTS_KEPT || !digests.every((one) => DIGEST.test(one))) {
    throw new RingmanError(
      'PARAMETER_INVALID',
      `the parameter digest must be 1 to ${DIGESTS_KEPT} digests of 16 hexadecimal characters, the newest first`,
      { detail: { limit: DIGESTS_KEPT } },
    )
  }
  return digests
}

const DIGEST = /^[0-9a-f]{16}$/

async function readBatch(
  request: IncomingMessage,
  ledger: ConnectionLedger,
  limits: HttpLimits,
): Promise<{ readonly keys: readonly string[]; readonly n: number }> {
  const value = await readJson(request, ledger, limits.maxBodyBytes, {
    maxValues: limits.maxBatchKeys + BATCH_EXTRA_VALUES,
    maxDepth: BATCH_DEPTH,
  })
  if (!isObject(value)) {
    throw new RingmanError('BODY_INVALID', 'the body must be an object: {"keys":["…"],"n":1}')
  }
  const { keys, n, ...others } = value
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
  for (let at = 0; at < keys.length; at++) checkBatchKey(keys[at], at, limits)
  return { n: count, keys }
}

function checkBatchKey(key: unknown, at: number, limits: HttpLimits): void {
  if (typeof key !== 'string') throw new RingmanError('BODY_INVALID', `${keyAt(at)} is not a string`)
  if (!key.isWellFormed()) {
    throw new RingmanError('KEY_INVALID', `${keyAt(at)} has half a surrogate pair, which no UTF-8 can have`)
  }
  checkKey(key, limits, at)
}

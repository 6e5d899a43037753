import type { IncomingMessage } from 'node:http'
import type Koa from 'koa'
import { isLiving, type Member } from '../membership/member.ts'
import type { RingService } from '../service/ring-service.ts'
import { isRingmanError, type ErrorCode } from '../errors.ts'
import type { RingSnapshot } from '../manager/snapshot.ts'
import { readBody } from './body.ts'
import { compatibleOwnerAnswer, ownerOf, PLAIN_TEXT } from './compatible-owner.ts'
import { formValue } from './form-value.ts'
import { goJsonString, toByteText } from './go-json.ts'
import type { HttpLimits } from './limits.ts'
import { makeAnswer, type Answer, type Responder } from './respond.ts'
import type { Handler, Route } from './route.ts'

/** What Go's `http.Error` adds. */
const ERROR_TEXT = [...PLAIN_TEXT, 'X-Content-Type-Options', 'nosniff'] as const

const INVALID_KEY = errorAnswer(404, 'Invalid key')

const KEY_TOO_LONG = errorAnswer(413, 'Key too long')

/** What Go's multiplexer says of a path under `/hashring/` that it does not know. */
export const PAGE_NOT_FOUND = makeAnswer(404, ERROR_TEXT, '404 page not found\n')

/**
 * The routes of the Go library, under `/hashring`, with its bytes: any method, the key from the query or a form,
 * JSON as Go escapes it, and look-up errors as an empty `Node` with status 200. The key is a string of bytes; it
 * need not be UTF-8. Only a body or a key above its limit is answered in a way that Go does not know.
 */
export function compatibleRoutes(ring: RingService, responder: Responder, limits: HttpLimits): Route[] {
  // A source that Go does not have lists like memberlist.
  const writeNodes = ring.source.kind === 'sidecar' ? writeRingKeys : writeMembers
  let listed: (NodeListInput & { readonly answer: Answer }) | undefined

  const listNodes = () => {
    const { members } = ring.source
    const { snapshot } = ring.manager
    const populated = ring.source.populated ?? snapshot.epoch > 0
    if (listed?.members !== members || listed.snapshot !== snapshot || listed.populated !== populated) {
      const body = writeNodes({ members, snapshot, populated })
      listed = { members, snapshot, populated, answer: makeAnswer(200, PLAIN_TEXT, body) }
    }
    return listed.answer
  }

  const answerKey = (ctx: Koa.Context, key: string | undefined): Answer => {
    if (key === undefined || key === '') return INVALID_KEY
    if (key.length > limits.maxKeyBytes) return KEY_TOO_LONG
    const owner = ownerOf(ring, key)
    if (owner !== '') ctx['_ringOwner'] = owner
    return compatibleOwnerAnswer(owner, key)
  }

  const readForm = (request: IncomingMessage) => readBody(request, responder.ledger, limits.maxBodyBytes)

  const getNode: Handler = (ctx, query) => {
    const key = formValue(ctx.req, query, 'key', readForm, responder.ledger.turns)
    if (typeof key !== 'object') return answerKey(ctx, key)
    return key.then(
      (value) => answerKey(ctx, value),
      (error: unknown) => {
        const refusal = isRingmanError(error) ? BODY_REFUSALS[error.code] : undefined
        if (refusal === undefined) throw error
        responder.sendAndHangUp(ctx, refusal)
      },
    )
  }

  return [
    { path: '/hashring/nodes', any: listNodes },
    { path: '/hashring/nodes/get', any: getNode },
  ]
}

const BODY_REFUSALS: Readonly<Partial<Record<ErrorCode, Answer>>> = {
  BODY_INVALID: errorAnswer(400, 'Incomplete body'),
  BODY_TOO_LARGE: errorAnswer(413, 'Body too large'),
  OVERLOADED: errorAnswer(503, 'Too many bodies at once'),
}

function errorAnswer(status: number, message: string): Answer {
  return makeAnswer(status, ERROR_TEXT, `{"status": "error", "message": "${message}"}\n`)
}

/** What the list of `/hashring/nodes` is written from, in byte text. */
interface NodeListInput {
  readonly members: readonly Member[]
  readonly snapshot: RingSnapshot
  /** Whether the source knows its members; see `MembershipSource.populated`. */
  readonly populated: boolean
}

/** memberlist's list: every member that lives or is suspect, also one that owns nothing, by name. */
function writeMembers({ members }: NodeListInput): string {
  const living = members.filter(isLiving)
  return living.length === 0 ? '[]' : `[\n${living.map(writeMember).join(',\n')}\n]`
}

function writeMember({ name, address, port, meta, versions }: Member): string {
  return `  {
    "Name": ${goJsonString(toByteText(name))},
    "Addr": ${goJsonString(toByteText(address))},
    "Port": ${port},
    "Meta": "${Buffer.from(meta).toString('base64')}",
    "PMin": ${versions.pMin},
    "PMax": ${versions.pMax},
    "PCur": ${versions.pCur},
    "DMin": ${versions.dMin},
    "DMax": ${versions.dMax},
    "DCur": ${versions.dCur}
  }`
}

/** SidecarRing's list: the ring keys in byte order, or `null` before any state came. */
function writeRingKeys({ snapshot: { ring }, populated }: NodeListInput): string {
  if (ring.size === 0) return populated ? '{}' : 'null'
  return `{\n${ring.nodes.map(({ ringKey }) => `  ${goJsonString(toByteText(ringKey))}: {}`).join(',\n')}\n}`
}

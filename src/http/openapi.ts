import { DIGESTS_KEPT } from '../manager/ring-order.ts'
import { ERROR_CODES } from '../errors.ts'
import { AGREEMENT_INTERVAL_MS } from './agreement.ts'
import { ERROR_STATUSES } from './error-body.ts'
import type { HttpLimits } from './limits.ts'
import { apiSchemas, DIGEST, list, ref, text, type JsonSchema } from './openapi-schemas.ts'

/** Entries of `/v1/plan`, with a weight from 1 to 1000; empty ones are passed over. */
const WEIGHT_SUFFIX = '^([^,]*=0*([1-9][0-9]{0,2}|1000))?$'
const WEIGHT_SUFFIX_OPTIONAL = '^([^,=]*|[^,]*=0*([1-9][0-9]{0,2}|1000))$'

/** Plain data. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/**
 * The OpenAPI 3.1 document of the look-up port, with the limits that hold in this process.
 *
 * @param version - This program's version.
 * @param hasNamedRings - Whether there are rings that are known by name.
 */
export function describeApi(limits: HttpLimits, version: string, hasNamedRings = false): Json {
  const description = 'Which instance owns this key? Any member answers for the whole ring.'
  return documentOf(version, description, lookUpPaths(limits, hasNamedRings), { schemas: apiSchemas(limits) })
}

/** A document of one of the ports. */
export function documentOf(version: string, description: string, paths: Paths, components: Json): Json {
  return {
    openapi: '3.1.1',
    info: { title: 'ringman', version, description, license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: '/' }],
    paths,
    components,
  }
}

/** The paths of the look-up port. */
export function lookUpPaths(limits: HttpLimits, hasNamedRings: boolean): Paths {
  const paths = pathsOf(limits)
  return hasNamedRings ? { ...paths, ...namedRingPaths(paths) } : paths
}

/** What is said of a request. */
type Request = {
  readonly summary: string
  readonly description?: string
  readonly parameters?: readonly Json[]
  readonly requestBody?: Json
  readonly security?: Json
}

type Operation = Request & { readonly operationId: string; readonly responses: Responses }

/** The operations of a path, by method. */
type Operations = { readonly [method: string]: Operation }

export type Paths = { readonly [path: string]: Operations }

/** Which ring is meant, where rings are known by name. */
const RING_NAME: readonly Json[] = ['namespace', 'name'].map((name) => ({
  name,
  in: 'path',
  required: true,
  description: `The ${name} of the HashRing.`,
  schema: { type: 'string', minLength: 1 },
}))

/** The paths of rings that are known by name: under each of them, what there is under `/v1` for the own ring. */
function namedRingPaths(paths: Paths): Paths {
  const root = '/v1/rings'
  const one = `${root}/{namespace}/{name}`
  const named = Object.entries(paths)
    .filter(([path]) => path.startsWith('/v1/'))
    .map(([path, described]) => {
      const methods = Object.entries(described).map(([method, each]) => [method, ofNamedRing(each, method)])
      return [`${one}${path.slice('/v1'.length)}`, Object.fromEntries(methods) as Operations]
    })
  return {
    [root]: reading('Rings', {
      summary: 'The rings that are known by name',
      schema: ref('RingsAnswer'),
      problems: ['PARAMETER_INVALID', 'RINGS_NOT_LISTED'],
      unchanged: 'They are those of the ETag.',
    }),
    [one]: reading('OneRing', {
      summary: 'One of them',
      parameters: RING_NAME,
      schema: ref('NamedRing'),
      problems: ['PARAMETER_INVALID', 'RING_NOT_FOUND', 'RINGS_NOT_LISTED'],
      unchanged: 'It is that of the ETag.',
    }),
    ...(Object.fromEntries(named) as Paths),
  }
}

function ofNamedRing(
  { operationId, parameters = [], responses, ...rest }: Operation,
  method: string,
): Operation {
  const notFound: Responses = { '404': problemResponse(describeCodes(['RING_NOT_FOUND'])) }
  return {
    ...rest,
    operationId: `${operationId}OfRing`,
    parameters: [...RING_NAME, ...parameters],
    responses: { ...responses, ...(method === 'head' ? withoutContent(notFound) : notFound) },
  }
}

function pathsOf(limits: HttpLimits): Paths {
  const keyText = `Percent-encoded UTF-8, a plus for a space; 1 to ${limits.maxKeyBytes} bytes.`
  const key = inQuery('key', keyText, { type: 'string', minLength: 1 }, { required: true })
  const count = { type: 'integer', minimum: 1, maximum: limits.maxOwners, default: 1 }
  const n = inQuery('n', 'How many owners; where there are fewer nodes, all of them.', count)
  const nodeText = { type: 'string', minLength: 1, maxLength: 600 }
  const lookUpProblems = [...KEY_PROBLEMS, 'PARAMETER_INVALID', ...RING_PROBLEMS] as const
  return {
    '/v1/owner': reading('Owner', {
      summary: 'The owner of a key',
      parameters: [key],
      schema: ref('OwnerAnswer'),
      problems: lookUpProblems,
    }),
    '/v1/owners': {
      ...reading('Owners', {
        summary: 'The first n distinct owners of a key',
        parameters: [key, n],
        schema: ref('OwnersAnswer'),
        problems: [...lookUpProblems, 'N_OUT_OF_RANGE', 'OVERLOADED'],
      }),
      post: {
        operationId: 'postOwners',
        summary: 'The owners of many keys',
        description: `Up to ${limits.maxBatchKeys} keys in at most ${limits.maxBodyBytes} bytes, and up to ${limits.maxBatchOwners} owners in all.`,
        requestBody: { required: true, content: { 'application/json': { schema: ref('OwnersQuestion') } } },
        responses: {
          '200': jsonResponse('The nodes, and the owners of each key.', ref('BatchAnswer')),
          ...problemResponses([
            ...BODY_PROBLEMS,
            'KEY_EMPTY',
            'KEY_INVALID',
            'KEY_TOO_LONG',
            'N_OUT_OF_RANGE',
            'PARAMETER_INVALID',
            ...RING_PROBLEMS,
          ]),
        },
      },
    },
    '/v1/route': routeOperations(),
    '/v1/check': reading('Check', {
      summary: 'Whether a request for a key belongs to the member that answers, or whose ring is older',
      parameters: [
        key,
        inQuery(
          'digest',
          "The digest of the sender's ring; better the last ones that it has had, the newest first, as a comma list or repeated.",
          { ...list({ type: 'string', pattern: DIGEST }), minItems: 1, maxItems: DIGESTS_KEPT },
          { required: true, style: 'form', explode: true },
        ),
      ],
      schema: ref('CheckAnswer'),
      problems: lookUpProblems,
    }),
    '/v1/ring': reading('Ring', {
      summary: 'The whole ring',
      parameters: [{ name: 'If-None-Match', in: 'header', description: 'An ETag got before.', schema: text }],
      schema: ref('RingAnswer'),
      problems: ['PARAMETER_INVALID', 'MANAGER_NOT_RUNNING', 'OVERLOADED'],
      unchanged: 'The ring is the one of the ETag.',
    }),
    '/v1/ring/watch': reading('RingWatch', {
      summary: 'The ring now and after each change, or what one node gains and loses',
      description: `Server-sent events named \`ring\`, each with a RingEvent as data and the epoch as id. With \`node\` an event \`owned\` with an OwnedEvent, then events \`moved\`, each with a MovedEvent. Comments every ${limits.heartbeatMs} ms.`,
      parameters: [inQuery('node', "A node's ring key, or its member's name.", nodeText)],
      schema: { type: 'string' },
      contentType: 'text/event-stream',
      problems: ['PARAMETER_INVALID', 'MANAGER_NOT_RUNNING', 'OVERLOADED', 'TOO_MANY_WATCHERS'],
    }),
    '/v1/members': reading('Members', {
      summary: 'Every member, its state, and why it is not on the ring',
      schema: ref('MembersAnswer'),
      problems: ['PARAMETER_INVALID', 'OVERLOADED'],
    }),
    '/v1/changes': reading('Changes', {
      summary: 'When, why and how much the ring has changed lately',
      schema: ref('ChangesAnswer'),
      problems: ['PARAMETER_INVALID', 'OVERLOADED'],
    }),
    '/v1/agreement': reading('Agreement', {
      summary: 'Whether the other members have the same ring',
      description: `Each one is asked for its digest, at most every ${AGREEMENT_INTERVAL_MS / 1000} s however many want to know; in between the last result is told.`,
      schema: ref('AgreementAnswer'),
      problems: ['PARAMETER_INVALID', 'OVERLOADED'],
    }),
    '/v1/plan': reading('Plan', {
      summary: 'What would move if nodes left, joined or changed weight',
      parameters: PLAN_PARAMETERS,
      schema: ref('PlanAnswer'),
      problems: ['PARAMETER_INVALID', 'PLAN_INVALID', 'MANAGER_NOT_RUNNING', 'OVERLOADED'],
    }),
    '/openapi.json': documentOperations(),
    // Any method will do on the compatible routes; those that clients use are described.
    '/hashring/nodes': operations(
      'CompatibleNodes',
      { summary: 'The node list of the Go library' },
      { '200': textResponse('JSON, as plain text.') },
      {},
    ),
    '/hashring/nodes/get': operations(
      'CompatibleOwner',
      {
        summary: 'The owner of a key, as the Go library answers',
        description: 'The key may also come in a form. Without an owner, `Node` is empty.',
        parameters: [inQuery('key', keyText, text, { required: false })],
      },
      {
        '200': textResponse('JSON, as plain text.'),
        '404': textResponse('There is no key, or it is empty.'),
        '413': textResponse('The form is too large.'),
        '503': textResponse('Too many forms are being read.'),
      },
      {
        requestBody: {
          content: {
            'application/x-www-form-urlencoded': { schema: KEY_FORM },
            'multipart/form-data': { schema: KEY_FORM },
          },
        },
      },
    ),
  }
}

const KEY_FORM: JsonSchema = { type: 'object', properties: { key: text } }

const OWNER_ADDRESS: JsonSchema = {
  type: 'string',
  pattern: String.raw`^(\[[0-9a-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}$`,
}

/** Any method will do, and whatever stands behind the path; those methods are described that proxies use. */
function routeOperations(): Operations {
  const next = (place: string) => ({
    description: `The ${place} after the owner, where there is one.`,
    schema: OWNER_ADDRESS,
  })
  const responses = {
    '200': {
      description: 'The owners as addresses, in headers; without a key only the digest.',
      headers: {
        'X-Ringman-Owner': {
          description: 'The owner and the next two nodes, as a comma list of `IP:PORT`, IPv6 in brackets.',
          schema: { type: 'string' },
        },
        'X-Ringman-Next-1': next('first node'),
        'X-Ringman-Next-2': next('second node'),
        'X-Ringman-Digest': { description: 'Of the ring.', schema: { type: 'string' }, required: true },
      },
    },
    ...problemResponses(['KEY_INVALID', 'KEY_MISSING', 'KEY_REPEATED', 'KEY_TOO_LONG', ...RING_PROBLEMS]),
  }
  return operations(
    'Route',
    {
      summary: 'Where a proxy is to send a request',
      description:
        'The key is found in the request as the member is configured (`--route-key`); whatever its path, which goes on behind this one, its query and its body. Any method.',
    },
    responses,
    {},
  )
}

type ProblemCode = keyof typeof ERROR_STATUSES

const KEY_PROBLEMS = ['KEY_EMPTY', 'KEY_INVALID', 'KEY_MISSING', 'KEY_REPEATED', 'KEY_TOO_LONG'] as const
export const BODY_PROBLEMS = [
  'BODY_INVALID',
  'BODY_TOO_LARGE',
  'CONTENT_TYPE_UNSUPPORTED',
  'OVERLOADED',
] as const
const RING_PROBLEMS = ['MANAGER_NOT_RUNNING', 'RING_EMPTY'] as const

const ETAG = { ETag: { description: 'Names this state of the ring.', schema: { type: 'string' } } }

/** Generated clients repeat the parameter for each entry; a comma list in one does as well, so no entry holds a comma. */
const PLAN_PARAMETERS: readonly Json[] = [
  { name: 'leave', description: 'Ring keys of nodes that leave.', items: { pattern: '^[^,]*$' } },
  {
    name: 'join',
    description: 'Ring keys of nodes that join, `RINGKEY` or `RINGKEY=WEIGHT`; the weight is 1 unless given.',
    items: { pattern: WEIGHT_SUFFIX_OPTIONAL },
  },
  {
    name: 'weight',
    description: 'New weights of nodes that stay, `RINGKEY=WEIGHT`.',
    items: { pattern: WEIGHT_SUFFIX },
  },
].map(({ name, description, items }) =>
  inQuery(name, description, list({ type: 'string', ...items }), { style: 'form', explode: true }),
)

/** A parameter of a query. */
export function inQuery(name: string, description: string, schema: JsonSchema, more = {}): Json {
  return { name, in: 'query', description, ...more, schema }
}

/** A path with these responses; HEAD gets them without content. `post` says what else there is of a POST, where it takes one. */
export function operations(
  id: string,
  { parameters = [], ...others }: Request,
  responses: Responses,
  post?: Partial<Request>,
): Operations {
  const request = { parameters, ...others }
  return {
    get: { operationId: `get${id}`, ...request, responses },
    head: { operationId: `head${id}`, ...request, responses: withoutContent(responses) },
    ...(post && { post: { operationId: `post${id}`, ...request, ...post, responses } }),
  }
}

/** A path that is read. */
export function reading(
  id: string,
  given: Request & {
    readonly schema: JsonSchema
    readonly contentType?: string
    /** @default PARAMETER_INVALID */
    readonly problems?: readonly ProblemCode[]
    /** What the `ETag` names, where there is one, for a 304. */
    readonly unchanged?: string
  },
): Operations {
  const {
    schema,
    contentType = 'application/json',
    problems = ['PARAMETER_INVALID'],
    unchanged,
    ...request
  } = given
  const headers: Json = unchanged === undefined ? {} : ETAG
  return operations(id, request, {
    '200': { description: 'The answer.', headers, content: { [contentType]: { schema } } },
    ...(unchanged !== undefined && { '304': { description: unchanged, headers } }),
    ...problemResponses(problems),
  })
}

/** The path of the document itself. */
export function documentOperations() {
  return reading('Description', { summary: 'This document', schema: { type: 'object' } })
}

type Responses = { readonly [status: string]: { readonly [field: string]: Json } }

/** The same responses as HEAD gets them. */
function withoutContent(responses: Responses): Responses {
  return Object.fromEntries(
    Object.entries(responses).map(([status, response]) => [
      status,
      Object.fromEntries(Object.entries(response).filter(([field]) => field !== 'content')),
    ]),
  )
}

function textResponse(description: string) {
  return { description, content: { 'text/plain; charset=utf-8': { schema: text } } }
}

/** JSON that comes with a 200. */
export function jsonResponse(description: string, schema: JsonSchema) {
  return { description, content: { 'application/json': { schema } } }
}

function problemResponse(description: string, headers?: Json) {
  return {
    description,
    ...(headers !== undefined && { headers }),
    content: { 'application/problem+json': { schema: ref('Problem') } },
  }
}

const RETRY_AFTER = {
  'Retry-After': {
    description: 'Seconds after which to try again.',
    schema: { type: 'integer', minimum: 0 },
  },
}

/** Of every operation under `/v1`; `default` is what a newer member may answer. */
const COMMON_RESPONSES: Responses = {
  '405': problemResponse(describeCodes(['METHOD_NOT_ALLOWED']), {
    Allow: { description: 'The methods that the path takes.', schema: { type: 'string' } },
  }),
  default: problemResponse('Any other problem. Statuses and codes that are not listed here may be added.'),
}

/** Responses for error codes, codes with one status together; every route may also have a fault of its own. */
export function problemResponses(codes: readonly ProblemCode[]): Responses {
  const byStatus: Record<string, (ProblemCode | 'INTERNAL')[]> = { '500': ['INTERNAL'] }
  for (const code of codes) (byStatus[String(ERROR_STATUSES[code]?.status)] ??= []).push(code)
  const described = Object.entries(byStatus).map(([status, those]) => [
    status,
    problemResponse(describeCodes(those), status === '503' ? RETRY_AFTER : undefined),
  ])
  return { ...(Object.fromEntries(described) as Responses), ...COMMON_RESPONSES }
}

function describeCodes(codes: readonly (ProblemCode | 'INTERNAL')[]): string {
  return [...codes]
    .sort()
    .map((code) => `\`${code}\`: ${ERROR_CODES[code]}`)
    .join(' ')
}

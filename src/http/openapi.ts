import { ERROR_CODES } from '../errors.ts'
import { ERROR_STATUSES } from './error-body.ts'
import type { HttpLimits } from './limits.ts'
import { apiSchemas, type JsonSchema } from './openapi-schemas.ts'

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` })

/**
 * The OpenAPI 3.1 document of the look-up port, with the limits that hold in this process.
 *
 * @param version - This program's version.
 */
export function describeApi(limits: HttpLimits, version: string): Json {
  const key = {
    name: 'key',
    in: 'query',
    required: true,
    description: `Percent-encoded UTF-8, a plus for a space; 1 to ${limits.maxKeyBytes} bytes.`,
    schema: { type: 'string', minLength: 1 },
  }
  const n = {
    name: 'n',
    in: 'query',
    description: 'How many owners; where there are fewer nodes, all of them.',
    schema: { type: 'integer', minimum: 1, maximum: limits.maxOwners, default: 1 },
  }
  const lookUpProblems = [...KEY_PROBLEMS, 'PARAMETER_INVALID', ...RING_PROBLEMS] as const
  return {
    openapi: '3.1.1',
    info: {
      title: 'ringman',
      version,
      description: 'Which instance owns this key? Any member answers for the whole ring.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    paths: {
      '/v1/owner': {
        ...getAndHead({
          id: 'Owner',
          summary: 'The owner of a key',
          parameters: [key],
          schema: ref('OwnerAnswer'),
          problems: lookUpProblems,
        }),
      },
      '/v1/owners': {
        ...getAndHead({
          id: 'Owners',
          summary: 'The first n distinct owners of a key',
          parameters: [key, n],
          schema: ref('OwnersAnswer'),
          problems: [...lookUpProblems, 'N_OUT_OF_RANGE'],
        }),
        post: {
          operationId: 'postOwners',
          summary: 'The owners of many keys',
          description: `Up to ${limits.maxBatchKeys} keys in at most ${limits.maxBodyBytes} bytes, and up to ${limits.maxBatchOwners} owners in all.`,
          requestBody: { required: true, content: { 'application/json': { schema: ref('OwnersQuestion') } } },
          responses: {
            '200': jsonResponse('The nodes, and the owners of each key.', ref('BatchAnswer')),
            ...problemResponses([
              'BODY_INVALID',
              'BODY_TOO_LARGE',
              'CONTENT_TYPE_UNSUPPORTED',
              'KEY_EMPTY',
              'KEY_INVALID',
              'KEY_TOO_LONG',
              'N_OUT_OF_RANGE',
              'OVERLOADED',
              'PARAMETER_INVALID',
              ...RING_PROBLEMS,
            ]),
          },
        },
      },
      '/v1/ring': {
        ...getAndHead({
          id: 'Ring',
          summary: 'The whole ring',
          parameters: [
            {
              name: 'If-None-Match',
              in: 'header',
              description: 'An ETag got before.',
              schema: { type: 'string' },
            },
          ],
          schema: ref('RingAnswer'),
          problems: ['PARAMETER_INVALID', 'MANAGER_NOT_RUNNING'],
          headers: { ETag: { description: 'The digest of the ring.', schema: { type: 'string' } } },
          more: { '304': { description: 'The ring is the one of the ETag.' } },
        }),
      },
      '/v1/ring/watch': {
        ...getAndHead({
          id: 'RingWatch',
          summary: 'The ring now and after each change',
          description: `Server-sent events named \`ring\`, each with a RingAnswer as data and the epoch as id; comments every ${limits.heartbeatMs} ms.`,
          parameters: [],
          schema: { type: 'string' },
          contentType: 'text/event-stream',
          problems: ['PARAMETER_INVALID', 'MANAGER_NOT_RUNNING', 'TOO_MANY_WATCHERS'],
        }),
      },
      '/v1/members': {
        ...getAndHead({
          id: 'Members',
          summary: 'Every member, its state, and why it is not on the ring',
          parameters: [],
          schema: ref('MembersAnswer'),
          problems: ['PARAMETER_INVALID'],
        }),
      },
      '/v1/plan': {
        ...getAndHead({
          id: 'Plan',
          summary: 'What would move if nodes left, joined or changed weight',
          parameters: PLAN_PARAMETERS,
          schema: ref('PlanAnswer'),
          problems: ['PARAMETER_INVALID', 'PLAN_INVALID', 'MANAGER_NOT_RUNNING'],
        }),
      },
      '/openapi.json': {
        ...getAndHead({
          id: 'Description',
          summary: 'This document',
          parameters: [],
          schema: { type: 'object' },
          problems: ['PARAMETER_INVALID'],
        }),
      },
      '/hashring/nodes': compatibleOperations({
        id: 'CompatibleNodes',
        summary: 'The node list of the Go library',
        parameters: [],
        responses: { '200': textResponse('JSON, as plain text.') },
      }),
      '/hashring/nodes/get': compatibleOperations({
        id: 'CompatibleOwner',
        summary: 'The owner of a key, as the Go library answers',
        description: 'The key may also come in a form. Without an owner, `Node` is empty.',
        parameters: [{ ...key, required: false, schema: { type: 'string' } }],
        responses: {
          '200': textResponse('JSON, as plain text.'),
          '404': textResponse('There is no key, or it is empty.'),
          '413': textResponse('The form is too large.'),
          '503': textResponse('Too many forms are being read.'),
        },
      }),
    },
    components: { schemas: apiSchemas(limits) },
  }
}

const KEY_PROBLEMS = ['KEY_EMPTY', 'KEY_INVALID', 'KEY_MISSING', 'KEY_REPEATED', 'KEY_TOO_LONG'] as const
const RING_PROBLEMS = ['MANAGER_NOT_RUNNING', 'RING_EMPTY'] as const

const PLAN_PARAMETERS: readonly Json[] = [
  { name: 'leave', description: 'Ring keys that leave: `RINGKEY,…`' },
  { name: 'join', description: 'Ring keys that join, weight 1 unless said: `RINGKEY[=WEIGHT],…`' },
  { name: 'weight', description: 'New weights of nodes that stay: `RINGKEY=WEIGHT,…`' },
].map((parameter) => ({ ...parameter, in: 'query', schema: { type: 'string' } }))

interface Operation {
  readonly id: string
  readonly summary: string
  readonly description?: string
  readonly parameters: readonly Json[]
}

function getAndHead(
  operation: Operation & {
    readonly schema: JsonSchema
    readonly contentType?: string
    readonly headers?: Json
    readonly problems: readonly (keyof typeof ERROR_STATUSES)[]
    readonly more?: { readonly [status: string]: Json }
  },
): { readonly [method: string]: Json } {
  const { id, schema, contentType = 'application/json', headers = {}, problems, more = {} } = operation
  const shared = {
    summary: operation.summary,
    description: operation.description ?? '',
    parameters: operation.parameters,
  }
  const success = { description: 'The answer.', headers }
  return {
    get: {
      operationId: `get${id}`,
      ...shared,
      responses: {
        '200': { ...success, content: { [contentType]: { schema } } },
        ...more,
        ...problemResponses(problems),
      },
    },
    head: { operationId: `head${id}`, ...shared, responses: { '200': success, ...more } },
  }
}

/** Any method will do on the compatible routes; those that a form can come with are described. */
function compatibleOperations(operation: Operation & { readonly responses: Json }): Json {
  const { id, responses } = operation
  const shared = {
    summary: operation.summary,
    description: operation.description ?? '',
    parameters: operation.parameters,
  }
  return Object.fromEntries(
    ['get', 'head', 'post'].map((method) => [
      method,
      { operationId: `${method}${id}`, ...shared, responses },
    ]),
  )
}

function jsonResponse(description: string, schema: JsonSchema): Json {
  return { description, content: { 'application/json': { schema } } }
}

function textResponse(description: string): Json {
  return { description, content: { 'text/plain; charset=utf-8': { schema: { type: 'string' } } } }
}

/** Responses for error codes, those with one status together; every route may also have a fault of its own. */
function problemResponses(codes: readonly (keyof typeof ERROR_STATUSES)[]): {
  readonly [status: string]: Json
} {
  const byStatus: Record<string, string[]> = { '500': ['INTERNAL'] }
  for (const code of codes) (byStatus[String(ERROR_STATUSES[code]?.status)] ??= []).push(code)
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, list]) => [
      status,
      {
        description: list
          .sort()
          .map((code) => `\`${code}\`: ${ERROR_CODES[code as keyof typeof ERROR_CODES]}`)
          .join(' '),
        content: { 'application/problem+json': { schema: ref('Problem') } },
      },
    ]),
  )
}

import { CONDITIONS } from '../membership/condition.ts'
import { ERROR_STATUSES } from './error-body.ts'
import type { HttpLimits } from './limits.ts'

/** A JSON Schema (2020-12) as plain data. */
export type JsonSchema = { readonly [keyword: string]: JsonSchemaValue }
type JsonSchemaValue = string | number | boolean | null | readonly JsonSchemaValue[] | JsonSchema

const text: JsonSchema = { type: 'string' }
const share: JsonSchema = { type: 'number', minimum: 0, maximum: 1 }
const digest: JsonSchema = {
  type: 'string',
  pattern: '^[0-9a-f]{16}$',
  description: 'Equal on two members exactly when their rings are.',
}
const epoch: JsonSchema = {
  type: 'integer',
  minimum: 0,
  description: "The answering process's count of ring changes; it compares within one process only.",
}
const state = { digest, epoch }

const nodeFields = {
  name: text,
  address: { type: 'string', description: 'IP without brackets, or a host name.' },
  port: { type: 'integer', minimum: 0, maximum: 65_535, description: "The application's port." },
  ringKey: { type: 'string', minLength: 1 },
  weight: { type: 'integer', minimum: 1 },
  zone: text,
}

/** An object with these fields and no others; all of them required but the `optional` ones. */
function object(fields: JsonSchema, optional: readonly string[] = []): JsonSchema {
  return {
    type: 'object',
    properties: fields,
    required: Object.keys(fields).filter((name) => !optional.includes(name)),
    additionalProperties: false,
  }
}

function list(items: JsonSchema): JsonSchema {
  return { type: 'array', items }
}

const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` })
const orNull = (type: string): JsonSchema => ({ type: [type, 'null'] })
const UNREACHED = ['name', 'address', 'port', 'zone']

/** The schemas of everything that the `v1` routes take and give. */
export function apiSchemas(limits: HttpLimits): JsonSchema {
  return {
    Node: object(nodeFields, UNREACHED),
    RingNode: object(
      { ...nodeFields, share: { ...share, description: 'Fraction of the circle.' } },
      UNREACHED,
    ),
    OwnerAnswer: object({ owner: ref('Node'), ...state }),
    OwnersAnswer: object({ owners: list(ref('Node')), ...state }),
    OwnersQuestion: object(
      {
        keys: { type: 'array', items: { type: 'string', minLength: 1 }, maxItems: limits.maxBatchKeys },
        n: { type: 'integer', minimum: 1, maximum: limits.maxOwners, default: 1 },
      },
      ['n'],
    ),
    BatchAnswer: object({
      nodes: { ...list(ref('Node')), description: 'Each node that owns one of the keys, once.' },
      owners: {
        ...list(list({ type: 'integer', minimum: 0 })),
        description: 'For each key, in the order asked, the indexes of its owners in `nodes`.',
      },
      ...state,
    }),
    RingAnswer: object({
      nodes: { ...list(ref('RingNode')), description: 'In the byte order of ring keys.' },
      ...state,
      sinceChangeMs: {
        type: 'integer',
        minimum: 0,
        description: 'Milliseconds since the ring last changed.',
      },
    }),
    Member: object({
      name: text,
      address: text,
      port: { type: 'integer', minimum: 0, maximum: 65_535, description: "The membership protocol's port." },
      state: { type: 'string', enum: ['alive', 'suspect', 'dead', 'left'] },
      stateSince: { type: 'string', format: 'date-time' },
      stateSinceMs: { type: 'number', description: 'Milliseconds since the Unix epoch.' },
      self: { type: 'boolean', description: 'Whether it is the member that answers.' },
      ringKey: orNull('string'),
      weight: orNull('integer'),
      zone: orNull('string'),
      onRing: { type: 'boolean' },
      offRingReason: {
        anyOf: [
          { type: 'null' },
          object({
            code: {
              type: 'string',
              enum: ['STATE_DEAD', 'STATE_LEFT', 'METADATA_MISSING', 'RING_KEY_TAKEN', 'RING_BEHIND'],
            },
            message: text,
          }),
        ],
      },
    }),
    MembersAnswer: object({
      members: { ...list(ref('Member')), description: 'By name.' },
      source: object({
        kind: text,
        condition: { type: 'string', enum: Object.keys(CONDITIONS) },
        ok: { type: 'boolean' },
        message: text,
      }),
      ...state,
    }),
    PlanAnswer: object({
      before: digest,
      after: digest,
      movedShare: { ...share, description: 'Fraction of the circle that gets another owner.' },
      moves: list(object({ from: orNull('string'), to: orNull('string'), share })),
      maxMeanBefore: { type: 'number', minimum: 0, description: 'The largest share over the mean one.' },
      maxMeanAfter: { type: 'number', minimum: 0 },
      shares: list(object({ ringKey: text, before: share, after: share })),
      ...state,
    }),
    Problem: object({
      type: { type: 'string', format: 'uri' },
      title: text,
      status: { type: 'integer' },
      detail: text,
      code: { type: 'string', enum: [...Object.keys(ERROR_STATUSES), 'INTERNAL'].sort() },
    }),
  }
}

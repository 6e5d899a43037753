import { CHANGE_CAUSES } from '../manager/change-record.ts'
import { CONDITIONS } from '../membership/condition.ts'
import { CHECK_VERDICTS } from '../service/ownership.ts'
import { AGREEMENT_VERDICTS } from './agreement.ts'
import { ERROR_STATUSES } from './error-body.ts'
import type { HttpLimits } from './limits.ts'
import { OFF_RING_REASONS } from './member-answer.ts'

/** A JSON Schema (2020-12) as plain data. */
export type JsonSchema = { readonly [keyword: string]: JsonSchemaValue }
type JsonSchemaValue = string | number | boolean | null | readonly JsonSchemaValue[] | JsonSchema

export const text: JsonSchema = { type: 'string' }
export const flag: JsonSchema = { type: 'boolean' }
export const count: JsonSchema = { type: 'integer', minimum: 0 }

/** The same schema with what it means. */
export function described(schema: JsonSchema, description: string): JsonSchema {
  return { ...schema, description }
}

export const share: JsonSchema = { type: 'number', minimum: 0, maximum: 1 }
export const DIGEST = '^[0-9a-f]{16}$'
export const digest: JsonSchema = {
  type: 'string',
  pattern: DIGEST,
  description: 'Equal on two members exactly when their rings are.',
}
const epoch: JsonSchema = described(
  count,
  "The answering process's count of ring changes; it compares within one process only.",
)
const unsure: JsonSchema = described(
  flag,
  'True while the ring may be old, because the member that answers was stopped or cut off; else left out.',
)
const ringVersion: JsonSchema = {
  type: 'integer',
  minimum: 1,
  description:
    'Puts the rings of one name in order, the higher one being the newer; only of rings that are known by name, once their status says it.',
}
const ringUid: JsonSchema = described(
  text,
  'Beside `version`: the `metadata.uid` of the HashRing, for which alone versions are in order.',
)
const state = { digest, epoch, unsure, version: ringVersion, uid: ringUid }

/** Fields of the state that are not in every answer. */
const OF_SOME: readonly string[] = ['unsure', 'version', 'uid', 'next', 'handover']

/** A place on the circle; a stretch has its `start` and not its `end`. */
const hash: JsonSchema = { type: 'integer', minimum: 0, maximum: 2 ** 32 }

const nodeFields = {
  name: text,
  address: described(text, 'IP without brackets, or a host name.'),
  port: { type: 'integer', minimum: 0, maximum: 65_535, description: "The application's port." },
  ringKey: { type: 'string', minLength: 1 },
  weight: { type: 'integer', minimum: 1 },
  zone: text,
}

/**
 * An object with these fields, all of them required but the `optional` ones. Answers may have more: a newer member may
 * add fields, and a client that was generated from an older description must take its answers.
 */
export function object(fields: JsonSchema, optional: readonly string[] = []): JsonSchema {
  return {
    type: 'object',
    properties: fields,
    required: Object.keys(fields).filter((name) => !OF_SOME.includes(name) && !optional.includes(name)),
  }
}

/** One of these words, or one that a newer member adds: no `enum`, as generated clients refuse what it lacks. */
export function word(known: readonly string[]): JsonSchema {
  return { type: 'string', description: `Known so far: ${known.join(', ')}.`, examples: known }
}

export function list(items: JsonSchema): JsonSchema {
  return { type: 'array', items }
}

/** A schema of the document by name. */
export const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` })
const next: JsonSchema = described(
  ref('Node'),
  'Who will own the key once it is warm: only while a hand-over is moving it.',
)
export const orNull = (type: string): JsonSchema => ({ type: [type, 'null'] })
const UNREACHED = ['name', 'address', 'port', 'zone']

/** The schemas of everything that the `v1` routes take and give. */
export function apiSchemas(limits: HttpLimits): JsonSchema {
  return {
    Node: object(nodeFields, UNREACHED),
    RingNode: object({ ...nodeFields, share: described(share, 'Fraction of the circle.') }, UNREACHED),
    OwnerAnswer: object({ owner: ref('Node'), next, ...state }),
    OwnersAnswer: object({ owners: list(ref('Node')), next, ...state }),
    CheckAnswer: object({
      verdict: word(CHECK_VERDICTS),
      mine: described(flag, 'Whether the member that answers owns the key, by its own ring.'),
      owner: ref('Node'),
      ...state,
    }),
    OwnersQuestion: {
      ...object(
        {
          keys: { type: 'array', items: { type: 'string', minLength: 1 }, maxItems: limits.maxBatchKeys },
          n: { type: 'integer', minimum: 1, maximum: limits.maxOwners, default: 1 },
        },
        ['n'],
      ),
      additionalProperties: false,
    },
    BatchAnswer: object({
      nodes: described(list(ref('Node')), 'Each node that owns one of the keys, or will own it, once.'),
      owners: described(
        list(list(count)),
        'For each key, in the order asked, the indexes of its owners in `nodes`.',
      ),
      next: {
        ...list({ type: ['integer', 'null'], minimum: 0 }),
        description:
          'Only during a hand-over: for each key, the index in `nodes` of who will own it; null where it does not move.',
      },
      ...state,
    }),
    RingAnswer: object({
      nodes: described(list(ref('RingNode')), 'In the byte order of ring keys.'),
      ...state,
      sinceChangeMs: described(count, 'Milliseconds since the ring last changed.'),
    }),
    RingEvent: {
      allOf: [ref('RingAnswer'), object({ changes: list(ref('RingChange')) })],
      description: 'The data of the events `ring`.',
    },
    RingChange: object({
      epoch: described(epoch, 'The epoch that the change began.'),
      timeMs: { type: 'number', description: 'Milliseconds since the Unix epoch.' },
      cause: word(Object.keys(CHANGE_CAUSES)),
      node: described(text, 'Ring key of the node; of several the first in byte order.'),
      count: described(count, 'How many nodes came, went or changed for this cause.'),
      movedShare: described(share, 'Fraction of the circle that got another owner by it.'),
    }),
    ChangesAnswer: object({
      changes: {
        ...list({ allOf: [ref('RingChange'), object({ before: digest, after: digest })] }),
        description: 'The newest first, with the digests of the rings before and after.',
      },
      ...state,
    }),
    AgreementAnswer: object({
      agreed: described(
        flag,
        'Whether every other living member answered, and has the ring of the one that answers.',
      ),
      askedAtMs: { type: 'number', description: 'Milliseconds since the Unix epoch.' },
      members: described(list(ref('AskedMember')), 'The other living members, by name.'),
      ...state,
    }),
    AskedMember: object({
      name: text,
      url: described(orNull('string'), 'Where it was asked.'),
      verdict: word(Object.keys(AGREEMENT_VERDICTS)),
      digest: { oneOf: [{ type: 'null' }, digest] },
      error: { oneOf: [{ type: 'null' }, object({ code: text, message: text })] },
    }),
    OwnedEvent: {
      ...object({
        node: text,
        ringKey: orNull('string'),
        stretches: list(object({ start: hash, end: hash })),
        ...state,
      }),
      description: 'The data of the event `owned`: all stretches of the node.',
    },
    MovedEvent: {
      ...object({
        node: text,
        ringKey: orNull('string'),
        gained: list(object({ start: hash, end: hash, from: orNull('string') })),
        lost: list(object({ start: hash, end: hash, to: orNull('string') })),
        before: digest,
        after: digest,
        changes: list(ref('RingChange')),
        nodes: described(list(ref('Node')), 'The nodes that `from` and `to` name.'),
        ...state,
      }),
      description: 'The data of the events `moved`: how the newest ring differs from the one sent before.',
    },
    Member: object({
      name: text,
      address: text,
      port: { type: 'integer', minimum: 0, maximum: 65_535, description: "The membership protocol's port." },
      state: word(['alive', 'suspect', 'dead', 'left']),
      stateSince: { type: 'string', format: 'date-time' },
      stateSinceMs: { type: 'number', description: 'Milliseconds since the Unix epoch.' },
      self: described(flag, 'Whether it is the member that answers.'),
      ringKey: orNull('string'),
      weight: orNull('integer'),
      zone: orNull('string'),
      version: described(orNull('string'), "Of the member's ringman."),
      handover: described(
        word(['pending', 'releasing', 'weighing']),
        'The phase of its hand-over; left out while there is none.',
      ),
      onRing: flag,
      offRingReason: { oneOf: [{ type: 'null' }, ref('OffRingReason')] },
    }),
    OffRingReason: object({ code: word(Object.keys(OFF_RING_REASONS)), message: text }),
    MembersAnswer: object({
      members: described(list(ref('Member')), 'By name.'),
      source: ref('SourceHealth'),
      ...state,
    }),
    SourceHealth: object({ kind: text, condition: word(Object.keys(CONDITIONS)), ok: flag, message: text }),
    PlanAnswer: object({
      before: digest,
      after: digest,
      movedShare: described(share, 'Fraction of the circle that gets another owner.'),
      moves: list(ref('Move')),
      maxMeanBefore: { type: 'number', minimum: 0, description: 'The largest share over the mean one.' },
      maxMeanAfter: { type: 'number', minimum: 0 },
      shares: list(ref('PlannedShare')),
      ...state,
    }),
    Move: object({ from: orNull('string'), to: orNull('string'), share }),
    PlannedShare: object({ ringKey: text, before: share, after: share }),
    RingsAnswer: object({ rings: list(ref('NamedRing')) }),
    NamedRing: object({
      name: described(text, '`NAMESPACE/NAME` of the HashRing.'),
      accepted: flag,
      reason: described(orNull('string'), 'Why it makes no ring.'),
      ring: {
        oneOf: [
          { type: 'null' },
          object({
            digest,
            fingerprint: described(digest, 'Of all fields of the nodes, addresses too.'),
            version: orNull('integer'),
            epoch,
            nodes: count,
            ringKey: word(['name', 'address']),
            held: described(count, 'Members that keep their place although they do not serve.'),
            braked: described(
              flag,
              'Whether it stays as it is, because too many nodes stopped serving at once.',
            ),
            condition: word(Object.keys(CONDITIONS)),
            ok: flag,
            message: text,
          }),
        ],
      },
    }),
    Problem: object({
      type: { type: 'string', format: 'uri' },
      title: text,
      status: { type: 'integer' },
      detail: text,
      code: word([...Object.keys(ERROR_STATUSES), 'INTERNAL'].sort()),
    }),
  }
}

import { CONDITIONS } from '../membership/condition.ts'
import { MAX_EVICTION_MS, WEIGHT_LIMIT } from '../membership/member.ts'
import { ACTIONS, DEFAULT_EVICTION_MS, type Action } from '../service/operations.ts'
import { FIELDS, TEXT_LIMIT } from './admin-actions.ts'
import type { HttpLimits } from './limits.ts'
import {
  apiSchemas,
  count,
  described,
  digest,
  flag,
  list,
  object,
  orNull,
  ref,
  share,
  text,
  word,
  type JsonSchema,
} from './openapi-schemas.ts'
import {
  BODY_PROBLEMS,
  documentOf,
  documentOperations,
  inQuery,
  jsonResponse,
  lookUpPaths,
  operations,
  problemResponses,
  reading,
  type Json,
  type Paths,
} from './openapi.ts'
import { MAX_PEERS } from './report-routes.ts'

/**
 * The OpenAPI 3.1 document of the admin port.
 *
 * @param version - This program's version.
 * @param lookUps - The look-ups that the port answers too, where it has the page. @default none
 */
export function describeAdminApi(
  limits: HttpLimits,
  version: string,
  lookUps?: { readonly hasNamedRings: boolean },
): Json {
  const paths = {
    ...(lookUps === undefined ? {} : lookUpPaths(limits, lookUps.hasNamedRings)),
    ...adminPaths(),
  }
  return documentOf(version, 'What orchestrators, monitoring and operators ask of one member.', paths, {
    schemas: { ...apiSchemas(limits), ...adminSchemas() },
    securitySchemes: {
      token: { type: 'http', scheme: 'bearer', description: 'What the file of `--token-file` holds.' },
    },
  })
}

const GUARDED = ['UNAUTHORIZED', 'FORBIDDEN', 'NOT_FOUND'] as const
const SECURITY: Json = [{ token: [] }]
const PEER_COUNT = { type: 'integer', minimum: 1, maximum: MAX_PEERS, default: MAX_PEERS }

function adminPaths(): Paths {
  return {
    '/livez': probe('Live', 'Whether the process works; if not, it has to be restarted', 'LiveAnswer'),
    '/readyz': probe('Ready', 'Whether it is ready for look-ups, with the reasons', 'ReadyAnswer'),
    '/metrics': reading('Metrics', {
      summary: "Metrics in Prometheus's text format, or in OpenMetrics by `Accept`",
      schema: text,
      contentType: 'text/plain; version=0.0.4; charset=utf-8',
      problems: [],
    }),
    '/v1/report': reading('Report', {
      summary: 'What `ringman doctor` compares; no key and no token',
      schema: ref('ReportAnswer'),
    }),
    '/v1/reach': reading('Reach', {
      summary: 'Whether other members answer this one over UDP and TCP',
      parameters: [inQuery('peers', 'How many are asked at most.', PEER_COUNT)],
      schema: ref('ReachAnswer'),
      problems: ['PARAMETER_INVALID', 'OVERLOADED'],
    }),
    '/v1/admin': reading('Admin', {
      summary: 'What this member is, and what it can be asked to do',
      security: SECURITY,
      schema: ref('AdminAnswer'),
      problems: ['PARAMETER_INVALID', ...GUARDED],
    }),
    ...Object.fromEntries(
      ACTIONS.map((action) => [`/v1/admin/${action}`, { post: actionOperation(action) }]),
    ),
    '/openapi.json': documentOperations(),
  }
}

/** A probe answers the same when it is not well, as 503. */
function probe(id: string, summary: string, schema: string) {
  const answers = { '200': jsonResponse('Yes.', ref(schema)), '503': jsonResponse('No.', ref(schema)) }
  return operations(id, { summary }, { ...problemResponses([]), ...answers })
}

const SUMMARIES: Readonly<Record<Action, string>> = {
  forget: 'Take a member that is dead or left off the list',
  evict: 'Have a member leave, and not take it back for a time',
  drain: 'Take this member off the ring; it gossips on and answers',
  return: 'Undo a drain',
  weight: 'Change the share of this member until it is restarted',
  reload: 'Read the keyring file and the label file now',
}

const FIELD_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  name: { type: 'string', maxLength: TEXT_LIMIT, description: 'Of the member.' },
  weight: { type: 'integer', minimum: 1, maximum: WEIGHT_LIMIT },
  forMs: { type: 'integer', minimum: 1, maximum: MAX_EVICTION_MS, default: DEFAULT_EVICTION_MS },
}

function actionOperation(action: Action) {
  const logged: JsonSchema = { type: 'string', maxLength: TEXT_LIMIT, description: 'For the log.' }
  const fields = Object.fromEntries(FIELDS[action].map((name) => [name, FIELD_SCHEMAS[name]!]))
  const optional = {
    reason: logged,
    by: logged,
    dryRun: { type: 'boolean', default: false, description: 'Only say what would happen.' },
    relayed: { type: 'boolean', default: false, description: 'For members that pass an eviction on.' },
  }
  const body = object({ ...fields, ...optional }, ['forMs', ...Object.keys(optional)])
  return {
    operationId: `post${action.charAt(0).toUpperCase()}${action.slice(1)}`,
    summary: SUMMARIES[action],
    security: SECURITY,
    requestBody: {
      required: true,
      content: { 'application/json': { schema: { ...body, additionalProperties: false } } },
    },
    responses: {
      '200': jsonResponse('What came of it, or would come of it.', ref('ActionAnswer')),
      ...problemResponses([...BODY_PROBLEMS, 'ACTION_REFUSED', ...GUARDED]),
    },
  }
}

function adminSchemas(): JsonSchema {
  return {
    LiveAnswer: object({ live: flag, message: text }),
    ReadyAnswer: object({
      ready: flag,
      message: text,
      checks: list(object({ name: text, ok: flag, message: text })),
    }),
    AdminAnswer: object({
      name: orNull('string'),
      source: text,
      keyed: described(flag, 'Whether its gossip is encrypted.'),
      drained: flag,
      weight: { type: 'integer', minimum: 1 },
      actions: list(word(ACTIONS)),
    }),
    ActionAnswer: object({
      action: word(ACTIONS),
      member: described(text, 'The member that it is about.'),
      dryRun: flag,
      changed: described(flag, 'False where nothing was to be done.'),
      message: text,
      movedShare: described(share, 'Fraction of the circle that gets another owner.'),
      moves: described(list(ref('Move')), 'The largest.'),
      details: described(
        list(text),
        'A sentence for each other member that was told, or for each file that was read.',
      ),
    }),
    ReachAnswer: object({
      peers: list(
        object({ name: text, udp: described(orNull('boolean'), 'Null where UDP is not used.'), tcp: flag }),
      ),
    }),
    ReportAnswer: object({
      name: text,
      version: text,
      node: described(text, 'Version of Node.js.'),
      timeMs: { type: 'integer', description: 'Milliseconds since the Unix epoch.' },
      uptimeMs: count,
      source: text,
      condition: word(Object.keys(CONDITIONS)),
      ok: flag,
      message: text,
      ready: flag,
      failing: described(list(text), 'What readiness misses.'),
      digest,
      nodes: count,
      ringKey: text,
      settings: { type: 'object', description: 'By the keys of the configuration file; nothing secret.' },
      unusableFiles: described(list(object({ what: text, reason: text })), 'As they are now.'),
      gossip: {
        ...object({
          address: orNull('string'),
          port: orNull('integer'),
          label: described(text, 'The one that is sent; empty for none.'),
          otherLabels: described(list(text), 'Labels that are accepted as well.'),
          clusterName: orNull('string'),
          keys: described(list(text), 'Names of the keys, the one that encrypts first.'),
          requireEncryption: flag,
          drops: { type: 'object', additionalProperties: count },
          lastDrops: described(
            list(object({ reason: text, from: text, agoMs: count })),
            'The last one for each reason.',
          ),
          contested: list(object({ name: text, places: list(text) })),
          seedAddresses: list(text),
          seedRefusals: described(
            list(text),
            'Those of them that answer and refuse this member, or are refused by it.',
          ),
          seedFailures: list(object({ seed: text, reason: text })),
          evicted: list(object({ name: text, forMs: count })),
        }),
        type: ['object', 'null'],
      },
      members: list(
        object({
          name: text,
          address: text,
          port: count,
          state: text,
          httpPort: orNull('integer'),
          adminPort: orNull('integer'),
          level: count,
          drained: flag,
          weight: described(orNull('integer'), 'Null where its metadata does not decode.'),
        }),
      ),
    }),
  }
}

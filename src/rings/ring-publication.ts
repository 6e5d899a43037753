import type { ApiClient } from '../kubernetes/api-client.ts'
import { apiError, apiErrorKindOf } from '../kubernetes/api-error.ts'
import { isObject } from '../is-object.ts'
import type { HashRing } from '../ring/hash-ring.ts'
import type { RingNode } from '../ring/node.ts'
import { formatHostPort } from '../addresses.ts'
import {
  HASH_RING_GROUP,
  HASH_RING_TYPE,
  type HashRingResource,
  type RingPublication,
} from './hash-ring-resource.ts'

const CONFIG_MAPS = { group: '', version: 'v1', plural: 'configmaps' }

/** An annotation of the ConfigMap: the `metadata.uid` of the HashRing whose it is. */
const OWNER = `${HASH_RING_GROUP}/hash-ring`
/** The same for the version of the ring in it. */
const VERSION = `${HASH_RING_GROUP}/version`

/**
 * Writes the ring of a HashRing to its ConfigMap. A ConfigMap that belongs to somebody else is left as it is, and so is a
 * newer ring in it. It is read by patches that change nothing, so that no right to read ConfigMaps is needed.
 *
 * @returns False for a ring that is better not written.
 * @throws {RingmanError} See `ApiErrorKind`; `conflict` when somebody wrote it meanwhile.
 */
export async function publishRing(
  client: ApiClient,
  resource: HashRingResource,
  publication: RingPublication,
  ring: HashRing,
  version: number,
  signal: AbortSignal,
): Promise<boolean> {
  const { configMap: name, key, format } = publication
  const { namespace, uid, localName } = resource
  // Thanos Receive ends when its hashring has no endpoints.
  if (format === 'Thanos' && ring.size === 0) return false
  const text = format === 'Thanos' ? thanosHashrings(localName, ring) : ringJson(ring, version)
  const isOurs = { op: 'test', path: pointer('metadata', 'annotations', OWNER), value: uid }
  const target = { kind: CONFIG_MAPS, namespace }
  const patch = (operations: readonly object[]) =>
    client.write({ ...target, name, type: 'application/json-patch+json', body: operations }, signal)
  let found: ReturnType<typeof foundMap>
  try {
    found = foundMap(await patch([isOurs]))
  } catch (error) {
    const kind = apiErrorKindOf(error)
    if (kind === 'invalid') throw notOurs(resource, name, error)
    if (kind !== 'not-found') throw error
    const body = configMapOf(resource, name, version, { [key]: text })
    await client.write({ ...target, type: 'application/json', body }, signal)
    return true
  }
  const isSaid = isObject(found.data) && found.data[key] === text && Object.keys(found.data).length === 1
  if (found.version > version || (found.version === version && isSaid)) return true
  await patch([
    isOurs,
    // Given, and not only tested: the API server then refuses with a conflict what somebody wrote meanwhile.
    { op: 'replace', path: pointer('metadata', 'resourceVersion'), value: found.resourceVersion },
    { op: 'add', path: pointer('metadata', 'annotations', VERSION), value: String(version) },
    { op: 'add', path: pointer('data'), value: { [key]: text } },
  ])
  return true
}

/** It goes with the HashRing. */
function configMapOf(
  { localName, uid }: HashRingResource,
  name: string,
  version: number,
  data: Readonly<Record<string, string>>,
): object {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name,
      labels: { 'app.kubernetes.io/managed-by': 'ringman' },
      annotations: { [OWNER]: uid, [VERSION]: String(version) },
      ownerReferences: [{ ...HASH_RING_TYPE, name: localName, uid }],
    },
    data,
  }
}

/** What a ConfigMap of ours has. */
function foundMap({ metadata, data }: Readonly<Record<string, unknown>>) {
  const { resourceVersion, annotations } = isObject(metadata) ? metadata : {}
  const version = Number(isObject(annotations) ? annotations[VERSION] : 0)
  return {
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
    version: Number.isSafeInteger(version) ? version : 0,
    data,
  }
}

function notOurs({ namespace, localName, uid }: HashRingResource, name: string, cause: unknown) {
  return apiError(
    'invalid',
    `the ConfigMap ${name} is there already and does not belong to this HashRing: set spec.publish.configMap to another name, ` +
      `or delete it, or give it away, data and all: kubectl -n ${namespace} annotate configmap ${name} --overwrite ${OWNER}=${uid} (the uid of ${localName})`,
    { cause },
  )
}

/** A JSON pointer (RFC 6901). */
function pointer(...fields: readonly string[]): string {
  return fields.map((field) => `/${field.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/** The ring as `/v1/ring` tells it, without what changes by itself. */
function ringJson(ring: HashRing, version: number): string {
  const shares = ring.shares()
  const nodes = ring.nodes.map((node) => ({ ...node, share: shares.get(node.ringKey) ?? 0 }))
  return `${JSON.stringify({ nodes, digest: ring.digest, version }, undefined, 1)}\n`
}

/**
 * The file that Thanos Receive reads with `--receive.hashrings-file`: one hashring for all tenants.
 *
 * @see https://thanos.io/tip/components/receive.md/#hashring-management-and-autoscaling-in-kubernetes
 */
function thanosHashrings(name: string, ring: HashRing): string {
  return `${JSON.stringify([{ hashring: name, endpoints: ring.nodes.map(endpointOf) }], undefined, 1)}\n`
}

function endpointOf({ address = '', port = 0 }: RingNode): string {
  return formatHostPort({ address, port })
}

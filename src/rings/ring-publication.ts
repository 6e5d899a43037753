import type { HashRing } from '../ring/hash-ring.ts'
import type { RingNode } from '../ring/node.ts'
import { formatHostPort } from '../seeds/seed.ts'
import {
  HASH_RING_GROUP,
  HASH_RINGS,
  type HashRingResource,
  type RingPublication,
} from './hash-ring-resource.ts'

/** The ConfigMap that a ring is written to, as a field manager applies it. It goes with the HashRing. */
export function publicationOf(
  resource: HashRingResource,
  { configMap, key, format }: RingPublication,
  ring: HashRing,
  version: number,
): object {
  const { localName: name } = resource
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: configMap,
      labels: { 'app.kubernetes.io/managed-by': 'ringman' },
      annotations: { [`${HASH_RING_GROUP}/version`]: String(version) },
      ownerReferences: [
        {
          apiVersion: `${HASH_RING_GROUP}/${HASH_RINGS.version}`,
          kind: 'HashRing',
          name,
          uid: resource.uid,
        },
      ],
    },
    data: { [key]: format === 'Thanos' ? thanosHashrings(name, ring) : ringJson(ring, version) },
  }
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

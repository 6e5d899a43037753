import { rowsWith } from '../metric.ts'

/** Whose ring it is. The names are not `namespace` and `ring`, because Prometheus gives targets a `namespace` of their own. */
const LABELS = {
  ring_namespace: 'The namespace of the HashRing.',
  ring: 'The name of the HashRing.',
} as const

/** Rings of HashRings: each has series of its own, which go with it. */
export const HASH_RING_METRICS = {
  ...rowsWith({ scope: 'hash-rings' })({
    hashRings: {
      name: 'ringman_hash_rings',
      labels: {
        state: {
          well: 'It follows its Service.',
          braked: 'Its brake is on: it stays as it is.',
          stale: 'The API server has brought no news of its Service for too long.',
          'not-accepted': 'Its spec makes no ring, or its Service has no endpoints that fit it.',
          waiting: 'Its EndpointSlices are not known yet.',
        },
      },
      meaning: 'HashRings that this process knows, by state.',
      reading: 'The same on every pod, but for the seconds of a change.',
      query: 'max by (namespace, state) (ringman_hash_rings)',
    },
    hashRingsOmitted: {
      name: 'ringman_hash_rings_without_series',
      meaning: 'HashRings that have no series of their own below, because there are more than 2,000.',
      reading: 'Those that are not well have series first.',
    },
    hashRingStatusWrites: {
      name: 'ringman_hash_ring_status_writes_total',
      meaning: 'Statuses of HashRings that this process wrote.',
      reading: 'One or two for each change of an endpoint; one every ten seconds where a workload flaps.',
      query: 'sum by (namespace) (rate(ringman_hash_ring_status_writes_total[5m]))',
    },
  }),
  ...rowsWith({ scope: 'hash-rings', labels: LABELS })({
    hashRingAccepted: {
      name: 'ringman_hash_ring_accepted',
      meaning: 'Whether the HashRing makes a ring: 1, else 0.',
      reading: 'The condition `Accepted` of the HashRing says why it does not.',
    },
    hashRingBraked: {
      name: 'ringman_hash_ring_braked',
      meaning: 'Whether its brake is on: 1, else 0.',
      reading: 'The ring then stays as it is, and names nodes that do not serve.',
    },
    hashRingSettled: {
      name: 'ringman_hash_ring_settled',
      meaning: 'Whether all pods hold the same ring: 1, else 0; only from the pod that writes the status.',
      reading: '0 only after five seconds of difference. The condition `Settled` names the pods.',
    },
    hashRingVersion: {
      name: 'ringman_hash_ring_version',
      meaning: "The version of the ring that is held; not there while the ring's status does not tell of it.",
      query:
        'max by (ring_namespace, ring) (ringman_hash_ring_version) - min by (ring_namespace, ring) (ringman_hash_ring_version)',
    },
    hashRingNodes: { name: 'ringman_hash_ring_nodes', meaning: 'Nodes on the ring.' },
    hashRingHeldNodes: {
      name: 'ringman_hash_ring_held_nodes',
      meaning: 'Nodes on the ring that do not serve just now, and keep their place while they restart.',
    },
    hashRingBalanceRatio: {
      name: 'ringman_hash_ring_balance_ratio',
      meaning: 'The largest share as a multiple of the mean one; 0 for an empty ring.',
    },
    hashRingChanges: {
      name: 'ringman_hash_ring_changes_total',
      meaning: 'Changes of the ring in this process.',
      query:
        'max by (ring_namespace, ring) (sum by (ring_namespace, ring, pod) (increase(ringman_hash_ring_changes_total[10m])))',
    },
    hashRingKeysMoved: {
      name: 'ringman_hash_ring_keys_moved_ratio_total',
      meaning: 'Fractions of all keys that got another owner, added up.',
      reading: '0.2 means that every fifth key has a new owner.',
    },
    hashRingLastChange: {
      name: 'ringman_hash_ring_last_change_timestamp_seconds',
      meaning:
        'When the ring changed last, in seconds since the Unix epoch; not there before the first change.',
    },
  }),
}

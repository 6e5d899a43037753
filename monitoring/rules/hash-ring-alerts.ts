import { RELEASE, type AlertGroup } from './alert-rule.ts'

const HASH_RING = '{{ $labels.ring_namespace }}/{{ $labels.ring }}'

const perRing = (aggregation: 'max' | 'min', metric: string) =>
  `${aggregation} by (namespace, release, ring_namespace, ring) (${metric})`

/** Do the rings of HashRings follow their Services, and are they the same everywhere? */
export const HASH_RING_ALERTS: AlertGroup = {
  name: 'ringman-hash-rings',
  rules: [
    {
      alert: 'RingmanHashRingBraked',
      severity: 'critical',
      for: '1m',
      expr: `
${perRing('max', 'ringman_hash_ring_held_nodes')}
and
(${perRing('max', 'ringman_hash_ring_braked')} == 1)`,
      summary: `The brake of the HashRing ${HASH_RING}, served by ${RELEASE}, is on.`,
      description:
        'Too many of its nodes stopped serving at once, and the ring stays as it was: {{ $value }} of its nodes do not serve, and look-ups name them all the same.',
    },
    {
      alert: 'RingmanHashRingNotSettled',
      severity: 'warning',
      for: '2m',
      expr: `${perRing('min', 'ringman_hash_ring_settled')} == 0`,
      summary: `Pods of ${RELEASE} hold different rings of the HashRing ${HASH_RING}.`,
      description:
        'For 2 minutes a pod has held another ring than the one that writes the status, or has not answered it. Callers get different owners for the same key.',
    },
    {
      alert: 'RingmanHashRingNotAccepted',
      severity: 'warning',
      for: '5m',
      expr: `${perRing('max', 'ringman_hash_ring_accepted')} == 0`,
      summary: `The HashRing ${HASH_RING} makes no ring at ${RELEASE}.`,
      description:
        'Its spec, its Service or its port is not what is allowed, for 5 minutes. The condition Accepted of the HashRing says why.',
    },
  ],
}

import type { AlertGroup, AlertRule } from './alert-rule.ts'

/** The HashRing, and the release that serves it. */
const RING = '{{ $labels.ring_namespace }}/{{ $labels.ring }}'
const BY = '{{ $labels.namespace }}/{{ $labels.release }}'

const perRing = (aggregation: 'max' | 'min', metric: string) =>
  `${aggregation} by (namespace, release, ring_namespace, ring) (${metric})`

const braked: AlertRule = {
  alert: 'RingmanHashRingBraked',
  severity: 'critical',
  for: '1m',
  expr: () => `
${perRing('max', 'ringman_hash_ring_held_nodes')}
and
(${perRing('max', 'ringman_hash_ring_braked')} == 1)`,
  summary: `The brake of the HashRing ${RING}, served by ${BY}, is on.`,
  description:
    'Too many of its nodes stopped serving at once, and the ring stays as it was: {{ $value }} of its nodes do not serve, and look-ups name them all the same.',
}

const notSettled: AlertRule = {
  alert: 'RingmanHashRingNotSettled',
  severity: 'warning',
  for: '2m',
  expr: () => `
${perRing('min', 'ringman_hash_ring_settled')} == 0`,
  summary: `Pods of ${BY} hold different rings of the HashRing ${RING}.`,
  description:
    'For 2 minutes a pod has held another ring than the one that writes the status, or has not answered it. Callers get different owners for the same key.',
}

const notAccepted: AlertRule = {
  alert: 'RingmanHashRingNotAccepted',
  severity: 'warning',
  for: '5m',
  expr: () => `
${perRing('max', 'ringman_hash_ring_accepted')} == 0`,
  summary: `The HashRing ${RING} makes no ring at ${BY}.`,
  description:
    'Its spec, its Service or its port is not what is allowed, for 5 minutes. The condition Accepted of the HashRing says why.',
}

/** Do the rings of HashRings follow their Services, and are they the same everywhere? */
export const HASH_RING_ALERTS: AlertGroup = {
  name: 'ringman-hash-rings',
  rules: [braked, notSettled, notAccepted],
}

import { closedRings, indent, livingMembers, readyPods, settledDigests } from '../ring-queries.ts'
import { RELEASE, type AlertGroup } from './alert-rule.ts'

const overTime = (aggregation: string, expression: string) =>
  `${aggregation}_over_time((\n${indent(expression)}\n)[5m:30s])`

const changes = (cause: string) =>
  `max by (namespace, release) (\n  sum by (namespace, release, pod) (increase(ringman_ring_changes_total{cause="${cause}"}[30m]))\n)`

const NODES = 'max by (namespace, release) (ringman_ring_nodes)'

const checks = (labels: string) => `sum by (namespace, release) (rate(ringman_checks_total${labels}[5m]))`

/** Without `increase`, which would not see it where a pod's first scrape comes after its move. */
const TIMED_OUT = 'ringman_handovers_total{outcome="timed-out"}'

/** Is the ring whole, the same everywhere, at rest and even? */
export const RING_ALERTS: AlertGroup = {
  name: 'ringman-ring',
  rules: [
    {
      alert: 'RingmanDigestsDiffer',
      severity: 'critical',
      for: '1m',
      expr: `
count by (namespace, release) (
  count by (namespace, release, digest) (
${indent(indent(settledDigests('2m')))}
  )
) > 1`,
      summary: `Pods of ${RELEASE} have different rings.`,
      description:
        'There are {{ $value }} different rings among the pods whose ring has not changed for 2 minutes. Pods with different rings give different owners for the same key.',
    },
    {
      alert: 'RingmanIslands',
      severity: 'critical',
      for: '1m',
      expr: `
count by (namespace, release) (
${indent(closedRings(settledDigests('2m')))}
) > 1`,
      summary: `${RELEASE} has fallen apart into islands.`,
      description:
        'There are {{ $value }} groups of pods, each with a ring of itself alone, for 2 minutes. Each key has an owner in each of them.',
    },
    {
      alert: 'RingmanRingEmpty',
      severity: 'critical',
      for: '1m',
      expr: `${NODES} == 0`,
      summary: `No node is on the ring of ${RELEASE}.`,
      description:
        'No key has an owner, and all look-ups fail. All members were drained at the same time, or the source has none.',
    },
    {
      alert: 'RingmanMembersDifferFromReadyPods',
      severity: 'warning',
      for: '5m',
      expr: `
(
${indent(overTime('min', livingMembers()))}
  > on (namespace, release) group_left ()
${indent(overTime('max', readyPods()))}
)
or
(
${indent(overTime('max', livingMembers()))}
  < on (namespace, release) group_left ()
${indent(overTime('min', readyPods()))}
)`,
      summary: `${RELEASE}: {{ $labels.pod }} has other members than there are ready pods.`,
      description:
        '{{ $labels.pod }} has {{ $value }} living members, and for 5 minutes that has been always more, or always fewer, than there are ready pods.',
    },
    {
      alert: 'RingmanFlapping',
      severity: 'warning',
      for: '1m',
      expr: `
(${changes('dead')} > 4 + ${NODES} / 4)
or
(${changes('removed')} > 4 + 2 * ${NODES})`,
      summary: `Nodes of ${RELEASE} come and go.`,
      description:
        'The ring lost nodes {{ $value | humanize }} times in 30 minutes although they did not leave in order. Each time their keys get other owners, and again when they come back.',
    },
    {
      alert: 'RingmanPodSuspectedWrongly',
      severity: 'warning',
      for: '1m',
      expr: 'sum by (namespace, release, pod) (increase(ringman_gossip_refutations_total[15m])) > 4',
      summary: `{{ $labels.pod }} of ${RELEASE} is declared dead again and again.`,
      description:
        '{{ $labels.pod }} had to refute its death {{ $value | humanize }} times in 15 minutes. It is slow, stalled or badly connected, and close to losing its keys for no reason.',
    },
    {
      alert: 'RingmanShareOutOfBalance',
      severity: 'info',
      for: '15m',
      expr: 'max by (namespace, release) (ringman_ring_balance_ratio) > 1.5',
      summary: `A node of ${RELEASE} owns far more than its part.`,
      description:
        'The largest share is {{ $value | humanize }} times the mean one. With equal weights it stays below 1.4.',
    },
    {
      alert: 'RingmanManagerStuck',
      severity: 'critical',
      for: '5m',
      expr: 'max by (namespace, release, pod) (ringman_manager_up) == 0',
      summary: `The ring of {{ $labels.pod }} of ${RELEASE} no longer changes.`,
      description:
        'The ring manager of {{ $labels.pod }} has not answered for 5 minutes. It goes on answering look-ups from a ring that no longer follows the members.',
    },
    {
      alert: 'RingmanRequestsMisdirected',
      severity: 'warning',
      for: '10m',
      expr: `
${checks('{verdict=~"not-mine|unknown"}')} / ${checks('')} > 0.05
and
${checks('')} > 0.2`,
      summary: `Requests come to the wrong pods of ${RELEASE}.`,
      description:
        '{{ $value | humanizePercentage }} of the requests that were checked for 10 minutes came to a pod that does not own their key, or by a ring that no pod has had. A sender does not follow the ring.',
    },
    {
      alert: 'RingmanHandoverStuck',
      severity: 'warning',
      for: '1m',
      expr: `
max by (namespace, release) (ringman_handover_oldest_seconds) > 300
or
sum by (namespace, release) (
  ${TIMED_OUT} - (${TIMED_OUT} offset 15m or ${TIMED_OUT} * 0)
) > 0`,
      summary: `Keys of ${RELEASE} are not handed over in time.`,
      description:
        'A hand-over has lasted for {{ $value | humanize }} s, or so many ran into their time limit in 15 minutes: keys moved cold, or wait for a member that hangs.',
    },
  ],
}

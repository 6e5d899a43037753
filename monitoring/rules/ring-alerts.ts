import { closedRings, livingMembers, readyPods, settledDigests } from '../ring-queries.ts'
import type { AlertGroup, AlertRule } from './alert-rule.ts'

const RING = '{{ $labels.namespace }}/{{ $labels.release }}'

const digestsDiffer: AlertRule = {
  alert: 'RingmanDigestsDiffer',
  severity: 'critical',
  for: '1m',
  expr: ({ text }) => `
count by (namespace, release) (
  count by (namespace, release, digest) (
    ${at4(settledDigests(text('2m')))}
  )
) > 1`,
  summary: `Pods of ${RING} have different rings.`,
  description:
    'There are {{ $value }} different rings among the pods whose ring has not changed for 2 minutes. Pods with different rings give different owners for the same key.',
}

const islands: AlertRule = {
  alert: 'RingmanIslands',
  severity: 'critical',
  for: '1m',
  expr: ({ text }) => `
count by (namespace, release) (
  ${at2(closedRings(settledDigests(text('2m'))))}
) > 1`,
  summary: `${RING} has fallen apart into islands.`,
  description:
    'There are {{ $value }} groups of pods, each with a ring of itself alone, for 2 minutes. Each key has an owner in each of them.',
}

const membersDiffer: AlertRule = {
  alert: 'RingmanMembersDifferFromReadyPods',
  severity: 'warning',
  for: '5m',
  expr: ({ text }) => {
    const range = `[${text('5m')}:${text('30s')}]`
    const overTime = (aggregation: string, expression: string) =>
      `${aggregation}_over_time((\n  ${at2(expression)}\n)${range})`
    return `
(
  ${at2(overTime('min', livingMembers()))}
  > on (namespace, release) group_left ()
  ${at2(overTime('max', readyPods()))}
)
or
(
  ${at2(overTime('max', livingMembers()))}
  < on (namespace, release) group_left ()
  ${at2(overTime('min', readyPods()))}
)`
  },
  summary: `${RING}: {{ $labels.pod }} has other members than there are ready pods.`,
  description:
    '{{ $labels.pod }} has {{ $value }} living members, and for 5 minutes that has been always more, or always fewer, than there are ready pods.',
}

const flapping: AlertRule = {
  alert: 'RingmanFlapping',
  severity: 'warning',
  for: '1m',
  expr: ({ text }) => {
    const changes = (cause: string) =>
      `max by (namespace, release) (\n  sum by (namespace, release, pod) (increase(ringman_ring_changes_total{cause="${cause}"}[${text('30m')}]))\n)`
    const nodes = 'max by (namespace, release) (ringman_ring_nodes)'
    return `
(${changes('dead')} > 4 + ${nodes} / 4)
or
(${changes('removed')} > 4 + 2 * ${nodes})`
  },
  summary: `Nodes of ${RING} come and go.`,
  description:
    'The ring lost nodes {{ $value | humanize }} times in 30 minutes although they did not leave in order. Each time their keys get other owners, and again when they come back.',
}

const podSuspectedWrongly: AlertRule = {
  alert: 'RingmanPodSuspectedWrongly',
  severity: 'warning',
  for: '1m',
  expr: ({ text }) => `
sum by (namespace, release, pod) (increase(ringman_gossip_refutations_total[${text('15m')}])) > 4`,
  summary: `{{ $labels.pod }} of ${RING} is declared dead again and again.`,
  description:
    '{{ $labels.pod }} had to refute its death {{ $value | humanize }} times in 15 minutes. It is slow, stalled or badly connected, and close to losing its keys for no reason.',
}

const shareOutOfBalance: AlertRule = {
  alert: 'RingmanShareOutOfBalance',
  severity: 'info',
  for: '15m',
  expr: () => `
max by (namespace, release) (ringman_ring_balance_ratio) > 1.5`,
  summary: `A node of ${RING} owns far more than its part.`,
  description:
    'The largest share is {{ $value | humanize }} times the mean one. With equal weights it stays below 1.4.',
}

const managerStuck: AlertRule = {
  alert: 'RingmanManagerStuck',
  severity: 'critical',
  for: '5m',
  expr: () => `
max by (namespace, release, pod) (ringman_manager_up) == 0`,
  summary: `The ring of {{ $labels.pod }} of ${RING} no longer changes.`,
  description:
    'The ring manager of {{ $labels.pod }} has not answered for 5 minutes. It goes on answering look-ups from a ring that no longer follows the members.',
}

const requestsMisdirected: AlertRule = {
  alert: 'RingmanRequestsMisdirected',
  severity: 'warning',
  for: '10m',
  expr: ({ text }) => {
    const checks = (labels: string) =>
      `sum by (namespace, release) (rate(ringman_checks_total${labels}[${text('5m')}]))`
    return `
${checks('{verdict=~"not-mine|unknown"}')} / ${checks('')} > 0.05
and
${checks('')} > 0.2`
  },
  summary: `Requests come to the wrong pods of ${RING}.`,
  description:
    '{{ $value | humanizePercentage }} of the requests that were checked for 10 minutes came to a pod that does not own their key, or by a ring that no pod has had. A sender does not follow the ring.',
}

const handoverStuck: AlertRule = {
  alert: 'RingmanHandoverStuck',
  severity: 'warning',
  for: '1m',
  expr: ({ text }) => {
    // A pod's first scrape may come after its move, so that `increase` would not see it.
    const timedOut = 'ringman_handovers_total{outcome="timed-out"}'
    return `
max by (namespace, release) (ringman_handover_oldest_seconds) > 300
or
sum by (namespace, release) (
  ${timedOut} - (${timedOut} offset ${text('15m')} or ${timedOut} * 0)
) > 0`
  },
  summary: `Keys of ${RING} are not handed over in time.`,
  description:
    'A hand-over has lasted for {{ $value | humanize }} s, or so many ran into their time limit in 15 minutes: keys moved cold, or wait for a member that hangs.',
}

/** Is the ring whole, the same everywhere, at rest and even? */
export const RING_ALERTS: AlertGroup = {
  name: 'ringman-ring',
  rules: [
    digestsDiffer,
    islands,
    membersDiffer,
    flapping,
    podSuspectedWrongly,
    shareOutOfBalance,
    managerStuck,
    requestsMisdirected,
    handoverStuck,
  ],
}

/** For the lines after the first of an expression that stands two steps in. */
function at4(text: string): string {
  return text.replaceAll('\n', '\n    ')
}

/** For the lines after the first of an expression that stands one step in. */
function at2(text: string): string {
  return text.replaceAll('\n', '\n  ')
}

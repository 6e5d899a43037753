import type { Condition } from '../../src/membership/condition.ts'
import { MISFIT_REASONS } from '../ring-queries.ts'
import { RELEASE, type AlertGroup } from './alert-rule.ts'

/** The pods that say of themselves that they are in one of these conditions. */
const inCondition = (...conditions: readonly Condition[]) =>
  `max by (namespace, release, pod) (ringman_condition{condition=~"${conditions.join('|')}"}) == 1`

/** Does every pod hear of the members, and of nobody else? */
export const SOURCE_ALERTS: AlertGroup = {
  name: 'ringman-source',
  rules: [
    {
      alert: 'RingmanNameContested',
      severity: 'critical',
      for: '1m',
      expr: `count by (namespace, release) (${inCondition('contested', 'unlisted')})`,
      summary: `Two processes of ${RELEASE} answer under one name.`,
      description:
        '{{ $value }} pods see two processes with one name at two addresses. Each of the two may take the keys of that name for its own.',
    },
    {
      alert: 'RingmanMemberRefused',
      severity: 'warning',
      for: '1m',
      expr: `count by (namespace, release) (${inCondition('refused')})`,
      summary: `Pods of ${RELEASE} are refused by the other members.`,
      description:
        '{{ $value }} pods find other members, which refuse them: the label, the key or the cluster name differs, or an operator evicted them. They are on no ring but their own.',
    },
    {
      alert: 'RingmanMemberUnreachable',
      severity: 'critical',
      for: '1m',
      expr: `count by (namespace, release) (${inCondition('unreachable')})`,
      summary: `Nobody reaches some pods of ${RELEASE} at the address that they advertise.`,
      description:
        '{{ $value }} pods reach the others, and the others do not reach them. They are not ready, and their keys are with other pods.',
    },
    {
      alert: 'RingmanSourceStale',
      severity: 'warning',
      for: '1m',
      expr: 'max by (namespace, release, pod, source) (ringman_source_staleness_seconds) > 120',
      summary: `{{ $labels.pod }} of ${RELEASE} no longer hears of the members.`,
      description:
        'The source {{ $labels.source }} of {{ $labels.pod }} was last confirmed {{ $value | humanizeDuration }} ago. Its ring may be out of date.',
    },
    {
      alert: 'RingmanSourceNotOk',
      severity: 'warning',
      for: '5m',
      expr: `
(max by (namespace, release, pod, source) (ringman_source_ok) == 0)
unless on (namespace, release, pod, source)
(
  max by (namespace, release, pod, source) (ringman_source_ok{source=~"memberlist|swim"})
  and on (namespace, release)
  count by (namespace, release) (count by (namespace, release, pod) (ringman_build_info)) == 1
)
unless on (namespace, release, pod)
(${inCondition('contested', 'unlisted', 'refused', 'unreachable')})`,
      summary: `{{ $labels.pod }} of ${RELEASE} does not trust its members.`,
      description:
        'The source {{ $labels.source }} of {{ $labels.pod }} says for 5 minutes that it is alone although it has seeds, cut off, or may be out of date. `/readyz` on its admin port has the reason in a sentence.',
    },
    {
      alert: 'RingmanGossipDropsByKeyOrLabel',
      severity: 'warning',
      for: '5m',
      expr: `
sum by (namespace, release, reason) (
  increase(ringman_gossip_drops_total{reason=~"${MISFIT_REASONS}"}[5m])
) > 5`,
      summary: `${RELEASE} gets gossip that is not for it, or not in its key.`,
      description:
        '{{ $value | humanize }} messages were dropped in 5 minutes because of {{ $labels.reason }}. A member has other settings than the rest, or a stranger sends to its port.',
    },
    {
      alert: 'RingmanEventLoopSlow',
      severity: 'warning',
      for: '10m',
      expr: `
histogram_quantile(0.99,
  sum by (namespace, release, pod, le) (rate(ringman_event_loop_delay_seconds_bucket[5m]))
) > 0.1`,
      summary: `{{ $labels.pod }} of ${RELEASE} does not get to run in time.`,
      description:
        'One in a hundred timers of {{ $labels.pod }} is {{ $value | humanizeDuration }} late. Look-ups wait so long, and other members may take it for dead.',
    },
  ],
}

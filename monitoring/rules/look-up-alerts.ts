import { lookUpErrorRatio } from '../ring-queries.ts'
import { RELEASE, type AlertGroup } from './alert-rule.ts'

/** Do callers get owners, and fast? */
export const LOOK_UP_ALERTS: AlertGroup = {
  name: 'ringman-look-ups',
  rules: [
    {
      alert: 'RingmanLookUpErrors',
      severity: 'critical',
      for: '5m',
      expr: `
${lookUpErrorRatio('namespace, release', '5m')}
> 0.01`,
      summary: `Look-ups at ${RELEASE} fail.`,
      description:
        '{{ $value | humanizePercentage }} of the look-ups get no owner, through no fault of the caller.',
    },
    {
      alert: 'RingmanLookUpsSlow',
      severity: 'warning',
      for: '10m',
      expr: `
histogram_quantile(0.99,
  sum by (namespace, release, le) (rate(ringman_lookup_duration_seconds_bucket{route!="POST /v1/owners"}[5m]))
) > 0.01`,
      summary: `Look-ups at ${RELEASE} are slow.`,
      description:
        'One in a hundred look-ups of a single key takes longer than {{ $value | humanizeDuration }} in the process. It should be well below a millisecond.',
    },
    {
      alert: 'RingmanConnectionsExhausted',
      severity: 'warning',
      for: '2m',
      expr: `
sum by (namespace, release, pod) (
  increase(ringman_http_connections_closed_total{reason=~"no-room|made-room"}[5m])
) > 20`,
      summary: `{{ $labels.pod }} of ${RELEASE} has no room for more connections.`,
      description:
        '{{ $labels.pod }} closed {{ $value | humanize }} connections in 5 minutes because a port was full. Clients have to connect again, and some get no answer.',
    },
  ],
}

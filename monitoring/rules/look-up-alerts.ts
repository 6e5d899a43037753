import { lookUpErrorRatio } from '../ring-queries.ts'
import type { AlertGroup, AlertRule } from './alert-rule.ts'

const RING = '{{ $labels.namespace }}/{{ $labels.release }}'

const lookUpErrors: AlertRule = {
  alert: 'RingmanLookUpErrors',
  severity: 'critical',
  for: '5m',
  expr: ({ text }) => `
${lookUpErrorRatio('namespace, release', text('5m'))}
> 0.01`,
  summary: `Look-ups at ${RING} fail.`,
  description:
    '{{ $value | humanizePercentage }} of the look-ups get no owner, through no fault of the caller.',
}

const lookUpsSlow: AlertRule = {
  alert: 'RingmanLookUpsSlow',
  severity: 'warning',
  for: '10m',
  expr: ({ text }) => `
histogram_quantile(0.99,
  sum by (namespace, release, le) (rate(ringman_lookup_duration_seconds_bucket{route!="POST /v1/owners"}[${text('5m')}]))
) > 0.01`,
  summary: `Look-ups at ${RING} are slow.`,
  description:
    'One in a hundred look-ups of a single key takes longer than {{ $value | humanizeDuration }} in the process. It should be well below a millisecond.',
}

const connectionsExhausted: AlertRule = {
  alert: 'RingmanConnectionsExhausted',
  severity: 'warning',
  for: '2m',
  expr: ({ text }) => `
sum by (namespace, release, pod) (
  increase(ringman_http_connections_closed_total{reason=~"no-room|made-room"}[${text('5m')}])
) > 20`,
  summary: `{{ $labels.pod }} of ${RING} has no room for more connections.`,
  description:
    '{{ $labels.pod }} closed {{ $value | humanize }} connections in 5 minutes because a port was full. Clients have to connect again, and some get no answer.',
}

/** Do callers get owners, and fast? */
export const LOOK_UP_ALERTS: AlertGroup = {
  name: 'ringman-look-ups',
  rules: [lookUpErrors, lookUpsSlow, connectionsExhausted],
}

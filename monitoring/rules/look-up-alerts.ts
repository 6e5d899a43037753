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

/** Do callers get owners, and fast? */
export const LOOK_UP_ALERTS: AlertGroup = {
  name: 'ringman-look-ups',
  rules: [lookUpErrors, lookUpsSlow],
}

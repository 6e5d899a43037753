import { lookUpErrorRatio } from '../ring-queries.ts'
import type { PageRow } from './page.ts'
import { heatmap, timeSeries } from './panels.ts'
import { increase, quantile, rate, THE_PODS, THE_RING, WINDOW } from './queries.ts'

/** The same panel on each page that has it. */
export const lookUpsByResult = (description: string) =>
  timeSeries({
    title: 'Look-ups, by result',
    description,
    queries: [rate('ringman_lookups_total', 'result', THE_PODS)],
    unit: 'reqps',
    draw: 'stack',
    colors: { ok: 'green', refused: 'yellow', 'ring-empty': 'orange', unavailable: 'red', failed: 'purple' },
  })

/** One batch has many keys, and says nothing of how long one key takes. */
const SINGLE_KEYS = 'route!="POST /v1/owners"'

export const lookUpRow = (): PageRow => ({
  question: 'How many look-ups, and how fast?',
  panels: [
    lookUpsByResult(
      'Requests for owners in a second. `ok` got an owner. `refused` is the caller’s mistake. `ring-empty`, `unavailable` and `failed` are ours.',
    ),
    timeSeries({
      title: 'Look-ups, by route',
      description: 'Which of the routes callers use, and the keys in batches as a line of their own.',
      queries: [
        rate('ringman_lookups_total', 'route', THE_PODS),
        { expr: `sum(rate(ringman_lookup_keys_total{${THE_PODS}}[${WINDOW}]))`, legend: 'keys, all routes' },
      ],
      unit: 'reqps',
    }),
    timeSeries({
      title: 'Part of the look-ups that fail',
      description:
        'Those that got no owner through no fault of the caller: the ring was empty, not running, or at fault. The alert is at 1 %.',
      queries: [lookUpErrorRatio('pod', WINDOW, THE_PODS)],
      unit: 'percentunit',
      softMax: 0.02,
      thresholds: [[0.01, 'red']],
      showThresholds: true,
      leadsToPod: true,
    }),
    timeSeries({
      title: 'Time of a look-up',
      description:
        'Of one key, from the request as parsed to the answer as written, by quantile over all chosen pods. Well below 1 ms is normal; the alert is at 10 ms for the 99th percentile. If callers wait longer than this says, look at the event loops below. Points are traces of single requests.',
      queries: [0.5, 0.95, 0.99].map((q) => ({
        expr: quantile(q, 'ringman_lookup_duration_seconds', [], SINGLE_KEYS, THE_PODS),
        legend: `p${q * 100}`,
        exemplars: q === 0.99,
      })),
      unit: 's',
      legend: 'values',
      thresholds: [[0.01, 'red']],
    }),
    heatmap({
      title: 'Where look-up times lie',
      description:
        'How many look-ups of one key took how long: the darker the more. A second band above the first is a part of callers, or pods, with a trouble of its own.',
      queries: [
        {
          expr: increase('ringman_lookup_duration_seconds_bucket', 'le', SINGLE_KEYS, THE_PODS),
          kind: 'heatmap',
        },
      ],
      unit: 's',
    }),
    timeSeries({
      title: 'Look-ups, by pod',
      description:
        'Callers may ask any pod, so that a Service spreads look-ups evenly. This is load by question, not by ownership of keys.',
      queries: [rate('ringman_lookups_total', 'pod', THE_RING)],
      unit: 'reqps',
      leadsToPod: true,
    }),
    timeSeries({
      title: 'Connections, of the limit',
      description:
        'How full the look-up port is. At 100 % a new connection takes the place of the one that has been idle longest.',
      queries: [
        `max by (pod) (ringman_http_connections{port="lookup", ${THE_PODS}} / ringman_http_connections_limit{port="lookup", ${THE_PODS}})`,
      ],
      unit: 'percentunit',
      softMax: 1,
      leadsToPod: true,
    }),
    timeSeries({
      title: 'Connections closed to stay within the limits',
      description:
        'In a second, by reason. `made-room` and `no-room`: more clients than the limit. The others: clients that do not end their requests, or do not read.',
      queries: [rate('ringman_http_connections_closed_total', 'reason', THE_PODS)],
      unit: 'cps',
      draw: 'stack',
    }),
    timeSeries({
      title: 'Bytes held for clients',
      description: 'Of the pod that holds most: unfinished heads, bodies, and answers that wait for readers.',
      queries: [`max by (kind) (ringman_http_held_bytes{${THE_PODS}})`],
      unit: 'bytes',
    }),
  ],
})

import type { PageRow } from './page.ts'
import { probes, roundTrip, suspicions, traffic } from './health-rows.ts'
import { COUNTS, STEPS, timeSeries } from './panels.ts'
import { increase, quantile, rate, THE_PODS, WINDOW } from './queries.ts'

export const gossipRows = (): PageRow[] => [
  {
    question: 'How does it gossip?',
    size: [6, 8],
    panels: [
      probes(THE_PODS, {
        title: 'Probes it makes, by how they were answered',
        description:
          '`failed` on this pod alone: it is the one that is badly connected. `stream` alone: UDP is blocked here.',
      }),
      roundTrip(THE_PODS, {
        title: 'Round trip of its probes',
        description: 'The network, and the event loops at both ends.',
      }),
      suspicions(THE_PODS, {
        title: 'Suspects, refutes, declares dead',
        description:
          '`refuted`: others suspected this pod or declared it dead, and it refuted that: the sign of a pod that is too slow. `suspected` and `declared dead` are what it says of others.',
      }),
      timeSeries({
        title: 'Stalled',
        description:
          'The part of the time in which the gossip found the process stalled: CPU limits, a paused container, or a busy host. The health score is 0 when all is well, 7 at worst.',
        queries: [
          {
            expr: `max(rate(ringman_gossip_stalled_seconds_total{${THE_PODS}}[${WINDOW}]))`,
            legend: 'stalled',
          },
          { expr: `max(ringman_gossip_health_score{${THE_PODS}})`, legend: 'health score' },
        ],
        unit: 'percentunit',
        softMax: 0.1,
      }).overrideByName('health score', [
        { id: 'unit', value: 'short' },
        { id: 'max', value: 7 },
        { id: 'custom.axisPlacement', value: 'right' },
      ]),
      timeSeries({
        title: 'Messages received, by type',
        description:
          'What others tell this pod. A type that is missing while others come is a sign of a half-open network policy.',
        queries: [rate('ringman_gossip_messages_total', 'type', 'direction="received"', THE_PODS)],
        unit: 'cps',
      }),
      traffic(THE_PODS, {
        title: 'Traffic',
        description:
          'Bytes of payload in a second, by transport and direction. `udp sent` without `udp received`: UDP does not come through.',
      }),
      timeSeries({
        title: 'Dropped, by reason',
        description:
          'Messages that were dropped, by reason. The log line `gossip.dropped` has the same reasons and names the sender.',
        queries: [increase('ringman_gossip_drops_total', 'reason', THE_PODS)],
        ...COUNTS,
        softMax: 5,
      }),
      timeSeries({
        title: 'News that waits',
        description:
          'Falls to 0 within seconds of a change. What is left out, because the queue is full or no packet can hold it, comes later, by push/pull.',
        queries: [
          { expr: `max(ringman_gossip_queue_depth{${THE_PODS}})`, legend: 'waiting' },
          {
            expr: `sum(increase(ringman_gossip_queue_drops_total{${THE_PODS}}[${WINDOW}]))`,
            legend: 'left out',
          },
        ],
        decimals: 0,
        softMax: 5,
      }),
    ],
  },
  {
    question: 'How does it find others?',
    size: [6, 8],
    panels: [
      timeSeries({
        title: 'Seeds',
        description:
          'Seeds as configured, by whether they were found, and the addresses of others that they gave. 0 addresses from resolved seeds: they lead only to this pod.',
        queries: [
          `max by (state) (ringman_seeds{${THE_PODS}})`,
          { expr: `max(ringman_seed_addresses{${THE_PODS}})`, legend: 'addresses' },
        ],
        ...STEPS,
        softMax: 3,
        colors: { resolved: 'green', unresolved: 'red', addresses: 'blue' },
      }),
      timeSeries({
        title: 'Joins',
        description:
          'Attempts to join through a seed. It rests once all seeds are members. `failed` that goes on: a seed leads to a dead address, or to another cluster.',
        queries: [increase('ringman_joins_total', 'result', THE_PODS)],
        ...COUNTS,
        softMax: 4,
        colors: { completed: 'green', failed: 'red' },
      }),
      timeSeries({
        title: 'Exchanges of whole states: time',
        description:
          'Of push/pulls that this pod began and that were completed, 99th percentile, and the size of the states sent and received.',
        queries: [
          {
            expr: quantile(0.99, 'ringman_gossip_push_pull_duration_seconds', [], THE_PODS),
            legend: 'time, p99',
          },
          {
            expr: quantile(0.99, 'ringman_gossip_push_pull_bytes', ['direction'], THE_PODS),
            legend: 'size {{direction}}, p99',
          },
        ],
        unit: 's',
      }).overrideByRegexp('/^size/', [
        { id: 'unit', value: 'bytes' },
        { id: 'custom.axisPlacement', value: 'right' },
      ]),
      timeSeries({
        title: 'Time since the source was confirmed',
        description:
          'How long ago it last heard something that bears out its members. Gossip: a few seconds. Sidecar and Kubernetes: up to a minute.',
        queries: [`max by (source) (ringman_source_staleness_seconds{${THE_PODS}})`],
        unit: 's',
        softMax: 10,
      }),
    ],
  },
]

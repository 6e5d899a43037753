import type { PageRow } from './page.ts'
import { COUNTS, stat, STEPS, timeSeries } from './panels.ts'
import { rate, THE_HASH_RING, THE_PODS, THE_RING, WINDOW } from './queries.ts'

/** Colours of the states of HashRings. */
const STATE_COLORS = {
  well: 'green',
  braked: 'red',
  stale: 'orange',
  'not-accepted': 'yellow',
  waiting: 'blue',
} as const

const perRing = (aggregation: 'max' | 'min' | 'sum', metric: string) =>
  `${aggregation} by (ring_namespace, ring) (${metric}{${THE_HASH_RING}})`

const RING_LEGEND = '{{ring_namespace}}/{{ring}}'

export function allHashRingsRow(): PageRow {
  const inState = (state: string) => `max(ringman_hash_rings{state="${state}",${THE_RING}})`
  return {
    question: 'Are all rings well?',
    panels: [
      stat({
        title: 'HashRings',
        description: 'The most HashRings that any pod knows, whatever their state.',
        queries: [`max(sum by (pod) (ringman_hash_rings{${THE_RING}}))`],
      }),
      stat({
        title: 'Brake on',
        description: 'Rings that stay as they are, because too many of their nodes stopped serving at once.',
        queries: [inState('braked')],
        thresholds: [[1, 'red']],
      }),
      stat({
        title: 'Not accepted',
        description:
          'HashRings that make no ring. The condition `Accepted` of each says why: `kubectl get hashrings -A`.',
        queries: [inState('not-accepted')],
        thresholds: [[1, 'orange']],
      }),
      stat({
        title: 'Not settled',
        description: 'Rings of which some pod holds another one for more than five seconds.',
        queries: [
          `count(min by (ring_namespace, ring) (ringman_hash_ring_settled{${THE_RING}}) == 0) or vector(0)`,
        ],
        thresholds: [[1, 'red']],
      }),
      stat({
        title: 'Without news',
        description:
          'Rings of whose Services the API server has brought no news for too long. They stay as they are.',
        queries: [inState('stale')],
        thresholds: [[1, 'orange']],
      }),
      stat({
        title: 'Rings without series',
        description:
          'HashRings beyond the first 2,000, which have no series of their own and are not on this page below.',
        queries: [`max(ringman_hash_rings_without_series{${THE_RING}})`],
        thresholds: [[1, 'orange']],
      }),
      timeSeries({
        ...STEPS,
        title: 'HashRings, by state',
        description:
          'As the pod has them that sees the most in each state. A ring is `waiting` for the moment until its EndpointSlices are known.',
        queries: [`max by (state) (ringman_hash_rings{${THE_RING}})`],
        colors: STATE_COLORS,
        width: 12,
      }),
      timeSeries({
        title: 'Statuses written',
        description:
          'Writes to the API server in a second, by pod. One or two for each change of an endpoint; one every ten seconds where a workload flaps.',
        queries: [rate('ringman_hash_ring_status_writes_total', 'pod', THE_PODS)],
        width: 12,
        leadsToPod: true,
      }),
    ],
  }
}

export const hashRingRow = (): PageRow => ({
  question: 'Who is on the ring, and is it the same everywhere?',
  panels: [
    timeSeries({
      ...STEPS,
      title: 'Nodes on the ring',
      description: 'By ring, as the pod has it that has the most.',
      queries: [{ expr: perRing('max', 'ringman_hash_ring_nodes'), legend: RING_LEGEND }],
    }),
    timeSeries({
      ...STEPS,
      title: 'Nodes that do not serve',
      description:
        'They keep their place while they restart, or because the brake is on. Look-ups name them: a caller takes the next owner.',
      queries: [{ expr: perRing('max', 'ringman_hash_ring_held_nodes'), legend: RING_LEGEND }],
    }),
    timeSeries({
      ...STEPS,
      title: 'Versions between the newest and the oldest ring',
      description:
        'By how many versions the pod that is furthest behind is behind. 0 is right; more is normal for the seconds of a change.',
      queries: [
        {
          expr: `${perRing('max', 'ringman_hash_ring_version')} - ${perRing('min', 'ringman_hash_ring_version')}`,
          legend: RING_LEGEND,
        },
      ],
    }),
    timeSeries({
      ...STEPS,
      title: 'Accepted, settled, braked',
      description:
        'Accepted and settled should be 1, braked 0. Settled is 0 after five seconds in which a pod held another ring.',
      queries: [
        { expr: perRing('min', 'ringman_hash_ring_accepted'), legend: `${RING_LEGEND} accepted` },
        { expr: perRing('min', 'ringman_hash_ring_settled'), legend: `${RING_LEGEND} settled` },
        { expr: perRing('max', 'ringman_hash_ring_braked'), legend: `${RING_LEGEND} braked` },
      ],
      max: 1,
      width: 12,
    }),
    timeSeries({
      title: 'Largest share over the mean one',
      description: '1 is perfectly even. About 1.2 to 1.4 is normal; 0 is an empty ring.',
      queries: [{ expr: perRing('max', 'ringman_hash_ring_balance_ratio'), legend: RING_LEGEND }],
      decimals: 2,
      softMax: 1.5,
      width: 12,
    }),
  ],
})

export function hashRingChangesRow(): PageRow {
  const rise = (metric: string) =>
    `max by (ring_namespace, ring) (sum by (ring_namespace, ring, pod) (increase(${metric}{${THE_HASH_RING}}[${WINDOW}])))`
  return {
    question: 'What changed?',
    panels: [
      timeSeries({
        ...COUNTS,
        title: 'Changes of the ring',
        description: 'Each is in the events of the HashRing, with its cause: `kubectl describe hashring`.',
        queries: [{ expr: rise('ringman_hash_ring_changes_total'), legend: RING_LEGEND }],
      }),
      timeSeries({
        title: 'Keys that moved',
        description:
          'The part of all keys that got another owner. Caches behind the ring miss for about as many.',
        queries: [{ expr: rise('ringman_hash_ring_keys_moved_ratio_total'), legend: RING_LEGEND }],
        unit: 'percentunit',
        draw: 'bars',
      }),
      timeSeries({
        title: 'Time since the last change',
        description: 'Short for long is a workload that flaps. It is 0 at each change of the ring.',
        queries: [
          {
            expr: `time() - max by (ring_namespace, ring) (ringman_hash_ring_last_change_timestamp_seconds{${THE_HASH_RING}})`,
            legend: RING_LEGEND,
          },
        ],
        unit: 's',
      }),
    ],
  }
}

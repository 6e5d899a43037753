import { BigValueTextMode } from '@grafana/grafana-foundation-sdk/common'
import { digestOfPods, livingMembers } from '../ring-queries.ts'
import { lookUpsByResult } from './look-up-row.ts'
import type { PageRow } from './page.ts'
import {
  EVENNESS,
  COUNTS,
  heatmap,
  LATENESS,
  REFERENCE_LINE,
  stat,
  STEPS,
  timeSeries,
  wordsFor,
} from './panels.ts'
import { increase, quantile, rate, OF_RINGMAN, THE_PODS, THE_RING, WINDOW } from './queries.ts'
import { CAUSE_COLORS, STATE_COLORS } from './ring-rows.ts'

export const podStateRow = (): PageRow => ({
  question: 'Is this pod well, and does it agree with the others?',
  panels: [
    stat({
      title: 'Ready',
      description:
        'Whether it would answer its readiness probe with yes. `/readyz` on its admin port says why not.',
      queries: [`max(ringman_ready{${THE_PODS}})`],
      mappings: wordsFor({ 0: ['no', 'red'], 1: ['yes', 'green'] }),
      thresholds: [],
      noValue: 'not scraped',
    }),
    stat({
      title: 'Pods with the same ring',
      description: 'The part of all pods, itself among them, that have the ring of this one. 100 % is right.',
      queries: [
        `count(${digestOfPods(THE_RING)} and on (digest) ringman_ring_info{${THE_PODS}}) / count(${digestOfPods(THE_RING)})`,
      ],
      unit: 'percentunit',
      decimals: 0,
      max: 1,
      mappings: wordsFor({ 1: ['all', 'green'] }),
      thresholds: [[0, 'red']],
    }),
    stat({
      title: 'Share',
      description: 'The part of all keys that this pod owns, by its own ring. 0 when it is not on its ring.',
      queries: [`max(ringman_ring_share_ratio{${THE_PODS}})`],
      unit: 'percentunit',
      decimals: 1,
    }),
    stat({
      title: 'Condition',
      description:
        'What it knows about its own membership, in one word. "well" is right; `/readyz` on its admin port has the others in a sentence.',
      queries: [`max by (condition) (ringman_condition{${THE_PODS}}) == 1`],
      noValue: 'not scraped',
    }).textMode(BigValueTextMode.Name),
    stat({
      title: 'Up for',
      description: 'Since the process started. Short and again short: it restarts.',
      queries: [`time() - max(process_start_time_seconds{${THE_PODS}} ${OF_RINGMAN})`],
      unit: 's',
    }),
    stat({
      title: 'Ring manager',
      description:
        'Whether the one writer of the ring answers. Stuck: the ring no longer follows the members.',
      queries: [`max(ringman_manager_up{${THE_PODS}})`],
      mappings: wordsFor({ 0: ['stuck', 'red'], 1: ['answers', 'green'] }),
      thresholds: [],
    }),
  ],
})

export const podRingRow = (): PageRow => ({
  question: 'What does it see, and what changed?',
  panels: [
    timeSeries({
      title: 'Members, by state',
      description:
        'What this pod knows of the members. The dashed line is the most living members that any pod sees: alive and suspect here should add up to it.',
      queries: [
        `max by (state) (ringman_members{${THE_PODS}})`,
        { expr: `max(${livingMembers(THE_RING)})`, legend: 'living, at most' },
      ],
      ...STEPS,
      softMax: 3,
      colors: STATE_COLORS,
    }).overrideByName('living, at most', REFERENCE_LINE),
    timeSeries({
      title: 'Changes of its ring, by cause',
      description:
        'A pod with more changes than others sees members come and go that the others do not: its network is bad.',
      queries: [increase('ringman_ring_changes_total', 'cause', THE_PODS)],
      ...COUNTS,
      softMax: 4,
      colors: CAUSE_COLORS,
    }),
    timeSeries({
      title: 'Keys that moved, by cause',
      description: 'The part of all keys that got another owner on its ring.',
      queries: [increase('ringman_ring_keys_moved_ratio_total', 'cause', THE_PODS)],
      unit: 'percentunit',
      draw: 'bars',
      softMax: 0.2,
      colors: CAUSE_COLORS,
    }),
    timeSeries({
      title: 'Epoch',
      description:
        'Changes of its ring since it started: a staircase; each step is a change. Only compares within one process.',
      queries: [{ expr: `max(ringman_ring_epoch{${THE_PODS}})`, legend: 'epoch' }],
      ...STEPS,
      legend: 'none',
    }),
    timeSeries({
      title: 'Nodes and points of its ring',
      description:
        'Points are about 120 for each node. Fewer nodes than living members: the metadata of some does not decode, or two have one ring key.',
      queries: [
        { expr: `max(ringman_ring_nodes{${THE_PODS}})`, legend: 'nodes' },
        { expr: `max(ringman_ring_points{${THE_PODS}})`, legend: 'points' },
      ],
      ...STEPS,
      legend: 'values',
    }).overrideByName('points', [{ id: 'custom.axisPlacement', value: 'right' }]),
    timeSeries({
      title: 'Largest share ÷ mean share',
      description: 'How uneven its ring is; 1 is perfectly even.',
      queries: [{ expr: `max(ringman_ring_balance_ratio{${THE_PODS}})`, legend: 'balance' }],
      ...EVENNESS,
      legend: 'none',
    }),
  ],
})

export const podLookUpRow = (): PageRow => ({
  question: 'What does it answer?',
  size: [6, 8],
  panels: [
    lookUpsByResult('`ring-empty`, `unavailable` and `failed` are its own fault; `refused` is the caller’s.'),
    timeSeries({
      title: 'Time of a look-up, 99th percentile, by route',
      description: 'A batch (`POST /v1/owners`) takes as long as its keys are many.',
      queries: [quantile(0.99, 'ringman_lookup_duration_seconds', ['route'], THE_PODS)],
      unit: 's',
      thresholds: [[0.01, 'red']],
    }),
    heatmap({
      title: 'Where look-up times lie',
      description: 'How many look-ups of any route took how long: the darker the more.',
      queries: [
        { expr: increase('ringman_lookup_duration_seconds_bucket', 'le', THE_PODS), kind: 'heatmap' },
      ],
      unit: 's',
    }),
    timeSeries({
      title: 'HTTP answers, by route and status',
      description: 'All requests to the look-up port. `aborted`: the client went before there was an answer.',
      queries: [rate('ringman_http_requests_total', 'route, status', THE_PODS)],
      unit: 'reqps',
    }),
  ],
})

export const podProcessRow = (): PageRow => ({
  question: 'What does the process need, and wait for?',
  size: [6, 8],
  panels: [
    timeSeries({
      title: 'Lateness of the event loop',
      description:
        'Everything waits so long. 1 to 2 ms is the resolution of the timer; tens of ms are garbage collection or large requests; more is CPU throttling.',
      queries: [0.5, 0.99].map((q) => ({
        expr: quantile(q, 'ringman_event_loop_delay_seconds', [], THE_PODS),
        legend: `p${q * 100}`,
      })),
      ...LATENESS,
    }),
    timeSeries({
      title: 'CPU and event loop in use',
      description:
        'Cores in use, and the part of the time in which the event loop is busy. A busy loop with little CPU is throttled.',
      queries: [
        { expr: `max(rate(process_cpu_seconds_total{${THE_PODS}}[${WINDOW}]) ${OF_RINGMAN})`, legend: 'CPU' },
        {
          expr: `max(rate(ringman_event_loop_active_seconds_total{${THE_PODS}}[${WINDOW}]))`,
          legend: 'event loop',
        },
      ],
      unit: 'percentunit',
      softMax: 1,
    }),
    timeSeries({
      title: 'Memory',
      description: 'Resident, the JavaScript heap, and buffers outside of it.',
      queries: [
        ['process_resident_memory_bytes', 'resident'],
        ['nodejs_heap_size_used_bytes', 'heap, used'],
        ['nodejs_heap_size_total_bytes', 'heap'],
        ['nodejs_external_memory_bytes', 'outside the heap'],
      ].map(([metric = '', legend = '']) => ({ expr: `max(${metric}{${THE_PODS}} ${OF_RINGMAN})`, legend })),
      unit: 'bytes',
    }),
    timeSeries({
      title: 'Open files and sockets',
      description: 'It follows the callers’ connections. At the limit of the process new ones are refused.',
      queries: [{ expr: `max(process_open_fds{${THE_PODS}} ${OF_RINGMAN})`, legend: 'open' }],
      decimals: 0,
      softMax: 50,
      legend: 'none',
    }),
  ],
})

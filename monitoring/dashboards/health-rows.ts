import { MISFIT_REASONS } from '../ring-queries.ts'
import type { PageRow } from './page.ts'
import { COUNTS, LATENESS, stateTimeline, STEPS, timeSeries, wordsFor, type PanelFrame } from './panels.ts'
import { increase, quantile, rate, OF_RINGMAN, THE_PODS, THE_RING, WINDOW } from './queries.ts'

/** What a panel is called on each page that has it. */
type Caption = Pick<PanelFrame, 'title' | 'description'>

/** Probes of the pods that match, by the way the answer came. */
export function probes(matchers: string, caption: Caption) {
  return timeSeries({
    ...caption,
    queries: [rate('ringman_gossip_probes_total', 'result', matchers)],
    unit: 'cps',
    draw: 'stack',
    colors: { direct: 'green', relay: 'yellow', stream: 'orange', failed: 'red' },
  })
}

/** How long their direct probes took. */
export function roundTrip(matchers: string, caption: Caption) {
  return timeSeries({
    ...caption,
    queries: [0.5, 0.99].map((q) => ({
      expr: quantile(q, 'ringman_gossip_probe_duration_seconds', [], matchers),
      legend: `p${q * 100}`,
    })),
    unit: 's',
  })
}

/** What they said of others, and what they had to deny. */
export function suspicions(matchers: string, caption: Caption) {
  const count = (what: string, legend: string) => ({
    expr: `sum(increase(ringman_gossip_${what}_total{${matchers}}[${WINDOW}]))`,
    legend,
  })
  return timeSeries({
    ...caption,
    ...COUNTS,
    queries: [
      count('suspicions', 'suspected'),
      count('refutations', 'refuted'),
      count('declared_dead', 'declared dead'),
    ],
    softMax: 4,
    colors: { suspected: 'orange', refuted: 'yellow', 'declared dead': 'red' },
  })
}

/** Their bytes in a second. */
export function traffic(matchers: string, caption: Caption) {
  return timeSeries({
    ...caption,
    queries: [rate('ringman_gossip_bytes_total', 'transport, direction', matchers)],
    unit: 'Bps',
  })
}

export const gossipRow = (): PageRow => ({
  question: 'Is the gossip healthy? (sources memberlist and swim; the first panel is of every source)',
  size: [6, 7],
  panels: [
    timeSeries({
      title: 'Time since the source was confirmed',
      description:
        'How long ago each pod last heard something that bears out its members. Gossip: a few seconds. Sidecar and Kubernetes: up to a minute. A pod whose line climbs is deaf.',
      queries: [`max by (pod) (ringman_source_staleness_seconds{${THE_PODS}})`],
      unit: 's',
      softMax: 10,
      leadsToPod: true,
    }),
    roundTrip(THE_PODS, {
      title: 'Round trip of probes',
      description:
        'Of probes answered directly over UDP: the network and the event loops at both ends. The probe timeout (500 ms with the LAN preset) should be well above it.',
    }),
    probes(THE_PODS, {
      title: 'Probes, by how they were answered',
      description:
        '`direct` is right. `relay` through another member is packet loss. `stream`, over TCP only, means that UDP is blocked. `failed` makes a member suspect.',
    }),
    suspicions(THE_RING, {
      title: 'Suspected, refuted, declared dead',
      description:
        'Suspicions that began, suspicions that the suspect refuted, and members declared dead. Refutations without deaths: healthy pods are too slow to answer. The page of one pod shows which one refutes.',
    }),
    timeSeries({
      title: 'Health score',
      description:
        'What each pod thinks of its own health: 0 is well, 7 is as bad as it gets. Above 0 for long: the pod is starved of CPU, or loses packets.',
      queries: [`max by (pod) (ringman_gossip_health_score{${THE_PODS}})`],
      ...STEPS,
      softMax: 7,
      thresholds: [
        [1, 'orange'],
        [4, 'red'],
      ],
      leadsToPod: true,
    }),
    timeSeries({
      title: 'Dropped by key or label',
      description:
        'Gossip of members that are configured otherwise, or of strangers, by reason. It should be empty. The log lines `gossip.dropped` name the sender.',
      queries: [increase('ringman_gossip_drops_total', 'reason', `reason=~"${MISFIT_REASONS}"`, THE_PODS)],
      ...COUNTS,
      softMax: 5,
    }),
    timeSeries({
      title: 'Exchanges of whole states',
      description:
        'Push/pulls in a second: begun here and completed or failed, and answered. `failed` beside healthy probes: TCP is blocked, or a seed has another label or key.',
      queries: [rate('ringman_gossip_push_pulls_total', 'result', THE_PODS)],
      unit: 'cps',
      colors: { completed: 'green', failed: 'red', answered: 'blue' },
    }),
    traffic(THE_PODS, {
      title: 'Gossip traffic',
      description:
        'Bytes of payload in a second, all chosen pods together. An idle ring costs a few hundred bytes a second for each pod.',
    }),
  ],
})

export const podsRow = (): PageRow => ({
  question: 'Are the pods well?',
  panels: [
    stateTimeline({
      leadsToPod: true,
      title: 'Ready',
      description:
        'Whether each pod would answer its readiness probe with yes. A gap is a pod that was not scraped: it was away, or did not answer.',
      queries: [`max by (pod) (ringman_ready{${THE_PODS}})`],
      mappings: wordsFor({ 0: ['not ready', 'red'], 1: ['ready', 'green'] }),
    }),
    timeSeries({
      leadsToPod: true,
      title: 'Lateness of the event loop, 99th percentile',
      description:
        'Everything waits so long: look-ups, gossip, probes. 1 to 2 ms is the resolution of the timer; tens of ms are garbage collection or large requests; more is CPU throttling. The alert is at 100 ms.',
      queries: [quantile(0.99, 'ringman_event_loop_delay_seconds', ['pod'], THE_PODS)],
      ...LATENESS,
    }),
    timeSeries({
      leadsToPod: true,
      title: 'Event loop in use',
      description: 'The part of the time in which the event loop is busy. Above 70 %, add pods.',
      queries: [`max by (pod) (rate(ringman_event_loop_active_seconds_total{${THE_PODS}}[${WINDOW}]))`],
      unit: 'percentunit',
      softMax: 1,
      thresholds: [[0.7, 'orange']],
      showThresholds: true,
    }),
    timeSeries({
      leadsToPod: true,
      title: 'CPU',
      description:
        'Cores in use, user and system. Compare with the limit of the container: near it, Linux throttles.',
      queries: [`max by (pod) (rate(process_cpu_seconds_total{${THE_PODS}}[${WINDOW}]) ${OF_RINGMAN})`],
      decimals: 2,
      softMax: 0.1,
    }),
    timeSeries({
      leadsToPod: true,
      title: 'Memory',
      description: 'Resident memory. It levels off; a line that climbs for days is a leak worth a report.',
      queries: [`max by (pod) (process_resident_memory_bytes{${THE_PODS}} ${OF_RINGMAN})`],
      unit: 'bytes',
    }),
    timeSeries({
      leadsToPod: true,
      title: 'Ring manager: waiting commands',
      description:
        'Commands that wait for the one writer of the ring. 0 nearly always; more than 10 means that changes come faster than rings can be made.',
      queries: [`max by (pod) (ringman_manager_mailbox_depth{${THE_PODS}})`],
      decimals: 0,
      softMax: 10,
    }),
  ],
})

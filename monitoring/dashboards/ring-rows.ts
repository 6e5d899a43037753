import { PanelBuilder as Table } from '@grafana/grafana-foundation-sdk/table'
import { closedRings, digestOfPods, livingMembers, readyPods } from '../ring-queries.ts'
import type { PageRow } from './page.ts'
import {
  EVENNESS,
  COUNTS,
  barGauge,
  podLink,
  REFERENCE_LINE,
  stat,
  STEPS,
  timeSeries,
  wordsFor,
} from './panels.ts'
import { DATASOURCE, FIRING_ALERTS, increase, targetsOf, OF_RINGMAN, THE_PODS, THE_RING } from './queries.ts'

/** Colours of causes, the same in every panel. */
export const CAUSE_COLORS = {
  joined: 'green',
  left: 'blue',
  dead: 'red',
  removed: 'orange',
  updated: 'purple',
} as const
/** Colours of member states, the same in every panel. */
export const STATE_COLORS = { alive: 'green', suspect: 'orange', dead: 'red', left: 'blue' } as const

export const wholeRow = (): PageRow => ({
  question: 'Is the ring whole, and the same everywhere?',
  panels: [
    stat({
      title: 'Different rings',
      description:
        'How many different rings the pods have. 1 is right. More is normal for the seconds of a change, and a fault when it stays: pods then give different owners for the same key.',
      queries: [`count(count by (digest) (${digestOfPods(THE_RING)}))`],
      thresholds: [[2, 'red']],
    }),
    stat({
      title: 'Closed groups',
      description:
        'Groups of pods whose ring has exactly these pods on it. 1 is a whole ring. 2 or more are islands, which do not know of each other. 0 while pods disagree, or where members of the ring are not scraped.',
      queries: [`count(${closedRings(digestOfPods(THE_RING), THE_RING)}) or vector(0)`],
      thresholds: [[2, 'red']],
    }),
    stat({
      title: 'Members on the ring',
      description:
        'The most members that any pod has on its ring: alive, and suspect ones, which keep their place.',
      queries: [`max(${livingMembers(THE_RING)})`],
    }),
    stat({
      title: 'Ready pods',
      description:
        'From kube-state-metrics where it is there, else from the pods themselves. It should equal the members on the ring.',
      queries: [readyPods(THE_RING)],
    }),
    stat({
      title: 'Suspects',
      description:
        'The most members that any pod suspects now. A suspect keeps its place on the ring until its time to refute is over.',
      queries: [`max(ringman_members{state="suspect",${THE_RING}})`],
      thresholds: [[1, 'orange']],
    }),
    stat({
      title: 'Alerts that fire',
      description: 'Alerts about this ring. Each has a runbook.',
      queries: [`count(${FIRING_ALERTS}) or vector(0)`],
      thresholds: [[1, 'red']],
    }),
    timeSeries({
      title: 'Pods by the digest of their ring',
      description:
        'One band of one colour: all pods have the same ring. A change of colour is a change of the ring. Two colours side by side for longer than a few scrapes: pods disagree.',
      queries: [`count by (digest) (${digestOfPods(THE_RING)})`],
      decimals: 0,
      draw: 'stack',
      width: 12,
    }),
    timeSeries({
      title: 'Nodes on the ring, as each pod has it',
      description:
        'All lines should lie on each other, and on the dashed one of the ready pods. A line that lies lower belongs to a pod that does not see all the others.',
      queries: [
        `max by (pod) (ringman_ring_nodes{${THE_PODS}})`,
        { expr: `max(${readyPods(THE_RING)})`, legend: 'ready pods' },
      ],
      ...STEPS,
      width: 12,
      leadsToPod: true,
    }).overrideByName('ready pods', REFERENCE_LINE),
    podTable(),
  ],
})

/** A line for each pod; a column for each query. */
function podTable() {
  const columns: readonly (readonly [title: string, expr: string])[] = [
    ['Ready', `max by (pod) (ringman_ready{${THE_PODS}})`],
    ['Nodes', `max by (pod) (ringman_ring_nodes{${THE_PODS}})`],
    ['Share', `max by (pod) (ringman_ring_share_ratio{${THE_PODS}})`],
    ['Source', `min by (pod) (ringman_source_ok{${THE_PODS}})`],
    ['Last change', `time() - max by (pod) (ringman_ring_last_change_timestamp_seconds{${THE_PODS}})`],
    ['Up for', `time() - max by (pod) (process_start_time_seconds{${THE_PODS}} ${OF_RINGMAN})`],
  ]
  const refIds = columns.map((_, index) => String.fromCharCode(67 + index))
  const yesNo = wordsFor({ 0: ['no', 'red'], 1: ['yes', 'green'] })
  const ownText = { id: 'custom.cellOptions', value: { type: 'color-text' } }
  return new Table()
    .title('Pods')
    .description(
      'Pods with the same digest agree on every key. A click on a pod opens its page. "Source": whether it trusts its members; `/readyz` of the pod says why not.',
    )
    .datasource(DATASOURCE)
    .targets(
      targetsOf([
        { expr: `max by (pod, digest) (ringman_ring_info{${THE_PODS}})`, kind: 'table' },
        { expr: `max by (pod, version) (ringman_build_info{${THE_PODS}})`, kind: 'table' },
        ...columns.map(([, expr]) => ({ expr, kind: 'table' as const })),
      ]),
    )
    .withTransformation({ id: 'joinByField', options: { byField: 'pod', mode: 'outer' } })
    .withTransformation({
      id: 'organize',
      options: {
        excludeByName: Object.fromEntries(
          ['Time', 'Value #A', 'Value #B', ...'123456789'.split('').map((n) => `Time ${n}`)].map((name) => [
            name,
            true,
          ]),
        ),
        renameByName: {
          pod: 'Pod',
          digest: 'Digest',
          version: 'Version',
          ...Object.fromEntries(columns.map(([title], index) => [`Value #${refIds[index]}`, title])),
        },
      },
    })
    .overrideByName('Pod', [{ id: 'links', value: [podLink('${__value.text}').build()] }])
    .overrideByName('Share', [
      { id: 'unit', value: 'percentunit' },
      { id: 'decimals', value: 1 },
    ])
    .overrideByName('Ready', [{ id: 'mappings', value: yesNo }, ownText])
    .overrideByName('Source', [
      { id: 'mappings', value: wordsFor({ 0: ['not ok', 'red'], 1: ['ok', 'green'] }) },
      ownText,
    ])
    .overrideByName('Last change', [{ id: 'unit', value: 's' }])
    .overrideByName('Up for', [{ id: 'unit', value: 's' }])
    .unit('short')
    .span(24)
    .height(7)
}

export const sharesRow = (): PageRow => ({
  question: 'Who owns how much?',
  panels: [
    barGauge({
      title: 'Share of each pod now',
      description:
        'The part of all keys that each pod owns. With equal weights the bars differ by some tenths.',
      queries: [{ expr: `sort_desc(max by (pod) (ringman_ring_share_ratio{${THE_PODS}}))`, kind: 'latest' }],
      unit: 'percentunit',
      decimals: 1,
      min: 0,
      leadsToPod: true,
    }),
    timeSeries({
      title: 'Shares, stacked',
      description:
        'The share that each pod reports for itself. While all agree and all are scraped they add up to 100 %. Less: an owner is not scraped, or has died and the others have not noticed. More: islands, whose owners own the same keys.',
      queries: [`max by (pod) (ringman_ring_share_ratio{${THE_RING}})`],
      unit: 'percentunit',
      softMax: 1,
      draw: 'stack',
      leadsToPod: true,
    }),
    timeSeries({
      title: 'Largest share ÷ mean share',
      description:
        'How uneven the ring is: 1 is perfectly even. Nodes of equal weight give 1.05 to 1.4, more nodes the higher; weights raise it on purpose. The alert is at 1.5.',
      queries: [
        { expr: `max(ringman_ring_balance_ratio{${THE_RING}})`, legend: 'most uneven ring' },
        { expr: `min(ringman_ring_balance_ratio{${THE_RING}})`, legend: 'most even ring' },
      ],
      ...EVENNESS,
    }),
  ],
})

export const changesRow = (): PageRow => ({
  question: 'What changed, and when?',
  panels: [
    timeSeries({
      title: 'Changes of the ring, by cause',
      description:
        'As counted by the pod that saw most of them. A rolling update shows pairs of `left` and `joined`. `dead` without `left` is a crash or a network fault; when it comes again and again, something flaps.',
      queries: [`max by (cause) (${increase('ringman_ring_changes_total', 'pod, cause', THE_RING)})`],
      ...COUNTS,
      softMax: 4,
      colors: CAUSE_COLORS,
    }),
    timeSeries({
      title: 'Keys that moved, by cause',
      description:
        'The part of all keys that got another owner. Caches behind the ring miss for about that part. One node that goes moves its share; the same keys move again when it comes back.',
      queries: [
        `max by (cause) (${increase('ringman_ring_keys_moved_ratio_total', 'pod, cause', THE_RING)})`,
      ],
      unit: 'percentunit',
      draw: 'bars',
      softMax: 0.2,
      colors: CAUSE_COLORS,
    }),
    timeSeries({
      title: 'Members, by state',
      description:
        'The most that any pod has in each state. The dead and the left are off the ring, and stay listed for about a minute.',
      queries: [`max by (state) (ringman_members{${THE_RING}})`],
      ...STEPS,
      softMax: 3,
      colors: STATE_COLORS,
    }),
  ],
})

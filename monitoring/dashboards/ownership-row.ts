import type { CheckVerdict, ForwardOutcome } from '../../src/service/ownership.ts'
import type { PageRow } from './page.ts'
import { STEPS, timeSeries } from './panels.ts'
import { rate, THE_PODS } from './queries.ts'

const OUTCOME_COLORS: Record<ForwardOutcome, string> = {
  served: 'green',
  forwarded: 'blue',
  'stood-in': 'yellow',
  refused: 'orange',
  failed: 'red',
}

const VERDICT_COLORS: Record<CheckVerdict, string> = {
  mine: 'green',
  'not-mine': 'red',
  'you-are-behind': 'yellow',
  'i-am-behind': 'orange',
  unknown: 'purple',
}

/** Do programs act as the owners of their keys? The same for one pod and for many. */
export function ownershipRow(): PageRow {
  const inRow = { width: 8, height: 8 } as const
  return {
    question: 'Where programs act as owners: do requests find them?',
    panels: [
      timeSeries({
        ...inRow,
        title: 'Requests that are forwarded, by outcome',
        description:
          'Of programs that forward. `forwarded` is the part that makes a detour: with N pods (N - 1) / N of all is normal. `stood-in` for longer than a change takes: some owners cannot be reached. `failed`: clients get errors.',
        queries: [{ expr: rate('ringman_forwards_total', 'outcome', THE_PODS), legend: '{{outcome}}' }],
        unit: 'reqps',
        draw: 'stack',
        colors: OUTCOME_COLORS,
      }),
      timeSeries({
        ...inRow,
        title: 'Checks whether a request belongs here, by verdict',
        description:
          'Some are behind for the moment of a change. `not-mine` is a sender that does not go by the ring that it names; `unknown` that lasts is two rings that do not meet. The alert is at 5 % of both.',
        queries: [{ expr: rate('ringman_checks_total', 'verdict', THE_PODS), legend: '{{verdict}}' }],
        unit: 'reqps',
        draw: 'stack',
        colors: VERDICT_COLORS,
      }),
      timeSeries({
        ...inRow,
        title: 'Claims',
        description:
          'Claims on keys that programs hold. They follow the shares of the pods; a line that only rises is claims that nobody releases.',
        queries: [{ expr: `max by (pod) (ringman_claims{${THE_PODS}})`, legend: '{{pod}}' }],
        ...STEPS,
        leadsToPod: true,
      }),
    ],
  }
}

import type { HandoverOutcome } from '../../src/service/handover.ts'
import type { WarmOutcome } from '../../src/service/warm-up.ts'
import type { CheckVerdict, ForwardOutcome } from '../../src/service/ownership.ts'
import type { PageRow } from './page.ts'
import { STEPS, timeSeries } from './panels.ts'
import { increase, rate, THE_PODS } from './queries.ts'

const OUTCOME_COLORS: Record<ForwardOutcome, string> = {
  served: 'green',
  forwarded: 'blue',
  'stood-in': 'yellow',
  refused: 'orange',
  failed: 'red',
  'program-failed': 'purple',
}

const VERDICT_COLORS: Record<CheckVerdict, string> = {
  mine: 'green',
  'not-mine': 'red',
  'you-are-behind': 'yellow',
  'i-am-behind': 'orange',
  unknown: 'purple',
}

const HANDOVER_COLORS: Record<HandoverOutcome, string> = {
  warmed: 'green',
  'timed-out': 'red',
  'not-possible': 'yellow',
  'broken-off': 'blue',
}

const WARM_UP_COLORS: Record<WarmOutcome, string> = { done: 'green', failed: 'red', aborted: 'orange' }

export const ownershipRow = (): PageRow => ({
  question: 'Where programs act as owners: do requests find them?',
  panels: [
    timeSeries({
      title: 'Requests that are forwarded, by outcome',
      description:
        'Of programs that forward. `forwarded` is the part that makes a detour: with N pods (N - 1) / N of all is normal. `stood-in` for longer than a change takes: some owners cannot be reached. `failed` and `program-failed`: clients get errors; with the latter the program behind the proxy is dead or hangs.',
      queries: [rate('ringman_forwards_total', 'outcome', THE_PODS)],
      unit: 'reqps',
      draw: 'stack',
      colors: OUTCOME_COLORS,
    }),
    timeSeries({
      title: 'Checks whether a request belongs here, by verdict',
      description:
        'Some are behind for the moment of a change. `not-mine` is a sender that does not go by the ring that it names; `unknown` that lasts is two rings that do not meet. The alert is at 5 % of both.',
      queries: [rate('ringman_checks_total', 'verdict', THE_PODS)],
      unit: 'reqps',
      draw: 'stack',
      colors: VERDICT_COLORS,
    }),
    timeSeries({
      title: 'Claims',
      description:
        'Claims on keys that programs hold. They follow the shares of the pods; a line that only rises is claims that nobody releases.',
      queries: [`max by (pod) (ringman_claims{${THE_PODS}})`],
      ...STEPS,
      leadsToPod: true,
    }),
    timeSeries({
      title: 'Hand-overs that ended, by outcome',
      description:
        'Starts, leaves, drains and changes of weight of programs that hand keys over. `timed-out`: keys moved cold. `not-possible`: some members do not take part. Pods that leave take their last count with them.',
      queries: [increase('ringman_handovers_total', 'outcome', THE_PODS)],
      draw: 'stack',
      colors: HANDOVER_COLORS,
    }),
    timeSeries({
      title: 'Warm-ups, by how they ended',
      description:
        'Calls by which programs fetch what they are about to own, one for each node that has some of it. `failed` and `aborted`: those keys came cold.',
      queries: [increase('ringman_handover_warm_ups_total', 'outcome', THE_PODS)],
      draw: 'stack',
      colors: WARM_UP_COLORS,
    }),
    timeSeries({
      title: 'The oldest hand-over under way',
      description:
        'As each pod sees it. It rises to the time limit at most, 20 s by default; a line that goes on rising is a member that hangs. The alert is at 5 minutes.',
      queries: [`max by (pod) (ringman_handover_oldest_seconds{${THE_PODS}})`],
      ...STEPS,
      unit: 's',
      leadsToPod: true,
    }),
  ],
})

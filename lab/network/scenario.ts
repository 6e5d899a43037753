import type { MemberSettings } from '../peers/member-protocol.ts'
import { Cluster } from './cluster.ts'
import type { Contender } from './contender.ts'
import { measure, type Measures } from './measures.ts'
import type { Deed, TimelineEntry } from './timeline.ts'

/** One thing to do to a cluster. Members are numbers from 1. */
export type Step =
  /** Starts members at the same time. */
  | { readonly do: 'start'; readonly members: readonly number[] }
  | { readonly do: 'kill' | 'leave' | 'freeze' | 'thaw' | 'isolate'; readonly member: number }
  | { readonly do: 'split'; readonly islands: readonly (readonly number[])[] }
  | { readonly do: 'lose'; readonly fraction: number }
  | { readonly do: 'mend' }
  /** Lets time pass. */
  | { readonly do: 'hold'; readonly ms: number }
  /** Waits until every view is right; a scenario goes on when that does not come within the time. */
  | { readonly do: 'settle'; readonly withinMs: number }

/** What of a deed's consequences is reported. */
export interface Question {
  readonly title: string
  /** The last deed of this kind is asked about. */
  readonly deed: Deed['kind']
  /** The most that our median may be, as a multiple of Go's. */
  readonly goalRatio?: number
  readonly measure: 'firstRemovalMs' | 'removedMs' | 'settledMs' | 'settledSinceUpMs'
}

/** A scenario, as data. */
export interface Scenario {
  readonly name: string
  readonly title: string
  readonly hosts: number
  readonly steps: readonly Step[]
  readonly questions: readonly Question[]
  /** How often a full run repeats it. */
  readonly repeat: number
}

/** How long a member may take to refute what was believed of it with reason, before its removal is false. */
const GRACE_MS = 5000
/**
 * How long the forming of the cluster may take; without it nothing can be measured. News that gossip has missed
 * waits for push/pull, every 30 s with one other in Go's LAN preset.
 */
const FORMING_MS = 180_000

/** What came out of one run of a scenario. */
export interface Outcome extends Measures {
  readonly timeline: readonly TimelineEntry[]
  /** The answer to each question, in milliseconds; undefined is never, within the scenario's time. */
  readonly answers: readonly (number | undefined)[]
}

/**
 * Runs a scenario with members of a contender, on hosts of their own.
 *
 * @param scale - Multiplies the `hold` steps, for a shorter look.
 */
export async function runScenario(
  scenario: Scenario,
  contender: Contender,
  preset: MemberSettings['preset'],
  scale = 1,
): Promise<Outcome> {
  await using cluster = await Cluster.open(contender, preset, scenario.hosts)
  for (const step of scenario.steps) {
    await take(cluster, step, scale)
    cluster.assertWhole()
  }
  const timeline = [...cluster.timeline]
  const measures = measure(timeline, GRACE_MS)
  const answers = scenario.questions.map((question) => {
    const asked = measures.consequences.findLast(({ deed }) => deed.kind === question.deed)
    if (asked === undefined)
      throw new Error(`${scenario.name} asks about ${question.deed}, which it never does`)
    return asked[question.measure]
  })
  return { ...measures, timeline, answers }
}

async function take(cluster: Cluster, step: Step, scale: number): Promise<void> {
  switch (step.do) {
    case 'start':
      await start(cluster, step.members)
      return
    case 'kill':
      await cluster.kill(step.member)
      return
    case 'leave':
      await cluster.leave(step.member)
      return
    case 'freeze':
      cluster.freeze(step.member)
      return
    case 'thaw':
      cluster.thaw(step.member)
      return
    case 'isolate':
      await cluster.isolate(step.member)
      return
    case 'split':
      await cluster.split(step.islands)
      return
    case 'lose':
      await cluster.lose(step.fraction)
      return
    case 'mend':
      await cluster.mend()
      return
    case 'hold':
      await new Promise((resolve) => setTimeout(resolve, step.ms * scale))
      return
    case 'settle':
      await cluster.settle(step.withinMs)
      return
  }
}

/** Starts members; the first of a cluster goes ahead, so that the others have someone to join. */
async function start(cluster: Cluster, members: readonly number[]): Promise<void> {
  const forming = cluster.running.length === 0
  const [first, ...rest] = members
  if (forming && first !== undefined) await cluster.start(first)
  await Promise.all((forming ? rest : members).map((member) => cluster.start(member)))
  if (forming && !(await cluster.settle(FORMING_MS))) {
    throw new Error(`the cluster did not form within ${FORMING_MS} ms: ${cluster.describeUnsettled()}`)
  }
}

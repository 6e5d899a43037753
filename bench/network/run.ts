/**
 * `npm run bench:network`: members on real sockets in a bad network, contenders side by side. Needs root, Go,
 * nftables and iproute2; docs/testing.md tells more.
 */
import { appendFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { runScenario, type Outcome, type Scenario } from '../../lab/network/scenario.ts'
import { SCENARIOS } from '../../lab/network/scenarios.ts'
import { BASELINE, parseContenders, parsePositive, parsePreset } from './arguments.ts'
import { count, seconds, table, type Row } from './report.ts'

const USAGE = `node bench/network/run.ts [SCENARIO ...]

  --contender C   ours, go, go-ringman, or NAME=COMMAND LINE; may be repeated (ours and go)
  --preset P      lan, wan or local (lan)
  --repeat N      runs of each scenario (its own number)
  --scale F       multiplies the times that faults last, for a shorter look (1)
  --record FILE   writes every view change and deed of every run, one JSON object a line

Scenarios: ${SCENARIOS.map(({ name }) => name).join(', ')}
All contenders run each repetition at the same time, each on hosts of its own.`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    contender: { type: 'string', multiple: true, default: ['ours', 'go'] },
    preset: { type: 'string', default: 'lan' },
    repeat: { type: 'string' },
    scale: { type: 'string', default: '1' },
    record: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(USAGE)
} else {
  await main()
}

async function main(): Promise<void> {
  const contenders = parseContenders(values.contender)
  const preset = parsePreset(values.preset)
  const scale = parsePositive('scale', values.scale)
  const repeat = values.repeat === undefined ? undefined : parsePositive('repeat', values.repeat)
  const names = contenders.map(({ name }) => name)
  if (values.record !== undefined) writeFileSync(values.record, '')
  // Building takes long once, and must not be part of a measurement.
  for (const contender of contenders) await contender.prepare()

  const rows: Row[] = []
  for (const scenario of chooseScenarios(positionals)) {
    const outcomes = new Map<string, Outcome[]>(names.map((name) => [name, []]))
    for (let run = 1; run <= (repeat ?? scenario.repeat); run++) {
      await Promise.all(
        contenders.map(async (contender) => {
          const outcome = await runScenario(scenario, contender, preset, scale)
          outcomes.get(contender.name)?.push(outcome)
          record(scenario, contender.name, run, outcome)
        }),
      )
      console.error(`${scenario.name}: run ${run} done`)
    }
    rows.push(...rowsOf(scenario, outcomes))
  }
  console.log(`Preset ${preset}. Median (least to most) of the runs.\n`)
  console.log(table(rows, names, BASELINE))
}

function chooseScenarios(wanted: readonly string[]): readonly Scenario[] {
  if (wanted.length === 0) return SCENARIOS
  return wanted.map((name) => {
    const scenario = SCENARIOS.find((each) => each.name === name)
    if (scenario === undefined) throw new Error(`unknown scenario "${name}"\n\n${USAGE}`)
    return scenario
  })
}

function rowsOf(scenario: Scenario, outcomes: ReadonlyMap<string, readonly Outcome[]>): Row[] {
  const samples = (pick: (outcome: Outcome) => number | undefined) =>
    new Map([...outcomes].map(([name, runs]) => [name, runs.map(pick)]))
  return [
    ...scenario.questions.map((question, i) => ({
      scenario: scenario.title,
      question: question.title,
      samples: samples(({ answers }) => answers[i]),
      format: seconds,
      goal: question.goalRatio === undefined ? undefined : { ratio: question.goalRatio },
    })),
    {
      scenario: scenario.title,
      question: 'false removals, all runs together',
      samples: new Map(
        [...outcomes].map(([name, runs]) => [
          name,
          [runs.reduce((sum, { falseRemovals }) => sum + falseRemovals.length, 0)],
        ]),
      ),
      format: count,
      goal: { value: 0, ratio: 1 },
    },
  ]
}

function record(scenario: Scenario, contender: string, run: number, outcome: Outcome): void {
  if (values.record === undefined) return
  const lines = outcome.timeline.map((entry) =>
    JSON.stringify({ scenario: scenario.name, contender, run, ...entry }),
  )
  appendFileSync(values.record, `${lines.join('\n')}\n`)
}

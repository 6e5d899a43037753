/**
 * `npm run bench:handover [-- --instances N --per-second R --keys K]`: a rolling restart, and a scale up and back, of the cache
 * in `examples/`, under constant load. Each instance is a process; every answer is checked.
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { cacheLoad } from '../../lab/fleet/cache-load.ts'
import { Fleet } from '../../lab/fleet/fleet.ts'
import type { Answer } from '../../lab/fleet/load.ts'
import { hitRates } from '../../lab/fleet/owners.ts'
import { PlannedChanges, type Step } from '../../lab/fleet/planned.ts'

const { values } = parseArgs({
  options: {
    instances: { type: 'string', default: '10' },
    'per-second': { type: 'string', default: '250' },
    keys: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    handover: { type: 'string', multiple: true, default: ['off'] },
  },
})
const instances = Number(values.instances)
const perSecond = Number(values['per-second'])
const keys = Array.from({ length: Number(values.keys) }, (_, n) => `key${n}`)
const seed = Number(values.seed)

/** Answers of which one hit rate is made. */
const WINDOW = 500

interface Phase {
  readonly name: string
  readonly answers: readonly Answer[]
  readonly failures: number
  readonly steps: readonly Step[]
  readonly before: number
  readonly after: number
}

async function measure(handover: string): Promise<Phase[]> {
  await using fleet = new Fleet('sharded-cache', { DRAIN_MS: '1000', HANDOVER: handover })
  for (let n = 0; n < instances; n++) await fleet.start()
  await fleet.settled()
  const load = cacheLoad(fleet, { keys, perSecond, seed })
  try {
    await load.more(keys.length + 2 * WINDOW) // each key has been asked for then
    const changes = new PlannedChanges(fleet, load, keys)
    const phases: Phase[] = []
    const phase = async (name: string, run: () => Promise<void>) => {
      const [before = 0] = hitRates(load.answers.slice(-2 * WINDOW), 2 * WINDOW)
      const [from, failed, steps] = [load.answers.length, load.failures.length, changes.steps.length]
      await run()
      await load.more(2 * WINDOW)
      const answers = load.answers.slice(from)
      const [after = 0] = hitRates(load.answers.slice(-2 * WINDOW), 2 * WINDOW)
      const failures = load.failures.length - failed
      phases.push({ name, answers, failures, steps: changes.steps.slice(steps), before, after })
    }
    await phase('rolling restart', async () => {
      for (const instance of [...fleet.living]) {
        await changes.join()
        await changes.leave(instance)
      }
    })
    const half = Math.floor(instances / 2)
    await phase(`scale from ${instances} to ${half}`, async () => {
      for (const instance of fleet.living.slice(half)) await changes.leave(instance)
    })
    await phase(`scale from ${half} to ${instances}`, async () => {
      for (let n = half; n < instances; n++) await changes.join()
    })
    for (const failure of load.failures.slice(0, 10)) console.error(`failed: ${failure}`)
    return phases
  } finally {
    await load.end()
  }
}

const percent = (fraction: number) => `${(100 * fraction).toFixed(1)} %`
const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)

console.log(
  `${instances} instances, ${perSecond} requests/s for ${keys.length} keys, seed ${seed}; Node ${process.version}, ` +
    `${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}, load average ${loadavg()[0]?.toFixed(1)}`,
)
for (const handover of values.handover) {
  console.log(`\nhand-over ${handover}`)
  for (const { name, answers, failures, steps, before, after } of await measure(handover)) {
    const least = Math.min(...hitRates(answers, WINDOW))
    const owners = steps.map((step) => step.owners)
    const moved = sum(owners.map(({ movedKeys }) => movedKeys))
    console.log(`  ${name}: ${answers.length} requests`)
    console.log(
      `    hit rate        ${percent(before)} before, ${percent(least)} at least (of ${WINDOW} requests), ${percent(after)} after`,
    )
    console.log(`    failed          ${failures}`)
    console.log(
      `    two owners      ${sum(owners.map(({ doubleAnswers }) => doubleAnswers))} answers by the one before; ` +
        `at most ${Math.max(...owners.map(({ doubleMs }) => doubleMs))} ms, by an owner on neither ring ${sum(owners.map(({ strangers }) => strangers))}`,
    )
    console.log(
      `    moved keys      ${moved} asked for, ${percent(sum(owners.map(({ warmKeys }) => warmKeys)) / moved)} warm`,
    )
    for (const kind of ['join', 'leave'] as const) {
      const times = steps.filter((step) => step.kind === kind).map(({ tookMs }) => tookMs)
      if (times.length === 0) continue
      console.log(
        `    time of a ${kind.padEnd(5)} ${Math.round(median(times))} ms at the median, ${Math.round(Math.max(...times))} ms at most`,
      )
    }
  }
}

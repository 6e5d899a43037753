/**
 * `npm run bench:handover [-- --short --instances N --per-second R --keys K --seed S]`: a rolling restart, and a scale down and up
 * again, of the cache in `examples/` under constant load, with hand-over and without. Each instance is a process; every
 * answer is checked.
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { cacheLoad } from '../../lab/fleet/cache-load.ts'
import { Fleet } from '../../lab/fleet/fleet.ts'
import { hitRates } from '../../lab/fleet/owners.ts'
import { PlannedChanges, type Step } from '../../lab/fleet/planned.ts'
import { quantile, report, type Figure } from '../table.ts'

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    instances: { type: 'string' },
    keys: { type: 'string' },
    'per-second': { type: 'string', default: '250' },
    seed: { type: 'string', default: '1' },
  },
})
const instances = Number(values.instances ?? (values.short ? 4 : 10))
const perSecond = Number(values['per-second'])
const keys = Array.from({ length: Number(values.keys ?? (values.short ? 500 : 2000)) }, (_, n) => `key${n}`)
const seed = Number(values.seed)

/** Answers of which one hit rate is made. */
const WINDOW = 500

/** What one kind of change came to. */
interface Phase {
  readonly name: string
  readonly requests: number
  readonly failures: number
  readonly hitRate: { readonly before: number; readonly least: number; readonly after: number }
  readonly steps: readonly Step[]
}

async function measure(handover: 'on' | 'off'): Promise<Phase[]> {
  await using fleet = new Fleet('sharded-cache', { DRAIN_MS: '1000', HANDOVER: handover })
  for (let n = 0; n < instances; n++) await fleet.start()
  await fleet.settled()
  const load = cacheLoad(fleet, { keys, perSecond, seed })
  const changes = new PlannedChanges(fleet, load, keys)
  const phases: Phase[] = []
  const phase = async (name: string, run: () => Promise<void>) => {
    await load.more(WINDOW)
    const [from, failed, stepped] = [load.answers.length, load.failures.length, changes.steps.length]
    const [before = 0] = hitRates(load.answers.slice(-WINDOW), WINDOW)
    await run()
    await load.more(WINDOW)
    const [after = 0] = hitRates(load.answers.slice(-WINDOW), WINDOW)
    const answers = load.answers.slice(from)
    phases.push({
      name,
      requests: answers.length,
      failures: load.failures.length - failed,
      hitRate: { before, least: Math.min(...hitRates(answers, WINDOW)), after },
      steps: changes.steps.slice(stepped),
    })
  }
  try {
    await load.more(keys.length) // each has been asked for then
    await phase('rolling restart', async () => {
      for (const instance of [...fleet.living]) {
        await changes.join()
        await changes.leave(instance)
      }
    })
    if (values.short) return phases
    const half = Math.floor(instances / 2)
    await phase(`from ${instances} to ${half}`, async () => {
      for (const instance of fleet.living.slice(half)) await changes.leave(instance)
    })
    await phase(`from ${half} to ${instances}`, async () => {
      while (fleet.living.length < instances) await changes.join()
    })
    return phases
  } finally {
    await load.end()
    for (const failure of load.failures.slice(0, 10)) console.error(`failed: ${failure}`)
  }
}

const percent = (fraction: number) => (100 * fraction).toFixed(1)
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
const lost = ({ hitRate: { before, least } }: Phase) => 100 * (before - least)
const doubleMs = ({ steps }: Phase) => Math.max(...steps.map(({ owners }) => owners.doubleMs))

const TEXTS = {
  'hit rate, %: before, least, after': ({ hitRate: { before, least, after } }: Phase) =>
    [before, least, after].map(percent).join(', '),
  'failed requests': ({ failures, requests }: Phase) => `${failures} of ${requests}`,
  'answers by the owner before': ({ steps }: Phase) =>
    String(sum(steps.map(({ owners }) => owners.doubleAnswers))),
  'longest time of two owners': (phase: Phase) => `${doubleMs(phase)} ms`,
  'moved keys that were warm': ({ steps }: Phase) => {
    const moved = sum(steps.map(({ owners }) => owners.movedKeys))
    return `${percent(sum(steps.map(({ owners }) => owners.warmKeys)) / moved)} % of ${moved}`
  },
}

const GOALS: Partial<Record<keyof typeof TEXTS, readonly [goal: string, isMet: (phase: Phase) => boolean]>> =
  {
    'hit rate, %: before, least, after': ['at most 2 points lost', (phase) => lost(phase) <= 2],
    'failed requests': ['0', ({ failures }) => failures === 0],
    'longest time of two owners': ['300 ms', (phase) => doubleMs(phase) <= 300],
  }

function timeOf(kind: Step['kind'], { steps }: Phase): string {
  const times = steps.filter((step) => step.kind === kind).map(({ tookMs }) => tookMs)
  return [0.5, 1].map((part) => `${(quantile(times, part) / 1000).toFixed(1)} s`).join(', ')
}

console.log(
  `${instances} instances, ${perSecond} requests/s for ${keys.length} keys, seed ${seed}, hit rates of ${WINDOW} requests each;\n` +
    `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}, load average ${loadavg()[0]?.toFixed(1)}`,
)
const without = await measure('off')
const figures = (await measure('on')).flatMap((phase, place): Figure[] => {
  const { name, steps } = phase
  const peer = without[place]!
  const kinds = new Set(steps.map(({ kind }) => kind))
  return [
    ...(Object.keys(TEXTS) as (keyof typeof TEXTS)[]).map((figure) => {
      const [goal, isMet] = GOALS[figure] ?? []
      return {
        figure: `${name}: ${figure}`,
        ours: TEXTS[figure](phase),
        peer: TEXTS[figure](peer),
        ...(goal === undefined ? {} : { goal, met: isMet?.(phase) === true }),
      }
    }),
    ...[...kinds].map((kind) => ({
      figure: `${name}: time of a ${kind}, median, most`,
      ours: timeOf(kind, phase),
      peer: timeOf(kind, peer),
    })),
  ]
})
report('Planned moves with hand-over (peer: without)', figures)

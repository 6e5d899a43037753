/** `npm run test:mutation`: plants one small fault at a time and runs the tests beside it, to see whether they notice. */
import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { unknownNames } from '../../src/unknown-name.ts'
import { Bench, type Outcome } from './bench.ts'
import { EQUIVALENT, matches } from './equivalent.ts'
import type { Task } from './ledger.ts'
import { mutantsOf, type Mutant } from './mutants.ts'
import { plantAll, type Planted } from './plant.ts'

/** This part of the mutants of each folder must be killed. */
const GOAL = 0.95

/** What is mutated, by folder: the tests of the folder of the same path are asked, and those beside it that are written for it. */
const FOLDERS: readonly { readonly path: string; readonly beside?: readonly string[] }[] = [
  { path: 'ring' },
  { path: 'manager' },
  { path: 'membership', beside: ['contract/static-source', 'membership/static/*'] },
  { path: 'membership/memberlist/wire' },
  { path: 'membership/memberlist/protocol' },
]

/** How long tests may take over one mutant: so much, and so many times as long as without a mutant. */
const SPARE_MS = 20_000
const MOST_TIMES_SLOWER = 5
/** Tests that take no longer than this run first, then those that take no longer than that. */
const TEST_TIMES_MS = [10, 50, 250, Infinity]

const HELP = `Plants one small fault (a mutant) at a time and runs the tests beside it, to see whether they notice.

  npm run test:mutation                           all mutants of the core's folders
  npm run test:mutation -- src/ring/plan.ts       those in files whose path begins so
  npm run test:mutation -- --sample 300 --seed 7  so many of them; one seed always gives the same
  npm run test:mutation -- --jobs 2               so many at a time; else as many as the machine runs
  npm run test:mutation -- --longest 250          only by tests that take at most so many milliseconds
  npm run test:mutation -- --equivalent           those that are listed as equivalent, which must survive

Fails where a folder misses the goal (a sample may miss it by what luck explains), or where a listed mutant does not survive.`

const OPTIONS = {
  help: { type: 'boolean', short: 'h', default: false },
  sample: { type: 'string' },
  seed: { type: 'string', default: '1' },
  jobs: { type: 'string', default: String(availableParallelism()) },
  longest: { type: 'string', default: 'Infinity' },
  equivalent: { type: 'boolean', default: false },
} as const
const given = parseArgs({ allowPositionals: true, options: OPTIONS, strict: false })
const unknown = unknownNames('option', given.values, Object.keys(OPTIONS))
if (given.values.help === true) {
  console.log(HELP)
  process.exit()
}
if (unknown.length > 0) {
  console.error(`${unknown.join('\n')}\n--help shows all of them`)
  process.exit(2)
}
const { values: options, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS })

const sources = new Map<string, string>()
const listed = (mutant: Mutant) => EQUIVALENT.some((entry) => matches(entry, mutant))
const chosen = FOLDERS.map(({ path, beside = [] }) => {
  const files = globSync(`src/${path}/*.ts`).sort()
  const wanted = files.filter(
    (file) => positionals.length === 0 || positionals.some((prefix) => file.startsWith(prefix)),
  )
  for (const file of wanted) sources.set(file, readFileSync(file, 'utf8'))
  const mutants = wanted.flatMap((file) => mutantsOf(file, sources.get(file)!))
  const tests = globSync([`${path}/*`, ...beside].map((place) => `test/${place}.test.ts`)).sort()
  return { path, tests, mutants: mutants.filter((mutant) => listed(mutant) === options.equivalent) }
}).filter(({ mutants }) => mutants.length > 0)

/** Puts mutants in an order that depends on the seed and on what each one is, and not on what stands around it. */
function shuffle(mutants: readonly Mutant[]): Mutant[] {
  const rank = ({ file, code, change }: Mutant) =>
    createHash('sha256').update([options.seed, file, code, change].join('\n')).digest('hex')
  return mutants
    .map((mutant) => ({ mutant, rank: rank(mutant) }))
    .sort((a, b) => (a.rank < b.rank ? -1 : 1))
    .map(({ mutant }) => mutant)
}

const startedMs = performance.now()
const total = chosen.reduce((sum, { mutants }) => sum + mutants.length, 0)
const share = options.sample === undefined ? 1 : Math.min(1, Number(options.sample) / total)
const jobs = Number(options.jobs)
console.log(
  `${share === 1 ? 'All' : `${Math.round(share * total)} (seed ${options.seed}) of`} ${total} mutants, ${jobs} at a time`,
)

const expected = options.equivalent ? 'survived' : 'killed'
let passed = 0
let failed = 0
for (const { path, tests, mutants } of chosen) {
  const planted: Planted[] = []
  const texts = new Map<string, string>()
  for (const [file, ofFile] of Map.groupBy(sampled(mutants), (mutant) => mutant.file)) {
    const { text, planted: more } = plantAll(sources.get(file)!, ofFile, planted.length)
    texts.set(file, text)
    planted.push(...more)
  }
  const benches = Array.from({ length: jobs }, () => new Bench(texts))
  report(path, planted, await outcomesOf(benches, tests, planted))
  await Promise.all(benches.map((bench) => bench.close()))
}

/** What comes of mutants: first by the tests that come by them, the quick ones first, then one by one where that is not enough. */
async function outcomesOf(
  benches: readonly Bench[],
  files: readonly string[],
  planted: readonly Planted[],
): Promise<Outcome[]> {
  /** For each test, how long it takes, and the places that it comes by. */
  const runs = new Map<string, { timeMs: number; readonly reached: Set<number> }>()
  /** Places that are come by before any test runs: a mutant there may be over when the first test begins. */
  const imported = new Set<number>()
  let roundLimit = 0
  for (const entry of await benches[0]!.reach(files, SPARE_MS * 10)) {
    if (entry.kind === 'imported') for (const place of entry.reached) imported.add(place)
    if (entry.kind !== 'ran') continue
    const run = runs.get(entry.test) ?? { timeMs: 0, reached: new Set() }
    run.timeMs += entry.timeMs
    roundLimit = Math.max(roundLimit, entry.roundLimit)
    for (const place of entry.reached) run.reached.add(place)
    runs.set(entry.test, run)
  }
  for (const [test, { timeMs }] of runs) if (timeMs > Number(options.longest)) runs.delete(test)
  const outcomes: Outcome[] = planted.map(() => 'survived')
  const alone = new Set(planted.filter(({ place }) => imported.has(place)).map(({ id }) => id))

  const shares = benches.map((_, at) => planted.filter(({ id }) => id % benches.length === at))
  await Promise.all(
    benches.map(async (bench, at) => {
      let alive = shares[at]!
      for (const [i, limitMs] of TEST_TIMES_MS.entries()) {
        const belongs = ({ timeMs }: { readonly timeMs: number }) =>
          timeMs <= limitMs && timeMs > (TEST_TIMES_MS[i - 1] ?? -1)
        const mutantsOfTests = [...runs]
          .filter(([, run]) => belongs(run))
          .map(([test, { reached }]): [string, number[]] => [
            test,
            alive.filter(({ place }) => reached.has(place)).map(({ id }) => id),
          ])
          .filter(([, ids]) => ids.length > 0)
        if (mutantsOfTests.length === 0) continue
        const wanted = files.filter((file) => mutantsOfTests.some(([test]) => test.startsWith(file)))
        const longestMs = Math.max(...mutantsOfTests.map(([test]) => runs.get(test)!.timeMs))
        const task: Task = {
          kind: 'try',
          alive: alive.map(({ id }) => id),
          tests: Object.fromEntries(mutantsOfTests),
          roundLimit,
        }
        for (const entry of await bench.try(task, wanted, SPARE_MS + MOST_TIMES_SLOWER * longestMs)) {
          if (entry.kind !== 'ended') continue
          const { id, outcome } = entry
          if (outcome === 'unmet') alone.add(id)
          else outcomes[id] = outcome === 'waited' ? 'out of time' : outcome
          if (outcome === 'waited') continue
          alive = alive.filter((mutant) => mutant.id !== id)
        }
        console.log(`${alive.length} left after tests of ${Math.round(longestMs)} ms, ${seconds()} s`)
      }
    }),
  )
  const queue = [...alone].filter((id) => outcomes[id] === 'survived')
  console.log(
    `${planted.length - queue.length} of ${planted.length} after ${seconds()} s; the others one by one`,
  )
  const healthyMs = [...runs.values()].reduce((sum, { timeMs }) => sum + timeMs, 0)
  const timeOf = (file: string) =>
    [...runs].reduce((sum, [test, { timeMs }]) => sum + (test.startsWith(file) ? timeMs : 0), 0)
  const quickest = files.toSorted((a, b) => timeOf(a) - timeOf(b))
  await Promise.all(
    benches.map(async (bench, at) => {
      const alive = queue.filter((id) => id % benches.length === at)
      const tests = Object.fromEntries([...runs.keys()].map((test) => [test, []]))
      const task: Task = { kind: 'one', alive, tests, roundLimit }
      if (alive.length === 0) return
      for (const entry of await bench.try(task, quickest, SPARE_MS + MOST_TIMES_SLOWER * healthyMs)) {
        if (entry.kind === 'ended' && entry.outcome !== 'waited' && entry.outcome !== 'unmet')
          outcomes[entry.id] = entry.outcome
      }
    }),
  )
  return outcomes
}

/** Those that are planted: all, or so many of them, the same for one seed. */
function sampled(mutants: readonly Mutant[]): readonly Mutant[] {
  return share === 1 ? mutants : shuffle(mutants).slice(0, Math.ceil(share * mutants.length))
}

function seconds(): number {
  return Math.round((performance.now() - startedMs) / 1000)
}

function report(path: string, mutants: readonly Mutant[], outcomes: readonly Outcome[]): void {
  for (const [i, { file, line, code, change }] of mutants.entries())
    if (outcomes[i] !== expected) console.log(`${outcomes[i]}  ${file}:${line}  ${code}\n    ${change}`)
  const count = (outcome: Outcome) => outcomes.filter((each) => each === outcome).length
  // No test can tell of a loop that never ends, so that it says nothing of the tests.
  const score = count('killed') / (outcomes.length - count('endless') || 1)
  const isGood = options.equivalent
    ? count('survived') === outcomes.length
    : score >= neededOf(outcomes.length)
  console.log(
    `${isGood ? 'passed' : 'FAILED'}  ${path}: ${outcomes.length} mutants, ${count('killed')} killed (${(100 * score).toFixed(1)} %), ` +
      `${count('survived')} survived, ${count('endless')} endless, ${count('out of time')} out of time`,
  )
  if (isGood) passed += count(expected)
  else failed += outcomes.length - count(expected) - count('endless')
}

/** The goal; of a sample what luck alone leaves of it, but for one sample in a thousand: three standard deviations less. */
function neededOf(planted: number): number {
  return share === 1 ? GOAL : GOAL - 3 * Math.sqrt((GOAL * (1 - GOAL)) / planted)
}

console.log(`${basename(import.meta.dirname)}: ${seconds()} s`)
console.log(`Tests  ${failed > 0 ? `${failed} failed | ` : ''}${passed} passed`)
process.exitCode = failed > 0 ? 1 : 0

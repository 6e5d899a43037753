/**
 * `npm run test:mutation`: plants one small fault at a time and runs the tests beside it, to see whether they notice.
 *
 *     npm run test:mutation                           all mutants of the folders that have a goal
 *     npm run test:mutation -- src/ring/plan.ts       those in files whose path begins so
 *     npm run test:mutation -- --sample 300 --seed 7  so many of them; one seed always gives the same
 *     npm run test:mutation -- --equivalent           those that are listed as equivalent, which must survive
 *
 * Fails where a folder misses its goal (a sample may miss it by what luck explains), or where a listed mutant does not survive.
 */
import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { Bench, type Outcome } from './bench.ts'
import { EQUIVALENT, matches } from './equivalent.ts'
import { mutantsOf, type Mutant } from './mutants.ts'

/** What is mutated, by folder: of its mutants, this part must be killed by the tests of the folder of the same path. */
const FOLDERS: readonly { readonly path: string; readonly goal?: number }[] = [
  { path: 'ring', goal: 0.95 },
  { path: 'manager', goal: 0.95 },
  { path: 'membership', goal: 0.95 },
  { path: 'membership/memberlist/wire', goal: 0.95 },
  { path: 'membership/memberlist/protocol' },
]

/** How long the tests of a folder may take over one mutant: so much, and so many times as long as without a mutant. */
const SPARE_MS = 10_000
const MOST_TIMES_SLOWER = 4

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    equivalent: { type: 'boolean', default: false },
  },
})

const sources = new Map<string, string>()
const listed = (mutant: Mutant) => EQUIVALENT.some((entry) => matches(entry, mutant))
const chosen = FOLDERS.map(({ path, goal }) => {
  const files = globSync(`src/${path}/*.ts`).sort()
  const wanted = files.filter((file) =>
    positionals.length === 0 ? goal !== undefined : positionals.some((prefix) => file.startsWith(prefix)),
  )
  for (const file of wanted) sources.set(file, readFileSync(file, 'utf8'))
  const mutants = wanted.flatMap((file) => mutantsOf(file, sources.get(file)!))
  const tests = globSync(`test/${path}/*.test.ts`).sort()
  return { path, goal, tests, mutants: mutants.filter((mutant) => listed(mutant) === options.equivalent) }
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
const benches = Array.from({ length: Number(options.jobs) }, () => new Bench())
console.log(
  `${share === 1 ? 'All' : `${Math.round(share * total)} (seed ${options.seed}) of`} ${total} mutants, ${benches.length} at a time`,
)

const expected = options.equivalent ? 'survived' : 'killed'
let passed = 0
let failed = 0
for (const { path, goal, tests, mutants } of chosen) {
  const queue = shuffle(mutants).slice(0, Math.ceil(share * mutants.length))
  const healthy = await benches[0]!.measure(tests)
  if (healthy.errors.length > 0) throw new Error(`test/${path} fails without a mutant: ${healthy.errors[0]}`)
  const healthyMs = [...healthy.times.values()].reduce((sum, timeMs) => sum + timeMs, 0)
  const limitMs = SPARE_MS + MOST_TIMES_SLOWER * healthyMs
  const quickest = tests.toSorted((a, b) => healthy.times.get(a)! - healthy.times.get(b)!)
  const outcomes = new Map<Mutant, Outcome>()
  const killers = new Map<string, readonly string[]>()
  await Promise.all(
    benches.map(async (bench) => {
      for (let mutant = queue.pop(); mutant !== undefined; mutant = queue.pop()) {
        const own = `test/${mutant.file.slice('src/'.length, -'.ts'.length)}`
        const before = killers.get(mutant.file) ?? []
        // What killed mutants of this file before, the latest first, then the tests of the file's own, then the quick ones.
        const rank = (test: string) =>
          before.includes(test) ? before.indexOf(test) : test.startsWith(own) ? 100 : 101
        const order = quickest.toSorted((a, b) => rank(a) - rank(b))
        const outcome = await bench.run(mutant, sources.get(mutant.file)!, order, limitMs)
        outcomes.set(mutant, outcome)
        const { killer } = bench
        if (killer !== undefined)
          killers.set(mutant.file, [killer, ...before.filter((test) => test !== killer)])
        const { file, line, code, change } = mutant
        if (outcome !== expected) console.log(`${outcome}  ${file}:${line}  ${code}\n    ${change}`)
      }
    }),
  )
  report(path, goal, outcomes)
  // What the last mutants left behind is nothing for the tests of another folder.
  await Promise.all(benches.map((bench) => bench.close()))
}

function report(path: string, goal: number | undefined, outcomes: ReadonlyMap<Mutant, Outcome>): void {
  const count = (outcome: Outcome) => [...outcomes.values()].filter((each) => each === outcome).length
  // No test can tell of a loop that never ends, so that it says nothing of the tests.
  const score = count('killed') / (outcomes.size - count('endless') || 1)
  const isGood = options.equivalent
    ? count('survived') === outcomes.size
    : score >= neededOf(goal, outcomes.size)
  console.log(
    `${isGood ? 'passed' : 'FAILED'}  ${path}: ${outcomes.size} mutants, ${count('killed')} killed (${(100 * score).toFixed(1)} %), ` +
      `${count('survived')} survived, ${count('endless')} endless, ${count('out of time')} out of time`,
  )
  if (isGood) passed += count(expected)
  else failed += outcomes.size - count(expected) - count('endless')
}

/** The goal; of a sample what luck alone leaves of it, but for one sample in a thousand: three standard deviations less. */
function neededOf(goal = 0, planted: number): number {
  return share === 1 ? goal : goal - 3 * Math.sqrt((goal * (1 - goal)) / planted)
}

console.log(`${basename(import.meta.dirname)}: ${Math.round((performance.now() - startedMs) / 1000)} s`)
console.log(`Tests  ${failed > 0 ? `${failed} failed | ` : ''}${passed} passed`)
process.exitCode = failed > 0 ? 1 : 0

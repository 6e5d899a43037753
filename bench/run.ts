/**
 * `npm run bench`: the benchmarks that need nothing but this checkout (and Go where it is), one after the other and shortened so
 * that all take less than ten minutes, then one table of what they found. docs/performance.md holds its figures.
 *
 * One that does not end within its time is ended, and said. Those that need root, real peers or much time are in README.md.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { printFigures, type Figure } from './table.ts'

/** Each with its arguments and the seconds that it may take. */
const BENCHMARKS = [
  ['bench/ring/run.ts', ['--rounds', '1', '--ms', '50'], 110],
  ['bench/http/run.ts', ['--short'], 90],
  ['bench/client/run.ts', ['--rounds', '1'], 60],
  ['bench/memory/run.ts', ['--short'], 100],
  ['bench/change/run.ts', ['--short'], 60],
  ['bench/claims/run.ts', [], 40],
  ['bench/hash-rings/run.ts', [], 70],
  ['bench/handover/run.ts', ['--short'], 80],
] as const

const folder = mkdtempSync(join(tmpdir(), 'bench-'))
const file = join(folder, 'figures')
const failed = BENCHMARKS.filter(([script, options, seconds]) => {
  console.log(`\n=== ${script} ${options.join(' ')}`)
  const { status } = spawnSync(process.execPath, ['--expose-gc', script, ...options], {
    stdio: 'inherit',
    timeout: seconds * 1000,
    env: { ...process.env, BENCH_FIGURES: file },
  })
  // 1: it missed a goal, which its table says.
  if (status === 0 || status === 1) return false
  console.log(`${script} did not end well within ${seconds} s`)
  return true
})
const figures = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Figure)
rmSync(folder, { recursive: true })
const [load = 0] = loadavg()
printFigures(
  `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, load ${load.toFixed(1)}`,
  figures,
)
if (failed.length > 0) console.log(`\nfailed: ${failed.map(([script]) => script).join(', ')}`)
process.exitCode = failed.length === 0 && figures.every(({ met }) => met !== false) ? 0 : 1

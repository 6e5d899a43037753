/**
 * `npm run bench`: the benchmarks that need nothing but this checkout (and Go where it is), one after the other and shortened so
 * that all take less than ten minutes, then one table of what they found. docs/performance.md holds its figures.
 *
 * One that does not end within its time is ended, with all that it has started, and said. Those that need root, real peers or much
 * time are in README.md.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { GOAL_MISSED, printFigures, type Figure } from './table.ts'

/** Each with its arguments and the seconds that it may take: 580 in all. The first one builds what is written in Go, too. */
const BENCHMARKS = [
  ['bench/ring/run.ts', ['--rounds', '1', '--ms', '50'], 120],
  ['bench/http/run.ts', ['--short'], 80],
  ['bench/client/run.ts', ['--rounds', '1'], 60],
  ['bench/memory/run.ts', ['--short'], 90],
  ['bench/change/run.ts', ['--short'], 50],
  ['bench/claims/run.ts', [], 30],
  ['bench/hash-rings/run.ts', ['--short'], 60],
  ['bench/handover/run.ts', ['--short'], 90],
] as const

/** Ends the benchmark that runs, and what it has started. */
let end = () => {}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    end()
    process.exit(1)
  })
}

/** @returns Whether it ended well within its time. */
async function run(script: string, options: readonly string[], seconds: number): Promise<boolean> {
  console.log(`\n=== ${script} ${options.join(' ')}`)
  const startedMs = performance.now()
  const child = spawn(process.execPath, ['--expose-gc', script, ...options], {
    stdio: 'inherit',
    // A process group of its own, so that its own children can be ended with it.
    detached: true,
    env: { ...process.env, BENCH_FIGURES: file },
  })
  const exited = once(child, 'exit')
  end = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL')
    } catch {
      // Nobody of it is left.
    }
  }
  const timer = setTimeout(end, seconds * 1000)
  const [code] = (await exited) as [number | null]
  clearTimeout(timer)
  // One that fails may leave children, too.
  end()
  console.log(`${script} took ${((performance.now() - startedMs) / 1000).toFixed(0)} of ${seconds} s`)
  return code === 0 || code === GOAL_MISSED
}

const folder = mkdtempSync(join(tmpdir(), 'bench-'))
const file = join(folder, 'figures')
const failed: string[] = []
for (const [script, options, seconds] of BENCHMARKS) {
  if (!(await run(script, options, seconds))) failed.push(script)
}
const figures = (existsSync(file) ? readFileSync(file, 'utf8') : '')
  .split('\n')
  .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Figure]))
rmSync(folder, { recursive: true })
const [load = 0] = loadavg()
printFigures(
  `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, load ${load.toFixed(1)}`,
  figures,
)
if (failed.length > 0) console.log(`\ndid not end well in their time: ${failed.join(', ')}`)
process.exitCode = failed.length === 0 && figures.every(({ met }) => met !== false) ? 0 : GOAL_MISSED

/** `npm run check`: format, lint (layering and floating promises among it) and types, all of them even when one fails. */
import { spawnSync } from 'node:child_process'

const checks: readonly (readonly [title: string, command: string, ...args: string[]])[] = [
  ['format', 'prettier', '--check', '--log-level', 'warn', '.'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
  ['types', 'tsc', '--project', '.'],
  ['types of the page', 'tsc', '--project', 'src/page/browser'],
]

const failed: string[] = []
for (const [title, command, ...args] of checks) {
  const startedMs = performance.now()
  const { status } = spawnSync(command, args, { stdio: 'inherit' })
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  console.log(`${status === 0 ? 'passed' : 'FAILED'}  ${title} (${seconds} s)`)
  if (status !== 0) failed.push(title)
}
console.log(`${checks.length - failed.length} passed, ${failed.length} failed`)
process.exitCode = failed.length === 0 ? 0 : 1

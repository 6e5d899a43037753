/**
 * `npm run bench`: the benchmarks that need nothing but this checkout, one after the other; each prints ours beside a
 * peer. Those that need root and real peers are `npm run bench:network` and `npm run bench:sources`.
 */
import { spawnSync } from 'node:child_process'

const failed = ['bench/ring/run.ts', 'bench/http/run.ts', 'bench/sim/run.ts'].filter((script) => {
  console.log(`\n=== ${script}`)
  return spawnSync(process.execPath, [script, ...process.argv.slice(2)], { stdio: 'inherit' }).status !== 0
})
if (failed.length > 0) console.log(`\nfailed: ${failed.join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1

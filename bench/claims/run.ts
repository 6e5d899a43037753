/**
 * `npm run bench:claims [-- --claims N]`: what claims cost, and how long it takes to tell of a change that moves a tenth.
 *
 * Each measurement is a process of its own. Times are shown on the clock and on the processor: on a machine with other
 * work only the latter say something.
 */
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { claims: { type: 'string', default: '1000000' } } })
const claims = Number(values.claims)

interface Measured {
  readonly heapMb: number
  readonly arraysMb: number
  readonly lost: number
  readonly toldMs: number
  readonly longestTurnMs: number
  readonly longestTurnCpuMs: number
  readonly cpuMs: number
  readonly turns: number
}

const CASES = [
  ['signals that nobody read', 'unread', 100],
  ['signals that were read', 'read', Infinity],
  ['signals with a listener', 'listened', Infinity],
] as const

let failed = false
for (const [title, kind, mostMb] of CASES) {
  const output = execFileSync(
    process.execPath,
    ['--expose-gc', `${import.meta.dirname}/measure.ts`, kind, String(claims)],
    { encoding: 'utf8' },
  )
  const measured = JSON.parse(output) as Measured
  const { heapMb, arraysMb, lost, toldMs, longestTurnMs, longestTurnCpuMs, cpuMs, turns } = measured
  const memory = heapMb + arraysMb
  console.log(`${claims.toLocaleString('en')} claims, ${title}`)
  console.log(
    `  ${memory.toFixed(0)} MB (${heapMb.toFixed(0)} of them in the heap), ${Math.round((memory * 2 ** 20) / claims)} bytes a claim`,
  )
  console.log(
    `  ${lost.toLocaleString('en')} lost: told after ${toldMs.toFixed(0)} ms (${cpuMs.toFixed(0)} ms of processor time) in ${turns} turns,` +
      ` the longest ${longestTurnMs.toFixed(1)} ms (${longestTurnCpuMs.toFixed(1)})`,
  )
  if (memory > mostMb * (claims / 1e6)) {
    console.log(`  FAILED: at most ${mostMb} MB for a million`)
    failed = true
  }
}
process.exitCode = failed ? 1 : 0

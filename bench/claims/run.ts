/**
 * `npm run bench:claims [-- --claims N]`: what claims cost, and how long it takes to tell of a change that moves a tenth.
 *
 * Each measurement is a process of its own. Times are shown on the processor, by which the goals go, and on the
 * clock: on a machine with other work only the former say something.
 */
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { report, type Figure } from '../table.ts'

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
  ['signals that nobody read', 'unread', true],
  ['signals that were read', 'read', false],
  ['signals with a listener', 'listened', false],
] as const

const figures: Figure[] = []
for (const [title, kind, unread] of CASES) {
  const output = execFileSync(
    process.execPath,
    ['--expose-gc', `${import.meta.dirname}/measure.ts`, kind, String(claims)],
    { encoding: 'utf8' },
  )
  const measured = JSON.parse(output) as Measured
  const { heapMb, arraysMb, lost, toldMs, longestTurnMs, longestTurnCpuMs, cpuMs, turns } = measured
  const memory = heapMb + arraysMb
  figures.push(
    {
      figure: `memory of ${claims.toLocaleString('en')} claims, ${title}`,
      ours: `${memory.toFixed(0)} MB, ${Math.round((memory * 2 ** 20) / claims)} bytes each`,
      ...(unread ? { goal: 'under 100 MB', met: memory < 100 * (claims / 1e6) } : {}),
    },
    {
      figure: `${lost.toLocaleString('en')} lost and told, ${title}`,
      ours: `${cpuMs.toFixed(0)} ms of processor time, ${toldMs.toFixed(0)} ms in all`,
      ...(unread ? { goal: 'within 50 ms', met: cpuMs < 50 } : {}),
    },
    {
      figure: `longest of ${turns} turns, ${title}`,
      ours: `${longestTurnCpuMs.toFixed(1)} ms of processor time, ${longestTurnMs.toFixed(0)} ms in all`,
      ...(unread ? { goal: 'under 20 ms', met: longestTurnCpuMs < 20 } : {}),
    },
  )
}
report('Claims', figures)

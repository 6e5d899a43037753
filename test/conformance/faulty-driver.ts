/** The TypeScript client behind a driver that answers wrongly, in the way that its argument names. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { DriverAnswer } from '../../conformance/driver.ts'
import { TYPESCRIPT_DRIVER } from '../../conformance/run.ts'

const FAULTS: Readonly<Record<string, (answer: DriverAnswer) => DriverAnswer | string>> = {
  'another-owner': (answer) =>
    answer.owners === undefined ? answer : { owners: answer.owners.map((found) => found.toReversed()) },
  'another-share': (answer) =>
    answer.shares === undefined
      ? answer
      : {
          shares: Object.fromEntries(
            Object.entries(answer.shares).map(([key, share]) => [key, share + 2 ** -32]),
          ),
        },
  'digest-of-another-ring': (answer) =>
    answer.digest === undefined ? answer : { ...answer, digest: '0123456789abcdef' },
  'never-stale': (answer) => (answer.error === 'RING_STALE' ? { node: { ringKey: 'a', weight: 1 } } : answer),
  'no-address': (answer) =>
    answer.node === undefined
      ? answer
      : { node: { ringKey: answer.node.ringKey, weight: answer.node.weight } },
  'moves-nothing': (answer) => (answer.stretches === undefined ? answer : { share: 0, stretches: [] }),
  'always-ready': (answer) => (answer.ready === undefined ? answer : { ready: true }),
  'no-plans': (answer) => (answer.moves === undefined ? answer : { unsupported: true }),
  'no-json': () => 'ready',
  ends: () => process.exit(3),
}

const fault = FAULTS[process.argv[2] ?? '']
if (fault === undefined) throw new Error('no such fault')
const [program, ...args] = TYPESCRIPT_DRIVER
const inner = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
process.stdin.pipe(inner.stdin)
createInterface({ input: inner.stdout }).on('line', (line) => {
  const wrong = fault(JSON.parse(line) as DriverAnswer)
  console.log(typeof wrong === 'string' ? wrong : JSON.stringify(wrong))
})

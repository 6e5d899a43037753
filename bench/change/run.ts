/**
 * `npm run bench:change [-- --short]`: what changes of the ring cost a member that answers look-ups meanwhile. A real `ringman
 * serve` follows the endpoints of a Service at a stand-in API server: 1,000 members join one after another, then there are 5,000
 * at once, then all of them are replaced, 20 at a time.
 *
 * Beside each stands the same member while nothing changes. Pauses of the event loop are in processor time of its thread: by
 * the clock, a machine with other work makes pauses of its own.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { Held } from '../../lab/loop-meter.ts'
import { serve } from '../../test/support/child-process.ts'
import { imageEnv } from '../../lab/image-env.ts'
import { after, load, LOOK_UPS } from '../memory/load.ts'
import { report, type Figure } from '../table.ts'
import type { MembersChange } from './api-server.ts'

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
const JOINS = 1000
const MEMBERS = values.short ? 2000 : 5000
const AT_A_TIME = 20
const STEP_MS = 20
const MB = 1e6

/** Tells for how long the member's event loop was held. */
const HELD_LOOP = `--import ${import.meta.dirname}/../../test/support/held-loop.ts`
const image = imageEnv()
const MEMBER_ENV = { ...image, NODE_OPTIONS: `${image['NODE_OPTIONS']} ${HELD_LOOP}` }

const server = fork(`${import.meta.dirname}/api-server.ts`)
const [kubeconfig] = (await once(server, 'message')) as [string]
let members = 0
function change(first: number, count: number, generation: number): void {
  members = Math.max(members, first + count)
  server.send({ first, count, generation } satisfies MembersChange)
}
const pass = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Waits until the ring has as many nodes as the Service has members; those that went stay for some seconds. */
async function untilSettled(): Promise<void> {
  for (const deadlineMs = performance.now() + 60_000; ;) {
    // Its log is limited, but the last change is told within a second.
    await pass(1500)
    const { nodes } = JSON.parse(member.outLines.at(-1) ?? '{}') as { readonly nodes?: number }
    if (nodes === members) return
    if (performance.now() > deadlineMs)
      throw new Error(`not settled after a minute: ${member.outLines.at(-1)?.slice(0, 500)}`)
  }
}

async function residentBytes(): Promise<number> {
  const status = await readFile(`/proc/${member.pid}/status`, 'utf8')
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1])
}

async function held(): Promise<Held> {
  member.child.send('tell')
  return ((await once(member.child, 'message')) as [Held])[0]
}

interface Measured extends Held {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly residentBytes: number
}

/** What look-ups and the event loop see while something is done. */
async function during(work: () => Promise<void>): Promise<Measured> {
  await held()
  let over = false
  let mostBytes = await residentBytes()
  const timer = setInterval(() => {
    void residentBytes().then((bytes) => {
      mostBytes = Math.max(mostBytes, bytes)
    })
  }, 250)
  const looked = load(LOOK_UPS, { port, connections: 4, until: () => over, restMs: 2 })
  await work()
  over = true
  clearInterval(timer)
  const { p50Ms, p99Ms } = await looked
  return { p50Ms, p99Ms, ...(await held()), residentBytes: mostBytes }
}

change(0, 1, 0)
const source = [
  '--source',
  'kubernetes',
  '--kubernetes-service',
  'cache',
  '--kubernetes-kubeconfig',
  kubeconfig,
]
await using member = serve(source, { ipc: true, env: MEMBER_ENV })
const { port } = (await member.ready()).http
// The code is compiled before it is measured, as in a process that has run for a while.
await load(LOOK_UPS, { port, connections: 16, until: after(2000) })

const figures: Figure[] = []
const quietBefore = await during(() => pass(5000) as Promise<void>)
const joins = await during(async () => {
  for (let i = 1; i < JOINS; i++) {
    change(i, 1, 0)
    await pass(STEP_MS / 2)
  }
  await untilSettled()
})
const growth = await during(async () => {
  change(JOINS, MEMBERS - JOINS, 0)
  await untilSettled()
})
const quiet = await during(() => pass(5000) as Promise<void>)
const replacement = await during(async () => {
  for (let i = 0; i < MEMBERS; i += AT_A_TIME) {
    change(i, Math.min(AT_A_TIME, MEMBERS - i), 1)
    await pass(STEP_MS)
  }
  await untilSettled()
})

function add(what: string, measured: Measured, still: Measured): void {
  figures.push(
    {
      figure: `longest pause of the event loop, ${what}`,
      ours: `${measured.cpuMs.toFixed(1)} ms (${measured.clockMs.toFixed(0)} by the clock)`,
      peer: `${still.cpuMs.toFixed(1)} ms (${still.clockMs.toFixed(0)}) while nothing changes`,
      goal: 'under 10 ms',
      met: measured.cpuMs < 10,
    },
    {
      figure: `look-ups, 99th percentile, ${what}`,
      ours: `${measured.p99Ms.toFixed(2)} ms`,
      peer: `${still.p99Ms.toFixed(2)} ms while nothing changes`,
      ratio: measured.p99Ms / still.p99Ms,
      goal: 'under 1 ms',
      met: measured.p99Ms < 1,
    },
    {
      figure: `resident memory at most, ${what}`,
      ours: `${(measured.residentBytes / MB).toFixed(0)} MB`,
      peer: `${(still.residentBytes / MB).toFixed(0)} MB while nothing changes`,
      ratio: measured.residentBytes / still.residentBytes,
    },
  )
}
const thousands = MEMBERS.toLocaleString('en')
add(`${JOINS.toLocaleString('en')} members join one after another`, joins, quietBefore)
add(`${thousands} members at once`, growth, quiet)
add(`all ${thousands} replaced, ${AT_A_TIME} at a time`, replacement, quiet)
report('A ring that changes', figures)
server.kill()

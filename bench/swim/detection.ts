/**
 * How fast swim members notice: five real processes at default settings, on loopback. Prints, over several runs,
 * the time from SIGKILL, and from the start of a leave, until the member is off the lists of all others; and
 * whether a stall of 500 ms costs anyone its place.
 *
 * node bench/swim/detection.ts [RUNS, default 5]
 */
import { setTimeout as wait } from 'node:timers/promises'
import { seeEachOther, isLive, startSwimCluster, SwimProcess } from '../../test/support/swim-cluster.ts'

const runs = Number(process.argv[2] ?? 5)
const STALL_MS = 500

const killed: number[] = []
const left: number[] = []
let lost = 0

let cluster = await startSwimCluster(5, 'lan')
const [observer] = cluster
const seeds = [`127.0.0.1:${observer?.port ?? 0}`]

/** Takes the last member away by `how` and gives the time until all others see that; then there is a new one. */
async function replaceLast(how: (victim: SwimProcess) => Promise<void> | void): Promise<number> {
  const victim = cluster.at(-1)
  if (victim === undefined) throw new Error('there is no member')
  const others = cluster.slice(0, -1)
  const startedMs = performance.now()
  const gone = others.map((other) => other.until((states) => !isLive(states[victim.name])))
  await how(victim)
  await Promise.all(gone)
  const tookMs = performance.now() - startedMs
  await victim.kill()
  const successor = await SwimProcess.start({ name: victim.name, port: 0, seeds, preset: 'lan' })
  cluster = [...others, successor]
  await seeEachOther(cluster)
  return tookMs
}

for (let run = 1; run <= runs; run++) {
  killed.push(await replaceLast((victim) => victim.kill('SIGKILL')))
  left.push(
    await replaceLast((victim) => {
      victim.send({ kind: 'leave' })
    }),
  )
  for (const member of cluster) {
    const unwatch = cluster.map((other) =>
      other.watch(() => {
        if (Object.values(other.states).filter(isLive).length < cluster.length) lost += 1
      }),
    )
    member.send({ kind: 'stall', ms: STALL_MS })
    await wait(STALL_MS * 3)
    for (const end of unwatch) end()
  }
  console.log(`run ${run}: killed ${killed.at(-1)?.toFixed(0)} ms, left ${left.at(-1)?.toFixed(0)} ms`)
}

const summary = (what: string, times: readonly number[]) => {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (fraction: number) => sorted[Math.floor((sorted.length - 1) * fraction)]?.toFixed(0)
  console.log(`${what}: min ${at(0)} ms, median ${at(0.5)} ms, max ${at(1)} ms over ${sorted.length} runs`)
}
summary('SIGKILL to removed on all others, 5 members', killed)
summary('leave to removed on all others, 5 members', left)
console.log(`members wrongly removed in ${runs * 5} stalls of ${STALL_MS} ms: ${lost}`)

await Promise.all(cluster.map((member) => member.kill()))

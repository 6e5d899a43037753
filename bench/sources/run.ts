/**
 * The sources `memberlist` and `swim` side by side: five `ringman serve` processes on loopback at default settings.
 * Prints how long a join, a SIGKILL and a leave take until they are on every ring, what it costs to freeze a member
 * for a while, and what the processes use while nothing happens.
 *
 * node bench/sources/run.ts [RUNS, default 10]
 */
import { setTimeout as wait } from 'node:timers/promises'
import { GOSSIP_SOURCES, ServeCluster, type GossipSource } from './serve-cluster.ts'

const MEMBERS = 5
const IDLE_MS = 10_000
/** A frozen member that was removed is back after so long, at the latest. */
const RECOVER_MS = 5000
const FREEZES_MS = [1000, 3000, 5000]
const FREEZES = 3

const runs = Number(process.argv[2] ?? 10)

interface Figures {
  readonly source: GossipSource
  readonly rows: Readonly<Record<string, string>>
}

function summary(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (fraction: number) => Math.round(sorted[Math.round((sorted.length - 1) * fraction)] ?? 0)
  return `${at(0.5)} (${at(0)}-${at(1)})`
}

/** Freezes each of the members but the first, one after the other; gives how often a living member was removed. */
async function freeze(cluster: ServeCluster, ms: number): Promise<number> {
  const before = cluster.wrongRemovals
  for (let i = 0; i < FREEZES; i++) {
    const victim = cluster.members[1 + (i % (cluster.members.length - 1))]
    victim?.process.signal('SIGSTOP')
    await wait(ms)
    victim?.process.signal('SIGCONT')
    await wait(RECOVER_MS)
    await cluster.untilComplete()
  }
  return cluster.wrongRemovals - before
}

async function measureIdle(cluster: ServeCluster): Promise<Record<string, string>> {
  const before = await Promise.all(cluster.members.map((member) => member.usage()))
  await wait(IDLE_MS)
  const after = await Promise.all(cluster.members.map((member) => member.usage()))
  const cpu = after.map(({ cpuMs }, i) => ((cpuMs - (before[i]?.cpuMs ?? 0)) / IDLE_MS) * 100)
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  return {
    'idle, % of a core': mean(cpu).toFixed(1),
    'resident, MB': (mean(after.map(({ residentBytes }) => residentBytes)) / 1e6).toFixed(0),
  }
}

async function measure(source: GossipSource): Promise<Figures> {
  await using cluster = new ServeCluster(source)
  for (let i = 0; i < MEMBERS; i++) await cluster.add()
  const joins: { fromSpawnMs: number; fromRingMs: number }[] = []
  const kills: number[] = []
  const leaves: number[] = []
  for (let run = 0; run < runs; run++) {
    kills.push(await cluster.removeLast('SIGKILL'))
    joins.push(await cluster.add())
    leaves.push(await cluster.removeLast('SIGTERM'))
    joins.push(await cluster.add())
    const [killed, left] = [kills, leaves].map((times) => Math.round(times.at(-1) ?? 0))
    process.stdout.write(`${source}, run ${run + 1} of ${runs}: killed ${killed} ms, left ${left} ms\n`)
  }
  const frozen: Record<string, string> = {}
  for (const ms of FREEZES_MS) {
    const removals = await freeze(cluster, ms)
    frozen[`wrong removals, ${FREEZES} freezes of ${ms / 1000} s`] = String(removals)
    process.stdout.write(`${source}, frozen for ${ms} ms, ${FREEZES} times: ${removals} wrong removals\n`)
  }
  return {
    source,
    rows: {
      'join: process start to on every ring, ms': summary(joins.map(({ fromSpawnMs }) => fromSpawnMs)),
      'join: own ring to on every ring, ms': summary(joins.map(({ fromRingMs }) => fromRingMs)),
      'SIGKILL to off every ring, ms': summary(kills),
      'leave (SIGTERM) to off every ring, ms': summary(leaves),
      ...frozen,
      ...(await measureIdle(cluster)),
    },
  }
}

const figures: Figures[] = []
for (const source of GOSSIP_SOURCES) figures.push(await measure(source))
const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`
process.stdout.write(`${MEMBERS} members, ${runs} runs; median (least-most)\n\n`)
process.stdout.write(row(['', ...figures.map(({ source }) => source)]))
process.stdout.write(row(['---', ...figures.map(() => '---')]))
for (const what of Object.keys(figures[0]?.rows ?? {})) {
  process.stdout.write(row([what, ...figures.map(({ rows }) => rows[what] ?? '')]))
}

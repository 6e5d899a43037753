/**
 * `node bench/network/cost.ts`: what an idle member costs, in processor time, memory and packets, by cluster size.
 * Needs what bench/network/run.ts needs.
 */
import { parseArgs } from 'node:util'
import { Cluster } from '../../lab/network/cluster.ts'
import type { Contender } from '../../lab/network/contender.ts'
import { BASELINE, parseContenders, parsePositive, parsePreset } from './arguments.ts'
import { readProcessUse } from './process-meter.ts'
import { table, type Goal, type Row } from './report.ts'

const USAGE = `node bench/network/cost.ts

  --contender C   ours, go, go-ringman, or NAME=COMMAND LINE; may be repeated (ours and go)
  --preset P      lan, wan or local (lan)
  --members N     size of the cluster; may be repeated (10 and 100)
  --seconds S     how long to measure (90: at 100 members everybody has one push/pull in that time)`

/** Members that start at the same time: more would measure the queue for the processor. */
const STARTING = 10
/**
 * Until what forming the cluster has set off has died down, and every member has begun to push/pull: Go's first one
 * comes after 30 to 60 s.
 */
const CALM_MS = 60_000
const FORMING_MS = 300_000

const { values } = parseArgs({
  options: {
    contender: { type: 'string', multiple: true, default: ['ours', 'go'] },
    preset: { type: 'string', default: 'lan' },
    members: { type: 'string', multiple: true, default: ['10', '100'] },
    seconds: { type: 'string', default: '90' },
    help: { type: 'boolean', default: false },
  },
})

/** Per member; means over the members. */
interface Cost {
  /** Of one core. */
  readonly cpuPercent: number
  readonly residentMegabytes: number
  readonly largestMegabytes: number
  readonly udpPacketsPerSecond: number
  readonly tcpPacketsPerSecond: number
  /** Both together. */
  readonly packetsPerSecond: number
  readonly bytesPerSecond: number
}

const COLUMNS: readonly {
  title: string
  key: keyof Cost
  format: (value: number) => string
  goal?: Goal
}[] = [
  {
    title: 'CPU, of a core',
    key: 'cpuPercent',
    format: (value) => `${value.toFixed(2)} %`,
    goal: { value: 2 },
  },
  { title: 'resident memory', key: 'residentMegabytes', format: (value) => `${value.toFixed(1)} MB` },
  {
    title: 'resident memory, largest member',
    key: 'largestMegabytes',
    format: (value) => `${value.toFixed(1)} MB`,
  },
  {
    title: 'UDP packets sent a second',
    key: 'udpPacketsPerSecond',
    format: (value) => value.toFixed(2),
  },
  {
    title: 'TCP packets sent a second',
    key: 'tcpPacketsPerSecond',
    format: (value) => value.toFixed(2),
  },
  {
    title: 'packets sent a second',
    key: 'packetsPerSecond',
    format: (value) => value.toFixed(2),
    goal: { ratio: 1 },
  },
  {
    title: 'bytes sent a second, with IP headers',
    key: 'bytesPerSecond',
    format: (value) => value.toFixed(0),
  },
]

if (values.help) {
  console.log(USAGE)
} else {
  await main()
}

async function main(): Promise<void> {
  const contenders = parseContenders(values.contender)
  const measuredMs = parsePositive('seconds', values.seconds) * 1000
  const rows: Row[] = []
  for (const size of values.members.map((word) => parsePositive('members', word))) {
    const costs = new Map<string, Cost>()
    // One after the other: side by side they would take the processor from each other.
    for (const contender of contenders) {
      costs.set(contender.name, await measureCost(contender, size, measuredMs))
      console.error(`${contender.name} with ${size} members: done`)
    }
    for (const { title, key, format, goal } of COLUMNS) {
      rows.push({
        scenario: `${size} members, idle`,
        question: title,
        samples: new Map([...costs].map(([name, cost]) => [name, [cost[key]]])),
        format: (value) => (value === undefined ? '' : format(value)),
        goal,
      })
    }
  }
  console.log(`Preset ${values.preset}. Per member, over ${values.seconds} s.\n`)
  console.log(
    table(
      rows,
      contenders.map(({ name }) => name),
      BASELINE,
    ),
  )
}

async function measureCost(contender: Contender, size: number, measuredMs: number): Promise<Cost> {
  await using cluster = await Cluster.open(contender, parsePreset(values.preset), size)
  await cluster.start(1)
  for (let next = 2; next <= size; next += STARTING) {
    const count = Math.min(STARTING, size - next + 1)
    await Promise.all(Array.from({ length: count }, (_, i) => cluster.start(next + i)))
  }
  if (!(await cluster.settle(FORMING_MS))) {
    throw new Error(`the cluster did not form within ${FORMING_MS} ms: ${cluster.describeUnsettled()}`)
  }
  await pause(CALM_MS)
  const before = await sample(cluster)
  await pause(measuredMs)
  const after = await sample(cluster)

  const perMemberSecond = (total: number) => total / size / ((after.atMs - before.atMs) / 1000)
  return {
    cpuPercent: perMemberSecond(after.cpuMs - before.cpuMs) / 10,
    residentMegabytes: after.residentBytes.reduce((sum, bytes) => sum + bytes, 0) / size / 1e6,
    largestMegabytes: Math.max(...after.residentBytes) / 1e6,
    udpPacketsPerSecond: perMemberSecond(after.udpPackets - before.udpPackets),
    tcpPacketsPerSecond: perMemberSecond(after.tcpPackets - before.tcpPackets),
    packetsPerSecond: perMemberSecond(
      after.udpPackets + after.tcpPackets - before.udpPackets - before.tcpPackets,
    ),
    bytesPerSecond: perMemberSecond(after.udpBytes + after.tcpBytes - before.udpBytes - before.tcpBytes),
  }
}

async function sample(cluster: Cluster) {
  const uses = cluster.running.map(({ pid }) => readProcessUse(pid))
  return {
    ...(await cluster.lab.counters()),
    atMs: performance.now(),
    cpuMs: uses.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    residentBytes: uses.map(({ residentBytes }) => residentBytes),
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/**
 * `npm run bench:ring [-- --rounds N --ms M]`: this ring beside npm `hashring` and the Go library that both follow.
 *
 * Every measurement is a process of its own and the median of ten samples. The contenders take turns at each
 * task, and the rounds repeat all of it, so that what else the machine does hits all alike; medians over the
 * rounds are shown, with the range.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { KEY_COUNT, medianOf, SIZES, type Change, type LookUp, type Measurement, type Task } from './cases.ts'
import { report, type Figure } from '../table.ts'

const run = promisify(execFile)
const here = import.meta.dirname

interface Contender {
  readonly title: string
  readonly measure: (task: Task, size: number, forMs: number) => Promise<Measurement>
}

function nodeContender(title: string, name: string): Contender {
  return {
    title,
    measure: async (task, size, forMs) => {
      const args = [join(here, 'contender.ts'), name, task, String(size), String(forMs)]
      const { stdout } = await run(process.execPath, args)
      return JSON.parse(stdout) as Measurement
    },
  }
}

const GO_BENCHMARKS: Readonly<Record<Exclude<Task, 'manager'>, string>> = {
  owner: 'Owner',
  owners3: 'Owners3',
  add: 'Add',
  remove: 'Remove',
  memory: 'Memory',
}

/** As many as `contender.ts` takes. */
const GO_SAMPLES = 10

/** @returns The reason when there is no Go, or the library cannot be had. */
async function buildGo(directory: string): Promise<Contender | string> {
  const binary = join(directory, 'ring.test')
  let version: string
  try {
    version = (await run('go', ['env', 'GOVERSION'])).stdout.trim()
  } catch {
    return 'there is no `go` on the path'
  }
  try {
    await run('go', ['test', '-c', '-o', binary, '.'], { cwd: join(here, 'go') })
  } catch (error) {
    return `go test -c failed: ${String((error as { stderr?: unknown }).stderr ?? error).trim()}`
  }
  return {
    title: `serialx/hashring (${version})`,
    measure: async (task, size, forMs) => {
      const pattern = `^Benchmark${GO_BENCHMARKS[task as keyof typeof GO_BENCHMARKS]}$/^${size}$`
      const [time, count] = task === 'memory' ? ['1x', 1] : [`${forMs / GO_SAMPLES}ms`, GO_SAMPLES]
      const { stdout } = await run(binary, [
        `-test.bench=${pattern}`,
        `-test.benchtime=${time}`,
        `-test.count=${count}`,
      ])
      const metric = (unit: string) => {
        const matches = [...stdout.matchAll(new RegExp(`\\s([0-9.e+]+) ${unit}(?:\\s|$)`, 'gm'))]
        return matches.length === 0 ? undefined : medianOf(matches.map(([, value]) => Number(value)))
      }
      const [ns, checksum, bytesPerPoint] = [metric('ns/op'), metric('checksum'), metric('bytes/point')]
      if (ns === undefined) throw new Error(`no result in the output of go test: ${stdout}`)
      return {
        ns,
        ...(checksum === undefined ? {} : { checksum }),
        ...(bytesPerPoint === undefined ? {} : { bytesPerPoint }),
      }
    },
  }
}

interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

function summarise(values: readonly number[]): Summary {
  return { median: medianOf(values), min: Math.min(...values), max: Math.max(...values) }
}

/** All measurements of one kind: contender by size. */
class Results {
  readonly #ns = new Map<string, number[]>()
  readonly #checksums = new Map<string, number>()

  add(title: string, size: number, { ns, checksum }: Measurement): void {
    const key = `${title} ${size}`
    if (ns !== undefined) this.#ns.set(key, [...(this.#ns.get(key) ?? []), ns])
    if (checksum !== undefined) this.#checksums.set(key, checksum)
  }

  of(title: string, size: number): Summary {
    return summarise(this.#ns.get(`${title} ${size}`) ?? [])
  }

  checksum(title: string, size: number): number | undefined {
    return this.#checksums.get(`${title} ${size}`)
  }
}

function table(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  for (const row of rows) {
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('   '),
    )
  }
}

const format = (value: number) => value.toFixed(value < 10 ? 2 : 0)
const range = ({ median, min, max }: Summary) => `${format(median)} (${format(min)}-${format(max)})`
const figures: Figure[] = []

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, ms: { type: 'string', default: '200' } },
})
const rounds = Number(values.rounds)
const forMs = Number(values.ms)
const directory = await mkdtemp(join(tmpdir(), 'bench-ring-'))
const go = await buildGo(directory)
const ours = nodeContender(`ours (Node ${process.versions.node})`, 'ours')
const mixed = nodeContender('ours, after mixed keys', 'ours-mixed')
const npm = nodeContender('npm hashring 3.2', 'npm')
const peers = typeof go === 'string' ? [npm] : [go, npm]

console.log(
  `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores; medians of ${rounds} rounds (range)`,
)
if (typeof go === 'string') console.log(`SKIPPED: serialx/hashring (Go): ${go}`)

async function measureAll(task: LookUp | Change, contenders: readonly Contender[]): Promise<Results> {
  const results = new Results()
  for (let round = 0; round < rounds; round++) {
    for (const size of SIZES) {
      for (const contender of contenders) {
        results.add(contender.title, size, await contender.measure(task, size, forMs))
      }
    }
  }
  return results
}

/** Prints one table; `scale` turns nanoseconds into the unit of the title. */
async function compare(
  title: string,
  task: LookUp | Change,
  own: readonly Contender[],
  others: readonly Contender[],
  scale = 1,
): Promise<Results> {
  const results = await measureAll(task, [...own, ...others])
  const scaled = (contender: Contender, size: number) => {
    const { median, min, max } = results.of(contender.title, size)
    return { median: median / scale, min: min / scale, max: max / scale }
  }
  console.log(`\n${title}`)
  table([
    [
      'nodes',
      ...[...own, ...others].map((each) => each.title),
      ...others.map((each) => `${shorten(each)} / ours`),
    ],
    ...SIZES.map((size) => [
      String(size),
      ...[...own, ...others].map((each) => range(scaled(each, size))),
      ...others.map((each) => `${ratio(results, each, size).toFixed(each === npm ? 0 : 2)}x`),
    ]),
  ])
  return results
}

const shorten = (contender: Contender) => (contender === npm ? 'npm' : 'Go')
const ratio = (results: Results, peer: Contender, size: number) =>
  results.of(peer.title, size).median / results.of(ours.title, size).median

try {
  const owner = await compare(
    `Owner of a key, ns, ${KEY_COUNT} distinct keys of 22 bytes`,
    'owner',
    [ours, mixed],
    peers,
  )
  for (const peer of peers) {
    // At 1,000 nodes some points are shared: Go gives them to the latest node, npm hashring to either.
    for (const size of SIZES.filter((each) => each <= 100)) {
      if (owner.checksum(peer.title, size) === owner.checksum(ours.title, size)) continue
      console.log(`DIFFERENT OWNERS: ${peer.title} and ours at ${size} nodes`)
      process.exitCode = 1
    }
    const least = peer === npm ? 10 : 1
    const met = SIZES.every((size) => ratio(owner, peer, size) >= least)
    const [mine, theirs] = [ours, peer].map(({ title }) => owner.of(title, 100).median.toFixed(0))
    figures.push({
      figure: 'owner of a key, 100 nodes',
      ours: `${mine} ns`,
      peer: `${theirs} ns (${peer.title})`,
      ratio: 1 / ratio(owner, peer, 100),
      goal: `at any size at most ${1 / least} of ${shorten(peer)}'s`,
      met,
    })
  }

  await compare('Three owners of a key, ns', 'owners3', [ours], peers)
  await compare('Owner of a key through the manager, ns', 'manager', [ours, mixed], [])

  for (const task of ['add', 'remove'] as const) {
    const results = await compare(
      `${task === 'add' ? 'Adding' : 'Removing'} one node, ms`,
      task,
      [ours],
      peers,
      1e6,
    )
    const { median } = results.of(ours.title, 1000)
    figures.push({
      figure: `${task === 'add' ? 'adding' : 'removing'} one node of 1,000`,
      ours: `${(median / 1e6).toFixed(2)} ms`,
      peer: peers
        .map((each) => `${(results.of(each.title, 1000).median / 1e6).toFixed(0)} ms (${shorten(each)})`)
        .join(', '),
      goal: 'at most 2 ms',
      met: median <= 2e6,
    })
  }

  console.log('\nMemory, bytes per point')
  const rows: string[][] = []
  let most = 0
  for (const size of SIZES) {
    const own = await ours.measure('memory', size, forMs)
    const others = await Promise.all(peers.map((peer) => peer.measure('memory', size, forMs)))
    most = Math.max(most, own.arrayBytesPerPoint!)
    const cells = [own.arrayBytesPerPoint!, own.bytesPerPoint!, ...others.map((each) => each.bytesPerPoint!)]
    rows.push([String(size), ...cells.map((bytes) => bytes.toFixed(2))])
  }
  table([['nodes', 'ours, per point', 'ours, all', ...peers.map((each) => `${each.title}, all`)], ...rows])
  console.log(
    '"per point" is every array that has entries for points; "all" is what stays in memory with a ring,',
  )
  console.log('its nodes and their ring keys among it')
  figures.push({
    figure: 'arrays of a ring, for each point',
    ours: `${most.toFixed(1)} bytes`,
    goal: 'at most 8 bytes',
    met: most <= 8,
  })
  report('The ring', figures)
} finally {
  await rm(directory, { recursive: true, force: true })
}

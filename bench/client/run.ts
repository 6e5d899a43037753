/**
 * `npm run bench:client [-- --rounds N]`: what a client with a ring of its own costs: a look-up beside the ring's own, memory beside
 * Node's HTTP alone, and loading it. Measurements are processes of their own; look-ups are in CPU time, and loading is
 * the quickest of some times, as both are to be told on a machine that does other things.
 */
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { ScriptedServer } from '../../conformance/scripted-server.ts'
import { makeRingKeys, medianOf } from '../ring/cases.ts'
import { report, type Figure } from '../table.ts'

const run = promisify(execFile)
const CONTENDER = join(import.meta.dirname, 'contender.ts')
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })
const rounds = Number(values.rounds)
const nodes = (count: number) => makeRingKeys(count).map((ringKey) => ({ ringKey, weight: 1 }))

const rows: Figure[] = []

async function take<T>(what: string, url: string): Promise<T> {
  return JSON.parse((await run(process.execPath, [CONTENDER, what, url])).stdout) as T
}

await using server = await ScriptedServer.start()

for (const count of [10, 100, 1000]) {
  server.show(nodes(count))
  const taken: { readonly ring: number; readonly client: number; readonly ratio: number }[] = []
  for (let round = 0; round < rounds; round++) taken.push(await take('look-ups', server.url))
  const ours = medianOf(taken.map(({ client }) => client))
  const peer = medianOf(taken.map(({ ring }) => ring))
  const ratio = medianOf(taken.map((each) => each.ratio))
  rows.push({
    figure: `owner(), ${count} nodes`,
    ours: `${ours.toFixed(0)} ns`,
    peer: `${peer.toFixed(0)} ns (HashRing.ownerOf)`,
    ratio,
    goal: count === 100 ? 'under 150 ns, at most 1.15' : 'at most 1.15',
    met: ratio <= 1.15 && (count !== 100 || ours < 150),
  })
}

/** Shows one ring after the other as soon as somebody watches. */
async function showChanges(): Promise<void> {
  while (server.watches === 0) await new Promise((resolve) => setTimeout(resolve, 20))
  for (let count = 1001; count <= 1020; count++) {
    server.show(nodes(count))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const memory: Record<'http-memory' | 'client-memory', number[]> = { 'http-memory': [], 'client-memory': [] }
for (let round = 0; round < rounds; round++) {
  for (const what of ['http-memory', 'client-memory'] as const) {
    server.show(nodes(1000))
    const [bytes] = await Promise.all([take<number>(what, server.url), showChanges()])
    memory[what].push(bytes)
    server.reset()
  }
}
const MB = 1e6
const alone = medianOf(memory['http-memory']) / MB
const used = medianOf(memory['client-memory']) / MB
rows.push({
  figure: 'heap and external memory, 1,000 nodes, after 20 changes',
  ours: `${(used - alone).toFixed(1)} MB more`,
  peer: `${alone.toFixed(1)} MB (the watch by node:http alone)`,
  ratio: used / alone,
  goal: 'under 5 MB more',
  met: used - alone < 5,
})

const built = spawnSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' })
if (built.status !== 0) throw new Error('the build failed')
for (const [name, file, goalMs] of [
  ['ringman/client', 'dist/client/index.js', 40],
  ['ringman/ring', 'dist/ring/index.js', 40],
  ['ringman', 'dist/index.js', undefined],
] as const) {
  const times: number[] = []
  for (let round = 0; round < 4 * rounds; round++) {
    const script = `const at = performance.now(); await import(${JSON.stringify(join(process.cwd(), file))}); console.log(performance.now() - at)`
    times.push(Number((await run(process.execPath, ['--input-type=module', '--eval', script])).stdout))
  }
  const ms = Math.min(...times)
  rows.push({
    figure: `import '${name}'`,
    ours: `${ms.toFixed(0)} ms`,
    ...(goalMs === undefined ? {} : { goal: `under ${goalMs} ms`, met: ms < goalMs }),
  })
}

report('A client with a ring of its own', rows)

/**
 * `npm run bench:proxies [-- --rounds N --requests R]`: what asking ringman adds to a request through a real Envoy. The
 * recipe of `examples/proxies/envoy.yaml` beside the same Envoy without the filter that asks, in turns, each in front of
 * the same three applications, with one request at a time on one connection.
 */
import { Agent, get } from 'node:http'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { Fleet, hostOf } from '../../test/system/proxies/fleet.ts'
import { Proxy } from '../../test/system/proxies/proxy.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    requests: { type: 'string', default: '1500' },
  },
})
const rounds = Number(values.rounds)
const requests = Number(values.requests)

function ask(proxy: Proxy, agent: Agent, key: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now()
    get(`${proxy.url}/`, { agent, headers: { 'X-Key': key } }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`status ${answer.statusCode}`))
      answer.resume().on('end', () => {
        resolve(performance.now() - startedMs)
      })
    }).on('error', reject)
  })
}

async function measure(proxy: Proxy): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const times: number[] = []
  for (let i = -100; i < requests; i++) {
    const ms = await ask(proxy, agent, `key-${i % 97}`)
    if (i >= 0) times.push(ms)
  }
  agent.destroy()
  return times
}

const quantile = (sorted: readonly number[], q: number) => sorted[Math.floor(q * (sorted.length - 1))] ?? 0
const withoutQuestion = (recipe: string) =>
  recipe.replace(
    / +- name: envoy\.filters\.http\.ext_authz[^]*?(?= +- name: envoy\.filters\.http\.router)/,
    '',
  )

await using fleet = await Fleet.start(3)
const { dnsAddress, applicationPort, application } = fleet
// A member itself: a Service of the test would be one hop more, and a slow one.
const backends = {
  dnsAddress,
  applicationPort,
  application,
  lookUps: { host: hostOf(1), port: fleet.httpPort },
}
await using asking = await Proxy.start('envoy', backends)
await using plain = await Proxy.start('envoy', { ...backends }, (recipe) =>
  // The cluster stays, so that the recipe is otherwise the same.
  withoutQuestion(recipe),
)
const samples = { asking: [] as number[], plain: [] as number[] }
const added: number[] = []
for (let round = 0; round < rounds; round++) {
  const pair = { asking: await measure(asking), plain: await measure(plain) }
  for (const name of ['asking', 'plain'] as const) {
    pair[name].sort((a, b) => a - b)
    samples[name].push(...pair[name])
  }
  added.push(quantile(pair.asking, 0.5) - quantile(pair.plain, 0.5))
}
for (const name of ['asking', 'plain'] as const) samples[name].sort((a, b) => a - b)
added.sort((a, b) => a - b)

console.log(`one request at a time through Envoy, ${rounds} rounds of ${requests} requests`)
console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}\n`)
console.log('                       p50 ms    p90 ms    p99 ms')
for (const [name, title] of [
  ['plain', 'round robin'],
  ['asking', 'asking /v1/route'],
] as const) {
  const cells = [0.5, 0.9, 0.99].map((q) => quantile(samples[name], q).toFixed(3).padStart(10))
  console.log(title.padEnd(19) + cells.join(''))
}
console.log(`\np50 added, median of the rounds: ${quantile(added, 0.5).toFixed(3)} ms (goal 0.5)`)

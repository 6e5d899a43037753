/**
 * Measures one thing in a process of its own, and prints it as JSON: `node bench/client/contender.ts WHAT URL`.
 *
 * `look-ups`: nanoseconds of CPU for the owner of a key, by the ring itself and by a client with a copy of it, in turns.
 * `http-memory` and `client-memory`: bytes of heap and external memory once the watch has been followed by Node's HTTP
 * alone, or by a client.
 */
import { get } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { RingClient } from '../../src/client/ring-client.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { makeKeys, medianOf } from '../ring/cases.ts'

const SAMPLES = 15
const SAMPLE_MS = 40

/** Calls for some time. @returns Nanoseconds of CPU for a call: what else the machine does is not in it. */
function sample(owner: (key: string) => { readonly weight: number }, keys: readonly string[]): number {
  let sum = 0
  let calls = 0
  const started = process.cpuUsage()
  let usedMicros
  do {
    for (const key of keys) sum += owner(key).weight
    calls += keys.length
    usedMicros = process.cpuUsage(started).user
  } while (usedMicros < SAMPLE_MS * 1000)
  if (sum === 0) throw new Error('no look-ups')
  return (usedMicros * 1000) / calls
}

function heldBytes(): number {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  for (let i = 0; i < 4; i++) gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** How many changes are followed before the memory is measured; the parent sends them. */
const CHANGES = 20

async function followedBy(what: string, url: string): Promise<unknown> {
  if (what === 'http-memory') {
    const { promise, resolve } = Promise.withResolvers<void>()
    let ends = 0
    const request = get(`${url}/v1/ring/watch`, (response) => {
      response.on('data', (chunk: Buffer) => {
        for (const byte of chunk) ends += byte === 10 ? 1 : 0
        // An event is four lines.
        if (ends >= 4 * (CHANGES + 1)) resolve()
      })
    })
    await promise
    return request
  }
  const client = new RingClient({ url })
  let changes = 0
  for await (const { ring } of client.changes()) {
    changes++
    // Slow readers skip changes; the last ring is the one with most nodes.
    if (ring.size >= 1000 + CHANGES || changes > CHANGES) break
  }
  client.owner('key')
  client.shares()
  return client
}

const [what = '', url = ''] = process.argv.slice(2)
if (what.endsWith('-memory')) {
  const held = await followedBy(what, url)
  console.log(heldBytes())
  process.exit(held === undefined ? 1 : 0)
}
const client = new RingClient({ url })
await client.ready()
const ring = HashRing.of(client.ring.nodes)
const byRing = (key: string) => ring.ownerOf(key)!
const byClient = (key: string) => client.owner(key)
const keys = makeKeys()
for (let warm = 0; warm < 5; warm++) for (const owner of [byRing, byClient]) sample(owner, keys)
const samples = Array.from({ length: SAMPLES }, () => ({
  ring: sample(byRing, keys),
  client: sample(byClient, keys),
}))
console.log(
  JSON.stringify({
    ring: medianOf(samples.map((each) => each.ring)),
    client: medianOf(samples.map((each) => each.client)),
    ratio: medianOf(samples.map((each) => each.client / each.ring)),
  }),
)
process.exit(0)

/**
 * Rings of HashRings at a real kube-apiserver with its etcd, which `npm run test:k8s` builds too: three members as processes,
 * some tens of rings, and endpoints that are added to them, one after the other. Prints how long it takes from the change of a
 * slice until all three members tell their watchers of the new ring, what that costs the API server in writes, and the
 * members' memory.
 */
import { Agent, request } from 'node:http'
import { readFileSync } from 'node:fs'
import { HASH_RING_GROUP, HASH_RINGS } from '../../src/rings/hash-ring-resource.ts'
import { sliceOf } from '../../test/membership/kubernetes/slice-fixtures.ts'
import { ApiServer } from '../../test/support/api-server.ts'
import { CHART } from '../../test/system/k8s/rendered-objects.ts'
import { RingProcess } from '../../test/system/k8s/ring-process.ts'
import { quantile, report } from '../table.ts'

const RINGS = 30
const ENDPOINTS = 20
const MEMBERS = 3
const HOME = 'rings'
const WORK = 'bench'
const changes = Number(process.argv[3] ?? 200)

const HASH_RINGS_PATH = `/apis/${HASH_RING_GROUP}/${HASH_RINGS.version}/namespaces/${WORK}/hashrings`
const SLICES_PATH = `/apis/discovery.k8s.io/v1/namespaces/${WORK}/endpointslices`

await using stack = new AsyncDisposableStack()
const server = await ApiServer.start({ controllers: [] })
stack.defer(() => server.stop())
for (const namespace of [HOME, WORK]) await server.createNamespace(namespace)
const { code, stderr } = await server.helm([
  'install',
  'ring',
  CHART,
  '--namespace',
  HOME,
  '--set',
  'rings.enabled=true',
])
if (code !== 0) throw new Error(stderr)
await server.until(
  'HashRings to be served',
  async () => (await server.tryAsk('GET', HASH_RINGS_PATH)).status === 200,
)

/** Addresses of a ring's endpoints are its own, so that a new one is known when it is seen. */
const addressOf = (ring: number, endpoint: number) => `10.${ring}.${endpoint >> 8}.${endpoint & 255}`

function sliceBody(ring: number, count: number): unknown {
  const pods = Array.from({ length: count }, (_, i) => ({
    name: `r${ring}-${i}`,
    address: addressOf(ring, i),
    ready: true,
    serving: true,
    terminating: false,
  }))
  const slice = sliceOf(`r${ring}-0`, pods, { labels: { 'kubernetes.io/service-name': `r${ring}` } })
  const { resourceVersion: _, ...metadata } = slice.metadata as Record<string, unknown>
  return { ...slice, metadata: { ...metadata, namespace: WORK } }
}

for (let ring = 0; ring < RINGS; ring++) {
  await server.ask('POST', SLICES_PATH, { body: sliceBody(ring, ENDPOINTS) })
  await server.ask('POST', HASH_RINGS_PATH, {
    body: {
      apiVersion: `${HASH_RING_GROUP}/${HASH_RINGS.version}`,
      kind: 'HashRing',
      metadata: { name: `r${ring}` },
      spec: { service: { name: `r${ring}` } },
    },
  })
}

const token = await server.requestToken(HOME, 'ring-ringman')
const hostOf = (member: number) => server.host.replace(/\d+$/, String(member + 1))
const startedMs = performance.now()
const members = await Promise.all(
  Array.from({ length: MEMBERS }, async (_, i) => {
    const kubeconfig = await server.writeKubeconfig(`member-${i}`, { token })
    const given = { seeds: [hostOf(0), hostOf(1)], minMembers: MEMBERS, kubeconfig }
    return stack.use(await RingProcess.startForHashRings(`ringman-${i}`, hostOf(i), given))
  }),
)
const readyMs = performance.now() - startedMs

/** Where a member has told its watchers of an address, with the moment. */
const told = new Map<string, number>()
let onTold = () => {}
const agent = new Agent({ keepAlive: true, maxSockets: Infinity })
stack.defer(() => {
  agent.destroy()
})
for (const [at, { url }] of members.entries()) {
  for (let ring = 0; ring < RINGS; ring++) {
    const watch = request(`${url}/v1/rings/${WORK}/r${ring}/ring/watch`, { agent }).end()
    watch.on('error', () => {
      // It is over.
    })
    watch.on('response', (response) => {
      let rest = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        const now = performance.now()
        rest += text
        for (const [, address = ''] of rest.matchAll(/"address":"([\d.]+)"/g)) {
          const key = `${at} ${address}`
          if (!told.has(key)) told.set(key, now)
        }
        rest = rest.slice(rest.lastIndexOf('{'))
        onTold()
      })
      response.on('error', () => {})
    })
  }
}

/** Resolves with the moment at which the last member has told of an address. */
async function toldByAll(address: string): Promise<number> {
  for (;;) {
    const moments = members.map((_, at) => told.get(`${at} ${address}`))
    if (!moments.includes(undefined)) return Math.max(...(moments as number[]))
    await new Promise<void>((resolve) => {
      onTold = resolve
    })
  }
}

/** Status writes of all members since their start. */
async function statusWrites(): Promise<number> {
  const texts = await Promise.all(
    members.map(async ({ adminUrl }) => (await fetch(`${adminUrl}/metrics`)).text()),
  )
  return texts
    .flatMap((text) => [...text.matchAll(/^ringman_hash_ring_status_writes_total(?:\{[^}]*\})? (\S+)$/gm)])
    .reduce((sum, [, value]) => sum + Number(value), 0)
}

/** Waits until nobody has written a status for some seconds. */
async function untilWritten(): Promise<number> {
  let last = -1
  for (let quiet = 0; quiet < 12;) {
    const now = await statusWrites()
    quiet = now === last ? quiet + 1 : 0
    last = now
    await new Promise((resolve) => setTimeout(resolve, 1000))
  }
  return last
}

for (let ring = 0; ring < RINGS; ring++) await toldByAll(addressOf(ring, ENDPOINTS - 1))
const before = await untilWritten()
const requestMs: number[] = []
const times: number[] = []
for (let i = 0; i < changes; i++) {
  const [ring, count] = [i % RINGS, ENDPOINTS + Math.floor(i / RINGS)]
  const body = sliceBody(ring, count + 1)
  const sentMs = performance.now()
  const answered = server
    .ask('PUT', `${SLICES_PATH}/r${ring}-0`, { body })
    .then(() => performance.now() - sentMs)
  times.push((await toldByAll(addressOf(ring, count))) - sentMs)
  requestMs.push(await answered)
}
const writes = ((await untilWritten()) - before) / changes
const residentMb = members.map(({ process: { child } }) => {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? []
  return (Number(kib) / 1024).toFixed(0)
})

/** A watch may be told before the request is answered. */
const afterMs = times.map((timeMs, i) => Math.max(0, timeMs - requestMs[i]!))
const ms = (values: readonly number[], part: number) => `${quantile(values, part).toFixed(1)} ms`
console.log(`${RINGS} HashRings of ${ENDPOINTS} endpoints, ${MEMBERS} members, ${changes} changes of a slice`)
report('Rings of HashRings at a real kube-apiserver', [
  { figure: 'all members ready', ours: `${(readyMs / 1000).toFixed(1)} s` },
  {
    figure: 'a change is on the ring of all members, 99th percentile',
    ours: `${ms(times, 0.99)} (median ${ms(times, 0.5)})`,
    goal: 'at most 100 ms',
    met: quantile(times, 0.99) <= 100,
  },
  {
    figure: 'of it the request that changes the slice',
    ours: `${ms(requestMs, 0.99)} (median ${ms(requestMs, 0.5)})`,
  },
  {
    figure: 'of it after that was answered',
    ours: `${ms(afterMs, 0.99)} (median ${ms(afterMs, 0.5)})`,
  },
  {
    figure: 'status writes of a change, all members',
    ours: writes.toFixed(2),
    goal: 'at most 2',
    met: writes <= 2,
  },
  { figure: 'resident memory of each member', ours: `${residentMb.join(', ')} MB` },
])

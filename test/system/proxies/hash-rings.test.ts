import { expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { PHASES, sliceOf } from '../../membership/kubernetes/slice-fixtures.ts'
import { GOSSIP, TestProcess } from '../../support/child-process.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../../support/fake-kubernetes-api.ts'
import { FakeKubernetesServer } from '../../support/fake-kubernetes-server.ts'
import { freePort } from '../../support/free-port.ts'
import type { ProxyName } from '../../support/proxy-programs.ts'
import { a, TinyDnsServer } from '../../support/tiny-dns-server.ts'
import { RingProcess } from '../k8s/ring-process.ts'
import type { ApplicationAnswer } from './application.ts'
import { hostOf, PODS, ROUTE_KEY } from './fleet.ts'
import { Proxy } from './proxy.ts'

const NAMES: readonly ProxyName[] = ['envoy', 'nginx', 'haproxy', 'caddy']
const KEYS = Array.from({ length: 12 }, (_, i) => `user:${i}`)
const PATIENCE_MS = 60_000

/** Applications without a ringman beside them: the endpoints of their Service are the ring, by a HashRing. */
test('requests go to the owners by the ring of a HashRing, while its pods are replaced', async () => {
  const port = await freePort()
  const api = new FakeKubernetesApi(systemClock)
  await using apiServer = await FakeKubernetesServer.open(api)
  const dns = new TinyDnsServer()
  const dnsAddress = await dns.listen()
  await using applications = new AsyncDisposableStack()
  applications.defer(() => {
    dns.close()
  })
  const start = async (host: string) => {
    const program = new URL('application.ts', import.meta.url).pathname
    await applications.use(new TestProcess([program, host, String(port)])).event('ready')
  }
  const list = (hosts: readonly string[], draining: readonly string[] = []) => {
    const pods = [...hosts, ...draining].map((host) => ({
      name: `application-${host}`,
      address: host,
      ...PHASES[draining.includes(host) ? 'draining' : 'serving'],
    }))
    const slice = sliceOf('application-a', pods, {
      ports: [{ name: 'http', port, protocol: 'TCP' }],
      labels: { 'kubernetes.io/service-name': 'application' },
    })
    api.put(COLLECTIONS.allSlices, { ...slice, metadata: { ...slice.metadata, namespace: 'shop' } })
    dns.zone.set(PODS, hosts.map(a))
  }
  const first = [1, 2, 3].map(hostOf)
  await Promise.all(first.map(start))
  list(first)
  api.put(COLLECTIONS.hashRings, {
    metadata: { name: 'application', namespace: 'shop', generation: 1 },
    spec: { service: { name: 'application' } },
  })
  await using ringman = await RingProcess.start([
    '--hash-rings',
    '--kubernetes-kubeconfig',
    apiServer.kubeconfig({ token: 't' }),
    '--name',
    'ringman-0',
    ...GOSSIP,
    '--route-key',
    ROUTE_KEY,
    '--log-format',
    'json',
  ])
  const { hostname, port: lookUpPort } = new URL(ringman.url)
  const backends = {
    dnsAddress,
    applicationPort: port,
    lookUps: { host: hostname, port: Number(lookUpPort) },
    application: { host: hostOf(1), port },
  }
  await using running = new AsyncDisposableStack()
  const proxies = await Promise.all(
    NAMES.map(async (name) => {
      const edit = (recipe: string) => recipe.replaceAll('/v1/route', '/v1/rings/shop/application/route')
      return running.use(await Proxy.start(name, backends, edit))
    }),
  )

  const expectOwners = async (hosts: readonly string[]) => {
    const ownerOf = new Map<string, string>()
    const findOwners = async () => {
      const digests = new Set<string>()
      for (const key of KEYS) {
        const url = `${ringman.url}/v1/rings/shop/application/owner?key=${encodeURIComponent(key)}`
        const answer = await (await fetch(url)).json()
        const { owner, digest } = answer as { owner: { address: string }; digest: string }
        ownerOf.set(key, owner.address)
        digests.add(digest)
      }
      // While the ring changes, some are of the ring before.
      return digests.size > 1 ? [] : [...new Set(ownerOf.values())].sort()
    }
    await expect.poll(findOwners, { timeout: PATIENCE_MS }).toEqual([...hosts].sort())
    for (const { name, url } of proxies) {
      const instances = async () => {
        const found = new Map<string, string>()
        // One after the other: a look-up that takes too long on a busy machine is the fallback's.
        for (const key of KEYS) {
          const answer = await fetch(`${url}/`, { headers: { 'X-Key': key } })
          found.set(key, ((await answer.json()) as ApplicationAnswer).instance)
        }
        return found
      }
      await expect.poll(instances, { timeout: PATIENCE_MS, message: name }).toEqual(ownerOf)
    }
  }
  await expectOwners(first)
  await start(hostOf(4))
  list([...first, hostOf(4)])
  await expectOwners([...first, hostOf(4)])
  list([2, 3, 4].map(hostOf), [hostOf(1)])
  await expectOwners([2, 3, 4].map(hostOf))
})

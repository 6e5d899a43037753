/**
 * A stand-in API server with HashRings and EndpointSlices, as a process of its own: the parent tells by messages which
 * slice to change, and hears of the writes.
 */
import { systemClock } from '../../src/clock.ts'
import { sliceOf } from '../../test/membership/kubernetes/slice-fixtures.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../../test/support/fake-kubernetes-api.ts'
import { FakeKubernetesServer } from '../../test/support/fake-kubernetes-server.ts'
import type { Scale } from './stand-in.ts'

const api = new FakeKubernetesApi(systemClock)
const server = await FakeKubernetesServer.open(api)

function putSlices(service: string, endpoints: number, generation: number): void {
  for (let from = 0; from < endpoints; from += 100) {
    const pods = Array.from({ length: Math.min(100, endpoints - from) }, (_, i) => ({
      name: `${service}-${from + i}`,
      // One endpoint has another address in each generation.
      address: `10.${from + i === 0 ? generation % 250 : 0}.${(from + i) >> 8}.${(from + i) & 255}`,
      ready: true,
      serving: true,
      terminating: false,
    }))
    const labels = { 'kubernetes.io/service-name': service }
    const slice = sliceOf(`${service}-${from / 100}`, pods, { labels })
    api.put(COLLECTIONS.allSlices, { ...slice, metadata: { ...slice.metadata, namespace: 'bench' } })
  }
}

process.on(
  'message',
  (message: Partial<Scale> & { readonly change?: string; readonly generation?: number }) => {
    const { change, generation = 0, small = 0, large = 0, foreign = 0 } = message
    if (change !== undefined) {
      putSlices(change, change.startsWith('large') ? 1000 : 20, generation)
      return
    }
    const names = [
      ...Array.from({ length: small }, (_, i) => [`small-${i}`, 20] as const),
      ...Array.from({ length: large }, (_, i) => [`large-${i}`, 1000] as const),
    ]
    for (const [name, endpoints] of names) {
      putSlices(name, endpoints, 0)
      api.put(COLLECTIONS.hashRings, {
        metadata: { name, namespace: 'bench', generation: 1 },
        spec: { service: { name } },
      })
    }
    for (let i = 0; i < foreign; i++) putSlices(`foreign-${i}`, 20, 0)
    process.send?.({ env: server.env, folder: server.serviceAccount('t') })
  },
)

setInterval(
  () => process.send?.({ statuses: api.writes.filter(({ path }) => path.endsWith('/status')).length }),
  200,
)

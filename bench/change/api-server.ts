/**
 * The API server of `run.ts`, a stand-in in a process of its own. Each message says which members the Service has from one place
 * on; slices hold a hundred of them.
 */
import { systemClock } from '../../src/clock.ts'
import { PHASES, sliceOf } from '../../test/membership/kubernetes/slice-fixtures.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../../test/support/fake-kubernetes-api.ts'
import { FakeKubernetesServer } from '../../test/support/fake-kubernetes-server.ts'

/** The members from `first` to before `first + count` are of this generation, each with an address of its own. */
export interface MembersChange {
  readonly first: number
  readonly count: number
  readonly generation: number
}

const SLICE = 100
const api = new FakeKubernetesApi(systemClock)
const server = await FakeKubernetesServer.open(api, { scheme: 'http' })
const generations: number[] = []

process.on('message', ({ first, count, generation }: MembersChange) => {
  for (let i = first; i < first + count; i++) generations[i] = generation
  const last = Math.floor((first + count - 1) / SLICE)
  for (let slice = Math.floor(first / SLICE); slice <= last; slice++) {
    const from = slice * SLICE
    const pods = generations.slice(from, from + SLICE).map((of, i) => ({
      name: `cache-${from + i}-${of}`,
      address: `10.${of}.${(from + i) >> 8}.${(from + i) & 255}`,
      ...PHASES.serving,
    }))
    api.put(COLLECTIONS.slices, sliceOf(`cache-${slice}`, pods))
  }
})
process.send?.(server.kubeconfig({ token: 't' }))

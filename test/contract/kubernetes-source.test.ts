import { silentLogger } from '../../src/logger.ts'
import { KubernetesSource } from '../../src/membership/kubernetes/kubernetes-source.ts'
import { PHASES, sliceOf } from '../membership/kubernetes/slice-fixtures.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../support/fake-kubernetes-api.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { describeSourceContract, type SourceHarness } from './source-contract.ts'

function makeHarness(): SourceHarness {
  const clock = new VirtualClock()
  const api = new FakeKubernetesApi(clock)
  const sources: KubernetesSource[] = []
  const pods = new Map<string, string>([['first', '10.0.0.1']])
  const terminating = new Set<string>()

  const write = (): Promise<void> => {
    const endpoints = Array.from(pods, ([name, address]) => ({
      name,
      address,
      ...(terminating.has(name) ? PHASES.terminating : PHASES.serving),
    }))
    api.put(COLLECTIONS.slices, sliceOf('cache-a', endpoints))
    return Promise.resolve()
  }
  void write()

  return {
    create() {
      const source = KubernetesSource.watching(
        { slices: { serviceName: 'cache' } },
        { transport: api.transport(), clock, random: () => 0.5, logger: silentLogger },
      )
      sources.push(source)
      return source
    },
    addMember(name) {
      pods.set(name, `10.0.0.${pods.size + 1}`)
      return write()
    },
    removeMember(name) {
      terminating.add(name)
      return write()
    },
    killMember(name) {
      pods.delete(name)
      return write()
    },
    advance: (ms) => clock.advance(ms),
    openResources: () => api.openCount + clock.pendingTimers,
    async close() {
      await Promise.all(sources.map((source) => source.stop()))
    },
  }
}

describeSourceContract('The Kubernetes source', makeHarness, {
  self: false,
  add: true,
  remove: true,
  kill: true,
  seen: false,
})

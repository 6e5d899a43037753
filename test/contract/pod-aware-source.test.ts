import { systemRandom } from '../../src/clock.ts'
import { PodWatch } from '../../src/kubernetes/pod-watch.ts'
import { silentLogger } from '../../src/logger.ts'
import { PodAwareSource } from '../../src/membership/kubernetes/pod-aware-source.ts'
import { MemberlistSource } from '../../src/membership/memberlist/memberlist-source.ts'
import { parseSeeds } from '../support/seeds.ts'
import { freePort } from '../support/free-port.ts'
import { TurnClock } from '../support/turn-clock.ts'
import { COLLECTIONS, FakeKubernetesApi, type FakeFault } from '../support/fake-kubernetes-api.ts'
import { describeSourceContract, type SourceHarness } from './source-contract.ts'
import { LOOPBACK } from '../support/loopback.ts'

/** Members gossip on loopback; pods are their seeds and hold their gossip to account. */
async function makeHarness(fault: FakeFault | undefined): Promise<SourceHarness> {
  const clock = new TurnClock()
  const apiClock = new TurnClock()
  const api = new FakeKubernetesApi(apiClock)
  api.faultFor = () => fault
  // Nobody else has it, so that pods' addresses alone are seeds.
  const port = await freePort()
  const sources: MemberlistSource[] = []
  const wrapped: PodAwareSource[] = []
  const members = new Map<string, MemberlistSource>()

  const makeGossip = (name: string, seeds: string, itsClock: TurnClock, pods?: PodWatch, gossipPort = 0) =>
    new MemberlistSource({
      ...LOOPBACK,
      name,
      gossipPort: sources.length + members.size === 0 ? port : gossipPort,
      seeds: parseSeeds(seeds),
      clock: itsClock,
      ...(pods === undefined ? {} : { pods }),
    })
  const putPod = (name: string) => {
    api.put(COLLECTIONS.pods, {
      metadata: { name, labels: { app: 'ring' } },
      status: { phase: 'Running', podIP: '127.0.0.1' },
    })
  }
  return {
    create() {
      const name = `m-self-${sources.length}`
      putPod(name)
      const surroundings = { clock, random: systemRandom, logger: silentLogger }
      const pods = new PodWatch({ ...surroundings, transport: api.transport(), selector: 'app=ring' })
      const inner = makeGossip(name, `pods:${port}`, clock, pods)
      sources.push(inner)
      const source = new PodAwareSource({ ...surroundings, inner, pods, checked: inner })
      wrapped.push(source)
      return source
    },
    async addMember(name) {
      const seeds = [...sources, ...members.values()].flatMap(({ gossipAddress }) =>
        gossipAddress === undefined ? [] : [`${gossipAddress.host}:${gossipAddress.port}`],
      )
      const member = makeGossip(name, seeds.join(), new TurnClock(), undefined, await freePort())
      members.set(name, member)
      putPod(name)
      await member.start(new AbortController().signal)
    },
    async removeMember(name) {
      await members.get(name)?.leave()
      await members.get(name)?.stop()
      api.remove(COLLECTIONS.pods, name)
    },
    async killMember(name) {
      await members.get(name)?.stop()
      api.remove(COLLECTIONS.pods, name)
    },
    seenByMember: (name, source) =>
      members.get(name)?.members.find((member) => member.name === source.selfName)?.state,
    advance: (ms) => clock.advance(ms),
    openResources: () =>
      clock.pendingTimers + api.openCount + sources.reduce((sum, { node }) => sum + node.openSockets, 0),
    async close() {
      for (const source of [...wrapped, ...members.values()]) await source.stop()
    },
  }
}

for (const [title, fault] of [
  ['PodAwareSource', undefined],
  ['PodAwareSource with an API server that is silent', { kind: 'hang' }],
] as const) {
  describeSourceContract(title, () => makeHarness(fault), {
    self: true,
    add: true,
    remove: true,
    kill: true,
    seen: true,
  })
}

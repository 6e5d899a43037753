import { systemRandom } from '../../src/clock.ts'
import { silentLogger } from '../../src/logger.ts'
import { MemberlistSource } from '../../src/membership/memberlist/memberlist-source.ts'
import type { Seed } from '../../src/seeds/seed.ts'
import { TurnClock } from '../support/turn-clock.ts'
import { describeSourceContract } from './source-contract.ts'

/** Over sockets on loopback, by UDP and TCP, plain or protected, or by TCP alone: one contract. */
const variants = [
  ['MemberlistSource', {}],
  [
    'MemberlistSource with label and keyring',
    { label: 'test/contract', keyring: [new Uint8Array(32).fill(7)] },
  ],
  ['MemberlistSource over TCP only', { tcpOnly: true }],
] as const

for (const [title, options] of variants) {
  describeSourceContract(
    title,
    () => {
      const clock = new TurnClock()
      const sources: MemberlistSource[] = []
      const members = new Map<string, MemberlistSource>()

      const make = (name: string, seeds: readonly Seed[], itsClock: TurnClock) =>
        new MemberlistSource({
          name,
          bindHost: '127.0.0.1',
          gossipPort: 0,
          metadata: { servicePort: '8000' },
          seeds,
          preset: 'local',
          clock: itsClock,
          random: systemRandom,
          logger: silentLogger,
          ...options,
        })
      return {
        create() {
          const source = make(`m-self-${sources.length}`, [], clock)
          sources.push(source)
          return source
        },
        async addMember(name) {
          const seeds = [...sources, ...members.values()].flatMap(({ gossipAddress }) =>
            gossipAddress === undefined
              ? []
              : [{ kind: 'address', address: gossipAddress.host, port: gossipAddress.port } as const],
          )
          const member = make(name, seeds, new TurnClock())
          members.set(name, member)
          await member.start(new AbortController().signal)
        },
        async removeMember(name) {
          await members.get(name)?.leave()
          await members.get(name)?.stop()
        },
        async killMember(name) {
          await members.get(name)?.stop()
        },
        seenByMember: (name, source) =>
          members.get(name)?.members.find((member) => member.name === source.selfName)?.state,
        advance: (ms) => clock.advance(ms),
        openResources: () =>
          clock.pendingTimers + sources.reduce((sum, { node }) => sum + node.openSockets, 0),
        async close() {
          for (const source of [...sources, ...members.values()]) await source.stop()
        },
      }
    },
    { self: true, add: true, remove: true, kill: true, seen: true },
  )
}

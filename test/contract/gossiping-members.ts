import type { MembershipSource } from '../../src/membership/source.ts'
import type { Seed } from '../../src/seeds/seed.ts'
import { freePort } from '../support/free-port.ts'
import type { SourceHarness } from './source-contract.ts'

interface GossipSource extends MembershipSource {
  readonly gossipAddress: { readonly host: string; readonly port: number } | undefined
}

/**
 * The part of a harness that is the same for all gossip over real sockets: the added members are sources too, which
 * join by the addresses of those before them.
 *
 * @param sources - Those that `create` has made, also those that it is still to make.
 */
export function gossipingMembers(
  sources: readonly GossipSource[],
  make: (name: string, seeds: readonly Seed[], gossipPort: number) => GossipSource,
) {
  const members = new Map<string, GossipSource>()
  const everyone = () => [...sources, ...members.values()]
  return {
    async addMember(name) {
      const seeds = everyone().flatMap(({ gossipAddress }) =>
        gossipAddress === undefined
          ? []
          : [{ kind: 'address', address: gossipAddress.host, port: gossipAddress.port } as const],
      )
      const member = make(name, seeds, await freePort())
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
    async close() {
      for (const source of everyone()) await source.stop()
    },
  } satisfies Partial<SourceHarness>
}

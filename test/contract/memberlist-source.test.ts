import { MemberlistSource } from '../../src/membership/memberlist/memberlist-source.ts'
import type { Seed } from '../../src/seeds/seed.ts'
import { TurnClock } from '../support/turn-clock.ts'
import { gossipingMembers } from './gossiping-members.ts'
import { describeSourceContract } from './source-contract.ts'
import { LOOPBACK } from '../support/loopback.ts'

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

      const make = (name: string, seeds: readonly Seed[], itsClock: TurnClock, gossipPort = 0) =>
        new MemberlistSource({
          ...LOOPBACK,
          gossipPort,
          name,
          seeds,
          clock: itsClock,
          ...options,
        })
      return {
        create() {
          const source = make(`m-self-${sources.length}`, [], clock)
          sources.push(source)
          return source
        },
        ...gossipingMembers(sources, (name, seeds, port) => make(name, seeds, new TurnClock(), port)),
        advance: (ms) => clock.advance(ms),
        openResources: () =>
          clock.pendingTimers + sources.reduce((sum, { node }) => sum + node.openSockets, 0),
      }
    },
    { self: true, add: true, remove: true, kill: true, seen: true },
  )
}

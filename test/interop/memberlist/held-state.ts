import { systemClock, systemRandom } from '../../../src/clock.ts'
import { silentLogger } from '../../../src/logger.ts'
import type { MemberState } from '../../../src/membership/member.ts'
import { GossipCodec } from '../../../src/membership/memberlist/gossip-codec.ts'
import type { MemberlistNodeOptions } from '../../../src/membership/memberlist/node-options.ts'
import { StreamClient } from '../../../src/membership/memberlist/stream-client.ts'
import type { PushPullNode } from '../../../src/membership/memberlist/wire/messages.ts'
import { eventually } from './eventually.ts'
import { asShown, type MixedMember } from './mixed-member.ts'

/** How long a Go member may take to hand over its state, in milliseconds. */
const ANSWER_MS = 60_000

/**
 * Exchanges state with a Go member as a join does, without being a member.
 *
 * @param as - The label, the keys, the cluster name and so on to do it with.
 * @param nodes - The members to tell it of.
 * @returns The members that it holds.
 */
export async function exchangeState(
  peer: MixedMember,
  as: Partial<MemberlistNodeOptions> = {},
  nodes: readonly PushPullNode[] = [],
): Promise<readonly PushPullNode[]> {
  const codec = new GossipCodec({
    name: 'asker',
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...as,
  })
  const { address, port } = asShown(peer, '')
  const { clusterName } = as
  const pushPull = { join: false, nodes, userState: new Uint8Array(0) }
  const client = new StreamClient(systemClock)
  const answer = await client.call({
    to: { address, port },
    bytes: codec.encodeStream(
      {
        kind: 'push-pull',
        pushPull: { ...pushPull, ...(clusterName === undefined ? {} : { clusterName }) },
      },
      'request',
    ),
    timeoutMs: ANSWER_MS,
    reception: codec.streamReception('response'),
  })
  if (answer.outcome !== 'answered' || answer.message.kind !== 'push-pull') {
    throw new Error(`${peer.name} gave no state: ${JSON.stringify(answer)}`)
  }
  return answer.message.pushPull.nodes
}

/** How a Go member holds each other, which it tells in push/pull only. @param as - As in {@link exchangeState}. */
export async function statesHeldBy(
  peer: MixedMember,
  as: Partial<MemberlistNodeOptions> = {},
): Promise<Map<string, MemberState>> {
  const states = ['alive', 'suspect', 'dead', 'left'] as const
  return new Map(
    (await exchangeState(peer, as)).map(({ name, state }) => {
      const known = states[state]
      if (known === undefined) throw new Error(`${peer.name} says that ${name} is in state ${state}`)
      return [name, known]
    }),
  )
}

/** Waits until a Go member holds another for this. */
export function untilHeld(
  peer: MixedMember,
  name: string,
  state: MemberState,
  deadlineMs: number,
  as: Partial<MemberlistNodeOptions> = {},
): Promise<void> {
  let last: Map<string, MemberState> | undefined
  return eventually(
    `${peer.name} holds ${name} for ${state}`,
    async () => {
      last = await statesHeldBy(peer, as)
      return last.get(name) === state
    },
    deadlineMs,
    () => JSON.stringify([...(last ?? [])]),
  )
}

import type { SeedStatus } from '../../seeds/seed-resolver.ts'
import {
  seedStatistics,
  type GossipDropReason,
  type GossipStatistics,
  type SourceStatistics,
} from '../statistics.ts'
import { keyId } from './keyring.ts'
import type { MemberlistNode } from './memberlist-node.ts'
import { createCounters, type Counters } from './protocol/counters.ts'
import type { DropReason } from './wire/drop.ts'

/** What a memberlist source has counted. @param nowMs - The clock's `now`. */
export function memberlistStatistics(
  node: MemberlistNode,
  seedCount: number,
  seedStatus: SeedStatus,
  nowMs: number,
): SourceStatistics {
  const counters = node.counters ?? createCounters()
  const { heardAtMs } = node.traffic
  return {
    ...(heardAtMs === undefined || node.livingCount <= 1 ? {} : { staleMs: nowMs - heardAtMs }),
    seeds: seedStatistics(seedCount, seedStatus),
    joins: {
      completed: counters.joinsCompleted,
      failed: counters.joinsFailed,
      refused: counters.joinsRefused,
    },
    gossip: gossipStatistics(node, counters),
  }
}

function gossipStatistics(node: MemberlistNode, counters: Readonly<Counters>): GossipStatistics {
  const { traffic } = node
  return {
    packets: traffic.packets,
    messages: traffic.messages,
    messageBytes: traffic.messageBytes,
    bytes: traffic.bytes,
    drops: addUp(node.drops, counters.refused, node.refusedConnections),
    sendFailures: node.sendFailures,
    probes: traffic.probes,
    probeSeconds: traffic.probeSeconds,
    suspicions: counters.suspicionsRaised,
    refutations: counters.refutations,
    heldDead: counters.heldDead,
    declaredDead: { ...counters.declaredDeadBy },
    conflicts: traffic.conflicts,
    healthScore: node.healthScore,
    pushPulls: {
      completed: counters.pushPullsCompleted,
      failed: counters.pushPullsFailed,
      answered: counters.pushPullsAnswered,
    },
    pushPullSeconds: traffic.pushPullSeconds,
    pushPullBytes: traffic.pushPullBytes,
    queueDepth: node.queuedCount,
    keyIds: node.keyring.map(keyId),
    queueDrops: { full: counters.dropped, 'too-large': counters.oversized },
    udpBlockedMembers: node.udpBlockedCount,
    stalls: counters.stalls,
    stalledMs: counters.stalledMs,
  }
}

/** What the codecs dropped and what the machine refused have `malformed` in common. */
function addUp(
  drops: Readonly<Record<DropReason, number>>,
  refused: Counters['refused'],
  refusedConnections: number,
): Partial<Record<GossipDropReason, number>> {
  return {
    ...drops,
    ...refused,
    malformed: drops.malformed + refused.malformed,
    'connections-exhausted': refusedConnections,
  }
}

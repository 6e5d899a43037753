import type { GossipStatistics, TwoWayCount } from '../membership/statistics.ts'
import { byLabel, histogram, single, type Sample, type Samples } from './sample.ts'

/** The rows of the gossip, from what the source has counted. */
export function gossipSamples(gossip: GossipStatistics): Samples {
  const { pushPullBytes } = gossip
  return {
    gossipPackets: twoWay(gossip.packets),
    gossipMessages: twoWayByLabel('type', gossip.messages),
    gossipMessageBytes: twoWayByLabel('type', gossip.messageBytes ?? {}),
    gossipBytes: twoWayByLabel('transport', gossip.bytes),
    gossipDrops: byLabel('reason', gossip.drops),
    gossipSendFailures: single(gossip.sendFailures),
    gossipProbes: byLabel('result', { ...gossip.probes }),
    gossipProbeDuration: histogram(gossip.probeSeconds),
    gossipSuspicions: single(gossip.suspicions),
    gossipRefutations: single(gossip.refutations),
    gossipVerdicts: byLabel('evidence', gossip.verdicts),
    gossipConflicts: single(gossip.conflicts),
    gossipHealthScore: single(gossip.healthScore),
    gossipPushPulls: byLabel('result', { ...gossip.pushPulls }),
    gossipPushPullDuration: histogram(gossip.pushPullSeconds),
    gossipPushPullBytes:
      pushPullBytes === undefined
        ? []
        : [
            ...histogram(pushPullBytes.sent, { direction: 'sent' }),
            ...histogram(pushPullBytes.received, { direction: 'received' }),
          ],
    gossipQueueDepth: single(gossip.queueDepth),
    gossipKeyInfo: (gossip.keyIds ?? []).map((id, index) => ({
      value: 1,
      labels: { place: String(index + 1), id },
    })),
    gossipQueueDrops: byLabel('reason', { ...gossip.queueDrops }),
    gossipUdpBlocked: single(gossip.udpBlockedMembers),
    gossipStalls: single(gossip.stalls),
    gossipStalledSeconds: single(gossip.stalledMs / 1000),
  }
}

function twoWay({ sent, received }: TwoWayCount, labels: Readonly<Record<string, string>> = {}): Sample[] {
  return byLabel('direction', { sent, received }, labels)
}

function twoWayByLabel(label: string, counts: Readonly<Partial<Record<string, TwoWayCount>>>): Sample[] {
  return Object.entries(counts).flatMap(([name, count]) =>
    count === undefined ? [] : twoWay(count, { [label]: name }),
  )
}

import type { RingService } from '../service/ring-service.ts'
import type { ListWatchCounts } from '../kubernetes/list-watch.ts'
import { CONDITIONS } from '../membership/condition.ts'
import type {
  SidecarStatistics,
  SourceStatistics,
  GossipStatistics,
  TwoWayCount,
} from '../membership/statistics.ts'
import { byLabel, single, type Samples, histogram, type Sample } from './sample.ts'

/**
 * What a source says of itself. Sources know nothing of metrics: they count (`SourceStatistics`), and the rows of the
 * table are filled here. A new source adds its part to both.
 */
export function collectSource(ring: Pick<RingService, 'source' | 'health'>): Samples {
  const { source } = ring
  const { condition, ok } = ring.health()
  const labels = { source: source.kind }
  const statistics: SourceStatistics = source.statistics?.() ?? {}
  const { staleMs, seeds, joins, gossip, sidecar, kubernetes } = statistics
  return {
    sourceOk: [{ value: ok ? 1 : 0, labels }],
    condition: Object.keys(CONDITIONS).map((name) => ({
      value: name === condition ? 1 : 0,
      labels: { condition: name },
    })),
    sourceStaleness: staleMs === undefined ? [] : [{ value: staleMs / 1000, labels }],
    seeds: byLabel('state', { resolved: seeds?.resolved, unresolved: seeds?.unresolved }),
    seedAddresses: single(seeds?.addresses),
    joins: byLabel('result', { ...joins }),
    ...(gossip && gossipSamples(gossip)),
    ...(sidecar && sidecarSamples(sidecar)),
    ...(kubernetes && kubernetesSamples(kubernetes)),
  }
}

function sidecarSamples({ fetches, updates, streamUp, skippedInstances }: SidecarStatistics): Samples {
  return {
    sidecarFetches: byLabel('result', fetches),
    sidecarUpdates: byLabel('outcome', updates),
    sidecarStreamUp: single(streamUp === undefined ? undefined : Number(streamUp)),
    sidecarSkippedInstances: single(skippedInstances),
  }
}

function kubernetesSamples({ lists, watches, changes, bookmarks, failures }: ListWatchCounts): Samples {
  return {
    kubernetesLists: single(lists),
    kubernetesWatches: single(watches),
    kubernetesEvents: byLabel('type', { change: changes, bookmark: bookmarks }),
    kubernetesFailures: single(failures),
  }
}

/** The rows of the gossip, from what the source has counted. */
function gossipSamples(gossip: GossipStatistics): Samples {
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
    gossipDeclaredDead: byLabel('evidence', gossip.declaredDead),
    gossipConflicts: single(gossip.conflicts),
    gossipHealthScore: single(gossip.healthScore),
    gossipPushPulls: byLabel('result', { ...gossip.pushPulls }),
    gossipPushPullDuration: histogram(gossip.pushPullSeconds),
    gossipPushPullBytes: [
      ...histogram(pushPullBytes?.sent, { direction: 'sent' }),
      ...histogram(pushPullBytes?.received, { direction: 'received' }),
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

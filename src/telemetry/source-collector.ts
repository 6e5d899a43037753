import type { MembershipSource } from '../membership/source.ts'
import type { KubernetesStatistics, SidecarStatistics, SourceStatistics } from '../membership/statistics.ts'
import { gossipSamples } from './gossip-samples.ts'
import { byLabel, single, type Collector, type Samples } from './sample.ts'

/**
 * What a source says of itself. Sources know nothing of metrics: they count (`SourceStatistics`), and the rows of the
 * table are filled here. A new source adds its part to both.
 */
export class SourceCollector implements Collector {
  readonly #source: Pick<MembershipSource, 'kind' | 'health' | 'statistics'>

  constructor(source: Pick<MembershipSource, 'kind' | 'health' | 'statistics'>) {
    this.#source = source
  }

  collect(): Samples {
    const labels = { source: this.#source.kind }
    const statistics: SourceStatistics = this.#source.statistics?.() ?? {}
    const { staleMs, seeds, joins, gossip, sidecar, kubernetes } = statistics
    return {
      sourceOk: [{ value: this.#source.health().ok ? 1 : 0, labels }],
      sourceStaleness: staleMs === undefined ? [] : [{ value: staleMs / 1000, labels }],
      seeds:
        seeds === undefined
          ? []
          : byLabel('state', { resolved: seeds.resolved, unresolved: seeds.unresolved }),
      seedAddresses: single(seeds?.addresses),
      joins: byLabel('result', { ...joins }),
      ...(gossip === undefined ? {} : gossipSamples(gossip)),
      ...(sidecar === undefined ? {} : sidecarSamples(sidecar)),
      ...(kubernetes === undefined ? {} : kubernetesSamples(kubernetes)),
    }
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

function kubernetesSamples(statistics: KubernetesStatistics): Samples {
  const { lists, watches, changes, bookmarks, failures } = statistics
  return {
    kubernetesLists: single(lists),
    kubernetesWatches: single(watches),
    kubernetesEvents: byLabel('type', { change: changes, bookmark: bookmarks }),
    kubernetesFailures: single(failures),
  }
}

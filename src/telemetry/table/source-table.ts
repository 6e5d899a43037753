import { CONDITIONS } from '../../membership/condition.ts'
import { rowsWith, type Metric } from '../metric.ts'

const SOURCE_LABEL = {
  source: { memberlist: '', swim: '', sidecar: '', kubernetes: '', static: '' },
} as const

const CONDITION_LABEL = Object.fromEntries(
  Object.entries(CONDITIONS).map(([condition, { meaning }]) => [condition, meaning]),
)

/** What every source says of itself. */
export const SOURCE_METRICS = {
  sourceOk: {
    name: 'ringman_source_ok',
    labels: SOURCE_LABEL,
    meaning:
      'Whether the source trusts its members: 0 while it may be stale, or is alone although it has seeds; else 1.',
    reading: '`/readyz` has the reason in a sentence.',
  },
  condition: {
    name: 'ringman_condition',
    labels: { condition: CONDITION_LABEL },
    meaning:
      'What the process knows about its own membership: 1 for the condition it is in, 0 for the others.',
    reading:
      'The same word is in `GET /v1/members`. `ringman_source_ok` is 0 in every condition that is worth a warning.',
    query: 'max by (namespace, pod, condition) (ringman_condition) == 1',
  },
  sourceStaleness: {
    name: 'ringman_source_staleness_seconds',
    labels: SOURCE_LABEL,
    meaning:
      'Time since the source was last confirmed: gossip heard from another member, Sidecar’s state, or an answer of the Kubernetes API.',
    reading:
      'Not there for `static`, before the first confirmation, and for gossip while no other member lives. With gossip it stays below a few seconds; more means that this process hears nobody.',
    query: 'max by (namespace, pod) (ringman_source_staleness_seconds) > 60',
    sources: ['memberlist', 'swim', 'sidecar', 'kubernetes'],
  },
} as const satisfies Record<string, Metric>

/** Seeds and joining. */
export const SEED_METRICS = {
  seeds: {
    name: 'ringman_seeds',
    labels: {
      state: { resolved: 'The last round found addresses for it.', unresolved: 'The last round did not.' },
    },
    meaning: 'Seeds as configured, by what became of them when they were resolved last.',
    reading:
      'An unresolved seed is a DNS fault, or a headless Service without pods; the log has the DNS code.',
    sources: ['memberlist', 'swim'],
  },
  seedAddresses: {
    name: 'ringman_seed_addresses',
    meaning: 'Addresses of other processes that the seeds gave when they were resolved last.',
    reading:
      'About the number of other pods, with a headless Service. If it is 0 although seeds are resolved, they lead only to this pod.',
    sources: ['memberlist', 'swim'],
  },
  joins: {
    name: 'ringman_joins_total',
    labels: {
      result: {
        completed: 'The states were exchanged.',
        failed: 'Nobody answered.',
        refused:
          'Somebody answered, and refused this member or was refused: another label, key or cluster name. The log says which.',
      },
    },
    meaning: 'Attempts to join through an address of a seed, by result.',
    reading:
      'Living members are not contacted again, so it stands still once all seeds are members. If `failed` keeps rising, a seed leads to a dead address, or to another cluster.',
    query: 'sum by (pod) (increase(ringman_joins_total{result="failed"}[10m]))',
    sources: ['memberlist'],
  },
} as const satisfies Record<string, Metric>

/** Nitro Sidecar. */
export const SIDECAR_METRICS = rowsWith({ sources: ['sidecar'] })({
  sidecarFetches: {
    name: 'ringman_sidecar_fetches_total',
    labels: { result: { completed: '', failed: '' } },
    meaning: "Fetches of Sidecar's state, by result.",
  },
  sidecarUpdates: {
    name: 'ringman_sidecar_updates_total',
    labels: {
      outcome: {
        accepted: 'It changed what is known of the service (posted, streamed or fetched).',
        ignored: 'Posted; of another service, not newer, or of a change that does not count.',
        refused: 'Posted; not an update.',
        folded: 'Accepted, and then overtaken by a newer one within the hold-down.',
      },
    },
    meaning: 'Updates from Sidecar, by what became of them; `folded` ones are among the `accepted`.',
  },
  sidecarStreamUp: {
    name: 'ringman_sidecar_stream_up',
    meaning: "Whether Sidecar's stream is open: 1, else 0; not there without `--sidecar-watch`.",
  },
  sidecarSkippedInstances: {
    name: 'ringman_sidecar_skipped_instances',
    meaning: 'Living instances of the service that have no place on the ring.',
    reading: 'Most often they have no port that maps to `--sidecar-service-port`; the log names them.',
  },
})

/** The Kubernetes API, which is followed by its own source, and beside gossip for seeds and checks. */
export const KUBERNETES_METRICS = rowsWith({ sources: ['kubernetes', 'memberlist', 'swim'] })({
  kubernetesLists: {
    name: 'ringman_kubernetes_lists_total',
    meaning: 'Lists of the whole set that the Kubernetes API answered: the first one, and every relist.',
    reading: 'One every five to ten minutes. More of them mean that watches break.',
    query: 'sum by (pod) (increase(ringman_kubernetes_lists_total[30m]))',
  },
  kubernetesWatches: {
    name: 'ringman_kubernetes_watches_total',
    meaning: 'Watches that the Kubernetes API opened.',
  },
  kubernetesEvents: {
    name: 'ringman_kubernetes_events_total',
    labels: {
      type: {
        change: 'An object was added, changed or deleted.',
        bookmark: 'Nothing happened, and the watch is alive.',
      },
    },
    meaning: 'Events that watches brought, by type.',
  },
  kubernetesFailures: {
    name: 'ringman_kubernetes_failures_total',
    meaning: 'Lists and watches that failed: refused, broken, silent for too long, or with no answer.',
    reading:
      'One now and then is normal, as when an API server restarts. A steady rise: permissions (RBAC), a network policy, or the API server is away; the log says which.',
    query: 'sum by (pod) (rate(ringman_kubernetes_failures_total[10m])) > 0',
  },
})

import {
  PROBE_BOUNDS_SECONDS,
  PUSH_PULL_BOUNDS_BYTES,
  PUSH_PULL_BOUNDS_SECONDS,
  GOSSIP_DROP_REASONS,
  GOSSIP_MESSAGE_TYPES,
} from '../../membership/statistics.ts'
import { rowsWith } from '../metric.ts'

const DIRECTION = { direction: { sent: '', received: '' } } as const

const MEMBERLIST = ['memberlist'] as const

/** Gossip: what goes over the network, and what it says of the members and of this process. */
export const GOSSIP_METRICS = rowsWith({ sources: ['memberlist', 'swim'] })({
  gossipPackets: {
    name: 'ringman_gossip_packets_total',
    labels: DIRECTION,
    meaning: 'Datagrams sent, and datagrams received and taken.',
    reading: 'If `sent` rises while `received` stands still, UDP does not come through.',
    query: 'sum by (pod, direction) (rate(ringman_gossip_packets_total[5m]))',
  },
  gossipMessages: {
    name: 'ringman_gossip_messages_total',
    labels: { type: GOSSIP_MESSAGE_TYPES, ...DIRECTION },
    meaning: 'Messages in datagrams and streams, by type and direction.',
    reading: 'Types that the source’s protocol does not have make no series.',
  },
  gossipMessageBytes: {
    name: 'ringman_gossip_message_bytes_total',
    labels: { type: GOSSIP_MESSAGE_TYPES, ...DIRECTION },
    meaning:
      'Bytes of those messages: in a datagram the encoded size, before compression and encryption; in a stream the size of the stream.',
    sources: MEMBERLIST,
  },
  gossipBytes: {
    name: 'ringman_gossip_bytes_total',
    labels: { transport: { udp: '', tcp: '' }, ...DIRECTION },
    meaning:
      'Bytes of payload on the sockets of the gossip, by transport and direction; what is dropped is counted, too.',
    query: 'sum by (pod, transport, direction) (rate(ringman_gossip_bytes_total[5m]))',
  },
  gossipDrops: {
    name: 'ringman_gossip_drops_total',
    labels: { reason: GOSSIP_DROP_REASONS },
    meaning: 'Datagrams, streams and messages that came and were not taken, by reason.',
    reading:
      'By key or label: somebody is misconfigured, or another cluster sends here. `not-for-us` in small numbers is normal after a restart. The log line `gossip.dropped` names the sender.',
    query:
      'sum by (namespace, reason) (increase(ringman_gossip_drops_total{reason=~"label-differs|cluster-name-differs|not-encrypted|cannot-decrypt|encrypted-unexpectedly"}[10m]))',
  },
  gossipSendFailures: {
    name: 'ringman_gossip_send_failures_total',
    meaning: 'Datagrams that the system refused to send.',
    reading: 'No route, a full buffer, or a local firewall.',
  },
  gossipProbes: {
    name: 'ringman_gossip_probes_total',
    labels: {
      result: {
        direct: 'Answered over UDP.',
        relay: 'Answered through another member: the direct way lost a packet.',
        stream: 'Answered over TCP only.',
        failed: 'Not answered: the member becomes suspect.',
      },
    },
    meaning: 'Probes of other members that ended, by how they were answered.',
    reading: 'Many by `relay` mean packet loss; if all are by `stream`, UDP is blocked.',
    query:
      'sum by (pod) (rate(ringman_gossip_probes_total{result="failed"}[5m])) / sum by (pod) (rate(ringman_gossip_probes_total[5m]))',
    sources: MEMBERLIST,
  },
  gossipProbeDuration: {
    name: 'ringman_gossip_probe_duration_seconds',
    buckets: PROBE_BOUNDS_SECONDS,
    meaning: 'Round trip of probes that were answered over UDP directly.',
    reading:
      'The network, and the event loops at both ends. The probe timeout of the preset should be well above it.',
    query:
      'histogram_quantile(0.99, sum by (pod, le) (rate(ringman_gossip_probe_duration_seconds_bucket[5m])))',
    sources: MEMBERLIST,
  },
  gossipSuspicions: {
    name: 'ringman_gossip_suspicions_total',
    meaning: 'Suspicions that began with a failed probe of this member.',
    query: 'sum by (namespace) (increase(ringman_gossip_suspicions_total[10m]))',
  },
  gossipRefutations: {
    name: 'ringman_gossip_refutations_total',
    meaning: 'Suspect and dead messages about this member that it refuted.',
    reading: 'The pod on which this rises is the one that is slow, stalled, or badly connected.',
    query: 'topk(3, increase(ringman_gossip_refutations_total[10m]))',
  },
  gossipDeclaredDead: {
    name: 'ringman_gossip_declared_dead_total',
    labels: {
      evidence: {
        silence: "The suspicion's time was over.",
        refusal: 'Its port refused connections, and others bore it out.',
        witnesses: 'Many looked for it at once, several times, and in vain.',
        kubernetes: 'Its pod is not ready, and it was silent (`--kubernetes-check`).',
      },
    },
    meaning: 'Members that this one declared dead itself, by evidence.',
  },
  gossipConflicts: {
    name: 'ringman_gossip_conflicts_total',
    meaning: 'How often two addresses were found under one name.',
    reading: 'Names must be unique. The log line `conflict.found` or `member.conflicted` has both addresses.',
  },
  gossipHealthScore: {
    name: 'ringman_gossip_health_score',
    meaning: 'What this member thinks of its own health: 0 is well, 7 is as bad as it gets.',
    reading:
      'Timeouts are multiplied by the score plus 1. Above 0 for long: starved of CPU, or losing packets.',
    query: 'max by (namespace, pod) (min_over_time(ringman_gossip_health_score[5m])) > 1',
    sources: MEMBERLIST,
  },
  gossipPushPulls: {
    name: 'ringman_gossip_push_pulls_total',
    labels: {
      result: {
        completed: 'Begun here, and both states were exchanged.',
        failed: 'Begun here, and came to nothing.',
        answered: 'Begun by a peer.',
      },
    },
    meaning: 'Exchanges of whole states over TCP, joins among them, by result.',
    reading: '`failed` beside healthy probes: TCP is blocked, or the label or key of a seed differs.',
    sources: MEMBERLIST,
  },
  gossipPushPullDuration: {
    name: 'ringman_gossip_push_pull_duration_seconds',
    buckets: PUSH_PULL_BOUNDS_SECONDS,
    meaning: 'How long the exchanges took that this member began and that were completed.',
    sources: MEMBERLIST,
  },
  gossipPushPullBytes: {
    name: 'ringman_gossip_push_pull_bytes',
    labels: DIRECTION,
    buckets: PUSH_PULL_BOUNDS_BYTES,
    meaning: 'Size of whole states on the network, sent and received.',
    reading: 'Grows with the members. 8 MiB is the most that is taken.',
    sources: MEMBERLIST,
  },
  gossipQueueDepth: {
    name: 'ringman_gossip_queue_depth',
    meaning: 'News that waits to be gossiped on.',
    reading:
      'Falls to 0 within seconds of a change. If it stays above 0, there is more change than the gossip carries.',
    sources: MEMBERLIST,
  },
  gossipQueueDrops: {
    name: 'ringman_gossip_queue_drops_total',
    labels: {
      reason: {
        full: 'The queue was full.',
        'too-large':
          'No packet can hold it: `--max-packet` leaves too little room beside label and encryption.',
      },
    },
    meaning: 'News that was not gossiped on; push/pulls carry it later.',
    sources: MEMBERLIST,
  },
  gossipUdpBlocked: {
    name: 'ringman_gossip_udp_blocked_members',
    meaning: 'Living members that answer over TCP and not over UDP.',
    reading: 'Above 0: a network policy or security group lets TCP 7946 through and not UDP 7946.',
    query: 'max by (namespace, pod) (ringman_gossip_udp_blocked_members) > 0',
    sources: MEMBERLIST,
  },
  gossipStalls: {
    name: 'ringman_gossip_stalls_total',
    meaning: 'Times that the gossip found this process stalled, and counted the time lost against nobody.',
    reading:
      'CPU limits (throttling), a paused container, or a busy host. See `ringman_event_loop_delay_seconds`.',
  },
  gossipKeyInfo: {
    name: 'ringman_gossip_key_info',
    labels: {
      place: 'The place of the key in the keyring; 1 encrypts, and all of them decrypt.',
      id: 'An id of the key: 8 hex digits of a hash, which give nothing of it away.',
    },
    meaning: 'Always 1; a series for each key that this member has. None without a keyring.',
    reading:
      'While keys are rotated, it shows which pods have which key. A step is done when all pods have the same keys in the same places.',
    query: 'count by (namespace, place, id) (ringman_gossip_key_info)',
    sources: MEMBERLIST,
  },
  gossipStalledSeconds: {
    name: 'ringman_gossip_stalled_seconds_total',
    meaning: 'Time lost in those stalls.',
  },
})

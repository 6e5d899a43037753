import { CHANGE_CAUSES } from '../../manager/change-record.ts'
import { HANDOVER_OUTCOMES } from '../../service/handover.ts'
import type { WarmOutcome } from '../../service/warm-up.ts'
import type { CheckVerdict, ForwardOutcome } from '../../service/ownership.ts'
import type { Metric } from '../metric.ts'

/** The ring: who is on it, who owns how much, and what changed. */
export const RING_METRICS = {
  members: {
    name: 'ringman_members',
    labels: {
      state: {
        alive: 'On the ring.',
        suspect: 'Silent of late, and still on the ring.',
        dead: 'Off the ring; listed for a while.',
        left: 'It left the ring by itself; listed for a while.',
      },
    },
    meaning: 'Members that this process knows, by state.',
    reading:
      'All four states are always there. Alive and suspect together should equal the number of ready pods on every pod; where pods differ, some cannot hear others.',
    query:
      'max by (namespace) (sum by (namespace, pod) (ringman_members{state=~"alive|suspect"})) != min by (namespace) (sum by (namespace, pod) (ringman_members{state=~"alive|suspect"}))',
  },
  ringNodes: {
    name: 'ringman_ring_nodes',
    meaning: "Nodes on this process's ring.",
    reading:
      'Lower than the living members when the metadata of some does not decode, or two have one ring key.',
  },
  ringPoints: { name: 'ringman_ring_points', meaning: "Points on this process's ring." },
  checks: {
    name: 'ringman_checks_total',
    labels: {
      verdict: {
        mine: 'Both had the same ring, and this member owned the key.',
        'not-mine': 'Both had the same ring, and another member owned the key: the request was misdirected.',
        'you-are-behind': "The sender's ring was older.",
        'i-am-behind': "This member's ring was older.",
        unknown: 'The rings could not be put in order.',
      } satisfies Record<CheckVerdict, string>,
    },
    meaning: 'Checks whether a request for a key belongs here, by what came out.',
    reading:
      'Right after a change some are behind. `not-mine` is a sender that does not go by the ring it names. If `unknown` lasts, there are two rings that do not become one.',
    query:
      'sum by (namespace, verdict) (rate(ringman_checks_total[5m])) / ignoring (verdict) group_left sum by (namespace) (rate(ringman_checks_total[5m]))',
  },
  forwards: {
    name: 'ringman_forwards_total',
    labels: {
      outcome: {
        served: 'This member owned the key.',
        forwarded: 'The owner answered, or the member after it.',
        'stood-in':
          'Served here although another member owns the key: that one could not be reached, or its ring is older.',
        refused: 'The key was not valid, there was no ring, or the owner could not be found out.',
        failed: 'The owner did not answer.',
        'program-failed': 'It was for this member, and the program behind this proxy did not answer.',
      } satisfies Record<ForwardOutcome, string>,
    },
    meaning: 'Requests with a key that came to a member which forwards, by what became of them.',
    reading:
      'Only where a program forwards (`ring.forward`, `ringman proxy`). `forwarded` over all is the part of the requests that make a detour. `program-failed`: the keys stay with a proxy whose program is dead or hangs; the log line `program.failed` names it.',
    query: 'sum by (namespace, outcome) (rate(ringman_forwards_total[5m]))',
  },
  claims: {
    name: 'ringman_claims',
    meaning: 'Claims on keys that the program holds in this process, and has not released.',
    reading: 'Only where the library is used. If it only rises, nobody releases the claims.',
  },
  handovers: {
    name: 'ringman_handovers_total',
    sources: ['memberlist'],
    labels: { outcome: HANDOVER_OUTCOMES },
    meaning: "This member's own moves with a hand-over that are over, by what they came to.",
    reading:
      'It is above 0 only where members hand keys over, as are the next two. Each start counts as one. `timed-out` means that keys moved cold, `not-possible` that some members of the ring do not take part.',
    query: 'sum by (namespace, outcome) (increase(ringman_handovers_total[1h]))',
  },
  handoverWarmUps: {
    name: 'ringman_handover_warm_ups_total',
    sources: ['memberlist'],
    labels: {
      outcome: {
        done: 'It fetched what it was to.',
        failed: 'It threw an error; the keys came cold.',
        aborted: 'The time was up, or the other member had gone.',
      } satisfies Record<WarmOutcome, string>,
    },
    meaning: "Calls of the program's `warm`, by how they ended.",
    query: 'sum by (namespace, outcome) (increase(ringman_handover_warm_ups_total[1h]))',
  },
  handoverOldest: {
    name: 'ringman_handover_oldest_seconds',
    sources: ['memberlist'],
    meaning:
      'For how long the oldest move of any member has been under way, as this member sees it; 0 for none.',
    reading:
      'It ends at the time limit of the member that moves, 20 s by default. If it is higher, a member hangs.',
    query: 'max by (namespace) (ringman_handover_oldest_seconds) > 60',
  },
  ringEpoch: {
    name: 'ringman_ring_epoch',
    meaning: "Changes of this process's ring since it started.",
    reading: 'Only compares within one process: pods that agree may have different epochs. Compare digests.',
    query: 'changes(ringman_ring_epoch[10m])',
  },
  ringInfo: {
    name: 'ringman_ring_info',
    labels: { digest: 'The 16 hex digits of the current ring.' },
    meaning: 'Always 1; the label is the digest of the current ring.',
    reading:
      'Two pods agree on every key exactly when their digests are equal. More than one digest is normal for the seconds of a change, and a fault when it lasts.',
    query: 'count by (namespace) (count by (namespace, digest) (ringman_ring_info)) > 1',
  },
  ringShareRatio: {
    name: 'ringman_ring_share_ratio',
    meaning: 'The share of this process, from 0 to 1; not there when it is no member.',
    reading: '0 on a pod that left or is not on its own ring. The shares of pods that agree add up to 1.',
    query: 'sum by (namespace) (ringman_ring_share_ratio)',
  },
  ringBalanceRatio: {
    name: 'ringman_ring_balance_ratio',
    meaning: "The largest share as a multiple of the mean one; 1 is perfectly even, 0 is an empty ring's.",
    reading: 'About 1.2 to 1.4 for nodes of equal weight. Weights that differ raise it on purpose.',
  },
  ringChanges: {
    name: 'ringman_ring_changes_total',
    labels: { cause: CHANGE_CAUSES },
    meaning: 'Changes of the ring by cause; one with several causes counts once for each.',
    reading:
      'A rolling update gives `left` and `joined` in pairs. `dead` without `left` is a crash, or a network fault.',
    query: 'sum by (namespace, cause) (increase(ringman_ring_changes_total[10m]))',
  },
  ringKeysMoved: {
    name: 'ringman_ring_keys_moved_ratio_total',
    labels: { cause: CHANGE_CAUSES },
    meaning: 'Fractions of all keys that got another owner, added up, by cause; each move has one cause.',
    reading:
      '0.2 means that every fifth key has a new owner; caches behind the ring miss for about that part of keys.',
    query:
      'avg by (namespace) (sum by (namespace, pod) (increase(ringman_ring_keys_moved_ratio_total[10m])))',
  },
  ringLastChange: {
    name: 'ringman_ring_last_change_timestamp_seconds',
    meaning:
      'When the ring changed last, in seconds since the Unix epoch; not there before the first change.',
    query: 'time() - max by (namespace) (ringman_ring_last_change_timestamp_seconds)',
  },
} as const satisfies Record<string, Metric>

/** The manager: the one writer of the ring. */
export const MANAGER_METRICS = {
  managerUp: {
    name: 'ringman_manager_up',
    meaning: "Whether the ring's manager answered a ping within 5 ms at this scrape: 1, else 0.",
    reading:
      '0 while the process starts and stops. At any other time its loop is stuck or over, and the ring no longer changes.',
  },
  managerMailboxDepth: {
    name: 'ringman_manager_mailbox_depth',
    meaning: 'Commands that wait for the manager, and senders that wait for room in its mailbox of 10.',
    reading: '0 nearly always. More than 10 means that changes come faster than rings can be made.',
  },
  managerPingSeconds: {
    name: 'ringman_manager_ping_seconds',
    meaning: 'How long the ping of this scrape took through the mailbox; not there when it was not answered.',
  },
} as const satisfies Record<string, Metric>

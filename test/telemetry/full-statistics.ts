import { Distribution } from '../../src/distribution.ts'
import { assertNever } from '../../src/errors.ts'
import type { SourceKind } from '../../src/membership/source.ts'
import {
  PROBE_BOUNDS_SECONDS,
  PUSH_PULL_BOUNDS_BYTES,
  PUSH_PULL_BOUNDS_SECONDS,
  type GossipStatistics,
  type SourceStatistics,
} from '../../src/membership/statistics.ts'

const seeds = { resolved: 2, unresolved: 1, addresses: 4 }

const kubernetes = { lists: 37, watches: 38, changes: 39, bookmarks: 40, failures: 41 }

const gossip: GossipStatistics = {
  packets: { sent: 1, received: 2 },
  messages: { ping: { sent: 3, received: 4 } },
  bytes: { udp: { sent: 5, received: 6 } },
  drops: { 'label-differs': 7, malformed: 0 },
  sendFailures: 8,
  suspicions: 9,
  refutations: 10,
  heldDead: 2,
  declaredDead: { silence: 11 },
  conflicts: 12,
  stalls: 13,
  stalledMs: 1400,
}

function distribution(bounds: readonly number[], ...values: number[]): Distribution {
  const made = new Distribution(bounds)
  for (const value of values) made.add(value)
  return made
}

/** Statistics with everything that a source of this kind counts, each number another one. */
export function fullStatistics(kind: SourceKind): SourceStatistics {
  switch (kind) {
    case 'static':
      return {}
    case 'swim':
      return { staleMs: 1500, seeds, gossip, kubernetes }
    case 'memberlist':
      return {
        staleMs: 1500,
        seeds,
        joins: { completed: 15, failed: 16, refused: 24 },
        kubernetes,
        gossip: {
          ...gossip,
          messageBytes: { ping: { sent: 300, received: 400 } },
          bytes: { udp: { sent: 5, received: 6 }, tcp: { sent: 17, received: 18 } },
          probes: { direct: 19, relay: 20, stream: 21, failed: 22 },
          probeSeconds: distribution(PROBE_BOUNDS_SECONDS, 0.0004, 0.7),
          declaredDead: { silence: 11, refusal: 23 },
          healthScore: 1,
          pushPulls: { completed: 24, failed: 25, answered: 26 },
          pushPullSeconds: distribution(PUSH_PULL_BOUNDS_SECONDS, 0.02),
          pushPullBytes: {
            sent: distribution(PUSH_PULL_BOUNDS_BYTES, 512),
            received: distribution(PUSH_PULL_BOUNDS_BYTES, 9e6),
          },
          queueDepth: 27,
          keyIds: ['0123abcd', '4567ef00'],
          queueDrops: { full: 28, 'too-large': 29 },
          udpBlockedMembers: 29,
        },
      }
    case 'sidecar':
      return {
        staleMs: 1500,
        sidecar: {
          fetches: { completed: 30, failed: 31 },
          updates: { accepted: 32, ignored: 33, refused: 34, folded: 35 },
          streamUp: true,
          skippedInstances: 36,
        },
      }
    case 'kubernetes':
      return { staleMs: 1500, kubernetes }
    default:
      return assertNever(kind)
  }
}

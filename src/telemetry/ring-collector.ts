import type { Clock } from '../clock.ts'
import { maxMean } from '../ring/plan.ts'
import { HANDOVER_OUTCOMES } from '../service/handover.ts'
import type { RingService } from '../service/ring-service.ts'
import { CHANGE_CAUSES } from '../manager/change-record.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import type { RingChange } from '../manager/snapshot.ts'
import type { MemberState } from '../membership/member.ts'
import { WARM_OUTCOMES } from '../service/warm-up.ts'
import { zeros } from '../zeros.ts'
import { byLabel, single, type Samples } from './sample.ts'

/** What is to be said of a ring now: its members, its nodes, its manager. Read from snapshots; nothing is kept. */
export async function collectRing(service: RingService, clock: Clock): Promise<Samples> {
  const { source, manager, ownRingKey, ownership, handover = NO_HANDOVER } = service
  const manages = await pingSamples(manager, clock)
  const { ring, epoch } = manager.snapshot
  const ownShare = ownRingKey === undefined ? 0 : (ring.shares().get(ownRingKey) ?? 0)
  return {
    ...manages,
    members: byLabel('state', countStates(source.members)),
    checks: byLabel('verdict', ownership.checks),
    forwards: byLabel('outcome', ownership.forwards),
    claims: single(ownership.claimCount),
    handovers: byLabel('outcome', handover.outcomes),
    handoverWarmUps: byLabel('outcome', handover.warmUps),
    handoverOldest: single(handover.oldestMs / 1000),
    ringNodes: single(ring.size),
    ringPoints: single(ring.pointCount),
    ringEpoch: single(epoch),
    ringInfo: [{ value: 1, labels: { digest: ring.digest } }],
    ringShareRatio: single(source.selfName === undefined ? undefined : ownShare),
    ringBalanceRatio: single(maxMean(ring)),
  }
}

/** What a member says that hands nothing over. */
const NO_HANDOVER: NonNullable<RingService['handover']> = {
  outcomes: zeros(HANDOVER_OUTCOMES),
  warmUps: zeros(WARM_OUTCOMES),
  oldestMs: 0,
}

/** Pings the manager, which takes as long as its mailbox, or the ping's timeout. */
async function pingSamples(manager: HashRingManager, clock: Clock): Promise<Samples> {
  const depth = manager.pending()
  const startedAtMs = clock.now()
  const answered = await manager.ping()
  const tookMs = clock.now() - startedAtMs
  return {
    managerUp: single(answered ? 1 : 0),
    managerMailboxDepth: single(depth),
    managerPingSeconds: single(answered ? tookMs / 1000 : undefined),
  }
}

function countStates(members: readonly { readonly state: MemberState }[]): Record<MemberState, number> {
  const counts = { alive: 0, suspect: 0, dead: 0, left: 0 }
  for (const { state } of members) counts[state]++
  return counts
}

/** Counts changes of the ring and the keys that they move, by cause. A change counts once for each cause in it. */
export class RingChangeTally {
  readonly #changes = zeros(CHANGE_CAUSES)
  readonly #movedShares = zeros(CHANGE_CAUSES)
  #lastChangeAtMs: number | undefined

  add({ records }: Pick<RingChange, 'records'>): void {
    for (const { cause, movedShare, timeMs } of records) {
      this.#changes[cause]++
      this.#movedShares[cause] += movedShare
      this.#lastChangeAtMs = timeMs
    }
  }

  collect(): Samples {
    return {
      ringChanges: byLabel('cause', this.#changes),
      ringKeysMoved: byLabel('cause', this.#movedShares),
      ringLastChange: single(this.#lastChangeAtMs === undefined ? undefined : this.#lastChangeAtMs / 1000),
    }
  }
}

import type { SeedStatus } from '../../seeds/seed-resolver.ts'
import { formatHostPort } from '../../addresses.ts'
import { counted } from '../../counted.ts'
import type { Seed } from '../../seeds/seed.ts'
import { healthIn, type Condition, type SourceHealth } from '../condition.ts'
import type { MemberlistNode } from './memberlist-node.ts'
import type { ExchangeFailure, JoinFinishedEffect } from './protocol/effects.ts'
import { MISFITS } from './refusal.ts'
import type { DropReason } from './wire/drop.ts'

export interface HealthFacts {
  readonly node: Pick<
    MemberlistNode,
    'livingCount' | 'healthScore' | 'drops' | 'udpBlockedCount' | 'contested'
  > &
    Pick<MemberlistNode, 'isEvicted' | 'isUnlisted' | 'unreachedAt'>
  readonly seeds: readonly Seed[]
  readonly seedStatus: SeedStatus
  readonly lastJoin: JoinFinishedEffect | undefined
  readonly state: 'new' | 'starting' | 'running' | 'stopped'
  /** Milliseconds since the source began. */
  readonly uptimeMs: number
}

/** How long a member that has seeds waits for the first news of them before it counts as alone, in milliseconds. */
const FIRST_NEWS_MS = 2000

/** What the source has to say about its own health: above all, why it is alone. */
export function describeHealth(facts: HealthFacts): SourceHealth {
  const { node, seedStatus } = facts
  const misfits = MISFITS.filter((reason) => node.drops[reason] > 0)
  const detail = {
    living: node.livingCount,
    healthScore: node.healthScore,
    seedAddresses: seedStatus.addresses.length,
    seedFailures: seedStatus.failures.length,
    udpBlocked: node.udpBlockedCount,
    ...Object.fromEntries(
      Object.entries(node.drops)
        .filter(([, count]) => count > 0)
        .map(([reason, count]) => [`dropped.${reason}`, count]),
    ),
  }
  const say = (condition: Condition, message: string) => healthIn(condition, message, detail)
  if (facts.state === 'stopped') return say('stopped', 'It was stopped')
  if (facts.state !== 'running') return say('starting', 'It has not started yet')
  if (node.isEvicted) return say('draining', 'The others do not take it: an operator evicted it')
  const [contested] = node.contested()
  if (contested?.rival !== undefined) {
    const [here, there] = [contested.endpoint, contested.rival].map((place) => formatHostPort(place))
    return node.isUnlisted
      ? say('unlisted', `The others list another process of its name, at ${there}, and not this one`)
      : say('contested', `Two processes have the name "${contested.name}": at ${here} and at ${there}`)
  }
  if (node.unreachedAt !== undefined) {
    const { endpoint, isOwn } = node.unreachedAt
    const cause = isOwn
      ? 'its port is closed to the others'
      : 'which is not an address of this host: look at --advertise'
    return say('unreachable', `Nobody reaches it at ${formatHostPort(endpoint)}, ${cause}`)
  }
  if (node.livingCount > 1 && node.udpBlockedCount > 0) {
    return say(
      'udp-blocked',
      `UDP is blocked: only TCP works to ${counted(node.udpBlockedCount, 'other member')}`,
    )
  }
  if (node.livingCount > 1 || facts.seeds.length === 0) {
    return say('well', `Gossips with ${counted(Math.max(0, node.livingCount - 1), 'other member')}`)
  }
  const refusing = facts.lastJoin?.reached.length === 0 ? facts.lastJoin.failed.find(isRefusal) : undefined
  if (refusing !== undefined) {
    return say('refused', `It is refused: the seed ${formatHostPort(refusing.seed)} ${refusing.message}`)
  }
  // A seed that refuses it answers in a moment. Until then nobody knows whether there is none, or one that refuses.
  const { rounds, addresses } = seedStatus
  const isAsking = facts.lastJoin === undefined && (rounds === 0 || addresses.length > 0)
  const condition = isAsking && facts.uptimeMs < FIRST_NEWS_MS ? 'starting' : 'alone'
  return say(condition, reasonToBeAlone(facts, misfits))
}

/** Whether somebody is there who refuses this member, or is refused by it. */
export function isRefusal({ outcome }: ExchangeFailure): boolean {
  return outcome === 'rejected'
}

function reasonToBeAlone(facts: HealthFacts, misfits: readonly DropReason[]): string {
  const { seedStatus, lastJoin } = facts
  if (misfits.length > 0) return `It is alone, and gossip of others was dropped: ${misfits.join(', ')}`
  const [failure] = seedStatus.failures
  if (seedStatus.addresses.length === 0) {
    if (failure !== undefined)
      return `It is alone: the seed ${failure.seed} does not resolve (${failure.reason})`
    if (seedStatus.foundSelf) return 'It is alone: the seeds have only this member'
    return seedStatus.rounds === 0
      ? 'It is alone: the seeds are being resolved'
      : 'It is alone: the seeds have no address'
  }
  const [unreached] = lastJoin?.failed ?? []
  if (unreached === undefined && (lastJoin?.reached.length ?? 0) > 0) {
    return 'It is alone: the seeds lead back to this member, or to one that knows of nobody'
  }
  return unreached === undefined
    ? 'It is alone: the seeds are being contacted'
    : `It is alone: the seed ${formatHostPort(unreached.seed)} does not answer (${unreached.message})`
}

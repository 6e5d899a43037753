import type { SeedStatus } from '../../seeds/seed-resolver.ts'
import { counted } from '../../counted.ts'
import { isLiving, type Member } from '../member.ts'
import { healthIn, type Condition, type SourceHealth } from '../condition.ts'
import type { ViewedMembers } from './swim-members.ts'

export interface HealthFacts {
  readonly state: 'new' | 'starting' | 'running' | 'left' | 'stopped'
  readonly members: readonly Member[]
  readonly selfName: string
  readonly seedTexts: readonly string[]
  readonly seeds: SeedStatus | undefined
  readonly conflicts: ViewedMembers['conflicts']
  readonly drops: ReadonlyMap<string, number>
  readonly sendErrors: number
  readonly lastSendError: string | undefined
  readonly longestStallMs: number
}

/** Says how the source is, and, when it is alone although it has seeds, why that may be. */
export function describeHealth(facts: HealthFacts): SourceHealth {
  const { members, selfName, seedTexts, seeds } = facts
  const count = (state: Member['state']) => members.filter((member) => member.state === state).length
  const others = members.filter((member) => member.name !== selfName && isLiving(member)).length
  const detail = {
    alive: count('alive'),
    suspect: count('suspect'),
    dead: count('dead'),
    left: count('left'),
    seeds: seedTexts.length,
    seedAddresses: seeds?.addresses.length ?? 0,
    seedFailures: (seeds?.failures ?? []).map(({ seed, reason }) => `${seed} ${reason}`).join(', '),
    sendErrors: facts.sendErrors,
    ...(facts.lastSendError === undefined ? {} : { lastSendError: facts.lastSendError }),
    longestStallMs: Math.round(facts.longestStallMs),
    ...Object.fromEntries([...facts.drops].map(([reason, drops]) => [`dropped.${reason}`, drops])),
  }
  const say = (condition: Condition, message: string) => healthIn(condition, message, detail)

  switch (facts.state) {
    case 'new':
    case 'starting':
      return say('starting', 'It has not started yet')
    case 'stopped':
      return say('stopped', 'Stopped')
    case 'left':
      return say('draining', `Left the cluster of ${counted(others, 'other member')}`)
    case 'running':
      break
  }
  const [conflict] = facts.conflicts
  if (conflict !== undefined) {
    const hosts = [conflict.winner, ...conflict.losers].join(' and ')
    return say('contested', `Two members have the name "${conflict.name}": ${hosts}; names must be unique`)
  }
  if (others > 0) return say('well', `Gossips with ${counted(others, 'other member')}`)
  if (seedTexts.length === 0) return say('well', 'Alone, and no seeds are configured')
  return say('alone', `Alone: ${reasonOfSolitude(facts)}`)
}

function reasonOfSolitude({ seeds, sendErrors, lastSendError, drops }: HealthFacts): string {
  if (seeds === undefined || seeds.rounds === 0) return 'the seeds are being resolved'
  const [failure] = seeds.failures
  if (seeds.addresses.length === 0) {
    if (failure !== undefined) return `the seed ${failure.seed} does not resolve (${failure.reason})`
    return seeds.foundSelf ? 'the seeds lead only to this process' : 'the seeds resolve to no address'
  }
  if (seeds.addresses.every(({ address }) => address.includes(':'))) {
    return 'the seeds resolve to IPv6 addresses only, which the swim source does not know'
  }
  if (sendErrors > 0 && lastSendError !== undefined) {
    return `no seed answers, and datagrams cannot be sent (${lastSendError})`
  }
  const dropped = [...drops.values()].reduce((sum, drops_) => sum + drops_, 0)
  const hint = dropped > 0 ? `; of another protocol: ${counted(dropped, 'datagram')}` : ''
  return `no seed answers at ${counted(seeds.addresses.length, 'address', 'addresses')} (is UDP let through?)${hint}`
}

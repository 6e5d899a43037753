import { parseSeed } from '../../../src/seeds/seed.ts'

/** A member as both kinds show it. */
export interface Shown {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly meta: string
}

/** What both kinds of members have in common. */
export interface MixedMember {
  readonly name: string
  /** `host:port`. */
  readonly gossipAddress: string
  untilShown(names: readonly string[], deadlineMs: number): Promise<void>
}

/** What a member should be shown as, from what it says of itself. */
export function asShown(member: MixedMember, meta: string): Shown {
  const seed = parseSeed(member.gossipAddress)
  if (seed.kind !== 'address' || seed.port === undefined)
    throw new Error(`no address: ${member.gossipAddress}`)
  return { name: member.name, address: seed.address, port: seed.port, meta }
}

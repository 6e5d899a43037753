import type { MembershipSource } from '../membership/source.ts'
import { formatHostPort } from '../addresses.ts'
import { isLiving } from '../membership/member.ts'

/** Another living member, and where it answers look-ups over HTTP; undefined where it does not say. */
export interface HttpPeer {
  readonly name: string
  readonly url: string | undefined
}

/** The other members that live, by name. */
export function httpPeers({ members, selfName }: Pick<MembershipSource, 'members' | 'selfName'>): HttpPeer[] {
  return members.flatMap((member) => {
    const { name, address, metadata } = member
    if (name === selfName || !isLiving(member)) return []
    const port = metadata?.httpPort
    return [{ name, url: port === undefined ? undefined : `http://${formatHostPort({ address, port })}` }]
  })
}

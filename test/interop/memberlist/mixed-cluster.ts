import { MemberlistPeer, type MemberlistPeerSettings } from '../../../lab/peers/memberlist-peer.ts'
import type { MixedMember, Shown } from './mixed-member.ts'
import { OurMember, type OurSettings } from './our-member.ts'

/**
 * News takes some tenths of a second. But gossip can miss a member, which then learns by a push/pull: with the
 * `local` preset there is one every 15 s, with somebody who may not know it either.
 */
export const NEWS_MS = 60_000
/** Long enough to notice a killed member with the `local` preset, at its slowest, on a busy machine. */
export const NOTICE_MS = 60_000

/**
 * A broadcast goes out a certain number of times, some of them along with answers to one and the same member, and the
 * peers do not broadcast on what they hear. So many times it misses none of a handful.
 */
export const FAR_REACHING = { retransmitMult: 20 } as const

export const metaOf = (servicePort: number) => JSON.stringify({ ServicePort: String(servicePort) })

/** What a member of ours says: it looks for suspects, and knows of draining. */
export const ourMetaOf = (servicePort: number) =>
  JSON.stringify({ ServicePort: String(servicePort), Witness: true, Level: 1 })

/** The members that one of either kind shows, by name. */
export async function shownBy(member: OurMember | MemberlistPeer): Promise<Shown[]> {
  const members = member instanceof OurMember ? await member.shown() : await member.members()
  return members.map(({ name, address, port, meta }) => ({ name, address, port, meta }))
}

/** A cluster of Go members `g1`… and ours `r1`…, all of which know each other. */
export interface MixedCluster {
  readonly go: readonly MemberlistPeer[]
  readonly ours: readonly OurMember[]
  readonly all: readonly (MemberlistPeer | OurMember)[]
  readonly names: readonly string[]
}

export interface MixedSettings {
  /** How many of each kind. @default 3 */
  readonly each?: number
  readonly go?: Partial<MemberlistPeerSettings>
  readonly ours?: Partial<OurSettings>
}

/**
 * Starts a mixed cluster and waits until everybody shows everybody. The kinds alternate, and each joins through the
 * one before it, so that Go members join through ours and ours through Go's. Service ports are 9001… for Go's and
 * 8001… for ours.
 */
export async function startMixed(
  stack: AsyncDisposableStack,
  settings: MixedSettings = {},
): Promise<MixedCluster> {
  const go: MemberlistPeer[] = []
  const ours: OurMember[] = []
  const all: (MemberlistPeer | OurMember)[] = []
  const join = () => all.slice(-1).map(({ gossipAddress }) => gossipAddress)
  for (let i = 1; i <= (settings.each ?? 3); i++) {
    const peer = stack.use(
      await MemberlistPeer.start({
        preset: 'local',
        meta: metaOf(9000 + i),
        join: join(),
        ...settings.go,
        name: `g${i}`,
      }),
    )
    go.push(peer)
    all.push(peer)
    const our = stack.use(
      await OurMember.start({ servicePort: 8000 + i, join: join(), ...settings.ours, name: `r${i}` }),
    )
    ours.push(our)
    all.push(our)
  }
  const names = all.map(({ name }) => name).sort()
  await everybodyShows(all, names, NEWS_MS)
  return { go, ours, all, names }
}

/** Waits until each of these shows exactly these names. */
export async function everybodyShows(
  members: readonly MixedMember[],
  names: readonly string[],
  deadlineMs: number,
): Promise<void> {
  await Promise.all(members.map((member) => member.untilShown(names, deadlineMs)))
}

/** The texts of the user messages that a Go member got, oldest first. */
export function textsOf(peer: MemberlistPeer): unknown[] {
  return peer.process.lines.flatMap((line) => (line.type === 'message' ? [line.fields['text']] : []))
}

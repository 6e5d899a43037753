import { setTimeout as wait } from 'node:timers/promises'
import { systemClock, systemRandom } from '../../../src/clock.ts'
import { silentLogger } from '../../../src/logger.ts'
import type { MemberState } from '../../../src/membership/member.ts'
import { GossipCodec } from '../../../src/membership/memberlist/gossip-codec.ts'
import type { MemberlistNodeOptions } from '../../../src/membership/memberlist/node-options.ts'
import type { PushPullNode } from '../../../src/membership/memberlist/wire/messages.ts'
import { StreamClient } from '../../../src/membership/memberlist/stream-client.ts'
import { parseSeed } from '../../../src/seeds/seed.ts'
import { MemberlistPeer, type MemberlistPeerSettings } from '../support/memberlist-peer.ts'
import { OurMember, type OurSettings } from './our-member.ts'

/** News among a handful of members takes some tenths of a second; a busy machine makes seconds of them. */
export const NEWS_MS = 15_000
/** Long enough to notice a killed member with the `local` preset, at its slowest, on a busy machine. */
export const NOTICE_MS = 40_000

/**
 * What one member broadcasts reaches five others by itself: with the `local` preset it would reach four, and the
 * peers do not broadcast on what they hear.
 */
export const FAR_REACHING = { retransmitMult: 4 } as const

const LOOK_INTERVAL_MS = 20

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

/** Waits until `holds`, looking every 20 ms. @param facts - Told when the deadline passes. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs: number,
  facts: () => string = () => '',
): Promise<void> {
  const untilMs = performance.now() + deadlineMs
  while (!(await holds())) {
    if (performance.now() > untilMs) throw new Error(`not within ${deadlineMs} ms: ${what}\n${facts()}`)
    await wait(LOOK_INTERVAL_MS)
  }
}

export const metaOf = (servicePort: number) => JSON.stringify({ ServicePort: String(servicePort) })

/** What a member should be shown as, from what it says of itself. */
export function asShown(member: MixedMember, meta: string): Shown {
  const seed = parseSeed(member.gossipAddress)
  if (seed.kind !== 'address' || seed.port === undefined)
    throw new Error(`no address: ${member.gossipAddress}`)
  return { name: member.name, address: seed.address, port: seed.port, meta }
}

/** The members that one of either kind shows, by name. */
export async function shownBy(member: OurMember | MemberlistPeer): Promise<Shown[]> {
  const members = member instanceof OurMember ? await member.shown() : await member.members()
  return members.map(({ name, address, port, meta }) => ({ name, address, port, meta }))
}

/**
 * Exchanges state with a Go member as a join does, without being a member.
 *
 * @param as - The label, the keys, the cluster name and so on to do it with.
 * @param nodes - The members to tell it of.
 * @returns The members that it holds.
 */
export async function exchangeState(
  peer: MixedMember,
  as: Partial<MemberlistNodeOptions> = {},
  nodes: readonly PushPullNode[] = [],
): Promise<readonly PushPullNode[]> {
  const codec = new GossipCodec({
    name: 'asker',
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...as,
  })
  const { address, port } = asShown(peer, '')
  const { clusterName } = as
  const pushPull = { join: false, nodes, userState: new Uint8Array(0) }
  const client = new StreamClient(systemClock)
  const answer = await client.call({
    to: { address, port },
    bytes: codec.encodeStream(
      {
        kind: 'push-pull',
        pushPull: { ...pushPull, ...(clusterName === undefined ? {} : { clusterName }) },
      },
      'request',
    ),
    timeoutMs: NEWS_MS,
    reception: codec.streamReception('response'),
  })
  if (answer.outcome !== 'answered' || answer.message.kind !== 'push-pull') {
    throw new Error(`${peer.name} gave no state: ${JSON.stringify(answer)}`)
  }
  return answer.message.pushPull.nodes
}

/** How a Go member holds each other, which it tells in push/pull only. @param as - As in {@link exchangeState}. */
export async function statesHeldBy(
  peer: MixedMember,
  as: Partial<MemberlistNodeOptions> = {},
): Promise<Map<string, MemberState>> {
  const states = ['alive', 'suspect', 'dead', 'left'] as const
  return new Map(
    (await exchangeState(peer, as)).map(({ name, state }) => {
      const known = states[state]
      if (known === undefined) throw new Error(`${peer.name} says that ${name} is in state ${state}`)
      return [name, known]
    }),
  )
}

/** Waits until a Go member holds another for this. */
export function untilHeld(
  peer: MixedMember,
  name: string,
  state: MemberState,
  deadlineMs: number,
  as: Partial<MemberlistNodeOptions> = {},
): Promise<void> {
  let last: Map<string, MemberState> | undefined
  return eventually(
    `${peer.name} holds ${name} for ${state}`,
    async () => {
      last = await statesHeldBy(peer, as)
      return last.get(name) === state
    },
    deadlineMs,
    () => JSON.stringify([...(last ?? [])]),
  )
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

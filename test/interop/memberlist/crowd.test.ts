import { beforeAll, expect, test } from 'vitest'
import type { PushPullNode } from '../../../src/membership/memberlist/wire/messages.ts'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { MemberlistPeer } from '../../../lab/peers/memberlist-peer.ts'
import { exchangeState } from './held-state.ts'
import { metaOf, NEWS_MS, shownBy } from './mixed-cluster.ts'
import { type Shown } from './mixed-member.ts'
import { OurMember } from './our-member.ts'

const CROWD = 500
/** So that nobody probes meanwhile: the crowd does not exist. */
const NEVER_MS = 3_600_000

beforeAll(async () => {
  await buildGoProgram('memberlist-peer')
})

/** Five hundred members with metadata of every size. 500 that live in one Go process keep two cores busy for minutes. */
function makeCrowd(): { readonly nodes: PushPullNode[]; readonly shown: Shown[] } {
  const shown = Array.from({ length: CROWD }, (_, i) => ({
    name: `crowd-${i}`,
    address: `127.1.${i >> 8}.${i & 255}`,
    port: 20_000 + i,
    meta: JSON.stringify({ ServicePort: String(30_000 + i), Zone: 'z'.repeat(i % 470) }),
  }))
  const nodes = shown.map(({ name, address, port, meta }, i) => ({
    name,
    address: Uint8Array.from(address.split('.'), Number),
    port,
    meta: new TextEncoder().encode(meta),
    incarnation: i + 1,
    state: 0,
    vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
  }))
  return { nodes, shown }
}

test.each([
  ['compressed', true],
  ['uncompressed', false],
] as const)(
  'the state of 500 members passes in one push/pull, from Go to ours and back, %s',
  async (_, compression) => {
    await using stack = new AsyncDisposableStack()
    const timing = { probeIntervalMs: NEVER_MS }
    const host = stack.use(
      await MemberlistPeer.start({ name: 'host', meta: metaOf(9000), compression, timing }),
    )
    const crowd = makeCrowd()
    await exchangeState(host, { compression }, crowd.nodes)
    // Go answers first and learns then.
    await host.process.until('the crowd', () => host.process.view.names.size === CROWD + 1, NEWS_MS)
    const own = (await shownBy(host)).filter(({ name }) => name === 'host')
    const expected = linesOf([...crowd.shown, ...own])
    expect(differences(linesOf(await shownBy(host)), expected)).toEqual([])

    const our = stack.use(
      await OurMember.start({
        name: 'ours',
        compression,
        settings: { probeIntervalMs: NEVER_MS },
      }),
    )
    const first = firstSet(our)
    our.source.node.join([addressOf(host)])
    // The first set that has others has them all: it came in one piece, not by gossip.
    expect(await first, our.facts().slice(0, 2000)).toBe(CROWD + 2)
    const there = (await shownBy(our)).filter(({ name }) => name !== 'ours')
    expect(differences(linesOf(there), expected)).toEqual([])
    expect(our.drops).toEqual({})

    // Go's join comes back when its push/pull is over: what it lists then it has from ours alone.
    const guest = stack.use(
      await MemberlistPeer.start({ name: 'guest', meta: metaOf(9001), compression, timing }),
    )
    expect(await guest.join(our.gossipAddress)).toBe(1)
    const learned = (await shownBy(guest)).filter(({ name }) => name !== 'ours' && name !== 'guest')
    expect(differences(linesOf(learned), expected)).toEqual([])
  },
)

const linesOf = (members: readonly Shown[]) => new Set(members.map((shown) => JSON.stringify(shown)))

/** What only one of the two has, the first few. */
function differences(a: ReadonlySet<string>, b: ReadonlySet<string>): string[] {
  return [...[...a].filter((line) => !b.has(line)), ...[...b].filter((line) => !a.has(line))].slice(0, 5)
}

function addressOf({ process }: MemberlistPeer) {
  const { address, port } = process.facts as { address: string; port: number }
  return { address, port }
}

/** How many members the first set has that holds more than this one. */
function firstSet(our: OurMember): Promise<number> {
  return new Promise((resolve) => {
    const unsubscribe = our.source.subscribe((members) => {
      if (members.length < 2) return
      unsubscribe()
      resolve(members.length)
    })
  })
}

import { beforeAll, expect, test } from 'vitest'
import type { DnsResolver } from '../../../src/seeds/dns-resolver.ts'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { MemberlistPeer } from '../../../lab/peers/memberlist-peer.ts'
import { everybodyShows, metaOf, NEWS_MS, shownBy } from './mixed-cluster.ts'
import { asShown, type MixedMember } from './mixed-member.ts'
import { OurMember } from './our-member.ts'

const SEED = { kind: 'dns', name: 'gossip.example' } as const

beforeAll(async () => {
  await buildGoProgram('memberlist-peer')
})

/** A DNS whose one name leads where `records` says; without records there is no such name. */
class RecordsDns implements DnsResolver {
  records: { readonly address: string; readonly port: number }[] = []

  servicesOf(): ReturnType<DnsResolver['servicesOf']> {
    return this.records.length === 0
      ? Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }))
      : Promise.resolve(this.records.map(({ address, port }) => ({ name: address, port })))
  }

  addressesOf(name: string): Promise<string[]> {
    return Promise.resolve([name])
  }

  lookUp(name: string): Promise<string[]> {
    return Promise.resolve([name])
  }
}

/** Two Go members and one of ours that know each other, and nobody else. */
async function startIsland(stack: AsyncDisposableStack, letter: string, dns: DnsResolver) {
  const first = stack.use(
    await MemberlistPeer.start({ name: `${letter}1`, preset: 'local', meta: metaOf(9001) }),
  )
  const join = [first.gossipAddress]
  const second = stack.use(
    await MemberlistPeer.start({ name: `${letter}2`, preset: 'local', meta: metaOf(9002), join }),
  )
  const ours = stack.use(
    await OurMember.start({
      name: `${letter}3`,
      servicePort: 8003,
      join: [...join, { ...SEED, kind: 'srv' }],
      dns,
      seedSettings: { aloneMinMs: 100, settledMs: 200 },
    }),
  )
  const members = [first, second, ours]
  await everybodyShows(
    members,
    members.map(({ name }) => name),
    NEWS_MS,
  )
  return { go: [first, second], ours, members }
}

test('two islands of both kinds merge as soon as DNS leads one of ours to the other', async () => {
  await using stack = new AsyncDisposableStack()
  const dns = new RecordsDns()
  const a = await startIsland(stack, 'a', dns)
  const b = await startIsland(stack, 'b', new RecordsDns())
  const all: (MixedMember & (MemberlistPeer | OurMember))[] = [...a.members, ...b.members]
  const names = all.map(({ name }) => name)
  await a.ours.until('some rounds of seeds', () => seedFailures(a.ours) > 0, NEWS_MS)
  expect((await shownBy(a.ours)).map(({ name }) => name)).toEqual(['a1', 'a2', 'a3'])
  expect((await shownBy(b.ours)).map(({ name }) => name)).toEqual(['b1', 'b2', 'b3'])

  const { address, port } = asShown(b.go[1]!, '')
  dns.records = [{ address, port }]
  await everybodyShows(all, names, NEWS_MS)
  for (const member of all) {
    expect(
      (await shownBy(member)).map((shown) => `${shown.name} ${shown.port}`),
      member.name,
    ).toEqual(all.map((other) => `${other.name} ${asShown(other, '').port}`))
  }
})

function seedFailures(our: OurMember): number {
  return Number(our.source.health().detail['seedFailures'])
}

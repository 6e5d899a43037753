import { beforeAll, describe, expect, test } from 'vitest'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { MemberlistPeer } from '../../../lab/peers/memberlist-peer.ts'
import { untilHeld } from './held-state.ts'
import {
  everybodyShows,
  metaOf,
  NEWS_MS,
  NOTICE_MS,
  ourMetaOf,
  shownBy,
  startMixed,
} from './mixed-cluster.ts'
import { asShown } from './mixed-member.ts'
import { OurMember } from './our-member.ts'

beforeAll(async () => {
  await buildGoProgram('memberlist-peer')
})

describe('three Go members and three of ours', () => {
  test('each sees each with address and metadata, and sees changes of them', async () => {
    await using stack = new AsyncDisposableStack()
    const { go, ours, all } = await startMixed(stack)
    const metas = new Map<string, string>([
      ...go.map(({ name }, i) => [name, metaOf(9001 + i)] as const),
      ...ours.map(({ name }, i) => [name, ourMetaOf(8001 + i)] as const),
    ])
    const expected = () =>
      all
        .map((member) => asShown(member, metas.get(member.name) ?? ''))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const member of all) expect(await shownBy(member), member.name).toEqual(expected())

    for (const member of [go[0]!, ours[0]!]) {
      const meta = `{"ServicePort":"7777","Zone":"${member.name}"}`
      metas.set(member.name, meta)
      await member.updateMeta(meta)
    }
    await Promise.all(
      all.map(async (observer) => {
        for (const name of ['g1', 'r1']) {
          const meta = metas.get(name)
          if (observer instanceof OurMember) {
            const read = () => new TextDecoder().decode(observer.get(name)?.meta)
            await observer.until(`new metadata of ${name}`, () => read() === meta, NEWS_MS)
          } else {
            const read = () => observer.process.view.get(name)?.meta
            // A member is not told of its own changes.
            if (name === observer.name) continue
            await observer.process.until(`new metadata of ${name}`, () => read() === meta, NEWS_MS)
          }
        }
      }),
    )
    for (const member of all) expect(await shownBy(member), member.name).toEqual(expected())
    expect(ours[1]!.get('g1')?.metadata).toEqual({ servicePort: '7777', zone: 'g1' })
    expect(ours.map(({ drops }) => drops)).toEqual([{}, {}, {}])
  })

  test('leaves go both ways, and are no deaths', async () => {
    await using stack = new AsyncDisposableStack()
    const { go, ours } = await startMixed(stack)
    await go[2]!.leave()
    await ours[2]!.untilState('g3', 'left', NEWS_MS)
    await ours[2]!.leave()
    const left = [...go.slice(0, 2), ...ours.slice(0, 2)]
    await everybodyShows(left, ['g1', 'g2', 'r1', 'r2'], NEWS_MS)
    for (const peer of go.slice(0, 2)) {
      await untilHeld(peer, 'r3', 'left', NEWS_MS)
      await untilHeld(peer, 'g3', 'left', NEWS_MS)
    }
    for (const our of ours.slice(0, 2)) {
      expect([our.get('g3')?.state, our.get('r3')?.state], our.facts()).toEqual(['left', 'left'])
      expect(our.timesSeen('dead'), our.facts()).toBe(0)
    }
    expect(ours[2]!.logger.of('member.left')[0]?.fields).toMatchObject({ acknowledgedBy: 3, others: 4 })
  })

  test('killed members are found dead by both, and may come back under their names', async () => {
    await using stack = new AsyncDisposableStack()
    // Go takes a name from another address only if told after which time it may.
    const { go, ours } = await startMixed(stack, { go: { timing: { deadNodeReclaimMs: 1 } } })
    const survivors = [...go.slice(0, 2), ...ours.slice(0, 2)]
    await Promise.all([go[2]!.kill(), ours[2]!.kill()])
    await everybodyShows(survivors, ['g1', 'g2', 'r1', 'r2'], NOTICE_MS)
    for (const our of ours.slice(0, 2)) {
      expect([our.get('g3')?.state, our.get('r3')?.state], our.facts()).toEqual(['dead', 'dead'])
    }
    for (const peer of go.slice(0, 2)) {
      await untilHeld(peer, 'r3', 'dead', NEWS_MS)
      await untilHeld(peer, 'g3', 'dead', NEWS_MS)
    }

    const join = [ours[0]!.gossipAddress]
    const meta = metaOf(9103)
    const { port } = asShown(go[2]!, '')
    // One on the same port, the other on another.
    const samePort = stack.use(
      await MemberlistPeer.start({ name: 'g3', preset: 'local', meta, bindPort: port, join }),
    )
    const otherPort = stack.use(
      await OurMember.start({ name: 'r3', servicePort: 8103, join: [go[0]!.gossipAddress] }),
    )
    const everybody = [...survivors, samePort, otherPort]
    await everybodyShows(everybody, ['g1', 'g2', 'g3', 'r1', 'r2', 'r3'], NEWS_MS)
    // Word of the old lives still goes round, and Go may believe it for a moment before the new ones deny it.
    const expected = [asShown(samePort, meta), asShown(otherPort, ourMetaOf(8103))]
    const returned = async (member: MemberlistPeer | OurMember) =>
      (await shownBy(member)).filter(({ name }) => name.endsWith('3'))
    await Promise.all(
      everybody.map((member) =>
        expect
          .poll(() => returned(member), { timeout: NOTICE_MS, interval: 100, message: member.name })
          .toEqual(expected),
      ),
    )
    for (const our of ours.slice(0, 2)) {
      expect([our.timesSeen('dead', 'g3'), our.timesSeen('dead', 'r3')], our.facts()).toEqual([1, 1])
    }
  })

  test('restarts at once, before anybody has noticed the end, on the same and on another port', async () => {
    await using stack = new AsyncDisposableStack()
    const { go, ours, names } = await startMixed(stack, { go: { timing: { deadNodeReclaimMs: 1 } } })
    await Promise.all([go[1]!.kill(), go[2]!.kill(), ours[1]!.kill(), ours[2]!.kill()])
    const join = [go[0]!.gossipAddress, ours[0]!.gossipAddress]
    const settings = { preset: 'local', timing: { deadNodeReclaimMs: 1 }, join } as const
    const again = [
      stack.use(
        await MemberlistPeer.start({
          ...settings,
          name: 'g2',
          meta: metaOf(9102),
          bindPort: asShown(go[1]!, '').port,
        }),
      ),
      stack.use(await MemberlistPeer.start({ ...settings, name: 'g3', meta: metaOf(9103) })),
      stack.use(
        await OurMember.start({
          name: 'r2',
          servicePort: 8102,
          gossipPort: asShown(ours[1]!, '').port,
          join,
        }),
      ),
      stack.use(await OurMember.start({ name: 'r3', servicePort: 8103, join })),
    ]
    const everybody = [go[0]!, ours[0]!, ...again]
    const expected = [
      asShown(go[0]!, metaOf(9001)),
      asShown(again[0]!, metaOf(9102)),
      asShown(again[1]!, metaOf(9103)),
      asShown(ours[0]!, ourMetaOf(8001)),
      asShown(again[2]!, ourMetaOf(8102)),
      asShown(again[3]!, ourMetaOf(8103)),
    ]
    await everybodyShows(everybody, names, NOTICE_MS)
    await Promise.all(
      everybody.map((member) =>
        expect
          .poll(() => shownBy(member), { timeout: NOTICE_MS, interval: 100, message: member.name })
          .toEqual(expected),
      ),
    )
  })

  test('of two processes of one name only the one that both kinds do not list is not ready, whoever it is', async () => {
    await using stack = new AsyncDisposableStack()
    const { go, ours } = await startMixed(stack, { each: 2 })
    const [first, other] = ours as [OurMember, OurMember]
    const second = stack.use(await OurMember.start({ name: 'r1', join: [first.gossipAddress] }))
    const third = stack.use(
      await MemberlistPeer.start({ name: 'r2', preset: 'local', join: [go[0]!.gossipAddress] }),
    )
    const conditionOf = ({ source }: OurMember) => source.health().condition
    await second.until('it is not listed', () => conditionOf(second) === 'unlisted', NEWS_MS)
    for (const member of [first, other])
      await member.until('two of its name', () => conditionOf(member) === 'contested', NEWS_MS)
    const untilMs = performance.now() + 12_000
    while (performance.now() < untilMs) {
      expect([first, other, second].map(conditionOf)).toEqual(['contested', 'contested', 'unlisted'])
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(asShown(other, '').port).not.toBe(asShown(third, '').port)
  })

  test('names that left come back at another address at once', async () => {
    await using stack = new AsyncDisposableStack()
    const { go, ours, names } = await startMixed(stack, { each: 2 })
    await Promise.all([go[1]!.leave(), ours[1]!.leave()])
    await everybodyShows([go[0]!, ours[0]!], ['g1', 'r1'], NEWS_MS)
    await Promise.all([go[1]!.kill(), ours[1]!.kill()])
    const join = [go[0]!.gossipAddress, ours[0]!.gossipAddress]
    const peer = stack.use(
      await MemberlistPeer.start({ name: 'g2', preset: 'local', meta: metaOf(9002), join }),
    )
    const our = stack.use(await OurMember.start({ name: 'r2', servicePort: 8002, join }))
    // These two they joined through; the others may have to wait for a push/pull, which is every 15 s.
    await everybodyShows([go[0]!, ours[0]!], names, 10_000)
    await everybodyShows([peer, our], names, NEWS_MS)
    for (const member of [go[0]!, ours[0]!]) {
      expect((await shownBy(member)).filter(({ name }) => name.endsWith('2'))).toEqual([
        asShown(peer, metaOf(9002)),
        asShown(our, ourMetaOf(8002)),
      ])
    }
  })
})

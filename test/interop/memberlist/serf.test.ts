import { beforeAll, describe, expect, test } from 'vitest'
import { generateKey, parseKeyring } from '../../../src/membership/memberlist/keyring.ts'
import { DEFAULT_VERSIONS } from '../../../src/membership/member.ts'
import { SerfAgent } from '../support/serf-agent.ts'
import { everybodyShows, NEWS_MS, NOTICE_MS, ourMetaOf } from './mixed-cluster.ts'
import { OurMember, type OurSettings } from './our-member.ts'

/** What serf accepts; with the delegate versions of Go ringman, 0 to 0, it does not. */
const SERF_VERSIONS = { ...DEFAULT_VERSIONS, dMin: 2, dMax: 5, dCur: 5 }

interface SerfCluster {
  readonly serfs: readonly SerfAgent[]
  readonly ours: readonly OurMember[]
  readonly names: readonly string[]
}

let key: string
beforeAll(() => {
  key = generateKey()
})

/** Three agents `s1`… and three of ours `r1`…, encrypted, each joined through one of the other kind. */
async function startWithSerf(stack: AsyncDisposableStack): Promise<SerfCluster> {
  const settings: Omit<OurSettings, 'name'> = {
    keyring: parseKeyring(key),
    settings: { versions: SERF_VERSIONS },
  }
  const serfs: SerfAgent[] = []
  const ours: OurMember[] = []
  for (let i = 1; i <= 3; i++) {
    const serf = stack.use(
      await SerfAgent.start({ name: `s${i}`, preset: 'local', tags: { place: `here-${i}` }, key }),
    )
    const previous = ours.at(-1)
    if (previous !== undefined) await serf.join(previous.gossipAddress)
    serfs.push(serf)
    const join = [serf.gossipAddress]
    ours.push(stack.use(await OurMember.start({ ...settings, name: `r${i}`, servicePort: 8000 + i, join })))
  }
  const names = [...ours, ...serfs].map(({ name }) => name)
  await everybodyShows(ours, names, NEWS_MS)
  await Promise.all(serfs.map((serf) => serf.untilAlive(names, NEWS_MS)))
  return { serfs, ours, names }
}

describe('three serf agents and three of ours, encrypted', () => {
  test('each sees each with address and metadata', async () => {
    await using stack = new AsyncDisposableStack()
    const { serfs, ours } = await startWithSerf(stack)
    for (const serf of serfs) {
      // An agent takes metadata that is not serf's own for a role.
      expect((await serf.members()).map(({ name, addr, tags }) => [name, addr, tags])).toEqual([
        ...ours.map(({ name, gossipAddress }, i) => [name, gossipAddress, { role: ourMetaOf(8001 + i) }]),
        ...serfs.map(({ name, gossipAddress }, i) => [name, gossipAddress, { place: `here-${i + 1}` }]),
      ])
    }
    for (const our of ours) {
      for (const [i, serf] of serfs.entries()) {
        const member = our.get(serf.name)
        expect(`${member?.address}:${member?.port}`).toBe(serf.gossipAddress)
        expect(new TextDecoder().decode(member?.meta)).toContain(`here-${i + 1}`)
        // It speaks no Go ringman: it is listed, and owns nothing.
        expect(member?.metadata).toBeUndefined()
      }
      expect(our.drops, our.facts()).toEqual({})
    }
  })

  test('leaves, kills and returns go both ways', async () => {
    await using stack = new AsyncDisposableStack()
    const { serfs, ours } = await startWithSerf(stack)
    await serfs[2]!.leave()
    await ours[0]!.untilState('s3', 'left', NEWS_MS)
    await ours[1]!.untilState('s3', 'left', NEWS_MS)

    // Serf has leave messages of its own above memberlist's, so to it a member without them has failed, at once.
    await ours[2]!.leave()
    const isFailed = (name: string) => (members: readonly { name: string; status: string }[]) =>
      members.some((member) => member.name === name && member.status === 'failed')
    await serfs[0]!.untilMembers('r3 failed', NEWS_MS, isFailed('r3'))
    await ours[2]!.kill()

    await serfs[1]!.kill()
    await everybodyShows(ours.slice(0, 2), ['r1', 'r2', 's1'], NOTICE_MS)
    for (const our of ours.slice(0, 2)) expect(our.get('s2')?.state, our.facts()).toBe('dead')
    await serfs[0]!.untilMembers('s2 failed', NOTICE_MS, isFailed('s2'))

    await ours[1]!.kill()
    await serfs[0]!.untilMembers('r2 failed', NOTICE_MS, isFailed('r2'))
    await ours[0]!.untilState('r2', 'dead', NOTICE_MS)

    const back = stack.use(
      await OurMember.start({
        name: 'r3',
        servicePort: 8003,
        join: [serfs[0]!.gossipAddress],
        keyring: parseKeyring(key),
        settings: { versions: SERF_VERSIONS },
      }),
    )
    await serfs[0]!.untilAlive(['r1', 'r3', 's1'], NEWS_MS)
    await everybodyShows([ours[0]!, back], ['r1', 'r3', 's1'], NEWS_MS)
  })

  test('without delegate versions ours is refused, and says so', async () => {
    await using stack = new AsyncDisposableStack()
    const serf = stack.use(await SerfAgent.start({ name: 's1', preset: 'local' }))
    const our = stack.use(await OurMember.start({ name: 'r1', join: [serf.gossipAddress] }))
    await our.until('a failed join', () => our.source.health().condition === 'refused', NEWS_MS)
    expect((await serf.members()).map(({ name }) => name)).toEqual(['s1'])
  })
})

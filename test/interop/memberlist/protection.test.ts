import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { generateKey, parseKeyring } from '../../../src/membership/memberlist/keyring.ts'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { MemberlistPeer } from '../../../lab/peers/memberlist-peer.ts'
import { eventually } from './eventually.ts'
import { untilHeld } from './held-state.ts'
import {
  everybodyShows,
  FAR_REACHING,
  metaOf,
  NEWS_MS,
  shownBy,
  startMixed,
  textsOf,
  type MixedCluster,
} from './mixed-cluster.ts'
import { OurMember } from './our-member.ts'

beforeAll(async () => {
  await buildGoProgram('memberlist-peer')
})

const matrix = [undefined, 16, 24, 32].flatMap((keyBytes) =>
  ['', 'blue/green'].flatMap((label) =>
    [true, false].flatMap((compression) =>
      ['127.0.0.1', '::1'].map((address) => ({ keyBytes, label, compression, address })),
    ),
  ),
)

describe('what protects the gossip', () => {
  test.each(matrix)(
    'members mix, with a key of $keyBytes bytes, label "$label", compression $compression, at $address',
    async ({ keyBytes, label, compression, address }) => {
      await using stack = new AsyncDisposableStack()
      const key = keyBytes === undefined ? undefined : generateKey(keyBytes)
      const { go, ours, all, names } = await startMixed(stack, {
        each: 2,
        go: { label, compression, bindAddress: address, ...(key === undefined ? {} : { keys: [key] }) },
        ours: {
          label,
          compression,
          bindHost: address,
          settings: FAR_REACHING,
          ...(key === undefined ? {} : { keyring: parseKeyring(key) }),
        },
      })
      for (const member of all) {
        expect(
          (await shownBy(member)).map((shown) => [shown.name, shown.address]),
          member.name,
        ).toEqual(names.map((name) => [name, address]))
      }
      await exchangeMessages({ go, ours, all, names })
      await ours[1]!.leave()
      await everybodyShows([go[0]!, go[1]!, ours[0]!], ['g1', 'g2', 'r1'], NEWS_MS)
      for (const our of ours) {
        expect(our.drops, our.facts()).toEqual({})
        expect(our.source.node.udpBlockedCount).toBe(0)
      }
    },
  )

  test.each([
    ['another label', { label: 'blue' }, { label: 'green' }, 'label-differs'],
    ['no label', { label: 'blue' }, {}, 'label-differs'],
    ['another key', { keys: [generateKey()] }, { keys: [generateKey()] }, 'cannot-decrypt'],
    ['no key', { keys: [generateKey()] }, {}, 'not-encrypted'],
  ] as const)('a Go member with %s is kept out by ours, which says why', async (_, own, its, reason) => {
    await using stack = new AsyncDisposableStack()
    const { ours, go, names } = await startMixed(stack, { each: 1, go: own, ours: asOurs(own) })
    const stranger = stack.use(await MemberlistPeer.start({ name: 'stranger', preset: 'local', ...its }))
    await expect(stranger.join(ours[0]!.gossipAddress)).rejects.toThrow()
    expect(ours[0]!.drops, ours[0]!.facts()).toEqual({ [reason]: expect.any(Number) as number })
    expect(ours[0]!.logger.of('gossip.dropped')[0]?.fields).toMatchObject({ reason, transport: 'tcp' })
    expect(stranger.process.view.names).toEqual(new Set(['stranger']))
    await everybodyShows([go[0]!, ours[0]!], names, NEWS_MS)

    // And the other way round: ours is kept out by a Go member, and finds out why it is alone.
    const ourStranger = stack.use(
      await OurMember.start({ name: 'our-stranger', join: [go[0]!.gossipAddress], ...asOurs(its) }),
    )
    await ourStranger.until('a refusal', () => ourStranger.source.health().condition === 'refused', NEWS_MS)
    const setting = reason === 'label-differs' ? '--label' : '--keyring-file'
    expect(ourStranger.source.health().message).toContain(setting)
    expect(await shownBy(ourStranger)).toHaveLength(1)
    expect((await go[0]!.members()).map(({ name }) => name)).toEqual(names)
  })

  test('Go members read the state of one of ours that tells who is evicted, and ours learn it from ours', async () => {
    await using stack = new AsyncDisposableStack()
    const keys = [generateKey()]
    const own = asOurs({ keys })
    const { ours, all, names } = await startMixed(stack, { each: 1, go: { keys }, ours: own })
    ours[0]!.source.evict('gone', 60_000)
    const join = [ours[0]!.gossipAddress]
    const late = { name: 'g-late', preset: 'local', meta: metaOf(9004), keys, join } as const
    const go = stack.use(await MemberlistPeer.start(late))
    const our = stack.use(await OurMember.start({ name: 'r-late', servicePort: 9005, join, ...own }))
    await everybodyShows([...all, go, our], [...names, 'g-late', 'r-late'], NEWS_MS)
    await our.until('the eviction', () => our.source.report().evicted[0]?.name === 'gone', NEWS_MS)
  })

  test('keys are rotated by add, use, remove, across both kinds, and nobody is lost', async () => {
    await using stack = new AsyncDisposableStack()
    const directory = await mkdtemp(resolve(tmpdir(), 'ringman-keys-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const [oldKey, newKey] = [generateKey(32), generateKey(16)]
    const keyringFile = resolve(directory, 'keys')
    await writeFile(keyringFile, oldKey)
    // Nobody is suspected for a second in which the machine stands still.
    const probes = { probeIntervalMs: 3000 }
    const cluster = await startMixed(stack, {
      go: { keys: [oldKey], timing: probes },
      ours: { keyringFile, settings: { ...FAR_REACHING, ...probes, probeTimeoutMs: 2000 } },
    })
    const { go, ours, all, names } = cluster
    const rewrite = async (...keys: string[]) => {
      await writeFile(keyringFile, `# gossip keys\n${keys.join('\n')}\n`)
      const wanted = keys.map((key) => Buffer.from(key, 'base64').toString('hex')).join()
      for (const { source } of ours) {
        await source.reload(false)
        expect(source.node.keyring.map((key) => Buffer.from(key).toString('hex')).join()).toBe(wanted)
      }
    }

    // Between the steps, and in the midst of each, when half of the members have taken it.
    for (const peer of go) await peer.changeKeyring('add', newKey)
    await exchangeMessages(cluster)
    await rewrite(oldKey, newKey)
    await exchangeMessages(cluster)
    for (const peer of go) await peer.changeKeyring('use', newKey)
    await exchangeMessages(cluster)
    await rewrite(newKey, oldKey)
    await exchangeMessages(cluster)
    for (const peer of go) await peer.changeKeyring('remove', oldKey)
    await exchangeMessages(cluster)
    await rewrite(newKey)
    await exchangeMessages(cluster)

    // Only who has the new key still comes in.
    const late = { preset: 'local', meta: metaOf(9004), join: [ours[0]!.gossipAddress] } as const
    const newcomer = stack.use(await MemberlistPeer.start({ ...late, name: 'new', keys: [newKey] }))
    await everybodyShows([...all, newcomer], [...names, 'new'], NEWS_MS)
    await expect(MemberlistPeer.start({ ...late, name: 'old', keys: [oldKey] })).rejects.toThrow()
    for (const our of ours) {
      expect(
        our.history.filter((line) => / (suspect|dead|left)$/.test(line)),
        our.facts(),
      ).toEqual([])
    }
    expect(ours.slice(1).map(({ drops }) => drops)).toEqual([{}, {}])
    for (const peer of go) {
      expect(
        peer.process.lines.filter(({ type }) => type === 'leave'),
        peer.name,
      ).toEqual([])
      expect((await peer.members()).map(({ name }) => name)).toEqual([...names, 'new'].sort())
    }
  })

  test('while ours change their label, Go members stay until the new one is sent, and come back with it', async () => {
    await using stack = new AsyncDisposableStack()
    const directory = await mkdtemp(resolve(tmpdir(), 'ringman-labels-'))
    stack.defer(() => rm(directory, { recursive: true }))
    const key = generateKey()
    const labelFile = resolve(directory, 'labels')
    await writeFile(labelFile, '["blue"]')
    const cluster = await startMixed(stack, {
      go: { label: 'blue', keys: [key] },
      ours: { labelFile, keyring: parseKeyring(key), settings: FAR_REACHING },
    })
    const { go, ours } = cluster
    const rewrite = async (...labels: string[]) => {
      await writeFile(labelFile, JSON.stringify(labels))
      for (const { source } of ours) {
        await source.reload(false)
        expect(source.node.labels).toEqual(labels)
      }
    }
    await rewrite('blue', 'green')
    await exchangeMessages(cluster)
    for (const our of ours) expect(our.drops, our.facts()).toEqual({})

    await rewrite('green', 'blue')
    await Promise.all(go.map((peer) => peer.leave()))
    const back = stack.use(
      await MemberlistPeer.start({
        name: 'back',
        label: 'green',
        keys: [key],
        preset: 'local',
        meta: metaOf(9004),
        join: [ours[0]!.gossipAddress],
      }),
    )
    await everybodyShows([...ours, back], [...ours.map(({ name }) => name), 'back'], NEWS_MS)
    for (const our of ours) expect(our.drops, our.facts()).toEqual({})
  })

  test('encryption is introduced into a plain cluster of both kinds, and nobody is lost', async () => {
    await using stack = new AsyncDisposableStack()
    const key = generateKey()
    const keyring = parseKeyring(key)
    const { go, ours } = await startMixed(stack, { each: 2 })
    let members: (MemberlistPeer | OurMember)[] = [go[0]!, go[1]!, ours[0]!, ours[1]!]
    const names = members.map(({ name }) => name)
    /** Restarts all, one after the other, at its place; the others must see it go and come. */
    const restart = async (verifyIncoming: boolean, verifyOutgoing: boolean) => {
      for (const [i, member] of members.entries()) {
        const others = members.filter((other) => other !== member)
        await member.leave()
        await everybodyShows(
          others,
          others.map(({ name }) => name),
          NEWS_MS,
        )
        await member.kill()
        const { name } = member
        const join = others.map(({ gossipAddress }) => gossipAddress)
        const next =
          member instanceof OurMember
            ? await OurMember.start({
                name,
                join,
                keyring,
                requireEncryption: verifyIncoming,
                encryptOutgoing: verifyOutgoing,
              })
            : await MemberlistPeer.start({
                name,
                join,
                preset: 'local',
                keys: [key],
                verifyIncoming,
                verifyOutgoing,
              })
        stack.use(next)
        members = members.toSpliced(i, 1, next)
        await everybodyShows(members, names, NEWS_MS)
      }
    }
    await restart(false, false)
    await restart(false, true)
    await restart(true, true)
    const stranger = stack.use(await MemberlistPeer.start({ name: 'plain', preset: 'local' }))
    for (const { gossipAddress } of members) await expect(stranger.join(gossipAddress)).rejects.toThrow()
    for (const member of members) {
      if (!(member instanceof OurMember)) continue
      expect(Object.keys(member.drops), member.facts()).toEqual(['not-encrypted'])
      expect(member.timesSeen('dead'), member.facts()).toBe(0)
    }
    // Go believes word of a member's last life that comes late, until the member denies it, some tenths of a second later.
    for (const peer of members) {
      if (!(peer instanceof MemberlistPeer)) continue
      for (const name of names) await untilHeld(peer, name, 'alive', NEWS_MS, { keyring })
    }
  })
})

/** The settings of a Go member as ours has them. */
function asOurs({ label, keys }: { readonly label?: string; readonly keys?: readonly string[] }) {
  return {
    ...(label === undefined ? {} : { label }),
    ...(keys === undefined ? {} : { keyring: parseKeyring(keys.join('\n')) }),
  }
}

let messageCount = 0

/** Lets each member of one kind hear from the other, over UDP and over TCP. */
async function exchangeMessages({
  go,
  ours,
}: Pick<MixedCluster, 'go' | 'ours' | 'all' | 'names'>): Promise<void> {
  const number = ++messageCount
  await Promise.all(
    go.flatMap((peer) =>
      ours.flatMap((our) => [
        peer.send(our.name, `${number} ${peer.name} UDP`, false),
        peer.send(our.name, `${number} ${peer.name} TCP`, true),
        our.send(peer.name, `${number} ${our.name} TCP`),
      ]),
    ),
  )
  await Promise.all(ours.map((our) => our.broadcast(`${number} ${our.name} UDP`)))
  const has = (texts: readonly unknown[], from: readonly { readonly name: string }[]) =>
    from.every(
      ({ name }) => texts.includes(`${number} ${name} UDP`) && texts.includes(`${number} ${name} TCP`),
    )
  for (const peer of go) {
    await eventually(
      `messages of ours at ${peer.name}`,
      () => has(textsOf(peer), ours),
      NEWS_MS,
      () => `round ${number}: ${JSON.stringify(textsOf(peer))}`,
    )
  }
  for (const our of ours) await our.until(`messages of Go`, () => has(our.messages, go), NEWS_MS)
}

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { MemberlistPeer } from '../../../lab/peers/memberlist-peer.ts'
import { RingmanPeer } from '../../../lab/peers/ringman-peer.ts'
import { SerfAgent } from '../support/serf-agent.ts'

/** Long enough for the local preset to notice a killed member, at its slowest, on a busy machine. */
const NOTICE_MS = 30_000
const CONVERGE_MS = 10_000
const SERF_VERSIONS = { min: 2, max: 5, current: 5 }

// The first build fetches and compiles the dependencies, which takes a minute; later ones find the executables.
beforeAll(async () => {
  await Promise.all([buildGoProgram('memberlist-peer'), buildGoProgram('ringman-peer')])
})

/** Three memberlist peers that know each other. */
async function startThree(
  stack: AsyncDisposableStack,
  settings: Partial<Parameters<typeof MemberlistPeer.start>[0]> = {},
) {
  const first = stack.use(
    await MemberlistPeer.start({ preset: 'local', ...settings, name: 'a', meta: 'meta-a' }),
  )
  const join = [first.gossipAddress]
  const second = stack.use(
    await MemberlistPeer.start({ preset: 'local', ...settings, name: 'b', meta: 'meta-b', join }),
  )
  const third = stack.use(
    await MemberlistPeer.start({ preset: 'local', ...settings, name: 'c', meta: 'meta-c', join }),
  )
  const peers = [first, second, third] as const
  await Promise.all(peers.map((peer) => peer.untilShown(['a', 'b', 'c'], CONVERGE_MS)))
  return peers
}

describe('memberlist-peer', () => {
  test('three converge, with address and metadata', async () => {
    await using stack = new AsyncDisposableStack()
    const [first, second, third] = await startThree(stack)
    for (const peer of [first, second, third]) {
      const members = await peer.members()
      expect(members.map(({ name, meta }) => [name, meta])).toEqual([
        ['a', 'meta-a'],
        ['b', 'meta-b'],
        ['c', 'meta-c'],
      ])
      expect(members.map(({ address, port }) => `${address}:${port}`)).toEqual([
        first.gossipAddress,
        second.gossipAddress,
        third.gossipAddress,
      ])
    }
  })

  test('one leaves, another is killed', async () => {
    await using stack = new AsyncDisposableStack()
    const [first, second, third] = await startThree(stack)
    await second.leave()
    await Promise.all([first, third].map((peer) => peer.untilShown(['a', 'c'], CONVERGE_MS)))
    await third.kill()
    await first.untilShown(['a'], NOTICE_MS)
    expect(first.process.view.names).toEqual(new Set(['a']))
  })

  test('changed metadata reaches the others', async () => {
    await using stack = new AsyncDisposableStack()
    const [first, second] = await startThree(stack)
    await first.updateMeta('changed')
    await second.process.until(
      'new metadata',
      () => second.process.view.get('a')?.meta === 'changed',
      CONVERGE_MS,
    )
    await expect(first.updateMeta('x'.repeat(513))).rejects.toThrow()
  })

  test('user messages over UDP and TCP, and user state of 100 kB', async () => {
    await using stack = new AsyncDisposableStack()
    const [first, second, third] = await startThree(stack, { userStateBytes: 100_000 })
    await first.send('b', 'over UDP', false)
    await first.send('b', 'over TCP', true)
    const texts = () =>
      second.process.lines.flatMap((line) => (line.type === 'message' ? [line.fields['text']] : []))
    await second.process.until('both messages', () => texts().length === 2, CONVERGE_MS)
    expect(new Set(texts())).toEqual(new Set(['over TCP', 'over UDP']))

    await third.process.until(
      'the state',
      () => third.process.lines.some((line) => line.type === 'state' && line.fields['sizeBytes'] === 100_000),
      CONVERGE_MS,
    )
  })

  test('keys and labels keep strangers out; shared keys let them in', async () => {
    await using stack = new AsyncDisposableStack()
    const key = (byte: number) => Buffer.alloc(32, byte).toString('base64')
    const three = await startThree(stack, { keys: [key(1)], label: 'blue' })
    const [{ gossipAddress }] = three
    const unlabelled = stack.use(await MemberlistPeer.start({ name: 'unlabelled', keys: [key(1)] }))
    await expect(unlabelled.join(gossipAddress)).rejects.toThrow()
    const other = stack.use(await MemberlistPeer.start({ name: 'other', keys: [key(2)], label: 'blue' }))
    await expect(other.join(gossipAddress)).rejects.toThrow()
    expect((await three[0].members()).map(({ name }) => name)).toEqual(['a', 'b', 'c'])

    for (const peer of three) await peer.changeKeyring('add', key(2))
    await other.changeKeyring('add', key(1))
    await other.join(gossipAddress)
    await Promise.all([...three, other].map((peer) => peer.untilShown(['a', 'b', 'c', 'other'], CONVERGE_MS)))
  })

  test('a crowd makes a large cluster out of one process', async () => {
    await using stack = new AsyncDisposableStack()
    const host = stack.use(await MemberlistPeer.start({ name: 'host' }))
    await host.addCrowd(20, '{"ServicePort":"9000"}')
    const guest = stack.use(await MemberlistPeer.start({ name: 'guest', join: [host.gossipAddress] }))
    await guest.process.until('22 members', () => guest.process.view.names.size === 22, CONVERGE_MS)
    expect(guest.process.view.get('host-crowd-20')?.meta).toBe('{"ServicePort":"9000"}')
  })

  test('IPv6', async () => {
    await using stack = new AsyncDisposableStack()
    const first = stack.use(await MemberlistPeer.start({ name: 'a', bindAddress: '::1' }))
    expect(first.gossipAddress).toMatch(/^\[::1\]:\d+$/)
    const second = stack.use(
      await MemberlistPeer.start({ name: 'b', bindAddress: '::1', join: [first.gossipAddress] }),
    )
    await second.untilShown(['a', 'b'], CONVERGE_MS)
  })

  test('a misspelt setting and an unknown command are refused', async () => {
    await expect(MemberlistPeer.start({ name: 'a', ...{ lable: 'x' } })).rejects.toThrow(/lable/)
    await using stack = new AsyncDisposableStack()
    const peer = stack.use(await MemberlistPeer.start({ name: 'a' }))
    await expect(peer.process.command('jion')).rejects.toThrow(/jion/)
  })

  test('ends when its input is closed, so that none outlives its test', async () => {
    const settings = { name: 'a', bindAddress: '127.0.0.1' }
    const child = spawn(await buildGoProgram('memberlist-peer'), [JSON.stringify(settings)])
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.includes('"ready"')) child.stdin.end()
    }
    expect(await ended).toBe(0)
  })
})

describe('ringman-peer', () => {
  test('two agree over HTTP on who owns what, and one takes over when the other is killed', async () => {
    await using stack = new AsyncDisposableStack()
    // Ring keys have no gossip port: members that share an address must differ in their service ports.
    const first = stack.use(await RingmanPeer.start({ name: 'a', servicePort: '8001', preset: 'local' }))
    const second = stack.use(
      await RingmanPeer.start({
        name: 'b',
        servicePort: '8002',
        preset: 'local',
        join: [first.gossipAddress],
      }),
    )
    await Promise.all([first, second].map((peer) => peer.untilShown(['a', 'b'], CONVERGE_MS)))
    const nodes = await first.nodes()
    expect(new Map(nodes.map(({ Name, Meta }) => [Name, atob(Meta)]))).toEqual(
      new Map([
        ['a', '{"ServicePort":"8001"}'],
        ['b', '{"ServicePort":"8002"}'],
      ]),
    )
    const keys = Array.from({ length: 100 }, (_, i) => `key-${i}`)
    const [here, there] = await Promise.all([first, second].map((peer) => owners(peer, keys)))
    expect(here).toEqual(there)
    expect(new Set(here)).toEqual(new Set(['127.0.0.1:8001', '127.0.0.1:8002']))

    await second.kill()
    await first.untilShown(['a'], NOTICE_MS)
    expect(new Set(await owners(first, keys))).toEqual(new Set(['127.0.0.1:8001']))
  })

  test('answers 404 without a key', async () => {
    await using stack = new AsyncDisposableStack()
    const peer = stack.use(await RingmanPeer.start({ name: 'a', servicePort: '8000' }))
    expect((await fetch(`${peer.url}/hashring/nodes/get`)).status).toBe(404)
  })

  test('refuses another cluster name, and gossips with stock memberlist under the empty one', async () => {
    await using stack = new AsyncDisposableStack()
    const named = stack.use(await RingmanPeer.start({ name: 'named', servicePort: '8000' }))
    const other = stack.use(
      await RingmanPeer.start({ name: 'other', servicePort: '8000', clusterName: 'other' }),
    )
    await expect(other.join(named.gossipAddress)).rejects.toThrow()

    const nameless = stack.use(
      await RingmanPeer.start({ name: 'nameless', servicePort: '8000', clusterName: '' }),
    )
    const meta = '{"ServicePort":"8005"}'
    const stock = stack.use(
      await MemberlistPeer.start({ name: 'stock', meta, join: [nameless.gossipAddress] }),
    )
    await Promise.all([nameless, stock].map((peer) => peer.untilShown(['nameless', 'stock'], CONVERGE_MS)))
    const keys = Array.from({ length: 100 }, (_, i) => `key-${i}`)
    expect(new Set(await owners(nameless, keys))).toEqual(new Set(['127.0.0.1:8000', '127.0.0.1:8005']))
  })
})

describe('serf agent', () => {
  test('joins a memberlist peer of its delegate protocol, and leaves', async () => {
    await using stack = new AsyncDisposableStack()
    const peer = stack.use(
      await MemberlistPeer.start({ name: 'a', meta: 'tags', delegateVersions: SERF_VERSIONS }),
    )
    const serf = stack.use(await SerfAgent.start({ name: 'serf', tags: { zone: 'north' } }))
    await serf.join(peer.gossipAddress)
    await peer.untilShown(['a', 'serf'], CONVERGE_MS)
    await serf.untilAlive(['a', 'serf'], CONVERGE_MS)
    const members = await serf.members()
    expect(members.map(({ name, addr }) => [name, addr])).toEqual([
      ['a', peer.gossipAddress],
      ['serf', serf.gossipAddress],
    ])
    expect(members[1]?.tags).toEqual({ zone: 'north' })
    await serf.leave()
    await peer.untilShown(['a'], CONVERGE_MS)
  })

  test('refuses a member without delegate versions', async () => {
    await using stack = new AsyncDisposableStack()
    const peer = stack.use(await MemberlistPeer.start({ name: 'a' }))
    const serf = stack.use(await SerfAgent.start({ name: 'serf' }))
    await expect(serf.join(peer.gossipAddress)).rejects.toThrow()
    expect((await serf.members()).map(({ name }) => name)).toEqual(['serf'])
  })
})

describe('without the programs', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  test('a missing Go or serf is an error that says what to install', async () => {
    vi.stubEnv('PATH', import.meta.dirname)
    await expect(MemberlistPeer.start({ name: 'a' })).rejects.toThrow(/install.*Go|Go.*install/i)
    await expect(SerfAgent.start({ name: 'a' })).rejects.toThrow(/apt-get install serf/)
  })
})

function owners(peer: RingmanPeer, keys: readonly string[]): Promise<string[]> {
  return Promise.all(keys.map((key) => peer.owner(key)))
}

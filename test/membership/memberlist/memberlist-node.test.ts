import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemRandom } from '../../../src/clock.ts'
import {
  MemberlistNode,
  type MemberlistNodeEvents,
} from '../../../src/membership/memberlist/memberlist-node.ts'
import type { MemberlistNodeOptions } from '../../../src/membership/memberlist/node-options.ts'
import { encodeMessage } from '../../../src/membership/memberlist/wire/message-codec.ts'
import type { Endpoint } from '../../../src/membership/memberlist/protocol/endpoint.ts'
import { freePort } from '../../support/free-port.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { TurnClock } from '../../support/turn-clock.ts'

const FAST = {
  probeIntervalMs: 100,
  probeTimeoutMs: 50,
  gossipIntervalMs: 20,
  pushPullIntervalMs: 400,
  rejoinIntervalMs: 200,
  leaveTimeoutMs: 500,
}
const key = (byte: number) => new Uint8Array(32).fill(byte)
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (value: string) => new TextEncoder().encode(value)

/** The head of a user message of 200,000 bytes. */
const USER_MESSAGE_HEAD = Buffer.concat([
  Buffer.from([8, 0x81, 0xaa]),
  bytes('UserMsgLen'),
  Buffer.from([0xce, 0, 3, 0x0d, 0x40]),
])

const clock = new TurnClock()

function make(
  options: Partial<MemberlistNodeOptions> & { readonly name: string },
  events?: MemberlistNodeEvents,
) {
  const logger = new RecordingLogger()
  const node = new MemberlistNode(
    {
      bindHost: '127.0.0.1',
      gossipPort: 0,
      preset: 'local',
      settings: FAST,
      clock,
      random: systemRandom,
      logger,
      ...options,
    },
    events,
  )
  onTestFinished(() => node.stop())
  return { node, logger }
}

const start = (node: MemberlistNode) => node.start(new AbortController().signal)
const placeOf = (node: MemberlistNode) => node.endpoint as Endpoint

const alive = (node: MemberlistNode) =>
  node
    .members()
    .filter(({ state }) => state === 'alive')
    .map(({ name }) => name)
    .sort()
    .join(' ')

/** Nodes that know each other, all with these options. */
async function cluster(names: readonly string[], options: Partial<MemberlistNodeOptions> = {}) {
  const made: ReturnType<typeof make>[] = []
  for (const name of names) made.push(make({ gossipPort: await freePort(), ...options, name }))
  for (const { node } of made) await start(node)
  for (const { node } of made.slice(1)) node.join([placeOf((made[0] as { node: MemberlistNode }).node)])
  const all = [...names].sort().join(' ')
  await clock.until(() => made.every(({ node }) => alive(node) === all))
  return made
}

describe('MemberlistNode', () => {
  test('delegates hear of members, messages, state, pings and metadata', async () => {
    const heard: string[] = []
    const say = (line: string) => heard.push(line)
    const a = make({
      name: 'a',
      delegate: {
        joined: ({ name }) => say(`joined ${name}`),
        left: ({ name, state }) => say(`${state} ${name}`),
        updated: ({ name, meta }) => say(`updated ${name} ${text(meta)}`),
        notifyMessage: (payload) => say(`message ${text(payload)}`),
        mergeRemoteState: (state, join) => say(`state ${text(state)} ${join}`),
        pingCompleted: ({ name }, durationMs, payload) => {
          if (durationMs >= 0) say(`ping ${name} ${text(payload)}`)
        },
      },
    })
    let piggyback = [bytes('along with gossip')]
    const b = make({
      name: 'b',
      meta: bytes('one'),
      delegate: {
        localState: () => bytes('of b'),
        ackPayload: () => bytes('ack of b'),
        broadcasts: (_, limitBytes) => (limitBytes > 100 ? piggyback.splice(0) : []),
      },
    })
    await start(a.node)
    await start(b.node)
    b.node.join([placeOf(a.node)])
    await clock.until(() => heard.includes('joined b') && heard.includes('state of b true'))
    b.node.updateMetadata(bytes('two'))
    await clock.until(() => heard.includes('updated b two'))
    expect(await b.node.broadcast(bytes('to all'))).toBe('sent')
    expect(await b.node.send(placeOf(a.node), bytes('over TCP'))).toEqual({ outcome: 'sent' })
    await clock.until(() => heard.includes('message to all') && heard.includes('message over TCP'))
    piggyback = [bytes('again')]
    b.node.updateMetadata(bytes('three'))
    await clock.until(() => heard.includes('message again'))
    await clock.until(() => heard.includes('ping b ack of b'))
    expect(await b.node.leave()).toMatchObject({ acknowledgedBy: 1, others: 1 })
    await clock.until(() => heard.includes('left b'))
  })

  test('a delegate that throws ends the node with its error', async () => {
    const fault = new Error('delegate broke')
    const a = make({
      name: 'a',
      delegate: {
        notifyMessage: () => {
          throw fault
        },
      },
    })
    const b = make({ name: 'b' })
    await start(a.node)
    await start(b.node)
    await b.node.send(placeOf(a.node), bytes('boom'))
    await expect(a.node.done).rejects.toBe(fault)
  })

  test.each([
    ['another label', { label: 'blue' }, { label: 'green' }, 'label-differs'],
    ['no key of the keyring fits', { keyring: [key(1)] }, { keyring: [key(2)] }, 'cannot-decrypt'],
    ['not encrypted', { keyring: [key(1)] }, {}, 'not-encrypted'],
    ['encrypted, and this member has no key', {}, { keyring: [key(1)] }, 'encrypted-unexpectedly'],
  ] as const)('a stranger is kept out, counted and named: %s', async (words, ours, theirs, reason) => {
    const [a, b] = await cluster(['a', 'b'], ours)
    const stranger = make({ name: 'stranger', ...theirs })
    await start(stranger.node)
    stranger.node.join([placeOf(a!.node)])
    await clock.until(() => a!.node.drops[reason] > 0)
    const [line] = a!.logger.of('gossip.dropped')
    expect(line?.message).toContain(words)
    expect(line?.fields).toMatchObject({ reason, transport: 'tcp' })
    expect(String(line?.fields['from'])).toMatch(/^127\.0\.0\.1:\d+$/)
    await clock.until(() => stranger.logger.lines.length > 0 || alive(stranger.node) === 'stranger')
    expect([alive(a!.node), alive(b!.node), alive(stranger.node)]).toEqual(['a b', 'a b', 'stranger'])
    // Datagrams of the stranger are dropped for the same reason, and the flood makes no flood of lines.
    const before = a!.node.drops[reason]
    for (let i = 0; i < 50; i++) stranger.node.join([placeOf(a!.node)])
    await clock.until(() => a!.node.drops[reason] > before)
    expect(a!.logger.of('gossip.dropped').length).toBeLessThanOrEqual(2)
  })

  test('keys are rotated by add, use, remove without losing a member', async () => {
    const lost: string[] = []
    const made = await cluster(['a', 'b', 'c'], {
      keyring: [key(1)],
      delegate: { left: ({ name }) => lost.push(name) },
    })
    for (const keyring of [[key(1), key(2)], [key(2), key(1)], [key(2)]]) {
      for (const { node } of made) {
        node.setKeyring(keyring)
        // Probes and gossip go on between one member's change and the next.
        await clock.advance(250)
      }
    }
    await clock.advance(3000)
    expect(made.map(({ node }) => alive(node))).toEqual(['a b c', 'a b c', 'a b c'])
    expect(lost).toEqual([])
    expect(made.flatMap(({ node }) => [node.drops['cannot-decrypt'], node.drops['not-encrypted']])).toEqual(
      Array(6).fill(0),
    )
  })

  test('encryption is introduced to a plain cluster without losing a member', async () => {
    const lost: string[] = []
    const delegate = { left: ({ name }: { name: string }) => lost.push(name) }
    const plain = await cluster(['a', 'b'], { delegate })
    const first = plain[0]!.node
    // Reads both, writes plain: what each member is restarted with first.
    const lenient = make({ name: 'c', keyring: [key(1)], requireEncryption: false, encryptOutgoing: false })
    await start(lenient.node)
    lenient.node.join([placeOf(first)])
    await clock.until(() => alive(first) === 'a b c' && alive(lenient.node) === 'a b c')
    await clock.advance(5000)
    expect([alive(first), lost]).toEqual(['a b c', []])
  })

  test('says that UDP is blocked when only TCP gets through', async () => {
    const a = make({ name: 'a' })
    // A member that serves TCP alone looks to others just like one behind a firewall that drops UDP.
    const b = make({ name: 'b', tcpOnly: true })
    await start(a.node)
    await start(b.node)
    b.node.join([placeOf(a.node)])
    await clock.until(() => a.logger.of('udp.blocked').length > 0)
    expect(a.node.udpBlockedCount).toBe(1)
    expect(a.logger.of('udp.blocked')[0]?.fields).toMatchObject({ peer: 'b' })
    expect(alive(a.node)).toBe('a b')
  })

  test('IPv6, alone and on a socket for both', async () => {
    const made = await cluster(['a', 'b'], { bindHost: '::1' })
    expect(made[0]?.node.endpoint?.address).toBe('::1')
    const both = make({ name: 'c', bindHost: '::', advertise: '127.0.0.1' })
    const v4 = make({ name: 'd' })
    await start(both.node)
    await start(v4.node)
    v4.node.join([placeOf(both.node)])
    await clock.until(() => alive(both.node) === 'c d' && alive(v4.node) === 'c d')
    await clock.advance(4000)
    expect([alive(both.node), alive(v4.node)]).toEqual(['c d', 'c d'])
  })

  test('a taken port, a foreign address and the unspecified address are refused by name', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    await expect(start(make({ name: 'a', gossipPort: port }).node)).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      detail: { address: '127.0.0.1', port },
      message: expect.stringContaining(
        'the port is taken by another program; gossipPort (--gossip-port) takes another',
      ) as unknown,
    })
    taken.close()
    for (const options of [
      { bindHost: 'localhost' },
      { advertise: '0.0.0.0' },
      { advertise: '::' },
      { advertise: 'host.example' },
      { name: '' },
      { name: 'x'.repeat(256) },
      { name: 'a\x1b[2J' },
      { name: 'a\ud800' },
      { label: 'é'.repeat(128) },
      { clusterName: 'é'.repeat(513) },
    ]) {
      await expect(start(make({ name: 'a', ...options }).node)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
      })
    }
    await expect(start(make({ name: 'a', bindHost: '192.0.2.1' }).node)).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
    })
    await expect(start(make({ name: 'a', meta: new Uint8Array(513) }).node)).rejects.toMatchObject({
      code: 'METADATA_TOO_LARGE',
    })
  })

  test('with several addresses it asks which one to advertise', async () => {
    const entry = (address: string) => ({
      address,
      netmask: '255.255.255.0',
      family: 'IPv4' as const,
      mac: '00:00:00:00:00:00',
      internal: false,
      cidr: null,
    })
    const several = make({
      name: 'a',
      bindHost: '0.0.0.0',
      preset: 'lan',
      interfaces: () => ({ eth0: [entry('10.0.0.1')], eth1: [entry('10.1.0.1')] }),
    })
    await expect(start(several.node)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      detail: { candidates: ['10.0.0.1', '10.1.0.1'] },
    })
    const one = make({
      name: 'a',
      bindHost: '0.0.0.0',
      preset: 'lan',
      interfaces: () => ({ eth0: [entry('10.0.0.1'), entry('169.254.1.1')] }),
    })
    await start(one.node)
    expect(one.node.endpoint?.address).toBe('10.0.0.1')
  })

  test('silent, slow and too many connections are bounded and do not disturb the others', async () => {
    const [a, b] = await cluster(['a', 'b'], {
      streamLimits: { maxConnections: 8, maxConnectionsPerAddress: 8 },
      settings: { ...FAST, streamTimeoutMs: 5000 },
    })
    const sockets = Array.from({ length: 30 }, () => {
      const socket = connect(placeOf(a!.node).port, '127.0.0.1')
      socket.on('error', () => {})
      return socket
    })
    const closed = Promise.all(sockets.map((socket) => new Promise((resolve) => socket.on('close', resolve))))
    sockets[0]?.write(Uint8Array.of(6))
    sockets[1]?.end(Uint8Array.of(6, 0x83))
    // Of 30 there is room for 8, and one is over by itself.
    await clock.until(() => a!.node.refusedConnections >= 21)
    await closed
    await clock.until(() => a!.node.openSockets < 8)
    expect(alive(a!.node)).toBe('a b')
    expect(alive(b!.node)).toBe('a b')
  })

  test.each([
    ['four addresses', ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5']],
    ['the address of a newcomer', ['127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1']],
  ])('connections from %s that never send a whole message keep nobody from joining', async (_, from) => {
    // None of the connections is over by itself before the test is.
    const a = make({ name: 'a', settings: { ...FAST, streamTimeoutMs: 60_000 } })
    await start(a.node)
    const { port } = placeOf(a.node)
    const open = Array.from({ length: 128 }, (__, index) => {
      const socket = connect({ host: '127.0.0.1', port, localAddress: from[index % from.length] ?? '' })
      socket.on('error', () => {})
      socket.write(Uint8Array.of(6, 0x83))
      return socket
    })
    await Promise.all(open.map((socket) => once(socket, 'connect')))
    const b = make({ name: 'b' })
    await start(b.node)
    b.node.join([placeOf(a.node)])
    await clock.until(() => alive(b.node) === 'a b')
    for (const socket of open) socket.destroy()
  })

  test('a message that trickles in is cut early, one that flows has its time', async () => {
    const a = make({ name: 'a', settings: { ...FAST, streamTimeoutMs: 4000 } })
    await start(a.node)
    const send = (firstBytes: number) => {
      const socket = connect(placeOf(a.node).port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(Buffer.concat([USER_MESSAGE_HEAD, Buffer.alloc(firstBytes)]))
      return { socket, closed: once(socket, 'close') }
    }
    const flowing = send(100_000)
    const trickling = send(10)
    await trickling.closed
    expect(flowing.socket.closed).toBe(false)
    flowing.socket.destroy()
  })

  test('held bytes of all connections together are bounded', async () => {
    const a = make({
      name: 'a',
      streamLimits: { maxHeldBytes: 100_000 },
      settings: { ...FAST, streamTimeoutMs: 5000 },
    })
    await start(a.node)
    const socket = connect(placeOf(a.node).port, '127.0.0.1')
    socket.on('error', () => {})
    const closed = new Promise((resolve) => socket.on('close', resolve))
    socket.write(USER_MESSAGE_HEAD)
    socket.write(Buffer.alloc(150_000))
    await closed
    expect(a.node.refusedConnections).toBe(1)
  })

  test('bad datagrams are counted and change nothing', async () => {
    const [a] = await cluster(['a', 'b'])
    const socket = createSocket('udp4')
    for (const datagram of [
      Uint8Array.of(99),
      Uint8Array.of(1, 0xc1),
      new Uint8Array(0),
      Uint8Array.of(12, 1, 2, 3, 4, 5),
    ]) {
      socket.send(datagram, placeOf(a!.node).port, '127.0.0.1')
    }
    await clock.until(() => Object.values(a!.node.drops).reduce((sum, count) => sum + count, 0) >= 3)
    socket.close()
    expect(alive(a!.node)).toBe('a b')
  })

  test('stop releases everything and settles what waits', async () => {
    const [a] = await cluster(['a', 'b'])
    const leaving = a!.node.leave()
    await a!.node.stop()
    await a!.node.stop()
    await expect(leaving).resolves.toMatchObject({ kind: 'left' })
    await expect(a!.node.done).resolves.toBeUndefined()
    expect(a!.node.openSockets).toBe(0)
    expect(await a!.node.broadcast(bytes('late'))).toBe('dropped')
    await expect(start(a!.node)).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
  })
})

describe('one process at two addresses', () => {
  test.each([
    ['', {}],
    [', with much to say of itself', { meta: bytes('x'.repeat(400)) }],
    [', with keys', { keyring: [key(1)] }],
  ])(
    'is where it says when it comes back with another one, and nobody contests its name%s',
    async (_, options) => {
      const [first, second, ...others] = await cluster(['a', 'b', 'c'], options)
      const port = placeOf(second!.node).port
      await second!.node.stop()
      const contested: string[] = []
      const all = [first!, ...others]
      const back = make({
        ...options,
        name: 'b',
        bindHost: '0.0.0.0',
        advertise: '127.0.0.2',
        gossipPort: port,
      })
      await start(back.node)
      back.node.join([placeOf(first!.node)])
      const isListed = () => all.every(({ node }) => node.member('b')?.endpoint.address === '127.0.0.2')
      await clock.until(isListed)
      for (let passedMs = 0; passedMs < 15_000; passedMs += 50) {
        await clock.advance(50)
        for (const { node } of [...all, back]) contested.push(...node.contested().map(({ name }) => name))
        expect([back.node.isUnlisted, isListed()]).toEqual([false, true])
      }
      expect(contested).toEqual([])
    },
  )

  test('is no contest when a forged message names the other one', async () => {
    const first = make({ name: 'a' })
    const victim = make({ name: 'b', bindHost: '0.0.0.0', advertise: '127.0.0.2' })
    for (const { node } of [first, victim]) await start(node)
    first.node.join([placeOf(victim.node)])
    await clock.until(() => alive(first.node) === 'a b' && alive(victim.node) === 'a b')
    const { port } = placeOf(victim.node)
    const claim = encodeMessage({
      kind: 'alive',
      incarnation: 9,
      node: 'b',
      address: Uint8Array.of(127, 0, 0, 1),
      port,
      meta: new Uint8Array(0),
      vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
    })
    const socket = createSocket('udp4')
    onTestFinished(() => void socket.close())
    socket.send(claim, placeOf(first.node).port, '127.0.0.1')
    socket.send(claim, port, '127.0.0.2')
    const heard = ({ logger }: typeof first) =>
      logger.lines.some(({ fields }) => fields['event'] === 'conflict.found')
    await clock.until(() => heard(first) && heard(victim))
    for (let passedMs = 0; passedMs < 5000; passedMs += 50) {
      await clock.advance(50)
      expect([first, victim].flatMap(({ node }) => node.contested())).toEqual([])
    }
    expect(first.node.member('b')?.endpoint).toEqual(placeOf(victim.node))
  })
})

describe('a second process of a name, whose packets and connections come from another address than it advertises', () => {
  test('is not ready, and the first one stays so, also with the second among its seeds', async () => {
    const [, first] = await cluster(['a', 'twice', 'b', 'c'])
    const second = make({ name: 'twice', bindHost: '0.0.0.0', advertise: '127.0.0.2' })
    await start(second.node)
    second.node.join([placeOf(first!.node)])
    first!.node.join([{ ...placeOf(second.node), address: '127.0.0.3' }])
    await clock.until(() => second.node.isUnlisted && first!.node.contested().length > 0)
    for (let passedMs = 0; passedMs < 15_000; passedMs += 50) {
      await clock.advance(50)
      expect([first!.node.isUnlisted, second.node.isUnlisted]).toEqual([false, true])
    }
    await first!.node.stop()
    await clock.until(() => !second.node.isUnlisted)
  })
})

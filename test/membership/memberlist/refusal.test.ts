import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { RingService } from '../../../src/service/ring-service.ts'
import { Readiness } from '../../../src/http/readiness.ts'
import { HashRingManager } from '../../../src/manager/hash-ring-manager.ts'
import {
  MemberlistSource,
  type MemberlistSourceOptions,
} from '../../../src/membership/memberlist/memberlist-source.ts'
import { causeOfRefusal } from '../../../src/membership/memberlist/refusal.ts'
import { freePort } from '../../support/free-port.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { TurnClock } from '../../support/turn-clock.ts'
import { LOOPBACK } from '../../support/loopback.ts'

const key = (byte: number) => new Uint8Array(32).fill(byte)

const clock = new TurnClock()
const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function make(name: string, seedPort: number | undefined, options: Partial<MemberlistSourceOptions>) {
  const logger = new RecordingLogger()
  const source = new MemberlistSource({
    ...LOOPBACK,
    name,
    seeds: seedPort === undefined ? [] : [{ kind: 'address', address: '127.0.0.1', port: seedPort }],
    clock,
    logger,
    ...options,
  })
  stops.push(() => source.stop())
  return { source, logger }
}

async function start(...of: Parameters<typeof make>) {
  const made = make(...of)
  await made.source.start(new AbortController().signal)
  return made
}

/** What a newcomer says of itself once a join through the seed has ended. */
async function conditionOf(source: MemberlistSource) {
  const isOver = () => {
    const { condition, message } = source.health()
    return condition === 'refused' || /does not answer/.test(message)
  }
  await clock.until(isOver)
  return source.health()
}

describe('a member that the seed refuses', () => {
  test.each([
    ['another label', { label: 'blue' }, { label: 'green' }, /another label \(--label\)/],
    ['no label', { label: 'blue' }, {}, /another label \(--label\)/],
    ['a label that nobody has', {}, { label: 'green' }, /another label \(--label\)/],
    ['another key', { keyring: [key(1)] }, { keyring: [key(2)] }, /no key that fits .*--keyring-file/],
    ['no key', { keyring: [key(1)] }, {}, /requires encryption.*--keyring-file/],
    ['a key that nobody has', {}, { keyring: [key(2)] }, /has no key, .*--keyring-file/],
    [
      'another label and key',
      { label: 'blue', keyring: [key(1)] },
      { label: 'green', keyring: [key(2)] },
      /another label/,
    ],
    [
      'another cluster name',
      { clusterName: 'one' },
      { clusterName: 'two' },
      /cluster name \(--cluster-name\)/,
    ],
    ['no cluster name', { clusterName: 'one' }, {}, /cluster name \(--cluster-name\)/],
    ['a cluster name that nobody has', {}, { clusterName: 'two' }, /cluster name \(--cluster-name\)/],
  ])('with %s says so, warns and counts it', async (_, own, its, cause) => {
    const seed = await start('seed', undefined, own)
    const { source, logger } = await start('stranger', seed.source.node.gossipPort, its)
    const { condition, message } = await conditionOf(source)
    expect(message).toMatch(cause)
    expect(condition).toBe('refused')
    const line = logger.of('seed.refused')[0]
    expect(line?.level).toBe('warn')
    expect(line?.fields).toMatchObject({ address: `127.0.0.1:${seed.source.node.gossipPort}` })
    expect(source.statistics().joins?.refused).toBeGreaterThan(0)
    expect(source.statistics().joins?.failed).toBe(0)
    // The one that refuses has nobody it ought to follow.
    expect(seed.source.health().condition).toBe('well')
  })

  test.each([
    ['refused: version-incompatible', 'speaks no version of the protocol that this member speaks'],
    [
      'refused: too-many-members',
      'and this member do not come together: that would be more members than are allowed',
    ],
    [
      'refused: delegate-refused',
      'and this member do not come together: the application of one of them refuses',
    ],
    ['no idea', 'answered: no idea'],
  ])('by the answer %j is told why in words', async (text, cause) => {
    const answer = { outcome: 'answered', message: { kind: 'error', text }, sizeBytes: 0 } as const
    expect(await causeOfRefusal(answer, () => Promise.resolve(false))).toBe(cause)
  })

  test('does not become ready, until the others are like it', async () => {
    const seed = await start('seed', undefined, { keyring: [key(1)] })
    const { source, logger } = make('stranger', seed.source.node.gossipPort, { keyring: [key(2)] })
    const manager = new HashRingManager({ clock })
    const ring = new RingService({ source, manager, logger, clock, ringKeyMode: 'name' })
    stops.push(() => ring.stop())
    await ring.start()
    const readiness = new Readiness({ ring, clock, minMembers: 2, minMembersTimeoutMs: 1 })
    await conditionOf(source)
    const { ready, checks } = await readiness.evaluate()
    expect(ready).toBe(false)
    expect(checks.filter(({ ok }) => !ok)).toMatchObject([
      { name: 'source', message: expect.stringMatching(/^It is refused: .*--keyring-file/) as string },
    ])
    source.node.setKeyring([key(1)])
    await clock.until(() => source.members.length === 2)
    expect((await readiness.evaluate()).ready).toBe(true)
  })

  test('because an operator evicted it is told so, and of no label or key', async () => {
    const seed = await start('seed', undefined, {})
    seed.source.evict('stranger', 600_000)
    const { source, logger } = await start('stranger', seed.source.node.gossipPort, {})
    const { condition, message } = await conditionOf(source)
    expect(condition).toBe('refused')
    expect(message).toMatch(/does not take it back: an operator evicted this member$/)
    const line = logger.of('seed.refused')[0]
    expect(line?.fields['reason']).toBe('does not take it back: an operator evicted this member')
    expect(`${message} ${line?.message}`).not.toMatch(/label|key/)
  })

  test('is told nothing about the label or the key', async () => {
    const seed = await start('seed', undefined, { label: 'a-secret-name', keyring: [key(1)] })
    const { source } = await start('stranger', seed.source.node.gossipPort, { label: 'x' })
    expect((await conditionOf(source)).message).not.toContain('secret')
  })
})

/** A TCP server that treats connections as it is told; Go members say nothing when the label differs. */
async function serve(treat: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    treat(socket)
  })
  const port = await freePort()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  stops.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return port
}

describe('a seed that closes without a word', () => {
  test('refuses, when it does so for what it has read', async () => {
    const port = await serve((socket) => {
      socket.once('data', () => socket.destroy())
    })
    const { source } = await start('stranger', port, {})
    const { condition, message } = await conditionOf(source)
    expect(condition).toBe('refused')
    expect(message).toMatch(/--label.*--keyring-file/)
  })

  test('is a proxy before nobody, when it does so whatever it is sent', async () => {
    const port = await serve((socket) => {
      clock.after(20, () => socket.destroy())
    })
    const { source } = await start('stranger', port, {})
    expect((await conditionOf(source)).condition).toBe('alone')
  })

  test('is nobody where nothing listens', async () => {
    const port = await serve(() => {})
    for (const stop of stops.splice(0)) await stop()
    const { source, logger } = await start('stranger', port, {})
    expect((await conditionOf(source)).condition).toBe('alone')
    expect(logger.of('seed.refused')).toEqual([])
  })
})

test('a member that others stand by is well, whatever another seed says, and warns all the same', async () => {
  const good = await start('good', undefined, { label: 'blue' })
  const other = await start('other', undefined, { label: 'green' })
  const { source, logger } = await start('newcomer', undefined, {
    label: 'blue',
    seeds: [good, other].map(({ source: { node } }) => ({
      kind: 'address' as const,
      address: '127.0.0.1',
      port: node.gossipPort ?? 0,
    })),
  })
  await clock.until(() => logger.of('seed.refused').length === 1)
  await clock.until(() => source.health().condition === 'well')
})

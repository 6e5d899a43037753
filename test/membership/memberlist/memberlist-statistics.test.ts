import { createSocket } from 'node:dgram'
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Distribution } from '../../../src/distribution.ts'
import { keyId } from '../../../src/membership/memberlist/keyring.ts'
import {
  MemberlistSource,
  type MemberlistSourceOptions,
} from '../../../src/membership/memberlist/memberlist-source.ts'
import type { GossipStatistics, TwoWayCount } from '../../../src/membership/statistics.ts'
import { freePort } from '../../support/free-port.ts'
import { parseSeeds } from '../../support/seeds.ts'
import { TurnClock } from '../../support/turn-clock.ts'
import { LOOPBACK } from '../../support/loopback.ts'

const clock = new TurnClock()

async function started(name: string, options: Partial<MemberlistSourceOptions> & { join?: string } = {}) {
  const { join, ...rest } = options
  const source = new MemberlistSource({
    ...LOOPBACK,
    gossipPort: await freePort(),
    name,
    clock,
    seeds: parseSeeds(join ?? ''),
    ...rest,
  })
  onTestFinished(() => source.stop())
  await source.start(new AbortController().signal)
  return source
}

const placeOf = ({ gossipAddress }: MemberlistSource) => `${gossipAddress?.host}:${gossipAddress?.port}`

function gossipOf(source: MemberlistSource): GossipStatistics {
  const { gossip } = source.statistics()
  return gossip ?? expect.fail('no gossip')
}

/** Everything that only rises, flat. */
function countsOf(source: MemberlistSource): Record<string, number> {
  const counts: Record<string, number> = {}
  const walk = (value: unknown, path: string) => {
    if (typeof value === 'number') counts[path] = value
    else if (value instanceof Distribution) walk({ in: value.counts, sum: value.sum }, path)
    else if (typeof value === 'object' && value !== null)
      for (const [key, part] of Object.entries(value)) walk(part, `${path} ${key}`)
  }
  const { healthScore: _, queueDepth: __, udpBlockedMembers: ___, ...rest } = gossipOf(source)
  walk({ ...rest, joins: source.statistics().joins }, '')
  return counts
}

const living = (source: MemberlistSource) =>
  source.members.filter(({ state }) => state === 'alive' || state === 'suspect').length

describe('statistics of two members that gossip', () => {
  test('one has sent what the other has received, by type and in bytes', async () => {
    const a = await started('a')
    // Seeds are asked once: a second time would be a second join.
    const seedSettings = { aloneMinMs: 600_000, aloneMaxMs: 600_000, settledMs: 600_000 }
    const b = await started('b', { join: placeOf(a), seedSettings })
    await clock.until(() => (gossipOf(b).pushPulls?.completed ?? 0) > 2)
    await clock.until(() => (gossipOf(b).probes?.direct ?? 0) > 3)
    const sentBy = (counts: Readonly<Partial<Record<string, TwoWayCount>>> = {}, way: keyof TwoWayCount) =>
      Object.fromEntries(Object.entries(counts).map(([type, count]) => [type, count?.[way]]))
    const both = () => {
      const [x, y] = [gossipOf(a), gossipOf(b)]
      return [
        [sentBy(x.messages, 'sent'), sentBy(y.messages, 'received')],
        [sentBy(y.messages, 'sent'), sentBy(x.messages, 'received')],
        [sentBy(x.messageBytes, 'sent'), sentBy(y.messageBytes, 'received')],
        [x.packets.sent, y.packets.received],
        [y.packets.sent, x.packets.received],
        [x.bytes.udp.sent, y.bytes.udp.received],
        // Bytes of a connection are counted once it is closed.
        [y.bytes.tcp?.sent, y.messageBytes?.['push-pull']?.sent],
      ]
    }
    // At a moment when nothing is on its way.
    await clock.until(() => both().every(([sent, received]) => isDeepStrictEqual(received, sent)))
    const { messages, messageBytes, probes, probeSeconds, pushPullSeconds, pushPullBytes } = gossipOf(b)
    for (const type of ['ping', 'ack', 'push-pull'] as const) {
      expect(messages[type]?.sent).toBeGreaterThan(0)
      expect(messageBytes?.[type]?.sent).toBeGreaterThan(messages[type]?.sent ?? 0)
    }
    expect(probeSeconds?.count).toBe(probes?.direct)
    expect(probeSeconds?.sum).toBeGreaterThan(0)
    expect(pushPullSeconds?.count).toBeGreaterThan(2)
    expect(pushPullBytes?.sent.sum).toBe(messageBytes?.['push-pull']?.sent)
    expect(b.statistics().joins).toEqual({ completed: 1, failed: 0, refused: 0 })
  })

  test('are fresh while others are heard, and say nothing of staleness alone', async () => {
    const a = await started('a')
    expect(a.statistics().staleMs).toBeUndefined()
    const b = await started('b', { join: placeOf(a) })
    await clock.until(() => living(a) === 2)
    for (let i = 0; i < 5; i++) expect(a.statistics().staleMs).toBeLessThan(5000)
    await b.stop()
    await clock.until(() => living(a) === 1)
    expect(gossipOf(a).declaredDead.silence + (gossipOf(a).declaredDead.refusal ?? 0)).toBe(1)
    expect(gossipOf(a).suspicions).toBeGreaterThan(0)
    // The probe that found it out has its time.
    await clock.until(() => (gossipOf(a).probes?.failed ?? 0) > 0)
    expect(gossipOf(a).probes?.stream).toBe(0)
    expect(a.statistics().staleMs).toBeUndefined()
  })

  test('only rise, and stay after the stop', async () => {
    const a = await started('a')
    const b = await started('b', { join: placeOf(a) })
    await clock.until(() => living(b) === 2)
    const before = countsOf(b)
    await clock.until(() => (gossipOf(b).probes?.direct ?? 0) > 2)
    const after = countsOf(b)
    for (const [name, count] of Object.entries(before))
      expect(after[name], name).toBeGreaterThanOrEqual(count)
    await b.stop()
    const stopped = countsOf(b)
    for (const [name, count] of Object.entries(after))
      expect(stopped[name], name).toBeGreaterThanOrEqual(count)
  })

  test('over TCP alone, no datagram is counted, and each message as itself', async () => {
    const a = await started('a', { tcpOnly: true })
    const b = await started('b', { tcpOnly: true, join: placeOf(a) })
    await clock.until(() => living(a) + living(b) === 4)
    await clock.until(() => (gossipOf(a).messages.ping?.received ?? 0) > 2)
    const { packets, bytes, messages } = gossipOf(a)
    expect([packets, bytes.udp]).toEqual([
      { sent: 0, received: 0 },
      { sent: 0, received: 0 },
    ])
    expect(bytes.tcp?.received).toBeGreaterThan(0)
    await clock.until(() => (gossipOf(a).messages.alive?.received ?? 0) > 0)
    expect(messages.user).toEqual({ sent: 0, received: 0 })
  })
})

describe('what goes wrong is counted by what it was', () => {
  test('another label', async () => {
    const a = await started('a', { label: 'one' })
    const b = await started('b', { label: 'two', join: placeOf(a) })
    await clock.until(() => (gossipOf(a).drops['label-differs'] ?? 0) > 0)
    await clock.until(() => (b.statistics().joins?.refused ?? 0) > 0)
    expect(b.statistics().joins?.completed).toBe(0)
    // It was heard of nobody who may gossip with it.
    expect(gossipOf(a).messages['push-pull']?.received).toBe(0)
    expect(gossipOf(a).bytes.tcp?.received).toBeGreaterThan(0)
  })

  test('another cluster name', async () => {
    const a = await started('a', { clusterName: 'one' })
    await started('b', { clusterName: 'two', join: placeOf(a) })
    await clock.until(() => (gossipOf(a).drops['cluster-name-differs'] ?? 0) > 0)
    expect(gossipOf(a).messages.error?.sent).toBeGreaterThan(0)
  })

  test('noise, of which the bytes count and no packet', async () => {
    const a = await started('a')
    const socket = createSocket('udp4')
    const noise = Buffer.from([0xff, 1, 2, 3])
    socket.send(noise, a.gossipAddress?.port ?? 0, '127.0.0.1')
    await clock.until(() => gossipOf(a).bytes.udp.received === noise.length)
    socket.close()
    const { packets, drops } = gossipOf(a)
    expect(packets.received).toBe(0)
    expect(Object.values(drops).reduce((sum, count) => sum + count, 0)).toBe(1)
    expect(a.statistics().staleMs).toBeUndefined()
  })

  test('a seed where nobody listens', async () => {
    const port = await freePort()
    const a = await started('a', { join: `127.0.0.1:${port}` })
    await clock.until(() => (a.statistics().joins?.failed ?? 0) > 0)
    expect(a.statistics().seeds).toEqual({ resolved: 1, unresolved: 0, addresses: 1 })
    expect(gossipOf(a).pushPulls).toMatchObject({ completed: 0 })
  })

  test('a seed that is the own host name leads to nobody', async () => {
    const lookUp = () => Promise.resolve(['127.0.1.1'])
    const dns = { lookUp, addressesOf: lookUp, servicesOf: () => Promise.resolve([]) }
    const port = await freePort()
    const own = { bindHost: '0.0.0.0', advertise: '127.0.0.1', gossipPort: port, join: 'myself', dns }
    const a = await started('a', own)
    await clock.until(() => a.health().message.includes('seeds have only this member'))
    expect(gossipOf(a).messages['push-pull']).toEqual({ sent: 0, received: 0 })
  })

  test('a seed that does not resolve', async () => {
    const dns = {
      lookUp: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })),
      addressesOf: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })),
      servicesOf: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOTFOUND' })),
    }
    const a = await started('a', { join: 'dns:nowhere.test,127.0.0.1:9', dns })
    await clock.until(() => a.statistics().seeds?.resolved === 1)
    expect(a.statistics().seeds).toEqual({ resolved: 1, unresolved: 1, addresses: 1 })
  })
})

test('before the start everything is 0', () => {
  const source = new MemberlistSource({
    ...LOOPBACK,
    name: 'a',
    seeds: parseSeeds('dns:x.test'),
    clock,
  })
  expect(source.statistics().seeds).toEqual({ resolved: 0, unresolved: 1, addresses: 0 })
  const numbers = Object.entries(countsOf(source))
  expect(numbers.length).toBeGreaterThan(50)
  expect(numbers.filter(([, count]) => count !== 0)).toEqual([])
})

test('the ids of the keys are those of the log, in the order of the keyring', async () => {
  const keyring = [1, 2].map((byte) => new Uint8Array(32).fill(byte))
  expect(gossipOf(await started('a', { keyring })).keyIds).toEqual(keyring.map(keyId))
  expect(gossipOf(await started('b')).keyIds).toEqual([])
})

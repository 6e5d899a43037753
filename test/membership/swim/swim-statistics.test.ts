import { describe, expect, onTestFinished, test } from 'vitest'
import { createSocket } from 'node:dgram'
import { systemClock } from '../../../src/clock.ts'
import { SwimSource, type SwimSourceOptions } from '../../../src/membership/swim/swim-source.ts'
import { sharedDrops } from '../../../src/membership/swim/swim-traffic.ts'
import type { GossipStatistics } from '../../../src/membership/statistics.ts'
import { parseSeeds } from '../../support/seeds.ts'
import { freePort } from '../../support/free-port.ts'
import { LOOPBACK } from '../../support/loopback.ts'

const PATIENCE = { timeout: 60_000, interval: 5 }

async function started(name: string, options: Partial<SwimSourceOptions> & { join?: string } = {}) {
  const { join, ...rest } = options
  const source = new SwimSource({
    ...LOOPBACK,
    gossipPort: await freePort(),
    name,
    seeds: parseSeeds(join ?? ''),
    settings: {
      probeIntervalMs: 30,
      probeTimeoutMs: 60,
      indirectTimeoutMs: 100,
      suspicionMs: 300,
      seeds: { aloneMinMs: 50, aloneMaxMs: 100 },
    },
    clock: systemClock,
    ...rest,
  })
  onTestFinished(() => source.stop())
  await source.start(new AbortController().signal)
  return source
}

const placeOf = ({ gossipAddress }: SwimSource) => `${gossipAddress?.host}:${gossipAddress?.port}`
const gossipOf = (source: SwimSource): GossipStatistics =>
  source.statistics().gossip ?? expect.fail('no gossip')

describe('statistics of a swim source', () => {
  test('one has sent what the other has received', async () => {
    // However late an answer is, nobody is probed indirectly: with two members that one would ping itself.
    const settings = {
      probeIntervalMs: 30,
      probeTimeoutMs: 60_000,
      seeds: { aloneMinMs: 50, aloneMaxMs: 100 },
    }
    const a = await started('a', { settings })
    const b = await started('b', { join: placeOf(a), settings })
    await expect.poll(() => gossipOf(b).messages.ack?.received, PATIENCE).toBeGreaterThan(2)
    const both = () => {
      const [x, y] = [gossipOf(a), gossipOf(b)]
      return [
        ...(['ping', 'indirect-ping', 'ack', 'sync', 'update'] as const).flatMap((type) => [
          [x.messages[type]?.sent, y.messages[type]?.received],
          [y.messages[type]?.sent, x.messages[type]?.received],
        ]),
        [x.packets.sent, y.packets.received],
        [x.bytes.udp.sent, y.bytes.udp.received],
        [y.bytes.udp.sent, x.bytes.udp.received],
      ]
    }
    await expect.poll(() => both().every(([sent, received]) => sent === received), PATIENCE).toBe(true)
    expect(gossipOf(b).messages.ping?.sent).toBeGreaterThan(0)
    expect(gossipOf(b).messages.sync?.sent).toBeGreaterThan(0)
    expect(gossipOf(b).bytes.udp.sent).toBeGreaterThan(gossipOf(b).packets.sent)
    expect(b.statistics().seeds).toEqual({ resolved: 1, unresolved: 0, addresses: 1 })
    expect(a.statistics().staleMs).toBeLessThan(5000)
  })

  test('a member that falls silent is suspected, then declared dead', async () => {
    const a = await started('a')
    const b = await started('b', { join: placeOf(a) })
    await expect.poll(() => a.members.length, PATIENCE).toBe(2)
    await b.stop()
    await expect.poll(() => gossipOf(a).declaredDead.silence, PATIENCE).toBe(1)
    expect(gossipOf(a).suspicions).toBeGreaterThan(0)
    expect(a.statistics().staleMs).toBeUndefined()
  })

  test('what is no such datagram is counted by what it was', async () => {
    const a = await started('a')
    const socket = createSocket('udp4')
    socket.send(Buffer.from([99, 1, 2]), a.gossipAddress?.port ?? 0, '127.0.0.1')
    await expect.poll(() => gossipOf(a).drops['unknown-type'], PATIENCE).toBe(1)
    socket.close()
    expect(gossipOf(a).bytes.udp.received).toBe(3)
    expect(gossipOf(a).packets.received).toBe(0)
    expect(a.statistics().staleMs).toBeUndefined()
  })

  test('every reason has a shared one, at 0 from the start', () => {
    const drops = sharedDrops(
      new Map([
        ['seq-invalid', 2],
        ['empty', 1],
      ]),
    )
    expect(drops).toMatchObject({ malformed: 3, 'too-large': 0, 'rate-limited': 0 })
  })
})

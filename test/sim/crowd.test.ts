import { describe, expect, test } from 'vitest'
import { simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import type { SimMember } from '../../lab/sim/sim-member.ts'
import { type Endpoint, tryParseAddress } from '../../src/membership/memberlist/protocol/endpoint.ts'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'
import { alive } from '../membership/memberlist/protocol/machine.ts'

/** Listed at one address at most, in a ring without keys. */
const PER_ADDRESS_LIMIT = 64

/** Answers every ping at these places, whoever it names. */
function answerAt(cluster: SimCluster, places: readonly Endpoint[]): void {
  for (const place of places) {
    cluster.network.listen(place, {
      packet: (from, messages) => {
        for (const { kind, seqNo } of messages.filter((message) => message.kind === 'ping')) {
          if (kind === 'ping')
            cluster.network.sendPacket(place, from, [{ kind: 'ack', seqNo, payload: new Uint8Array(0) }])
        }
      },
      streamPing: ({ seqNo }, answer) => {
        answer({ kind: 'ack', seqNo, payload: new Uint8Array(0) })
      },
      pushPull: (_, __, answer) => {
        answer(undefined)
      },
    })
  }
}

/** Tells the members one by one of 300 others, the i-th at `placeOf(i)`. */
function invent(cluster: SimCluster, attacker: Endpoint, placeOf: (i: number) => Endpoint): void {
  for (let i = 0; i < 300; i++) {
    const { address, port } = placeOf(i)
    const said = alive(0, 1, { node: `invented-${i}`, address: tryParseAddress(address)!, port })
    cluster.network.sendPacket(attacker, cluster.get(`node-${i % 3}`).endpoint, [said])
    cluster.run(10)
  }
}

function settled(seed: number): SimCluster {
  const cluster = new SimCluster(seed)
  cluster.startMany(3)
  cluster.run(20_000)
  return cluster
}

/** As on a machine that has too much to do: about a third of the time the member does not run. */
function stallNowAndThen(cluster: SimCluster, member: SimMember, maxMs: number): void {
  member.freeze()
  cluster.clock.after(cluster.random() * maxMs, () => {
    member.thaw()
    cluster.clock.after(cluster.random() * 2 * maxMs, () => {
      stallNowAndThen(cluster, member, maxMs)
    })
  })
}

const inventedOf = (cluster: SimCluster) =>
  cluster.running.map(({ protocol }) => protocol.members().filter(({ name }) => name.startsWith('invented')))

describe('a crowd of invented members that answer, in a ring without keys', () => {
  test('is one member where all are at one place, and gone soon after its end', () => {
    const cluster = settled(simSeed(150))
    const place = cluster.endpoint()
    answerAt(cluster, [place])
    invent(cluster, place, () => place)
    cluster.run(3000)
    for (const invented of inventedOf(cluster)) expect(invented).toHaveLength(1)
    cluster.network.close(place)
    expect(
      cluster.runUntil(() => cluster.isConverged(), 10_000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
  })

  test.each([
    ['ports that refuse', 0, 5000],
    ['ports that refuse', 200, 10_000],
    ['a host that is gone', 0, 40_000],
    ['a host that is gone', 100, 60_000],
  ])(
    'has no more members than an address may have, and leaves %s: members that stall for up to %i ms are rid of it within %i ms',
    (how, stallMs, limitMs) => {
      for (let i = 0; i < 3; i++) {
        const cluster = settled(simSeed(151 + i))
        const { address } = cluster.endpoint()
        const places = Array.from({ length: 300 }, (_, port) => ({ address, port: 10_000 + port }))
        // Its host has no port for streams that takes any.
        cluster.network.tcpRefusedAt.add(address)
        answerAt(cluster, places)
        invent(cluster, places[0]!, (at) => places[at]!)
        cluster.run(3000)
        for (const invented of inventedOf(cluster)) expect(invented).toHaveLength(PER_ADDRESS_LIMIT)
        // It keeps nobody else from joining.
        cluster.start('late', { seeds: [cluster.get('node-0').endpoint] })
        const isListed = () => cluster.running.every((by) => cluster.lists(by, 'late'))
        expect(cluster.runUntil(isListed, 2000), `seed ${cluster.seed}`).toBeDefined()
        for (const place of places) cluster.network.close(place)
        if (how.includes('gone')) cluster.network.hostDown(address)
        if (stallMs > 0) for (const member of cluster.running) stallNowAndThen(cluster, member, stallMs)
        expect(
          cluster.runUntil(() => cluster.isConverged(), limitMs),
          `seed ${cluster.seed}`,
        ).toBeDefined()
        expect(cluster.falseRemovals).toEqual([])
      }
    },
  )
})

test('a hundred members of one host all list each other, in a ring without keys', () => {
  const cluster = new SimCluster(simSeed(155))
  const places = Array.from({ length: 100 }, (_, i) => ({ address: '127.0.0.1', port: 10_000 + i }))
  for (const [i, endpoint] of places.entries()) {
    cluster.start(`node-${i}`, { endpoint, seeds: [places[0]!] })
    cluster.run(20)
  }
  expect(
    cluster.runUntil(() => cluster.isConverged(), 60_000),
    `seed ${cluster.seed}`,
  ).toBeDefined()
})

describe.each([true, false])('a member at the place of one that died unseen, keys: %s', (keyed) => {
  test('is taken, and the dead one is off the ring', () => {
    for (let i = 0; i < 5; i++) {
      const cluster = new SimCluster(simSeed(160 + i), { ...PRESETS.lan, keyed })
      cluster.startMany(5)
      cluster.run(20_000)
      const { endpoint } = cluster.get('node-2')
      cluster.get('node-2').kill()
      cluster.members.delete('node-2')
      cluster.run(50)
      cluster.start('successor', { endpoint, seeds: [cluster.get('node-0').endpoint] })
      expect(
        cluster.runUntil(() => cluster.isConverged(), keyed ? 30_000 : 8000),
        `seed ${cluster.seed}`,
      ).toBeDefined()
      cluster.run(60_000)
      expect(cluster.isConverged()).toBe(true)
      expect(cluster.falseRemovals).toEqual([])
    }
  })
})

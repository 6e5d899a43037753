import { expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { silentLogger } from '../../src/logger.ts'
import { GossipTransport } from '../../src/membership/memberlist/gossip-transport.ts'
import { tryParseAddress } from '../../src/membership/memberlist/protocol/endpoint.ts'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'
import { UdpReachability } from '../../src/membership/memberlist/udp-reachability.ts'
import type { Message, PushPullNode } from '../../src/membership/memberlist/wire/messages.ts'
import { collectionsOf } from '../../lab/sim/collections.ts'
import { seededRandom, simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import { alive, endpointOf, Machine } from '../membership/memberlist/protocol/machine.ts'

/** `SOAK_CHANGES=100000` for the long run. */
const CHANGES = Number(process.env['SOAK_CHANGES'] ?? 30_000)
const LIMITS = { maxMembers: 300, maxQueued: 200, maxRelays: 16 }
/** What the machine may hold in one collection: what its settings allow twice over, or its own fixed limits. */
const BOUND = 2 * LIMITS.maxMembers + 64
const FIXED: Record<string, number> = {
  '#core.deadlines.#heap': 4 * BOUND,
  '#reconnect.#lost': 1024,
}

function expectBounded(machine: object): void {
  for (const [path, size] of collectionsOf(machine)) {
    expect(size, path).toBeLessThanOrEqual(FIXED[path] ?? BOUND)
  }
}

test('joins, leaves, takeovers, restarts and deaths without end leave no collection of the machine above its bound', () => {
  const machine = new Machine(LIMITS)
  const random = seededRandom(simSeed(90))
  const pick = (count: number) => Math.floor(random() * count)
  const incarnations = new Map<number, number>()
  let fresh = 0
  const place = () => ({
    address: tryParseAddress(`10.${1 + pick(200)}.${pick(256)}.${1 + pick(250)}`)!,
    port: 1024 + pick(60_000),
  })
  // Half of what happens is of names that come again and again, half of names that come once.
  const name = () => (random() < 0.5 ? pick(250) : 1000 + fresh++)
  const happens = (): Message[] => {
    const n = name()
    const node = `n${n}`
    const incarnation = (incarnations.get(n) ?? 0) + 1
    if (n < 1000) incarnations.set(n, incarnation)
    const is = { node, ...place() }
    const from = random() < 0.3 ? node : `n${pick(250)}`
    switch (pick(6)) {
      case 0:
        return [alive(0, incarnation, is)]
      case 1:
        return [alive(0, incarnation, is), { kind: 'dead', incarnation, node, from }]
      case 2:
        return [{ kind: 'dead', incarnation, node, from: node }, alive(0, 1, is)]
      case 3:
        return [{ kind: 'suspect', incarnation: incarnation - 1, node, from }]
      case 4:
        return [
          { kind: 'ping', seqNo: pick(1e9), node: 'm1', source: { ...place(), node } },
          { kind: 'indirect-ping', seqNo: pick(1e9), target: place().address, port: 7, node, nack: true },
        ]
      default:
        return [alive(1, incarnation, place()), { kind: 'user', payload: new Uint8Array(9) }]
    }
  }
  const nodes = (count: number): PushPullNode[] =>
    Array.from({ length: count }, () => {
      const { meta, vsn } = alive(0)
      return { name: `n${name()}`, ...place(), meta, vsn, incarnation: 1 + pick(3), state: pick(4) }
    })
  for (let i = 1; i <= CHANGES; i++) {
    machine.packet(2 + pick(200), ...happens())
    if (i % 50 === 0) {
      const state = { join: i % 100 === 0, nodes: nodes(8), userState: new Uint8Array(0) }
      machine.handle({ kind: 'push-pull-received', stream: i, from: endpointOf(3), state })
    }
    if (i % 10 === 0) machine.run(random() < 0.02 ? 20_000 : 50)
    if (i % 5000 === 0) expectBounded(machine.protocol)
    machine.clear()
  }
  expectBounded(machine.protocol)
})

test('a cluster that is restarted over and over, names at ever other addresses, holds what it shows', () => {
  const cluster = new SimCluster(simSeed(91))
  cluster.startMany(4)
  const seeds = [cluster.get('node-0').endpoint]
  for (let round = 0; round < 60; round++) {
    const name = `node-${1 + (round % 3)}`
    const member = cluster.get(name)
    if (round % 2 === 0) member.handle({ kind: 'leave' })
    cluster.run(500)
    member.kill()
    const { endpoint } = member
    cluster.start(name, round % 3 === 0 ? { seeds, endpoint } : { seeds })
    cluster.run(7000)
  }
  cluster.run(120_000)
  expect(cluster.isConverged()).toBe(true)
  for (const { protocol } of cluster.running) {
    for (const [path, size] of collectionsOf(protocol)) {
      // Places that answered are known for an hour.
      expect(size, path).toBeLessThanOrEqual(path.startsWith('#core.contacts') ? 64 : 20)
    }
  }
})

test('3,000 takeovers of one name leave one place noted in the transport', () => {
  const transport = new GossipTransport({
    node: { name: 'm1', clock: systemClock, random: seededRandom(1), logger: silentLogger },
    settings: PRESETS.lan,
    onEvent: () => {},
    onUserMessage: () => {},
    onError: () => {},
  })
  const machine = new Machine()
  for (let i = 1; i <= 3000; i++) {
    const address = Uint8Array.of(10, 1, i >> 8, i & 255)
    machine.packet(2, { kind: 'dead', incarnation: i, node: 'm2', from: 'm2' }, alive(2, i, { address }))
  }
  for (const { change, member } of machine.of('member-changed')) {
    transport.noteMember(member, change !== 'forgotten')
  }
  expect(machine.changes().length).toBeGreaterThan(5000)
  // The longest of the fixed ones are the bounds of its histograms.
  for (const [path, size] of collectionsOf(transport)) expect(size, path).toBeLessThanOrEqual(20)
})

test('members that answer over TCP alone, and leave before they do, leave nothing noted', () => {
  const machine = new Machine()
  const udp = new UdpReachability(systemClock, silentLogger)
  for (let n = 2; n < 100; n++) {
    machine.packet(n, alive(n))
    const { probe } = machine.runUntil('start-stream-probe')
    machine.packet(n, { kind: 'dead', incarnation: 1, node: `m${n}`, from: `m${n}` })
    machine.handle({ kind: 'stream-probe-finished', probe, outcome: 'acked' })
  }
  const ended = machine.of('probe-finished')
  expect(ended.map(({ via, member }) => `${via} ${member.state}`)).toContain('stream left')
  // As a node does with what the machine tells it.
  for (const { member } of machine.of('member-changed')) if (member.state === 'left') udp.forget(member.name)
  for (const effect of ended) udp.add(effect)
  expect(collectionsOf(udp).get('#streamOnly')).toBe(0)
})

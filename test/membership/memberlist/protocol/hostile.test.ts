import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ProtocolEvent } from '../../../../src/membership/memberlist/protocol/events.ts'
import type { Message, PushPullNode } from '../../../../src/membership/memberlist/wire/messages.ts'
import { estimateSize, sizeOfPacket } from '../../../../lab/sim/message-size.ts'
import { alive, endpointOf, Machine } from './machine.ts'

// What decodes may hold any number, name and bytes: the machine has to be safe with all of it.
const name = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('m1', 'm2', 'm3', 'm4', 'm5') },
  fc.constantFrom('', '__proto__', 'x'.repeat(300), '\0'),
  fc.string({ maxLength: 8 }),
)
const uint32 = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 6 }) },
  fc.constantFrom(2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1),
)
const address = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 6 }).map((n) => Uint8Array.of(10, 0, 0, n)) },
  fc.uint8Array({ maxLength: 17 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
)
const port = fc.oneof(
  { weight: 8, arbitrary: fc.constant(7946) },
  fc.constantFrom(0, 1, 65_535, 65_536, 2 ** 32 - 1),
)
const bytes = fc.oneof(fc.uint8Array({ maxLength: 4 }), fc.constant(new Uint8Array(600)))
const vsn = fc.oneof(
  { weight: 8, arbitrary: fc.constant(Uint8Array.of(1, 5, 2, 0, 0, 0)) },
  fc.uint8Array({ maxLength: 8 }),
)
const clusterName = fc.option(fc.constantFrom('', 'blue'), { nil: undefined })
const source = fc.option(fc.record({ address, port, node: name }), { nil: undefined })

/** Drops fields that are undefined: with exact optional fields they are absent. */
function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as never
}

const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant('ping' as const), seqNo: uint32, node: name, source }).map(defined),
  fc
    .record({
      kind: fc.constant('indirect-ping' as const),
      seqNo: uint32,
      target: address,
      port,
      node: name,
      nack: fc.boolean(),
      source,
    })
    .map(defined),
  fc.record({ kind: fc.constant('ack' as const), seqNo: uint32, payload: bytes }),
  fc.record({ kind: fc.constant('nack' as const), seqNo: uint32 }),
  fc
    .record({
      kind: fc.constantFrom('suspect' as const, 'dead' as const),
      incarnation: uint32,
      node: name,
      from: name,
      clusterName,
    })
    .map(defined),
  fc
    .record({
      kind: fc.constant('alive' as const),
      incarnation: uint32,
      node: name,
      address,
      port,
      meta: bytes,
      vsn,
      clusterName,
    })
    .map(defined),
  fc.record({ kind: fc.constant('user' as const), payload: bytes }),
)

const pushPullNode: fc.Arbitrary<PushPullNode> = fc.record({
  name,
  address,
  port,
  meta: bytes,
  incarnation: uint32,
  state: fc.integer({ min: 0, max: 5 }),
  vsn,
})
const state = fc
  .record({
    join: fc.boolean(),
    nodes: fc.array(pushPullNode, { maxLength: 12 }),
    userState: bytes,
    clusterName,
  })
  .map(defined)
const id = fc.integer({ min: 0, max: 8 })
const from = fc.integer({ min: 2, max: 6 }).map(endpointOf)

const step: fc.Arbitrary<{ waitMs: number; event: ProtocolEvent }> = fc.record({
  waitMs: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(1000, 20_000)),
  event: fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('packet-received' as const),
        from,
        sizeBytes: fc.integer({ min: 1, max: 1400 }),
        messages: fc.array(message, { maxLength: 5 }),
      }),
    },
    fc.record({ kind: fc.constant('push-pull-received' as const), stream: id, from, state }),
    fc.record({ kind: fc.constant('push-pull-answered' as const), exchange: id, state }),
    fc.record({
      kind: fc.constant('push-pull-failed' as const),
      exchange: id,
      outcome: fc.constantFrom('refused' as const, 'failed' as const),
      message: fc.constant('no'),
    }),
    fc.record({ kind: fc.constant('join' as const), seeds: fc.array(from, { maxLength: 4 }) }),
    fc.record({ kind: fc.constant('update-metadata' as const), meta: bytes }),
    fc.record({ kind: fc.constant('broadcast' as const), id, payload: bytes }),
    fc.constantFrom({ kind: 'leave' as const }, { kind: 'tick' as const }, { kind: 'start' as const }),
  ),
})

describe('a third party that never asked for anything', () => {
  const victim = { address: '10.9.9.9', port: 53 }
  const bytesOfVictim = Uint8Array.of(10, 9, 9, 9)

  /** The same message, with the victim wherever it names a place. */
  function about(m: Message): Message {
    const { port: at } = victim
    if (m.kind === 'alive') return { ...m, address: bytesOfVictim, port: at }
    const asker = { address: bytesOfVictim, port: at, node: 'm9' }
    if (m.kind === 'ping') return { ...m, node: '', source: asker }
    return m.kind === 'indirect-ping' ? { ...m, target: bytesOfVictim, port: at, source: asker } : m
  }

  /** Bytes on the wire to the victim, with what IP and UDP or TCP add. */
  function bytesTo(machine: Machine): number {
    let sum = 0
    for (const { effect } of machine.effects) {
      if (!('to' in effect) || effect.to.address !== victim.address) continue
      if (effect.kind === 'send-packet') sum += 28 + sizeOfPacket(effect.messages)
      else sum += 300
    }
    return sum
  }

  test('gets nothing for 254 pings in one packet that name it, and one ack for what comes in its name', () => {
    const machine = new Machine({ keyed: false }).withMembers(3)
    const ping = about({ kind: 'ping', seqNo: 1, node: 'm1' })
    machine.packet(2, ...Array.from({ length: 254 }, () => ping))
    machine.run(5000)
    expect(bytesTo(machine)).toBe(0)
    machine.handle({
      kind: 'packet-received',
      from: victim,
      sizeBytes: 60,
      messages: Array.from({ length: 254 }, () => ping),
    })
    expect(machine.of('send-packet').filter(({ to }) => to.address === victim.address)).toHaveLength(1)
    expect(bytesTo(machine)).toBeLessThanOrEqual(88)
  })

  test('gets no more than it sent and a few probes, whatever message names it', () => {
    const packet = fc.record({
      waitMs: fc.integer({ min: 0, max: 1000 }),
      spoofed: fc.boolean(),
      messages: fc.array(message.map(about), { minLength: 1, maxLength: 20 }),
    })
    fc.assert(
      fc.property(fc.array(packet, { minLength: 5, maxLength: 60 }), (packets) => {
        const machine = new Machine({ keyed: false }).withMembers(5)
        machine.run(10_000)
        let sentBytes = 0
        const startedMs = machine.nowMs
        for (const { waitMs, spoofed, messages } of packets) {
          machine.run(waitMs)
          const sizeBytes = Math.min(1400, sizeOfPacket(messages))
          if (spoofed) sentBytes += sizeBytes + 28
          const sender = spoofed ? victim : endpointOf(2)
          machine.handle({ kind: 'packet-received', from: sender, sizeBytes, messages })
        }
        machine.run(10_000)
        const seconds = (machine.nowMs - startedMs) / 1000
        // Twice 8 KiB at once and 2 KiB a second, for probes of our own and for others, and the probe rounds.
        expect(bytesTo(machine)).toBeLessThanOrEqual(sentBytes + 2 * 8192 + seconds * (2 * 2048 + 1000))
      }),
      { numRuns: 60 },
    )
  })
})

describe('invented members, in a ring without keys', () => {
  const invented = (i: number) => ({
    name: `invented-${i}`,
    // Nobody answers there.
    address: Uint8Array.of(10, 1 + (i >> 12), (i >> 5) & 127, 100 + (i & 31)),
    port: 7946,
    meta: new Uint8Array(400),
    incarnation: 1,
    state: 0,
    vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
  })
  const flood = (machine: Machine, first: number, count: number) => {
    const nodes = Array.from({ length: count }, (_, i) => invented(first + i))
    machine.handle({
      kind: 'push-pull-received',
      stream: first,
      from: { address: '10.7.7.7', port: 1 },
      state: { join: true, nodes, userState: new Uint8Array(0) },
    })
  }

  test('are on no list, whoever says them, are not told on, and keep nobody from joining', () => {
    const machine = new Machine({ keyed: false, maxMembers: 2000 }).withMembers(3)
    machine.run(2000)
    const known = machine.protocol.members().length
    for (let i = 0; i < 20; i++) {
      flood(machine, i * 1000, 1000)
      for (let n = 0; n < 50; n++)
        machine.packet(2, alive(2, 1, { node: `other-${i}-${n}`, address: invented(n).address }))
      machine.run(500)
    }
    expect(machine.protocol.members()).toHaveLength(known)
    expect(machine.sent('alive').filter(({ message: { node } }) => /^(invented|other)/.test(node))).toEqual(
      [],
    )
    // One that is there joins in the midst of it.
    machine.answering.add(9)
    const nodes = [...Array.from({ length: 1000 }, (_, i) => invented(i)), { ...invented(0), name: 'm9' }]
    nodes[1000]!.address = Uint8Array.of(10, 0, 0, 9)
    machine.handle({
      kind: 'push-pull-received',
      stream: 1,
      from: endpointOf(9),
      state: { join: true, nodes, userState: new Uint8Array(0) },
    })
    machine.run(10)
    expect(machine.state(9)).toBe('alive')
  })

  test('so many that some are left out have a state fetched soon, and again only after a while', () => {
    const machine = new Machine({ keyed: false, pushPullIntervalMs: 3_600_000 }).withMembers(3)
    machine.run(5000)
    machine.clear()
    flood(machine, 0, 1000)
    machine.run(20_000)
    expect(machine.of('start-push-pull')).toEqual([])
    flood(machine, 1000, 2000)
    machine.run(4900)
    expect(machine.of('start-push-pull')).toEqual([])
    for (let i = 0; i < 10; i++) flood(machine, 3000 + i * 2000, 2000)
    machine.run(10_200)
    expect(machine.of('start-push-pull')).toHaveLength(1)
  })
})

describe('whatever comes', () => {
  test('the machine throws nothing, keeps its bounds and goes on', () => {
    const settings = { maxMembers: 6, maxQueued: 10, maxRelays: 3, clusterName: 'blue' }
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, named) => {
        const { clusterName: ours, ...rest } = settings
        const machine = new Machine({ ...rest, ...(named ? { clusterName: ours } : {}) })
        for (const { waitMs, event } of steps) {
          machine.run(waitMs)
          machine.handle(event)
          const { protocol } = machine
          expect(protocol.members().length).toBeLessThanOrEqual(settings.maxMembers)
          expect(protocol.queuedCount).toBeLessThanOrEqual(settings.maxQueued)
          expect(protocol.nextDueMs).toBeGreaterThan(machine.nowMs)
          expect(protocol.nextDueMs).toBeLessThan(Infinity)
          expect(protocol.healthScore).toBeLessThan(8)
          const self = protocol.member('m1')
          expect(self?.endpoint).toEqual(endpointOf(1))
          expect(['alive', 'left']).toContain(self?.state)
          for (const { incarnation, meta } of protocol.members()) {
            expect(incarnation).toBeLessThan(2 ** 31)
            expect(meta.length).toBeLessThanOrEqual(512)
          }
        }
        for (const { messages } of machine.of('send-packet')) {
          const sizeBytes = messages.reduce((sum, m) => sum + 2 + estimateSize(m), 2)
          // Acks echo nothing of the peer's, so that nothing of theirs makes a packet too large but a long name.
          expect(sizeBytes).toBeLessThanOrEqual(1400)
          expect(messages.length).toBeGreaterThan(0)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('a flood of strangers costs no more than the table holds', () => {
    const machine = new Machine({ maxMembers: 100, maxQueued: 50 })
    for (let i = 0; i < 5000; i++) {
      machine.packet(2, alive(2, 1, { node: `stranger-${i}` }))
      if (i % 2 === 0) machine.packet(2, { kind: 'dead', incarnation: 1, node: `stranger-${i}`, from: 'x' })
    }
    expect(machine.protocol.members()).toHaveLength(100)
    expect(machine.protocol.queuedCount).toBe(50)
    expect(machine.of('log').length).toBeLessThan(10)
  })

  test('forged confirmations by names that nobody knows shorten nothing', () => {
    const machine = new Machine({ checkSuspects: false }).withMembers(8)
    for (let i = 0; i < 100; i++) {
      machine.packet(3, { kind: 'suspect', incarnation: 1, node: 'm2', from: i === 0 ? 'm3' : `forged-${i}` })
    }
    machine.run(20_000)
    expect(machine.state(2)).toBe('suspect')
  })

  test('a state of thousands of members is taken in slices, and in a moment', () => {
    const machine = new Machine()
    const nodes = Array.from({ length: 10_000 }, (_, i) => ({
      name: `node-${i}`,
      address: Uint8Array.of(10, 1, i >> 8, i & 255),
      port: 7946,
      meta: new Uint8Array(0),
      incarnation: 1,
      state: 0,
      vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
    }))
    // Time on the processor: how busy the machine is does not matter.
    const before = process.threadCpuUsage()
    machine.handle({
      kind: 'push-pull-received',
      stream: 1,
      from: endpointOf(2),
      state: { join: false, nodes, userState: new Uint8Array(0) },
    })
    // Look-ups on the same thread need not wait for all of it.
    expect(machine.protocol.livingCount).toBeLessThan(1000)
    machine.run(30)
    expect(machine.protocol.livingCount).toBe(10_001)
    expect(machine.protocol.queuedCount).toBe(8192)
    const { user, system } = process.threadCpuUsage(before)
    expect((user + system) / 1000).toBeLessThan(2000)
  })
})

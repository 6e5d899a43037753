import { describe, expect, test } from 'vitest'
import { alive, dead, endpointOf, Machine, suspect } from './machine.ts'

const own = (machine: Machine) => machine.protocol.member('m1')!
const ownAlives = (machine: Machine) => machine.sent('alive').filter(({ message }) => message.node === 'm1')

describe('starting', () => {
  test('nothing happens before the start event; then this member is alive and says so', () => {
    const machine = new Machine()
    expect(machine.changes()).toEqual(['m1 joined'])
    expect(own(machine)).toMatchObject({ state: 'alive', incarnation: 1 })
    machine.packet(2, alive(2))
    machine.run(300)
    expect(ownAlives(machine).map(({ to }) => to)).toContain(2)
  })
})

describe('refutation', () => {
  test('counts once for each life that others held it for dead, also behind a suspicion that was refuted', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(2, suspect(1, 1, 'm2'))
    expect(machine.protocol.counters.heldDead).toBe(0)
    machine.packet(2, dead(1, 1, 'm2'))
    machine.packet(3, dead(1, 1, 'm3'))
    expect(machine.protocol.counters.heldDead).toBe(1)
    machine.packet(2, dead(1, 5, 'm1'))
    expect(machine.protocol.counters.heldDead).toBe(1)
  })

  test.each([
    ['suspected', suspect(1, 1, 'm2'), 2],
    ['declared dead', dead(1, 1, 'm2'), 2],
    ['declared dead in a later life', dead(1, 6, 'm2'), 7],
    ['said to have left in an earlier life', dead(1, 6, 'm1'), 7],
    ['said to live in a later life', alive(1, 6), 7],
    ['said to live with other metadata', alive(1, 1), 2],
  ])('%s, this member answers with a higher incarnation', (_, message, incarnation) => {
    const machine = new Machine().withMembers(3)
    machine.packet(2, message)
    expect(own(machine)).toMatchObject({ state: 'alive', incarnation })
    machine.run(100)
    expect(ownAlives(machine).every(({ message: word }) => word.incarnation === incarnation)).toBe(true)
    expect(ownAlives(machine).length).toBeGreaterThan(0)
    expect(machine.protocol.counters.refutations).toBe(1)
    expect(machine.protocol.healthScore).toBe(1)
  })

  test.each([
    ['an old suspect message', suspect(1, 0, 'm2')],
    ['its own message', alive(1, 1, { meta: Uint8Array.of(1) })],
    ['its own message of an earlier life', alive(1, 0)],
  ])('%s needs no answer', (_, message) => {
    const machine = new Machine().withMembers(3)
    machine.packet(2, message)
    expect(own(machine).incarnation).toBe(1)
  })

  test('the ack to a ping that came with a suspect message carries the answer', () => {
    const machine = new Machine().withMembers(3)
    machine.run(5000)
    machine.clear()
    machine.packet(2, { kind: 'ping', seqNo: 9, node: 'm1' }, suspect(1, 1, 'm2'))
    expect(machine.of('send-packet')[0]?.messages).toMatchObject([
      { kind: 'ack', seqNo: 9 },
      { kind: 'alive', node: 'm1', incarnation: 2 },
    ])
  })

  test('and carries it again for who has missed it', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(2, suspect(1, 1, 'm2'))
    machine.run(10_000)
    machine.clear()
    machine.packet(2, { kind: 'ping', seqNo: 9, node: 'm1' }, suspect(1, 1, 'm2'))
    expect(machine.of('send-packet')[0]?.messages).toMatchObject([
      { kind: 'ack', seqNo: 9 },
      { kind: 'alive', node: 'm1', incarnation: 2 },
    ])
    expect(own(machine).incarnation).toBe(2)
  })

  test.each([2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 21 + 2])(
    'a suspect message in incarnation %i cannot drive ours to its end',
    (incarnation) => {
      const machine = new Machine().withMembers(3)
      machine.packet(2, suspect(1, incarnation, 'm2'), dead(1, incarnation, 'm2'), alive(1, incarnation))
      expect(own(machine)).toMatchObject({ state: 'alive', incarnation: 1 })
      expect(machine.protocol.counters.refused['incarnation-out-of-range']).toBe(3)
    },
  )

  test('another process of our name is told of, and not outbid without end', () => {
    const machine = new Machine().withMembers(3)
    const startedMs = machine.nowMs
    for (let i = 0; i < 600; i++) {
      machine.packet(2, alive(1, own(machine).incarnation + 1, { address: alive(9).address }))
      machine.run(1000)
    }
    expect(machine.nowMs - startedMs).toBe(600_000)
    expect(machine.of('conflict-found').length).toBeGreaterThan(3)
    expect(own(machine).incarnation).toBeLessThan(60)
    expect(own(machine).endpoint).toEqual(endpointOf(1))
  })
})

/** Makes `m<n>` known at a port of its host, and has it answer a probe there. */
function answeredFrom(machine: Machine, n: number, port: number): void {
  machine.packet(n, alive(n, 1, { port }))
  machine.runUntil(
    'send-packet',
    ({ messages }) => messages[0]?.kind === 'ping' && messages[0].node === `m${n}`,
  )
  const { message } = machine.sent('ping').at(-1)!
  machine.packetFrom(
    { ...endpointOf(n), port },
    { kind: 'ack', seqNo: message.seqNo, payload: new Uint8Array(0) },
  )
  machine.clear()
}

describe('answers', () => {
  test('a ping for us is acked: where it says if a member answered there before, else where it came from', () => {
    const machine = new Machine({}, { ackPayload: () => Uint8Array.of(5) })
    answeredFrom(machine, 8, 9999)
    machine.packet(7, { kind: 'ping', seqNo: 1, node: 'm1' })
    const source = { address: alive(8).address, port: 9999, node: 'm8' }
    machine.packet(7, { kind: 'ping', seqNo: 2, node: 'm1', source })
    machine.packet(7, { kind: 'ping', seqNo: 3, node: '' })
    machine.packet(7, { kind: 'ping', seqNo: 4, node: 'm1', source: { ...source, port: 9998 } })
    machine.packet(7, { kind: 'ping', seqNo: 5, node: 'm1', source: { ...source, node: 'm9' } })
    expect(machine.sent('ack')).toMatchObject([
      { to: 7, message: { seqNo: 1, payload: Uint8Array.of(5) } },
      { to: 8, message: { seqNo: 2 } },
      { to: 7, message: { seqNo: 3 } },
      { to: 7, message: { seqNo: 4 } },
      { to: 7, message: { seqNo: 5 } },
    ])
    expect(machine.of('send-packet')[1]?.to.port).toBe(9999)
  })

  test('an ack to somebody who says that he is elsewhere carries nothing else', () => {
    const machine = new Machine()
    answeredFrom(machine, 2, 7946)
    machine.packet(2, alive(3))
    machine.clear()
    const ping = (n: number) => ({ kind: 'ping' as const, seqNo: n, node: 'm1' })
    machine.packet(7, { ...ping(1), source: { address: alive(8).address, port: 7946, node: 'm8' } })
    machine.packet(7, { ...ping(2), source: { address: alive(2).address, port: 7946, node: 'm2' } })
    machine.packet(7, ping(3))
    expect(machine.of('send-packet').map(({ messages }) => messages.length > 1)).toEqual([false, true, true])
  })

  test('a ping for another is not', () => {
    const machine = new Machine()
    machine.packet(7, { kind: 'ping', seqNo: 1, node: 'm2' })
    machine.handle({ kind: 'stream-ping-received', stream: 4, ping: { kind: 'ping', seqNo: 1, node: 'm2' } })
    expect(machine.sent('ack')).toEqual([])
    expect(machine.of('refuse-stream')).toEqual([{ kind: 'refuse-stream', stream: 4, reason: 'not-for-us' }])
    expect(machine.protocol.counters.refused['not-for-us']).toBe(2)
  })

  test('a ping on a stream is acked there', () => {
    const machine = new Machine()
    machine.handle({ kind: 'stream-ping-received', stream: 4, ping: { kind: 'ping', seqNo: 77, node: 'm1' } })
    expect(machine.of('answer-stream-ping')).toMatchObject([{ stream: 4, ack: { seqNo: 77 } }])
  })

  test('a member that we hold for dead is told so when it pings us', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(3, dead(2, 4, 'm3'))
    machine.clear()
    const source = { address: alive(2).address, port: 7946, node: 'm2' }
    machine.packet(2, { kind: 'ping', seqNo: 1, node: 'm1', source })
    expect(machine.of('send-packet')[0]?.messages[1]).toMatchObject({
      kind: 'dead',
      node: 'm2',
      incarnation: 4,
    })
  })
})

describe('relaying', () => {
  const ask = (over = {}) => ({
    kind: 'indirect-ping' as const,
    seqNo: 50,
    target: alive(3).address,
    port: 7946,
    node: 'm3',
    nack: true,
    ...over,
  })

  test('an ack is passed on under the number of the asker', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.clear()
    machine.packet(2, ask())
    const [ping] = machine.sent('ping')
    expect(ping).toMatchObject({ to: 3, message: { node: 'm3' } })
    expect(ping?.message.seqNo).not.toBe(50)
    machine.packet(3, { kind: 'ack', seqNo: ping!.message.seqNo, payload: Uint8Array.of(1) })
    expect(machine.sent('ack')).toMatchObject([{ to: 2, message: { seqNo: 50, payload: Uint8Array.of(1) } }])
    machine.run(1000)
    expect(machine.sent('nack')).toEqual([])
  })

  test('silence is told after 0.8 of the timeout, if wanted; a late ack is still passed on', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.clear()
    const startedMs = machine.nowMs
    machine.packet(2, ask(), ask({ seqNo: 51, nack: false }))
    const [ping] = machine.sent('ping')
    machine.run(700)
    expect(
      machine.sent('nack').map(({ atMs, message, to }) => [Math.round(atMs - startedMs), message.seqNo, to]),
    ).toEqual([[400, 50, 2]])
    machine.packet(3, { kind: 'ack', seqNo: ping!.message.seqNo, payload: new Uint8Array(0) })
    expect(machine.sent('ack')).toHaveLength(1)
  })

  test('there is a limit, and what cannot be reached is refused', () => {
    const machine = new Machine({ maxRelays: 3 }).withMembers(3)
    machine.answering.clear()
    for (let i = 0; i < 5; i++) machine.packet(2, ask({ seqNo: i }))
    expect(machine.sent('ping')).toHaveLength(3)
    expect(machine.protocol.counters.refused.overloaded).toBe(2)
    machine.packet(2, ask({ target: new Uint8Array(4) }))
    machine.packet(2, ask({ port: 0 }))
    expect(machine.protocol.counters.refused.malformed).toBe(2)
    machine.run(1100)
    machine.clear()
    machine.packet(2, ask())
    expect(machine.sent('ping').some(({ to }) => to === 3)).toBe(true)
  })
})

describe('metadata', () => {
  test('an update raises the incarnation and is told', () => {
    const machine = new Machine().withMembers(3)
    machine.handle({ kind: 'update-metadata', meta: Uint8Array.of(9) })
    expect(own(machine)).toMatchObject({ incarnation: 2, meta: Uint8Array.of(9) })
    expect(machine.changes()).toEqual(['m1 updated'])
    machine.run(100)
    expect(ownAlives(machine)[0]?.message).toMatchObject({ incarnation: 2, meta: Uint8Array.of(9) })
  })

  test('more than 512 bytes are not taken', () => {
    const machine = new Machine()
    machine.handle({ kind: 'update-metadata', meta: new Uint8Array(513) })
    expect(own(machine)).toMatchObject({ incarnation: 1, meta: Uint8Array.of(1) })
  })
})

describe('user messages', () => {
  test('come out, and go out until they were sent often enough', () => {
    const machine = new Machine().withMembers(5)
    machine.packet(2, { kind: 'user', payload: Uint8Array.of(4) })
    expect(machine.of('user-message')).toEqual([{ kind: 'user-message', payload: Uint8Array.of(4) }])
    machine.handle({ kind: 'broadcast', id: 1, payload: Uint8Array.of(1), topic: 't' })
    machine.handle({ kind: 'broadcast', id: 2, payload: Uint8Array.of(2), topic: 't' })
    machine.handle({ kind: 'broadcast', id: 3, payload: new Uint8Array(1400) })
    machine.run(5000)
    expect(machine.of('broadcast-finished').map(({ id, outcome }) => [id, outcome])).toEqual([
      [1, 'replaced'],
      [3, 'dropped'],
      [2, 'sent'],
    ])
    // Five times at the least, and to three at a time.
    expect(machine.sent('user').map(({ message }) => message.payload[0])).toEqual([2, 2, 2, 2, 2, 2])
  })

  test('of the delegate fill the room that is left', () => {
    const asked: number[] = []
    const machine = new Machine(
      {},
      {
        userBroadcasts: (overheadBytes, limitBytes) => {
          asked.push(limitBytes)
          expect(overheadBytes).toBe(3)
          return [Uint8Array.of(1), new Uint8Array(limitBytes)]
        },
      },
    ).withMembers(2)
    machine.packet(2, { kind: 'ping', seqNo: 1, node: 'm1' })
    const { messages } = machine.of('send-packet').at(-1)!
    // The second one does not fit any more.
    expect(messages.filter(({ kind }) => kind === 'user')).toEqual([
      { kind: 'user', payload: Uint8Array.of(1) },
    ])
    expect(Math.max(...asked)).toBeLessThan(1400)
  })
})

describe('leaving', () => {
  test('tells some members until three have acked, and ends once', () => {
    const machine = new Machine().withMembers(6)
    machine.answering.clear()
    machine.handle({ kind: 'leave' })
    expect(own(machine).state).toBe('left')
    machine.run(450)
    const told = machine
      .of('send-packet')
      .filter(({ messages }) => messages[0]?.kind === 'ping' && messages[1]?.kind === 'dead')
    expect(told).toHaveLength(9)
    expect(told[0]?.messages[1]).toMatchObject({ node: 'm1', from: 'm1', incarnation: 1 })
    for (const n of [2, 3, 4, 5, 6]) machine.answering.add(n)
    machine.run(250)
    expect(machine.of('left')).toEqual([{ kind: 'left', acknowledgedBy: 3, others: 5 }])
    machine.handle({ kind: 'leave' })
    machine.run(10_000)
    expect(machine.of('left')).toHaveLength(1)
    expect(machine.changes()).toEqual(['m1 left'])
  })

  test('has an end when nobody answers', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.clear()
    machine.handle({ kind: 'leave' })
    machine.run(5300)
    expect(machine.of('left')).toEqual([{ kind: 'left', acknowledgedBy: 0, others: 2 }])
  })

  test('being called dead is then nothing to refute, and new metadata is not told', () => {
    const machine = new Machine().withMembers(3)
    machine.handle({ kind: 'leave' })
    machine.packet(2, dead(1, 1, 'm2'), suspect(1, 4, 'm2'), alive(1, 9))
    machine.handle({ kind: 'update-metadata', meta: Uint8Array.of(9) })
    expect(own(machine)).toMatchObject({ state: 'left', incarnation: 1 })
    machine.packet(2, alive(7))
    expect(machine.state(7)).toBe('alive')
  })
})

describe('what no packet can hold', () => {
  const budget = { packetBudgetBytes: 200 }
  const large = (n: number, incarnation = 1) => alive(n, incarnation, { meta: new Uint8Array(180) })

  test('of others keeps nobody from being told the rest, and is counted', () => {
    const machine = new Machine(budget).withMembers(3)
    for (let n = 10; n < 30; n++) machine.packet(2, large(n))
    machine.run(1000)
    machine.clear()
    machine.packet(2, alive(40))
    machine.run(500)
    expect(machine.sent('alive').map(({ message }) => message.node)).toContain('m40')
    expect(machine.sent('alive').every(({ message }) => message.meta.length < 180)).toBe(true)
    expect(machine.protocol.counters).toMatchObject({ oversized: 20, dropped: 0 })
    // It is known all the same, and goes out whole in push/pulls.
    expect(machine.state(10)).toBe('alive')
  })

  test('takes the older word on the same member out of the queue', () => {
    const machine = new Machine(budget)
    machine.packet(2, alive(2))
    machine.packet(2, large(2, 2))
    expect(machine.protocol.queuedCount).toBe(1)
    machine.run(1000)
    expect(machine.sent('alive').filter(({ message }) => message.node === 'm2')).toEqual([])
  })

  test('of ourselves is warned of, at the start and at new metadata', () => {
    const machine = new Machine(budget)
    expect(machine.of('log').filter(({ level }) => level === 'warn')).toEqual([])
    machine.handle({ kind: 'update-metadata', meta: new Uint8Array(180) })
    expect(machine.of('log').filter(({ level }) => level === 'warn')).toMatchObject([
      { fields: { event: 'self.oversized', limit: 198 } },
    ])
  })
})

test('who is forgotten is not gossiped about any more', () => {
  const machine = new Machine({ deadKeptMs: 1000, retransmitMult: 1000 })
  for (let n = 2; n < 30; n++) machine.packet(2, alive(n))
  for (let n = 3; n < 30; n++) machine.packet(2, dead(n))
  machine.answering.add(2)
  machine.run(900)
  expect(machine.protocol.queuedCount).toBeGreaterThan(27)
  machine.run(5000)
  expect(machine.protocol.members()).toHaveLength(2)
  expect(machine.protocol.queuedCount).toBeLessThan(4)
})

import { describe, expect, test } from 'vitest'
import { alive, dead, endpointOf, Machine, suspect } from './machine.ts'

const own = (machine: Machine) => machine.protocol.member('m1')!
const ownAlives = (machine: Machine) => machine.sent('alive').filter(({ message }) => message.node === 'm1')

describe('refutation', () => {
  test.each([
    ['suspected', suspect(1, 1, 'm2')],
    ['declared dead', dead(1, 1, 'm2')],
    ['said to live with other metadata', alive(1, 1)],
  ])('%s, this member answers with a higher incarnation', (_, message) => {
    const machine = new Machine().withMembers(3)
    machine.packet(2, message)
    expect(own(machine)).toMatchObject({ state: 'alive', incarnation: 2 })
    machine.run(100)
    expect(ownAlives(machine).every(({ message: word }) => word.incarnation === 2)).toBe(true)
    expect(ownAlives(machine).length).toBeGreaterThan(0)
    expect(machine.protocol.counters.refutations).toBe(1)
    expect(machine.protocol.healthScore).toBe(1)
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

  test.each([2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 21 + 2])(
    'a suspect message in incarnation %i cannot drive ours to its end',
    (incarnation) => {
      const machine = new Machine().withMembers(3)
      machine.packet(2, suspect(1, incarnation, 'm2'), dead(1, incarnation, 'm2'), alive(1, incarnation))
      expect(own(machine)).toMatchObject({ state: 'alive', incarnation: 1 })
      expect(machine.protocol.counters.refused['incarnation-out-of-range']).toBe(3)
    },
  )
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

  test('a ping on a stream is acked there', () => {
    const machine = new Machine()
    machine.handle({ kind: 'stream-ping-received', stream: 4, ping: { kind: 'ping', seqNo: 77, node: 'm1' } })
    expect(machine.of('answer-stream-ping')).toMatchObject([{ stream: 4, ack: { seqNo: 77 } }])
  })
})

describe('relaying', () => {
  test('an ack is passed on under the number of the asker', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.clear()
    const target = alive(3).address
    machine.packet(2, { kind: 'indirect-ping', seqNo: 50, target, port: 7946, node: 'm3', nack: true })
    const [ping] = machine.sent('ping')
    expect(ping).toMatchObject({ to: 3, message: { node: 'm3' } })
    expect(ping?.message.seqNo).not.toBe(50)
    machine.packet(3, { kind: 'ack', seqNo: ping!.message.seqNo, payload: Uint8Array.of(1) })
    expect(machine.sent('ack')).toMatchObject([{ to: 2, message: { seqNo: 50, payload: Uint8Array.of(1) } }])
    machine.run(1000)
    expect(machine.sent('nack')).toEqual([])
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
})

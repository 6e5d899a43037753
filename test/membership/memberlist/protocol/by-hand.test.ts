import { describe, expect, test } from 'vitest'
import { alive, dead, endpointOf, Machine, node } from './machine.ts'

const MINUTE_MS = 60_000

describe('a member that an operator evicts', () => {
  test('is dead whatever it says, until the time is over, and then it is taken again', () => {
    const machine = new Machine().withMembers(3)
    machine.handle({ kind: 'evict', name: 'm3', forMs: MINUTE_MS })
    expect(machine.state(3)).toBe('dead')
    machine.run(1000)
    machine.packet(3, alive(3, 2))
    expect(machine.protocol.evicted()).toEqual([{ name: 'm3', forMs: MINUTE_MS - 1000 }])
    machine.handle({
      kind: 'push-pull-received',
      stream: 1,
      from: endpointOf(2),
      state: { join: false, nodes: [node(2), node(3, 3)], userState: new Uint8Array(0) },
    })
    expect(machine.state(3)).toBe('dead')
    expect(machine.protocol.counters.refused.evicted).toBe(2)
    machine.run(MINUTE_MS - 1000)
    machine.packet(2, alive(3, 4))
    expect(machine.protocol.evicted()).toEqual([])
    expect(machine.state(3)).toBe('alive')
  })

  test('asks at once for a state when it was alone and is sent one, and so hears that it is evicted', () => {
    const machine = new Machine()
    const join = { kind: 'push-pull-received', stream: 1, from: endpointOf(2) } as const
    machine.handle({ ...join, state: { join: true, nodes: [node(2)], userState: new Uint8Array(0) } })
    machine.run(1)
    const asked = machine.of('start-push-pull')
    expect(asked).toMatchObject([{ to: endpointOf(2), state: { join: false } }])
    const state = { join: false, nodes: [node(2)], userState: new Uint8Array(0) }
    const evicted = [{ name: 'm1', forMs: MINUTE_MS }]
    machine.handle({ kind: 'push-pull-answered', exchange: asked[0]!.exchange, state: { ...state, evicted } })
    expect(machine.protocol.isEvicted(machine.nowMs)).toBe(true)
    machine.run(MINUTE_MS - 1)
    expect(machine.protocol.isEvicted(machine.nowMs)).toBe(true)
    machine.run(1)
    expect(machine.protocol.isEvicted(machine.nowMs)).toBe(false)
  })

  test('keeps its random rounds when it asks so, or all that start together would ask together ever after', () => {
    const machine = new Machine({}, {}, () => 0.5)
    const join = { kind: 'push-pull-received', stream: 1, from: endpointOf(2) } as const
    machine.handle({ ...join, state: { join: true, nodes: [node(2)], userState: new Uint8Array(0) } })
    machine.answering.add(2)
    machine.run(MINUTE_MS)
    expect(machine.times('start-push-pull')).toEqual([1000, 16_000, 46_000])
  })

  test('is told of nobody, and is not looked for where another member said that it is evicted', () => {
    const machine = new Machine().withMembers(4)
    machine.handle({ kind: 'join', seeds: [endpointOf(9)] })
    const { exchange } = machine.of('start-push-pull').at(-1)!
    machine.handle({ kind: 'evict', name: 'm4', forMs: 2 * MINUTE_MS })
    machine.handle({
      kind: 'push-pull-answered',
      exchange,
      state: {
        join: false,
        nodes: [node(9)],
        userState: new Uint8Array(0),
        evicted: [{ name: 'm3', forMs: 2 * MINUTE_MS }],
      },
    })
    expect([machine.state(3), machine.state(4)]).toEqual(['dead', 'dead'])
    machine.clear()
    machine.run(MINUTE_MS)
    expect(
      machine.of('send-packet').filter(({ to }) => ['10.0.0.3', '10.0.0.4'].includes(to.address)),
    ).toEqual([])
  })

  test('is not looked for, and is told when it asks for the state to join', () => {
    const machine = new Machine({ deadKeptMs: 1000 }).withMembers(3)
    machine.handle({ kind: 'evict', name: 'm3', forMs: MINUTE_MS })
    machine.run(10_000)
    machine.clear()
    machine.run(30_000)
    expect(machine.sent('ping').filter(({ to }) => to === 3)).toEqual([])
    machine.handle({
      kind: 'push-pull-received',
      stream: 7,
      from: endpointOf(3),
      state: { join: true, nodes: [node(3, 9)], userState: new Uint8Array(0) },
    })
    expect(machine.of('refuse-stream')).toEqual([{ kind: 'refuse-stream', stream: 7, reason: 'evicted' }])
  })
})

test('a member that somebody knows to be gone is dead at once, and the others are told', () => {
  const machine = new Machine().withMembers(3)
  machine.handle({ kind: 'declare-dead', name: 'm2', address: endpointOf(2).address })
  expect(machine.protocol.member('m2')).toMatchObject({ state: 'dead', incarnation: 1 })
  machine.run(1000)
  const words = machine.sent('dead')
  expect(words.map(({ message }) => message)).toContainEqual({
    kind: 'dead',
    incarnation: 1,
    node: 'm2',
    from: 'm1',
  })
  // The member itself hears of it as well, so that it can refute it.
  expect(new Set(words.map(({ to }) => to))).toEqual(new Set([2, 3]))
})

test('a dead member is forgotten by hand, a living one and this one are not', () => {
  const machine = new Machine().withMembers(3)
  machine.handle({ kind: 'forget', name: 'm2' })
  machine.handle({ kind: 'forget', name: 'm1' })
  expect([machine.state(1), machine.state(2)]).toEqual(['alive', 'alive'])
  machine.answering.delete(3)
  machine.packet(2, dead(3, 1))
  machine.handle({ kind: 'forget', name: 'm3' })
  expect(machine.state(3)).toBeUndefined()
  machine.clear()
  machine.run(MINUTE_MS)
  expect(machine.sent('ping').filter(({ to }) => to === 3)).toEqual([])
})

test('a member is asked over UDP and TCP, and both are told of', () => {
  const machine = new Machine().withMembers(3)
  machine.answering.delete(3)
  machine.handle({ kind: 'check-reach', id: 1, name: 'm2' })
  machine.handle({ kind: 'check-reach', id: 2, name: 'm3' })
  machine.handle({ kind: 'check-reach', id: 3, name: 'nobody' })
  const [toTwo, toThree] = machine.of('start-stream-probe')
  machine.handle({ kind: 'stream-probe-finished', probe: toTwo!.probe, outcome: 'refused' })
  machine.handle({ kind: 'stream-probe-finished', probe: toThree!.probe, outcome: 'acked' })
  machine.run(5000)
  expect(machine.of('reach-checked').sort((a, b) => a.id - b.id)).toEqual([
    { kind: 'reach-checked', id: 1, udp: true, tcp: false },
    { kind: 'reach-checked', id: 2, udp: false, tcp: true },
    { kind: 'reach-checked', id: 3, udp: false, tcp: false },
  ])
})

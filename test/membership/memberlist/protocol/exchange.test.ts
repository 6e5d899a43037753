import { describe, expect, test } from 'vitest'
import { alive, dead, endpointOf, Machine, node } from './machine.ts'

const own = (machine: Machine) => machine.protocol.member('m1')!
const ownAlives = (machine: Machine) => machine.sent('alive').filter(({ message }) => message.node === 'm1')

describe('push/pull', () => {
  const state = (...nodes: ReturnType<typeof node>[]) => ({
    join: false,
    nodes,
    userState: new Uint8Array(0),
  })

  test('goes to a random member at intervals', () => {
    const machine = new Machine().withMembers(3)
    machine.run(95_000)
    const started = machine.of('start-push-pull')
    expect(started).toHaveLength(3)
    expect(started[0]!.state.nodes.map(({ name }) => name).toSorted()).toEqual(['m1', 'm2', 'm3'])
    expect(started[0]).toMatchObject({ timeoutMs: 10_000, state: { join: false } })
  })

  test('of a peer is answered with our state as it was, then merged', () => {
    const machine = new Machine().withMembers(2)
    const nodes = [node(2, 3), node(3), node(4, 1, 1), node(5, 1, 2), node(6, 1, 3)]
    const userState = Uint8Array.of(1)
    machine.handle({
      kind: 'push-pull-received',
      stream: 8,
      from: endpointOf(2),
      state: { ...state(...nodes), userState, join: true },
    })
    const [answer] = machine.of('answer-push-pull')
    expect(answer).toMatchObject({ stream: 8, state: { join: false } })
    expect(answer!.state.nodes.map(({ name }) => name)).toEqual(['m1', 'm2'])
    expect(machine.protocol.member('m2')?.incarnation).toBe(3)
    expect([3, 4, 5, 6].map((n) => machine.state(n))).toEqual(['alive', 'suspect', undefined, undefined])
    expect(machine.of('remote-state')).toEqual([{ kind: 'remote-state', payload: userState, join: true }])
  })

  test('what the peer holds for dead is suspected; what left has left', () => {
    const machine = new Machine().withMembers(4)
    machine.handle({
      kind: 'push-pull-received',
      stream: 8,
      from: endpointOf(2),
      state: state(node(3, 1, 2), node(4, 1, 3)),
    })
    expect([machine.state(3), machine.state(4)]).toEqual(['suspect', 'left'])
  })

  test('in which a peer holds us for dead is answered at once with our alive message', () => {
    const machine = new Machine()
    machine.handle({ kind: 'join', seeds: [endpointOf(2)] })
    const [started] = machine.of('start-push-pull')
    machine.clear()
    machine.handle({
      kind: 'push-pull-answered',
      exchange: started!.exchange,
      state: state(node(2), node(1, 4, 2)),
    })
    expect(own(machine).incarnation).toBe(5)
    expect(ownAlives(machine)).toMatchObject([{ to: 2, message: { incarnation: 5 } }])
  })

  test.each([
    ['cluster-name-differs', { clusterName: 'blue' }, state(node(2)), {}],
    ['too-many-members', { maxMembers: 2 }, state(node(2), node(3), node(4)), {}],
    ['version-incompatible', {}, state({ ...node(2), vsn: Uint8Array.of(1, 5, 2, 2, 5, 5) }), {}],
    ['delegate-refused', {}, state(node(2)), { refuseMerge: () => 'not today' }],
  ] as const)('%s: the stream is refused and nothing is merged', (reason, settings, theirs, delegate) => {
    const machine = new Machine(settings, delegate)
    machine.handle({ kind: 'push-pull-received', stream: 8, from: endpointOf(2), state: theirs })
    expect(machine.of('refuse-stream')).toEqual([{ kind: 'refuse-stream', stream: 8, reason }])
    expect(machine.protocol.members()).toHaveLength(1)
    machine.handle({ kind: 'join', seeds: [endpointOf(2)] })
    const exchange = machine.of('start-push-pull')[0]!.exchange
    machine.handle({ kind: 'push-pull-answered', exchange, state: theirs })
    expect(machine.protocol.members()).toHaveLength(1)
    expect(machine.of('join-finished')).toMatchObject([
      {
        reached: [],
        failed: [{ seed: endpointOf(2), outcome: 'rejected', message: expect.stringContaining(reason) }],
      },
    ])
    expect(machine.protocol.counters.refused[reason]).toBe(2)
  })

  test('a third member that nobody understands is not taken, and keeps nobody from joining', () => {
    const machine = new Machine()
    const poison = (bytes: number[]) => ({ ...node(9), vsn: Uint8Array.from(bytes) })
    for (const bytes of [
      [5, 5, 5, 0, 0, 0],
      [1, 5, 6, 0, 0, 0],
      [1, 1, 1, 0, 0, 0],
      [1, 5, 2, 1, 0, 0],
      [1, 5, 2, 2, 5, 5],
    ]) {
      machine.packet(2, alive(9, 1, { vsn: poison(bytes).vsn }))
      const theirs = state(node(2), poison(bytes), node(3))
      machine.handle({ kind: 'push-pull-received', stream: 8, from: endpointOf(2), state: theirs })
      expect(machine.state(9)).toBeUndefined()
    }
    expect(machine.of('refuse-stream')).toEqual([])
    expect(machine.state(2)).toBe('alive')
    expect(machine.state(3)).toBe('alive')
    expect(machine.protocol.counters.refused['version-incompatible']).toBe(10)
  })

  test('delegate versions that fit are taken', () => {
    const versions = { pMin: 1, pMax: 5, pCur: 2, dMin: 2, dMax: 5, dCur: 5 }
    const machine = new Machine({ versions })
    machine.handle({
      kind: 'push-pull-received',
      stream: 8,
      from: endpointOf(2),
      state: state({ ...node(2), vsn: Uint8Array.of(1, 5, 2, 2, 5, 5) }),
    })
    expect(machine.state(2)).toBe('alive')
  })

  test('a refused connection has the member probed', () => {
    const machine = new Machine().withMembers(2)
    const { exchange } = machine.runUntil('start-push-pull')
    machine.answering.clear()
    machine.clear()
    machine.handle({ kind: 'push-pull-failed', exchange, outcome: 'refused', message: 'ECONNREFUSED' })
    expect(machine.sent('ping').map(({ to }) => to)).toEqual([2])
  })
})

describe('joining', () => {
  const answer = { join: false, nodes: [node(2), node(3)], userState: new Uint8Array(0) }

  test('contacts the seeds but not itself, and tells how it went', () => {
    const machine = new Machine()
    machine.handle({ kind: 'join', seeds: [endpointOf(1), endpointOf(2), endpointOf(4)] })
    const started = machine.of('start-push-pull')
    expect(started.map(({ to }) => to.address).toSorted()).toEqual(['10.0.0.2', '10.0.0.4'])
    expect(started.every(({ state }) => state.join)).toBe(true)
    for (const { exchange, to } of started) {
      if (to.address === '10.0.0.2') machine.handle({ kind: 'push-pull-answered', exchange, state: answer })
      else machine.handle({ kind: 'push-pull-failed', exchange, outcome: 'refused', message: 'no' })
    }
    expect(machine.of('join-finished')).toEqual([
      {
        kind: 'join-finished',
        reached: [endpointOf(2)],
        failed: [{ seed: endpointOf(4), outcome: 'refused', message: 'no' }],
      },
    ])
    expect(machine.protocol.livingCount).toBe(3)
  })

  test('no more than eight at once, and none that is known by then', () => {
    const machine = new Machine()
    const seeds = Array.from({ length: 20 }, (_, i) => endpointOf(i + 2))
    machine.handle({ kind: 'join', seeds })
    const started = machine.of('start-push-pull')
    expect(started).toHaveLength(8)
    const everybody = { ...answer, nodes: seeds.map((_, i) => node(i + 2)) }
    for (const { exchange } of started)
      machine.handle({ kind: 'push-pull-answered', exchange, state: everybody })
    expect(machine.of('start-push-pull')).toHaveLength(8)
    expect(machine.of('join-finished')[0]?.reached).toHaveLength(20)
  })

  test('without seeds it is over at once', () => {
    const machine = new Machine()
    machine.handle({ kind: 'join', seeds: [endpointOf(1)] })
    expect(machine.of('join-finished')).toEqual([{ kind: 'join-finished', reached: [], failed: [] }])
  })

  test('asked for again while it runs, it ends, and seeds are contacted again later', () => {
    const machine = new Machine()
    let refused = 0
    const refuse = () => {
      for (;;) {
        const started = machine.of('start-push-pull')[refused]
        if (started === undefined) return
        refused++
        const { exchange } = started
        machine.handle({ kind: 'push-pull-failed', exchange, outcome: 'failed', message: 'no' })
      }
    }
    // More rounds than exchanges may run at once, each begun before the one before has ended.
    for (let round = 0; round < 10; round++) {
      machine.handle({ kind: 'join', seeds: [endpointOf(2)] })
      machine.run(100)
    }
    expect(machine.of('start-push-pull')).toHaveLength(1)
    refuse()
    expect(machine.of('join-finished')).toHaveLength(1)
    machine.run(30_000)
    expect(machine.of('start-push-pull').length).toBeGreaterThan(refused)
    refuse()
    machine.handle({ kind: 'join', seeds: [endpointOf(3)] })
    expect(machine.of('start-push-pull').at(-1)?.to).toEqual(endpointOf(3))
    refuse()
    expect(machine.of('join-finished')).toHaveLength(2)
  })

  test('goes on for ever while alone, at growing intervals', () => {
    const machine = new Machine()
    machine.handle({ kind: 'join', seeds: [endpointOf(2)] })
    const tries: number[] = []
    let seen = 0
    const untilMs = machine.nowMs + 600_000
    while (machine.nowMs < untilMs) {
      const started = machine.of('start-push-pull')
      for (; seen < started.length; seen++) {
        tries.push(machine.nowMs)
        machine.handle({
          kind: 'push-pull-failed',
          exchange: started[seen]!.exchange,
          outcome: 'failed',
          message: 'no',
        })
      }
      machine.run(100)
    }
    expect(tries[1]! - tries[0]!).toBeLessThan(1700)
    const gaps = tries.slice(-20).map((atMs, i, list) => (i === 0 ? 10_000 : atMs - list[i - 1]!))
    for (const gap of gaps) {
      expect(gap).toBeGreaterThan(4900)
      expect(gap).toBeLessThan(15_200)
    }
    // Log lines about it come at a limited rate.
    expect(machine.of('log').length).toBeLessThanOrEqual(61)
  })

  test('contacts a seed that died, though others live', () => {
    const machine = new Machine({ reconnectIntervalMs: 0 }).withMembers(3)
    machine.handle({ kind: 'join', seeds: [endpointOf(2), endpointOf(3)] })
    expect(machine.of('start-push-pull')).toEqual([])
    machine.packet(3, dead(2, 1, 'm3'))
    const { to, state } = machine.runUntil('start-push-pull', ({ state: theirs }) => theirs.join, 16_000)
    expect(to).toEqual(endpointOf(2))
    expect(state.join).toBe(true)
  })
})

test('a seed is contacted whenever nobody lives there, whoever that may be', () => {
  const machine = new Machine({ reconnectIntervalMs: 0, pushPullIntervalMs: 0 }).withMembers(3)
  machine.handle({ kind: 'join', seeds: [endpointOf(2)] })
  const contacts = () => {
    machine.clear()
    machine.run(40_000)
    for (const { exchange } of machine.of('start-push-pull')) {
      machine.handle({ kind: 'push-pull-failed', exchange, outcome: 'failed', message: 'no' })
    }
    return machine.of('start-push-pull').length
  }
  expect(contacts()).toBe(0)
  machine.packet(3, dead(2, 1, 'm2'))
  expect(contacts()).toBeGreaterThan(0)
  // Another name lives at that place now.
  machine.packet(3, alive(2, 1, { node: 'heir' }))
  expect(contacts()).toBe(0)
  // It has gone, and the name comes back elsewhere.
  machine.packet(3, { ...dead(2, 1, 'heir'), node: 'heir' })
  machine.packet(3, alive(2, 1, { node: 'heir', address: alive(7).address }))
  expect(machine.protocol.member('heir')).toMatchObject({ state: 'alive', endpoint: endpointOf(7) })
  expect(contacts()).toBeGreaterThan(0)
})

describe('the lost', () => {
  test('are pinged now and then with what is held against them, and met again', () => {
    const machine = new Machine({ pushPullIntervalMs: 0 }).withMembers(3)
    machine.packet(3, dead(2, 1, 'm3'))
    machine.answering.delete(2)
    machine.clear()
    machine.run(30_000)
    const packets = machine
      .of('send-packet')
      .filter(({ to, messages }) => to.address === '10.0.0.2' && messages[0]?.kind === 'ping')
    expect(packets.length).toBeGreaterThan(2)
    expect(packets[0]?.messages[1]).toMatchObject({ kind: 'dead', node: 'm2', incarnation: 1 })
    machine.answering.add(2)
    const { to } = machine.runUntil('start-push-pull')
    expect(to).toEqual(endpointOf(2))
  })

  test('those who left are let go, and all of them in the end', () => {
    const machine = new Machine({
      pushPullIntervalMs: 0,
      lostKeptMs: 60_000,
      deadKeptMs: 20_000,
    }).withMembers(4)
    machine.packet(3, dead(2, 1, 'm2'), dead(4, 1, 'm3'))
    machine.answering.delete(4)
    machine.run(70_000)
    const pinged = (sinceMs: number) =>
      machine
        .sent('ping')
        .filter(({ atMs }) => atMs > sinceMs)
        .map(({ to }) => to)
    expect(pinged(0)).toContain(4)
    expect(pinged(0)).not.toContain(2)
    const sinceMs = machine.nowMs
    machine.run(60_000)
    expect(pinged(sinceMs)).not.toContain(4)
  })
})

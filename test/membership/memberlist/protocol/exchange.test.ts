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

  test('a refused connection has the member probed', () => {
    const machine = new Machine().withMembers(2)
    const { exchange } = machine.runUntil('start-push-pull')
    machine.answering.clear()
    machine.clear()
    machine.handle({ kind: 'push-pull-failed', exchange, outcome: 'refused', message: 'ECONNREFUSED' })
    expect(machine.sent('ping').map(({ to }) => to)).toEqual([2])
  })
})

describe('the lost', () => {
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

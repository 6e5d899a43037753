import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'
import { alive, dead, endpointOf, Machine, suspect } from './machine.ts'

const NO_BYTES = new Uint8Array(0)

/** A machine that has just pinged the silent `m2` for the first time, with `others` answering. */
function probing(count: number, settings: ConstructorParameters<typeof Machine>[0] = {}) {
  const machine = new Machine(settings).withMembers(count)
  machine.answering.delete(2)
  machine.runUntil(
    'send-packet',
    ({ to, messages }) => to.address === '10.0.0.2' && messages[0]?.kind === 'ping',
  )
  const [ping] = machine.sent('ping').filter(({ to }) => to === 2)
  return { machine, startedMs: machine.nowMs, seqNo: ping!.message.seqNo }
}

describe('probes', () => {
  test('one member is pinged each interval: one that is watched in two of three, the others in turn', () => {
    const machine = new Machine().withMembers(6)
    machine.run(18_000)
    machine.clear()
    machine.run(30_000)
    const pings = machine.sent('ping')
    expect(pings).toHaveLength(30)
    for (const [i, { atMs }] of pings.entries())
      if (i > 0) expect(atMs - pings[i - 1]!.atMs).toBeCloseTo(1000)
    const counts = [2, 3, 4, 5, 6].map((n) => pings.filter(({ to }) => to === n).length)
    expect(Math.max(...counts)).toBeGreaterThanOrEqual(20)
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(2)
    expect(machine.of('probe-finished').every(({ via }) => via === 'direct')).toBe(true)
  })

  test('a ping names its target and where to answer', () => {
    const { machine } = probing(3)
    const [ping] = machine.sent('ping').filter(({ to }) => to === 2)
    expect(ping?.message).toMatchObject({ node: 'm2', source: { node: 'm1', port: 7946 } })
    expect([...ping!.message.source!.address]).toEqual([10, 0, 0, 1])
  })

  test('a silent member is pinged again, then others and a stream try, then it is suspected', () => {
    const { machine, startedMs, seqNo } = probing(6)
    machine.run(1000)
    const pings = machine.sent('ping').filter(({ to, message }) => to === 2 && message.seqNo === seqNo)
    expect(pings.map(({ atMs }) => Math.round(atMs - startedMs))).toEqual([0, 250, 500])
    const asked = machine.sent('indirect-ping')
    expect(new Set(asked.map(({ to }) => to)).size).toBe(3)
    for (const { message, atMs, to } of asked) {
      expect(atMs - startedMs).toBeCloseTo(500)
      expect(to).not.toBe(2)
      expect(message).toMatchObject({ seqNo, node: 'm2', port: 7946, nack: true })
    }
    expect(machine.of('start-stream-probe')).toMatchObject([
      { probe: seqNo, to: endpointOf(2), timeoutMs: 500 },
    ])
    expect(machine.changes()).toEqual(['m2 suspected'])
    expect(machine.of('probe-finished').filter(({ member }) => member.name === 'm2')).toMatchObject([
      { via: 'none' },
    ])
  })

  test.each(['direct', 'relay', 'stream'] as const)('an answer by way of %s ends the probe', (via) => {
    const { machine, seqNo } = probing(6)
    machine.run(600)
    if (via === 'stream') machine.handle({ kind: 'stream-probe-finished', probe: seqNo, outcome: 'acked' })
    else machine.packet(via === 'direct' ? 2 : 3, { kind: 'ack', seqNo, payload: NO_BYTES })
    machine.run(400)
    expect(machine.state(2)).toBe('alive')
    expect(machine.of('probe-finished').filter(({ member }) => member.name === 'm2')).toMatchObject([{ via }])
  })

  test('an ack of another number says nothing', () => {
    const { machine, seqNo } = probing(3)
    machine.packet(2, { kind: 'ack', seqNo: (seqNo + 7) >>> 0, payload: NO_BYTES })
    machine.run(1000)
    expect(machine.state(2)).toBe('suspect')
  })

  test('streams and repeated pings can be switched off', () => {
    const { machine, seqNo } = probing(6, { streamProbes: false, repeatPings: false })
    machine.run(1000)
    expect(machine.of('start-stream-probe')).toEqual([])
    expect(machine.sent('ping').filter(({ message }) => message.seqNo === seqNo)).toHaveLength(1)
  })

  test('where three are suspected the others are probed eight times as often, until nobody more is for half a second', () => {
    const machine = new Machine({ witnesses: 'auto' }, {}, 1, () => true).withMembers(30)
    machine.run(60_000)
    for (const n of [2, 3, 4]) machine.answering.delete(n)
    machine.packet(9, suspect(2, 1, 'm9'), suspect(3, 1, 'm9'))
    machine.clear()
    machine.run(1)
    machine.packet(9, suspect(4, 1, 'm9'))
    machine.run(500)
    const hasty = machine.sent('ping').map(({ to }) => to)
    expect(hasty.length).toBeGreaterThanOrEqual(4)
    expect(hasty.length).toBeLessThanOrEqual(5)
    expect(new Set(hasty).size).toBe(hasty.length)
    expect(hasty.filter((to) => to <= 4)).toEqual([])
    machine.clear()
    machine.run(2000)
    expect(machine.sent('ping').filter(({ to }) => to > 4).length).toBeLessThanOrEqual(3)
  })

  test('the fallen are not probed', () => {
    const machine = new Machine({ reconnectIntervalMs: 0 }).withMembers(4)
    machine.packet(3, dead(2, 1, 'm3'), dead(4, 1, 'm4'))
    machine.clear()
    machine.run(10_000)
    expect(new Set(machine.sent('ping').map(({ to }) => to))).toEqual(new Set([3]))
  })

  test('a ping to a suspect tells it so', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(3, suspect(2, 1, 'm3'))
    machine.clear()
    machine.runUntil(
      'send-packet',
      ({ to, messages }) => to.address === '10.0.0.2' && messages[0]?.kind === 'ping',
    )
    const { messages } = machine.of('send-packet').findLast(({ to }) => to.address === '10.0.0.2')!
    expect(messages[1]).toMatchObject({ kind: 'suspect', node: 'm2', incarnation: 1, from: 'm1' })
  })
})

describe('health', () => {
  test('missed nacks lower our trust in ourselves, and stretch our intervals', () => {
    const { machine } = probing(6)
    machine.answering.clear()
    machine.run(1000)
    expect(machine.protocol.healthScore).toBe(3)
  })

  test('nacks that came do not', () => {
    const { machine, seqNo } = probing(6)
    machine.run(900)
    for (const n of [3, 4, 5]) machine.packet(n, { kind: 'nack', seqNo })
    machine.run(100)
    expect(machine.state(2)).toBe('suspect')
    expect(machine.protocol.healthScore).toBe(0)
  })

  test('a host that refuses a connection has answered: what relays did not say does not count against us', () => {
    const { machine } = probing(6)
    const { probe } = machine.runUntil('start-stream-probe', ({ to }) => to.address === '10.0.0.2')
    machine.handle({ kind: 'stream-probe-finished', probe, outcome: 'refused' })
    machine.runUntil('probe-finished', ({ via }) => via === 'none')
    expect(machine.protocol.healthScore).toBe(0)
  })

  test('relays of an old protocol are not expected to send any', () => {
    const { machine } = probing(3)
    machine.packet(3, alive(3, 2, { vsn: Uint8Array.of(1, 3, 2, 0, 0, 0) }))
    machine.answering.clear()
    machine.run(1000)
    expect(machine.state(2)).toBe('suspect')
    // Without nacks to expect, the failed probe itself counts.
    expect(machine.protocol.healthScore).toBe(1)
  })

  test('answered probes bring it back', () => {
    const { machine } = probing(6)
    machine.run(1000)
    machine.answering.add(2)
    machine.run(20_000)
    expect(machine.protocol.healthScore).toBe(0)
  })

  test('with a bad score probes are further apart and wait longer', () => {
    const { machine } = probing(6)
    machine.run(1000)
    machine.clear()
    machine.answering.clear()
    machine.run(30_000)
    const rounds = machine.of('start-stream-probe').filter(({ timeoutMs }) => timeoutMs > 1000)
    expect(rounds.length).toBeGreaterThan(0)
    expect(machine.protocol.healthScore).toBe(7)
  })
})

describe('stalls', () => {
  test('lower our trust in ourselves when packets may have been lost, not when the time lost is all', () => {
    const machine = new Machine().withMembers(6)
    for (const [stallMs, score] of [
      [240, 0],
      [400, 1],
    ] as const) {
      machine.nowMs = machine.protocol.nextDueMs + stallMs
      machine.handle({ kind: 'tick' })
      expect(machine.protocol.healthScore, `after ${stallMs} ms`).toBe(score)
    }
    expect(machine.protocol.counters.stalls).toBe(2)
  })

  test('a probe whose time passed while we were stalled begins anew', () => {
    const { machine, seqNo } = probing(6)
    machine.nowMs += 3000
    machine.handle({ kind: 'tick' })
    expect(machine.state(2)).toBe('alive')
    expect(machine.protocol.counters).toMatchObject({ stalls: 1 })
    expect(machine.sent('ping').filter(({ message }) => message.seqNo === seqNo)).toHaveLength(2)
    machine.packet(2, { kind: 'ack', seqNo, payload: NO_BYTES })
    machine.run(2000)
    expect(machine.of('probe-finished').filter(({ via }) => via === 'none')).toEqual([])
  })

  test('a suspicion whose time passed meanwhile waits for the answers in the sockets', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.clear()
    machine.packet(3, suspect(2, 1, 'm3'))
    machine.run(3000)
    machine.nowMs += 5000
    machine.handle({ kind: 'tick' })
    expect(machine.state(2)).toBe('suspect')
    machine.packet(2, alive(2, 2))
    machine.run(1000)
    expect(machine.state(2)).toBe('alive')
  })

  test('is found by packets as well, before anybody is declared dead', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.clear()
    machine.packet(3, suspect(2, 1, 'm3'))
    machine.run(3000)
    machine.nowMs += 60_000
    machine.packet(3, alive(3, 2))
    expect(machine.state(2)).toBe('suspect')
    expect(machine.protocol.counters.stalls).toBe(1)
  })

  test('a small lateness is none', () => {
    const machine = new Machine().withMembers(3)
    for (let i = 0; i < 20; i++) {
      machine.nowMs = machine.protocol.nextDueMs + 20
      machine.handle({ kind: 'tick' })
    }
    expect(machine.protocol.counters.stalls).toBe(0)
  })

  test('after a long one the state is exchanged', () => {
    const machine = new Machine().withMembers(3)
    machine.nowMs = machine.protocol.nextDueMs + 10_000
    machine.handle({ kind: 'tick' })
    expect(machine.protocol.counters).toMatchObject({ stalls: 1, stalledMs: 10_000 })
    expect(machine.of('start-push-pull')).toHaveLength(1)
    expect(machine.protocol.healthScore).toBe(1)
  })

  test.each([60, 90, 300, 2000])(
    'one of %i ms again and again still leaves time to find the dead',
    (stallMs) => {
      const machine = new Machine().withMembers(3)
      machine.answering.delete(2)
      const untilMs = machine.nowMs + 300_000
      while (machine.state(2) !== 'dead' && machine.nowMs < untilMs) {
        // It runs for 40 ms, then not at all.
        machine.run(40)
        machine.nowMs += stallMs
        machine.handle({ kind: 'tick' })
      }
      expect(machine.state(2)).toBe('dead')
      expect(machine.state(3)).toBe('alive')
    },
  )

  test('leave no tick at its due time without effect, whatever the fractions of the times', () => {
    const machine = new Machine().withMembers(5)
    const random = seededRandom(1)
    for (let i = 0; i < 20_000; i++) {
      machine.nowMs = machine.protocol.nextDueMs + (random() < 0.02 ? 50 + 5000 * random() : 0)
      machine.handle({ kind: 'tick' })
      expect(machine.protocol.nextDueMs).toBeGreaterThan(machine.nowMs)
    }
  })

  test('can be switched off', () => {
    const { machine } = probing(6, { stallThresholdMs: 0 })
    machine.nowMs += 3000
    machine.handle({ kind: 'tick' })
    expect(machine.state(2)).toBe('suspect')
    expect(machine.protocol.counters.stalls).toBe(0)
  })
})

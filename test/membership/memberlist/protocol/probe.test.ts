import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'
import { alive, endpointOf, Machine, suspect } from './machine.ts'

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

  test('an ack of another number says nothing', () => {
    const { machine, seqNo } = probing(3)
    machine.packet(2, { kind: 'ack', seqNo: (seqNo + 7) >>> 0, payload: NO_BYTES })
    machine.run(1000)
    expect(machine.state(2)).toBe('suspect')
  })
})

describe('stalls', () => {
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
})

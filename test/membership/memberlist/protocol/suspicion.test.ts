import { describe, expect, test } from 'vitest'
import { alive, endpointOf, Machine, suspect } from './machine.ts'

const NO_BYTES = new Uint8Array(0)

/** When `m2` was declared dead, from the first word against it. */
function diesAfterMs(machine: Machine): number {
  const startedMs = machine.nowMs
  machine.runUntil('member-changed', ({ change, member }) => change === 'died' && member.name === 'm2')
  return machine.nowMs - startedMs
}

describe('suspicion', () => {
  test('without confirmation it takes the longest time, with two the shortest', () => {
    for (const [senders, expectedMs] of [
      [['m3'], 24_000],
      [['m3', 'm4'], 24_000 - 20_000 * (Math.log(2) / Math.log(3))],
      [['m3', 'm4', 'm5'], 4000],
      // The same member, an unknown one, and the suspect's own name twice say nothing new.
      [['m3', 'm3', 'stranger'], 24_000],
    ] as const) {
      // It answers our own probes, which would confirm it as well.
      const machine = new Machine({ checkSuspects: false }).withMembers(8)
      for (const from of senders) machine.packet(3, suspect(2, 1, from))
      expect(diesAfterMs(machine), senders.join()).toBeCloseTo(expectedMs, 0)
    }
  })

  test('with nobody there to confirm it takes the shortest time', () => {
    const machine = new Machine({ checkSuspects: false }).withMembers(3)
    machine.packet(3, suspect(2, 1, 'm3'))
    expect(diesAfterMs(machine)).toBeCloseTo(4000, 0)
  })

  test('the dead and the left are not counted among those who could confirm', () => {
    const machine = new Machine({ checkSuspects: false }).withMembers(8)
    for (const n of [4, 5, 6, 7, 8])
      machine.packet(n, { kind: 'dead', incarnation: 1, node: `m${n}`, from: `m${n}` })
    machine.packet(3, suspect(2, 1, 'm3'))
    expect(diesAfterMs(machine)).toBeCloseTo(4000, 0)
  })

  test('where others go while it lasts, it lasts no longer than one that begins among those who are left', () => {
    const machine = new Machine().withMembers(8)
    machine.answering.delete(2)
    machine.packet(3, suspect(2, 1, 'm3'))
    machine.run(5000)
    expect(machine.state(2)).toBe('suspect')
    for (const n of [4, 5, 6, 7, 8])
      machine.packet(n, { kind: 'dead', incarnation: 1, node: `m${n}`, from: `m${n}` })
    expect(diesAfterMs(machine)).toBeLessThan(600)
  })

  test('each new confirmation is sent on, repeated ones are not', () => {
    const machine = new Machine().withMembers(8)
    machine.run(5000)
    machine.clear()
    machine.packet(3, suspect(2, 1, 'm3'))
    machine.packet(4, suspect(2, 1, 'm4'))
    machine.packet(4, suspect(2, 1, 'm4'))
    // The second one beside the first, or whoever has not heard that yet would lack one of the two.
    expect(machine.protocol.queuedCount).toBe(2)
    machine.run(100)
    for (const name of ['m3', 'm4']) {
      expect(machine.sent('suspect').some(({ message }) => message.from === name)).toBe(true)
    }
    // Neither outlasts the suspicion.
    machine.packet(3, alive(2, 2))
    expect(machine.protocol.queuedCount).toBe(1)
  })

  test('a higher incarnation clears it; the same does not', () => {
    const machine = new Machine().withMembers(4)
    machine.packet(3, suspect(2, 5, 'm3'))
    machine.packet(2, alive(2, 5))
    expect(machine.state(2)).toBe('suspect')
    machine.packet(2, alive(2, 6))
    expect(machine.state(2)).toBe('alive')
    machine.run(60_000)
    expect(machine.changes()).toEqual(['m2 suspected', 'm2 restored'])
  })

  test('word of a higher incarnation is a new suspicion with its whole time', () => {
    const machine = new Machine({ checkSuspects: false }).withMembers(3)
    machine.packet(3, suspect(2, 1, 'm3'))
    machine.run(3500)
    machine.packet(3, suspect(2, 2, 'm3'))
    expect(diesAfterMs(machine)).toBeCloseTo(4000, 0)
  })

  test('a suspect that answers our checks is not declared dead, and is asked for its state', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(3, suspect(2, 1, 'm3'))
    const { to } = machine.runUntil('start-push-pull', ({ state }) => !state.join)
    expect(to).toEqual(endpointOf(2))
    machine.run(15_000)
    expect(machine.state(2)).toBe('suspect')
  })

  test('but not for ever: an answer without a refutation counts a limited number of times', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(3, suspect(2, 1, 'm3'))
    expect(diesAfterMs(machine)).toBeLessThan(10 * 4000)
  })

  test('a suspect is tried over a stream too', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.delete(2)
    machine.packet(3, suspect(2, 1, 'm3'))
    const { probe, timeoutMs } = machine.runUntil('start-stream-probe', ({ timeoutMs: ms }) => ms > 500)
    expect(timeoutMs).toBeLessThanOrEqual(2000)
    machine.handle({ kind: 'stream-probe-finished', probe, outcome: 'acked' })
    machine.run(3000)
    expect(machine.state(2)).toBe('suspect')
  })
})

describe('strong evidence', () => {
  /** `m2` refuses our stream and is silent; the relays say nothing yet. */
  function refused(count: number, settings: ConstructorParameters<typeof Machine>[0] = {}) {
    const machine = new Machine(settings).withMembers(count)
    machine.answering.delete(2)
    const { probe } = machine.runUntil('start-stream-probe', ({ to }) => to.address === '10.0.0.2')
    machine.clear()
    machine.handle({ kind: 'stream-probe-finished', probe, outcome: 'refused' })
    return { machine, relayed: machine.sent('indirect-ping') }
  }

  test('a refusing port that a relay bears out is death after 0.6 intervals', () => {
    const { machine, relayed } = refused(6)
    expect(machine.state(2)).toBe('suspect')
    machine.packet(relayed[0]!.to, { kind: 'nack', seqNo: relayed[0]!.message.seqNo })
    expect(diesAfterMs(machine)).toBeCloseTo(600, 0)
    expect(machine.protocol.counters.declaredDeadBy.refusal).toBe(1)
    expect(machine.sent('ping').filter(({ to }) => to === 2).length).toBeGreaterThanOrEqual(5)
  })

  test('among two there is nobody to bear it out, and it is death all the same', () => {
    expect(diesAfterMs(refused(2).machine)).toBeCloseTo(600, 0)
  })

  test('relays that say nothing leave the ordinary time', () => {
    expect(diesAfterMs(refused(3).machine)).toBeGreaterThan(3900)
  })

  test('a relay that speaks late still counts', () => {
    const { machine, relayed } = refused(6)
    machine.run(1500)
    expect(machine.state(2)).toBe('suspect')
    machine.packet(relayed[0]!.to, { kind: 'nack', seqNo: relayed[0]!.message.seqNo })
    expect(machine.state(2)).toBe('dead')
  })

  test('a relay that speaks late still counts where a stall has set the time back', () => {
    const { machine, relayed } = refused(6, { probeTimeoutMs: 700 })
    machine.run(610)
    machine.nowMs += 1200
    machine.handle({ kind: 'tick' })
    machine.packet(relayed[0]!.to, { kind: 'nack', seqNo: relayed[0]!.message.seqNo })
    expect(machine.state(2)).toBe('dead')
  })

  test.each(['the member', 'a relay'])(
    'an answer through %s clears it, and further refusals prove nothing',
    (who) => {
      const { machine, relayed } = refused(6)
      const { seqNo } = relayed[0]!.message
      for (const { to } of relayed) machine.packet(to, { kind: 'nack', seqNo })
      machine.run(300)
      machine.packet(who === 'the member' ? 2 : 3, { kind: 'ack', seqNo, payload: NO_BYTES })
      machine.run(1500)
      expect(machine.state(2)).toBe('suspect')
      machine.packet(2, alive(2, 2))
      const { probe } = machine.runUntil('start-stream-probe', ({ to }) => to.address === '10.0.0.2')
      machine.handle({ kind: 'stream-probe-finished', probe, outcome: 'refused' })
      expect(machine.state(2)).toBe('alive')
    },
  )

  describe('of Kubernetes', () => {
    /** `m2` is silent and suspected, and its pod is not ready. */
    function unready(count: number) {
      const machine = new Machine().withMembers(count)
      machine.answering.delete(2)
      machine.packet(3, suspect(2, 1, 'm3'))
      machine.clear()
      const { address } = endpointOf(2)
      machine.handle({ kind: 'pod-unready', name: 'm2', address })
      return { machine, relayed: machine.sent('indirect-ping') }
    }

    test('is death after 2.5 s of silence that a relay bears out', () => {
      const { machine, relayed } = unready(6)
      machine.packet(relayed[0]!.to, { kind: 'nack', seqNo: relayed[0]!.message.seqNo })
      expect(diesAfterMs(machine)).toBeCloseTo(2500, 0)
      expect(machine.protocol.counters.declaredDeadBy.kubernetes).toBe(1)
      expect(machine.sent('ping').filter(({ to }) => to === 2).length).toBeGreaterThanOrEqual(5)
    })

    test('is none without a relay that bears it out, nor against who answers, is not suspected, or is elsewhere', () => {
      expect(diesAfterMs(unready(6).machine)).toBeGreaterThan(3900)
      const { machine, relayed } = unready(6)
      for (const { to, message } of relayed) machine.packet(to, { kind: 'nack', seqNo: message.seqNo })
      machine.run(2000)
      machine.packet(2, { kind: 'ack', seqNo: relayed[0]!.message.seqNo, payload: NO_BYTES })
      machine.run(1500)
      expect(machine.state(2)).toBe('suspect')
      const other = new Machine().withMembers(6)
      other.handle({ kind: 'pod-unready', name: 'm2', address: endpointOf(2).address })
      other.packet(3, suspect(2, 1, 'm3'))
      other.handle({ kind: 'pod-unready', name: 'm2', address: endpointOf(3).address })
      other.handle({ kind: 'pod-unready', name: 'stranger', address: endpointOf(2).address })
      expect(other.sent('indirect-ping')).toEqual([])
    })
  })

  test('a stream that only fails is none', () => {
    const machine = new Machine().withMembers(2)
    machine.answering.delete(2)
    const { probe } = machine.runUntil('start-stream-probe')
    machine.handle({ kind: 'stream-probe-finished', probe, outcome: 'failed' })
    expect(diesAfterMs(machine)).toBeGreaterThan(4000)
  })

  test('can be switched off', () => {
    const { machine } = refused(2, { refusedSuspicionMult: 0 })
    expect(machine.state(2)).toBe('alive')
    expect(diesAfterMs(machine)).toBeGreaterThan(4000)
  })
})

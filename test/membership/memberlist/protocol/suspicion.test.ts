import { describe, expect, test } from 'vitest'
import { endpointOf, Machine, suspect } from './machine.ts'

const NO_BYTES = new Uint8Array(0)

/** When `m2` was declared dead, from the first word against it. */
function diesAfterMs(machine: Machine): number {
  const startedMs = machine.nowMs
  machine.runUntil('member-changed', ({ change, member }) => change === 'died' && member.name === 'm2')
  return machine.nowMs - startedMs
}

describe('suspicion', () => {
  test('a suspect that answers our checks is not declared dead, and is asked for its state', () => {
    const machine = new Machine().withMembers(3)
    machine.packet(3, suspect(2, 1, 'm3'))
    const { to } = machine.runUntil('start-push-pull', ({ state }) => !state.join)
    expect(to).toEqual(endpointOf(2))
    machine.run(15_000)
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

  test('a relay that speaks late still counts where a stall has set the time back', () => {
    const { machine, relayed } = refused(6, { probeTimeoutMs: 700 })
    machine.run(610)
    machine.nowMs += 1200
    machine.handle({ kind: 'tick' })
    machine.packet(relayed[0]!.to, { kind: 'nack', seqNo: relayed[0]!.message.seqNo })
    expect(machine.state(2)).toBe('dead')
  })

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

  test('can be switched off', () => {
    const { machine } = refused(2, { refusedSuspicionMult: 0 })
    expect(machine.state(2)).toBe('alive')
    expect(diesAfterMs(machine)).toBeGreaterThan(4000)
  })
})

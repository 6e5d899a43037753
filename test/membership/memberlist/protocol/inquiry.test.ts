import { describe, expect, test } from 'vitest'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'
import { alive, dead, endpointOf, Machine, suspect } from './machine.ts'
import { type Endpoint, tryParseAddress } from '../../../../src/membership/memberlist/protocol/endpoint.ts'

const NO_BYTES = new Uint8Array(0)

/** `m2` is silent, and this machine has just asked the others to look for it. */
function asking(
  count: number,
  settings: ConstructorParameters<typeof Machine>[0] = {},
  isWitness: (meta: Uint8Array) => boolean = () => true,
) {
  const machine = new Machine({ witnesses: 'auto', ...settings }, {}, 1, isWitness).withMembers(count)
  // It has answered before.
  machine.run(3000 * count)
  machine.answering.delete(2)
  machine.runUntil('member-changed', ({ change, member }) => change === 'suspected' && member.name === 'm2')
  const asked = machine
    .sent('indirect-ping')
    .filter(({ message, atMs }) => message.node === 'm2' && atMs === machine.nowMs)
  const say = (to: readonly number[], kind: 'ack' | 'nack') => {
    for (const n of to) {
      const { seqNo } = asked[0]!.message
      machine.packet(n, kind === 'ack' ? { kind, seqNo, payload: NO_BYTES } : { kind, seqNo })
    }
  }
  return { machine, witnesses: asked.map(({ to }) => to), say, sinceMs: machine.nowMs }
}

/** What `asker` sends to have this machine look for `m2`. */
function question(asker: number): Message[] {
  const address = (n: number) => tryParseAddress(endpointOf(n).address)!
  return [
    suspect(2, 1, `m${asker}`),
    {
      kind: 'indirect-ping',
      seqNo: 77,
      target: address(2),
      port: 7946,
      node: 'm2',
      nack: true,
      source: { address: address(asker), port: 7946, node: `m${asker}` },
    },
  ]
}

describe('who suspects a member', () => {
  test('asks the others at once, the suspicion first, and looks itself', () => {
    const { machine, witnesses } = asking(6)
    expect(new Set(witnesses)).toEqual(new Set([3, 4, 5, 6]))
    const packet = machine
      .of('send-packet')
      .findLast(({ messages }) => messages[1]?.kind === 'indirect-ping')!.messages
    expect(packet[0]).toMatchObject({ kind: 'suspect', node: 'm2', from: 'm1' })
    machine.clear()
    machine.run(1500)
    expect(machine.sent('ping').filter(({ to }) => to === 2).length).toBeGreaterThanOrEqual(8)
  })

  test('declares it dead when all have spoken and found it silent, not within 2.5 s of its last packet', () => {
    const { machine, witnesses, say } = asking(6)
    machine.packet(2, { kind: 'user', payload: NO_BYTES })
    const heardMs = machine.nowMs
    say(witnesses, 'nack')
    machine.runUntil('member-changed', ({ change }) => change === 'died')
    expect(machine.nowMs - heardMs).toBeGreaterThanOrEqual(2499)
    expect(machine.protocol.counters.declaredDeadBy.witnesses).toBe(1)
    const log = machine.of('log').find(({ fields }) => fields['event'] === 'suspect.declared-dead')
    expect(log?.fields['evidence']).toBe('witnesses')
    // They have the news from here at once.
    expect(new Set(machine.sent('dead').map(({ to }) => to))).toEqual(new Set([3, 4, 5, 6]))
  })

  test('waits until the inquiry is 2.5 s old where one of them has not spoken', () => {
    const { machine, witnesses, say, sinceMs } = asking(6)
    say(witnesses.slice(1), 'nack')
    machine.runUntil('member-changed', ({ change }) => change === 'died')
    expect(machine.nowMs - sinceMs).toBeCloseTo(2500, -1)
  })

  test('does not count strangers, and needs more than half of those asked', () => {
    const { machine, witnesses, say } = asking(6)
    say([7, 8, 9], 'nack')
    say(witnesses.slice(0, 2), 'nack')
    machine.run(3400)
    expect(machine.protocol.counters.declaredDeadBy.witnesses).toBe(0)
    expect(machine.state(2)).toBe('suspect')
  })

  test('waits for one that has heard it lately', () => {
    const { machine, witnesses, say } = asking(6)
    machine.packet(witnesses[0]!, alive(2))
    say(witnesses.slice(1), 'nack')
    machine.run(2700)
    expect(machine.state(2)).toBe('suspect')
    say(witnesses.slice(0, 1), 'nack')
    expect(machine.state(2)).toBe('dead')
  })

  test('leaves it to the ordinary time when one of them reached it', () => {
    const { machine, witnesses, say } = asking(6)
    say(witnesses.slice(0, 1), 'ack')
    say(witnesses.slice(1), 'nack')
    machine.run(3000)
    expect(machine.state(2)).toBe('suspect')
    expect(machine.protocol.counters.declaredDeadBy.witnesses).toBe(0)
  })

  test('is itself in doubt when more than half of the others are silent, or hold it for dead', () => {
    const { machine, witnesses, say } = asking(6)
    for (const n of [3, 4, 5]) machine.packet(6, suspect(n, 1, 'm6'))
    say(witnesses, 'nack')
    machine.run(3000)
    expect(machine.protocol.counters.declaredDeadBy.witnesses).toBe(0)
    const second = asking(6)
    second.machine.packet(3, dead(1, 1, 'm3'))
    second.say(second.witnesses, 'nack')
    second.machine.run(3000)
    expect(second.machine.protocol.counters.declaredDeadBy.witnesses).toBe(0)
  })

  test('asks nobody beside a Go member, unless it is set to, nor with the rule off', () => {
    const isWitness = (meta: Uint8Array) => meta.length === 0
    const withGo = (machine: Machine) => machine.packet(3, alive(3, 2, { meta: Uint8Array.of(9) }))
    for (const [settings, count] of [
      [{}, 3],
      [{ witnesses: 'always' }, 4],
      [{ witnesses: 'off' }, 3],
    ] as const) {
      const machine = new Machine(settings, {}, 1, isWitness).withMembers(6)
      withGo(machine)
      machine.answering.delete(2)
      machine.runUntil(
        'member-changed',
        ({ change, member }) => change === 'suspected' && member.name === 'm2',
      )
      const asked = machine
        .sent('indirect-ping')
        .filter(({ message, atMs }) => message.node === 'm2' && atMs === machine.nowMs)
      expect(asked.length, JSON.stringify(settings)).toBe(
        settings.witnesses === undefined || settings.witnesses === 'off' ? 0 : count,
      )
    }
  })
})

describe('where three or more are suspected at once', () => {
  const questionsOn = (machine: Machine, n: number) =>
    machine.sent('indirect-ping').filter(({ message }) => message.node === `m${n}`)

  /** This machine probes `m2` when `m6` says that it suspects it, and two more. */
  function probing() {
    const machine = new Machine({ witnesses: 'auto' }, {}, 1, () => true).withMembers(30)
    machine.run(60_000)
    machine.answering.delete(2)
    machine.clear()
    const isPing = (to: Endpoint, messages: readonly Message[]) =>
      to.address === endpointOf(2).address && messages[0]?.kind === 'ping'
    machine.runUntil('send-packet', ({ to, messages }) => isPing(to, messages))
    for (const n of [7, 8]) machine.answering.delete(n)
    machine.packet(6, suspect(2, 1, 'm6'), suspect(7, 1, 'm6'), suspect(8, 1, 'm6'))
    return machine
  }

  test('who finds one silent leaves the question to another who suspects it', () => {
    const machine = probing()
    machine.run(1100)
    expect(machine.state(2)).toBe('suspect')
    expect(questionsOn(machine, 2)).toEqual([])
  })

  test('but asks itself when the suspect could be dead by then and is not', () => {
    const machine = probing()
    machine.run(2400)
    expect(questionsOn(machine, 2)).toEqual([])
    machine.run(1200)
    expect(questionsOn(machine, 2)).toHaveLength(12)
  })

  test('and at once where the other is silent itself', () => {
    const machine = probing()
    machine.packet(9, suspect(6, 1, 'm9'))
    machine.run(1100)
    expect(questionsOn(machine, 2)).toHaveLength(12)
  })

  test('others are asked as soon as those that are left of the first cannot be enough, once', () => {
    const { machine, witnesses } = asking(60)
    expect(witnesses).toHaveLength(12)
    const [, ...fallen] = witnesses.slice(0, 7)
    machine.clear()
    machine.packet(61, ...fallen.slice(1).map((n) => suspect(n, 1, 'm60')))
    expect(questionsOn(machine, 2)).toEqual([])
    machine.packet(61, suspect(fallen[0]!, 1, 'm60'))
    const again = questionsOn(machine, 2).map(({ to }) => to)
    expect(again).toHaveLength(12)
    expect(again.filter((to) => fallen.includes(to))).toEqual([])
    machine.packet(61, ...again.map((n) => suspect(n, 1, 'm60')))
    machine.run(4000)
    expect(questionsOn(machine, 2)).toHaveLength(12)
  })
})

describe('a witness', () => {
  test('pings several times, and says that it was silent only 2.5 s after its last packet', () => {
    const machine = new Machine().withMembers(6)
    machine.run(18_000)
    machine.answering.delete(2)
    machine.packet(2, { kind: 'user', payload: NO_BYTES })
    const heardMs = machine.nowMs
    machine.clear()
    machine.packet(3, ...question(3))
    // That it has heard it is said at once, by what is known of it.
    expect(
      machine
        .sent('alive')
        .filter(({ to }) => to === 3)
        .map(({ message }) => message.node),
    ).toEqual(['m2'])
    machine.run(2400)
    expect(machine.sent('nack')).toEqual([])
    machine.run(300)
    const nacks = machine.sent('nack')
    expect(nacks.map(({ to, message }) => [to, message.seqNo])).toEqual([
      [3, 77],
      [3, 77],
    ])
    expect(nacks[0]!.atMs - heardMs).toBeGreaterThanOrEqual(2499)
    expect(machine.sent('ping').filter(({ to }) => to === 2).length).toBeGreaterThanOrEqual(8)
  })

  test('says so when it answers, and looks once for all who ask', () => {
    const machine = new Machine().withMembers(6)
    machine.run(8000)
    machine.answering.delete(2)
    machine.clear()
    machine.packet(3, ...question(3))
    machine.packet(4, ...question(4))
    machine.run(1)
    const [ping, ...more] = machine.sent('ping').filter(({ to }) => to === 2)
    expect(more).toEqual([])
    machine.packet(2, { kind: 'ack', seqNo: ping!.message.seqNo, payload: Uint8Array.of(5) })
    expect(machine.sent('ack').map(({ to, message }) => [to, message.seqNo, message.payload[0]])).toEqual([
      [3, 77, 5],
      [4, 77, 5],
    ])
  })

  test('answers with the newer word of one that has refuted', () => {
    const machine = new Machine().withMembers(6)
    machine.packet(2, alive(2, 4))
    machine.clear()
    machine.packet(3, ...question(3))
    const said = machine.sent('alive').filter(({ to }) => to === 3)
    expect(said[0]?.message).toMatchObject({ node: 'm2', incarnation: 4 })
    machine.run(3000)
    expect(machine.sent('nack')).toEqual([])
  })

  test('looks for so many at once, and no more', () => {
    const machine = new Machine().withMembers(90)
    machine.run(1000)
    machine.clear()
    for (let n = 2; n <= 80; n++) {
      machine.answering.delete(n)
      const address = tryParseAddress(endpointOf(n).address)!
      machine.packet(85, suspect(n, 1, 'm85'), {
        kind: 'indirect-ping',
        seqNo: n,
        target: address,
        port: 7946,
        node: `m${n}`,
        nack: true,
      })
    }
    const looked = new Set(
      machine
        .sent('ping')
        .filter(({ to }) => to <= 80)
        .map(({ to }) => to),
    )
    expect(looked.size).toBe(32)
    expect(machine.protocol.counters.refused.overloaded).toBe(79 - 32)
  })
})

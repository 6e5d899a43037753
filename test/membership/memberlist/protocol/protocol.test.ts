import { describe, expect, test } from 'vitest'
import { Protocol } from '../../../../src/membership/memberlist/protocol/protocol.ts'
import { PRESETS } from '../../../../src/membership/memberlist/protocol/settings.ts'
import type { IndirectPing, Message, Ping } from '../../../../src/membership/memberlist/wire/messages.ts'
import type { EffectOf } from './effect-log.ts'
import { alive, dead, endpointOf, Machine, node, suspect } from './machine.ts'

const NO_BYTES = new Uint8Array(0)
const LONG_NAME = 'x'.repeat(300)

/** Chance is always in the middle: the first probe round is at 1500 ms, the first look for the lost at 6000, the first push/pull at 16,000. */
function steady(
  settings: ConstructorParameters<typeof Machine>[0] = {},
  delegate: ConstructorParameters<typeof Machine>[1] = {},
): Machine {
  return new Machine(settings, delegate, () => 0.5)
}

const source = (n: number, over: Partial<NonNullable<Ping['source']>> = {}) => ({
  address: alive(n).address,
  port: 7946,
  node: `m${n}`,
  ...over,
})
const ping = (over: Partial<Ping> = {}): Ping => ({ kind: 'ping', seqNo: 9, node: 'm1', ...over })
const indirectPing = (over: Partial<IndirectPing> = {}): IndirectPing => ({
  kind: 'indirect-ping',
  seqNo: 50,
  target: alive(2).address,
  port: 7946,
  node: 'm2',
  nack: true,
  ...over,
})
const ack = { kind: 'ack', seqNo: 9, payload: NO_BYTES } as const

/** What a packet brought forth as packets: where to, and what. */
function answers(machine: Machine, from: number, ...messages: Message[]) {
  return machine
    .packet(from, ...messages)
    .flatMap((effect) =>
      effect.kind === 'send-packet'
        ? [{ to: Number(effect.to.address.split('.')[3]), messages: effect.messages }]
        : [],
    )
}

/** Runs until everything is said, so that no packet has room filled with it. */
function quiet(machine: Machine): void {
  for (let i = 0; i < 100 && machine.protocol.queuedCount > 0; i++) machine.run(200)
  expect(machine.protocol.queuedCount).toBe(0)
  machine.clear()
}

describe('the start', () => {
  test('is the first event that counts, and counts once', () => {
    const identity = { name: 'm1', endpoint: endpointOf(1), meta: NO_BYTES }
    const protocol = new Protocol(identity, PRESETS.lan, { random: () => 0.5, sizeOf: () => 1 })
    expect(protocol.handle({ kind: 'tick' }, 500)).toEqual([])
    expect(protocol.handle({ kind: 'update-metadata', meta: Uint8Array.of(1) }, 600)).toEqual([])
    expect(protocol.nextDueMs).toBe(Infinity)
    expect(protocol.member('m1')).toMatchObject({ incarnation: 0, meta: NO_BYTES })
    expect(protocol.handle({ kind: 'start' }, 1000)).toMatchObject([
      {
        kind: 'member-changed',
        change: 'joined',
        member: { name: 'm1', incarnation: 1, stateSinceMs: 1000 },
      },
    ])
    expect(protocol.nextDueMs).toBe(1010)
    protocol.handle({ kind: 'update-metadata', meta: Uint8Array.of(1) }, 1001)
    expect(protocol.handle({ kind: 'start' }, 1002)).toEqual([])
    expect(protocol.member('m1')).toMatchObject({ incarnation: 2 })
    expect(protocol.nextDueMs).toBe(1010)
  })

  test('a time before an earlier one counts as that one', () => {
    const machine = steady()
    machine.nowMs = 1005
    machine.handle({ kind: 'tick' })
    machine.nowMs = 20
    machine.packet(2, alive(2))
    expect(machine.protocol.member('m2')?.stateSinceMs).toBe(1005)
  })

  test('an end that nobody waits for, or a nack where only an ack counts, says nothing', () => {
    const machine = steady().withMembers(2)
    expect(machine.handle({ kind: 'stream-probe-finished', probe: 7, outcome: 'refused' })).toEqual([])
    machine.answering.clear()
    machine.handle({ kind: 'check-reach', id: 1, name: 'm2' })
    for (const { message } of machine.sent('ping'))
      expect(machine.packet(2, { kind: 'nack', seqNo: message.seqNo })).toEqual([])
  })
})

describe('a stall', () => {
  /** The first deadline is at 1500; it runs so much later. */
  function stalled(lateMs: number, settings: ConstructorParameters<typeof Machine>[0] = {}) {
    const machine = steady(settings)
    machine.run(400)
    machine.clear()
    machine.nowMs = 1500 + lateMs
    machine.handle({ kind: 'tick' })
    return machine
  }

  // Up to half of a probe timeout the sockets are read for 25 ms; from there on there is a whole timeout.
  test.each([
    [49, 0, 0],
    [50, 50 + 25, 0],
    [249, 249 + 25, 0],
    [250, 250 + 250, 1],
    [499, 499 + 499, 1],
    [3000, 3000 + 500, 1],
  ])('of %i ms puts all off by %i ms, and our health is %i', (lateMs, putOffMs, healthScore) => {
    const machine = stalled(lateMs)
    expect(machine.protocol).toMatchObject({ healthScore })
    if (putOffMs === 0) {
      expect(machine.protocol.counters.stalls).toBe(0)
      expect(machine.protocol.nextDueMs).toBe(machine.nowMs + 1000)
      expect(machine.of('log')).toEqual([])
      return
    }
    expect(machine.protocol.nextDueMs).toBe(1500 + putOffMs)
    expect(machine.protocol.counters).toMatchObject({ stalls: 1, stalledMs: lateMs })
    expect(machine.of('log')).toMatchObject([{ level: 'warn', fields: { event: 'loop.stalled', lateMs } }])
  })

  test('is found from the smallest threshold on, and not with a threshold of 0', () => {
    expect(stalled(1, { stallThresholdMs: 1 }).protocol.nextDueMs).toBe(1502)
    expect(stalled(0, { stallThresholdMs: 0 }).protocol.counters.stalls).toBe(0)
    expect(stalled(100, { stallThresholdMs: 0 }).protocol.counters.stalls).toBe(0)
  })

  test.each([
    [9999, 25],
    [10_000, 250],
  ])('%i ms after a long one has %i ms', (gapMs, spareMs) => {
    const machine = stalled(250, { probeTimeoutMs: 400 })
    const firstMs = machine.nowMs
    // The look for the lost, which was due at 11,000, is put off to 11,500.
    machine.run(11_499 - firstMs)
    expect(machine.protocol.nextDueMs).toBe(11_500)
    machine.nowMs = firstMs + gapMs
    machine.handle({ kind: 'tick' })
    const lateMs = machine.nowMs - 11_500
    expect(machine.protocol.nextDueMs).toBe(11_500 + lateMs + Math.min(lateMs, spareMs))
  })

  test.each([
    [999, 1],
    [1000, 2],
  ])('%i ms after one that counted against us makes our health %i', (gapMs, healthScore) => {
    const machine = stalled(250)
    machine.nowMs += gapMs
    machine.handle({ kind: 'tick' })
    expect(machine.protocol).toMatchObject({ healthScore, counters: { stalls: 2 } })
  })

  test.each([
    [100, 0],
    [3999, 0],
    [4000, 1],
  ])('of %i ms has %i states exchanged at once', (lateMs, count) => {
    const machine = steady().withMembers(2)
    machine.nowMs = machine.protocol.nextDueMs + lateMs
    machine.handle({ kind: 'tick' })
    expect(machine.of('start-push-pull')).toHaveLength(count)
  })
})

describe('what one part has another do', () => {
  /** `m2` to `m5`, and beside `m2`, at its address, `m12`. */
  function withNeighbour(settings: ConstructorParameters<typeof Machine>[0] = {}) {
    const machine = steady(settings).withMembers(5)
    machine.packet(3, alive(12, 1, { address: alive(2).address, port: 7950 }))
    machine.answering.delete(2)
    quiet(machine)
    const neighbourAsked = () =>
      machine.of('start-stream-probe').filter(({ to }) => to.port === 7950 && to.address === '10.0.0.2')
        .length
    return { machine, neighbourAsked }
  }

  test.each([
    [dead(2, 1, 'm3'), 1],
    [dead(2, 1, 'm2'), 0],
  ])('%j: its neighbours probed by a stream: %i', (message, count) => {
    const { machine, neighbourAsked } = withNeighbour({ probeIntervalMs: 60_000 })
    machine.packet(3, message)
    expect(neighbourAsked()).toBe(count)
  })

  test('neighbours of one that is silent, or refuses, are probed at once', () => {
    const silent = withNeighbour()
    silent.machine.runUntil(
      'member-changed',
      ({ change, member }) => change === 'suspected' && member.name === 'm2',
    )
    expect(silent.neighbourAsked()).toBe(1)
    const refusing = withNeighbour()
    const { probe } = refusing.machine.runUntil('start-stream-probe', ({ to }) => to.port === 7946)
    expect(refusing.neighbourAsked()).toBe(0)
    refusing.machine.handle({ kind: 'stream-probe-finished', probe, outcome: 'refused' })
    expect(refusing.neighbourAsked()).toBe(1)
  })

  test('a member whose incarnation nobody can believe is asked for its state, once at a time', () => {
    const machine = steady().withMembers(3)
    const claim = () => machine.packet(3, alive(2, 2 ** 21))
    claim()
    claim()
    const [fetch, ...more] = machine.of('start-push-pull')
    expect(more).toEqual([])
    expect(fetch).toMatchObject({ to: endpointOf(2), state: { join: false } })
    machine.handle({ kind: 'push-pull-failed', exchange: fetch!.exchange, outcome: 'failed', message: 'no' })
    claim()
    expect(machine.of('start-push-pull')).toHaveLength(2)
  })

  test.each([
    [31, 0],
    [32, 1],
  ])('of %i new members %i states come besides the rounds, a second later', (count, states) => {
    const machine = steady({ pushPullIntervalMs: 600_000 })
    for (let n = 2; n < count + 2; n++) machine.packet(2, alive(n))
    machine.run(999)
    expect(machine.of('start-push-pull')).toEqual([])
    machine.run(1)
    expect(machine.of('start-push-pull')).toHaveLength(states)
  })

  test('where news is left out a state comes ten seconds later', () => {
    const settings = { keyed: false, pushPullIntervalMs: 600_000, stallThresholdMs: 0 }
    const machine = steady(settings).withMembers(2)
    const strangers = Array.from({ length: 1100 }, (_, i) => alive(20, 1, { node: `s${i}`, port: 1000 + i }))
    machine.packet(2, ...strangers)
    for (const [waitMs, states] of [
      [9999, []],
      [1, [{ to: endpointOf(2) }]],
    ] as const) {
      machine.nowMs += waitMs
      machine.handle({ kind: 'tick' })
      expect(machine.of('start-push-pull')).toMatchObject(states)
    }
  })

  test.each([
    [0, 0],
    [1000, 0],
    [1001, 1],
  ])(
    'whose name is claimed is probed, if it answered over an interval ago: %i ms, %i times',
    (agoMs, count) => {
      const machine = steady({ probeIntervalMs: 1000 }).withMembers(6)
      machine.run(5000)
      const { member } = machine.runUntil('probe-finished')
      const n = Number(member.name.slice(1))
      const answeredMs = machine.nowMs
      machine.answering.clear()
      machine.run(Math.max(0, agoMs - 1))
      machine.nowMs = answeredMs + agoMs
      machine.clear()
      machine.answering.add(n)
      machine.packet(7, alive(n, 2, { address: alive(90).address }))
      expect(
        machine.of('probe-finished').filter(({ member: { name } }) => name === member.name),
      ).toHaveLength(count)
    },
  )

  test.each([
    [-1, 'alive'],
    [0, 'suspect'],
  ])('a refusal %d ms from when refusals count again makes its member %s', (fromMs, state) => {
    const machine = steady({ stallThresholdMs: 0 }).withMembers(2)
    machine.answering.delete(2)
    const { probe } = machine.runUntil('start-stream-probe')
    machine.handle({ kind: 'stream-probe-finished', probe, outcome: 'refused' })
    expect(machine.state(2)).toBe('suspect')
    machine.packet(2, { kind: 'ack', seqNo: probe, payload: NO_BYTES }, alive(2, 2))
    const untilMs = machine.nowMs + 600_000
    machine.answering.add(2)
    // A round that is answered, and one that is not.
    machine.nowMs = untilMs - 1700
    machine.handle({ kind: 'tick' })
    machine.answering.delete(2)
    const second = machine.runUntil('start-stream-probe')
    machine.nowMs = untilMs + fromMs
    machine.handle({ kind: 'stream-probe-finished', probe: second.probe, outcome: 'refused' })
    expect(machine.state(2)).toBe(state)
  })

  test('with the leave over, a state is exchanged at once', () => {
    const machine = steady().withMembers(3)
    expect(machine.handle({ kind: 'leave' }).map(({ kind }) => kind)).not.toContain('start-push-pull')
    expect(machine.of('left')).toHaveLength(1)
    expect(machine.of('start-push-pull')).toHaveLength(1)
  })

  test('who is dead here and says itself that it lives is asked first; on the word of another it is taken', () => {
    for (const [from, expected] of [
      [2, 'dead'],
      [3, 'alive'],
    ] as const) {
      const machine = steady().withMembers(3)
      machine.run(5000)
      machine.answering.clear()
      machine.packet(3, dead(2, 1, 'm3'))
      machine.packet(from, alive(2, 2))
      expect(machine.state(2)).toBe(expected)
    }
  })
})

describe('what it tells of itself', () => {
  test('others hold it for dead for ten intervals, and none reaches it', () => {
    const machine = steady().withMembers(3)
    let incarnation = 1
    const called = () => {
      machine.packet(2, dead(1, incarnation++, 'm2'))
      return machine.protocol.isUnreached
    }
    for (const reach of [
      () => machine.packet(3, ping()),
      () => machine.handle({ kind: 'stream-ping-received', stream: 4, ping: ping({ node: '' }) }),
    ]) {
      expect(machine.protocol.isUnreached).toBe(false)
      expect(called()).toBe(false)
      machine.run(9999)
      expect(called()).toBe(false)
      machine.run(1)
      expect(called()).toBe(true)
      machine.packet(3, ping({ node: 'm3' }))
      expect(machine.protocol.isUnreached).toBe(true)
      reach()
      expect(machine.protocol.isUnreached).toBe(false)
    }
  })

  test('names that are contested, its own among them, and whether the others list the other process', () => {
    const machine = steady().withMembers(3)
    for (const n of [8, 9]) machine.answering.add(n)
    expect(machine.protocol.contested()).toEqual([])
    machine.packet(3, alive(2, 2, { address: alive(8).address }), alive(1, 2, { address: alive(9).address }))
    expect(machine.protocol.contested()).toMatchObject([
      { name: 'm1', endpoint: endpointOf(1), rival: endpointOf(9) },
      { name: 'm2', endpoint: endpointOf(2), rival: endpointOf(8) },
    ])
    // It asks the one whose own name is not contested.
    const [{ to, exchange }] = machine.of('start-push-pull') as [EffectOf<'start-push-pull'>]
    expect(to).toEqual(endpointOf(3))
    const state = { join: false, nodes: [node(3), { ...node(9), name: 'm1' }], userState: NO_BYTES }
    machine.handle({ kind: 'push-pull-received', stream: 1, from: endpointOf(3), state })
    expect(machine.protocol.isUnlisted).toBe(false)
    machine.handle({ kind: 'push-pull-answered', exchange, state })
    expect(machine.protocol.isUnlisted).toBe(true)
  })
})

describe('one process at two places', () => {
  const forged = alive(2, 9, { address: alive(9).address })

  /** The questions of `m1` about the name `m2`, put by `forged`. */
  function asked() {
    const machine = steady().withMembers(3)
    machine.answering.delete(2)
    machine.packet(3, forged)
    machine.answering.add(2)
    const pings = machine.sent('ping').filter(({ message }) => message.node === 'm2')
    const at = (n: number) => pings.find(({ to }) => to === n)!.message.seqNo
    const answer = (n: number, ...said: Message[]) => {
      machine.packet(n, { kind: 'ack', seqNo: at(n), payload: NO_BYTES }, ...said)
    }
    return { machine, answer }
  }

  test('is no contest', () => {
    const { machine, answer } = asked()
    answer(2, alive(2))
    answer(9, alive(2))
    machine.run(60_000)
    expect(machine.changes()).not.toContain('m2 contested')
    expect(machine.protocol.member('m2')?.endpoint).toEqual(endpointOf(2))
  })

  test('is no contest of this member’s own name: its questions come back to it, and it does not answer them', () => {
    const machine = steady().withMembers(3)
    machine.packet(3, alive(1, 9, { address: alive(9).address }))
    const [question] = machine.sent('ping').filter(({ to }) => to === 9)
    machine.clear()
    machine.packet(1, question!.message)
    machine.handle({ kind: 'stream-ping-received', stream: 4, ping: question!.message })
    expect(machine.sent('ack')).toEqual([])
    expect(machine.effects.map(({ effect }) => effect)).toMatchObject([
      { kind: 'refuse-stream', stream: 4, reason: 'not-for-us' },
    ])
    // Anybody else's it answers.
    machine.packet(9, { ...question!.message, seqNo: 5 })
    expect(machine.sent('ack')).toHaveLength(1)
    machine.run(60_000)
    expect(machine.changes()).not.toContain('m1 contested')
  })

  test('is listed where it says that it is, by an answer of its own alone', () => {
    const { machine, answer } = asked()
    machine.packet(
      2,
      { kind: 'ack', seqNo: 1, payload: NO_BYTES },
      alive(2, 3, { address: alive(8).address }),
    )
    expect(machine.protocol.member('m2')?.endpoint).toEqual(endpointOf(2))
    answer(2, forged)
    expect(machine.protocol.member('m2')).toMatchObject({
      state: 'alive',
      endpoint: endpointOf(9),
      rival: undefined,
    })
  })
})

describe('a ping', () => {
  /** `m2` is held for this, and has answered from where it is, or not. */
  function holding(message: Message, hasAnswered: boolean): Machine {
    const machine = steady({ reconnectIntervalMs: 0, deadKeptMs: 600_000 }).withMembers(8)
    if (hasAnswered) machine.run(30_000)
    machine.answering.delete(2)
    machine.packet(3, message)
    quiet(machine)
    return machine
  }

  test.each([
    ['from where it is', suspect(2, 1, 'm3'), false, 2, source(2), 2, true],
    ['from elsewhere', suspect(2, 1, 'm3'), false, 7, source(2), 7, false],
    ['from elsewhere, who is dead', dead(2, 1, 'm3'), false, 7, source(2), 7, true],
    ['from elsewhere, and answered where it is', suspect(2, 1, 'm3'), true, 7, source(2), 2, true],
    ['of another port', suspect(2, 1, 'm3'), false, 2, source(2, { port: 7950 }), 2, false],
    ['under another name', suspect(2, 1, 'm3'), false, 2, source(2, { node: 'm99' }), 2, false],
    ['of no port', suspect(2, 1, 'm3'), false, 2, source(2, { port: 0 }), 2, false],
    ['without a source', suspect(2, 1, 'm3'), false, 2, undefined, 2, false],
    ['of who has left', dead(2, 1, 'm2'), false, 2, source(2), 2, false],
  ])('%s', (_, held, hasAnswered, from, asker, to, isTold) => {
    const machine = holding(held, hasAnswered)
    const told = isTold ? [{ ...held, from: 'm1' }] : []
    expect(answers(machine, from, ping(asker && { source: asker }))).toEqual([
      { to, messages: [ack, ...told] },
    ])
  })

  test.each([
    [{ port: 0 }, true],
    [{ port: 1 }, false],
    [{ port: 65_535 }, false],
    [{ port: 65_536 }, true],
    [{ address: new Uint8Array(4) }, true],
  ])('of a stranger who says that he is at %j carries news: %s', (over, isCarrying) => {
    const machine = steady()
    const [answer] = answers(machine, 7, ping({ source: source(8, over) }))
    expect(answer?.messages.map(({ kind }) => kind)).toEqual(isCarrying ? ['ack', 'alive'] : ['ack'])
  })

  test.each([
    [suspect(1, 1, 'm2'), true],
    [dead(1, 1, 'm2'), true],
    [suspect(77, 1, 'm2'), false],
    [dead(77, 1, 'm2'), false],
    [alive(1, 1), false],
    [{ kind: 'user', payload: NO_BYTES } as const, false],
  ])('with %j, after we refuted, has us say it again: %s', (message, isSaid) => {
    const machine = steady().withMembers(3)
    machine.packet(2, suspect(1, 1, 'm2'))
    quiet(machine)
    const [answer] = answers(machine, 2, message, ping())
    expect(answer?.messages).toMatchObject(
      isSaid ? [ack, { kind: 'alive', node: 'm1', incarnation: 2 }] : [ack],
    )
  })

  test('puts off our own probes of who sent it, from where it is', () => {
    const counts = [2, 9].map((from) => {
      const machine = steady().withMembers(6)
      machine.run(20_000)
      machine.clear()
      for (let i = 0; i < 120; i++) {
        machine.run(500)
        for (let n = 2; n <= 6; n++)
          if (n !== 4) machine.packet(from === 2 ? n : 9, ping({ source: source(n) }))
      }
      return machine.of('probe-finished').filter(({ member }) => member.name === 'm4').length
    })
    // Where all others ping us, the one that does not has our probes.
    expect(counts).toEqual([10, 5])
  })

  test.each([
    ['ping', [ping(), ping({ seqNo: 10 })]],
    ['indirect-ping', [indirectPing(), indirectPing({ seqNo: 51 })]],
  ] as const)('one %s of a packet is answered, a second one refused', (kind, messages) => {
    const machine = steady().withMembers(2)
    expect(answers(machine, 3, ...messages)).toHaveLength(1)
    expect(machine.protocol.counters.refused.overloaded).toBe(1)
    const fields = { event: 'message.refused', reason: 'overloaded', kind, from: '10.0.0.3' }
    expect(machine.of('log')).toMatchObject([{ level: 'warn', fields }])
    expect(answers(machine, 3, messages[0])).not.toEqual([])
    expect(machine.protocol.counters.refused.overloaded).toBe(1)
  })

  test('that is indirect is a look for a suspect only behind the suspicion of it', () => {
    for (const [about, nacks] of [
      [2, []],
      [3, [1400]],
    ] as const) {
      const machine = steady().withMembers(4)
      machine.answering.delete(2)
      quiet(machine)
      const startedMs = machine.nowMs
      machine.packet(4, suspect(about, 1, 'm4'), indirectPing())
      machine.run(450)
      expect(machine.sent('nack').map(({ atMs }) => atMs - startedMs + 1000)).toEqual(nacks)
    }
  })

  test('for another name is refused, by packet and by stream, and told with a name of bounded length', () => {
    const machine = steady()
    expect(answers(machine, 7, ping({ node: LONG_NAME }))).toEqual([])
    const fields = { event: 'message.refused', reason: 'not-for-us', meant: LONG_NAME.slice(45) }
    expect(machine.of('log').map((log) => log.fields)).toEqual([{ ...fields, from: '10.0.0.7' }])
    const other = steady()
    other.handle({ kind: 'stream-ping-received', stream: 4, ping: ping({ node: LONG_NAME }) })
    expect(other.of('log').map((log) => log.fields)).toEqual([fields])
    other.clear()
    other.handle({ kind: 'stream-ping-received', stream: 5, ping: ping({ node: '' }) })
    expect(other.effects.map(({ effect }) => effect)).toEqual([
      { kind: 'answer-stream-ping', stream: 5, ack },
    ])
  })

  test('after our leave is answered with it alone, and refused on a stream', () => {
    const machine = steady().withMembers(2)
    machine.answering.clear()
    machine.handle({ kind: 'leave' })
    expect(answers(machine, 7, ping())).toEqual([{ to: 7, messages: [dead(1, 1, 'm1')] }])
    machine.handle({ kind: 'stream-ping-received', stream: 4, ping: ping() })
    expect(machine.of('refuse-stream')).toEqual([{ kind: 'refuse-stream', stream: 4, reason: 'not-for-us' }])
  })
})

describe('what the application asks', () => {
  test.each([true, false])('a message to one member, with keys: %s, goes alone in a packet', (keyed) => {
    const machine = steady({ keyed })
    const payload = Uint8Array.of(1)
    machine.handle({ kind: 'send-message', to: endpointOf(7), payload })
    expect(machine.of('send-packet')).toEqual([
      { kind: 'send-packet', to: endpointOf(7), messages: [{ kind: 'user', payload }] },
    ])
  })

  test('a broadcast may take half of a packet', () => {
    const machine = steady().withMembers(2)
    for (const [id, bytes] of [
      [1, 698],
      [2, 697],
      [3, 10],
    ] as const)
      machine.handle({ kind: 'broadcast', id, payload: new Uint8Array(bytes) })
    expect(machine.of('broadcast-finished').map(({ id, outcome }) => [id, outcome])).toEqual([[1, 'dropped']])
    machine.run(10_000)
    // Without a topic none takes the place of another.
    expect(machine.of('broadcast-finished').map(({ outcome }) => outcome)).toEqual([
      'dropped',
      'sent',
      'sent',
    ])
  })

  test('metadata of 512 bytes is taken; more, or any after our leave, is not, and the log says so', () => {
    const machine = steady().withMembers(2)
    const update = (bytes: number) => machine.handle({ kind: 'update-metadata', meta: new Uint8Array(bytes) })
    update(512)
    expect(machine.protocol.member('m1')).toMatchObject({ incarnation: 2, meta: new Uint8Array(512) })
    machine.clear()
    const fields = { event: 'metadata.refused', sizeBytes: 513 }
    expect(update(513)).toMatchObject([{ kind: 'log', level: 'warn', fields }])
    machine.handle({ kind: 'leave' })
    expect(update(3)).toMatchObject([{ kind: 'log', level: 'warn', fields: { ...fields, sizeBytes: 3 } }])
    expect(machine.protocol.member('m1')).toMatchObject({ incarnation: 2, meta: new Uint8Array(512) })
  })

  test('nobody is forgotten who is not known, nor this member, though it has left', () => {
    const machine = steady().withMembers(2)
    machine.handle({ kind: 'leave' })
    machine.clear()
    expect(machine.handle({ kind: 'forget', name: 'nobody' })).toEqual([])
    expect(machine.handle({ kind: 'forget', name: 'm1' })).toEqual([])
    expect(machine.state(1)).toBe('left')
  })

  test('by which ways a member answers is told when both have ended, each once', () => {
    const machine = steady({ probeIntervalMs: 60_000 }).withMembers(2)
    machine.answering.clear()
    const startedMs = machine.nowMs
    machine.handle({ kind: 'check-reach', id: 1, name: 'm2' })
    const [stream] = machine.of('start-stream-probe')
    expect(stream).toMatchObject({ to: endpointOf(2), timeoutMs: 3000, ping: { node: 'm2' } })
    for (const outcome of ['acked', 'refused'] as const)
      machine.handle({ kind: 'stream-probe-finished', probe: stream!.probe, outcome })
    machine.run(2999)
    expect(machine.of('reach-checked')).toEqual([])
    machine.run(1)
    expect(machine.of('reach-checked')).toEqual([{ kind: 'reach-checked', id: 1, udp: false, tcp: true }])
    const packets = machine.effects.filter(
      ({ effect }) => effect.kind === 'send-packet' && effect.messages[0]?.kind === 'ping',
    )
    expect(packets.map(({ atMs }) => atMs - startedMs)).toEqual([0, 250])
    for (const { effect } of packets) expect(effect).toMatchObject({ messages: [{ node: 'm2' }] })
    machine.run(10_000)
    expect(machine.of('reach-checked')).toHaveLength(1)
  })

  test('a stream that the shell does not end is over after six seconds', () => {
    const machine = steady({ probeIntervalMs: 60_000 }).withMembers(2)
    machine.handle({ kind: 'check-reach', id: 1, name: 'm2' })
    machine.run(5999)
    expect(machine.of('reach-checked')).toEqual([])
    machine.run(1)
    expect(machine.of('reach-checked')).toEqual([{ kind: 'reach-checked', id: 1, udp: true, tcp: false }])
  })

  test('who never answered is asked over both as well, in a ring without keys', () => {
    const machine = steady({ keyed: false })
    machine.handle({ kind: 'join', seeds: [endpointOf(2)] })
    const { exchange } = machine.of('start-push-pull')[0]!
    const state = { join: false, nodes: [node(2), node(3)], userState: NO_BYTES }
    machine.handle({ kind: 'push-pull-answered', exchange, state })
    machine.clear()
    machine.handle({ kind: 'check-reach', id: 1, name: 'm3' })
    expect(machine.sent('ping').map(({ to }) => to)).toEqual([3])
    expect(machine.of('start-stream-probe')).toMatchObject([{ to: endpointOf(3) }])
  })
})

import { describe, expect, test } from 'vitest'
import type { DeathEvidence } from '../../../../src/membership/memberlist/protocol/counters.ts'
import type { MemberRecord } from '../../../../src/membership/memberlist/protocol/members.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import {
  askRelays,
  noteAnswer,
  suspectMessage,
  Suspicions,
} from '../../../../src/membership/memberlist/protocol/suspicion.ts'
import { CoreBench } from './core-bench.ts'
import { alive, endpointOf } from './machine.ts'

/** Suspicions of `m1` beside `m2` to `m<count>`, and what came of them. They begin at 1000 ms. */
class SuspicionBench extends CoreBench {
  readonly ends: { readonly atMs: number; readonly end: DeathEvidence | 'asked' }[] = []
  readonly suspicions: Suspicions
  readonly others: MemberRecord[]
  readonly record: MemberRecord

  constructor(count: number, settings: Partial<ProtocolSettings> = {}) {
    super(settings)
    this.others = this.members(count)
    this.record = this.others[0]!
    this.suspicions = new Suspicions(this.core, {
      declareDead: (record, end) => {
        this.ends.push({ atMs: this.nowMs, end })
        this.suspicions.end(record)
        this.core.members.setState(record, 'dead', this.nowMs)
      },
      askForState: () => {
        this.ends.push({ atMs: this.nowMs, end: 'asked' })
      },
    })
  }

  begin(from = 'm3'): void {
    this.core.members.setState(this.record, 'suspect', this.nowMs)
    this.suspicions.begin(this.record, from)
  }

  /** When the suspect was pinged, from the beginning on. */
  pings(): number[] {
    return this.sent('ping').map(({ atMs }) => Math.round(atMs - 1000))
  }

  ack(from = 2): void {
    const { seqNo } = this.sent('ping')[0]!.message
    this.core.pending.get(seqNo)?.acked(new Uint8Array(0), endpointOf(from), [])
  }

  nack(): void {
    const { seqNo } = this.sent('ping')[0]!.message
    this.core.pending.get(seqNo)?.nacked?.(endpointOf(4))
  }

  endStream(outcome: 'acked' | 'refused' | 'failed'): void {
    const [{ probe } = { probe: 0 }] = this.of('start-stream-probe').slice(-1)
    this.core.pendingStreams.get(probe)?.(outcome)
  }
}

describe('confirmations', () => {
  test('count of members that live, each once, as many as there is room for', () => {
    const bench = new SuspicionBench(9, { checkSuspects: false })
    const [, , four, five] = bench.others
    expect(bench.suspicions.confirm(bench.record, 'm4')).toBe(false)
    bench.begin()
    bench.core.members.setState(four!, 'dead', bench.nowMs)
    bench.core.members.setState(five!, 'left', bench.nowMs)
    const due = () => bench.record.suspicion!.dueMs - 1000
    const half = 24_000 - 20_000 * (Math.log(2) / Math.log(3))
    for (const [from, isNews, dueMs] of [
      ['m4', false, 24_000],
      ['m5', false, 24_000],
      ['stranger', false, 24_000],
      ['m3', false, 24_000],
      ['m6', true, half],
      ['m6', false, half],
      ['m7', true, 4000],
      ['m8', false, 4000],
    ] as const) {
      expect(bench.suspicions.confirm(bench.record, from), from).toBe(isNews)
      expect(due(), from).toBeCloseTo(dueMs)
    }
    bench.run(3999)
    expect(bench.ends).toEqual([])
    bench.run(1)
    expect(bench.ends).toEqual([{ atMs: 5000, end: 'silence' }])
    // None of the earlier deadlines is left.
    expect(bench.core.deadlines.nextMs).toBe(Infinity)
  })

  test.each([
    [0.5, 4000],
    [1, 4000],
    [2, 8000],
  ])(
    'with the longest time %d times the shortest it is %i ms without any',
    (suspicionMaxTimeoutMult, dueMs) => {
      const bench = new SuspicionBench(9, { suspicionMaxTimeoutMult })
      bench.begin()
      expect(bench.record.suspicion?.dueMs).toBe(1000 + dueMs)
    },
  )
})

describe('checks', () => {
  test('begin half-way through the shortest time and a little chance, are half an interval apart, and are one question', () => {
    const bench = new SuspicionBench(3)
    bench.begin()
    bench.core.announceSelf()
    bench.run(3999)
    expect(bench.pings()).toEqual([2250, 2750, 3250, 3750])
    expect(new Set(bench.sent('ping').map(({ message }) => message.seqNo)).size).toBe(1)
    // What waits to be said goes along.
    const [packet] = bench.of('send-packet')
    expect(packet?.messages.map(({ kind }) => kind)).toEqual(['ping', 'suspect', 'alive'])
    expect(bench.of('start-stream-probe')).toMatchObject([{ to: endpointOf(2), timeoutMs: 1750 }])
    expect(bench.times('start-stream-probe')).toEqual([3250])
    bench.run(1)
    expect(bench.ends).toEqual([{ atMs: 5000, end: 'silence' }])
    expect(bench.core).toMatchObject({ pending: new Map(), pendingStreams: new Map() })
    bench.run(10_000)
    expect(bench.pings()).toHaveLength(4)
  })

  test('are none where they are switched off, and without streams where those are', () => {
    const off = new SuspicionBench(3, { checkSuspects: false })
    off.begin()
    off.run(4000)
    expect(off.pings()).toEqual([])
    const datagrams = new SuspicionBench(3, { streamProbes: false })
    datagrams.begin()
    datagrams.run(4000)
    expect(datagrams.pings()).toHaveLength(4)
    expect(datagrams.of('start-stream-probe')).toEqual([])
  })

  test('stay as they are when a confirmation or a departure brings the end forward', () => {
    const bench = new SuspicionBench(9)
    bench.begin()
    bench.suspicions.confirm(bench.record, 'm4')
    bench.suspicions.confirm(bench.record, 'm5')
    bench.run(3500)
    expect(bench.pings()).toEqual([2250, 2750, 3250])
    expect(bench.core.deadlines.nextMs).toBe(1000 + 3750)
  })

  test('an answer puts the end off by the shortest time, eight times, with a stream each time; a stream has 100 ms at the least', () => {
    const bench = new SuspicionBench(3)
    bench.begin()
    const asked = []
    for (let i = 1; i <= 8; i++) {
      bench.run(3999)
      bench.ack()
      bench.run(1)
      asked.push({ atMs: 1000 + 4000 * i, end: 'asked' })
      expect(bench.ends).toEqual(asked)
    }
    bench.run(3900)
    bench.ack()
    bench.run(100)
    expect(bench.ends).toEqual([...asked, { atMs: 37_000, end: 'silence' }])
    expect(bench.times('start-stream-probe').map((atMs) => atMs - 1000)).toEqual([
      2250, 4250, 8250, 12_250, 16_250, 20_250, 24_250, 28_250, 32_250,
    ])
    const brief = new SuspicionBench(3, { suspicionMult: 0.6, probeIntervalMs: 1000 })
    brief.begin()
    brief.run(599)
    expect(brief.of('start-stream-probe')).toMatchObject([{ timeoutMs: 100 }])
  })

  test('of an answer that came in the moment the time began nothing comes', () => {
    const bench = new SuspicionBench(3)
    noteAnswer(bench.core, bench.record, 'direct')
    bench.core.declaredDead.doubt(bench.nowMs)
    bench.begin()
    bench.run(4000)
    expect(bench.ends).toEqual([{ atMs: 5000, end: 'silence' }])
  })

  test('that others hold us for dead puts the end off as well, and nobody is asked for his state', () => {
    const bench = new SuspicionBench(3)
    bench.begin()
    bench.run(1)
    bench.core.declaredDead.doubt(bench.nowMs)
    bench.run(7998)
    expect(bench.ends).toEqual([])
    bench.run(1)
    expect(bench.ends).toEqual([{ atMs: 9000, end: 'silence' }])
  })

  test('after an answer confirmations do not bring the end forward again', () => {
    const bench = new SuspicionBench(9, { suspicionMaxTimeoutMult: 1.5 })
    bench.begin()
    bench.run(5000)
    bench.ack()
    bench.run(1000)
    expect(bench.ends).toEqual([{ atMs: 7000, end: 'asked' }])
    expect(bench.suspicions.confirm(bench.record, 'm4')).toBe(true)
    expect(bench.record.suspicion?.dueMs).toBe(11_000)
  })

  test('a suspicion that is over leaves nothing behind', () => {
    const bench = new SuspicionBench(6)
    bench.suspicions.end(bench.record)
    bench.begin()
    bench.core.queueMessage(
      { kind: 'suspect', incarnation: 1, node: 'm2', from: 'm4' },
      { space: 'confirmation', name: 'm2' },
    )
    bench.run(3000)
    expect(bench.core.pendingStreams.size).toBe(1)
    expect(bench.core.pending.size).toBe(1)
    bench.suspicions.end(bench.record)
    expect(bench.record.suspicion).toBeUndefined()
    expect(bench.core.queue.count).toBe(0)
    expect(bench.core).toMatchObject({ pending: new Map(), pendingStreams: new Map() })
    expect(bench.core.deadlines.nextMs).toBe(Infinity)
  })
})

describe('where others go while a suspicion lasts', () => {
  /** When the suspect is dead, where others go at once. It is looked at in each check. */
  function shrinking(before: number, after: number, settings: Partial<ProtocolSettings> = {}) {
    const bench = new SuspicionBench(before, settings)
    bench.begin()
    for (const record of bench.others.slice(after - 1))
      bench.core.members.setState(record, 'left', bench.nowMs)
    while (bench.pings().length === 0) bench.run(50)
    return (bench.ends[0]?.atMs ?? bench.record.suspicion!.dueMs) - 1000
  }

  test.each([
    // Fewer are left than could confirm.
    [8, 3, 4000],
    [8, 4, 24_000],
    [8, 8, 24_000],
    // The shortest time grows by the logarithm of those who live.
    [100, 100, 48_000],
    [100, 10, 24_000],
    [100, 50, 6 * 4000 * Math.log10(50)],
    // Its time would have been over before the first check.
    [100, 3, 4250],
  ])('%i members, then %i: %i ms', (before, after, dueMs) => {
    expect(shrinking(before, after)).toBeCloseTo(dueMs)
  })

  test('it does not grow where others come, nor change after an answer', () => {
    const bench = new SuspicionBench(50)
    bench.begin()
    const { dueMs } = bench.record.suspicion!
    for (let n = 51; n <= 100; n++) bench.member(n)
    bench.run(6000)
    expect(bench.record.suspicion).toMatchObject({ dueMs, k: 2 })
    const few = new SuspicionBench(3)
    few.begin()
    for (let n = 4; n <= 8; n++) few.member(n)
    few.run(3000)
    expect(few.record.suspicion).toMatchObject({ dueMs: 5000, k: 0 })
    const answered = new SuspicionBench(8, { suspicionMaxTimeoutMult: 1 })
    answered.begin()
    answered.run(3000)
    answered.ack()
    answered.run(1000)
    for (const record of answered.others.slice(1))
      answered.core.members.setState(record, 'left', answered.nowMs)
    answered.run(1000)
    expect(answered.record.suspicion).toMatchObject({ dueMs: 9000, k: 2, minMs: 4000 })
  })
})

describe('evidence', () => {
  test.each([
    ['refusal', 600],
    ['kubernetes', 2500],
  ] as const)(
    'of the kind %s is weighed after %i ms, in which the suspect is pinged five times',
    (kind, waitMs) => {
      const bench = new SuspicionBench(6)
      bench.begin()
      bench.suspicions.addEvidence(bench.record, kind)
      expect(bench.sent('indirect-ping').map(({ to }) => to)).toHaveLength(3)
      const seqNo = bench.sent('indirect-ping')[0]!.message.seqNo
      bench.run(waitMs - 1)
      bench.nack()
      expect(bench.sent('ping').every(({ message }) => message.seqNo === seqNo)).toBe(true)
      expect(bench.ends).toEqual([])
      bench.run(1)
      expect(bench.ends).toEqual([{ atMs: 1000 + waitMs, end: kind }])
      expect(bench.pings()).toEqual([0, 0.2, 0.4, 0.6, 0.8].map((part) => Math.round(part * waitMs)))
      // The stream is what brought the evidence.
      expect(bench.of('start-stream-probe')).toEqual([])
      bench.run(30_000)
      expect(bench.ends).toHaveLength(1)
    },
  )

  test('is heard once, of a suspect, where there is time, and not with the rule off', () => {
    const bench = new SuspicionBench(6)
    bench.suspicions.addEvidence(bench.record, 'refusal')
    expect(bench.sent('indirect-ping')).toEqual([])
    bench.begin()
    bench.suspicions.addEvidence(bench.record, 'kubernetes')
    bench.suspicions.addEvidence(bench.record, 'refusal')
    expect(bench.sent('indirect-ping')).toHaveLength(3)
    expect(bench.record.suspicion?.evidence?.kind).toBe('kubernetes')
    for (const refusedSuspicionMult of [0, -1]) {
      const off = new SuspicionBench(6, { refusedSuspicionMult })
      off.begin()
      off.suspicions.addEvidence(off.record, 'kubernetes')
      expect(off.record.suspicion?.evidence).toBeUndefined()
    }
    for (const [leftMs, isHeard] of [
      [599, false],
      [600, false],
      [601, true],
    ] as const) {
      const late = new SuspicionBench(3)
      late.begin()
      late.run(4000 - leftMs)
      late.suspicions.addEvidence(late.record, 'refusal')
      expect(late.record.suspicion?.evidence !== undefined, `${leftMs} ms before the end`).toBe(isHeard)
    }
  })

  test('waits longer where our own health is bad', () => {
    const bench = new SuspicionBench(2)
    bench.core.awareness.adjust(2)
    bench.begin()
    bench.suspicions.addEvidence(bench.record, 'refusal')
    expect(bench.record.suspicion?.evidence?.dueMs).toBe(1000 + 3 * 600)
  })

  test('without anybody to bear it out is death after the wait; with one that says nothing the pings go on', () => {
    const alone = new SuspicionBench(2)
    alone.begin()
    alone.suspicions.addEvidence(alone.record, 'refusal')
    alone.run(600)
    expect(alone.ends).toEqual([{ atMs: 1600, end: 'refusal' }])
    const bench = new SuspicionBench(3)
    bench.begin()
    bench.suspicions.addEvidence(bench.record, 'refusal')
    bench.run(1700)
    expect(bench.ends).toEqual([])
    expect(bench.pings()).toEqual([0, 120, 240, 360, 480, 600, 1100, 1600])
    // With the relay gone before the wait is over nobody is left.
    const left = new SuspicionBench(3)
    left.begin()
    left.suspicions.addEvidence(left.record, 'refusal')
    left.core.members.setState(left.others[1]!, 'left', left.nowMs)
    left.run(600)
    expect(left.ends).toEqual([{ atMs: 1600, end: 'refusal' }])
  })

  test('with checks off the suspect is pinged until it is weighed, and not on', () => {
    const bench = new SuspicionBench(3, { checkSuspects: false })
    bench.begin()
    bench.suspicions.addEvidence(bench.record, 'refusal')
    bench.run(3000)
    expect(bench.pings()).toEqual([0, 120, 240, 360, 480, 600])
  })

  test('that comes between checks has no second row of them beside it', () => {
    const bench = new SuspicionBench(3)
    bench.begin()
    bench.run(2300)
    bench.suspicions.addEvidence(bench.record, 'refusal')
    bench.run(800)
    expect(bench.pings()).toEqual([2250, 2300, 2420, 2540, 2660, 2780, 2900])
  })

  test('is nothing against who answered meanwhile, were it in the same moment', () => {
    for (const atMs of [0, 300]) {
      const bench = new SuspicionBench(2)
      bench.begin()
      bench.suspicions.addEvidence(bench.record, 'refusal')
      bench.run(atMs)
      bench.ack()
      bench.run(700)
      expect(bench.ends).toEqual([])
    }
  })

  test('of a suspicion that is over says nothing of the next one', () => {
    const bench = new SuspicionBench(2)
    bench.begin()
    bench.suspicions.addEvidence(bench.record, 'refusal')
    bench.suspicions.end(bench.record)
    bench.begin()
    bench.run(700)
    expect(bench.ends).toEqual([])
  })

  test('a nack without evidence says nothing; one that comes later decides', () => {
    const bench = new SuspicionBench(3)
    bench.begin()
    bench.run(2250)
    bench.nack()
    bench.suspicions.addEvidence(bench.record, 'refusal')
    bench.run(700)
    expect(bench.ends).toEqual([])
    bench.nack()
    expect(bench.ends).toEqual([{ atMs: 1000 + 2250 + 700, end: 'refusal' }])
  })

  test.each([
    ['refused', 'refusal', -Infinity],
    ['failed', undefined, -Infinity],
    ['acked', undefined, 3250],
  ] as const)('a stream of our checks that ends as %s: %s', (outcome, kind, lastAckMs) => {
    const bench = new SuspicionBench(3)
    bench.record.refusalsDistrustedUntilMs = 5
    bench.begin()
    bench.run(2250)
    bench.endStream(outcome)
    expect(bench.record.suspicion?.evidence?.kind).toBe(kind)
    expect(bench.record.lastAckMs).toBe(lastAckMs)
    expect(bench.record.refusalsDistrustedUntilMs).toBe(outcome === 'acked' ? -Infinity : 5)
    expect(bench.core.pendingStreams.size).toBe(0)
  })
})

describe('an answer', () => {
  test.each([
    ['direct', true, 601_000],
    ['relay', false, 601_000],
    ['stream', true, -Infinity],
  ] as const)(
    'by way of %s: it is there: %s; its refusals prove nothing until %d',
    (via, isThere, untilMs) => {
      const bench = new SuspicionBench(4)
      bench.record.refusalsDistrustedUntilMs = 5
      bench.begin()
      bench.suspicions.addEvidence(bench.record, 'refusal')
      noteAnswer(bench.core, bench.record, via)
      expect(bench.core.contacts.hasAnswered(bench.record.endpoint, 'm2', 0)).toBe(isThere)
      expect(bench.record).toMatchObject({ refusalsDistrustedUntilMs: untilMs, lastAckMs: 1000 })
    },
  )

  test('where there was no refusal, distrusts none', () => {
    const bench = new SuspicionBench(4)
    noteAnswer(bench.core, bench.record, 'direct')
    bench.begin()
    bench.suspicions.addEvidence(bench.record, 'kubernetes')
    noteAnswer(bench.core, bench.record, 'direct')
    expect(bench.record.refusalsDistrustedUntilMs).toBe(-Infinity)
  })

  test.each([
    [2, true],
    [3, false],
  ])('to a check, from m%i, is its own: %s', (from, isThere) => {
    const bench = new SuspicionBench(4)
    bench.begin()
    bench.run(2250)
    bench.ack(from)
    expect(bench.record.lastAckMs).toBe(3250)
    expect(bench.core.contacts.hasAnswered(bench.record.endpoint, 'm2', 0)).toBe(isThere)
  })

  test.each([
    [600_000, 'kubernetes', true],
    [599_999, 'kubernetes', true],
    [599_999, 'refusal', false],
    [600_000, 'refusal', true],
  ] as const)(
    '%i ms after one that followed a refusal, evidence of the kind %s counts: %s',
    (agoMs, kind, counts) => {
      const bench = new SuspicionBench(2)
      bench.record.refusalsDistrustedUntilMs = bench.nowMs + 600_000
      bench.at(bench.nowMs + agoMs)
      bench.begin()
      bench.suspicions.addEvidence(bench.record, kind)
      expect(bench.record.suspicion?.evidence !== undefined).toBe(counts)
    },
  )

  test.each([
    [10_000, 2, false],
    [10_001, 2, true],
    [10_001, 3, false],
  ])(
    'after %i ms without any, with %i of four suspects, puts deaths in doubt: %s',
    (silentMs, suspects, isDoubt) => {
      const bench = new SuspicionBench(5)
      for (const record of bench.others.slice(0, suspects)) bench.core.members.setState(record, 'suspect', 0)
      noteAnswer(bench.core, bench.record, 'direct')
      expect(bench.core.declaredDead.doubtedMs).toBe(-Infinity)
      bench.run(silentMs)
      noteAnswer(bench.core, bench.record, 'direct')
      expect(bench.core.declaredDead.doubtedMs).toBe(isDoubt ? 1000 + silentMs : -Infinity)
    },
  )

  test('from nobody for long: a death is not told, where suspects are checked', () => {
    for (const [checkSuspects, queued] of [
      [true, 0],
      [false, 1],
    ] as const) {
      const bench = new SuspicionBench(5, { checkSuspects, suspicionMult: 12 })
      noteAnswer(bench.core, bench.others[1]!, 'direct')
      bench.begin()
      const word = { kind: 'dead', incarnation: 1, node: 'm9', from: 'm1' } as const
      const topic = { space: 'member', name: 'm9' } as const
      bench.core.queueMessage(word, topic, bench.core.declaredDead.queued('m9'))
      bench.run(12_000)
      expect(bench.ends).toHaveLength(1)
      expect(bench.core.queue.count).toBe(queued)
    }
  })
})

describe('what is said', () => {
  test.each([
    ['alive', {}, []],
    ['left', {}, []],
    ['suspect', {}, [{ kind: 'suspect', incarnation: 1, node: 'm2', from: 'm1' }]],
    ['dead', {}, [{ kind: 'dead', incarnation: 1, node: 'm2', from: 'm1' }]],
    [
      'dead',
      { clusterName: 'blue' },
      [{ kind: 'dead', incarnation: 1, node: 'm2', from: 'm1', clusterName: 'blue' }],
    ],
    ['suspect', { tellSuspects: false }, []],
  ] as const)('to one that is %s, with %j: %j', (state, settings, said) => {
    const bench = new SuspicionBench(2, settings)
    bench.core.members.setState(bench.record, state, 0)
    expect(suspectMessage(bench.core, bench.record)).toEqual(said)
  })

  test.each([true, false])('to a relay, with keys: %s', (keyed) => {
    const bench = new SuspicionBench(3, { keyed })
    bench.core.announceSelf()
    const say = { kind: 'suspect', incarnation: 1, node: 'm2', from: 'm1' } as const
    askRelays(bench.core, bench.record, [bench.others[1]!], 44, [say])
    const question = {
      kind: 'indirect-ping',
      seqNo: 44,
      target: alive(2).address,
      port: 7946,
      node: 'm2',
      nack: true,
      source: { address: alive(1).address, port: 7946, node: 'm1' },
    }
    const [packet] = bench.of('send-packet')
    expect(packet?.to).toEqual(endpointOf(3))
    expect(packet?.messages.slice(0, 2)).toEqual([say, question])
    expect(packet?.messages.slice(2).map(({ kind }) => kind)).toEqual(keyed ? ['alive'] : [])
  })
})

import { describe, expect, test } from 'vitest'
import type { Endpoint } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import type { MemberRecord } from '../../../../src/membership/memberlist/protocol/members.ts'
import { Prober } from '../../../../src/membership/memberlist/protocol/probe.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { Suspicions } from '../../../../src/membership/memberlist/protocol/suspicion.ts'
import { CoreBench } from './core-bench.ts'
import { endpointOf } from './machine.ts'

const NO_BYTES = new Uint8Array(0)
const OLD_VSN = Uint8Array.of(1, 3, 2, 0, 0, 0)
const NACKING_VSN = Uint8Array.of(1, 4, 2, 0, 0, 0)

const timesOf = (pings: readonly [number, number][]) => pings.map(([atMs]) => atMs)

/** The prober of `m1` beside `m2` to `m<count>`, none of whom answers. */
class ProbeBench extends CoreBench {
  readonly ends: string[] = []
  readonly prober: Prober
  readonly others: MemberRecord[]
  readonly record: MemberRecord

  constructor(count: number, settings: Partial<ProtocolSettings> = {}) {
    super(settings)
    this.others = this.members(count)
    this.record = this.others[0]!
    this.prober = new Prober(this.core, {
      silent: ({ name }, probedMs) => this.ends.push(`${name} silent since ${probedMs} at ${this.nowMs}`),
      refused: ({ name }) => this.ends.push(`${name} refused`),
    })
  }

  get pendingAnswer() {
    return [...this.core.pending.values()][0]!
  }

  ack(from: Endpoint = endpointOf(2)): void {
    this.pendingAnswer.acked(Uint8Array.of(7), from, [])
  }

  nack(): void {
    this.pendingAnswer.nacked!(endpointOf(3))
  }

  endStream(outcome: 'acked' | 'refused' | 'failed'): void {
    for (const end of this.core.pendingStreams.values()) end(outcome)
  }

  /** When pings were sent and to whom. */
  pings(): [number, number][] {
    return this.sent('ping').map(({ atMs, to }) => [atMs, to])
  }

  suspect(...records: MemberRecord[]): void {
    for (const record of records) this.core.members.setState(record, 'suspect', this.nowMs)
    this.prober.suspected()
  }
}

describe('rounds', () => {
  test('begin at a random moment of an interval, and are stretched by our health', () => {
    const bench = new ProbeBench(2, { repeatPings: false })
    bench.prober.start()
    expect(bench.core.deadlines.nextMs).toBe(1500)
    bench.run(1499)
    bench.ack()
    bench.core.awareness.adjust(2)
    bench.run(4000)
    expect(timesOf(bench.pings())).toEqual([1500, 2500, 5500])
  })

  // Whatever is silent then, our health stays well.
  const WELL = { repeatPings: false, streamProbes: false, awarenessMaxMultiplier: 1 }

  /** When rounds were, after `m2` to `m<count>` were suspected at `atMs`; the next round would be at 2500. */
  function roundsAfter(atMs: number, suspects: number, settings: Partial<ProtocolSettings> = {}, score = 0) {
    const bench = new ProbeBench(30, { ...WELL, ...settings })
    bench.prober.start()
    bench.run(atMs - bench.nowMs)
    bench.core.awareness.adjust(score)
    bench.clear()
    bench.suspect(...bench.others.slice(0, suspects))
    bench.run(4000 - bench.nowMs)
    return bench.pings()
  }
  test('are eight times as often where three are suspected, until half an interval after the last', () => {
    const hasty = [1662.5, 1787.5, 1912.5, 2037.5, 2162.5]
    const pings = roundsAfter(1600, 3)
    expect(timesOf(pings)).toEqual([...hasty, 3162.5])
    // The suspects are left to those who look for them.
    expect(pings.slice(0, 4).every(([, to]) => to > 4)).toBe(true)
    expect(timesOf(roundsAfter(1600, 2))).toEqual([2500, 3500])
    expect(timesOf(roundsAfter(1600, 3, { witnesses: 'off' }))).toEqual([2500, 3500])
    expect(timesOf(roundsAfter(1600, 3, { awarenessMaxMultiplier: 8 }, 1))).toEqual([2500])
  })

  test('are not put off where the next one comes sooner', () => {
    for (const [atMs, dueMs] of [
      [2375, 2500],
      [2374, 2436.5],
    ] as const) {
      const bench = new ProbeBench(30, WELL)
      bench.prober.start()
      bench.run(atMs - bench.nowMs)
      bench.suspect(...bench.others.slice(0, 3))
      expect(bench.core.deadlines.nextMs).toBe(dueMs)
    }
  })

  test('are hasty up to the very moment', () => {
    const bench = new ProbeBench(30, WELL)
    bench.prober.start()
    bench.run(1499)
    bench.at(2500)
    bench.suspect(...bench.others.slice(0, 3))
    bench.clear()
    bench.run(1500)
    expect(timesOf(bench.pings())).toEqual([2500, 2625, 2750, 2875, 3000, 3125])
  })

  test('of one that nobody is suspected in are never hasty', () => {
    const bench = new ProbeBench(30, WELL)
    for (const record of bench.others.slice(0, 3)) bench.core.members.setState(record, 'suspect', bench.nowMs)
    bench.prober.start()
    bench.run(2000)
    expect(timesOf(bench.pings())).toEqual([1500, 2500])
  })
})

describe('a probe', () => {
  test('is one at a time, and of the living', () => {
    const bench = new ProbeBench(3)
    bench.prober.probe(bench.record)
    bench.prober.probe(bench.record)
    bench.core.members.setState(bench.others[1]!, 'left', 0)
    bench.prober.probe(bench.others[1]!)
    expect(bench.pings()).toEqual([[1000, 2]])
  })

  test.each([true, false])(
    'with keys: %s, pings three times, asks others, tries a stream, and carries news',
    (keyed) => {
      const bench = new ProbeBench(6, { keyed })
      for (const { endpoint, name } of bench.others.slice(1)) bench.core.contacts.answered(endpoint, name, 0)
      bench.core.announceSelf()
      bench.prober.probe(bench.record)
      bench.run(1000)
      expect(bench.pings()).toEqual([
        [1000, 2],
        [1250, 2],
        [1500, 2],
      ])
      const news = bench.sent('alive').filter(({ to }) => to === 2)
      expect(news).toHaveLength(keyed ? 3 : 0)
      expect(bench.sent('indirect-ping').map(({ atMs }) => atMs)).toEqual([1500, 1500, 1500])
      expect(bench.of('start-stream-probe')).toMatchObject([{ to: endpointOf(2), timeoutMs: 500 }])
      expect(bench.ends).toEqual(['m2 silent since 1000 at 2000'])
      expect(bench.core).toMatchObject({ pending: new Map(), pendingStreams: new Map() })
      bench.run(5000)
      expect(bench.ends).toHaveLength(1)
      const finished = bench.of('probe-finished')
      expect(finished).toMatchObject([
        { via: 'none', durationMs: 1000, payload: NO_BYTES, member: { name: 'm2' } },
      ])
    },
  )

  test('of a longer timeout than the interval asks others a moment before it ends', () => {
    const bench = new ProbeBench(3, { probeTimeoutMs: 2000 })
    bench.prober.probe(bench.record)
    bench.run(3000)
    expect(bench.sent('indirect-ping').map(({ atMs }) => atMs)).toEqual([2000])
    expect(bench.of('start-stream-probe')).toMatchObject([{ timeoutMs: 1 }])
    expect(bench.ends).toEqual(['m2 silent since 1000 at 2001'])
  })

  test('with a stream first has no second one later', () => {
    const bench = new ProbeBench(3)
    bench.prober.probe(bench.record, true)
    bench.run(2000)
    expect(bench.of('start-stream-probe')).toMatchObject([{ timeoutMs: 1000 }])
    expect(bench.times('start-stream-probe')).toEqual([1000])
  })

  test.each([
    [0, endpointOf(2), 'direct'],
    // Nobody was asked yet: it answers from another of its addresses.
    [0, endpointOf(9), 'direct'],
    [600, endpointOf(2), 'direct'],
    [600, { ...endpointOf(2), port: 1 }, 'relay'],
    [600, endpointOf(3), 'relay'],
  ] as const)('after %i ms an ack from %j is %s', (afterMs, from, via) => {
    const bench = new ProbeBench(3)
    bench.core.awareness.adjust(3)
    bench.prober.probe(bench.record)
    bench.run(afterMs * 4)
    bench.ack(from)
    expect(bench.of('probe-finished')).toMatchObject([
      { via, durationMs: afterMs * 4, payload: Uint8Array.of(7) },
    ])
    expect(bench.record.lastAckMs).toBe(bench.nowMs)
    expect(bench.core.contacts.isReached(bench.record.endpoint, bench.nowMs)).toBe(via === 'direct')
    expect(bench.core.awareness.score).toBe(2)
    expect(bench.core).toMatchObject({ pending: new Map(), pendingStreams: new Map() })
    bench.clear()
    bench.run(9000)
    expect(bench.effects).toEqual([])
  })

  test.each([
    ['acked', ['m2 by stream']],
    ['refused', ['m2 refused', 'm2 silent since 1000 at 2000']],
    ['failed', ['m2 silent since 1000 at 2000']],
  ] as const)('of a stream that %s', (outcome, ends) => {
    const bench = new ProbeBench(3)
    bench.prober.probe(bench.record)
    bench.run(500)
    bench.endStream(outcome)
    bench.endStream(outcome)
    bench.run(2000)
    const [finished] = bench.of('probe-finished')
    if (finished?.via === 'stream') bench.ends.push('m2 by stream')
    expect(bench.ends).toEqual(ends)
    if (outcome === 'acked') expect(finished).toMatchObject({ durationMs: 500, payload: NO_BYTES })
  })

  test('of one that leaves meanwhile says nothing of it', () => {
    const bench = new ProbeBench(3)
    bench.prober.probe(bench.record)
    bench.core.members.setState(bench.record, 'left', bench.nowMs)
    bench.run(1000)
    expect(bench.of('probe-finished')).toHaveLength(1)
    expect(bench.ends).toEqual([])
  })

  test.each([
    [3, 'suspect', false],
    [3, 'alive', true],
    [2, 'suspect', true],
  ] as const)('where %i are suspects, of one that is %s, asks others: %s', (suspects, state, isAsking) => {
    const bench = new ProbeBench(20)
    bench.prober.start()
    bench.prober.probe(state === 'suspect' ? bench.record : bench.others[10]!)
    bench.run(400)
    bench.suspect(...bench.others.slice(0, suspects))
    bench.run(100)
    expect(bench.sent('indirect-ping').length).toBe(isAsking ? 3 : 0)
    expect(bench.of('start-stream-probe').length).toBe(isAsking ? 1 : 0)
    bench.run(500)
    // Who did not ask has no answer to miss.
    expect(bench.core.awareness.score).toBe(isAsking ? 3 : 0)
  })
})

describe('our health, after a probe in vain', () => {
  test.each([
    ['nobody to ask', [], 0, 3],
    ['one that nacks', [NACKING_VSN], 1, 2],
    ['one that does not', [NACKING_VSN], 0, 3],
    ['three, of which one nacks', [NACKING_VSN, NACKING_VSN, NACKING_VSN], 1, 4],
    ['an old one, which cannot nack', [OLD_VSN], 0, 3],
    ['an old one and one that nacks', [OLD_VSN, NACKING_VSN], 1, 2],
    ['an old one and one that does not', [OLD_VSN, NACKING_VSN], 0, 3],
    ['one that nacks twice', [NACKING_VSN], 2, 2],
  ])('with %s', (_, vsns, nacks, score) => {
    const bench = new ProbeBench(2)
    for (const [i, vsn] of vsns.entries()) bench.member(3 + i, { vsn })
    bench.prober.probe(bench.record)
    bench.run(500)
    for (let i = 0; i < nacks; i++) bench.nack()
    bench.core.awareness.adjust(2)
    bench.run(500)
    expect(bench.core.awareness.score).toBe(score)
  })

  test('is better where the host refused: that answer reached us', () => {
    const bench = new ProbeBench(6)
    bench.prober.probe(bench.record)
    bench.run(500)
    bench.core.awareness.adjust(3)
    bench.endStream('refused')
    bench.run(500)
    expect(bench.core.awareness.score).toBe(2)
  })
})

describe('begun again after a stall, a probe', () => {
  function begunAgain() {
    const bench = new ProbeBench(6)
    bench.prober.probe(bench.record)
    bench.run(500)
    for (let i = 0; i < 3; i++) bench.nack()
    bench.run(300)
    bench.clear()
    bench.prober.restart()
    return bench
  }

  test('has its whole time, its pings, its relays and its stream again', () => {
    const bench = begunAgain()
    bench.run(1000)
    expect(timesOf(bench.pings())).toEqual([1800, 2050, 2300])
    expect(bench.sent('indirect-ping').map(({ atMs }) => atMs)).toEqual([2300, 2300, 2300])
    expect(bench.times('start-stream-probe')).toEqual([2300])
    expect(bench.ends).toEqual(['m2 silent since 1800 at 2800'])
    expect(bench.of('probe-finished')).toMatchObject([{ durationMs: 1000 }])
    // What relays said before counts no more.
    expect(bench.core.awareness.score).toBe(3)
  })

  test('knows an answer as direct before it asked others again', () => {
    const bench = begunAgain()
    bench.ack(endpointOf(9))
    expect(bench.of('probe-finished')).toMatchObject([{ via: 'direct', durationMs: 0 }])
  })

  test('takes the answer of its second stream after the first one failed', () => {
    const bench = begunAgain()
    bench.run(500)
    bench.endStream('failed')
    bench.endStream('acked')
    expect(bench.of('probe-finished')).toMatchObject([{ via: 'stream' }])
  })
})

describe('of the neighbours of one that is silent', () => {
  /** `m2`, and six others at its address. */
  function crowded() {
    const bench = new ProbeBench(2)
    const neighbours = Array.from({ length: 6 }, (_, i) => bench.member(20 + i, { host: 2, port: 8000 + i }))
    bench.at(10_000)
    return { bench, neighbours }
  }
  const probed = (bench: ProbeBench) => bench.of('start-stream-probe').map(({ to }) => to.port)

  test('four are probed by pings and streams at once', () => {
    const { bench } = crowded()
    bench.prober.probeNeighbours(bench.record)
    expect(probed(bench)).toHaveLength(4)
    expect(bench.pings()).toHaveLength(4)
  })

  test('those are left out that have just answered, are being probed, or are suspected by us', () => {
    const { bench, neighbours } = crowded()
    const [answered, earlier, running, ours, others] = neighbours
    answered!.lastAckMs = 9000
    earlier!.lastAckMs = 8999
    bench.prober.probe(running!)
    const suspicions = new Suspicions(bench.core, { declareDead: () => {}, askForState: () => {} })
    suspicions.begin(ours!, 'm1')
    suspicions.begin(others!, 'm2')
    bench.prober.probeNeighbours(bench.record)
    expect(new Set(probed(bench))).toEqual(new Set([8001, 8004, 8005]))
  })
})

import { describe, expect, test } from 'vitest'
import type { ExchangeFailure } from '../../../../src/membership/memberlist/protocol/effects.ts'
import { Rejoin } from '../../../../src/membership/memberlist/protocol/rejoin.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { CoreBench, NotedExchanges } from './core-bench.ts'
import { endpointOf } from './machine.ts'

const FAILURE = { outcome: 'refused', message: 'no' } as const

/** `m1` with `m2` to `m<count>`, which joins through seeds. */
class RejoinBench extends CoreBench {
  readonly exchanges = new NotedExchanges(this)
  readonly rejoin: Rejoin
  readonly others

  constructor(count = 1, settings: Partial<ProtocolSettings> = {}) {
    super(settings)
    this.others = this.members(count)
    this.rejoin = new Rejoin(this.core, this.exchanges)
  }

  join(...seeds: number[]): void {
    this.rejoin.join(seeds.map(endpointOf))
  }

  /** Ends every exchange that has not ended. */
  #ended = 0
  end(failure?: ExchangeFailure): void {
    while (this.#ended < this.exchanges.started.length) this.exchanges.started[this.#ended++]!.end(failure)
  }

  /** Seeds that were reached and that failed, of each join that is over. */
  finished() {
    return this.of('join-finished').map(({ reached, failed }) => ({
      reached: reached.map(({ address }) => address.slice(7)),
      failed: failed.map(({ seed, ...failure }) => [seed.address.slice(7), failure]),
    }))
  }
}

describe('a join', () => {
  test('contacts the seeds that are not alive here, but for its own place, and tells of all', () => {
    const bench = new RejoinBench(3)
    bench.join(1, 2, 8, 9)
    expect(new Set(bench.exchanges.places)).toEqual(new Set([8, 9]))
    expect(bench.exchanges.started.every(({ join }) => join)).toBe(true)
    expect(bench.core.seeds).toEqual([endpointOf(2), endpointOf(8), endpointOf(9)])
    expect(bench.finished()).toEqual([])
    const [one, two] = bench.exchanges.started
    one!.end(undefined)
    expect(bench.finished()).toEqual([])
    two!.end(FAILURE)
    const [{ reached, failed } = { reached: [], failed: [] }] = bench.finished()
    expect(new Set(reached)).toEqual(new Set(['2', one!.to.slice(7)]))
    expect(failed).toEqual([[two!.to.slice(7), FAILURE]])
  })

  test('of our address and another port is one with somebody else', () => {
    const bench = new RejoinBench()
    bench.rejoin.join([{ ...endpointOf(1), port: 7947 }])
    expect(bench.exchanges.places).toEqual([1])
  })

  test('has eight under way at once, in an order of chance', () => {
    const bench = new RejoinBench()
    const seeds = Array.from({ length: 10 }, (_, i) => i + 10)
    bench.join(...seeds)
    expect(bench.exchanges.started).toHaveLength(8)
    expect(bench.exchanges.places).not.toEqual(seeds.slice(0, 8))
    bench.exchanges.started[0]!.end(undefined)
    expect(bench.exchanges.started).toHaveLength(9)
    bench.end()
    expect(new Set(bench.exchanges.places)).toEqual(new Set(seeds))
    expect(bench.finished()).toMatchObject([{ failed: [] }])
    expect(bench.finished()[0]?.reached).toHaveLength(10)
  })

  test('asked for again while one runs ends with it, and asks nobody twice at a time', () => {
    const bench = new RejoinBench(3)
    bench.join(8, 9)
    bench.exchanges.started[0]!.end(FAILURE)
    const failedAt = bench.exchanges.places[0]!
    // The one that failed is asked again, the other one is still under way.
    bench.join(8, 9)
    expect(bench.exchanges.places.slice(2)).toEqual([failedAt])
    for (const { end } of bench.exchanges.started.slice(1)) end(undefined)
    expect(bench.finished()).toMatchObject([{ failed: [] }])
    expect(bench.finished()[0]?.reached).toHaveLength(2)
    // What was reached may have failed by now.
    bench.join(7)
    bench.end(FAILURE)
    expect(bench.finished()[1]).toEqual({ reached: [], failed: [['7', FAILURE]] })
  })

  test('that runs takes the last word on a seed', () => {
    const bench = new RejoinBench(3)
    bench.join(8, 9)
    const [first, other] = bench.exchanges.started
    const place = bench.exchanges.places[0]!
    first!.end(undefined)
    bench.join(place)
    bench.exchanges.started[2]!.end(FAILURE)
    other!.end(FAILURE)
    const [{ reached, failed } = { reached: [], failed: [] }] = bench.finished()
    expect(reached).toEqual([])
    expect(new Set(failed.map(([seed]) => seed))).toEqual(new Set(['8', '9']))
    // And one that was asked in vain is reached where it lives by then.
    const late = new RejoinBench()
    late.join(8, 9)
    late.exchanges.started[0]!.end(FAILURE)
    const n = late.exchanges.places[0]!
    late.member(n)
    late.join(n)
    late.exchanges.started[1]!.end(undefined)
    expect(late.finished()).toMatchObject([{ failed: [] }])
    expect(late.finished()[0]?.reached).toHaveLength(2)
  })

  test('without a seed is over at once; of 1024 seeds at most', () => {
    const bench = new RejoinBench()
    bench.join(1)
    expect(bench.finished()).toEqual([{ reached: [], failed: [] }])
    expect(bench.core.deadlines.nextMs).toBe(Infinity)
    bench.rejoin.join(Array.from({ length: 1030 }, (_, i) => ({ address: '10.0.1.1', port: i + 1 })))
    expect(bench.core.seeds).toHaveLength(1024)
    expect(bench.core.seeds[0]).toEqual({ address: '10.0.1.1', port: 1 })
  })
})

describe('seeds that are missing', () => {
  /** When they were contacted after the join, which was at 1000 ms; all fail at once. */
  function contacts(bench: RejoinBench, seeds: number[], ms: number): number[] {
    bench.join(...seeds)
    bench.end(FAILURE)
    const joined = bench.exchanges.started.length
    const endMs = bench.nowMs + ms
    while (bench.nowMs < endMs) {
      bench.run(500)
      bench.end(FAILURE)
    }
    return bench.exchanges.times.slice(joined).map((atMs) => atMs - 1000)
  }

  test('are contacted again after a second, then after twice as long each time, up to the interval', () => {
    expect(contacts(new RejoinBench(2), [9], 60_000)).toEqual([
      1000, 3000, 7000, 15_000, 25_000, 35_000, 45_000, 55_000,
    ])
    expect(contacts(new RejoinBench(2, { rejoinIntervalMs: 500 }), [9], 2000)).toEqual([1000, 1500, 2000])
    expect(contacts(new RejoinBench(2, { rejoinIntervalMs: 0 }), [9], 60_000)).toEqual([])
    expect(contacts(new RejoinBench(2, { rejoinIntervalMs: 1 }), [9], 1000)).not.toEqual([])
    expect(contacts(new RejoinBench(2), [], 60_000)).toEqual([])
  })

  test('are contacted one at a time, eight while alone, and those at which somebody lives not', () => {
    expect(contacts(new RejoinBench(2), [2, 8, 9], 1000)).toHaveLength(1)
    expect(contacts(new RejoinBench(), [8, 9], 1000)).toHaveLength(2)
    const many = new RejoinBench()
    expect(
      contacts(
        many,
        Array.from({ length: 20 }, (_, i) => i + 10),
        1000,
      ),
    ).toHaveLength(8)
    expect(many.exchanges.started.every(({ join }) => join)).toBe(true)
    const order = many.exchanges.places.slice(-8)
    expect(order).not.toEqual([10, 11, 12, 13, 14, 15, 16, 17])
  })

  test('are contacted after a second again once all were there', () => {
    const bench = new RejoinBench(2)
    bench.join(2)
    bench.run(20_000)
    expect(bench.exchanges.started).toEqual([])
    bench.core.members.setState(bench.others[0]!, 'dead', bench.nowMs)
    bench.run(1000)
    bench.end(FAILURE)
    bench.run(2000)
    expect(bench.exchanges.times).toEqual([22_000, 24_000])
    const brief = new RejoinBench(2, { rejoinIntervalMs: 300 })
    brief.join(2)
    brief.run(20_000)
    brief.core.members.setState(brief.others[0]!, 'dead', brief.nowMs)
    brief.run(600)
    expect(brief.exchanges.times[0]! - 21_000).toBeLessThanOrEqual(300)
  })

  test('are not contacted while a join or a contact is under way, nor after leaving', () => {
    const joining = new RejoinBench()
    joining.join(9)
    joining.run(60_000)
    expect(joining.exchanges.started).toHaveLength(1)
    const slow = new RejoinBench()
    slow.join(8, 9)
    slow.end(FAILURE)
    slow.run(60_000)
    expect(slow.exchanges.started).toHaveLength(4)
    // Both have to end before the next ones are contacted.
    slow.exchanges.started[2]!.end(FAILURE)
    slow.run(20_000)
    expect(slow.exchanges.started).toHaveLength(4)
    slow.exchanges.started[3]!.end(FAILURE)
    slow.run(20_000)
    expect(slow.exchanges.started).toHaveLength(6)
    const leaving = new RejoinBench()
    leaving.join(9)
    leaving.end(FAILURE)
    leaving.core.leaving = true
    leaving.run(60_000)
    expect(leaving.exchanges.started).toHaveLength(1)
  })

  test('are contacted at one pace, however often a join is asked for', () => {
    const bench = new RejoinBench()
    for (let i = 0; i < 4; i++) {
      bench.join(9)
      bench.end(FAILURE)
    }
    expect(contacts(bench, [9], 20_000)).toEqual([1000, 3000, 7000, 15_000])
  })

  test('are told of at a limited rate when they fail', () => {
    const bench = new RejoinBench()
    bench.join(9)
    bench.end(FAILURE)
    expect(bench.of('log')).toEqual([])
    bench.run(1000)
    bench.end()
    expect(bench.of('log')).toEqual([])
    bench.run(2000)
    bench.end(FAILURE)
    expect(bench.of('log')).toMatchObject([
      {
        level: 'info',
        fields: { event: 'seed.failed', address: '10.0.0.9', port: 7946, outcome: 'refused', error: 'no' },
      },
    ])
    bench.run(4000)
    bench.end(FAILURE)
    expect(bench.of('log')).toHaveLength(1)
  })
  test.each([
    ['refused', 'Could not reach a seed; retrying'],
    ['failed', 'Could not reach a seed; retrying'],
    ['rejected', 'A seed refuses this member, or is refused by it; trying again'],
  ] as const)('that failed as %s are told of in words that fit', (outcome, message) => {
    const bench = new RejoinBench()
    bench.join(9)
    bench.end(FAILURE)
    bench.run(1000)
    bench.end({ outcome, message: 'no' })
    expect(bench.of('log')).toMatchObject([{ message, fields: { event: 'seed.failed', outcome } }])
  })
})

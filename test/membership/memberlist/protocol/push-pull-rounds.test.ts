import { describe, expect, test } from 'vitest'
import { PushPullRounds } from '../../../../src/membership/memberlist/protocol/push-pull-rounds.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { CoreBench, NotedExchanges } from './core-bench.ts'
import { endpointOf } from './machine.ts'

/** The rounds of `m1` beside `m2` to `m<count>`. */
class RoundsBench extends CoreBench {
  readonly exchanges = new NotedExchanges(this)
  readonly probed: string[] = []
  readonly others
  readonly rounds: PushPullRounds

  constructor(count: number, settings: Partial<ProtocolSettings> = {}, chance = () => 0.5) {
    super(settings, { chance })
    this.others = this.members(count)
    this.rounds = new PushPullRounds(this.core, this.exchanges, {
      probe: ({ name }) => this.probed.push(name),
    })
  }
}

describe('the rounds', () => {
  test.each([
    [5, 30_000],
    [32, 30_000],
    [33, 60_000],
    [65, 90_000],
  ])('of %i members are %i ms apart, from a random moment of the first interval on', (count, intervalMs) => {
    const bench = new RoundsBench(count)
    bench.rounds.start()
    bench.run(3 * intervalMs)
    expect(bench.exchanges.times).toEqual([0.5, 1.5, 2.5].map((part) => 1000 + part * intervalMs))
    expect(bench.exchanges.started.every(({ join }) => !join)).toBe(true)
  })

  test('of one that has left are five seconds apart at the most', () => {
    for (const [pushPullIntervalMs, intervalMs] of [
      [30_000, 5000],
      [4000, 4000],
    ] as const) {
      const bench = new RoundsBench(5, { pushPullIntervalMs })
      bench.core.leaving = true
      bench.rounds.hasten()
      bench.run(10_000)
      expect(bench.exchanges.times.slice(0, 3)).toEqual([0, 1, 2].map((part) => 1000 + part * intervalMs))
    }
  })

  test('hastened begin now, and anew from there', () => {
    const bench = new RoundsBench(5)
    bench.rounds.start()
    bench.run(10_000)
    bench.rounds.hasten()
    bench.run(40_000)
    expect(bench.exchanges.times).toEqual([11_000, 41_000])
  })

  test('that are switched off bring nothing', () => {
    const bench = new RoundsBench(5, { pushPullIntervalMs: 0 })
    bench.rounds.start()
    bench.rounds.hasten()
    bench.rounds.catchUp()
    for (let i = 0; i < 40; i++) bench.rounds.noteListed()
    expect(bench.core.deadlines.nextMs).toBe(Infinity)
    const eager = new RoundsBench(5, { pushPullIntervalMs: 1 })
    eager.rounds.catchUp()
    expect(eager.core.deadlines.nextMs).toBe(11_000)
    eager.rounds.start()
    expect(eager.core.deadlines.nextMs).toBe(1000.5)
    eager.rounds.hasten()
    expect(eager.core.deadlines.nextMs).toBe(1000)
  })

  test('go to one that is alive and has answered, if there is one', () => {
    const bench = new RoundsBench(4, { keyed: false })
    const [two, three] = bench.others
    bench.rounds.hasten()
    bench.run(0)
    expect(bench.exchanges.started).toEqual([])
    for (const record of [two!, three!])
      bench.core.contacts.answered(record.endpoint, record.name, bench.nowMs)
    bench.core.members.setState(two!, 'suspect', bench.nowMs)
    for (let i = 0; i < 5; i++) {
      bench.rounds.hasten()
      bench.run(0)
    }
    expect(bench.exchanges.places).toEqual([3, 3, 3, 3, 3])
    const alone = new RoundsBench(1)
    alone.rounds.hasten()
    alone.run(100_000)
    expect(alone.exchanges.started).toEqual([])
  })

  test.each([
    ['refused', 'debug', ['m2']],
    ['failed', 'warn', []],
    ['rejected', 'warn', []],
  ] as const)('that end as %s are told as %s, and the member probed: %j', (outcome, level, probed) => {
    const bench = new RoundsBench(2)
    const exchange = () => {
      bench.rounds.hasten()
      bench.run(0)
      return bench.exchanges.started.at(-1)!
    }
    exchange().end(undefined)
    expect(bench.of('log')).toEqual([])
    exchange().end({ outcome, message: 'because' })
    expect(bench.of('log')).toMatchObject([
      { level, fields: { event: 'push-pull.failed', peer: 'm2', outcome, error: 'because' } },
    ])
    expect(bench.probed).toEqual(probed)
  })
})

describe('a state besides the rounds', () => {
  test('comes once, ten seconds after the first news that was left out', () => {
    const bench = new RoundsBench(5)
    bench.rounds.catchUp()
    bench.run(4000)
    bench.rounds.catchUp()
    bench.run(40_000)
    expect(bench.exchanges.times).toEqual([11_000])
    bench.rounds.catchUp()
    bench.run(10_000)
    expect(bench.exchanges.times).toEqual([11_000, 55_000])
  })

  test('comes a second after the thirty-second new member, were another to come later, and again while more come', () => {
    const bench = new RoundsBench(5)
    const listed = (count: number) => {
      for (let i = 0; i < count; i++) bench.rounds.noteListed()
    }
    bench.rounds.catchUp()
    listed(31)
    bench.run(500)
    listed(1)
    bench.run(999)
    expect(bench.exchanges.times).toEqual([])
    bench.run(1)
    // The next one is for those whom the other did not know yet, and 31 more are too few for another.
    listed(31)
    bench.run(60_000)
    expect(bench.exchanges.times).toEqual([2500, 3500])
  })

  test('is not put off where one comes as soon', () => {
    const bench = new RoundsBench(5, {}, () => 0)
    bench.rounds.catchUp(2000)
    // Half of that, by chance.
    expect(bench.core.deadlines.nextMs).toBe(2000)
    for (let i = 0; i < 32; i++) bench.rounds.noteListed()
    bench.run(60_000)
    expect(bench.exchanges.times).toEqual([2000, 2500])
  })

  test.each([
    [false, 0, 2],
    [false, 0.99, 4],
    [true, 0, 3],
  ])('in a ring with keys: %s, with chance at %d, is that of m%i', (keyed, random, place) => {
    const bench = new RoundsBench(5, { keyed }, () => random)
    // Seeds are asked though they are suspects; m9 is not there.
    bench.core.seeds = [endpointOf(9), endpointOf(2), endpointOf(4)]
    for (const record of [bench.others[0]!, bench.others[2]!, bench.others[3]!])
      bench.core.members.setState(record, 'suspect', bench.nowMs)
    bench.rounds.catchUp()
    bench.run(20_000)
    expect(bench.exchanges.places).toEqual([place])
  })

  test('without a seed that lives is that of any member', () => {
    const bench = new RoundsBench(2, { keyed: false })
    bench.core.contacts.answered(endpointOf(2), 'm2', bench.nowMs)
    bench.core.seeds = [endpointOf(9)]
    bench.rounds.catchUp()
    bench.run(20_000)
    expect(bench.exchanges.places).toEqual([2])
  })
})

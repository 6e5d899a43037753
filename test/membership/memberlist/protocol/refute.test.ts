import { describe, expect, test } from 'vitest'
import { SelfDefence } from '../../../../src/membership/memberlist/protocol/refute.ts'
import type { Alive, Dead, Suspect } from '../../../../src/membership/memberlist/wire/messages.ts'
import { CoreBench } from './core-bench.ts'
import { alive, dead, endpointOf, suspect } from './machine.ts'

/** The most that this member may rise at once. */
const ROOM = 2 ** 21
const LONG_NAME = 'x'.repeat(300)

/** `m1` in incarnation 3, with metadata 1, and what it does about what is said of it. */
class DefenceBench extends CoreBench {
  readonly claims: string[] = []
  readonly defence: SelfDefence

  constructor() {
    super()
    this.core.self.incarnation = 3
    this.defence = new SelfDefence(this.core, {
      claimed: (record, claim, { address }) =>
        this.claims.push(`${record.name} ${claim.incarnation} at ${address}`),
    })
  }

  get incarnation(): number {
    return this.core.self.incarnation
  }

  hear(message: Alive | Suspect | Dead, from = 1): void {
    if (message.kind === 'alive') this.defence.alive(message, endpointOf(from))
    else this.defence.suspectedOrDead(message)
  }

  /** What is told of it: fields of the log, by level. */
  logs() {
    return this.of('log').map(({ level, fields }) => [level, fields])
  }
}

const own = (incarnation: number, over: Partial<Alive> = {}) =>
  alive(1, incarnation, { meta: Uint8Array.of(1), ...over })

describe('what others say of this member', () => {
  test.each([
    [suspect(1, 2), 3],
    [suspect(1, 3), 4],
    [suspect(1, 9), 10],
    [dead(1, 2), 3],
    [dead(1, 3), 4],
    [own(2), 3],
    [own(3), 3],
    [own(3, { meta: Uint8Array.of(2) }), 4],
    [own(3, { vsn: Uint8Array.of(1, 5, 2, 2, 5, 4) }), 4],
    [own(2, { meta: Uint8Array.of(2) }), 3],
    [own(4), 5],
  ])('%j has it go on in incarnation %i', (message, incarnation) => {
    const bench = new DefenceBench()
    bench.hear(message)
    expect(bench.incarnation).toBe(incarnation)
    const isRefuted = incarnation > 3
    expect(bench.core.counters.refutations).toBe(Number(isRefuted))
    expect(bench.core.awareness.score).toBe(Number(isRefuted))
    expect(bench.core.queue.count).toBe(Number(isRefuted))
  })

  test('is nothing to it once it has left', () => {
    const bench = new DefenceBench()
    bench.core.leaving = true
    for (const message of [suspect(1, 3), dead(1, 3), own(9)]) bench.hear(message)
    bench.hear(own(9), 9)
    expect(bench.incarnation).toBe(3)
    expect(bench.core.calledDead).toBeUndefined()
    expect(bench.take()).toEqual([])
  })

  test.each([
    // What it said itself before a restart, or a push/pull, which names nobody, is no news of others.
    [dead(1, 9, 'm1'), false, false],
    [dead(1, 9, 'm2'), true, true],
    [dead(1, 2, 'm2'), true, false],
    [suspect(1, 9, 'm2'), false, false],
  ])('%j: others hold it for dead: %s, which puts deaths in doubt: %s', (message, isCalledDead, isDoubt) => {
    const bench = new DefenceBench()
    bench.hear(message)
    expect(bench.core.calledDead !== undefined).toBe(isCalledDead)
    expect(bench.core.declaredDead.doubtedMs).toBe(isDoubt ? 1000 : -Infinity)
  })

  test('is told at a limited rate, with a name of bounded length; what it said itself only to who looks closely', () => {
    const bench = new DefenceBench()
    bench.hear(suspect(1, 3, LONG_NAME))
    bench.hear(dead(1, 4, 'm2'))
    bench.hear(dead(1, 5, 'm1'))
    expect(bench.logs()).toEqual([
      ['warn', { event: 'self.refuted', kind: 'suspect', by: LONG_NAME.slice(45) }],
      ['debug', { event: 'self.refuted', kind: 'dead' }],
    ])
    bench.run(10_000)
    bench.hear(dead(1, 6, 'm2'))
    expect(bench.logs().at(-1)).toEqual([
      'warn',
      { event: 'self.refuted', kind: 'dead', by: 'm2', suppressed: 1 },
    ])
  })
})

describe('an incarnation far above its own', () => {
  test.each([
    [ROOM + 2, true],
    [ROOM + 3, false],
    [2 ** 31 - 1, false],
  ])('%i is exceeded: %s', (said, isExceeded) => {
    const bench = new DefenceBench()
    bench.hear(suspect(1, said))
    expect(bench.incarnation).toBe(isExceeded ? said + 1 : 3)
    expect(bench.core.counters).toMatchObject({
      refutations: Number(isExceeded),
      refused: { 'incarnation-out-of-range': Number(!isExceeded) },
    })
    expect(bench.core.queue.count).toBe(1)
  })

  test('is never the limit itself', () => {
    for (const [held, isExceeded] of [
      [2 ** 31 - 2, true],
      [2 ** 31 - 1, false],
    ] as const) {
      const bench = new DefenceBench()
      bench.core.self.incarnation = held
      bench.hear(suspect(1, held))
      expect(bench.incarnation).toBe(isExceeded ? held + 1 : held)
    }
  })

  test('leaves room again with time, twice as much as others take from it', () => {
    const bench = new DefenceBench()
    bench.hear(suspect(1, ROOM + 2))
    const reached = bench.incarnation
    bench.run(1000)
    bench.hear(suspect(1, reached + 32))
    expect(bench.incarnation).toBe(reached)
    bench.hear(suspect(1, reached + 31))
    expect(bench.incarnation).toBe(reached + 32)
  })

  test('has it say its own again, every ten seconds at most', () => {
    const bench = new DefenceBench()
    const hear = () => {
      bench.clear()
      bench.core.queue.remove({ space: 'member', name: 'm1' })
      bench.hear(suspect(1, 2 ** 22))
      return bench.core.queue.count
    }
    expect(hear()).toBe(1)
    const outbid = { event: 'self.outbid', incarnation: 2 ** 22, own: 3 }
    expect(bench.logs()).toContainEqual(['warn', outbid])
    const refused = { event: 'message.refused', reason: 'incarnation-out-of-range', kind: 'suspect' }
    expect(bench.logs()).toContainEqual(['warn', refused])
    bench.run(9999)
    expect(hear()).toBe(0)
    bench.run(1)
    expect(hear()).toBe(1)
    expect(bench.logs()).toContainEqual(['warn', outbid])
  })
})

describe('another process of its name', () => {
  test('is told of, looked into, and outbid, which is no refutation', () => {
    const bench = new DefenceBench()
    bench.hear(own(7), 9)
    expect(bench.incarnation).toBe(8)
    expect(bench.core.counters.refutations).toBe(0)
    expect(bench.core.awareness.score).toBe(0)
    expect(bench.core.queue.count).toBe(1)
    expect(bench.claims).toEqual(['m1 7 at 10.0.0.9'])
    expect(bench.of('conflict-found')).toMatchObject([
      { known: { name: 'm1', endpoint: endpointOf(1), incarnation: 3 }, claimedBy: endpointOf(9) },
    ])
    expect(bench.logs()).toEqual([
      ['warn', { event: 'conflict.found', claimedByAddress: '10.0.0.9', claimedByPort: 7946 }],
    ])
  })

  test('at our address, or with an incarnation below ours, is one all the same', () => {
    const bench = new DefenceBench()
    bench.defence.alive(own(1), { ...endpointOf(1), port: 7947 })
    expect(bench.incarnation).toBe(4)
    expect(bench.claims).toHaveLength(1)
  })

  test('is answered a second later, then after twice as long each time, up to a minute', () => {
    const bench = new DefenceBench()
    const answered: number[] = []
    for (let i = 0; i < 400; i++) {
      const before = bench.claims.length
      bench.hear(own(1), 9)
      if (bench.claims.length > before) answered.push(i)
      bench.run(1000)
    }
    // The first one comes after a long time without any.
    expect(answered.map((at, i) => at - (answered[i - 1] ?? 0))).toEqual([
      0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60,
    ])
  })

  test.each([
    [120_000, 2000],
    [120_001, 1000],
  ])('after %i ms without any is answered again after %i ms', (quietMs, waitMs) => {
    const bench = new DefenceBench()
    bench.hear(own(1), 9)
    bench.run(quietMs)
    bench.hear(own(1), 9)
    expect(bench.claims).toHaveLength(2)
    bench.run(waitMs - 1)
    bench.hear(own(1), 9)
    expect(bench.claims).toHaveLength(2)
    bench.run(1)
    bench.hear(own(1), 9)
    expect(bench.claims).toHaveLength(3)
  })
})

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { collectionsOf } from '../../../../lab/sim/collections.ts'
import { Deadlines } from '../../../../src/membership/memberlist/protocol/deadlines.ts'

test('deadlines run by time, then in the order in which they were set, without the cancelled', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ atMs: fc.integer({ min: 0, max: 20 }), cancel: fc.boolean() }), {
        maxLength: 40,
        size: 'max',
      }),
      (list) => {
        const deadlines = new Deadlines()
        const ran: number[] = []
        const set = list.map(({ atMs }, i) => deadlines.set(atMs, () => ran.push(i)))
        for (const [i, { cancel }] of list.entries()) if (cancel) deadlines.cancel(set[i])
        const kept = list.map(({ atMs, cancel }, i) => ({ atMs, cancel, i })).filter(({ cancel }) => !cancel)
        kept.sort((a, b) => a.atMs - b.atMs || a.i - b.i)
        expect(deadlines.nextMs).toBe(kept[0]?.atMs ?? Infinity)
        deadlines.runDue(10)
        expect(ran).toEqual(kept.filter(({ atMs }) => atMs <= 10).map(({ i }) => i))
        deadlines.runDue(20)
        expect(ran).toEqual(kept.map(({ i }) => i))
        expect(deadlines.nextMs).toBe(Infinity)
      },
    ),
  )
})

test('what is set while running runs too when it is due', () => {
  const deadlines = new Deadlines()
  const ran: string[] = []
  deadlines.set(1, () => {
    ran.push('first')
    deadlines.set(2, () => ran.push('due'))
    deadlines.set(4, () => ran.push('later'))
  })
  deadlines.runDue(3)
  expect(ran).toEqual(['first', 'due'])
  expect(deadlines.nextMs).toBe(4)
})

test('what is cancelled does not wait for its time', () => {
  const deadlines = new Deadlines()
  const kept = [deadlines.set(60_000, () => {}), deadlines.set(70_000, () => {})]
  for (let i = 0; i < 10_000; i++) {
    const deadline = deadlines.set(60_000 + i, () => {})
    deadlines.cancel(deadline)
    deadlines.cancel(deadline)
  }
  expect(collectionsOf(deadlines).get('#heap')).toBeLessThan(150)
  deadlines.cancel(kept[0])
  expect(deadlines.nextMs).toBe(70_000)
})

describe('those that were cancelled', () => {
  const held = (deadlines: Deadlines) => collectionsOf(deadlines).get('#heap')

  test('are dropped when they are more than half of all and 64, and the others keep their order', () => {
    const deadlines = new Deadlines()
    const ran: number[] = []
    const times = Array.from({ length: 600 }, (_, i) => ((i * 37) % 401) / 4)
    const set = times.map((atMs, i) => deadlines.set(atMs, () => ran.push(i)))
    // In an order that has nothing to do with time.
    const order = Array.from(times.keys(), (i) => (i * 257) % 600)
    const cancel = (from: number, to: number) => {
      for (const i of order.slice(from, to)) deadlines.cancel(set[i])
      return held(deadlines)
    }
    expect(cancel(0, 364)).toBe(600)
    expect(cancel(364, 365)).toBe(235)
    // And again, counted anew.
    expect(cancel(365, 546)).toBe(235)
    expect(cancel(546, 547)).toBe(53)
    deadlines.runDue(101)
    const kept = order.slice(547).sort((x, y) => x - y)
    expect(ran).toEqual(kept.toSorted((x, y) => times[x]! - times[y]! || x - y))
    expect(held(deadlines)).toBe(0)
  })

  test('do not count once they are gone, nor those that have run', () => {
    const deadlines = new Deadlines()
    for (let i = 0; i < 60; i++) {
      const gone = deadlines.set(0, () => {})
      deadlines.cancel(gone)
      expect(deadlines.nextMs).toBe(Infinity)
      const done = deadlines.set(1, () => {})
      deadlines.runDue(1)
      deadlines.cancel(done)
      deadlines.cancel(undefined)
    }
    for (let i = 0; i < 10; i++) deadlines.set(10, () => {})
    const set = Array.from({ length: 64 }, () => deadlines.set(20, () => {}))
    for (const deadline of set) deadlines.cancel(deadline)
    expect(held(deadlines)).toBe(74)
  })
})

test('those of no time come last', () => {
  const deadlines = new Deadlines()
  const ran: string[] = []
  for (const name of ['a', 'b', 'c']) deadlines.set(Infinity, () => ran.push(name))
  deadlines.set(5, () => ran.push('first'))
  deadlines.runDue(5)
  expect(ran).toEqual(['first'])
})

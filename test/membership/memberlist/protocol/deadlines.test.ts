import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { collectionsOf } from '../../../../lab/sim/collections.ts'
import { Deadlines } from '../../../../src/membership/memberlist/protocol/deadlines.ts'

test('deadlines run by time, then in the order in which they were set, without the cancelled', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ atMs: fc.integer({ min: 0, max: 20 }), cancel: fc.boolean() })),
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

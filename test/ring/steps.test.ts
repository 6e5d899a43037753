import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { plan, planInSteps, sumMoves } from '../../src/ring/plan.ts'
import { finish, PIECES_PER_STEP, sortInSteps, type Steps } from '../../src/ring/steps.ts'

function count<Result>(steps: Steps<Result>): { readonly steps: number; readonly result: Result } {
  for (let taken = 1; ; taken++) {
    const step = steps.next()
    if (step.done === true) return { steps: taken, result: step.value }
  }
}

describe('sortInSteps', () => {
  test('brings what Array.prototype.sort brings, alike items in their order, and leaves the list as it is', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5 * PIECES_PER_STEP }),
        fc.integer({ min: 1, max: 1000 }),
        (length, distinct) => {
          const items = Array.from({ length }, (_, i) => ({ i, value: (i * 7919) % distinct }))
          const before = [...items]
          const compare = (a: { value: number }, b: { value: number }) => a.value - b.value
          expect(finish(sortInSteps(items, compare))).toEqual(items.toSorted(compare))
          expect(items).toEqual(before)
        },
      ),
      { numRuns: 20 },
    )
  })

  test('compares no more than some thousand times in a step', () => {
    let compared = 0
    let most = 0
    const items = Array.from({ length: 50_000 }, (_, i) => (i * 7919) % 50_000)
    const steps = sortInSteps(items, (a, b) => {
      compared++
      return a - b
    })
    for (let done = false; !done;) {
      compared = 0
      done = steps.next().done === true
      most = Math.max(most, compared)
    }
    expect(most).toBeLessThan(14 * PIECES_PER_STEP)
  })
})

test('moves are summed so many in a step, and no more', () => {
  let taken = 0
  function* stretches() {
    for (let start = 0; start < 2.5 * PIECES_PER_STEP; start++, taken++)
      yield { start, end: start + 1, from: undefined, to: undefined }
  }
  const takenPerStep: number[] = []
  const steps = sumMoves(stretches())
  for (let isDone = false; !isDone; takenPerStep.push(taken)) {
    taken = 0
    isDone = steps.next().done === true
  }
  // What is taken counts when the next one is asked for.
  expect(takenPerStep).toEqual([PIECES_PER_STEP - 1, PIECES_PER_STEP, PIECES_PER_STEP / 2 + 1])
})

test('a large plan is the same in steps, of which there are many', () => {
  const ring = HashRing.of(Array.from({ length: 300 }, (_, i) => ({ ringKey: `node-${i}`, weight: 1 })))
  const change = {
    leave: ['node-7'],
    join: Array.from({ length: 50 }, (_, i) => ({ ringKey: `new-${i}`, weight: 100 })),
  }
  const { steps, result } = count(planInSteps(ring, change))
  expect(steps).toBeGreaterThan(40)
  expect(result).toEqual(plan(ring, change))
})

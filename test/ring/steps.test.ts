import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { MovedStretches } from '../../src/ring/moved.ts'
import { plan, planInSteps, sumMoves } from '../../src/ring/plan.ts'
import { computePoints } from '../../src/ring/point-list.ts'
import { mergePoints } from '../../src/ring/point-merge.ts'
import { adjustCounts, countBefore } from '../../src/ring/slices.ts'
import {
  eachInSteps,
  finish,
  mergeInSteps,
  NUMBERS_PER_STEP,
  PIECES_PER_STEP,
  sortInSteps,
  type Steps,
} from '../../src/ring/steps.ts'
import { countSteps } from '../support/count-steps.ts'

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

describe('what a step takes', () => {
  const range = (to: number) => [{ ringKey: 'node', slot: 0, from: 0, to }]
  const stretches = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ start: i, end: i + 1, from: undefined, to: undefined }))
  const none = { points: new Uint32Array(0), slots: new Uint32Array(0) }
  const list = (length: number) => ({ points: new Uint32Array(length), slots: new Uint32Array(length) })
  const ringOf = (size: number) =>
    HashRing.of(Array.from({ length: size }, (_, i) => ({ ringKey: `node-${i}`, weight: 1 })))
  const ascending = (a: number, b: number) => a - b
  const small = PIECES_PER_STEP
  const large = NUMBERS_PER_STEP

  test.each<[string, number, (pieces: number) => Steps<unknown>]>([
    ['digests that are hashed', small, (count) => computePoints(range(count))],
    [
      'points that go',
      small,
      (count) => mergePoints(list(count), list(count), none, new Uint32Array(1), none),
    ],
    [
      'items that are merged',
      small,
      (count) => mergeInSteps(Array<number>(count - 1).fill(0), [1], ascending),
    ],
    ['items that are visited', small, (count) => eachInSteps(Array<number>(count).fill(0), () => {})],
    ['moves that are summed', small, (count) => sumMoves(stretches(count))],
    [
      'stretches that are visited',
      small,
      (count) => MovedStretches.of(stretches(count)).visitInSteps(() => {}),
    ],
    ['points and slices of their index', large, (count) => countBefore(new Uint32Array(count - 2), 31)],
  ])('%s', (_, most, make) => {
    for (const pieces of [most - 1, most, 2 * most - 1, 2 * most, 3 * most])
      expect(countSteps(make(pieces)).steps, `${pieces}`).toBe(Math.floor(pieces / most) + 1)
  })

  test('lines that are digested: node by node, then block by block', () => {
    const size = 3 * small
    const ring = ringOf(size)
    const bytes = ring.nodes.reduce((sum, { ringKey }) => sum + `${ringKey}|1\n`.length, 0)
    const { steps, result } = countSteps(ring.digestInSteps())
    expect(steps).toBe(size / small + 1 + Math.floor(Math.floor(bytes / 64) / small) + 1)
    expect(result).toBe(ringOf(size).digest)
    expect(countSteps(ring.digestInSteps())).toEqual({ steps: 1, result })
  })

  test('points that are sorted: digit by digit, each time once to count and once to move them', () => {
    for (const digests of [1365, 1366, 2731]) {
      const ranges = [...range(digests - 1), { ringKey: 'other', slot: 1, from: 0, to: 1 }]
      const hashing = Math.floor(digests / small)
      expect(countSteps(computePoints(ranges)).steps).toBe(
        hashing + 3 * Math.floor((2 * 3 * digests) / large) + 1,
      )
    }
  })

  test('the index that is adjusted: slice by slice where points went', () => {
    for (const count of [small - 1, small, 2 * small]) {
      const slices = Uint32Array.from({ length: count }, (_, i) => i)
      const steps = adjustCounts(slices, 0, slices, new Uint32Array(0))
      expect(countSteps(steps).steps).toBe(Math.floor(count / small) + 2)
    }
  })

  test('nodes that are all there: sought among those before, and compared', () => {
    for (const size of [small - 1, small]) {
      const ring = ringOf(size)
      const loops = 2 * Math.floor(size / small)
      expect(countSteps(ring.withInSteps(ring.nodes)).steps).toBe(loops + 4)
    }
  })

  test('two circles that are walked: point by point where they differ, else quickly', () => {
    const ring = ringOf(70)
    const { steps, result } = countSteps(HashRing.empty.movedInSteps(ring))
    expect(result.count).toBeGreaterThan(large)
    const walk = Math.floor((ring.pointCount + 1) / small)
    expect(steps).toBe(walk + Math.floor(result.count / large) + 2)
    expect(countSteps(ring.movedInSteps(ringOf(71))).steps).toBe(
      Math.floor((8400 + (120 * large) / small) / large) + 2,
    )
  })

  test('of a change of the ring: each part of it that is long on a large ring', () => {
    const nodes = ringOf(4).nodes
    expect(countSteps(ringOf(3).withInSteps(nodes)).steps).toBe(12)
    expect(countSteps(ringOf(3).movedInSteps(ringOf(4))).steps).toBe(3)
  })
})

test('a large plan is the same in steps, of which there are many', () => {
  const ring = HashRing.of(Array.from({ length: 300 }, (_, i) => ({ ringKey: `node-${i}`, weight: 1 })))
  const change = {
    leave: ['node-7'],
    join: Array.from({ length: 50 }, (_, i) => ({ ringKey: `new-${i}`, weight: 100 })),
  }
  const { steps, result } = countSteps(planInSteps(ring, change))
  expect(steps).toBeGreaterThan(40)
  expect(result).toEqual(plan(ring, change))
})

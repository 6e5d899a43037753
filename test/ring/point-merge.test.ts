import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FREE, mergePoints } from '../../src/ring/point-merge.ts'
import { adjustCounts, countBefore, sliceShiftFor } from '../../src/ring/slices.ts'
import { finish } from '../../src/ring/steps.ts'

interface Entry {
  readonly point: number
  readonly slot: number
}

const toList = (entries: readonly Entry[]) => ({
  points: Uint32Array.from(entries, ({ point }) => point),
  slots: Uint32Array.from(entries, ({ slot }) => slot),
})

/** Few points for many nodes, so that most are shared, by two nodes or by ten; runs long enough to be copied whole. */
const point = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: 300 }),
  fc.constant(2 ** 32 - 1),
)
const nodes = fc.uniqueArray(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 12 })

test('the merged list is the sorted one, whatever is shared, goes and comes', () => {
  const entry = fc.record({
    point,
    node: fc.nat({ max: 11 }),
    fate: fc.constantFrom('stay', 'stay', 'stay', 'go', 'come'),
  })
  fc.assert(
    fc.property(
      nodes,
      fc.array(entry, { maxLength: 400 }),
      fc.nat({ max: 11 }),
      (slotNumbers, entries, leaver) => {
        // A node's place is its index; one node goes with all its points, and its slot is free then.
        const all = entries.map(({ point: at, node, fate }) => {
          const place = node % slotNumbers.length
          return { point: at, place, slot: slotNumbers[place]!, fate: place === leaver ? 'go' : fate }
        })
        const sorted = all.toSorted((a, b) => a.point - b.point || a.place - b.place)
        const where = (...fates: string[]) => sorted.filter(({ fate }) => fates.includes(fate))
        const places = new Uint32Array(1001).fill(FREE)
        slotNumbers.forEach((slot, place) => {
          if (place !== leaver) places[slot] = place
        })
        const expected = toList(where('stay', 'come'))
        const target = {
          points: new Uint32Array(expected.points.length),
          slots: new Uint32Array(expected.points.length),
        }
        finish(
          mergePoints(
            toList(where('stay', 'go')),
            toList(where('go')),
            toList(where('come')),
            places,
            target,
          ),
        )
        expect(target).toEqual(expected)
      },
    ),
    { numRuns: 1000 },
  )
})

test('a point that goes does not hold up one that comes to the same place', () => {
  const [gone, stays, comes] = [0, 1, 2].map((slot) => ({ point: 5, slot })) as [Entry, Entry, Entry]
  const target = toList([gone, gone])
  const places = Uint32Array.of(FREE, 0, 1)
  finish(mergePoints(toList([gone, stays]), toList([gone]), toList([comes]), places, target))
  expect(target).toEqual(toList([stays, comes]))
})

test('the index adjusted for what went and came is the index made anew', () => {
  const points = fc.array(fc.nat({ max: 2 ** 32 - 1 }), { maxLength: 300 })
  fc.assert(
    fc.property(points, points, points, (stay, go, come) => {
      const list = (...parts: number[][]) => Uint32Array.from(parts.flat()).sort()
      for (const shift of [sliceShiftFor(stay.length), 22]) {
        const before = finish(countBefore(list(stay, go), shift))
        const adjusted = finish(adjustCounts(before, shift, list(go), list(come)))
        expect(adjusted).toEqual(finish(countBefore(list(stay, come), shift)))
      }
    }),
  )
})

test.each([
  [0, 2],
  [3, 2],
  [8, 4],
  [120, 32],
  [120_000, 32_768],
  [2 ** 24, 2 ** 23],
])('%i points are indexed by %i slices', (count, slices) => {
  expect(2 ** (32 - sliceShiftFor(count))).toBe(slices)
})

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Brake } from '../../../src/membership/kubernetes/brake.ts'
import type { Place } from '../../../src/membership/kubernetes/place-keeper.ts'

const HOLD_MS = 30_000

/** Places by name: `a` serves, `-a` is held, `.a` is terminating, `xa` is dead. */
function places(...names: readonly string[]): Map<string, Place> {
  const states = { '-': 'suspect', '.': 'left', x: 'dead' } as const
  return new Map(
    names.map((text) => {
      const mark = text[0] as keyof typeof states
      const name = mark in states ? text.slice(1) : text
      const endpoint = {
        name,
        uid: '',
        address: '10.0.0.1',
        port: 80,
        zone: undefined,
        serving: !(mark in states),
        terminating: mark === '.',
      }
      return [name, { endpoint, state: mark in states ? states[mark] : 'alive' }]
    }),
  )
}

/** The names on the ring. */
function ring(kept: ReadonlyMap<string, Place>): string {
  return [...kept]
    .filter(([, { state }]) => state === 'alive' || state === 'suspect')
    .map(([name]) => name)
    .sort()
    .join('')
}

test('the ring stays while more than the share is gone, and goes on once enough serve again', () => {
  const brake = new Brake(0.5, HOLD_MS)
  expect(ring(brake.look(places('a', 'b', 'c', 'd'), 0))).toBe('abcd')
  // Half is not more than half.
  expect(ring(brake.look(places('a', 'b', '-c', '-d'), 1))).toBe('abcd')
  expect(brake.on).toBe(false)
  expect(ring(brake.look(places('a', '-b', '-c', '-d'), 2))).toBe('abcd')
  expect(brake.on).toBe(true)
  // Their time is over, and they keep their places all the same; a new pod gets none yet.
  expect(ring(brake.look(places('a', 'xb', 'xc', 'xd'), HOLD_MS + 2))).toBe('abcd')
  expect(ring(brake.look(places('a', 'xb', 'xc', 'xd', '-e'), HOLD_MS + 3))).toBe('abcd')
  expect(ring(brake.look(places('a', 'xb', 'xc', 'xd', 'e'), HOLD_MS + 4))).toBe('ae')
  expect(brake.on).toBe(false)
})

test('pods that vanish without a word count for as long as the hold, those that were seen terminating do not', () => {
  const brake = new Brake(0.5, HOLD_MS)
  brake.look(places('a', 'b', 'c', 'd'), 0)
  expect(ring(brake.look(places('a', 'b', 'c'), 1000))).toBe('abc')
  expect(ring(brake.look(places('a', 'b'), 2000))).toBe('ab')
  expect(ring(brake.look(places('a'), 3000))).toBe('ab')
  expect(brake.on).toBe(true)

  const scaled = new Brake(0.5, HOLD_MS)
  scaled.look(places('a', 'b', 'c', 'd'), 0)
  expect(ring(scaled.look(places('.a', '.b', '.c', '.d'), 1))).toBe('')
  expect(ring(scaled.look(places(), 2))).toBe('')
  expect(scaled.on).toBe(false)

  const slow = new Brake(0.5, HOLD_MS)
  slow.look(places('a', 'b', 'c', 'd'), 0)
  expect(ring(slow.look(places('a', 'b'), 1000))).toBe('ab')
  expect(ring(slow.look(places('a'), 1000 + HOLD_MS))).toBe('a')
})

test('whoever accepts the loss gets the smaller ring, and the next loss is looked at again', () => {
  const brake = new Brake(0.5, HOLD_MS)
  brake.look(places('a', 'b', 'c', 'd'), 0)
  brake.look(places('a', '-b', '-c', '-d'), 1)
  brake.accept()
  expect(brake.on).toBe(false)
  expect(ring(brake.look(places('a', '-b', '-c', '-d'), 2))).toBe('abcd')
  expect(ring(brake.look(places('a', 'xb', 'xc', 'xd'), HOLD_MS + 2))).toBe('a')
  brake.look(places('a', 'b', 'c'), HOLD_MS + 3)
  expect(ring(brake.look(places('-a', '-b', 'c'), HOLD_MS + 4))).toBe('abc')
  expect(brake.on).toBe(true)
})

test('the shares 0 and 1 are any loss and none', () => {
  const any = new Brake(0, HOLD_MS)
  any.look(places('a', 'b'), 0)
  any.look(places('a', '-b'), 1)
  expect(any.on).toBe(true)
  const none = new Brake(1, HOLD_MS)
  none.look(places('a', 'b'), 0)
  none.look(places('-a', '-b'), 1)
  expect(none.on).toBe(false)
})

test('what another process froze stays until enough serve', () => {
  const brake = new Brake(0.5, HOLD_MS)
  brake.freeze(places('-a', '-b', '-c'))
  expect(ring(brake.look(places('a'), 0))).toBe('abc')
  expect(ring(brake.look(places('a', 'd'), 1))).toBe('ad')
})

test('whatever happens, a ring loses more than the share of its nodes within a hold only by terminating or by consent', () => {
  const marks = ['', '-', '.', 'x', undefined] as const
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.constantFrom(...marks), { minLength: 6, maxLength: 6 }), { minLength: 1 }),
      fc.constantFrom(0, 0.25, 0.5, 0.75),
      (steps, share) => {
        const brake = new Brake(share, Infinity)
        let before = ''
        const terminated = new Set<string>()
        steps.forEach((step, i) => {
          const now = step.flatMap((mark, n) => (mark === undefined ? [] : [`${mark}${'abcdef'[n]}`]))
          for (const text of now) if (text.startsWith('.')) terminated.add(text.slice(1))
          const kept = ring(brake.look(places(...now), i))
          const serving = now.filter((text) => text.length === 1).length
          const lost = before.split('').filter((name) => !kept.includes(name) && !terminated.has(name)).length
          // What a single step takes away, dead nodes apart, which were held before.
          const dead = now.filter((text) => text.startsWith('x')).length
          if (lost - dead > share * (serving + lost)) {
            expect(serving).toBeGreaterThanOrEqual((1 - share) * before.length)
          }
          before = kept
        })
      },
    ),
  )
})

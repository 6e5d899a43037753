import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { hashKey } from '../../src/ring/key-hash.ts'
import { MovedStretches, type Stretch } from '../../src/ring/moved.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { finish } from '../../src/ring/steps.ts'
import { ReferenceRing } from './reference-ring.ts'

const CIRCLE = 2 ** 32
const node = (ringKey: string, weight = 1): RingNode => ({ ringKey, weight })
const plain = ({ start, end, from, to }: Stretch) => ({
  start,
  end,
  from: from?.ringKey ?? null,
  to: to?.ringKey ?? null,
})

/** Colliding ring keys among them, so that points are covered and come back. */
const NAMES = ['a', 'b', 'c', 'd', '10.0.1.186:8000', '10.0.1.228:8000', '\u{10000}', '\uffff']
const nodes = fc.uniqueArray(
  fc.record({ ringKey: fc.constantFrom(...NAMES), weight: fc.constantFrom(1, 1, 1, 2, 90) }),
  { selector: ({ ringKey }) => ringKey, maxLength: NAMES.length },
)

/** What moves by the definition: for every part between neighbouring points of either ring, its two owners. */
function movedByDefinition(before: ReferenceRing, after: ReferenceRing) {
  const ownerOf = ({ points }: ReferenceRing, hash: number) =>
    (points.find(([point]) => point > hash) ?? points[0])?.[1] ?? null
  const cuts = [0, ...[...before.points, ...after.points].map(([point]) => point), CIRCLE]
  const bounds = [...new Set(cuts)].sort((a, b) => a - b)
  const moved: { start: number; end: number; from: string | null; to: string | null }[] = []
  bounds.slice(0, -1).forEach((start, i) => {
    const [from, to, end] = [ownerOf(before, start), ownerOf(after, start), bounds[i + 1]!]
    if (from === to) return
    const last = moved.at(-1)
    if (last !== undefined && last.end === start && last.from === from && last.to === to) last.end = end
    else moved.push({ start, end, from, to })
  })
  return moved
}

test('what moves is exactly the difference of the two rings', () => {
  fc.assert(
    fc.property(nodes, nodes, (first, second) => {
      const [before, after] = [HashRing.of(first), HashRing.of(second)]
      const moved = before.movedTo(after)
      const expected = movedByDefinition(new ReferenceRing(first), new ReferenceRing(second))
      expect([...moved].map(plain)).toEqual(expected)
      expect(moved.count).toBe(expected.length)
      expect(moved.share).toBe(expected.reduce((sum, { start, end }) => sum + end - start, 0) / CIRCLE)
      for (const { from, to } of moved) {
        expect(from).toBe(from && before.get(from.ringKey))
        expect(to).toBe(to && after.get(to.ringKey))
      }
      // Backwards it is the same with the owners exchanged.
      const swapped = [...after.movedTo(before)].map(plain)
      expect(swapped).toEqual(expected.map(({ from, to, ...bounds }) => ({ ...bounds, from: to, to: from })))
    }),
    { numRuns: 60 },
  )
})

test('a key is found exactly when its owner is another one, in a stretch with both owners', () => {
  const keys = Array.from({ length: 60 }, (_, i) => `key-${i}`)
  fc.assert(
    fc.property(nodes, nodes, (first, second) => {
      const [before, after] = [HashRing.of(first), HashRing.of(second)]
      const moved = before.movedTo(after)
      const owners = (key: string) => [before.ownerOf(key), after.ownerOf(key)] as const
      const isMoved = (key: string) => owners(key)[0]?.ringKey !== owners(key)[1]?.ringKey
      const found = keys.map((key) => moved.find(key))
      expect(found.map((stretch) => stretch !== undefined)).toEqual(keys.map(isMoved))
      expect(keys.map((key) => moved.contains(key))).toEqual(keys.map(isMoved))
      expect(keys.map((key) => moved.find(Buffer.from(key)))).toEqual(found)
      expect(found.map((stretch) => stretch && [stretch.from, stretch.to])).toEqual(
        keys.map((key) => (isMoved(key) ? owners(key) : undefined)),
      )
      const all = [...moved]
      const bounds = all.slice(-20).flatMap(({ start, end }) => [start - 1, start, end - 1, end])
      const hashes = [0, CIRCLE - 1, ...bounds].map((hash) => hash >>> 0)
      const expected = hashes.map((hash) => all.find(({ start, end }) => start <= hash && hash < end))
      expect(hashes.map((hash) => moved.findHash(hash))).toEqual(expected)
      expect(hashes.map((hash) => moved.findHash(hash | 0))).toEqual(expected)
    }),
    { numRuns: 60 },
  )
})

test('what a node gained and lost is its part of what moved, and the difference of its shares', () => {
  fc.assert(
    fc.property(nodes, nodes, (first, second) => {
      const [before, after] = [HashRing.of(first), HashRing.of(second)]
      const moved = before.movedTo(after)
      for (const name of [...NAMES, 'nobody']) {
        const [gained, lost] = [moved.gainedBy(name), moved.lostBy(name)]
        expect([...gained]).toEqual([...moved].filter(({ to }) => to?.ringKey === name))
        expect([...lost]).toEqual([...moved].filter(({ from }) => from?.ringKey === name))
        const share = (ring: HashRing) => ring.shares().get(name) ?? 0
        expect(gained.share - lost.share).toBe(share(after) - share(before))
      }
    }),
    { numRuns: 60 },
  )
})

describe('on the rings at the edge', () => {
  const ring = HashRing.of(['a', 'b', 'c'].map((name) => node(name)))

  test('from nothing every node gets all that it owns', () => {
    const owned = HashRing.empty.movedTo(ring)
    expect(owned.share).toBe(1)
    expect([...owned].at(0)?.start).toBe(0)
    expect([...owned].at(-1)?.end).toBe(CIRCLE)
    for (const { ringKey } of ring.nodes) {
      const its = owned.gainedBy(ringKey)
      expect(its.share).toBe(ring.shares().get(ringKey))
      for (let i = 0; i < 100; i++) {
        expect(its.contains(`key-${i}`)).toBe(ring.ownerOf(`key-${i}`)?.ringKey === ringKey)
      }
    }
    expect([...owned].every(({ from }) => from === undefined)).toBe(true)
  })

  test('thousands of stretches are all there, one after the other', () => {
    const all = [...HashRing.empty.movedTo(HashRing.of(Array.from({ length: 30 }, (_, i) => node(`n${i}`))))]
    expect(all.length).toBeGreaterThan(3000)
    expect(all.map(({ start }) => start)).toEqual([0, ...all.slice(0, -1).map(({ end }) => end)])
    expect(all.at(-1)?.end).toBe(CIRCLE)
  })

  test('a single node owns one stretch, the whole circle', () => {
    const one = HashRing.of([node('a')])
    const whole = { start: 0, end: CIRCLE, from: undefined, to: one.get('a') }
    expect([...HashRing.empty.movedTo(one)]).toEqual([whole])
    expect(HashRing.empty.movedTo(one).findHash(-1)).toEqual(whole)
    expect([...one.movedTo(HashRing.empty)]).toEqual([{ ...whole, from: one.get('a'), to: undefined }])
  })

  test('nothing moves where only an address changes, or nothing', () => {
    for (const next of [ring, ring.add({ ...node('a'), address: '10.0.0.1' }), HashRing.of(ring.nodes)]) {
      const moved = ring.movedTo(next)
      expect([moved.count, moved.share, [...moved], moved.find('key')]).toEqual([0, 0, [], undefined])
    }
    expect(HashRing.empty.movedTo(HashRing.empty).count).toBe(0)
  })

  test('a node of another address is told with the address of its ring', () => {
    const before = HashRing.of([{ ...node('a'), address: '10.0.0.1' }, node('b')])
    const after = HashRing.of([{ ...node('a'), address: '10.0.0.2' }, node('c')])
    const moved = before.movedTo(after)
    expect(moved.gainedBy('a').count).toBeGreaterThan(0)
    expect([...moved.gainedBy('a')].every(({ to }) => to?.address === '10.0.0.2')).toBe(true)
    expect([...moved.lostBy('a')].every(({ from }) => from?.address === '10.0.0.1')).toBe(true)
    expect(moved.findHash(hashKey('key'))?.to?.ringKey).not.toBe('b')
  })
})

describe('MovedStretches.of', () => {
  test('gives back the stretches that went as JSON, without their nodes', () => {
    fc.assert(
      fc.property(nodes, nodes, fc.string(), (before, after, key) => {
        const moved = HashRing.of(before).movedTo(HashRing.of(after))
        const copy = MovedStretches.of(JSON.parse(JSON.stringify(moved)) as Stretch[])
        expect(copy.toJSON()).toEqual(moved.toJSON())
        expect(copy.contains(key)).toBe(moved.contains(key))
        expect(copy.find(key)?.to).toBeUndefined()
        const again = MovedStretches.of(moved)
        expect([...again]).toEqual([...moved])
        // Of the stretches of each node, too: it is one node in all of them.
        for (const { ringKey } of [...before, ...after]) {
          expect([...again.gainedBy(ringKey)]).toEqual([...moved.gainedBy(ringKey)])
          expect([...again.lostBy(ringKey)]).toEqual([...moved.lostBy(ringKey)])
        }
        // Where a stretch is over, the next one may begin, and nothing else of it is found.
        for (const { start, end } of moved) {
          expect(moved.findHash(end - 1)?.start).toBe(start)
          if (end < CIRCLE) expect(moved.findHash(end)?.start).not.toBe(start)
        }
      }),
    )
  })

  test.each([
    [[{ start: -1, end: 5 }]],
    [[{ start: 5, end: 5 }]],
    [[{ start: 0, end: CIRCLE + 1 }]],
    [[{ start: 0, end: 0.5 }]],
    [[{ start: '0', end: '5' }]],
    [[{ start: 3, end: 9 }, { start: 8, end: 10 }]], // prettier-ignore
    [[{ start: 3, end: 9 }, { start: 0, end: 2 }]], // prettier-ignore
  ])('refuses %j', (list) => {
    expect(() => MovedStretches.of(list as Stretch[])).toThrow(
      expect.objectContaining({ code: 'PARAMETER_INVALID' }),
    )
  })
})

test('stretches of a list are what it says, found by any hash, told apart by their owners', () => {
  const [a, b, c] = ['a', 'b', 'c'].map((ringKey): RingNode => ({ ringKey, weight: 1 }))
  const owner = fc.constantFrom(undefined, a, b, c)
  const part = fc.record({
    gap: fc.nat({ max: 3 }),
    length: fc.integer({ min: 1, max: 3 }),
    from: owner,
    to: owner,
  })
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.boolean(), (parts, endsTheCircle) => {
      const all = parts.reduce((sum, { gap, length }) => sum + gap + length, 0)
      let at = endsTheCircle ? 2 ** 32 - all : 0
      const list = parts.map(({ gap, length, from, to }): Stretch => {
        const start = at + gap
        at = start + length
        return { start, end: at, from, to }
      })
      const moved = MovedStretches.of(list)
      expect([...moved]).toEqual(list)
      expect(moved.count).toBe(list.length)
      expect(moved.share * 2 ** 32).toBe(parts.reduce((sum, { length }) => sum + length, 0))
      const hashes = list.flatMap(({ start, end }) => [start - 1, start, end - 1, end])
      for (const hash of hashes.filter((each) => each >= 0 && each < 2 ** 32)) {
        const expected = list.find(({ start, end }) => start <= hash && hash < end)
        expect([moved.findHash(hash), moved.findHash(hash | 0)]).toEqual([expected, expected])
      }
      for (const key of ['a', 'b', 'x']) {
        for (const other of [key, 'c']) {
          const gained = list.filter(({ from, to }) => to?.ringKey === key && from?.ringKey !== other)
          const lost = list.filter(({ from, to }) => from?.ringKey === key && to?.ringKey !== other)
          expect([...moved.gainedBy(key, other)]).toEqual(gained)
          expect([...moved.lostBy(key, other)]).toEqual(lost)
        }
      }
      expect(JSON.parse(JSON.stringify(moved))).toEqual(list.map(({ start, end }) => ({ start, end })))
      const visited: unknown[] = []
      finish(moved.visitInSteps((...each) => visited.push(each)))
      expect(visited).toEqual(list.map(({ start, end, from, to }) => [end - start, from, to]))
    }),
  )
})

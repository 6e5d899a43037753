import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assertNever } from '../../src/errors.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { compareRingKeys, type RingNode } from '../../src/ring/node.ts'
import { PointTable, type WeightedKey } from '../../src/ring/point-table.ts'
import { finish } from '../../src/ring/steps.ts'
import { ReferenceRing, referenceDigest } from './reference-ring.ts'
import { anyText } from '../support/any-text.ts'

/** Pairs of ring keys that share a point, from `golden/ring.json`; the first of each is the lower one. */
const COLLIDING = [
  ['10.0.1.186:8000', '10.0.1.228:8000'],
  ['10.0.0.182:8000', '10.0.5.246:8000'],
  ['10.0.0.243:8000', '10.0.6.8:8000'],
  ['10.0.3.178:8000', '10.0.6.125:8000'],
  ['10.0.4.17:8000', '10.0.7.67:8000'],
  ['10.0.0.19:8000', '10.0.7.72:8000'],
].flat()

const ringKey = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...COLLIDING) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 12 }).map((i) => `node-${i}`) },
  {
    weight: 1,
    arbitrary: anyText(20, 1).filter((text) => !text.includes('\n')),
  },
)
const nodeOf = (weight: fc.Arbitrary<number>): fc.Arbitrary<RingNode> =>
  fc.record(
    {
      ringKey,
      weight,
      name: fc.constantFrom('one', 'two'),
      address: fc.constantFrom('10.0.0.1', '10.0.0.2'),
      port: fc.constantFrom(8000, 8001),
      zone: fc.constantFrom('a', 'b'),
    },
    { requiredKeys: ['ringKey', 'weight'] },
  )
const equalNode = nodeOf(fc.constant(1))
const weightedNode = nodeOf(
  fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 10_000 })),
)
const setOf = (node: fc.Arbitrary<RingNode>, minLength = 0) =>
  fc.uniqueArray(node, { selector: (n) => n.ringKey, minLength, maxLength: 12 })
const anySet = fc.oneof(setOf(equalNode), setOf(weightedNode))
const key = fc.oneof(fc.string({ maxLength: 70 }), anyText(40), fc.uint8Array({ maxLength: 80 }))

type Step =
  | { readonly op: 'add'; readonly node: RingNode }
  | { readonly op: 'remove'; readonly ringKey: string }
  | { readonly op: 'with'; readonly nodes: readonly RingNode[] }

const history = (node: fc.Arbitrary<RingNode>) =>
  fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.record({ op: fc.constant('add' as const), node }) },
      { weight: 2, arbitrary: fc.record({ op: fc.constant('remove' as const), ringKey }) },
      { weight: 1, arbitrary: fc.record({ op: fc.constant('with' as const), nodes: setOf(node) }) },
    ),
    { maxLength: 20 },
  )

function take(ring: HashRing, step: Step): HashRing {
  switch (step.op) {
    case 'add':
      return ring.add(step.node)
    case 'remove':
      return ring.remove(step.ringKey)
    case 'with':
      return ring.with(step.nodes)
    default:
      return assertNever(step)
  }
}

/** Holds two rings to be the same all around the circle. */
function expectSame(a: HashRing, b: HashRing): void {
  expect(a.nodes).toEqual(b.nodes)
  expect(a.digest).toBe(b.digest)
  expect(a.pointCount).toBe(b.pointCount)
  expect(a.shares()).toEqual(b.shares())
  expect([...a.movedTo(b)]).toEqual([])
}

const sorted = <T extends WeightedKey>(nodes: readonly T[]): T[] =>
  nodes.toSorted((a, b) => compareRingKeys(a.ringKey, b.ringKey))

describe('the same set gives the same ring', () => {
  test('in whatever order', () => {
    fc.assert(
      fc.property(
        anySet.chain((nodes) =>
          fc.tuple(fc.constant(nodes), fc.shuffledSubarray(nodes, { minLength: nodes.length })),
        ),
        ([nodes, shuffled]) => {
          expectSame(HashRing.of(nodes), HashRing.of(shuffled))
        },
      ),
    )
  })

  test('through whatever history: after each step that of the nodes that are there', () => {
    fc.assert(
      fc.property(fc.oneof(history(equalNode), history(weightedNode)), (steps) => {
        let ring = HashRing.empty
        const model = new Map<string, RingNode>()
        for (const step of steps) {
          const before = ring
          ring = take(ring, step)
          if (step.op === 'remove') model.delete(step.ringKey)
          else if (step.op === 'add') model.set(step.node.ringKey, step.node)
          else model.clear()
          if (step.op === 'with') for (const node of step.nodes) model.set(node.ringKey, node)
          expect(ring.nodes).toEqual(sorted([...model.values()]))
          expectSame(ring, HashRing.of(model.values()))
          for (const node of ring.nodes) {
            expect(ring.get(node.ringKey)).toBe(node)
            // What did not change is the very same object.
            const known = before.get(node.ringKey)
            if (JSON.stringify(known) === JSON.stringify(node)) expect(known).toBe(node)
          }
          if (JSON.stringify(before.nodes) === JSON.stringify(ring.nodes)) expect(ring).toBe(before)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('down to the covered points in the table', () => {
    fc.assert(
      fc.property(fc.array(anySet, { minLength: 2, maxLength: 4 }), (sets) => {
        let table = PointTable.empty
        let before: WeightedKey[] = []
        for (const nodes of sets.map(sorted)) {
          table = finish(table.change(before, nodes))
          before = nodes
          const rebuilt = finish(PointTable.empty.change([], nodes))
          const points = (of: PointTable) => Array.from(of.points, (point, i) => `${point} ${of.ownerAt(i)}`)
          expect(points(table).join()).toBe(points(rebuilt).join())
          // Every slice of the index.
          const found = (of: PointTable) => Array.from({ length: 1024 }, (_hash, i) => of.find(i * 2 ** 22))
          expect(found(table).join()).toBe(found(rebuilt).join())
        }
      }),
    )
  })
})

describe('the ring is the one that its definition makes', () => {
  test('owners, points, shares, digest', () => {
    fc.assert(
      fc.property(anySet, fc.array(key, { maxLength: 10 }), fc.nat({ max: 14 }), (nodes, keys, n) => {
        const ring = HashRing.of(nodes)
        const reference = new ReferenceRing(nodes)
        expect(ring.digest).toBe(referenceDigest(nodes))
        for (const each of keys) {
          const expected = reference.ownersOf(each, n)
          expect(ring.ownersOf(each, n).map((node) => node.ringKey)).toEqual(expected)
          expect(ring.ownerOf(each)?.ringKey).toBe(reference.ownersOf(each, 1)[0])
        }
        const arcs = new Map(nodes.map((node) => [node.ringKey, 0]))
        let previous = (reference.points.at(-1)?.[0] ?? 0) - 2 ** 32
        for (const [point, owner] of reference.points) {
          arcs.set(owner, arcs.get(owner)! + point - previous)
          previous = point
        }
        for (const [owner, share] of ring.shares()) expect(share * 2 ** 32).toBe(arcs.get(owner))
      }),
      { numRuns: 200 },
    )
  })

  test('the first point strictly after a hash is found, for hashes on and beside points', () => {
    fc.assert(
      fc.property(anySet, fc.array(fc.nat({ max: 2 ** 32 - 1 }), { maxLength: 20 }), (nodes, hashes) => {
        const table = finish(PointTable.empty.change([], sorted(nodes)))
        const { points } = table
        const near = Array.from(points.subarray(0, 60)).flatMap((point) => [point - 1, point, point + 1])
        const ends = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, ...Array.from(points.slice(-1))]
        for (const hash of [...hashes, ...near, ...ends]) {
          const expected = Math.max(
            0,
            points.findIndex((point) => point > hash >>> 0),
          )
          expect(table.find(hash)).toBe(expected)
          expect(table.find(hash | 0)).toBe(expected)
        }
      }),
    )
  })
})

test('between two tables without nodes nothing differs', () => {
  const stretches: number[][] = []
  const visit = (...stretch: number[]) => stretches.push(stretch)
  finish(PointTable.empty.walk(PointTable.empty, new Int32Array(0), visit))
  expect(stretches).toEqual([])
})

describe('look-ups', () => {
  test('owners are distinct, the first is the owner, and n more only add to the end', () => {
    fc.assert(
      fc.property(setOf(weightedNode, 1), key, fc.integer({ min: 1, max: 14 }), (nodes, each, n) => {
        const ring = HashRing.of(nodes)
        const owners = ring.ownersOf(each, n)
        expect(new Set(owners).size).toBe(owners.length)
        expect(owners[0]).toBe(ring.ownerOf(each))
        const withPoints = [...ring.shares().values()].filter((share) => share > 0).length
        expect(owners.length).toBe(Math.min(n, withPoints))
        expect(ring.ownersOf(each, n + 1).slice(0, n)).toEqual(owners)
      }),
    )
  })

  test('a text key and its UTF-8 bytes have the same owners, lone surrogates as U+FFFD', () => {
    const text = fc.oneof(
      anyText(80),
      fc
        .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 })
        .map((units) => String.fromCharCode(...units)),
      fc
        .array(fc.integer({ min: 0xd700, max: 0xe0ff }), { maxLength: 60 })
        .map((units) => String.fromCharCode(...units)),
    )
    const ring = HashRing.of(Array.from({ length: 40 }, (_, i) => ({ ringKey: `node-${i}`, weight: 1 })))
    fc.assert(
      fc.property(text, (each) => {
        const expected = ring.ownersOf(each, 3)
        expect(ring.ownersOf(new TextEncoder().encode(each), 3)).toEqual(expected)
        expect(ring.ownersOf(each.toWellFormed(), 3)).toEqual(expected)
      }),
      { numRuns: 1000 },
    )
  })

  test('shares add up to exactly 1', () => {
    fc.assert(
      fc.property(fc.oneof(setOf(equalNode, 1), setOf(weightedNode, 1)), (nodes) => {
        const shares = HashRing.of(nodes).shares()
        expect([...shares.keys()]).toEqual(sorted(nodes).map((node) => node.ringKey))
        expect([...shares.values()].reduce((sum, share) => sum + share, 0)).toBe(1)
      }),
    )
  })
})

describe('minimal movement, with equal weights and all around the circle', () => {
  const change = setOf(equalNode, 1).chain((nodes) => fc.tuple(fc.constant(nodes), fc.constantFrom(...nodes)))

  test('removing a node moves only its keys', () => {
    fc.assert(
      fc.property(change, ([nodes, gone]) => {
        const ring = HashRing.of(nodes)
        const moved = ring.movedTo(ring.remove(gone.ringKey))
        for (const { from } of moved) expect(from).toBe(ring.get(gone.ringKey))
        expect(moved.share).toBe(ring.shares().get(gone.ringKey))
      }),
    )
  })

  test('adding a node moves keys only to it', () => {
    fc.assert(
      fc.property(change, ([nodes, come]) => {
        const ring = HashRing.of(nodes.filter((node) => node !== come))
        const next = ring.add(come)
        const moved = ring.movedTo(next)
        for (const { to } of moved) expect(to).toBe(next.get(come.ringKey))
        expect(moved.share).toBe(next.shares().get(come.ringKey))
      }),
    )
  })
})

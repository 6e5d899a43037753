import { describe, expect, test, vi } from 'vitest'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { hashKey } from '../../src/ring/key-hash.ts'
import { compareRingKeys, sameNode, type RingNode } from '../../src/ring/node.ts'
import { PointTable } from '../../src/ring/point-table.ts'
import { ReferenceRing, referenceDigest } from './reference-ring.ts'

const node = (host: number, weight = 1): RingNode => ({ ringKey: `10.0.0.${host}:8000`, weight })
const nodes = (count: number): RingNode[] => Array.from({ length: count }, (_, i) => node(i + 1))
const keys = Array.from({ length: 300 }, (_, i) => `key-${i}`)

describe('an empty ring', () => {
  test('owns nothing and answers all the same', () => {
    const ring = HashRing.empty
    // Two slices of the index, and nothing else.
    expect([ring.size, ring.pointCount, ring.nodes, ring.sizeBytes]).toEqual([0, 0, [], 8])
    expect(ring.ownerOf('key')).toBeUndefined()
    expect(ring.ownersOf('key', 3)).toEqual([])
    expect(ring.shares()).toEqual(new Map())
    expect(ring.digest).toBe('d41d8cd98f00b204')
    expect(ring.remove('a')).toBe(ring)
    expect(HashRing.of([])).toBe(ring)
  })

  test('is what is left when the last node goes', () => {
    const ring = HashRing.of([node(1)]).remove(node(1).ringKey)
    expect([ring.size, ring.pointCount, ring.digest]).toEqual([0, 0, HashRing.empty.digest])
    expect(ring.ownerOf('key')).toBeUndefined()
    expect(ring.add(node(1)).ownerOf('key')).toEqual(node(1))
  })
})

describe('nodes', () => {
  test('are sorted by the UTF-8 bytes of their ring keys', () => {
    const ringKeys = ['b', 'a', 'a-0', 'ab', 'é', 'z', '\u{e000}', '\u{ffff}', '\u{1f600}', '節', 'A']
    const sorted = HashRing.of(ringKeys.map((ringKey) => ({ ringKey, weight: 1 }))).nodes
    const expected = ringKeys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect(sorted.map(({ ringKey }) => ringKey)).toEqual(expected)
    expect(expected.indexOf('\u{ffff}')).toBeLessThan(expected.indexOf('\u{1f600}'))
  })

  test('are found by ring key', () => {
    const ring = HashRing.of(nodes(5))
    expect(ring.get('10.0.0.3:8000')).toBe(ring.nodes[2])
    expect(ring.get('10.0.0.6:8000')).toBeUndefined()
  })

  test('are copies that nobody can change', () => {
    const given = { ringKey: 'a', weight: 1, name: 'first' }
    const ring = HashRing.of([given])
    given.name = 'second'
    expect(ring.get('a')?.name).toBe('first')
    expect(Object.isFrozen(ring.get('a'))).toBe(true)
    expect(Object.isFrozen(ring.nodes)).toBe(true)
  })

  test('are not copied where nobody can change them anyway', () => {
    const given = Object.freeze({ ringKey: 'a', weight: 1 })
    expect(HashRing.of([given]).get('a')).toBe(given)
  })

  test('keep their identity from ring to ring', () => {
    const ring = HashRing.of(nodes(5))
    const next = ring.with(nodes(6))
    expect(next.nodes.slice(0, 5).map((n, i) => n === ring.nodes[i])).toEqual(Array(5).fill(true))
  })

  test('the later one of two with one ring key counts', () => {
    const ring = HashRing.of([node(1), { ...node(1), name: 'later' }, node(2)])
    expect(ring.nodes).toEqual([{ ...node(1), name: 'later' }, node(2)])
  })

  test.each([
    ['an empty ring key', { ringKey: '', weight: 1 }],
    ['a line feed in the ring key', { ringKey: 'a|1\nb', weight: 1 }],
    ['a lone surrogate in the ring key', { ringKey: 'a\ud800', weight: 1 }],
    ['no weight', { ringKey: 'a', weight: 0 }],
    ['a negative weight', { ringKey: 'a', weight: -1 }],
    ['half a weight', { ringKey: 'a', weight: 0.5 }],
    ['an endless weight', { ringKey: 'a', weight: Infinity }],
    ['a weight that is no number', { ringKey: 'a', weight: NaN }],
  ])('%s is refused', (_, bad) => {
    // Of a weight that cannot be, the error has the weight.
    const detail = bad.weight === 1 ? {} : { detail: { weight: bad.weight } }
    const code = { code: 'NODE_INVALID', ...detail }
    expect(() => HashRing.of([bad])).toThrow(expect.objectContaining(code))
    expect(() => HashRing.empty.add(bad)).toThrow(expect.objectContaining(code))
    expect(() => HashRing.empty.with([node(1), bad])).toThrow(expect.objectContaining(code))
  })
})

test('nodes are the same where nothing about them differs', () => {
  const same: RingNode = { ringKey: 'a', weight: 2, name: 'n', address: '10.0.0.1', port: 1, zone: 'z' }
  expect(sameNode(same, { ...same })).toBe(true)
  const others = { ringKey: 'b', weight: 3, name: 'm', address: '10.0.0.2', port: 2, zone: 'y' }
  for (const [field, value] of Object.entries(others)) {
    expect(sameNode(same, { ...same, [field]: value }), field).toBe(false)
    expect(sameNode({ ...same, [field]: undefined }, same), field).toBe(false)
  }
})

describe('changing a ring', () => {
  test('leaves the ring itself as it was', () => {
    const ring = HashRing.of(nodes(3))
    const [owners, digest] = [keys.map((key) => ring.ownerOf(key)), ring.digest]
    ring.add(node(9))
    ring.remove(node(1).ringKey)
    ring.with([])
    expect(ring.size).toBe(3)
    expect(keys.map((key) => ring.ownerOf(key))).toEqual(owners)
    expect(ring.digest).toBe(digest)
  })

  test('to what it is already gives the same ring', () => {
    const ring = HashRing.of(nodes(3))
    expect(ring.add(node(2))).toBe(ring)
    expect(ring.remove('10.0.0.9:8000')).toBe(ring)
    expect(ring.remove('10.0.0.2:7000')).toBe(ring)
    expect(ring.with(nodes(3).toReversed())).toBe(ring)
  })

  test('in details alone computes no points and hands out the new details', () => {
    const ring = HashRing.of(nodes(10))
    const change = vi.spyOn(PointTable.prototype, 'change')
    const moved = { ...node(4), address: '10.7.7.7', port: 9000, name: 'four', zone: 'b' }
    for (const next of [ring.add(moved), ring.with(nodes(10).with(3, moved))]) {
      expect(next.digest).toBe(ring.digest)
      expect(next.shares()).toEqual(ring.shares())
      const key = keys.find((candidate) => ring.ownerOf(candidate)?.ringKey === moved.ringKey)!
      expect(next.ownerOf(key)).toEqual(moved)
      expect(next.get(moved.ringKey)).toEqual(moved)
    }
    expect(change).not.toHaveBeenCalled()
    ring.add(node(4, 2))
    expect(change).toHaveBeenCalledOnce()
    change.mockRestore()
  })
})

describe('weights', () => {
  test.each([
    [[1, 1, 1], 360],
    [[7, 7, 7], 360],
    [[1, 2, 3], 360],
    [[1, 100], 237],
    [[1, 1, 1000], 357],
  ])('%j give %i points', (weights, points) => {
    const ring = HashRing.of(weights.map((weight, i) => node(i + 1, weight)))
    expect(ring.pointCount).toBe(points)
  })

  test('a node whose weight rounds down to no points is on the ring and owns nothing', () => {
    const ring = HashRing.of([node(1), node(2, 100)])
    expect(ring.size).toBe(2)
    expect(ring.shares()).toEqual(new Map([[node(1).ringKey, 0], [node(2).ringKey, 1]])) // prettier-ignore
    expect(ring.ownersOf('key', 2)).toEqual([node(2, 100)])
  })

  test('of the largest size still make a ring', () => {
    const ring = HashRing.of([node(1, Number.MAX_SAFE_INTEGER), node(2, Number.MAX_SAFE_INTEGER), node(3)])
    expect(ring.pointCount).toBe(354)
    expect(ring.shares().get(node(3).ringKey)).toBe(0)
  })

  test('count relative to each other: another node changes the points of all', () => {
    const before = HashRing.of([node(1, 3), node(2, 1)])
    const after = before.add(node(3, 10))
    const reference = new ReferenceRing([node(1, 3), node(2, 1), node(3, 10)])
    expect(after.pointCount).toBe(reference.points.length)
    for (const key of keys) expect(after.ownerOf(key)?.ringKey).toBe(reference.ownersOf(key, 1)[0])
  })
})

describe('ownersOf', () => {
  const ring = HashRing.of(nodes(20))

  test.each([0, -1, NaN, 0.9])('%d owners are none', (n) => {
    expect(ring.ownersOf('key', n)).toEqual([])
  })

  test.each([1, 2, 3, 15, 16, 17, 19, 20])('%i owners are the first of all of them', (n) => {
    for (const key of keys.slice(0, 50)) {
      const all = ring.ownersOf(key, Infinity)
      expect(new Set(all).size).toBe(20)
      expect(ring.ownersOf(key, n)).toEqual(all.slice(0, n))
    }
  })

  test('more owners than nodes are all nodes, and a fraction is rounded down', () => {
    expect(ring.ownersOf('key', 21)).toHaveLength(20)
    expect(ring.ownersOf('key', 2.9)).toHaveLength(2)
  })

  test('after the last point they are those of the first ones', () => {
    const reference = new ReferenceRing(nodes(20))
    const [from] = reference.points.at(-8)!
    const late = Array.from({ length: 4000 }, (_, i) => `${i}`).filter((key) => hashKey(key) >>> 0 >= from)
    expect(late.length).toBeGreaterThan(5)
    for (const key of late)
      expect(ring.ownersOf(key, 20).map(({ ringKey }) => ringKey)).toEqual(reference.ownersOf(key, 20))
  })
})

test('a place belongs to the first point strictly after it, around the circle', () => {
  const ring = HashRing.of(nodes(5))
  const { points } = new ReferenceRing(nodes(5))
  const before = points.map(([point]) => ring.ownerAt((point - 1) >>> 0)?.ringKey)
  expect(before).toEqual(points.map(([, ringKey]) => ringKey))
  expect(points.map(([point]) => ring.ownerAt(point)?.ringKey)).toEqual([...before.slice(1), before[0]])
  expect(HashRing.empty.ownerAt(1)).toBeUndefined()
  // Of two points side by side the lower one comes first, though its node comes second.
  const [second, first] = ['node-188', 'node-99'].map((ringKey): RingNode => ({ ringKey, weight: 1 }))
  const close = HashRing.of([second!, first!])
  expect([1526936607, 1526936608].map((hash) => close.ownerAt(hash))).toEqual([first, second])
})

describe('digest', () => {
  test('is of the sorted lines of ring key and weight', () => {
    const some = [
      node(10),
      node(9, 2),
      { ringKey: '\u{1f600}', weight: 3 },
      { ringKey: '\u{ffff}', weight: 1 },
    ]
    expect(HashRing.of(some).digest).toBe(referenceDigest(some))
    expect(HashRing.of([{ ringKey: 'a', weight: 1 }]).digest).toBe('bbe57a5ad29662cd')
  })

  test('tells weights and ring keys apart, but not details', () => {
    const digests = [
      HashRing.of([node(1)]),
      HashRing.of([node(1, 2)]),
      HashRing.of([node(2)]),
      HashRing.of([node(1), node(2)]),
      HashRing.of([{ ringKey: '10.0.0.1:8000|1', weight: 1 }]),
    ].map((ring) => ring.digest)
    expect(new Set(digests).size).toBe(digests.length)
    expect(HashRing.of([{ ...node(1), name: 'one' }]).digest).toBe(digests[0])
  })
})

describe('memory', () => {
  test.each([1, 2, 3, 10, 100, 1000])('at most 8 bytes a point with %i nodes', (count) => {
    const ring = HashRing.of(Array.from({ length: count }, (_, i) => ({ ringKey: `node-${i}`, weight: 1 })))
    expect(ring.pointCount).toBe(count * 120)
    expect(ring.sizeBytes / ring.pointCount).toBeLessThanOrEqual(8)
    expect(ring.sizeBytes / ring.pointCount).toBeGreaterThanOrEqual(6)
  })
})

test('nodes that come and go for ever take no memory', () => {
  const ring = HashRing.of(nodes(10))
  let churned = ring
  for (let i = 0; i < 100; i++) churned = churned.add(node(100 + i)).remove(node(100 + i).ringKey)
  expect(churned.digest).toBe(ring.digest)
  // One slot stays free for the next newcomer.
  expect(churned.sizeBytes - ring.sizeBytes).toBeLessThanOrEqual(8)
  // Whose place is free goes to the next newcomer, the very first one too.
  for (const { ringKey } of ring.nodes)
    expect(ring.remove(ringKey).add(node(200)).sizeBytes).toBe(ring.sizeBytes)
  // Where all are new, nothing is kept for those before.
  for (const size of [1, 10]) {
    const others = nodes(2 * size).slice(size)
    expect(HashRing.of(nodes(size)).with(others).sizeBytes).toBe(HashRing.of(others).sizeBytes)
  }
})

test('of two equal points the second one is covered', () => {
  const [points, places, slots] = [Uint32Array.of(5, 5, 6), Uint32Array.of(0, 1), Uint16Array.of(0, 1, 0)]
  const table = PointTable.of({ points, slots, places, sliceStarts: Uint32Array.of(0, 3) })
  expect([0, 1, 2].map((at) => table.isCovered(at))).toEqual([false, true, false])
})

test('compareRingKeys orders by UTF-8 bytes', () => {
  const texts = [
    '',
    'a',
    'ab',
    'b',
    '\u{7f}',
    '\u{80}',
    '\u{7ff}',
    '\u{800}',
    '\u{d7ff}',
    '\u{e000}',
    '\u{ffff}',
  ]
  texts.push('\u{10000}', '\u{10ffff}', 'a\u{ffff}', 'a\u{10000}', '\u{1f600}a', '\u{1f600}b', '\u{1f601}')
  for (const a of texts) {
    for (const b of texts) {
      const expected = Buffer.compare(Buffer.from(a), Buffer.from(b))
      expect(Math.sign(compareRingKeys(a, b)), JSON.stringify([a, b])).toBe(expected)
    }
  }
})

describe('a ring in shared memory', () => {
  const ring = HashRing.of([
    ...nodes(30),
    { ...node(40, 7), name: 'caf\u00e9 "40"', address: '10.0.0.40', port: 80, zone: 'z' },
  ])

  test('is the same ring for another thread, and for this one', () => {
    const before = keys.map((key) => ring.ownersOf(key, 3))
    const { digest, shares, next } = {
      digest: ring.digest,
      shares: ring.shares(),
      next: ring.add(node(50)),
    }
    const copy = HashRing.fromShared(structuredClone(ring.share()))
    for (const one of [ring, copy]) {
      expect(keys.map((key) => one.ownersOf(key, 3))).toEqual(before)
      expect(one.digest).toBe(digest)
      expect(one.shares()).toEqual(shares)
      expect(one.nodes).toEqual(ring.nodes)
      expect([...one.add(node(50)).movedTo(next)]).toEqual([])
    }
    expect(Object.isFrozen(copy.nodes[0])).toBe(true)
  })

  test('has its points once', () => {
    const own = HashRing.of(ring.nodes)
    const [first, second] = [own.share(), own.share()]
    const copy = HashRing.fromShared(structuredClone(first))
    for (const name of ['points', 'slots', 'places', 'sliceStarts'] as const) {
      expect(first.table[name].buffer).toBeInstanceOf(SharedArrayBuffer)
      expect(second.table[name]).toBe(first.table[name])
      // What one thread writes the other one reads.
      const at = first.table[name].length - 1
      const value = first.table[name][at]!
      first.table[name][at] = value - 1
      expect(copy.share().table[name][at]).toBe(value - 1)
      first.table[name][at] = value
    }
    expect(copy.sizeBytes).toBe(own.sizeBytes)
  })

  test('without nodes is one, too', () => {
    const copy = HashRing.fromShared(structuredClone(HashRing.empty.share()))
    expect([copy.size, copy.digest, copy.ownerOf('key')]).toEqual([0, HashRing.empty.digest, undefined])
  })
})

import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { MovedStretches } from '../../src/ring/moved.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { plan, sumMoves, type RingMove } from '../../src/ring/plan.ts'
import { finish } from '../../src/ring/steps.ts'
import { ReferenceRing } from './reference-ring.ts'

const node = (name: string, weight = 1): RingNode => ({ ringKey: name, weight })
const ring = HashRing.of(['a', 'b', 'c', 'd'].map((name) => node(name)))
const sum = (moves: readonly RingMove[]) => moves.reduce((total, { share }) => total + share, 0)

describe('plan', () => {
  test('of nothing moves nothing', () => {
    for (const change of [
      {},
      { leave: [], join: [], reweight: [] },
      { reweight: [{ ringKey: 'a', weight: 1 }] },
    ]) {
      expect(plan(ring, change)).toEqual({
        before: ring.digest,
        after: ring.digest,
        movedShare: 0,
        moves: [],
        sharesBefore: ring.shares(),
        sharesAfter: ring.shares(),
        maxMeanBefore: Math.max(...ring.shares().values()) * 4,
        maxMeanAfter: Math.max(...ring.shares().values()) * 4,
      })
    }
  })

  test('of a leaving node moves its share, to the others', () => {
    const { moves, movedShare, after, sharesAfter } = plan(ring, { leave: ['b'] })
    expect(movedShare).toBe(ring.shares().get('b'))
    expect(moves.map(({ from }) => from)).toEqual(['b', 'b', 'b'])
    expect(new Set(moves.map(({ to }) => to))).toEqual(new Set(['a', 'c', 'd']))
    for (const { to, share } of moves) expect(sharesAfter.get(to!)! - ring.shares().get(to!)!).toBe(share)
    expect(after).toBe(ring.remove('b').digest)
  })

  test('of a joining node moves its share, from the others', () => {
    const { moves, movedShare, sharesBefore, sharesAfter, after } = plan(ring, { join: [node('e')] })
    expect(movedShare).toBe(sharesAfter.get('e'))
    expect(moves.map(({ to }) => to)).toEqual(['e', 'e', 'e', 'e'])
    expect(sharesBefore.has('e')).toBe(false)
    expect(after).toBe(ring.add(node('e')).digest)
  })

  test('of a new weight moves keys to the node that is to own more', () => {
    const { moves, sharesAfter, after } = plan(ring, { reweight: [{ ringKey: 'a', weight: 4 }] })
    expect(sharesAfter.get('a')).toBeGreaterThan(0.45)
    expect(moves.length).toBeGreaterThan(0)
    expect(after).toBe(ring.add(node('a', 4)).digest)
  })

  test('keeps the details of a node with a new weight out of the moves', () => {
    const named = HashRing.of([{ ...node('a'), address: '10.0.0.1', name: 'pod-a' }, node('b')])
    expect(plan(named, { reweight: [{ ringKey: 'a', weight: 1 }] }).moves).toEqual([])
  })

  test('all parts happen at once', () => {
    const change = { leave: ['a'], join: [node('e', 2)], reweight: [{ ringKey: 'b', weight: 3 }] }
    const next = HashRing.of([node('b', 3), node('c'), node('d'), node('e', 2)])
    const result = plan(ring, change)
    expect([result.before, result.after]).toEqual([ring.digest, next.digest])
    expect(result.sharesAfter).toEqual(next.shares())
    expect(result.maxMeanAfter).toBe(Math.max(...next.shares().values()) * 4)
  })

  test('moves are sorted: largest first, then by ring key', () => {
    const { moves } = plan(ring, { leave: ['a', 'c'], join: [node('e'), node('f')] })
    const shares = moves.map(({ share }) => share)
    expect(shares).toEqual(shares.toSorted((x, y) => y - x))
    expect(moves.every(({ from, to, share }) => from !== to && share > 0)).toBe(true)

    // Equal shares are too rare to wait for.
    const places = (ends: string[]) => new Int32Array(ends.map((end) => 'abcd'.indexOf(end)))
    const columns = {
      starts: new Uint32Array([0, 1, 2, 3, 4, 5]),
      ends: new Uint32Array([1, 2, 3, 4, 5, 7]),
      from: places(['a', 'b', 'a', 'c', 'c', 'd']),
      to: places(['c', 'a', 'b', 'b', 'a', 'a']),
    }
    const movedTo = vi.spyOn(ring, 'movedInSteps').mockImplementation(function* () {
      yield
      return new MovedStretches(ring.nodes, ring.nodes, columns)
    })
    const alike = plan(ring, {}).moves
    expect(alike.map(({ from, to, share }) => `${from}${to} ${share * 2 ** 32}`)).toEqual([
      'da 2',
      'ab 1',
      'ac 1',
      'ba 1',
      'ca 1',
      'cb 1',
    ])
    movedTo.mockRestore()
  })
})

describe('plan on empty rings', () => {
  test('the first nodes come from nobody', () => {
    const result = plan(HashRing.empty, { join: [node('a'), node('b')] })
    const next = HashRing.of([node('a'), node('b')])
    expect(result.movedShare).toBe(1)
    expect(result.moves.map(({ from }) => from)).toEqual([null, null])
    expect(new Map(result.moves.map(({ to, share }) => [to, share]))).toEqual(next.shares())
    expect([result.sharesBefore.size, result.maxMeanBefore]).toEqual([0, 0])
  })

  test('the last nodes leave to nobody', () => {
    const result = plan(HashRing.of([node('a')]), { leave: ['a'] })
    expect(result.moves).toEqual([{ from: 'a', to: null, share: 1 }])
    expect([result.after, result.sharesAfter.size, result.maxMeanAfter]).toEqual([
      HashRing.empty.digest,
      0,
      0,
    ])
  })

  test('moves from nobody or to nobody are sorted, too', () => {
    const ends = ['b', 'c', 'a'].map((name) => node(name))
    const at = (i: number) => ({ start: i, end: i + 1 })
    const come = finish(sumMoves(ends.map((to, i) => ({ ...at(i), from: undefined, to }))))
    expect(come.map(({ from, to }) => [from, to])).toEqual(['a', 'b', 'c'].map((to) => [null, to]))
    const gone = finish(sumMoves(ends.map((from, i) => ({ ...at(i), from, to: undefined }))))
    expect(gone.map(({ from, to }) => [from, to])).toEqual(['a', 'b', 'c'].map((from) => [from, null]))
  })

  test('from empty to empty nothing moves', () => {
    expect(plan(HashRing.empty, {}).moves).toEqual([])
  })
})

describe('plan refuses', () => {
  test.each([
    ['an absent node that leaves', { leave: ['x'] }, { absent: ['x'] }],
    ['a new weight for an absent node', { reweight: [{ ringKey: 'x', weight: 2 }] }, { absent: ['x'] }],
    ['a present node that joins', { join: [node('a')] }, { present: ['a'] }],
    ['a node that leaves twice', { leave: ['a', 'a'] }, { repeated: ['a'] }],
    ['a node that joins twice', { join: [node('x'), node('x', 2)] }, { repeated: ['x'] }],
    [
      'a leaving node with a new weight',
      { leave: ['a'], reweight: [{ ringKey: 'a', weight: 2 }] },
      { repeated: ['a'] },
    ],
    ['a weight of 0', { reweight: [{ ringKey: 'a', weight: 0 }] }, { invalid: ['a'] }],
    ['a joining node of half a weight', { join: [node('x', 0.5)] }, { invalid: ['x'] }],
    ['a joining node without a ring key', { join: [node('')] }, { invalid: [''] }],
    [
      'all that is wrong at once',
      { leave: ['x', 'b', 'b'], join: [node('a'), node('y', -1)], reweight: [{ ringKey: 'z', weight: 1 }] },
      { absent: ['x', 'z'], present: ['a'], repeated: ['b'], invalid: ['y'] },
    ],
  ])('%s', (_, change, detail) => {
    expect(() => plan(ring, change)).toThrow(expect.objectContaining({ code: 'PLAN_INVALID', detail }))
  })

  test('in a message that names the nodes', () => {
    expect(() => plan(ring, { leave: ['nobody'] })).toThrow(/^not on the ring[^:]* ring key\): "nobody"$/)
  })
})

describe('plan agrees with look-ups', () => {
  const names = Array.from({ length: 14 }, (_, i) => `node-${i}`)
  const weight = fc.integer({ min: 1, max: 20 })
  const change = fc
    .tuple(
      fc.array(fc.tuple(fc.constantFrom('stay', 'leave', 'join', 'reweight', 'out'), weight, weight), {
        minLength: names.length,
        maxLength: names.length,
      }),
      fc.boolean(),
    )
    .map(([roles, weighted]) => {
      const parts = roles.map(([role, first, second], i) => ({
        role,
        ringKey: names[i]!,
        first: weighted ? first : 1,
        second: weighted ? second : 1,
      }))
      const named = (...of: string[]) => parts.filter(({ role }) => of.includes(role))
      return {
        nodes: named('stay', 'leave', 'reweight').map((part) => node(part.ringKey, part.first)),
        change: {
          leave: named('leave').map((part) => part.ringKey),
          join: named('join').map((part) => node(part.ringKey, part.second)),
          reweight: named('reweight').map((part) => ({ ringKey: part.ringKey, weight: part.second })),
        },
        next: [
          ...named('stay').map((part) => node(part.ringKey, part.first)),
          ...named('join', 'reweight').map((part) => node(part.ringKey, part.second)),
        ],
      }
    })

  test('moves, shares and digests are those of the two rings', () => {
    fc.assert(
      fc.property(change, (sample) => {
        const before = HashRing.of(sample.nodes)
        const after = HashRing.of(sample.next)
        const result = plan(before, sample.change)
        expect([result.before, result.after]).toEqual([before.digest, after.digest])
        expect([result.sharesBefore, result.sharesAfter]).toEqual([before.shares(), after.shares()])
        expect(result.movedShare).toBe(sum(result.moves))
        // What a node loses and gains is the difference of its shares.
        for (const name of names) {
          const gained = sum(result.moves.filter(({ to }) => to === name))
          const lost = sum(result.moves.filter(({ from }) => from === name))
          expect(gained - lost).toBe((after.shares().get(name) ?? 0) - (before.shares().get(name) ?? 0))
        }
        // Every key whose owner differs is in some move, and moves between no others.
        const pairs = new Set(result.moves.map(({ from, to }) => JSON.stringify([from, to])))
        for (let i = 0; i < 200; i++) {
          const from = before.ownerOf(`key-${i}`)?.ringKey ?? null
          const to = after.ownerOf(`key-${i}`)?.ringKey ?? null
          if (from !== to) expect(pairs).toContain(JSON.stringify([from, to]))
        }
      }),
    )
  })

  test('each move has exactly the length of the arcs that move, found by brute force', () => {
    const [before, after] = [
      [node('a', 2), node('b'), node('c', 3)],
      [node('b'), node('c'), node('d', 2)],
    ] as const
    const { moves } = plan(HashRing.of(before), {
      leave: ['a'],
      join: [node('d', 2)],
      reweight: [{ ringKey: 'c', weight: 1 }],
    })
    const references = [new ReferenceRing(before), new ReferenceRing(after)].map(({ points }) => points)
    const cuts = [0, 2 ** 32, ...references.flat().map(([point]) => point)].toSorted((x, y) => x - y)
    const expected = new Map<string, number>()
    for (let i = 1; i < cuts.length; i++) {
      const hash = cuts[i - 1]!
      const [from, to] = references.map((points) => (points.find(([point]) => point > hash) ?? points[0]!)[1])
      const pair = `${from} ${to}`
      if (from !== to) expected.set(pair, (expected.get(pair) ?? 0) + cuts[i]! - hash)
    }
    const found = moves.map(({ from, to, share }) => [`${from} ${to}`, share * 2 ** 32] as const)
    expect(new Map(found)).toEqual(expected)
  })

  test('the moved share is what sampled keys show', () => {
    const { movedShare, moves } = plan(ring, { leave: ['a'] })
    const after = ring.remove('a')
    const keys = Array.from({ length: 20_000 }, (_, i) => `key-${i}`)
    const moved = keys.filter((key) => ring.ownerOf(key) !== after.ownerOf(key))
    expect(Math.abs(moved.length / keys.length - movedShare)).toBeLessThan(0.02)
    expect(moves.length).toBe(3)
  })
})

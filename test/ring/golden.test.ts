import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { hashKey } from '../../src/ring/key-hash.ts'
import { compareRingKeys, type RingNode } from '../../src/ring/node.ts'
import { PointTable } from '../../src/ring/point-table.ts'
import { finish } from '../../src/ring/steps.ts'
import { ReferenceRing } from './reference-ring.ts'

type Key = { readonly s: string } | { readonly repeat: string; readonly n: number } | { readonly b64: string }
type Op = readonly ['new', readonly string[]] | readonly ['add' | 'remove', string]

interface GoldenRing {
  readonly id: string
  readonly nodes: readonly string[]
  readonly weights?: Readonly<Record<string, number>>
  readonly ops?: readonly Op[]
  readonly points: number
  readonly distinctPoints: number
  readonly pointsSha256: string
  readonly table?: readonly (readonly [point: number, node: number])[]
  readonly keys: 'common' | 'none'
  readonly extraKeys?: readonly Key[]
  readonly owner: readonly number[]
  readonly first3: readonly (readonly number[] | null)[]
}

interface Golden {
  readonly keySets: { readonly common: readonly Key[] }
  readonly keyHashes: { readonly common: readonly number[] }
  readonly rings: readonly GoldenRing[]
  readonly collisions: {
    readonly examples: readonly {
      readonly a: string
      readonly b: string
      readonly point: number
      readonly keys: readonly Key[]
      readonly ownerWhenAThenB: string
      readonly ownerWhenBThenA: string
    }[]
  }
}

/** Answers recorded from serialx/hashring at commit 8b29126. */
const golden = JSON.parse(readFileSync(new URL('../golden/ring.json', import.meta.url), 'utf8')) as Golden

function toKey(key: Key): string | Uint8Array {
  if ('s' in key) return key.s
  return 'repeat' in key ? key.repeat.repeat(key.n) : Buffer.from(key.b64, 'base64')
}

function ringKeysOf(nodes: readonly RingNode[]): string[] {
  return nodes.map(({ ringKey }) => ringKey)
}

function keysOf(ring: GoldenRing): (string | Uint8Array)[] {
  return [...(ring.keys === 'common' ? golden.keySets.common : []), ...(ring.extraKeys ?? [])].map(toKey)
}

/** The nodes of a recorded ring in our order, each once. */
function nodesOf({ nodes, weights }: GoldenRing): RingNode[] {
  return [...new Set(nodes)]
    .sort(compareRingKeys)
    .map((ringKey) => ({ ringKey, weight: weights?.[ringKey] ?? 1 }))
}

/** One node named twice makes a point table with every point twice in Go; a set has it once. */
const isSet = ({ nodes }: GoldenRing) => new Set(nodes).size === nodes.length
/** Go takes the empty ring key, which ours refuses; its points and owners are held to ours one level below. */
const isTaken = ({ nodes }: GoldenRing) => !nodes.includes('')

test('the recorded hashes of all keys', () => {
  const hashes = golden.keySets.common.map((key) => hashKey(toKey(key)) >>> 0)
  expect(hashes).toEqual(golden.keyHashes.common)
})

describe.each(golden.rings.map((ring) => [ring.id, ring] as const))('golden ring %s', (_, ring) => {
  const nodes = nodesOf(ring)
  const table = finish(PointTable.empty.change([], nodes))
  const owners = Array.from(table.points, (_point, i) => nodes[table.ownerAt(i)]!.ringKey)

  test('has the recorded points', () => {
    expect(new Set(table.points).size).toBe(ring.distinctPoints)
    if (!isSet(ring)) return
    expect(table.points).toHaveLength(ring.points)
    const lines = owners.map((owner, i) => `${table.points[i]} ${owner}\n`)
    expect(createHash('sha256').update(lines.join('')).digest('hex')).toBe(ring.pointsSha256)
  })

  if (ring.table !== undefined)
    test('has the recorded point table', () => {
      const recorded = ring.table?.map(([point, node]) => [point, ring.nodes[node]])
      const distinct = recorded?.filter(([point], i) => point !== recorded[i - 1]?.[0])
      expect(owners.map((owner, i) => [table.points[i], owner])).toEqual(distinct)
    })

  test('finds the recorded owners in the point table', () => {
    const found = keysOf(ring).map((key) => owners[table.find(hashKey(key))])
    expect(found).toEqual(ring.owner.map((node) => ring.nodes[node]))
  })

  if (isTaken(ring))
    test('finds the recorded owners', () => {
      const built = HashRing.of(nodes)
      const found = keysOf(ring).map((key) => built.ownerOf(key)?.ringKey)
      expect(found).toEqual(ring.owner.map((node) => ring.nodes[node]))
    })

  if (isTaken(ring))
    test('finds the recorded first three, or all where Go refuses for want of three', () => {
      const built = HashRing.of(nodes)
      keysOf(ring).forEach((key, i) => {
        const found = built.ownersOf(key, 3).map(({ ringKey }) => ringKey)
        const recorded = ring.first3[i]
        if (recorded === null || recorded === undefined) {
          expect(ring.nodes.length).toBeLessThan(3)
          expect(found.length).toBeLessThanOrEqual(ring.nodes.length)
          expect(found[0]).toBe(ring.nodes[ring.owner[i]!])
        } else {
          expect(found).toEqual(recorded.map((node) => ring.nodes[node]))
        }
      })
    })

  if (ring.ops !== undefined)
    test('comes out the same through its history', () => {
      let grown = HashRing.empty
      for (const step of ring.ops!) {
        if (step[0] === 'new') grown = HashRing.of(step[1].map((ringKey) => ({ ringKey, weight: 1 })))
        else if (step[0] === 'add') grown = grown.add({ ringKey: step[1], weight: 1 })
        else grown = grown.remove(step[1])
      }
      const built = HashRing.of(nodes)
      expect(grown.digest).toBe(built.digest)
      expect(grown.nodes).toEqual(built.nodes)
      const found = keysOf(ring).map((key) => grown.ownerOf(key)?.ringKey)
      expect(found).toEqual(ring.owner.map((node) => ring.nodes[node]))
    })
})

describe.each(golden.collisions.examples)('$a and $b on point $point', ({ a, b, point, keys, ...go }) => {
  const [lower, higher] = [a, b].sort(compareRingKeys) as [string, string]
  const node = (ringKey: string) => ({ ringKey, weight: 1 })

  test('Go gives the point to whichever came last', () => {
    expect([go.ownerWhenAThenB, go.ownerWhenBThenA]).toEqual([b, a])
  })

  test('ours to the lower ring key, in whatever order they come', () => {
    const rings = [
      HashRing.of([node(a), node(b)]),
      HashRing.of([node(b), node(a)]),
      HashRing.empty.add(node(a)).add(node(b)),
      HashRing.empty.add(node(b)).add(node(a)),
      HashRing.of([node(higher)]).with([node(lower), node(higher)]),
    ]
    for (const ring of rings) {
      expect(keys.map((key) => ring.ownerOf(toKey(key))?.ringKey)).toEqual(keys.map(() => lower))
      expect(ring.shares()).toEqual(rings[0]!.shares())
    }
  })

  test('removing the lower one uncovers the other', () => {
    const left = HashRing.of([node(a), node(b)]).remove(lower)
    expect(left.shares()).toEqual(new Map([[higher, 1]]))
    const third = '10.9.9.9:8000'
    const three = HashRing.of([node(a), node(b), node(third)]).remove(lower)
    expect(three.shares()).toEqual(HashRing.of([node(higher), node(third)]).shares())
    const reference = new ReferenceRing([node(higher), node(third)])
    for (const key of keys.map(toKey))
      expect(ringKeysOf(three.ownersOf(key, 2))).toEqual(reference.ownersOf(key, 2))
  })

  test('the covered node is passed over: it owns nothing at that point', () => {
    const nodes = [a, b, '10.9.9.1:8000', '10.9.9.2:8000'].sort(compareRingKeys).map(node)
    const table = finish(PointTable.empty.change([], nodes))
    const at = table.points.indexOf(point)
    expect([at, at + 1].map((i) => nodes[table.ownerAt(i)]!.ringKey)).toEqual([lower, higher])
    expect([table.isCovered(at), table.isCovered(at + 1)]).toEqual([false, true])
    const ring = HashRing.of(nodes)
    const reference = new ReferenceRing(nodes)
    for (const key of keys.map(toKey))
      expect(ringKeysOf(ring.ownersOf(key, 4))).toEqual(reference.ownersOf(key, 4))
  })
})

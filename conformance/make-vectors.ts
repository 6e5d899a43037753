/** `node conformance/make-vectors.ts`: writes vectors.json, what the real ring answers. A test proves it current. */
import { writeFileSync } from 'node:fs'
import { HashRing } from '../src/ring/hash-ring.ts'
import { hashKey } from '../src/ring/key-hash.ts'
import type { RingNode } from '../src/ring/node.ts'
import { computePoints } from '../src/ring/point-list.ts'
import { finish } from '../src/ring/steps.ts'

/** A key: text, hashed as its UTF-8 bytes, or bytes. */
export type VectorKey =
  { readonly text: string; readonly hash: number } | { readonly hex: string; readonly hash: number }

/** What every client must say of one ring. Numbers of nodes are their places in `nodes`. */
export interface RingVector {
  readonly name: string
  /** In the byte order of ring keys, as `/v1/ring` has them. */
  readonly nodes: readonly RingNode[]
  readonly digest: string
  /** Of each node, how many of the 2^32 hashes it owns. */
  readonly shares: readonly number[]
  /** For each key its owner; empty for the empty ring. */
  readonly owner: readonly number[]
  /** For each key its first three owners, or fewer where there are fewer with points. */
  readonly owners3: readonly (readonly number[])[]
  /** For the first key, all owners. */
  readonly allOwners: readonly number[]
}

/** How one ring becomes another. Ring keys; null where a ring is empty. */
export interface MoveVector {
  readonly from: string
  readonly to: string
  /** How many hashes get another owner. */
  readonly moved: number
  /** The largest first, then by `from` and `to`. */
  readonly moves: readonly (readonly [from: string | null, to: string | null, hashes: number])[]
  /** Hashes `start <= h < end`, ascending, none beside another with the same owners; left out of large rings. */
  readonly stretches?: readonly (readonly [
    start: number,
    end: number,
    from: string | null,
    to: string | null,
  ])[]
}

export interface Vectors {
  readonly format: 1
  readonly keys: readonly VectorKey[]
  readonly rings: readonly RingVector[]
  readonly moves: readonly MoveVector[]
}

const node = (ringKey: string, weight = 1): RingNode => ({ ringKey, weight })
const many = (count: number) =>
  Array.from({ length: count }, (_, at) => node(`10.0.${at >> 8}.${at & 255}:8000`))

/** Two nodes with a point in common, found among numbered names. */
function twins(): readonly [string, string] {
  const owners = new Map<number, string>()
  for (let at = 0; ; at++) {
    const ringKey = `twin-${at}`
    for (const point of finish(computePoints([{ ringKey, slot: 0, from: 0, to: 40 }])).points) {
      const other = owners.get(point)
      if (other !== undefined && other !== ringKey) return [other, ringKey]
      owners.set(point, ringKey)
    }
  }
}

/** A key right before the point that two nodes share. */
function keyOfTwins([first, second]: readonly [string, string]): string {
  const pointsOf = (ringKey: string) => [
    ...finish(computePoints([{ ringKey, slot: 0, from: 0, to: 40 }])).points,
  ]
  const others = new Set(pointsOf(first))
  const shared = pointsOf(second).find((point) => others.has(point))!
  const all = [...pointsOf(first), ...pointsOf(second)].sort((a, b) => a - b)
  const before = all[all.indexOf(shared) - 1] ?? 0
  for (let at = 0; ; at++) {
    const hash = hashKey(`shared-${at}`) >>> 0
    if (hash >= before && hash < shared) return `shared-${at}`
  }
}

const TWINS = twins()

const RINGS: Readonly<Record<string, readonly RingNode[]>> = {
  empty: [],
  one: [node('alone')],
  three: [node('10.0.0.1:8000'), node('10.0.0.2:8000'), node('10.0.0.3:8000')],
  four: [node('10.0.0.1:8000'), node('10.0.0.2:8000'), node('10.0.0.3:8000'), node('10.0.0.4:8000')],
  'three, one replaced': [node('10.0.0.1:8000'), node('10.0.0.2:8000'), node('10.0.0.9:8000')],
  'three, weighted': [node('10.0.0.1:8000'), node('10.0.0.2:8000', 2), node('10.0.0.3:8000', 5)],
  'a weight that comes to no point': [node('heavy', 1000), node('light')],
  'weights beyond 2^53 together': [
    node('a', Number.MAX_SAFE_INTEGER),
    node('b', Number.MAX_SAFE_INTEGER - 2),
    node('c', 3_002_399_751_580_331),
  ],
  'a point that two nodes share': TWINS.map((ringKey) => node(ringKey)),
  'odd ring keys': [
    '[2001:db8::1]:8000',
    'ringman-0',
    'ringman-00',
    'with space',
    'quote"and\\slash',
    'ünïcode',
    'tab\there',
    '\u{ffff}',
    '\u{10000}',
    '\u{e000}',
    '😀',
    'a|1',
    'A',
    'a',
  ].map((ringKey) => node(ringKey)),
  'everything that reaches a node': ['a', 'b', 'c', 'a', 'b', 'c'].map((zone, at) => ({
    ringKey: `ringman-${at}`,
    weight: 1 + (at % 2),
    name: `ringman-${at}`,
    address: at === 0 ? '2001:db8::1' : `10.0.0.${at}`,
    port: 8000 + at,
    zone,
  })),
  hundred: many(100),
  thousand: many(1000),
}

const ODD_KEYS = [
  'a',
  ' ',
  '  leading and trailing  ',
  'user:42',
  'USER:42',
  'a/b?c=d&e#f',
  '%41',
  '+',
  'null',
  '0',
  '\0',
  'line\nfeed',
  '\ttab',
  '"quoted"',
  'back\\slash',
  '\u007f',
  '\u0080',
  'é',
  'e\u0301',
  'ß',
  'ﬀ',
  '日本語のキー',
  'עברית',
  '😀',
  '👩‍👩‍👧',
  '\uffff',
  '\u{10ffff}',
  '\ufeffbom',
  '\u2028',
  ...[3, 4, 5, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 1000].map((length) => 'x'.repeat(length)),
  ...[27, 28, 31, 32].map((length) => 'é'.repeat(length)),
]
const BYTE_KEYS = [
  '00',
  'ff',
  'c3',
  '80',
  'fffe',
  'eda080',
  'f4908080',
  '00'.repeat(64),
  'deadbeef'.repeat(20),
]

function makeKeys(): VectorKey[] {
  const texts = [...ODD_KEYS, keyOfTwins(TWINS), ...Array.from({ length: 150 }, (_, at) => `key-${at}`)]
  return [
    ...texts.map((text) => ({ text, hash: hashKey(text) >>> 0 })),
    ...BYTE_KEYS.map((hex) => ({ hex, hash: hashKey(Buffer.from(hex, 'hex')) >>> 0 })),
  ]
}

/** A key of the vectors as the ring takes it. */
export function valueOf(key: VectorKey): string | Uint8Array {
  return 'text' in key ? key.text : Buffer.from(key.hex, 'hex')
}

function ringVector(name: string, given: readonly RingNode[], keys: readonly VectorKey[]): RingVector {
  const ring = HashRing.of(given)
  const place = (found: RingNode | undefined) => ring.nodes.indexOf(found!)
  const values = keys.map(valueOf)
  return {
    name,
    nodes: ring.nodes,
    digest: ring.digest,
    shares: [...ring.shares().values()].map((share) => share * 2 ** 32),
    owner: ring.size === 0 ? [] : values.map((key) => place(ring.ownerOf(key))),
    owners3: ring.size === 0 ? [] : values.map((key) => ring.ownersOf(key, 3).map(place)),
    allOwners: ring.ownersOf(values[0]!, ring.size).map(place),
  }
}

const MOVES: readonly (readonly [from: string, to: string])[] = [
  ['empty', 'one'],
  ['one', 'empty'],
  ['three', 'three'],
  ['three', 'four'],
  ['four', 'three'],
  ['three', 'three, one replaced'],
  ['three', 'three, weighted'],
  ['hundred', 'thousand'],
]

function moveVector(from: string, to: string): MoveVector {
  const [before, after] = [HashRing.of(RINGS[from]!), HashRing.of(RINGS[to]!)]
  const stretches: [number, number, string | null, string | null][] = []
  for (const { start, end, from: gives, to: takes } of before.movedTo(after)) {
    stretches.push([start, end, gives?.ringKey ?? null, takes?.ringKey ?? null])
  }
  const sums = new Map<string, [string | null, string | null, number]>()
  for (const [start, end, gives, takes] of stretches) {
    const sum = sums.get(`${gives}\n${takes}`) ?? [gives, takes, 0]
    sum[2] += end - start
    sums.set(`${gives}\n${takes}`, sum)
  }
  const ascending = (a: string | null, b: string | null) =>
    Buffer.compare(Buffer.from(a ?? ''), Buffer.from(b ?? ''))
  const moves = [...sums.values()].sort(
    (a, b) => b[2] - a[2] || ascending(a[0], b[0]) || ascending(a[1], b[1]),
  )
  const moved = moves.reduce((sum, [, , hashes]) => sum + hashes, 0)
  const small = stretches.length <= 500
  return { from, to, moved, moves: small ? moves : moves.slice(0, 20), ...(small ? { stretches } : {}) }
}

/** Everything that vectors.json holds. */
export function makeVectors(): Vectors {
  const keys = makeKeys()
  return {
    format: 1,
    keys,
    rings: Object.entries(RINGS).map(([name, given]) => ringVector(name, given, keys)),
    moves: MOVES.map(([from, to]) => moveVector(from, to)),
  }
}

export const VECTORS_FILE = new URL('vectors.json', import.meta.url)

/** JSON with a line for each key, ring and so on. */
export function vectorsText(vectors: Vectors): string {
  const lines = (list: readonly unknown[]) => list.map((entry) => JSON.stringify(entry)).join(',\n')
  const { keys, rings, moves } = vectors
  return `{"format":1,\n"keys":[\n${lines(keys)}\n],\n"rings":[\n${lines(rings)}\n],\n"moves":[\n${lines(moves)}\n]}\n`
}

if (import.meta.main) writeFileSync(VECTORS_FILE, vectorsText(makeVectors()))

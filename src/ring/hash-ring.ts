import { checkNode, type RingNode } from './node.ts'
import { md5 } from './md5.ts'

/** Points per node when all weights are equal: three from each of 40 digests. */
export const POINTS_PER_NODE = 120

/** First placeholder of the interface; see the class comment of the finished ring. */
export class HashRing {
  static readonly empty: HashRing = new HashRing([])
  /** Every node, sorted by ring key in byte order. */
  readonly nodes: readonly RingNode[]
  readonly digest: string
  readonly #points: { point: number; node: RingNode }[]

  private constructor(nodes: readonly RingNode[]) {
    this.nodes = nodes
    const total = nodes.reduce((sum, node) => sum + node.weight, 0)
    const points = new Map<number, RingNode>()
    for (const node of nodes) {
      const factor = Math.floor((40 * nodes.length * node.weight) / total)
      for (let j = 0; j < factor; j++) {
        const d = md5(`${node.ringKey}-${j}`)
        for (const i of [0, 4, 8]) {
          const point = new DataView(d.buffer).getUint32(i, true)
          if (!points.has(point)) points.set(point, node)
        }
      }
    }
    this.#points = [...points].map(([point, node]) => ({ point, node })).sort((a, b) => a.point - b.point)
    const d = md5(nodes.map((n) => `${n.ringKey}|${n.weight}\n`).join(''))
    this.digest = Array.from(d.subarray(0, 8), (b) => b.toString(16).padStart(2, '0')).join('')
  }

  static of(nodes: Iterable<RingNode>): HashRing {
    const byKey = new Map<string, RingNode>()
    for (const node of nodes) {
      checkNode(node)
      byKey.set(node.ringKey, node)
    }
    return new HashRing(
      [...byKey.values()].sort((a, b) => Buffer.compare(Buffer.from(a.ringKey), Buffer.from(b.ringKey))),
    )
  }

  get size(): number {
    return this.nodes.length
  }

  get pointCount(): number {
    return this.#points.length
  }

  get(ringKey: string): RingNode | undefined {
    return this.nodes.find((n) => n.ringKey === ringKey)
  }

  add(node: RingNode): HashRing {
    return HashRing.of([...this.nodes, node])
  }

  remove(ringKey: string): HashRing {
    return HashRing.of(this.nodes.filter((n) => n.ringKey !== ringKey))
  }

  with(nodes: Iterable<RingNode>): HashRing {
    return HashRing.of(nodes)
  }

  ownerOf(key: string | Uint8Array): RingNode | undefined {
    return this.ownersOf(key, 1)[0]
  }

  ownersOf(key: string | Uint8Array, n: number): RingNode[] {
    const hash = new DataView(md5(key).buffer).getUint32(0, true)
    const owners = new Set<RingNode>()
    const points = this.#points
    if (points.length === 0) return []
    const first = Math.max(
      0,
      points.findIndex((p) => p.point > hash),
    )
    for (let i = 0; i < points.length && owners.size < n; i++) {
      owners.add(points[(first + i) % points.length]!.node)
    }
    return [...owners]
  }

  shares(): ReadonlyMap<string, number> {
    const shares = new Map(this.nodes.map((n) => [n.ringKey, 0]))
    const points = this.#points
    points.forEach(({ point, node }, i) => {
      const before = i === 0 ? points[points.length - 1]!.point - 2 ** 32 : points[i - 1]!.point
      shares.set(node.ringKey, shares.get(node.ringKey)! + (point - before) / 2 ** 32)
    })
    return shares
  }
}

import { createHash } from 'node:crypto'
import type { WeightedKey } from '../../src/ring/point-table.ts'

/**
 * The ring as its definition reads, without any of the real one's speed: a list of points, looked through from
 * the start. Tests hold the real ring to it.
 */
export class ReferenceRing {
  /** Points in ascending order, each once, with the ring key that owns it. */
  readonly points: readonly (readonly [point: number, ringKey: string])[]

  constructor(nodes: readonly WeightedKey[]) {
    const total = nodes.reduce((sum, { weight }) => sum + weight, 0)
    const owners = new Map<number, string>()
    for (const { ringKey, weight } of nodes) {
      const digests = Math.floor((40 * nodes.length * weight) / total)
      for (let j = 0; j < digests; j++) {
        const digest = createHash('md5').update(`${ringKey}-${j}`).digest()
        for (const at of [0, 4, 8]) {
          const point = digest.readUInt32LE(at)
          const holder = owners.get(point)
          if (holder === undefined || Buffer.compare(Buffer.from(ringKey), Buffer.from(holder)) < 0) {
            owners.set(point, ringKey)
          }
        }
      }
    }
    this.points = [...owners].sort(([a], [b]) => a - b)
  }

  ownersOf(key: string | Uint8Array, n: number): string[] {
    const hash = createHash('md5').update(key).digest().readUInt32LE(0)
    const after = this.points.filter(([point]) => point > hash)
    const before = this.points.filter(([point]) => point <= hash)
    return [...new Set([...after, ...before].map(([, ringKey]) => ringKey))].slice(0, Math.max(0, n))
  }
}

/** A ring key's digest lines, hashed by another MD5 than the ring's. */
export function referenceDigest(nodes: readonly WeightedKey[]): string {
  const lines = nodes
    .map(({ ringKey, weight }) => Buffer.from(`${ringKey}|${weight}\n`))
    .sort((a, b) => Buffer.compare(a.subarray(0, a.lastIndexOf('|')), b.subarray(0, b.lastIndexOf('|'))))
  return createHash('md5').update(Buffer.concat(lines)).digest('hex').slice(0, 16)
}

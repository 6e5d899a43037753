import { createHash } from 'node:crypto'
import type { HashRing } from '../ring/hash-ring.ts'

/**
 * A hash of all fields of a ring's nodes, 64 bits in hex: it changes where the digest stays, when only an address, a
 * name or a zone is another one.
 */
export function fingerprintOf(ring: HashRing): string {
  const hash = createHash('sha256')
  for (const { ringKey, weight, name, address, port, zone } of ring.nodes) {
    hash.update(`${JSON.stringify([ringKey, weight, name, address, port, zone])}\n`)
  }
  return hash.digest('hex').slice(0, 16)
}

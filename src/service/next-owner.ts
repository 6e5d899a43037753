import type { HashRing } from '../ring/hash-ring.ts'
import type { RingNode } from '../ring/node.ts'

/** The owner of a key on the ring after some moves, where that is another one than now. */
export function nextOwner(now: HashRing, after: HashRing, key: string | Uint8Array): RingNode | undefined {
  if (after === now) return undefined
  const next = after.ownerOf(key)
  return next?.ringKey === now.ownerOf(key)?.ringKey ? undefined : next
}

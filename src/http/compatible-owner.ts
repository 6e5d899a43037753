import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import type { RingService } from '../service/ring-service.ts'
import { goJsonString, toByteText } from './go-json.ts'
import { makeAnswer, type Answer } from './respond.ts'

export const PLAIN_TEXT = ['Content-Type', 'text/plain; charset=utf-8'] as const

/** What single look-ups need of a ring. */
export interface LookUpRing extends Pick<RingService, 'nextOwnerOf' | 'unsure'> {
  readonly manager: Pick<HashRingManager, 'getNode' | 'running' | 'snapshot'>
}

/** What `/hashring/nodes/get` answers. `key` is byte text. */
export function compatibleOwnerAnswer(owner: string, key: string): Answer {
  const node = goJsonString(toByteText(owner))
  return makeAnswer(200, PLAIN_TEXT, `{\n  "Node": ${node},\n  "Key": ${goJsonString(key)}\n}`)
}

/** The owner's ring key, empty when there is none or the manager does not run. `key` is byte text. */
export function ownerOf(ring: LookUpRing, key: string): string {
  if (!ring.manager.running) return ''
  // oxlint-disable-next-line no-control-regex
  const hashed = /^[\0-\x7f]*$/.test(key) ? key : Buffer.from(key, 'latin1')
  return ring.manager.snapshot.ring.ownerOf(hashed)?.ringKey ?? ''
}

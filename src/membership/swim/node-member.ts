import type { MemberState } from '../member.ts'
import { LIBRARY_STATE } from './datagram-guard.ts'
import type { LibraryMember } from './swim-library.ts'
import { tryDecodeSwimMeta } from './swim-metadata.ts'

/** A member as a node sees it, known by its address. */
export interface NodeMember {
  /** `IPV4:PORT` */
  readonly host: string
  readonly state: MemberState
  readonly incarnation: number
  /** As it came; `tryDecodeSwimMeta` reads it. */
  readonly meta: unknown
}

/** A member of the library in ringman's words: one that is faulty has left if it said so itself, or is dead. */
export function nodeMember({ host, state, incarnation, meta }: LibraryMember): NodeMember {
  return { host, state: stateOf(state, meta), incarnation, meta }
}

function stateOf(state: number, meta: unknown): MemberState {
  if (state === LIBRARY_STATE.alive) return 'alive'
  if (state === LIBRARY_STATE.suspect) return 'suspect'
  return tryDecodeSwimMeta(meta)?.left === true ? 'left' : 'dead'
}

import type { Clock } from '../../clock.ts'
import { DEFAULT_VERSIONS, isLiving, type Member, type MemberState } from '../member.ts'
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

interface Entry {
  readonly host: string
  readonly incarnation: number
  readonly member: Member
}

export interface ViewedMembers {
  /** One per name, in no order. */
  readonly members: readonly Member[]
  /** Names that two live members claim at this moment, with the hosts that lost. */
  readonly conflicts: readonly {
    readonly name: string
    readonly winner: string
    readonly losers: readonly string[]
  }[]
}

/**
 * Turns members known by address into members known by name. The name travels in the metadata; without one it is
 * `IPV4:PORT`. Of two members with the same name the one that lives stands for both, then the newer one (the
 * higher incarnation), then the higher address: the same on every process that has heard of both.
 */
export class SwimMembers {
  readonly #clock: Clock
  #entries = new Map<string, Entry>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A member that did not change is the same object as before. */
  view(nodes: readonly NodeMember[]): ViewedMembers {
    const entries = nodes.map((node): Entry => ({ ...node, member: this.#member(node) }))
    this.#entries = new Map(entries.map((entry) => [entry.host, entry]))
    const members: Member[] = []
    const conflicts: ViewedMembers['conflicts'][number][] = []
    for (const [name, claims] of Map.groupBy(entries, ({ member }) => member.name)) {
      claims.sort(
        (a, b) =>
          Number(isLiving(b.member)) - Number(isLiving(a.member)) ||
          b.incarnation - a.incarnation ||
          (a.host < b.host ? 1 : -1),
      )
      const [winner, ...others] = claims
      if (winner === undefined) continue
      members.push(winner.member)
      const losers = others.filter(({ member }) => isLiving(member)).map(({ host }) => host)
      if (losers.length > 0) conflicts.push({ name, winner: winner.host, losers })
    }
    return { members, conflicts }
  }

  #member({ host, state, incarnation, meta }: NodeMember): Member {
    const entry = this.#entries.get(host)
    const known = entry?.member
    // Metadata changes with the incarnation only, so that in a large cluster few members are decoded again.
    if (known?.state === state && entry?.incarnation === incarnation) return known
    const decoded = tryDecodeSwimMeta(meta)
    const bytes = decoded?.bytes ?? new Uint8Array()
    if (known?.state === state && Buffer.compare(known.meta, bytes) === 0) return known
    const colon = host.indexOf(':')
    return {
      name: decoded?.metadata?.name ?? host,
      address: host.slice(0, colon),
      port: Number(host.slice(colon + 1)),
      state,
      stateSinceMs: known?.state === state ? known.stateSinceMs : this.#clock.wallNow(),
      meta: bytes,
      metadata: decoded?.metadata,
      versions: DEFAULT_VERSIONS,
    }
  }
}

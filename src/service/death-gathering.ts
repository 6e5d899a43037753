import { isLiving, type Member, type MemberState } from '../membership/member.ts'

/** What is to be placed now, and when to look again. */
export interface Gathered {
  readonly members: readonly Member[]
  /** When the deaths that are held back are over, in monotonic milliseconds; undefined when none is. */
  readonly untilMs: number | undefined
}

/**
 * Gathers deaths, so that a cause that takes many members makes one ring and not one for each of them: while other members
 * are suspected, a member that died counts as suspect, up to `limitMs` after the first such death. Where nobody else is
 * suspected it waits for nothing. Leaves and joins are never held back.
 *
 * @see Rapid (Suresh and others, USENIX ATC 2018), cut detection
 */
export class DeathGathering {
  readonly #limitMs: number
  /** Those placed last: the ones that are alive or suspect, or held back, count. */
  #placed: readonly Member[] = []
  #sinceMs: number | undefined

  /** @param limitMs - 0 holds nothing back. */
  constructor(limitMs: number) {
    this.#limitMs = limitMs
  }

  /** @param members - All that the source lists now. */
  take(members: readonly Member[], nowMs: number): Gathered {
    const states = new Set<MemberState>()
    for (let i = 0; i < members.length; i++) states.add(members[i]!.state)
    const placed = new Set(states.has('dead') ? this.#placed.filter(isLiving).map(({ name }) => name) : [])
    const isHeldBack = ({ name, state }: Member) => state === 'dead' && placed.has(name)
    const hasDied = placed.size > 0 && members.some(isHeldBack)
    const isSuspected = states.has('suspect')
    this.#sinceMs = hasDied ? (this.#sinceMs ?? nowMs) : undefined
    const untilMs = this.#sinceMs === undefined ? undefined : this.#sinceMs + this.#limitMs
    if (untilMs === undefined || !isSuspected || nowMs >= untilMs) {
      this.#sinceMs = undefined
      this.#placed = members
      return { members, untilMs: undefined }
    }
    this.#placed = members.map((member) => (isHeldBack(member) ? { ...member, state: 'suspect' } : member))
    return { members: this.#placed, untilMs }
  }
}

import type { Member, MemberMetadata } from './member.ts'

/**
 * What operators and hand-overs can have a source do; one that only watches others, or whose members are all alike, has none.
 */
export interface MemberControl {
  /** Whether only holders of a key can say anything about members. */
  readonly keyed: boolean
  /**
   * Takes a member that is dead, or left, off the list.
   *
   * @returns Whether there was one.
   */
  forget(name: string): boolean
  /** Declares another member dead, and takes nobody of its name for `forMs`. */
  evict(name: string, forMs: number): void
  /** Changes what this member says of itself, and tells the others. */
  updateOwn(change: Partial<MemberMetadata>): void
  /**
   * Sends bytes to another member; they may be lost.
   *
   * @param attempt - How often the same was sent before: another way may be taken then.
   */
  sendTo(member: Member, payload: Uint8Array, attempt: number): void
  /** Calls `listener` with bytes that came from another member, or from whoever reaches the gossip. */
  onMessage(listener: (payload: Uint8Array) => void): void
  /** Reads the files again that it follows. @returns What came of it, one sentence without a full stop. */
  reload(): Promise<string>
}

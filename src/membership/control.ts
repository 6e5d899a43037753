import type { MemberMetadata } from './member.ts'

/** What an operator can have a source do; a source that only watches others, or whose members are all alike, has none. */
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
  /** Reads the files again that it follows. @returns What came of it, one sentence without a full stop. */
  reload(): Promise<string>
}

import type { Member, MemberMetadata } from './member.ts'

/**
 * What operators and hand-overs can have a source do; one that only watches others, or whose members are all alike, has none.
 */
export interface MemberControl {
  /** Whether only holders of a key can say anything about members. */
  readonly keyed: boolean
  /** Takes a member that is dead, or left, off the list. @returns Whether there was one. */
  forget(name: string): boolean
  /** Declares another member dead, and takes nobody of its name for `forMs`. */
  evict(name: string, forMs: number): void
  updateOwn(change: Partial<MemberMetadata>): void
  /**
   * Sends bytes to another member; they may be lost.
   *
   * @param attempt - How often the same was sent before: another way may be taken then.
   */
  sendTo(member: Member, payload: Uint8Array, attempt: number): void
  /** Calls `listener` with bytes that came from another member, or from whoever reaches the gossip. */
  onMessage(listener: (payload: Uint8Array) => void): void
  /** Files that it follows and that cannot be used as they are now: what was read before stays in use. */
  readonly unusableFiles: readonly { readonly what: string; readonly reason: string }[]
  /** What it knows of its gossip, for whoever looks for faults. */
  report(): GossipReport
  /** By which ways a member answers just now. */
  checkReach(name: string): Promise<{ readonly udp: boolean | null; readonly tcp: boolean }>
  /**
   * Reads the files again that it follows, and takes up what is new.
   *
   * @param dryRun - Whether only to say what it would take up.
   * @returns `details`: a sentence without a full stop for each file.
   * @throws {RingmanError} `ACTION_REFUSED` where one cannot be used; it says what stays in use, and what came of the other one.
   */
  reload(dryRun: boolean): Promise<{ readonly changed: boolean; readonly details: readonly string[] }>
}

/** What a member says of its gossip to operators: no secret is in it. */
export interface GossipReport {
  /** Where others reach it; null before the start. */
  readonly address: string | null
  readonly port: number | null
  /** The one that is sent; empty for none. */
  readonly label: string
  /** Labels that are accepted besides it, while a cluster changes its label. */
  readonly otherLabels: readonly string[]
  readonly clusterName: string | null
  /** Names of its keys, the one that encrypts first; see `keyId`. */
  readonly keys: readonly string[]
  readonly requireEncryption: boolean
  readonly drops: Readonly<Record<string, number>>
  /** The last one for each of the reasons, from `ADDRESS:PORT` as the packet had it. */
  readonly lastDrops: readonly { readonly reason: string; readonly from: string; readonly agoMs: number }[]
  /** Names that two processes have, and where these are, as `ADDRESS:PORT`. */
  readonly contested: readonly { readonly name: string; readonly places: readonly string[] }[]
  /** Addresses of others to which its seeds lead, as `ADDRESS:PORT`. */
  readonly seedAddresses: readonly string[]
  /** Those of them at which somebody answers and refuses this member, or is refused by it. */
  readonly seedRefusals: readonly string[]
  /** Seeds that do not resolve. */
  readonly seedFailures: readonly { readonly seed: string; readonly reason: string }[]
  /** Whom it does not take because an operator evicted them, and for how many milliseconds more. */
  readonly evicted: readonly { readonly name: string; readonly forMs: number }[]
}

import type { Message } from '../wire/messages.ts'
import type { MemberView } from './effects.ts'
import type { Endpoint } from './endpoint.ts'
import type { MemberTable } from './members.ts'

/** Who this member is. */
export interface Identity {
  /** Unique in the cluster, 1 to 255 characters. */
  readonly name: string
  /** What others are told: where our packets and streams are to be sent. Not the unspecified address. */
  readonly endpoint: Endpoint
  /** At most 512 bytes. */
  readonly meta: Uint8Array
}

/**
 * What the machine asks the application while it works. Each call is synchronous and must not call back into the
 * machine; each may be absent.
 */
export interface Delegate {
  /** Whether to take an alive message about another member; a string says why not. Asked for each new fact. */
  readonly refuseAlive?: (member: MemberView) => string | undefined
  /** Whether to merge with a peer that sent these members; a string says why not. */
  readonly refuseMerge?: (members: readonly MemberView[], join: boolean) => string | undefined
  /** Bytes for our acks; at most a few dozen. */
  readonly ackPayload?: () => Uint8Array
  /**
   * Further user messages for a packet that has room: together at most `limitBytes`, each counted with
   * `overheadBytes` on top.
   */
  readonly userBroadcasts?: (overheadBytes: number, limitBytes: number) => readonly Uint8Array[]
}

/** What the machine is given. */
export interface Dependencies {
  /** Chance: numbers in `[0, 1)`. */
  readonly random: () => number
  /** Bytes that a message takes encoded, its type byte included; compound framing is counted here. */
  readonly sizeOf: (message: Message) => number
  readonly delegate?: Delegate
  /**
   * Whether a member with this metadata follows the rule of `ProtocolSettings.witnesses`; one of another program does not.
   * @default nobody does
   */
  readonly isWitness?: (meta: Uint8Array) => boolean
  /** The empty table of members, where a simulation of very many brings one that shares what they hold alike. */
  readonly members?: MemberTable
}

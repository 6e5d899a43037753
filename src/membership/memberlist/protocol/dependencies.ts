import type { Message } from '../wire/messages.ts'
import type { MemberView } from './effects.ts'
import type { Endpoint } from './endpoint.ts'
import type { MemberTable } from './members.ts'

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
  /** Whether to ignore what is said about a member (Go: NotifyAlive): a string says why. Asked for each new fact. */
  refuseAlive?(member: MemberView): string | undefined
  /** Whether to refuse to merge with a peer that sent these members (Go: NotifyMerge): a string says why. */
  refuseMerge?(members: readonly MemberView[], join: boolean): string | undefined
  /** Bytes for the answers to pings; a few dozen at most (Go: AckPayload). */
  ackPayload?(): Uint8Array
  /**
   * User messages to send along with gossip that is sent anyway (Go: GetBroadcasts).
   *
   * @param overheadBytes - What each message costs on top of its length.
   * @param limitBytes - The most that all of them, overhead included, may take.
   */
  broadcasts?(overheadBytes: number, limitBytes: number): readonly Uint8Array[]
}

export interface Dependencies {
  /** Chance: numbers in `[0, 1)`. */
  readonly random: () => number
  /** Bytes that a message takes encoded, its type byte included; compound framing is counted here. */
  readonly sizeOf: (message: Message) => number
  readonly delegate?: Delegate | undefined
  /**
   * Whether a member with this metadata follows the rule of `ProtocolSettings.witnesses`; one of another program does not.
   * @default nobody does
   */
  readonly isWitness?: ((meta: Uint8Array) => boolean) | undefined
  /** An empty table of members: a simulation of very many brings one in which they share what is the same. @default an own one */
  readonly members?: MemberTable
}

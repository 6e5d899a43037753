/** The first byte of every message, memberlist's `messageType`. */
export const MESSAGE_TYPE = {
  ping: 0,
  indirectPing: 1,
  ack: 2,
  suspect: 3,
  alive: 4,
  dead: 5,
  pushPull: 6,
  compound: 7,
  user: 8,
  compress: 9,
  encrypt: 10,
  nack: 11,
  crc: 12,
  error: 13,
  label: 244,
} as const

/**
 * The messages of HashiCorp memberlist's protocol, decoded. Integers are unsigned; addresses are 4 or 16 bytes
 * in network order; `vsn` is six bytes: protocol min, max, current, delegate min, max, current.
 *
 * `clusterName` exists only in the Nitro fork that Go ringman uses: undefined means that the field was absent
 * (and is not written), the empty string that it was there and empty.
 */
export type Message = Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | UserMessage

/** A direct probe; answered by {@link Ack}. */
export interface Ping {
  readonly kind: 'ping'
  readonly seqNo: number
  /** The name of the member that is meant; another one with the same address ignores the probe. */
  readonly node: string
  /** Where to answer, for members that say so (memberlist 0.2 and later). */
  readonly source?: PingSource
}

export interface PingSource {
  readonly address: Uint8Array
  readonly port: number
  readonly node: string
}

/** Asks a third member to probe `node`. */
export interface IndirectPing {
  readonly kind: 'indirect-ping'
  readonly seqNo: number
  readonly target: Uint8Array
  readonly port: number
  readonly node: string
  /** Whether the asker wants a {@link Nack} when the target does not answer. */
  readonly nack: boolean
  readonly source?: PingSource
}

export interface Ack {
  readonly kind: 'ack'
  readonly seqNo: number
  readonly payload: Uint8Array
}

export interface Nack {
  readonly kind: 'nack'
  readonly seqNo: number
}

export interface Suspect {
  readonly kind: 'suspect'
  readonly incarnation: number
  readonly node: string
  /** Who suspects. */
  readonly from: string
  readonly clusterName?: string
}

export interface Alive {
  readonly kind: 'alive'
  readonly incarnation: number
  readonly node: string
  readonly address: Uint8Array
  readonly port: number
  readonly meta: Uint8Array
  readonly vsn: Uint8Array
  readonly clusterName?: string
}

export interface Dead {
  readonly kind: 'dead'
  readonly incarnation: number
  readonly node: string
  /** Who says so; the node itself when it leaves. */
  readonly from: string
  readonly clusterName?: string
}

/** Bytes for the application's delegate. */
export interface UserMessage {
  readonly kind: 'user'
  readonly payload: Uint8Array
}

/** The whole state of a member, exchanged over TCP. */
export interface PushPull {
  readonly join: boolean
  readonly nodes: readonly PushPullNode[]
  /** Bytes for the application's delegate. */
  readonly userState: Uint8Array
  readonly clusterName?: string
  /** Who is evicted, and for how many milliseconds more: ours alone, Go passes it over. Never empty. */
  readonly evicted?: readonly EvictedMember[]
}

export interface EvictedMember {
  readonly name: string
  readonly forMs: number
}

export interface PushPullNode {
  readonly name: string
  readonly address: Uint8Array
  readonly port: number
  readonly meta: Uint8Array
  readonly incarnation: number
  /** 0 alive, 1 suspect, 2 dead, 3 left. */
  readonly state: number
  readonly vsn: Uint8Array
}

/** What a TCP connection carries: one message each way. */
export type StreamMessage = Ping | Ack | UserMessage | PushPullMessage | ErrorMessage

/** The whole state of a member; answered by its peer's. */
export interface PushPullMessage {
  readonly kind: 'push-pull'
  readonly pushPull: PushPull
}

/** Why the peer refused, in its words, which only people read. */
export interface ErrorMessage {
  readonly kind: 'error'
  readonly text: string
}

/**
 * Who sends: only the side that dialled puts a label header first. What comes back has none, though the label
 * protects it all the same when it is encrypted.
 */
export type StreamRole = 'request' | 'response'

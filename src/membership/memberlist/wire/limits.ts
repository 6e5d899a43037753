/** What a peer may make this member hold or do, in one datagram or one stream. Sizes in bytes. */
export interface WireLimits {
  /** One datagram as it came off the socket. */
  readonly maxPacketBytes: number
  /** Everything that is decompressed out of one datagram, together. */
  readonly maxPacketExpandedBytes: number
  /** Messages in one datagram; Go writes 255 at most. */
  readonly maxPacketMessages: number
  /** Parts of one datagram that may be refused before the rest of it is dropped too. */
  readonly maxPacketFaults: number
  /** Wrappers (compound, compress) around one message of a datagram; Go writes two at most. */
  readonly maxNesting: number
  /** One TCP message as it came off the socket, without its label. */
  readonly maxStreamBytes: number
  /** A TCP message after decompression. */
  readonly maxStreamExpandedBytes: number
  /** Members in one push/pull. */
  readonly maxNodes: number
  /** The application's bytes in one push/pull. */
  readonly maxUserStateBytes: number
  /** A user message over TCP. */
  readonly maxUserMessageBytes: number
}

const MIB = 1024 * 1024

/**
 * The defaults. Stream sizes lie far below memberlist's own (20 MiB on the wire, 40 MiB decompressed): a push/pull of 10,000
 * members takes about 2 MiB, and several peers may send theirs at once. `maxNodes` is lower than its 1,048,576, because a
 * decoded member takes some 400 bytes of heap.
 */
export const DEFAULT_LIMITS: WireLimits = {
  maxPacketBytes: 65_535,
  maxPacketExpandedBytes: 65_536,
  maxPacketMessages: 256,
  maxPacketFaults: 8,
  maxNesting: 4,
  maxStreamBytes: 8 * MIB,
  maxStreamExpandedBytes: 16 * MIB,
  maxNodes: 100_000,
  maxUserStateBytes: 8 * MIB,
  maxUserMessageBytes: 8 * MIB,
}

/** Longest metadata of a member, memberlist's `MetaMaxSize`. */
export const MAX_META_BYTES = 512

/** Longest member or cluster name that is read. Go has no limit; a name must fit a datagram to be gossiped. */
export const MAX_NAME_BYTES = 1024

/** Longest label: its length is one byte. */
export const MAX_LABEL_BYTES = 255

/** Longest error text that is read off a stream. */
export const MAX_ERROR_TEXT_BYTES = 4096

/** Fields of one msgpack map that are looked at; Go's largest message has eight. */
export const MAX_FIELDS = 32

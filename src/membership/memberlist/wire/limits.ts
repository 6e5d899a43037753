const MIB = 1024 * 1024

/**
 * The defaults. Stream sizes lie far below memberlist's own (20 MiB on the wire, 40 MiB decompressed): a push/pull of 10,000
 * members takes about 2 MiB, and several peers may send theirs at once. `maxNodes` is lower than its 1,048,576, because a
 * decoded member takes some 400 bytes of heap.
 */
export const DEFAULT_LIMITS = {
  /** One datagram as it came off the socket. */
  maxPacketBytes: 65_535,
  /** Everything that is decompressed out of one datagram, together. */
  maxPacketExpandedBytes: 65_536,
  /** Messages in one datagram; Go writes 255 at most. */
  maxPacketMessages: 256,
  /** Parts of one datagram that may be refused before the rest of it is dropped too. */
  maxPacketFaults: 8,
  /** Wrappers (compound, compress) around one message of a datagram; Go writes two at most. */
  maxNesting: 4,
  /** One TCP message as it came off the socket, without its label. */
  maxStreamBytes: 8 * MIB,
  /** A TCP message after decompression. */
  maxStreamExpandedBytes: 16 * MIB,
  /** Members in one push/pull. */
  maxNodes: 100_000,
  /** The application's bytes in one push/pull. */
  maxUserStateBytes: 8 * MIB,
  /** A user message over TCP. */
  maxUserMessageBytes: 8 * MIB,
}

/** What a peer may make this member hold or do, in one datagram or one stream. Sizes in bytes. */
export type WireLimits = Readonly<typeof DEFAULT_LIMITS>

/** Longest metadata of a member, memberlist's `MetaMaxSize`. */
export const MAX_META_BYTES = 512

/** Longest member or cluster name that is read. Go has no limit; a name must fit a datagram to be gossiped. */
export const MAX_NAME_BYTES = 1024

/** Evicted members that a member holds, and that are read from one push/pull. */
export const MAX_EVICTED = 1024

/** Longest label: its length is one byte. */
export const MAX_LABEL_BYTES = 255

/** Longest error text that is read off a stream. */
export const MAX_ERROR_TEXT_BYTES = 4096

/** Fields of one msgpack map that are looked at; Go's largest message has eight. */
export const MAX_FIELDS = 32

import { crc32 } from 'node:zlib'
import { decodeCompound } from './compound.ts'
import { decodeCompressed } from './compression.ts'
import { type Drop, dropOf, dropped, type Dropped } from './drop.ts'
import { encryptedLength, tryDecrypt } from './encryption.ts'
import { labelBytes, tryDecodeLabelHeader } from './label.ts'
import { DEFAULT_LIMITS, type WireLimits } from './limits.ts'
import { tryDecodeMessage } from './message-codec.ts'
import { MESSAGE_TYPE, type Message } from './messages.ts'
import { readU32 } from './msgpack-scanner.ts'
import { decodeTextLossily, sameBytes } from './text.ts'

/** Whom this member listens to: the same for datagrams and streams. */
export interface Reception {
  /** Keys to decrypt with, in the order to try them; with none, nothing is decrypted. */
  readonly keyring: readonly Uint8Array[]
  /** With keys: whether plain bytes are dropped (memberlist's GossipVerifyIncoming). */
  readonly requireEncryption: boolean
  /** The label that peers must send; empty for none. */
  readonly label: string | Uint8Array
  /** Labels that are heard besides it, while a cluster changes its label; empty for none. @default nothing else is heard */
  readonly otherLabels?: readonly (string | Uint8Array)[]
  /** Whether something in front has checked and taken away the label header. The label still protects what is encrypted. */
  readonly skipInboundLabelCheck?: boolean
  readonly limits?: WireLimits
}

/** A datagram's messages, in their order. */
export interface DecodedPacket {
  readonly ok: true
  readonly messages: readonly Message[]
  /** Parts that were dropped while others were kept; a few at most. */
  readonly faults: readonly Drop[]
}

export type PacketResult = DecodedPacket | Dropped

/** Hears of each message as it is decoded, with its own bytes: for statistics. */
export type MessageListener = (kind: Message['kind'], sizeBytes: number) => void

/**
 * Decodes a datagram: label, decryption, checksum, then messages out of compounds and compression. It never
 * throws for what is in the bytes, and the result holds no view into them.
 *
 * As in Go, a part of a compound that cannot be read is dropped by itself. Only when nothing can be kept is
 * the whole datagram dropped, for the first fault.
 *
 * @param onMessage - Called for each message that is kept.
 */
export function decodePacket(
  datagram: Uint8Array,
  reception: Reception,
  onMessage?: MessageListener,
): PacketResult {
  try {
    return openPacket(plainView(datagram), reception, onMessage)
  } catch (error) {
    return dropOf(error)
  }
}

function openPacket(
  datagram: Uint8Array,
  reception: Reception,
  onMessage: MessageListener | undefined,
): PacketResult {
  const limits = reception.limits ?? DEFAULT_LIMITS
  if (datagram.length > limits.maxPacketBytes) {
    return dropped('too-large', { length: datagram.length, max: limits.maxPacketBytes })
  }
  if (datagram.length === 0) return dropped('malformed', { length: 0 })

  const header = tryDecodeLabelHeader(datagram, datagram.length)
  if (header === undefined) return dropped('malformed', { field: 'label', length: datagram.length })
  const label = heardLabel(header.label, reception)
  if (label === undefined) return dropped('label-differs', labelDetail(header.label))
  const body = datagram.subarray(header.headerBytes)

  const { keyring } = reception
  if (keyring.length === 0) {
    const result = readChecked(body, limits, onMessage)
    return !result.ok && looksEncrypted(body) ? dropped('encrypted-unexpectedly', {}) : result
  }
  const plain = tryDecrypt(body, keyring, label)
  if (plain !== undefined) return readChecked(plain, limits, onMessage)
  if (reception.requireEncryption) {
    return looksPlain(body) ? dropped('not-encrypted', {}) : dropped('cannot-decrypt', {})
  }
  const asPlain = readChecked(body, limits, onMessage)
  return asPlain.ok || !looksEncrypted(body) ? asPlain : dropped('cannot-decrypt', {})
}

/**
 * The label by which bytes are protected that came with `label` in their header, or without one.
 *
 * @returns Undefined where they are not to be heard.
 */
export function heardLabel(
  label: Uint8Array,
  { label: own, otherLabels = [], skipInboundLabelCheck = false }: Reception,
): Uint8Array | undefined {
  if (skipInboundLabelCheck) return label.length === 0 ? labelBytes(own) : undefined
  return [own, ...otherLabels].map(labelBytes).find((heard) => sameBytes(label, heard))
}

/** The label that came, for a log line: at most 255 bytes. */
export function labelDetail(label: Uint8Array): { readonly label: string } {
  return { label: decodeTextLossily(label) }
}

/** Whether bytes that are no message look like an encrypted one: a version, and long enough. */
function looksEncrypted(bytes: Uint8Array): boolean {
  const version = bytes[0]
  return (version === 0 || version === 1) && bytes.length >= encryptedLength(0, version)
}

/**
 * Whether a datagram that no key fits is plain, told by its first bytes alone: whoever is refused must not cost what a
 * message costs. The versions of encryption are 0 and 1, other types are none; a plain ping (0) or indirect ping (1) goes
 * on with a map whose first key is a short text, which random bytes do once in some thousand times.
 */
function looksPlain(bytes: Uint8Array): boolean {
  const [type = 0xff, map = 0, key = 0, letter = 0] = bytes
  if (type > 1) return type <= MESSAGE_TYPE.error
  return (map & 0xf0) === 0x80 && (key & 0xe0) === 0xa0 && letter >= 0x41 && letter <= 0x5a
}

/** `bytes` as a plain `Uint8Array` on the same memory: a `Buffer`'s own `slice` would not copy. */
function plainView(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Checks the checksum that Go puts before everything else for peers that know it, then reads the messages. */
function readChecked(
  bytes: Uint8Array,
  limits: WireLimits,
  onMessage: MessageListener | undefined,
): PacketResult {
  if (bytes[0] !== MESSAGE_TYPE.crc || bytes.length < 5)
    return new PacketReader(limits, onMessage).read(bytes)
  const body = bytes.subarray(5)
  if (crc32(body) !== readU32(bytes, 1)) return dropped('crc-mismatch', { length: body.length })
  return new PacketReader(limits, onMessage).read(body)
}

/** Unwraps one datagram. What it may make is bounded over the whole datagram, not per part. */
class PacketReader {
  readonly #limits: WireLimits
  readonly #onMessage: MessageListener | undefined
  readonly #messages: Message[] = []
  readonly #faults: Drop[] = []
  #expandedBytes = 0

  constructor(limits: WireLimits, onMessage: MessageListener | undefined) {
    this.#limits = limits
    this.#onMessage = onMessage
  }

  read(bytes: Uint8Array): PacketResult {
    this.#readPart(bytes, 0)
    const first = this.#faults[0]
    if (first !== undefined && this.#messages.length === 0) return { ok: false, ...first }
    return { ok: true, messages: this.#messages, faults: this.#faults }
  }

  get #isFull(): boolean {
    return this.#faults.length >= this.#limits.maxPacketFaults
  }

  #readPart(bytes: Uint8Array, depth: number): void {
    try {
      this.#unwrap(bytes, depth)
    } catch (error) {
      const { reason, detail } = dropOf(error)
      this.#fault({ reason, detail })
    }
  }

  #unwrap(bytes: Uint8Array, depth: number): void {
    const type = bytes[0]
    const isWrapper = type === MESSAGE_TYPE.compound || type === MESSAGE_TYPE.compress
    if (isWrapper && depth >= this.#limits.maxNesting) {
      this.#fault({ reason: 'nested-too-deep', detail: { max: this.#limits.maxNesting } })
    } else if (type === MESSAGE_TYPE.compound) {
      const { parts, missing } = decodeCompound(bytes)
      for (const part of parts) {
        if (this.#isFull) return
        this.#readPart(part, depth + 1)
      }
      if (missing > 0) this.#fault({ reason: 'malformed', detail: { missingParts: missing } })
    } else if (type === MESSAGE_TYPE.compress) {
      const expanded = decodeCompressed(bytes, this.#limits.maxPacketExpandedBytes - this.#expandedBytes)
      this.#expandedBytes += expanded.length
      this.#readPart(expanded, depth + 1)
    } else this.#readMessage(bytes)
  }

  #readMessage(bytes: Uint8Array): void {
    if (this.#messages.length >= this.#limits.maxPacketMessages) {
      this.#fault({ reason: 'too-large', detail: { limit: 'maxPacketMessages' } })
      return
    }
    const message = tryDecodeMessage(bytes)
    if (message === undefined) this.#fault({ reason: 'unknown-type', detail: { type: bytes[0]! } })
    else {
      this.#messages.push(message)
      this.#onMessage?.(message.kind, bytes.length)
    }
  }

  #fault(fault: Drop): void {
    if (!this.#isFull) this.#faults.push(fault)
  }
}

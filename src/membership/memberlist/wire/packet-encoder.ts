import { crc32 } from 'node:zlib'
import { COMPOUND_HEADER_BYTES, COMPOUND_PART_BYTES, encodeCompound, MAX_COMPOUND_PARTS } from './compound.ts'
import { encodeCompressed } from './compression.ts'
import { encrypt, type Encryption, ENCRYPTION_OVERHEAD_BYTES } from './encryption.ts'
import { encodeLabelHeader, labelBytes } from './label.ts'
import { unsendable } from './drop.ts'
import { encodeMessage } from './message-codec.ts'
import { MESSAGE_TYPE, type Message } from './messages.ts'

/** Memberlist's UDPBufferSize: fits an Ethernet frame with room to spare. */
export const DEFAULT_PACKET_BYTES = 1400

const CRC_BYTES = 5

/** How datagrams to one peer are made. */
export interface PacketEncoding {
  /** Whole datagram, in bytes; {@link DEFAULT_PACKET_BYTES}. A message that is larger alone goes alone. */
  readonly maxBytes?: number | undefined
  /** Whether to compress what becomes smaller by it. */
  readonly compression: boolean
  /** Whether to put a checksum first: for peers whose highest protocol version is 5 or more. */
  readonly crc: boolean
  /** Empty for none. */
  readonly label: string | Uint8Array
  /** Absent to send plain bytes. */
  readonly encryption?: Encryption | undefined
}

/** A message, or its bytes from `encodeMessage`: what is sent often is encoded once. */
export type PacketPart = Message | Uint8Array

/**
 * Bytes of a datagram that are left for messages. One message alone takes its own length of them, several take
 * {@link COMPOUND_HEADER_BYTES} and, each, its length and {@link COMPOUND_PART_BYTES}.
 */
export function packetRoomBytes(encoding: PacketEncoding): number {
  const label = labelBytes(encoding.label)
  return (
    (encoding.maxBytes ?? DEFAULT_PACKET_BYTES) -
    (encoding.encryption === undefined ? 0 : ENCRYPTION_OVERHEAD_BYTES[encoding.encryption.version]) -
    (encoding.crc ? CRC_BYTES : 0) -
    (label.length === 0 ? 0 : 2 + label.length)
  )
}

/**
 * Encodes one datagram with all of `parts` (1 to 255), whatever its size: one part as it is, several as a compound; then
 * compression, checksum, encryption and label, in this order.
 */
export function encodePacket(parts: readonly PacketPart[], encoding: PacketEncoding): Uint8Array {
  return wrapPacket(parts.map(bodyOf), encoding)
}

/** Encodes `parts` into as few datagrams as their order allows, none longer than `maxBytes` but for a part that is too long alone. */
export function encodePackets(parts: readonly PacketPart[], encoding: PacketEncoding): Uint8Array[] {
  const room = packetRoomBytes(encoding)
  const packets: Uint8Array[] = []
  let bodies: Uint8Array[] = []
  let compoundBytes = COMPOUND_HEADER_BYTES
  for (const part of parts) {
    const body = bodyOf(part)
    const added = COMPOUND_PART_BYTES + body.length
    if (bodies.length > 0 && (compoundBytes + added > room || bodies.length === MAX_COMPOUND_PARTS)) {
      packets.push(wrapPacket(bodies, encoding))
      bodies = []
      compoundBytes = COMPOUND_HEADER_BYTES
    }
    bodies.push(body)
    compoundBytes += added
  }
  if (bodies.length > 0) packets.push(wrapPacket(bodies, encoding))
  return packets
}

function bodyOf(part: PacketPart): Uint8Array {
  return part instanceof Uint8Array ? part : encodeMessage(part)
}

function wrapPacket(bodies: readonly Uint8Array[], encoding: PacketEncoding): Uint8Array {
  const [first] = bodies
  if (first === undefined) throw unsendable('a datagram needs a message')
  const label = labelBytes(encoding.label)
  let packet = bodies.length === 1 ? first : encodeCompound(bodies)
  if (encoding.compression) {
    const compressed = encodeCompressed(packet)
    if (compressed.length < packet.length) packet = compressed
  }
  if (encoding.crc) packet = joinBytes(crcHeader(packet), packet)
  if (encoding.encryption !== undefined) packet = encrypt(packet, encoding.encryption, label)
  return joinBytes(encodeLabelHeader(label), packet)
}

function crcHeader(bytes: Uint8Array): Uint8Array {
  const header = new Uint8Array(CRC_BYTES)
  header[0] = MESSAGE_TYPE.crc
  new DataView(header.buffer).setUint32(1, crc32(bytes))
  return header
}

/** `a` and `b` in one array; `b` itself when `a` is empty. */
export function joinBytes(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}

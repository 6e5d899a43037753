import { malformed, unsendable } from './drop.ts'
import { MESSAGE_TYPE } from './messages.ts'

/** Bytes of a compound before its parts: type and count. */
export const COMPOUND_HEADER_BYTES = 2

/** Bytes that a compound adds to each part: its length. */
export const COMPOUND_PART_BYTES = 2

/** The most parts that a compound can count. */
export const MAX_COMPOUND_PARTS = 255

/** The parts of a compound, as views. */
export interface CompoundParts {
  readonly parts: readonly Uint8Array[]
  /** Parts that were announced and are not, or not wholly, there. */
  readonly missing: number
}

/**
 * Puts encoded messages into one: type, count, all lengths (16 bits, big-endian), then the messages.
 *
 * @param parts - 0 to 255 messages of at most 65,535 bytes each.
 */
export function encodeCompound(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length > MAX_COMPOUND_PARTS)
    throw unsendable(`a compound of ${parts.length} parts cannot be sent`)
  let at = COMPOUND_HEADER_BYTES + COMPOUND_PART_BYTES * parts.length
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, at))
  bytes[0] = MESSAGE_TYPE.compound
  bytes[1] = parts.length
  for (const [index, part] of parts.entries()) {
    if (part.length > 0xffff) throw unsendable(`a compound part of ${part.length} bytes cannot be sent`)
    bytes[2 + 2 * index] = part.length >>> 8
    bytes[3 + 2 * index] = part.length & 0xff
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/**
 * Takes a compound apart. `bytes` starts with the type byte. As in Go, the parts before a cut are kept, and
 * bytes behind the last part are ignored.
 *
 * @throws RingmanError `WIRE_MALFORMED` when not even the lengths are there.
 */
export function decodeCompound(bytes: Uint8Array): CompoundParts {
  const count = bytes[1]
  if (count === undefined) throw malformed('a compound has no count')
  let at = COMPOUND_HEADER_BYTES + COMPOUND_PART_BYTES * count
  if (bytes.length < at)
    throw malformed('the lengths of a compound are cut off', { count, length: bytes.length })
  const parts: Uint8Array[] = []
  for (let index = 0; index < count; index++) {
    const length = (bytes[2 + 2 * index]! << 8) | bytes[3 + 2 * index]!
    if (length > bytes.length - at) return { parts, missing: count - index }
    parts.push(bytes.subarray(at, at + length))
    at += length
  }
  return { parts, missing: 0 }
}

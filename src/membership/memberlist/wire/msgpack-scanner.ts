import { malformed } from './drop.ts'

/**
 * Finds the end of one msgpack value in bytes that may still be arriving, without recursion and without
 * looking at any byte twice. It holds two numbers and allocates nothing, whatever counts the bytes claim.
 *
 * Layout: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export class MsgpackScanner {
  /** Where the next value head starts; past the available bytes while a long string is arriving. */
  #position: number
  /** Values that must still be seen, those inside open arrays and maps among them. */
  #pending = 1
  readonly #maxEnd: number

  /**
   * @param start - Offset of the value's first byte.
   * @param maxEnd - Offset that the value must not reach beyond, now or ever.
   */
  constructor(start: number, maxEnd: number) {
    this.#position = start
    this.#maxEnd = maxEnd
  }

  /**
   * Goes on over `bytes[0, available)`, which must begin with the bytes of earlier calls.
   *
   * @returns The offset behind the value, or undefined while bytes are missing.
   */
  advance(bytes: Uint8Array, available: number): number | undefined {
    let position = this.#position
    let pending = this.#pending
    while (pending > 0) {
      if (position >= available) break
      const type = bytes[position]!
      if (isOneByte(type)) {
        position++
        pending--
        continue
      }
      const size = headBytes(type)
      if (available - position < size) break
      pending += children(bytes, position) - 1
      position += size + bodyBytes(bytes, position)
      // Every value takes a byte at least, so that a count beyond the room cannot come true.
      if (position + pending > this.#maxEnd) {
        throw malformed('a msgpack value claims more than there can be', { offset: position })
      }
    }
    this.#position = position
    this.#pending = pending
    return pending === 0 && position <= available ? position : undefined
  }
}

/** Whether a value is a small integer, or an empty map, and so its type byte alone. */
function isOneByte(type: number): boolean {
  return type <= 0x80 || type >= 0xe0
}

/** Bytes of the heads from 0xc0 (nil) to 0xdf (map 32), type and length together; numbers are all head. 0xc1 is unused. */
const HEAD_BYTES = [
  1, 0, 1, 1, 2, 3, 5, 3, 4, 6, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 2, 2, 2, 2, 2, 2, 3, 5, 3, 5, 3, 5,
]

/** Bytes of the head of a value that is more than a small integer. */
function headBytes(type: number): number {
  if (type < 0xc0) return 1
  if (type === 0xc1) throw malformed('an unused msgpack type', { type })
  return HEAD_BYTES[type - 0xc0]!
}

/** Bytes behind the head that belong to the value itself: text, bytes, extension data. */
function bodyBytes(bytes: Uint8Array, at: number): number {
  const type = bytes[at]!
  if (type >= 0xa0 && type <= 0xbf) return type & 0x1f
  switch (type) {
    case 0xc4:
    case 0xc7:
    case 0xd9:
      return bytes[at + 1]!
    case 0xc5:
    case 0xc8:
    case 0xda:
      return readU16(bytes, at + 1)
    case 0xc6:
    case 0xc9:
    case 0xdb:
      return readU32(bytes, at + 1)
    default:
      return type >= 0xd4 && type <= 0xd8 ? 1 << (type - 0xd4) : 0
  }
}

/** Values inside an array or a map; no small integer comes here. */
function children(bytes: Uint8Array, at: number): number {
  const type = bytes[at]!
  if (type <= 0x8f) return 2 * (type & 0x0f)
  if (type <= 0x9f) return type & 0x0f
  switch (type) {
    case 0xdc:
      return readU16(bytes, at + 1)
    case 0xdd:
      return readU32(bytes, at + 1)
    case 0xde:
      return 2 * readU16(bytes, at + 1)
    case 0xdf:
      return 2 * readU32(bytes, at + 1)
    default:
      return 0
  }
}

/** The big-endian 16-bit number at `at`; the caller has checked that it is there. */
export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/** The big-endian 32-bit number at `at`; the caller has checked that it is there. */
export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

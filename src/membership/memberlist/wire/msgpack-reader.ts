import { malformed } from './drop.ts'
import { MsgpackScanner, readU16, readU32 } from './msgpack-scanner.ts'
import { tryDecodeText } from './text.ts'

/**
 * Reads the part of msgpack that memberlist's messages are made of, from bytes that are all there. Every length
 * and count is checked against the bytes that remain before anything is read or made.
 *
 * Text and bytes are one thing, as in the older msgpack that memberlist writes (fixraw, raw 16, raw 32); the
 * newer str 8, bin 8, bin 16 and bin 32 are read as well. Integers may have any width; negative ones and
 * floats are refused, as Go refuses them.
 */
export class MsgpackReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #offset: number

  /** Reads `bytes[start, end)`. */
  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#offset = start
    this.#end = end
  }

  /** The offset of the next byte. */
  get offset(): number {
    return this.#offset
  }

  /** The number of key and value pairs that follow. */
  readMapHeader(): number {
    const type = this.#readByte()
    let count: number
    if (type >= 0x80 && type <= 0x8f) count = type & 0x0f
    else if (type === 0xde) count = this.#readU16()
    else if (type === 0xdf) count = this.#readU32()
    else throw malformed('a msgpack map was expected', { type, offset: this.#offset - 1 })
    if (count * 2 > this.#end - this.#offset) {
      throw malformed('a msgpack map claims more entries than bytes follow', { count, offset: this.#offset })
    }
    return count
  }

  tryReadNil(): boolean {
    if (this.#offset >= this.#end || this.#bytes[this.#offset] !== 0xc0) return false
    this.#offset++
    return true
  }

  readBoolean(): boolean {
    const type = this.#readByte()
    if (type === 0xc2) return false
    if (type === 0xc3) return true
    throw malformed('a boolean was expected', { type, offset: this.#offset - 1 })
  }

  /** An integer of any width from 0 to `max`. */
  readUint(max: number): number {
    const at = this.#offset
    const type = this.#readByte()
    const value = type < 0x80 ? type : this.#readWideUint(type, at)
    if (value > max) throw malformed('an integer is out of range', { value, max, offset: at })
    return value
  }

  /** Bytes, as a view into what is read: copy what is to be kept. */
  readBytes(): Uint8Array {
    const length = this.#readRawHeader()
    this.#offset += length
    return this.#bytes.subarray(this.#offset - length, this.#offset)
  }

  /** UTF-8 text of at most `maxBytes` bytes. */
  readText(maxBytes: number): string {
    const at = this.#offset
    const length = this.#readRawHeader()
    if (length > maxBytes) throw malformed('text is too long', { length, maxBytes, offset: at })
    this.#offset += length
    const text = tryDecodeText(this.#bytes, this.#offset - length, this.#offset)
    if (text === undefined) throw malformed('text is not UTF-8', { offset: at })
    return text
  }

  /**
   * Reads a map's key.
   *
   * @param names - The keys that are known.
   * @param guess - The index of the one that is likely to be next.
   * @returns The key's index in `names`, or -1 for one that is not among them.
   */
  readKey(names: readonly Uint8Array[], guess: number): number {
    const length = this.#readRawHeader()
    const start = this.#offset
    this.#offset += length
    const likely = names[guess]
    if (likely !== undefined && this.#isAt(start, length, likely)) return guess
    return names.findIndex((name) => this.#isAt(start, length, name))
  }

  /** Passes over one value of any kind and depth. */
  skip(): void {
    const end = new MsgpackScanner(this.#offset, this.#end).advance(this.#bytes, this.#end)
    if (end === undefined) throw malformed('a msgpack value is cut off', { offset: this.#offset })
    this.#offset = end
  }

  #isAt(start: number, length: number, expected: Uint8Array): boolean {
    if (length !== expected.length) return false
    for (let i = 0; i < length; i++) if (this.#bytes[start + i] !== expected[i]) return false
    return true
  }

  #readWideUint(type: number, at: number): number {
    switch (type) {
      case 0xcc:
        return this.#readByte()
      case 0xcd:
        return this.#readU16()
      case 0xce:
        return this.#readU32()
      case 0xcf:
        return this.#readU32() * 2 ** 32 + this.#readU32()
      // Go's newer codec writes its int type with signed widths.
      case 0xd0:
        return notNegative((this.#readByte() << 24) >> 24, at)
      case 0xd1:
        return notNegative((this.#readU16() << 16) >> 16, at)
      case 0xd2:
        return notNegative(this.#readU32() | 0, at)
      case 0xd3:
        return notNegative(this.#readU32() | 0, at) * 2 ** 32 + this.#readU32()
      default:
        throw malformed('an integer that is not negative was expected', { type, offset: at })
    }
  }

  /** The length of the text or bytes that follow, checked against what remains. */
  #readRawHeader(): number {
    const at = this.#offset
    const type = this.#readByte()
    let length: number
    if (type >= 0xa0 && type <= 0xbf) length = type & 0x1f
    else if (type === 0xd9 || type === 0xc4) length = this.#readByte()
    else if (type === 0xda || type === 0xc5) length = this.#readU16()
    else if (type === 0xdb || type === 0xc6) length = this.#readU32()
    else throw malformed('text or bytes were expected', { type, offset: at })
    if (length > this.#end - this.#offset) {
      throw malformed('text or bytes are cut off', { length, offset: at })
    }
    return length
  }

  #readByte(): number {
    if (this.#offset >= this.#end) throw malformed('a msgpack value is cut off', { offset: this.#offset })
    return this.#bytes[this.#offset++]!
  }

  #readU16(): number {
    if (this.#end - this.#offset < 2) {
      throw malformed('a msgpack value is cut off', { offset: this.#offset })
    }
    this.#offset += 2
    return readU16(this.#bytes, this.#offset - 2)
  }

  #readU32(): number {
    if (this.#end - this.#offset < 4) {
      throw malformed('a msgpack value is cut off', { offset: this.#offset })
    }
    this.#offset += 4
    return readU32(this.#bytes, this.#offset - 4)
  }
}

function notNegative(value: number, offset: number): number {
  if (value < 0) throw malformed('an integer is negative', { offset })
  return value
}

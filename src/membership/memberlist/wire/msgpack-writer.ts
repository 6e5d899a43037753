import { unsendable } from './drop.ts'
import { encodeText } from './text.ts'

/**
 * Writes msgpack as memberlist's Go codec (go-msgpack 0.5.5) does: the narrowest unsigned integers, and text
 * and bytes alike as fixraw, raw 16 or raw 32. The buffer grows with what is written.
 */
export class MsgpackWriter {
  #bytes: Uint8Array
  #length = 0

  /** @param capacity - Bytes to make room for at first. */
  constructor(capacity = 128) {
    this.#bytes = new Uint8Array(capacity)
  }

  /** The bytes written so far, as a view. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** A byte as it is: a message type, not a msgpack value. */
  writeByte(byte: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = byte
  }

  /** Bytes as they are, without a msgpack head. */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  writeMapHeader(count: number): void {
    if (count > 0x0f) throw unsendable(`a map of ${count} fields cannot be sent`)
    this.writeByte(0x80 | count)
  }

  writeNil(): void {
    this.writeByte(0xc0)
  }

  writeBoolean(value: boolean): void {
    this.writeByte(value ? 0xc3 : 0xc2)
  }

  /** @param value - An integer from 0 to 2^32 - 1. */
  writeUint(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw unsendable(`${value} is not an unsigned 32-bit integer`)
    }
    if (value < 0x80) this.writeByte(value)
    else if (value <= 0xff) {
      this.writeByte(0xcc)
      this.writeByte(value)
    } else if (value <= 0xffff) {
      this.writeByte(0xcd)
      this.#writeU16(value)
    } else {
      this.writeByte(0xce)
      this.#writeU32(value)
    }
  }

  writeBytes(bytes: Uint8Array): void {
    this.#writeRawHeader(bytes.length)
    this.append(bytes)
  }

  writeText(text: string): void {
    const length = text.length
    const headStart = this.#length
    this.#writeRawHeader(length)
    this.#reserve(length)
    const start = this.#length
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit >= 0x80) {
        this.#length = headStart
        this.writeBytes(encodeText(text))
        return
      }
      this.#bytes[start + i] = unit
    }
    this.#length += length
  }

  #writeRawHeader(length: number): void {
    if (length < 0x20) this.writeByte(0xa0 | length)
    else if (length <= 0xffff) {
      this.writeByte(0xda)
      this.#writeU16(length)
    } else {
      this.writeByte(0xdb)
      this.#writeU32(length)
    }
  }

  #writeU16(value: number): void {
    this.#reserve(2)
    this.#bytes[this.#length++] = value >>> 8
    this.#bytes[this.#length++] = value & 0xff
  }

  #writeU32(value: number): void {
    this.#reserve(4)
    this.#bytes[this.#length++] = value >>> 24
    this.#bytes[this.#length++] = (value >>> 16) & 0xff
    this.#bytes[this.#length++] = (value >>> 8) & 0xff
    this.#bytes[this.#length++] = value & 0xff
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}

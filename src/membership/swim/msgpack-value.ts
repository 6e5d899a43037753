/** What a bounded MessagePack body decodes to. */
export type MsgpackValue =
  null | undefined | boolean | number | string | Uint8Array | readonly MsgpackValue[] | MsgpackMap

/** A map with text keys. */
export interface MsgpackMap {
  readonly [key: string]: MsgpackValue
}

/** Nesting below the outermost value that is read. */
const DEPTH_LIMIT = 4

/** Values in one body, keys not counted. */
const VALUE_LIMIT = 128

/** Bytes of a key. */
const KEY_LIMIT_BYTES = 64

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Ends the reading from any depth; it never leaves this file. */
class Malformed extends Error {}

/**
 * Decodes one MessagePack value that takes up all of `bytes`, with bounds on depth, count and key length.
 * (memberlist's reader in `memberlist/wire/` reads known fields of an older dialect, and makes no values of others.)
 * Refused besides what is malformed: keys that are not text, twice the same key, the key `__proto__`, integers
 * beyond 2^53, and extension types but the one that stands for `undefined` (`d4 00 00`).
 *
 * @returns The value in an object, so that `undefined` can be told from failure; undefined when it is refused.
 * @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export function tryDecodeMsgpack(bytes: Uint8Array): { readonly value: MsgpackValue } | undefined {
  const reader = new Reader(bytes)
  try {
    const value = reader.value(0)
    return reader.ended ? { value } : undefined
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #offset = 0
  #values = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get ended(): boolean {
    return this.#offset === this.#bytes.byteLength
  }

  value(depth: number): MsgpackValue {
    this.#values += 1
    if (depth > DEPTH_LIMIT || this.#values > VALUE_LIMIT) throw new Malformed()
    const type = this.#uint(1)
    if (type <= 0x7f) return type
    if (type <= 0x8f) return this.#map(type & 0x0f, depth)
    if (type <= 0x9f) return this.#array(type & 0x0f, depth)
    if (type <= 0xbf) return this.#text(type & 0x1f)
    if (type >= 0xe0) return type - 0x100
    switch (type) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
        return this.#take(this.#uint(1)).slice()
      case 0xc5:
        return this.#take(this.#uint(2)).slice()
      case 0xca:
        return this.#view.getFloat32(this.#advance(4))
      case 0xcb:
        return this.#view.getFloat64(this.#advance(8))
      case 0xcc:
        return this.#uint(1)
      case 0xcd:
        return this.#uint(2)
      case 0xce:
        return this.#uint(4)
      case 0xcf:
        return safe(this.#view.getBigUint64(this.#advance(8)))
      case 0xd0:
        return this.#view.getInt8(this.#advance(1))
      case 0xd1:
        return this.#view.getInt16(this.#advance(2))
      case 0xd2:
        return this.#view.getInt32(this.#advance(4))
      case 0xd3:
        return safe(this.#view.getBigInt64(this.#advance(8)))
      case 0xd4:
        // How the encoder writes `undefined`.
        if (this.#uint(2) !== 0) throw new Malformed()
        return undefined
      case 0xd9:
        return this.#text(this.#uint(1))
      case 0xda:
        return this.#text(this.#uint(2))
      case 0xdc:
        return this.#array(this.#uint(2), depth)
      case 0xde:
        return this.#map(this.#uint(2), depth)
      default:
        throw new Malformed()
    }
  }

  #map(count: number, depth: number): MsgpackMap {
    if (count > VALUE_LIMIT) throw new Malformed()
    const map: Record<string, MsgpackValue> = {}
    for (let index = 0; index < count; index++) {
      const key = this.#key()
      if (key === '__proto__' || Object.hasOwn(map, key)) throw new Malformed()
      map[key] = this.value(depth + 1)
    }
    return map
  }

  #array(count: number, depth: number): MsgpackValue[] {
    if (count > VALUE_LIMIT) throw new Malformed()
    return Array.from({ length: count }, () => this.value(depth + 1))
  }

  #key(): string {
    const type = this.#uint(1)
    const length = type >= 0xa0 && type <= 0xbf ? type & 0x1f : type === 0xd9 ? this.#uint(1) : -1
    if (length < 0 || length > KEY_LIMIT_BYTES) throw new Malformed()
    return this.#text(length)
  }

  #text(length: number): string {
    const bytes = this.#take(length)
    try {
      return utf8.decode(bytes)
    } catch (error) {
      throw new Malformed('not UTF-8', { cause: error })
    }
  }

  #uint(size: 1 | 2 | 4): number {
    const offset = this.#advance(size)
    if (size === 1) return this.#view.getUint8(offset)
    return size === 2 ? this.#view.getUint16(offset) : this.#view.getUint32(offset)
  }

  #take(length: number): Uint8Array {
    const offset = this.#advance(length)
    return this.#bytes.subarray(offset, offset + length)
  }

  #advance(length: number): number {
    const offset = this.#offset
    if (offset + length > this.#bytes.byteLength) throw new Malformed()
    this.#offset = offset + length
    return offset
  }
}

function safe(value: bigint): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new Malformed()
  return number
}

/** A generator of chance that is the same for the same seed: xorshift, 32 bits. */
export class SeededRandom {
  #state: number

  constructor(seed: number) {
    // A few rounds of multiplication spread seeds that are near each other.
    this.#state = (Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ 0xc2b2_ae35) >>> 0 || 1
    for (let i = 0; i < 4; i++) this.below(2)
  }

  /** An integer from 0 to `n - 1`. */
  below(n: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return this.#state % n
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i++) bytes[i] = this.below(256)
    return bytes
  }
}

/** Bytes that mean something to msgpack or to memberlist. */
const TELLING_BYTES = [
  0x00, 0x01, 0x07, 0x08, 0x09, 0x0a, 0x0c, 0x0d, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
  0xc2, 0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd3, 0xd4, 0xd8, 0xd9, 0xda,
  0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xf4, 0xff,
] as const

/** Lengths and counts as they stand in front of things, small, large and too large. */
const TELLING_NUMBERS = [
  0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff,
] as const

/** `bytes` with one to eight changes, a part of `other` among them. */
export function mutate(random: SeededRandom, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  let changed: Uint8Array = bytes.slice()
  const changes = 1 + random.below(random.below(4) === 0 ? 8 : 2)
  for (let i = 0; i < changes; i++) changed = mutateOnce(random, changed, other)
  return changed
}

function mutateOnce(random: SeededRandom, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const at = random.below(bytes.length + 1)
  const length = random.below(1 + Math.min(bytes.length - at, random.below(3) === 0 ? 400 : 12))
  switch (random.below(10)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << random.below(8)
      return bytes
    case 1:
    case 2:
      if (at < bytes.length) bytes[at] = random.pick(TELLING_BYTES)
      return bytes
    case 3:
      if (at < bytes.length) bytes[at] = random.below(256)
      return bytes
    case 4:
      return bytes.slice(0, at)
    case 5:
      return replaced(bytes, at, length, new Uint8Array(0))
    case 6:
      return replaced(bytes, at, 0, bytes.subarray(at, at + length))
    case 7:
      return replaced(bytes, at, 0, random.bytes(random.below(6)))
    case 8: {
      const from = random.below(other.length + 1)
      return replaced(bytes, at, length, other.subarray(from, from + random.below(200)))
    }
    default:
      return withNumber(random, bytes, at)
  }
}

/** `bytes` with a telling 16- or 32-bit number at `at`, as far as there is room. */
function withNumber(random: SeededRandom, bytes: Uint8Array, at: number): Uint8Array {
  const value = random.pick(TELLING_NUMBERS)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (random.below(2) === 0 && at + 4 <= bytes.length) view.setUint32(at, value)
  else if (at + 2 <= bytes.length) view.setUint16(at, value & 0xffff)
  return bytes
}

function replaced(bytes: Uint8Array, at: number, length: number, insert: Uint8Array): Uint8Array {
  const result = new Uint8Array(bytes.length - length + insert.length)
  result.set(bytes.subarray(0, at))
  result.set(insert, at)
  result.set(bytes.subarray(at + length), at + insert.length)
  return result
}

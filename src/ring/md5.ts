import { Pace, type Steps } from './steps.ts'

/**
 * MD5 (RFC 1321), for rings only: it spreads keys and points evenly and gives the Go library's rings. It keeps
 * nothing secret and proves nothing.
 *
 * Written for many short messages, where `node:crypto` spends most of its time on the way in and out: a block's
 * state lives in locals, and each step adds up all it can before the newest state word is needed.
 *
 * The scratch arrays are this module's only state. Every function fills them before it reads them and runs to
 * its end without calling foreign code, so nothing is carried from one call to the next; one in steps puts its state aside
 * between two steps.
 */

/** The block that {@link compress} reads: sixteen little-endian words. */
const words = new Int32Array(16)

/** What {@link compress} updates; after the last block, the digest as four little-endian words. */
const state = new Int32Array(4)

/** Room for the UTF-8 bytes of a text, so that only long ones need an array of their own. */
const textBytes = new Uint8Array(4096)

const utf8 = new TextEncoder()

/**
 * The MD5 digest.
 *
 * @param data - Text is taken as its UTF-8 bytes, a lone surrogate as those of U+FFFD.
 * @returns A new array of 16 bytes.
 */
export function md5(data: string | Uint8Array): Uint8Array {
  digest(data)
  return stateBytes()
}

/** The same of a text, in steps. Others may use this module between two of them. */
export function* md5InSteps(text: string): Steps<Uint8Array> {
  const bytes = utf8.encode(text)
  const pace = new Pace()
  const kept = new Int32Array(4)
  let at = 0
  begin()
  for (; bytes.length - at >= 64; at += 64) {
    loadWords(bytes, at, 16)
    compress()
    if (!pace.endsStep()) continue
    kept.set(state)
    yield
    state.set(kept)
  }
  digestFrom(bytes, at, bytes.length)
  return stateBytes()
}

/** The digest in {@link state}. */
function stateBytes(): Uint8Array {
  const bytes = new Uint8Array(16)
  for (let i = 0; i < 16; i++) bytes[i] = state[i >> 2]! >>> ((i & 3) << 3)
  return bytes
}

/**
 * Bytes 0 to 3 of the MD5 digest as a little-endian word.
 *
 * @param data - As {@link md5} takes it.
 * @returns A signed 32-bit integer, which V8 need not box; `>>> 0` makes it unsigned.
 */
export function md5Word(data: string | Uint8Array): number {
  digest(data)
  return state[0]!
}

/**
 * Writes bytes 0 to 11 of an MD5 digest as three little-endian words: the points that it gives.
 *
 * @param bytes - The message is its first `length` bytes.
 * @param at - Index in `points` of the first of the three.
 */
export function md5Points(bytes: Uint8Array, length: number, points: Uint32Array, at: number): void {
  digestBytes(bytes, length)
  points[at] = state[0]!
  points[at + 1] = state[1]!
  points[at + 2] = state[2]!
}

/** Leaves the digest of `data` in {@link state}. */
function digest(data: string | Uint8Array): void {
  if (typeof data !== 'string') {
    digestBytes(data, data.length)
  } else if (data.length * 3 <= textBytes.length) {
    digestBytes(textBytes, utf8.encodeInto(data, textBytes).written)
  } else {
    const bytes = utf8.encode(data)
    digestBytes(bytes, bytes.length)
  }
}

/** Leaves the digest of the first `length` bytes in {@link state}. */
function digestBytes(bytes: Uint8Array, length: number): void {
  begin()
  digestFrom(bytes, 0, length)
}

/** Fills {@link state} for a new message. */
function begin(): void {
  state[0] = 0x67452301
  state[1] = 0xefcdab89
  state[2] = 0x98badcfe
  state[3] = 0x10325476
}

/** Brings {@link state}, which has whole blocks of a message up to byte `at`, to the digest of its first `length` bytes. */
function digestFrom(bytes: Uint8Array, at: number, length: number): void {
  for (; length - at >= 64; at += 64) {
    loadWords(bytes, at, 16)
    compress()
  }
  const rest = length - at
  const whole = rest >> 2
  loadWords(bytes, at, whole)
  let last = 0x80 << ((rest & 3) << 3)
  for (let i = whole << 2; i < rest; i++) last |= bytes[at + i]! << ((i & 3) << 3)
  words[whole] = last
  for (let i = whole + 1; i < 16; i++) words[i] = 0
  if (rest >= 56) {
    // No room for the length behind the end mark: it gets a block of its own.
    compress()
    for (let i = 0; i < 14; i++) words[i] = 0
  }
  words[14] = length << 3
  words[15] = Math.floor(length / 0x2000_0000)
  compress()
}

/** Fills the first `count` of {@link words} from `bytes`, beginning at byte `at`. */
function loadWords(bytes: Uint8Array, at: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const from = at + (i << 2)
    words[i] = bytes[from]! | (bytes[from + 1]! << 8) | (bytes[from + 2]! << 16) | (bytes[from + 3]! << 24)
  }
}

/** Mixes the block in {@link words} into {@link state}: the 64 steps of RFC 1321, section 3.4. */
// prettier-ignore
function compress(): void {
  const m0 = words[0]!, m1 = words[1]!, m2 = words[2]!, m3 = words[3]!
  const m4 = words[4]!, m5 = words[5]!, m6 = words[6]!, m7 = words[7]!
  const m8 = words[8]!, m9 = words[9]!, m10 = words[10]!, m11 = words[11]!
  const m12 = words[12]!, m13 = words[13]!, m14 = words[14]!, m15 = words[15]!
  const a0 = state[0]!, b0 = state[1]!, c0 = state[2]!, d0 = state[3]!
  let a = a0, b = b0, c = c0, d = d0, t = 0

  t = (a + m0 - 680876936 | 0) + (d ^ (b & (c ^ d))) | 0; a = (t << 7 | t >>> 25) + b | 0
  t = (d + m1 - 389564586 | 0) + (c ^ (a & (b ^ c))) | 0; d = (t << 12 | t >>> 20) + a | 0
  t = (c + m2 + 606105819 | 0) + (b ^ (d & (a ^ b))) | 0; c = (t << 17 | t >>> 15) + d | 0
  t = (b + m3 - 1044525330 | 0) + (a ^ (c & (d ^ a))) | 0; b = (t << 22 | t >>> 10) + c | 0
  t = (a + m4 - 176418897 | 0) + (d ^ (b & (c ^ d))) | 0; a = (t << 7 | t >>> 25) + b | 0
  t = (d + m5 + 1200080426 | 0) + (c ^ (a & (b ^ c))) | 0; d = (t << 12 | t >>> 20) + a | 0
  t = (c + m6 - 1473231341 | 0) + (b ^ (d & (a ^ b))) | 0; c = (t << 17 | t >>> 15) + d | 0
  t = (b + m7 - 45705983 | 0) + (a ^ (c & (d ^ a))) | 0; b = (t << 22 | t >>> 10) + c | 0
  t = (a + m8 + 1770035416 | 0) + (d ^ (b & (c ^ d))) | 0; a = (t << 7 | t >>> 25) + b | 0
  t = (d + m9 - 1958414417 | 0) + (c ^ (a & (b ^ c))) | 0; d = (t << 12 | t >>> 20) + a | 0
  t = (c + m10 - 42063 | 0) + (b ^ (d & (a ^ b))) | 0; c = (t << 17 | t >>> 15) + d | 0
  t = (b + m11 - 1990404162 | 0) + (a ^ (c & (d ^ a))) | 0; b = (t << 22 | t >>> 10) + c | 0
  t = (a + m12 + 1804603682 | 0) + (d ^ (b & (c ^ d))) | 0; a = (t << 7 | t >>> 25) + b | 0
  t = (d + m13 - 40341101 | 0) + (c ^ (a & (b ^ c))) | 0; d = (t << 12 | t >>> 20) + a | 0
  t = (c + m14 - 1502002290 | 0) + (b ^ (d & (a ^ b))) | 0; c = (t << 17 | t >>> 15) + d | 0
  t = (b + m15 + 1236535329 | 0) + (a ^ (c & (d ^ a))) | 0; b = (t << 22 | t >>> 10) + c | 0

  t = ((a + m1 - 165796510 | 0) + (c & ~d) | 0) + (b & d) | 0; a = (t << 5 | t >>> 27) + b | 0
  t = ((d + m6 - 1069501632 | 0) + (b & ~c) | 0) + (a & c) | 0; d = (t << 9 | t >>> 23) + a | 0
  t = ((c + m11 + 643717713 | 0) + (a & ~b) | 0) + (d & b) | 0; c = (t << 14 | t >>> 18) + d | 0
  t = ((b + m0 - 373897302 | 0) + (d & ~a) | 0) + (c & a) | 0; b = (t << 20 | t >>> 12) + c | 0
  t = ((a + m5 - 701558691 | 0) + (c & ~d) | 0) + (b & d) | 0; a = (t << 5 | t >>> 27) + b | 0
  t = ((d + m10 + 38016083 | 0) + (b & ~c) | 0) + (a & c) | 0; d = (t << 9 | t >>> 23) + a | 0
  t = ((c + m15 - 660478335 | 0) + (a & ~b) | 0) + (d & b) | 0; c = (t << 14 | t >>> 18) + d | 0
  t = ((b + m4 - 405537848 | 0) + (d & ~a) | 0) + (c & a) | 0; b = (t << 20 | t >>> 12) + c | 0
  t = ((a + m9 + 568446438 | 0) + (c & ~d) | 0) + (b & d) | 0; a = (t << 5 | t >>> 27) + b | 0
  t = ((d + m14 - 1019803690 | 0) + (b & ~c) | 0) + (a & c) | 0; d = (t << 9 | t >>> 23) + a | 0
  t = ((c + m3 - 187363961 | 0) + (a & ~b) | 0) + (d & b) | 0; c = (t << 14 | t >>> 18) + d | 0
  t = ((b + m8 + 1163531501 | 0) + (d & ~a) | 0) + (c & a) | 0; b = (t << 20 | t >>> 12) + c | 0
  t = ((a + m13 - 1444681467 | 0) + (c & ~d) | 0) + (b & d) | 0; a = (t << 5 | t >>> 27) + b | 0
  t = ((d + m2 - 51403784 | 0) + (b & ~c) | 0) + (a & c) | 0; d = (t << 9 | t >>> 23) + a | 0
  t = ((c + m7 + 1735328473 | 0) + (a & ~b) | 0) + (d & b) | 0; c = (t << 14 | t >>> 18) + d | 0
  t = ((b + m12 - 1926607734 | 0) + (d & ~a) | 0) + (c & a) | 0; b = (t << 20 | t >>> 12) + c | 0

  t = (a + m5 - 378558 | 0) + ((c ^ d) ^ b) | 0; a = (t << 4 | t >>> 28) + b | 0
  t = (d + m8 - 2022574463 | 0) + ((b ^ c) ^ a) | 0; d = (t << 11 | t >>> 21) + a | 0
  t = (c + m11 + 1839030562 | 0) + ((a ^ b) ^ d) | 0; c = (t << 16 | t >>> 16) + d | 0
  t = (b + m14 - 35309556 | 0) + ((d ^ a) ^ c) | 0; b = (t << 23 | t >>> 9) + c | 0
  t = (a + m1 - 1530992060 | 0) + ((c ^ d) ^ b) | 0; a = (t << 4 | t >>> 28) + b | 0
  t = (d + m4 + 1272893353 | 0) + ((b ^ c) ^ a) | 0; d = (t << 11 | t >>> 21) + a | 0
  t = (c + m7 - 155497632 | 0) + ((a ^ b) ^ d) | 0; c = (t << 16 | t >>> 16) + d | 0
  t = (b + m10 - 1094730640 | 0) + ((d ^ a) ^ c) | 0; b = (t << 23 | t >>> 9) + c | 0
  t = (a + m13 + 681279174 | 0) + ((c ^ d) ^ b) | 0; a = (t << 4 | t >>> 28) + b | 0
  t = (d + m0 - 358537222 | 0) + ((b ^ c) ^ a) | 0; d = (t << 11 | t >>> 21) + a | 0
  t = (c + m3 - 722521979 | 0) + ((a ^ b) ^ d) | 0; c = (t << 16 | t >>> 16) + d | 0
  t = (b + m6 + 76029189 | 0) + ((d ^ a) ^ c) | 0; b = (t << 23 | t >>> 9) + c | 0
  t = (a + m9 - 640364487 | 0) + ((c ^ d) ^ b) | 0; a = (t << 4 | t >>> 28) + b | 0
  t = (d + m12 - 421815835 | 0) + ((b ^ c) ^ a) | 0; d = (t << 11 | t >>> 21) + a | 0
  t = (c + m15 + 530742520 | 0) + ((a ^ b) ^ d) | 0; c = (t << 16 | t >>> 16) + d | 0
  t = (b + m2 - 995338651 | 0) + ((d ^ a) ^ c) | 0; b = (t << 23 | t >>> 9) + c | 0

  t = (a + m0 - 198630844 | 0) + (c ^ (b | ~d)) | 0; a = (t << 6 | t >>> 26) + b | 0
  t = (d + m7 + 1126891415 | 0) + (b ^ (a | ~c)) | 0; d = (t << 10 | t >>> 22) + a | 0
  t = (c + m14 - 1416354905 | 0) + (a ^ (d | ~b)) | 0; c = (t << 15 | t >>> 17) + d | 0
  t = (b + m5 - 57434055 | 0) + (d ^ (c | ~a)) | 0; b = (t << 21 | t >>> 11) + c | 0
  t = (a + m12 + 1700485571 | 0) + (c ^ (b | ~d)) | 0; a = (t << 6 | t >>> 26) + b | 0
  t = (d + m3 - 1894986606 | 0) + (b ^ (a | ~c)) | 0; d = (t << 10 | t >>> 22) + a | 0
  t = (c + m10 - 1051523 | 0) + (a ^ (d | ~b)) | 0; c = (t << 15 | t >>> 17) + d | 0
  t = (b + m1 - 2054922799 | 0) + (d ^ (c | ~a)) | 0; b = (t << 21 | t >>> 11) + c | 0
  t = (a + m8 + 1873313359 | 0) + (c ^ (b | ~d)) | 0; a = (t << 6 | t >>> 26) + b | 0
  t = (d + m15 - 30611744 | 0) + (b ^ (a | ~c)) | 0; d = (t << 10 | t >>> 22) + a | 0
  t = (c + m6 - 1560198380 | 0) + (a ^ (d | ~b)) | 0; c = (t << 15 | t >>> 17) + d | 0
  t = (b + m13 + 1309151649 | 0) + (d ^ (c | ~a)) | 0; b = (t << 21 | t >>> 11) + c | 0
  t = (a + m4 - 145523070 | 0) + (c ^ (b | ~d)) | 0; a = (t << 6 | t >>> 26) + b | 0
  t = (d + m11 - 1120210379 | 0) + (b ^ (a | ~c)) | 0; d = (t << 10 | t >>> 22) + a | 0
  t = (c + m2 + 718787259 | 0) + (a ^ (d | ~b)) | 0; c = (t << 15 | t >>> 17) + d | 0
  t = (b + m9 - 343485551 | 0) + (d ^ (c | ~a)) | 0; b = (t << 21 | t >>> 11) + c | 0

  state[0] = a0 + a
  state[1] = b0 + b
  state[2] = c0 + c
  state[3] = d0 + d
}

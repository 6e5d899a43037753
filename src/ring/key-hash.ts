import { RingmanError } from '../errors.ts'
import { md5Word } from './md5.ts'

/** Longest ASCII key that fits one MD5 block together with its end mark and its length, in characters. */
const ONE_BLOCK_LENGTH = 55

/**
 * The block of the key at hand, without its length. It is filled again by each call before it is read, and no
 * foreign code runs meanwhile: nothing is carried from one call to the next.
 */
const words = new Int32Array(14)

/**
 * Refuses what has no owner for anyone but a ring by itself, so that a key gets the same answer in a program as over HTTP.
 * What is neither text nor bytes is left to {@link hashKey}.
 *
 * @throws {RingmanError} `KEY_EMPTY`; `KEY_INVALID` for text with half a surrogate pair.
 */
export function checkKey(key: string | Uint8Array): void {
  if (key?.length === 0) throw new RingmanError('KEY_EMPTY', 'the key is empty')
  if (typeof key === 'string' && !key.isWellFormed()) {
    throw new RingmanError('KEY_INVALID', 'the key has half a surrogate pair, which no UTF-8 can have')
  }
}

/** Refuses a number of owners that is no integer of at least 1. @throws {RingmanError} `N_OUT_OF_RANGE`. */
export function checkCount(n: number): void {
  if (Number.isSafeInteger(n) && n >= 1) return
  const given = typeof n === 'number' ? n : typeof n
  throw new RingmanError('N_OUT_OF_RANGE', `n must be an integer of at least 1, got ${given}`)
}

/**
 * What a key hashes to: bytes 0 to 3 of its MD5 digest as a little-endian word.
 *
 * It gives what {@link md5Word} gives, sooner where most keys are: ASCII text of one block is read from the
 * string without an array in between, and the last three of MD5's 64 steps are left out, as they change
 * nothing in that word. `npm run bench:ring` shows what this is worth.
 *
 * @param key - Text, hashed as its UTF-8 bytes (a lone surrogate as those of U+FFFD), or bytes.
 * @returns A signed 32-bit integer, which V8 need not box; `>>> 0` makes it the place on the circle.
 * @throws {RingmanError} `KEY_INVALID` for a number or anything else, which programs in JavaScript may give.
 */
// prettier-ignore
export function hashKey(key: string | Uint8Array): number {
  if (typeof key !== 'string') {
    // Of other views MD5 reads other bytes than they have, or none. By its tag an array of another realm counts, too.
    if (ArrayBuffer.isView(key) && key[Symbol.toStringTag] === 'Uint8Array') return md5Word(key)
    throw new RingmanError('KEY_INVALID', `a key is text or a Uint8Array, got ${typeof key}`)
  }
  const length = key.length
  if (length > ONE_BLOCK_LENGTH) return md5Word(key)

  const whole = length & ~3
  let seen = 0
  let at = 0
  for (; at < whole; at += 4) {
    const c0 = key.charCodeAt(at)
    const c1 = key.charCodeAt(at + 1)
    const c2 = key.charCodeAt(at + 2)
    const c3 = key.charCodeAt(at + 3)
    seen |= c0 | c1 | c2 | c3
    words[at >> 2] = c0 | (c1 << 8) | (c2 << 16) | (c3 << 24)
  }
  let last = 0x80 << ((length & 3) << 3)
  for (; at < length; at++) {
    const c = key.charCodeAt(at)
    seen |= c
    last |= c << ((at & 3) << 3)
  }
  words[whole >> 2] = last
  for (let i = (whole >> 2) + 1; i < 14; i++) words[i] = 0
  if (seen >= 0x80) return md5Word(key)

  const m0 = words[0]!, m1 = words[1]!, m2 = words[2]!, m3 = words[3]!
  const m4 = words[4]!, m5 = words[5]!, m6 = words[6]!, m7 = words[7]!
  const m8 = words[8]!, m9 = words[9]!, m10 = words[10]!, m11 = words[11]!
  const m12 = words[12]!, m13 = words[13]!, m14 = length << 3
  let a = 0x67452301, b = 0xefcdab89 | 0, c = 0x98badcfe | 0, d = 0x10325476, t = 0

  // Word 15, the upper half of the length, is zero and therefore missing from its four steps.
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
  t = (b + 1236535329 | 0) + (a ^ (c & (d ^ a))) | 0; b = (t << 22 | t >>> 10) + c | 0

  t = ((a + m1 - 165796510 | 0) + (c & ~d) | 0) + (b & d) | 0; a = (t << 5 | t >>> 27) + b | 0
  t = ((d + m6 - 1069501632 | 0) + (b & ~c) | 0) + (a & c) | 0; d = (t << 9 | t >>> 23) + a | 0
  t = ((c + m11 + 643717713 | 0) + (a & ~b) | 0) + (d & b) | 0; c = (t << 14 | t >>> 18) + d | 0
  t = ((b + m0 - 373897302 | 0) + (d & ~a) | 0) + (c & a) | 0; b = (t << 20 | t >>> 12) + c | 0
  t = ((a + m5 - 701558691 | 0) + (c & ~d) | 0) + (b & d) | 0; a = (t << 5 | t >>> 27) + b | 0
  t = ((d + m10 + 38016083 | 0) + (b & ~c) | 0) + (a & c) | 0; d = (t << 9 | t >>> 23) + a | 0
  t = ((c - 660478335 | 0) + (a & ~b) | 0) + (d & b) | 0; c = (t << 14 | t >>> 18) + d | 0
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
  t = (c + 530742520 | 0) + ((a ^ b) ^ d) | 0; c = (t << 16 | t >>> 16) + d | 0
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
  t = (d - 30611744 | 0) + (b ^ (a | ~c)) | 0; d = (t << 10 | t >>> 22) + a | 0
  t = (c + m6 - 1560198380 | 0) + (a ^ (d | ~b)) | 0; c = (t << 15 | t >>> 17) + d | 0
  t = (b + m13 + 1309151649 | 0) + (d ^ (c | ~a)) | 0; b = (t << 21 | t >>> 11) + c | 0
  t = (a + m4 - 145523070 | 0) + (c ^ (b | ~d)) | 0; a = (t << 6 | t >>> 26) + b | 0

  return a + 0x67452301 | 0
}

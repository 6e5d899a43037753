import { malformed, overLimit } from './malformed.ts'

/*
 * LZW as Go's `compress/lzw` writes it with least significant bit first and 8-bit literals, which is GIF's
 * variant: codes of 9 to 12 bits, 256 empties the table, 257 ends the data. A writer starts with a 256.
 * https://www.w3.org/Graphics/GIF/spec-gif89a.txt, appendix F
 */
const CLEAR_CODE = 256
const END_CODE = 257
const FIRST_CODE = 258
const MIN_WIDTH = 9
const MAX_WIDTH = 12
const MAX_CODES = 1 << MAX_WIDTH

/**
 * Decompresses `input`.
 *
 * A table entry is a place in the output: each new string is an earlier one and the byte that came after it, so
 * it stands there already. Memory is bounded by `maxBytes` and the length of the input, time by both.
 *
 * @param maxBytes - The most that may come out.
 * @throws RingmanError `WIRE_MALFORMED` when the data is cut off, uses a code that is not in the table, or is
 * larger than `maxBytes` (then with `detail.limit`). Bytes behind the end code are ignored, as in Go.
 */
export function decompressLzw(input: Uint8Array, maxBytes: number): Uint8Array {
  // Codes take 9 bits at least, so a short input cannot define the whole table.
  const entries = Math.min(MAX_CODES, FIRST_CODE + Math.ceil((input.length * 8) / MIN_WIDTH))
  const starts = new Uint32Array(entries)
  const lengths = new Uint32Array(entries)
  let output = new Uint8Array(Math.min(maxBytes, 64 + input.length * 3))
  let written = 0

  let width = MIN_WIDTH
  let next = FIRST_CODE
  let previousStart = 0
  let previousLength = 0

  let at = 0
  let bits = 0
  let bitCount = 0
  for (;;) {
    while (bitCount < width) {
      if (at === input.length) throw malformed('compressed data is cut off', { length: input.length })
      bits |= input[at++]! << bitCount
      bitCount += 8
    }
    const code = bits & ((1 << width) - 1)
    bits >>>= width
    bitCount -= width

    if (code === END_CODE) return output.subarray(0, written)
    if (code === CLEAR_CODE) {
      width = MIN_WIDTH
      next = FIRST_CODE
      previousLength = 0
      continue
    }

    let length = 1
    let start = -1
    if (code >= FIRST_CODE) {
      if (code < next) {
        start = starts[code]!
        length = lengths[code]!
      } else if (code === next && previousLength > 0) {
        // The string that this very code defines: the previous one and its own first byte.
        start = previousStart
        length = previousLength + 1
      } else throw malformed('compressed data uses a code that is not defined', { code, offset: at })
    }

    const end = written + length
    if (end > maxBytes) throw overLimit('the decompressed size', maxBytes)
    if (end > output.length) {
      const grown = new Uint8Array(Math.min(maxBytes, Math.max(end, output.length * 2)))
      grown.set(output)
      output = grown
    }
    if (start < 0) output[written] = code
    // Byte by byte and forwards: the source of the last byte may be the first one written here.
    else for (let i = 0; i < length; i++) output[written + i] = output[start + i]!

    if (previousLength > 0 && next < MAX_CODES) {
      starts[next] = previousStart
      lengths[next] = previousLength + 1
      next++
      if (next === 1 << width && width < MAX_WIDTH) width++
    }
    previousStart = written
    previousLength = length
    written = end
  }
}

/** Compresses `input` to the same bytes as Go's `compress/lzw`. */
export function compressLzw(input: Uint8Array): Uint8Array {
  const writer = new CodeWriter(input.length)
  const table = new CodeTable(input.length)
  writer.write(CLEAR_CODE)
  if (input.length === 0) {
    writer.write(END_CODE)
    return writer.finish()
  }

  let last = FIRST_CODE - 1
  // Takes the next code, and starts over when there is none.
  const takeCode = (): boolean => {
    last++
    if (last === 1 << writer.width) writer.width++
    if (last < MAX_CODES - 1) return true
    writer.write(CLEAR_CODE)
    writer.width = MIN_WIDTH
    last = FIRST_CODE - 1
    table.clear()
    return false
  }

  let code = input[0]!
  for (let at = 1; at < input.length; at++) {
    const byte = input[at]!
    const slot = table.find(code, byte)
    const known = table.codeAt(slot)
    if (known !== 0) {
      code = known
      continue
    }
    const prefix = code
    writer.write(prefix)
    code = byte
    if (takeCode()) table.set(slot, prefix, byte, last)
  }
  writer.write(code)
  takeCode()
  writer.write(END_CODE)
  return writer.finish()
}

/** Packs codes, least significant bit first. */
class CodeWriter {
  /** Bits of the codes to come. */
  width = MIN_WIDTH
  readonly #output: Uint8Array
  #length = 0
  #bits = 0
  #bitCount = 0

  /** @param inputBytes - Bytes to compress; each makes one code at most, and every 3,838 codes one more. */
  constructor(inputBytes: number) {
    this.#output = new Uint8Array(16 + Math.ceil(inputBytes * 1.51))
  }

  write(code: number): void {
    this.#bits |= code << this.#bitCount
    this.#bitCount += this.width
    while (this.#bitCount >= 8) {
      this.#output[this.#length++] = this.#bits & 0xff
      this.#bits >>>= 8
      this.#bitCount -= 8
    }
  }

  finish(): Uint8Array {
    if (this.#bitCount > 0) this.#output[this.#length++] = this.#bits & 0xff
    this.#bitCount = 0
    return this.#output.subarray(0, this.#length)
  }
}

/** Finds the code of a known string and one more byte: open addressing, never more than half full. */
class CodeTable {
  /** `prefix << 8 | byte`, plus one; 0 is an empty slot. */
  readonly #keys: Uint32Array
  readonly #codes: Uint16Array
  readonly #shift: number

  constructor(inputBytes: number) {
    const sizeBits = Math.min(MAX_WIDTH + 1, Math.max(4, 34 - Math.clz32(inputBytes)))
    this.#keys = new Uint32Array(1 << sizeBits)
    this.#codes = new Uint16Array(1 << sizeBits)
    this.#shift = 32 - sizeBits
  }

  /** The slot that holds the string, or the empty one where it belongs. */
  find(prefix: number, byte: number): number {
    const key = ((prefix << 8) | byte) + 1
    const mask = this.#keys.length - 1
    let slot = Math.imul(key, 0x9e37_79b1) >>> this.#shift
    while (this.#keys[slot] !== 0 && this.#keys[slot] !== key) slot = (slot + 1) & mask
    return slot
  }

  /** The code in a slot, or 0. */
  codeAt(slot: number): number {
    return this.#keys[slot] === 0 ? 0 : this.#codes[slot]!
  }

  set(slot: number, prefix: number, byte: number, code: number): void {
    this.#keys[slot] = ((prefix << 8) | byte) + 1
    this.#codes[slot] = code
  }

  clear(): void {
    this.#keys.fill(0)
  }
}

import { malformed, overLimit } from './drop.ts'

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

/** Table entries beside the literals and the two marks. */
const MAX_ENTRIES = (1 << MAX_WIDTH) - FIRST_CODE

/** From this length on, the engine's own copy is faster than a loop. */
const LONG_COPY_BYTES = 24

/** Decompresses `input` at once; see {@link LzwExpansion}. */
export function decompressLzw(input: Uint8Array, maxBytes: number): Uint8Array {
  return new LzwExpansion(input, maxBytes).advance(Infinity)!
}

/**
 * Decompresses `input`, in steps.
 *
 * Each code after the first defines an entry: what the code before it stood for, and one byte more. That byte
 * is the first one of what follows, so the whole entry stands in the output already, and the table needs only
 * remember where each code's output began. Memory is bounded by `maxBytes` and the length of the input, time by
 * their sum.
 */
export class LzwExpansion {
  readonly #input: Uint8Array
  readonly #maxBytes: number
  readonly #starts: Uint32Array
  #output: Uint8Array
  #written = 0
  #width = MIN_WIDTH
  /** Codes since the table was emptied. */
  #codes = 0
  #at = 0
  #bits = 0
  #bitCount = 0

  /** @param maxBytes - The most that may come out. */
  constructor(input: Uint8Array, maxBytes: number) {
    this.#input = input
    this.#maxBytes = maxBytes
    // A code takes 9 bits at least, so a short input cannot define the whole table.
    this.#starts = new Uint32Array(Math.min(MAX_ENTRIES, Math.ceil((input.length * 8) / MIN_WIDTH)) + 1)
    this.#output = new Uint8Array(Math.min(maxBytes, 64 + input.length * 3))
  }

  /** Bytes read and written so far. */
  get doneBytes(): number {
    return this.#at + this.#written
  }

  /**
   * Goes on until about `stepBytes` more, in and out together, are done.
   *
   * @returns All that came out, once the end code was read.
   * @throws RingmanError `WIRE_MALFORMED` when the data is cut off, uses a code that is not in the table, or is
   * larger than `maxBytes` (then with `detail.limit`). Bytes behind the end code are ignored, as in Go.
   */
  advance(stepBytes: number): Uint8Array | undefined {
    const input = this.#input
    const starts = this.#starts
    let output = this.#output
    let written = this.#written
    let width = this.#width
    let codes = this.#codes
    let at = this.#at
    let bits = this.#bits
    let bitCount = this.#bitCount
    const until = written + at + stepBytes
    while (written + at < until) {
      if (bitCount < width) {
        // Two bytes at once: with at most 11 bits left over, 27 are the most that are held.
        if (at + 1 < input.length) {
          bits |= (input[at]! | (input[at + 1]! << 8)) << bitCount
          bitCount += 16
          at += 2
        } else if (at < input.length && bitCount + 8 >= width) {
          bits |= input[at++]! << bitCount
          bitCount += 8
        } else throw malformed('compressed data is cut off', { length: input.length })
      }
      const code = bits & ((1 << width) - 1)
      bits >>>= width
      bitCount -= width

      if (code === END_CODE) return output.subarray(0, written)
      if (code === CLEAR_CODE) {
        width = MIN_WIDTH
        codes = 0
        continue
      }

      if (codes <= MAX_ENTRIES) starts[codes] = written
      if (code < CLEAR_CODE) {
        if (written === output.length) output = grownTo(output, written + 1, this.#maxBytes)
        output[written++] = code
      } else {
        const entry = code - FIRST_CODE
        if (entry >= codes)
          throw malformed('compressed data uses a code that is not defined', { code, offset: at })
        const start = starts[entry]!
        const length = starts[entry + 1]! + 1 - start
        const end = written + length
        if (end > output.length) output = grownTo(output, end, this.#maxBytes)
        if (length >= LONG_COPY_BYTES && start + length <= written) {
          output.copyWithin(written, start, start + length)
        } else {
          // Forwards: the last byte of an entry that is defined only now is the first one written here.
          for (let to = written, from = start; to < end; to++, from++) output[to] = output[from]!
        }
        written = end
      }
      codes++
      if (FIRST_CODE - 1 + codes === 1 << width && width < MAX_WIDTH) width++
    }
    this.#output = output
    this.#written = written
    this.#width = width
    this.#codes = codes
    this.#at = at
    this.#bits = bits
    this.#bitCount = bitCount
    return undefined
  }
}

/** A copy of `output` with room for `needed` bytes or more. */
function grownTo(output: Uint8Array, needed: number, maxBytes: number): Uint8Array<ArrayBuffer> {
  if (needed > maxBytes) throw overLimit('the decompressed size', maxBytes)
  const grown = new Uint8Array(Math.min(maxBytes, Math.max(needed, output.length * 2)))
  grown.set(output)
  return grown
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
    if (last < FIRST_CODE + MAX_ENTRIES - 1) return true
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

import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compressLzw, decompressLzw } from '../../../../src/membership/memberlist/wire/lzw.ts'
import { fromHex, toHex, vectorFile } from './recordings.ts'
import { recipeBytes, thrownCode, thrownDetail, utf8 } from './values.ts'

/** Packs codes as the specification says, each in the width that codes have by then, and knows what they stand for. */
class Packer {
  readonly text: number[] = []
  readonly #bits: string[] = []
  #table: (readonly number[])[] = []
  #last: readonly number[] | undefined

  /** The highest code that may come next: an entry that is there, or the one that this very code defines. */
  get highest(): number {
    if (this.#last === undefined) return 255
    return 257 + this.#table.length + (this.#isFull ? 0 : 1)
  }

  get #isFull(): boolean {
    return this.#table.length === 4096 - 258
  }

  get #width(): number {
    return Math.min(12, 32 - Math.clz32(258 + this.#table.length))
  }

  add(...codes: readonly number[]): this {
    for (const code of codes) {
      this.#bits.push(code.toString(2).padStart(this.#width, '0'))
      if (code === 256) {
        this.#table = []
        this.#last = undefined
      } else if (code !== 257) {
        const before = this.#last
        const found = code < 256 ? [code] : (this.#table[code - 258] ?? [...(before ?? []), before?.[0] ?? 0])
        if (before !== undefined && !this.#isFull) this.#table.push([...before, found[0]!])
        for (const byte of found) this.text.push(byte)
        this.#last = found
      }
    }
    return this
  }

  /** The codes, least significant bit first. */
  get bytes(): Uint8Array {
    const bits = this.#bits.toReversed().join('')
    const whole = bits.padStart(Math.ceil(bits.length / 8) * 8, '0')
    return Uint8Array.from(whole.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2)).toReversed()
  }
}

const pack = (...codes: readonly number[]) => new Packer().add(...codes).bytes

test('any codes that may follow one another give what they stand for', () => {
  const choice = fc.record({
    kind: fc.nat({ max: 99 }),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  })
  fc.assert(
    fc.property(fc.array(choice, { maxLength: 900, size: 'max' }), (choices) => {
      const packer = new Packer()
      for (const { kind, at } of choices) {
        if (kind === 0) packer.add(256)
        else if (kind < 50 || packer.highest < 258) packer.add(Math.floor(at * 256))
        else packer.add(packer.highest - Math.floor(at ** 3 * (packer.highest - 257)))
      }
      const bytes = packer.add(257).bytes
      const text = Uint8Array.from(packer.text)
      expect(decompressLzw(bytes, 1_000_000)).toEqual(text)
      expect(decompressLzw(Uint8Array.of(...bytes, 1, 2, 3), text.length)).toEqual(text)
      if (text.length > 0) {
        expect(thrownDetail(() => decompressLzw(bytes, text.length - 1))).toMatchObject({
          allowed: text.length - 1,
        })
      }
    }),
    { numRuns: 30 },
  )
})

test('decompressing gives back what was compressed', () => {
  const input = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc.array(fc.nat({ max: 3 }), { maxLength: 3000 }).map((list) => Uint8Array.from(list)),
  )
  fc.assert(
    fc.property(input, (bytes) => {
      const compressed = compressLzw(bytes)
      expect(decompressLzw(compressed, bytes.length)).toEqual(bytes)
      expect(thrownCode(() => decompressLzw(compressed.subarray(0, -1), bytes.length))).toBe('WIRE_MALFORMED')
    }),
  )
})

test('runs of every length are given back, in whatever room there is at first', () => {
  const run = new Uint8Array(600).fill(7)
  for (let length = 0; length < run.length; length++) {
    const bytes = Uint8Array.of(...run.subarray(0, length), 1)
    expect(decompressLzw(compressLzw(bytes), 1_000_000)).toEqual(bytes)
    const alike = run.subarray(0, length)
    expect(decompressLzw(compressLzw(alike), length)).toEqual(alike)
  }
})

test('as much as is allowed comes out, however small the input', () => {
  const bytes = new Uint8Array(20_000).fill(7)
  expect(decompressLzw(compressLzw(bytes), bytes.length)).toEqual(bytes)
})

test('data that is cut off anywhere is malformed', () => {
  const compressed = compressLzw(utf8('a'.repeat(40) + 'bcdefghijklmnopqrstuvwxyz'))
  const cut = Array.from(compressed, (_, length) =>
    thrownCode(() => decompressLzw(compressed.subarray(0, length), 1000)),
  )
  expect(new Set(cut)).toEqual(new Set(['WIRE_MALFORMED']))
})

test('any bytes give bytes within the limit, or WIRE_MALFORMED', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat({ max: 300 }), (bytes, max) => {
      try {
        expect(decompressLzw(bytes, max).length).toBeLessThanOrEqual(max)
      } catch (error) {
        expect(error).toMatchObject({ code: 'WIRE_MALFORMED' })
      }
    }),
    { numRuns: 3000 },
  )
})

describe('codes', () => {
  test('a code may be the very one that it defines', () => {
    expect(decompressLzw(pack(256, 97, 258, 257), 10)).toEqual(utf8('aaa'))
  })

  test('the table may be emptied at any time, and need not be at first', () => {
    expect(decompressLzw(pack(97, 98, 256, 256, 99, 258, 257), 10)).toEqual(utf8('abccc'))
  })

  test.each([
    ['no table entry is there at first', pack(256, 258, 257)],
    ['none after the table was emptied', pack(97, 98, 258, 256, 258, 257)],
    ['one beyond the next', pack(97, 259, 257)],
    ['no end', pack(97, 98)],
    ['nothing', new Uint8Array(0)],
  ])('malformed: %s', (_, bytes) => {
    expect(thrownCode(() => decompressLzw(bytes, 100))).toBe('WIRE_MALFORMED')
  })

  test('a full table stays as it is until it is emptied', () => {
    const packer = new Packer()
    for (let i = 0; i < 5000; i++) packer.add(i % 3 === 0 ? packer.highest : (i * 7) % 256)
    packer.add(packer.highest, 300, 256, 65, 258, 257)
    expect(decompressLzw(packer.bytes, 10_000_000)).toEqual(Uint8Array.from(packer.text))
    const beyond = new Packer()
    for (let i = 0; i < 4500; i++) beyond.add(i % 256)
    expect(beyond.highest).toBe(4095)
  })

  test('every cut is malformed', () => {
    const bytes = compressLzw(recipeBytes(9, 5, 3000))
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length)
      expect(thrownDetail(() => decompressLzw(cut, 3000))).toEqual({ length })
    }
  })

  test('a cut is malformed also where only zeros are missing', () => {
    for (let literals = 250; literals < 800; literals += 5) {
      const codes = Array.from({ length: literals }, (_, i) => i % 256)
      const bytes = pack(...codes, 257)
      expect(thrownCode(() => decompressLzw(bytes.subarray(0, -1), 1000))).toBe('WIRE_MALFORMED')
    }
  })
})

describe('the limit', () => {
  test('is the most that comes out', () => {
    const bomb = compressLzw(new Uint8Array(1_000_000))
    expect(decompressLzw(bomb, 1_000_000).length).toBe(1_000_000)
    for (const max of [0, 1, 999_999]) {
      expect(thrownDetail(() => decompressLzw(bomb, max))).toHaveProperty('limit')
    }
  })
})

describe('the vectors of Go', () => {
  test.each(vectorFile.lzw)('%j', (vector) => {
    if ('input' in vector) {
      expect(toHex(compressLzw(fromHex(vector.input)))).toBe(vector.output)
      expect(toHex(decompressLzw(fromHex(vector.output), 1000))).toBe(vector.input)
      return
    }
    const input = recipeBytes(vector.seed, vector.alphabet, vector.length)
    const output = compressLzw(input)
    expect(output.length).toBe(vector.outputLength)
    expect(createHash('sha256').update(output).digest('hex')).toBe(vector.outputSha256)
    expect(Buffer.compare(decompressLzw(output, vector.length), input)).toBe(0)
  })
})

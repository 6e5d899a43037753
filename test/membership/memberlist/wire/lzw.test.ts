import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compressLzw, decompressLzw } from '../../../../src/membership/memberlist/wire/lzw.ts'
import { fromHex, toHex, vectorFile } from './recordings.ts'
import { recipeBytes, thrownCode, thrownDetail, utf8 } from './values.ts'

/** Packs 9-bit codes, least significant bit first. */
function pack(...codes: readonly number[]): Uint8Array {
  let bits = 0n
  for (const [index, code] of codes.entries()) bits |= BigInt(code) << BigInt(9 * index)
  const bytes = new Uint8Array(Math.ceil((9 * codes.length) / 8))
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number((bits >> BigInt(8 * i)) & 0xffn)
  return bytes
}

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

test('decompressing gives back what was compressed', () => {
  const input = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc.array(fc.nat({ max: 3 }), { maxLength: 3000 }).map((list) => Uint8Array.from(list)),
  )
  fc.assert(
    fc.property(input, (bytes) => {
      const compressed = compressLzw(bytes)
      expect(decompressLzw(compressed, bytes.length)).toEqual(bytes)
      expect(decompressLzw(Uint8Array.of(...compressed, 1, 2, 3), bytes.length)).toEqual(bytes)
    }),
  )
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

  test('every cut is malformed', () => {
    const bytes = compressLzw(recipeBytes(9, 5, 3000))
    for (let length = 0; length < bytes.length - 1; length++) {
      expect(thrownCode(() => decompressLzw(bytes.subarray(0, length), 3000))).toBe('WIRE_MALFORMED')
    }
  })
})

describe('the limit', () => {
  test('is the most that comes out', () => {
    const bomb = compressLzw(new Uint8Array(5_000_000))
    expect(decompressLzw(bomb, 5_000_000).length).toBe(5_000_000)
    for (const max of [0, 1, 4_999_999]) {
      expect(thrownDetail(() => decompressLzw(bomb, max))).toHaveProperty('limit')
    }
  })
})

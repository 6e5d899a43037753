import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeCompound, encodeCompound } from '../../../../src/membership/memberlist/wire/compound.ts'
import {
  encrypt,
  ENCRYPTION_OVERHEAD_BYTES,
  encryptedLength,
  tryDecrypt,
} from '../../../../src/membership/memberlist/wire/encryption.ts'
import {
  encodeLabelHeader,
  labelBytes,
  tryDecodeLabelHeader,
} from '../../../../src/membership/memberlist/wire/label.ts'
import { decodeTextLossily, tryDecodeText } from '../../../../src/membership/memberlist/wire/text.ts'
import { fromHex } from './recordings.ts'
import { thrownCode, thrownDetail, utf8 } from './values.ts'

const none = new Uint8Array(0)

describe('compound', () => {
  test('gives back its parts', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 255 }), (parts) => {
        expect(decodeCompound(encodeCompound(parts))).toEqual({ parts, missing: 0 })
      }),
    )
  })

  test('keeps the parts before a cut, and counts the others', () => {
    const bytes = encodeCompound([utf8('abc'), utf8('de'), utf8('f')])
    expect(decodeCompound(bytes.subarray(0, bytes.length - 2))).toEqual({ parts: [utf8('abc')], missing: 2 })
  })

  test('is malformed without its lengths', () => {
    for (const bytes of [[7], [7, 1], [7, 1, 0], [7, 255, 0, 1]]) {
      expect(thrownCode(() => decodeCompound(Uint8Array.from(bytes)))).toBe('WIRE_MALFORMED')
    }
  })

  test('takes 255 parts of 65,535 bytes, and refuses one more of either', () => {
    expect(decodeCompound(encodeCompound([new Uint8Array(65_535)])).parts).toHaveLength(1)
    expect(decodeCompound(encodeCompound(Array.from({ length: 255 }, () => none))).parts).toHaveLength(255)
    expect(thrownCode(() => encodeCompound(Array.from({ length: 256 }, () => none)))).toBe('INTERNAL')
    expect(thrownCode(() => encodeCompound([new Uint8Array(65_536)]))).toBe('INTERNAL')
  })
})

describe('label', () => {
  test('the header gives back the label', () => {
    for (const length of [1, 2, 255]) {
      const label = new Uint8Array(randomBytes(length))
      const bytes = Uint8Array.of(...encodeLabelHeader(label), 1, 2)
      for (const available of [bytes.length, 2 + length]) {
        expect(tryDecodeLabelHeader(bytes, available)).toEqual({ label, headerBytes: 2 + length })
      }
      for (let cut = 0; cut < 2 + length; cut++) expect(tryDecodeLabelHeader(bytes, cut)).toBeUndefined()
    }
  })

  test('none has no header', () => {
    expect(encodeLabelHeader(none)).toEqual(none)
    expect(tryDecodeLabelHeader(utf8('x'), 1)).toEqual({ label: none, headerBytes: 0 })
  })

  test('an empty one in a header is malformed', () => {
    expect(thrownCode(() => tryDecodeLabelHeader(Uint8Array.of(244, 0), 2))).toBe('WIRE_MALFORMED')
  })

  test('has 255 bytes at most, of UTF-8', () => {
    expect(labelBytes('é'.repeat(127)).length).toBe(254)
    expect(thrownCode(() => labelBytes('é'.repeat(128)))).toBe('INTERNAL')
  })
})

describe('encryption', () => {
  const keys = [16, 24, 32].map((length) => new Uint8Array(length).fill(length))
  const aad = utf8('label')
  const nextNonce = () => new Uint8Array(12).fill(7)

  test.each([0, 1] as const)(
    'version %i gives back what was encrypted, in the length foretold',
    (version) => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 70 }), fc.constantFrom(...keys), (plain, key) => {
          const bytes = encrypt(plain, { key, version, nextNonce }, aad)
          expect(bytes.length).toBe(encryptedLength(plain.length, version))
          expect(tryDecrypt(bytes, keys, aad)).toEqual(plain)
          expect(
            tryDecrypt(
              bytes,
              keys.filter((other) => other !== key),
              aad,
            ),
          ).toBeUndefined()
          expect(tryDecrypt(bytes, keys, none)).toBeUndefined()
        }),
      )
    },
  )

  test('every changed bit is noticed', () => {
    const bytes = encrypt(utf8('twenty bytes of text'), { key: keys[0]!, version: 1, nextNonce }, aad)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice()
      changed[bit >> 3]! ^= 1 << (bit & 7)
      // Version 0 and 1 differ in padding alone, so a changed version leaves bytes that are padded wrongly.
      if (bit === 0) expect(thrownCode(() => tryDecrypt(changed, keys, aad))).toBe('WIRE_MALFORMED')
      else expect(tryDecrypt(changed, keys, aad)).toBeUndefined()
    }
  })

  test('every cut is noticed', () => {
    const bytes = encrypt(utf8('message'), { key: keys[2]!, version: 0, nextNonce }, aad)
    for (let length = 0; length < bytes.length; length++) {
      expect(tryDecrypt(bytes.subarray(0, length), keys, aad)).toBeUndefined()
    }
  })

  test('padding that is not as it must be is malformed, though a key fits', () => {
    for (const plain of [
      '00'.repeat(16),
      '11'.repeat(16),
      'ff'.repeat(16),
      '00'.repeat(14) + '0302',
      '00'.repeat(15) + '02',
      '00'.repeat(15) + '11'.repeat(17),
    ]) {
      const bytes = encrypt(fromHex(plain), { key: keys[0]!, version: 1, nextNonce }, aad)
      bytes[0] = 0
      expect(thrownCode(() => tryDecrypt(bytes, keys, aad))).toBe('WIRE_MALFORMED')
      expect(thrownDetail(() => tryDecrypt(bytes, keys, aad))).toEqual({ length: plain.length / 2 })
    }
  })

  test.each([0, 1] as const)('version %i adds as much as it says at most', (version) => {
    const added = Array.from({ length: 40 }, (_, length) => encryptedLength(length, version) - length)
    expect(Math.max(...added)).toBe(ENCRYPTION_OVERHEAD_BYTES[version])
  })

  test('a key of a wrong length cannot encrypt, and fits nothing', () => {
    for (const length of [0, 15, 17, 31, 33]) {
      const key = new Uint8Array(length)
      expect(thrownCode(() => encrypt(none, { key, version: 1, nextNonce }, aad))).toBe('INTERNAL')
      expect(tryDecrypt(new Uint8Array(100), [key], aad)).toBeUndefined()
    }
  })

  test('a nonce of a wrong length is refused', () => {
    const encryption = { key: keys[0]!, version: 1 as const, nextNonce: () => new Uint8Array(11) }
    expect(thrownCode(() => encrypt(none, encryption, aad))).toBe('INTERNAL')
  })
})

describe('text', () => {
  test.each(['', 'abc', '\ufeffa', '\u0080', 'é\ufeff', 'a𝄞'])('%j is read from its bytes', (text) => {
    expect(tryDecodeText(utf8(text))).toBe(text)
    expect(decodeTextLossily(utf8(text))).toBe(text)
    expect(tryDecodeText(utf8(`é${text}é`), 2, 2 + utf8(text).length)).toBe(text)
  })

  test.each([
    ['a byte that goes on with nothing', '6180'],
    ['an overlong form', 'c080'],
    ['a surrogate', 'eda080'],
    ['what is beyond U+10FFFF', 'f4908080'],
    ['a letter that is cut off', '61e282'],
  ])('%s is no text', (_, hex) => {
    expect(tryDecodeText(fromHex(hex))).toBeUndefined()
    expect(decodeTextLossily(fromHex(hex))).toContain('\ufffd')
  })
})

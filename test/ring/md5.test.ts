import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashKey } from '../../src/ring/key-hash.ts'
import { md5, md5InSteps, md5Points, md5Word } from '../../src/ring/md5.ts'
import { PIECES_PER_STEP } from '../../src/ring/steps.ts'
import { anyText } from '../support/any-text.ts'

const expected = (data: string | Uint8Array) => createHash('md5').update(data).digest()

/** All that this module and `key-hash.ts` say of `data`, beside what `node:crypto` says. */
function check(data: string | Uint8Array): void {
  const digest = expected(data)
  const word = digest.readInt32LE(0)
  // Not three times `expect`, which takes longer than all that is checked.
  if (digest.equals(md5(data)) && md5Word(data) === word && hashKey(data) === word) return
  expect([Buffer.from(md5(data)), md5Word(data), hashKey(data)], JSON.stringify(data)).toEqual([
    digest,
    word,
    word,
  ])
}

describe('md5', () => {
  test.each([
    ['', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['a', '0cc175b9c0f1b6a831c399e269772661'],
    ['abc', '900150983cd24fb0d6963f7d28e17f72'],
    ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
    ['abcdefghijklmnopqrstuvwxyz', 'c3fcd3d76192e4007dfb496cca67e13b'],
    ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', 'd174ab98d277d9f5a5611c2c9f419d9f'],
    ['1234567890'.repeat(8), '57edf4a22be3c955ac49da2e2107b67a'],
  ])('RFC 1321, test suite: %j', (text, digest) => {
    expect(Buffer.from(md5(text)).toString('hex')).toBe(digest)
  })

  test('text and bytes of every length from 0 to 300', () => {
    for (let length = 0; length <= 300; length++) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 151 + length * 7) & 0xff)
      check(bytes)
      check(Array.from(bytes, (byte) => String.fromCharCode(byte & 0x7f)).join(''))
      check('x'.repeat(length))
    }
  })

  test('one character that is not ASCII, at any place of any one-block key', () => {
    for (let length = 1; length <= 60; length++) {
      for (let at = 0; at < length; at++) {
        for (const character of ['\x7f', '\x80', 'ÿ', 'ā', '節', '😀']) {
          check('k'.repeat(at) + character + 'k'.repeat(length - at - 1))
        }
      }
    }
  })

  test('messages of many blocks, and texts larger than the text buffer', () => {
    for (const length of [1364, 1365, 1366, 4095, 4096, 4097, 10_240, 65_536, 1_000_003]) {
      check('x'.repeat(length))
      check('é'.repeat(length))
      check(new Uint8Array(length).fill(0xa5))
    }
  })

  test('in steps, with other digests between them', () => {
    for (const length of [0, 55, 56, 63, 64, 65, 64 * PIECES_PER_STEP - 1, 64 * PIECES_PER_STEP, 40_000]) {
      const text = 'x'.repeat(length)
      const steps = md5InSteps(text)
      let pauses = 0
      for (let step = steps.next(); ; step = steps.next()) {
        check('between')
        if (step.done === true) {
          expect(Buffer.from(step.value)).toEqual(expected(text))
          break
        }
        pauses++
      }
      expect(pauses, `${length}`).toBe(Math.floor(length / 64 / PIECES_PER_STEP))
    }
  })

  test('a lone surrogate is hashed as U+FFFD, as TextEncoder encodes it', () => {
    for (const text of [
      '\ud800',
      'a\udc00b',
      '\udfff\ud800',
      'x'.repeat(60) + '\ud83d',
      '\ud83d'.repeat(2000),
    ]) {
      const bytes = new TextEncoder().encode(text)
      expect(Buffer.from(md5(text))).toEqual(expected(bytes))
      expect(hashKey(text)).toBe(hashKey(bytes))
      expect(hashKey(text)).toBe(hashKey(text.toWellFormed()))
    }
  })

  test('strings that V8 keeps in other shapes: joined, cut, two-byte', () => {
    const parts = ['user:', '0123456789', 'abcdefghijkl']
    let joined = ''
    for (const part of parts) joined += part
    check(joined)
    check(`--${'x'.repeat(40)}${joined}--`.slice(2, 40))
    check(`節${joined}`.slice(1))
  })

  test('bytes that lie inside a larger buffer', () => {
    const buffer = Uint8Array.from({ length: 512 }, (_, i) => i & 0xff)
    for (const [from, to] of [
      [1, 23],
      [3, 131],
      [255, 512],
      [7, 7],
    ] as const) {
      check(buffer.subarray(from, to))
    }
  })

  test('random bytes and random text', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 150 }), check))
    fc.assert(fc.property(anyText(100), check))
  })

  test('a digest gives its first three words as points', () => {
    const bytes = new TextEncoder().encode('10.0.0.1:8000-17, and bytes behind the message')
    const length = '10.0.0.1:8000-17'.length
    const points = new Uint32Array(5)
    md5Points(bytes, length, points, 1)
    const digest = expected(bytes.subarray(0, length))
    expect([...points]).toEqual([
      0,
      digest.readUInt32LE(0),
      digest.readUInt32LE(4),
      digest.readUInt32LE(8),
      0,
    ])
  })
})

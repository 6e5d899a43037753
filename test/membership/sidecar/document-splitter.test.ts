import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DocumentSplitter } from '../../../src/membership/sidecar/document-splitter.ts'
import { anyText } from '../../support/any-text.ts'
import { codeOf } from '../../support/error-code.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (documents: readonly Uint8Array[]) =>
  documents.map((document) => Buffer.from(document).toString('utf8'))

describe('DocumentSplitter', () => {
  test('cuts objects that follow each other with and without space', () => {
    const splitter = new DocumentSplitter(100)
    expect(text(splitter.push(bytes('{"a":1}{"b":[{}]}\n {"c":"}{\\""} ')))).toEqual([
      '{"a":1}',
      '{"b":[{}]}',
      String.raw`{"c":"}{\""}`,
    ])
    expect(splitter.heldBytes).toBe(0)
  })

  test('gives the same objects, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(anyText(), fc.jsonValue()), { maxLength: 5 }),
        fc.constantFrom('', ' ', '\n'),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        (values, separator, sizes) => {
          const wanted = values.map((value) => JSON.stringify(value))
          const all = bytes(wanted.join(separator))
          const splitter = new DocumentSplitter(1_000_000)
          const got: string[] = []
          for (let at = 0, n = 0; at < all.length; n++) {
            const size = sizes[n % sizes.length] ?? 1
            // One buffer used again and again, as a socket may.
            const chunk = all.slice(at, at + size)
            got.push(...text(splitter.push(chunk)))
            chunk.fill(0)
            at += size
          }
          expect(got).toEqual(wanted)
        },
      ),
    )
  })

  test.each(['x', '[]', '{}null', '"a"', '}', '\ufeff{}'])('refuses %j', (stream) => {
    expect(codeOf(() => new DocumentSplitter(100).push(bytes(stream)))).toBe('BODY_INVALID')
  })

  test('refuses an object above the limit, whole or in parts, and takes one at it', () => {
    const fits = `{"a":"${'x'.repeat(92)}"}`
    expect(text(new DocumentSplitter(100).push(bytes(fits)))).toEqual([fits])
    expect(codeOf(() => new DocumentSplitter(99).push(bytes(fits)))).toBe('BODY_TOO_LARGE')
    const splitter = new DocumentSplitter(100)
    expect(
      codeOf(() => {
        for (let n = 0; n < 101; n++) splitter.push(bytes('{'))
      }),
    ).toBe('BODY_TOO_LARGE')
    expect(splitter.heldBytes).toBeLessThanOrEqual(100)
  })

  test('many objects in one chunk are no larger than each of them', () => {
    expect(new DocumentSplitter(10).push(bytes('{"a":1}'.repeat(1000)))).toHaveLength(1000)
  })
})

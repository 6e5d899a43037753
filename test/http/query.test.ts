import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  firstValue,
  parseParameters,
  splitTarget,
  tryDecodePath,
  tryDecodeText,
} from '../../src/http/query.ts'
import { anyText } from '../support/any-text.ts'

describe('splitTarget', () => {
  test.each([
    ['/a/b', '/a/b', ''],
    ['/a?', '/a', ''],
    ['/a?b=c?d', '/a', 'b=c?d'],
    ['http://h:80/a?b', '/a', 'b'],
    ['HTTP://h/a', '/a', ''],
    ['http://h?b', '', 'b'],
    ['*', '*', ''],
    ['', '', ''],
    ['//h/a', '//h/a', ''],
  ])('%j', (target, path, query) => {
    expect(splitTarget(target)).toEqual({ path, query })
  })
})

describe('tryDecodePath', () => {
  test.each([
    ['/a%2Fb', '/a/b'],
    ['/a+b', '/a+b'],
    ['/a%zz', undefined],
    ['/a%4', undefined],
    ['/%ff', '/\u00ff'],
  ])('%j', (path, decoded) => {
    expect(tryDecodePath(path)).toBe(decoded)
  })
})

describe('firstValue reads as Go does', () => {
  test.each([
    ['key=a&key=b', 'a'],
    ['a=%zz&key=b', 'b'],
    ['key=%zz&key=b', 'b'],
    ['key=%zz', undefined],
    ['key=%', undefined],
    ['key=%4', undefined],
    ['key=a;b', undefined],
    ['key=a;b&key=c', 'c'],
    ['a;key=x&key=y', 'y'],
    ['key', ''],
    ['key=', ''],
    ['&&key=a', 'a'],
    ['%6bey=a', 'a'],
    ['k+y=a', undefined],
    ['Key=a', undefined],
    ['key=a+b%2B', 'a b+'],
    ['key=a=b', 'a=b'],
    ['=a&key=b', 'b'],
    ['', undefined],
    ['key=\u00c3\u00a9', '\u00c3\u00a9'],
    ['key=%C3%a9', '\u00c3\u00a9'],
    ['key=+', ' '],
  ])('%j', (query, value) => {
    expect(firstValue(query, 'key')).toBe(value)
  })

  test('any bytes, escaped, come back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (bytes, all) => {
        const text = Buffer.from(bytes).toString('latin1')
        const escaped = Array.from(text, (byte) =>
          all || !/[A-Za-z0-9]/.test(byte) ? `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}` : byte,
        ).join('')
        expect(firstValue(`a=b&key=${escaped}&key=c`, 'key')).toBe(text)
      }),
    )
  })
})

describe('strict parameters', () => {
  test.each([
    ['caf%C3%A9', 'café'],
    ['caf\u00c3\u00a9', 'café'],
    ['a+b%2B', 'a b+'],
    ['%E9', undefined],
    ['%ED%A0%80', undefined],
    ['%C0%80', undefined],
    ['%zz', undefined],
    ['%', undefined],
    ['a;b', 'a;b'],
    ['%F0%9F%98%80', '😀'],
  ])('%j', (escaped, text) => {
    expect(tryDecodeText(escaped)).toBe(text)
  })

  test('come in order, with empty pairs left out and bad values undefined', () => {
    expect(parseParameters('b=1&&a&b=%zz&%63=x=y')).toEqual([
      { name: 'b', value: '1' },
      { name: 'a', value: '' },
      { name: 'b', value: undefined },
      { name: 'c', value: 'x=y' },
    ])
    expect(parseParameters('')).toEqual([])
  })

  test('what URLSearchParams writes is read back', () => {
    fc.assert(
      fc.property(anyText(), (text) => {
        const query = new URLSearchParams({ key: text }).toString()
        expect(parseParameters(query)).toEqual([{ name: 'key', value: text }])
        expect(firstValue(query, 'key')).toBe(Buffer.from(text, 'utf8').toString('latin1'))
      }),
    )
  })
})

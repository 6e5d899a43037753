import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { goJsonString, toByteText } from '../../src/http/go-json.ts'

describe('goJsonString', () => {
  test.each([
    ['', '""'],
    ['plain', '"plain"'],
    ['<b>&"\\', String.raw`"\u003cb\u003e\u0026\"\\"`],
    ['\n\r\t\b\f\0\x1f\x7f', `"${String.raw`\n\r\t\u0008\u000c\u0000\u001f`}\x7f"`],
    ['caf\xc3\xa9', '"caf\xc3\xa9"'],
    ['\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa', `"${String.raw`\u2028\u2029`}\xe2\x80\xaa"`],
    ['\xff', String.raw`"\ufffd"`],
    ['\xe6\x97', String.raw`"\ufffd\ufffd"`],
    ['\xe6\x97x', String.raw`"\ufffd\ufffdx"`],
    ['\xed\xa0\x80', String.raw`"\ufffd\ufffd\ufffd"`],
    ['\xc0\x80', String.raw`"\ufffd\ufffd"`],
    ['\xe0\x9f\xbf', String.raw`"\ufffd\ufffd\ufffd"`],
    ['\xf0\x9f\x98\x80', '"\xf0\x9f\x98\x80"'],
    ['\xf0\x8f\xbf\xbf', String.raw`"\ufffd\ufffd\ufffd\ufffd"`],
    ['\xf4\x90\x80\x80', String.raw`"\ufffd\ufffd\ufffd\ufffd"`],
    ['\xef\xbf\xbd', '"\xef\xbf\xbd"'],
  ])('%j', (bytes, json) => {
    expect(goJsonString(bytes)).toBe(json)
  })

  test('is JSON that says what the bytes say, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const json = Buffer.from(goJsonString(Buffer.from(bytes).toString('latin1')), 'latin1').toString(
          'utf8',
        )
        const value = JSON.parse(json) as string
        // The decoder takes a cut sequence for one mistake, Go each of its bytes.
        const decoded = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
        expect(value.replaceAll(/\ufffd+/g, '\ufffd')).toBe(decoded.replaceAll(/\ufffd+/g, '\ufffd'))
      }),
    )
  })

  test('toByteText gives the UTF-8 bytes', () => {
    expect(toByteText('aé')).toBe('a\xc3\xa9')
    expect(toByteText('ascii\x7f')).toBe('ascii\x7f')
  })
})

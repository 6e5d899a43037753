import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { apiErrorKindOf } from '../../src/kubernetes/api-error.ts'
import { LineSplitter } from '../../src/kubernetes/line-splitter.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const texts = (lines: readonly Uint8Array[]) => lines.map((line) => new TextDecoder().decode(line))

test('lines come out whole, wherever the chunks end, also within a character', () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll('\n', ''))
  fc.assert(
    fc.property(fc.array(line), line, fc.array(fc.nat(60)), (lines, rest, cuts) => {
      const all = bytes([...lines, rest].join('\n'))
      const splitter = new LineSplitter(1000)
      const found: string[] = []
      let at = 0
      for (const size of [...cuts, all.length]) {
        found.push(...texts(splitter.push(all.subarray(at, at + size))))
        at += size
      }
      expect(found).toEqual(lines.filter((text) => text !== ''))
      expect(splitter.heldBytes).toBe(bytes(rest).length)
    }),
  )
})

test('a line beyond the limit is refused, in one piece or in many', () => {
  const refuse = (run: () => unknown) => {
    let kind
    try {
      run()
    } catch (error) {
      kind = apiErrorKindOf(error)
    }
    expect(kind).toBe('too-large')
  }
  expect(texts(new LineSplitter(5).push(bytes('12345\n12345\n')))).toEqual(['12345', '12345'])
  refuse(() => new LineSplitter(5).push(bytes('123456\n')))
  const splitter = new LineSplitter(5)
  splitter.push(bytes('a\n123'))
  refuse(() => splitter.push(bytes('456')))
})

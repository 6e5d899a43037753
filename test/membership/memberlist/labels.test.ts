import { describe, expect, test } from 'vitest'
import { describeLabels, MAX_LABELS, parseLabels } from '../../../src/membership/memberlist/labels.ts'

describe('a label file', () => {
  test.each([
    ['["prod/new", "prod/old"]', ['prod/new', 'prod/old']],
    ['\n["prod/new", ""]\n', ['prod/new', '']],
    ['[""]', ['']],
    ['["a", "b", "a"]', ['a', 'b']],
    [JSON.stringify(['ü'.repeat(127)]), ['ü'.repeat(127)]],
  ])('%j', (text, labels) => {
    expect(parseLabels(text)).toEqual(labels)
  })

  test.each([
    ['', /must be a JSON array/],
    ['prod/new', /must be a JSON array/],
    ['"prod/new"', /must be a JSON array/],
    ['[]', /holds no label/],
    ['["a", 1]', /entry 2 is no label/],
    ['["two words"]', /entry 1 is no label/],
    ['["bell\\u0007"]', /entry 1 is no label/],
    [JSON.stringify(['ü'.repeat(128)]), /entry 1 is no label/],
    [JSON.stringify(Array.from({ length: MAX_LABELS + 1 }, (_, i) => `label-${i}`)), /holds 5 labels/],
  ])('refuses %j', (text, message) => {
    expect(() => parseLabels(text)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) as string }),
    )
  })

  test('is described in words', () => {
    expect(describeLabels(['a'])).toBe('It sends the label "a" and accepts no other')
    expect(describeLabels(['', 'a'], true)).toBe('It would send no label and accept the label "a" as well')
    expect(describeLabels(['a', ''])).toBe('It sends the label "a" and accepts no label as well')
  })
})

import { describe, expect, test } from 'vitest'
import { jsonExcess } from '../src/json-size.ts'

describe.each<[string, (json: string) => string | Uint8Array]>([
  ['text', (json) => json],
  ['bytes', (json) => Buffer.from(json)],
])('JSON as %s', (_, make) => {
  test.each<[string, string, RegExp | undefined]>([
    ['as many values as are allowed', '[1,2,{"a":[]}]', undefined],
    ['one more', '[1,2,{"a":[]},4]', /too many values/],
    ['as deep as is allowed', '[[[]]]', undefined],
    ['one deeper', '[[[[', /too deep/],
    ['brackets and commas within strings', String.raw`["[{,,,,,,[[[[\"[[[[\\","é,"]`, undefined],
    ['a string that ends in a backslash before brackets', String.raw`["\\",[[[1]]]]`, /too deep/],
    ['a string without an end', '["[[[[,,,,,,', undefined],
    ['a string that ends in a backslash, without an end', '["[[[[,,,,,,\\', undefined],
    ['nothing', '', undefined],
  ])('%s', (_what, json, wanted) => {
    const excess = jsonExcess(make(json), { maxValues: 5, maxDepth: 3 })
    if (wanted === undefined) expect(excess).toBeUndefined()
    else expect(excess).toMatch(wanted)
  })
})

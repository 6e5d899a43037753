import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPort } from '../../src/is-within.ts'
import {
  decodeMetadata,
  DEFAULT_VERSIONS,
  encodeMetadata,
  type HandoverState,
  isPlainText,
  isWeight,
  type ListedMetadata,
  type ListedPlace,
  listedMember,
  isWord,
  METADATA_LIMIT_BYTES,
} from '../../src/membership/member.ts'

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (json: string) => new TextEncoder().encode(json)

describe('encodeMetadata', () => {
  test('gives the JSON that Go ringman reads, further fields after its own', () => {
    expect(text(encodeMetadata({ servicePort: '8000' }))).toBe('{"ServicePort":"8000"}')
    expect(text(encodeMetadata({ name: 'n', zone: 'z', weight: 2, servicePort: '1' }))).toBe(
      '{"ServicePort":"1","Weight":2,"Zone":"z","Name":"n"}',
    )
    const moving = (handover: HandoverState) => text(encodeMetadata({ servicePort: '1', handover }))
    expect(moving({ phase: 'pending', number: 12 })).toBe('{"ServicePort":"1","Handover":"p12"}')
    expect(moving({ phase: 'weighing', number: 7 })).toBe('{"ServicePort":"1","Handover":"w7:1"}')
  })

  test('refuses more than 512 bytes, counted in UTF-8', () => {
    const room = METADATA_LIMIT_BYTES - text(encodeMetadata({ servicePort: '1', zone: '' })).length
    expect(encodeMetadata({ servicePort: '1', zone: 'z'.repeat(room) })).toHaveLength(METADATA_LIMIT_BYTES)
    for (const zone of ['z'.repeat(room + 1), 'é'.repeat((room + 1) / 2)]) {
      expect(() => encodeMetadata({ servicePort: '1', zone })).toThrow(
        expect.objectContaining({ code: 'METADATA_TOO_LARGE', detail: { bytes: 513, limit: 512 } }),
      )
    }
  })
})

test('a listed place makes a member that says what the directory says', () => {
  const place = { name: 'a', address: '10.0.0.1', port: 8000 }
  expect(listedMember(place, 5)).toStrictEqual({
    name: 'a',
    address: '10.0.0.1',
    port: 0,
    state: 'alive',
    stateSinceMs: 5,
    meta: bytes('{"ServicePort":"8000"}'),
    metadata: { servicePort: '8000' },
    versions: DEFAULT_VERSIONS,
  })
  const other = listedMember({ ...place, weight: 3, zone: 'z', state: 'left' }, 6)
  expect(other).toMatchObject({ state: 'left', metadata: { servicePort: '8000', weight: 3, zone: 'z' } })
  expect(decodeMetadata(other.meta)).toEqual(other.metadata)
})

test('listed places of one port, weight and zone share what they say', () => {
  const known: ListedMetadata = new Map()
  const says = (place: Partial<ListedPlace>) =>
    listedMember({ name: 'a', address: '10.0.0.1', port: 8000, ...place }, 5, known).metadata
  expect(says({ name: 'b' })).toBe(says({}))
  expect(says({ port: 8001 })).toEqual({ servicePort: '8001' })
  expect(says({ weight: 3 })).toEqual({ servicePort: '8000', weight: 3 })
  expect(says({ zone: 'z' })).toEqual({ servicePort: '8000', zone: 'z' })
  expect(says({})).toEqual({ servicePort: '8000' })
})

test('the fields of all members leave 300 bytes for the zone', () => {
  const longest = {
    servicePort: '65535',
    weight: 1000,
    witness: true,
    httpPort: 65_535,
    level: 99,
    adminPort: 65_535,
    drained: true,
    handover: { phase: 'weighing', number: 2 ** 32 - 1, weight: 1000 },
    version: `1${'0'.repeat(31)}`,
    zone: 'z'.repeat(300),
  } as const
  expect(decodeMetadata(encodeMetadata(longest))).toStrictEqual(longest)
})

describe('decodeMetadata', () => {
  test.each([
    ['{"ServicePort":"8000"}', { servicePort: '8000' }],
    [' {"More":[1],"ServicePort":"8000","Zone":"z"} ', { servicePort: '8000', zone: 'z' }],
    ['{"ServicePort":"1","Weight":0,"Zone":5,"Name":""}', { servicePort: '1' }],
    ['{"ServicePort":"1","Weight":1001}', { servicePort: '1' }],
    ['{"ServicePort":"1","Weight":1000,"Name":"n"}', { servicePort: '1', weight: 1000, name: 'n' }],
    ['{"ServicePort":"1","Zone":"\\u001b[2J","Name":"a\\u202eb"}', { servicePort: '1' }],
    ['{"ServicePort":"1","Zone":"","Name":5}', { servicePort: '1' }],
    ['{"ServicePort":"1","Witness":true,"HttpPort":1}', { servicePort: '1', witness: true, httpPort: 1 }],
    ['{"ServicePort":"1","Witness":1,"HttpPort":65535}', { servicePort: '1', httpPort: 65_535 }],
    ['{"ServicePort":"1","Witness":false,"HttpPort":0}', { servicePort: '1' }],
    [
      '{"ServicePort":"1","Level":1,"AdminPort":8081,"Drained":true}',
      { servicePort: '1', level: 1, adminPort: 8081, drained: true },
    ],
    ['{"ServicePort":"1","Level":0,"AdminPort":0,"Drained":1}', { servicePort: '1' }],
    ['{"ServicePort":"1","Version":"1.2.3-rc.1+4"}', { servicePort: '1', version: '1.2.3-rc.1+4' }],
    ['{"ServicePort":"1","Version":"v1"}', { servicePort: '1' }],
    ['{"ServicePort":"1","Version":1}', { servicePort: '1' }],
    [`{"ServicePort":"1","Version":"1${'0'.repeat(32)}"}`, { servicePort: '1' }],
    ['{"ServicePort":"1","AdminPort":1}', { servicePort: '1', adminPort: 1 }],
    ['{"ServicePort":"1","AdminPort":65535}', { servicePort: '1', adminPort: 65_535 }],
    ['{"ServicePort":"1","AdminPort":65536}', { servicePort: '1' }],
    ['{"ServicePort":"1","HttpPort":65536}', { servicePort: '1' }],
    ['{"ServicePort":"1","HttpPort":"80"}', { servicePort: '1' }],
    ['{"ServicePort":"1","HttpPort":8.5}', { servicePort: '1' }],
    ['{"ServicePort":"1","Handover":"p1"}', { servicePort: '1', handover: { phase: 'pending', number: 1 } }],
    [
      '{"ServicePort":"1","Handover":"w4294967295:1000"}',
      { servicePort: '1', handover: { phase: 'weighing', number: 4_294_967_295, weight: 1000 } },
    ],
    [
      '{"ServicePort":"1","Handover":"r2"}',
      { servicePort: '1', handover: { phase: 'releasing', number: 2 } },
    ],
    ['{"ServicePort":"1","Handover":"o3"}', { servicePort: '1', handover: { phase: 'owning', number: 3 } }],
    ['{"ServicePort":"1","Level":255}', { servicePort: '1', level: 255 }],
    ['{"ServicePort":"1","Level":256}', { servicePort: '1' }],
    ['{"ServicePort":"1","Handover":"r4294967296"}', { servicePort: '1' }],
    ['{"ServicePort":"1","Handover":"w7:1001"}', { servicePort: '1' }],
    ['{"ServicePort":"1","Handover":"w7"}', { servicePort: '1' }],
    ['{"ServicePort":"1","Handover":"o7:5"}', { servicePort: '1' }],
    ['{"ServicePort":"1","Handover":"o0"}', { servicePort: '1' }],
    ['{"ServicePort":"1","Handover":"x7"}', { servicePort: '1' }],
    ['{"ServicePort":"1","Handover":7}', { servicePort: '1' }],
    ['{"ServicePort":"1","Handover":["p1"],"Version":["1.2"]}', { servicePort: '1' }],
    [`{"ServicePort":"1"}${' '.repeat(493)}`, { servicePort: '1' }],
    [`{"ServicePort":"1"}${' '.repeat(494)}`, undefined],
    ['{"ServicePort":8000}', undefined],
    ['{"ServicePort":""}', undefined],
    ['{"ServicePort":"0"}', undefined],
    ['{"ServicePort":"65536"}', undefined],
    ['{"ServicePort":"80 "}', undefined],
    ['{"serviceport":"80"}', undefined],
    ['{}', undefined],
    ['null', undefined],
    ['[]', undefined],
    ['"8000"', undefined],
    ['', undefined],
    ['{"ServicePort":"1"', undefined],
  ])('%s', (json, metadata) => {
    expect(decodeMetadata(bytes(json))).toStrictEqual(metadata)
  })

  test('never throws, whatever the bytes', () => {
    const latin1 = Buffer.from('{"ServicePort":"1","Zone":"\xe9"}', 'latin1')
    expect(decodeMetadata(latin1)).toBeUndefined()
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), fc.json().map(bytes)), (given) => {
        const metadata = decodeMetadata(given)
        if (metadata !== undefined) expect(isPort(metadata.servicePort)).toBe(true)
      }),
    )
  })

  test('gives back what was encoded', () => {
    const plainText = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }).filter(isPlainText)
    const metadata = fc.record(
      {
        servicePort: fc.integer({ min: 1, max: 65_535 }).map(String),
        weight: fc.integer({ min: 1, max: 1000 }),
        zone: plainText,
        name: plainText,
        witness: fc.constant(true),
        httpPort: fc.integer({ min: 1, max: 65_535 }),
      },
      { requiredKeys: ['servicePort'] },
    )
    fc.assert(
      fc.property(metadata, (given) => {
        let encoded
        try {
          encoded = encodeMetadata(given)
        } catch {
          // Graphemes can be long: too large is fine here.
          return
        }
        expect(decodeMetadata(encoded)).toEqual(given)
      }),
    )
  })
})

test('members speak as those of the Go ringman', () => {
  expect(DEFAULT_VERSIONS).toEqual({ pMin: 1, pMax: 5, pCur: 2, dMin: 0, dMax: 0, dCur: 0 })
})

test('weights and ports have their ranges', () => {
  expect([1, 1000].map(isWeight)).toEqual([true, true])
  expect([0, 1001, 1.5, '1', null, Number.NaN].map(isWeight)).toEqual(Array.from({ length: 6 }, () => false))
  expect(['1', '65535'].map(isPort)).toEqual([true, true])
  expect(['0', '65536', '01', '', '1e3', '-1'].map(isPort)).toEqual(Array.from({ length: 6 }, () => false))
})

test('text is plain without what changes how the text around it is shown', () => {
  for (const given of ['a', 'node 1', 'ünï-çødé', '名前', '🚀', 'עברית']) {
    expect(isPlainText(given), given).toBe(true)
  }
  for (const given of [
    '',
    '\x1b[2J',
    'a\nb',
    'a\x7f',
    '\x9b1m',
    'a\u202eb',
    '\u2066',
    '\u200b',
    '\ufeff',
    'a\u2028',
  ]) {
    expect(isPlainText(given), JSON.stringify(given)).toBe(false)
  }
})

test('a word is text of others that can be shown: not empty, within its length, without white space and controls', () => {
  const words = ['a', 'a/b:c', 'é王🦊']
  expect(words.filter((word) => isWord(word, 4))).toEqual(['a', 'é王🦊'])
  expect(words.filter((word) => isWord(word, 5))).toEqual(words)
  expect(['', 'a b', 'a\n', 'a\u200b', 'a\u202e', '\ud800'].filter((one) => isWord(one, 10))).toEqual([])
  expect([1, null, undefined, {}, ['a']].filter((value) => isWord(value, 10))).toEqual([])
})

import * as fc from 'fast-check'
import { isIPv4, isIPv6 } from 'node:net'
import { describe, expect, test } from 'vitest'
import {
  formatAddress,
  keyOf,
  sameEndpoint,
  tryParseAddress,
} from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import { sameBytes } from '../../../../src/membership/memberlist/wire/text.ts'

const isIPv4InIPv6 = (bytes: Uint8Array) =>
  bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255

describe('addresses', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['223.255.255.255', '223.255.255.255'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['fe80:0:0:0:0:0:0:0', 'fe80::'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:0:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['64:ff9b::10.1.2.3', '64:ff9b::a01:203'],
    ['1:2:3:4:5:6:10.1.2.3', '1:2:3:4:5:6:a01:203'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['100::ffff:10.1.2.3', '100::ffff:a01:203'],
    ['::1:ffff:10.1.2.3', '::1:ffff:a01:203'],
    ['::ff00:10.1.2.3', '::ff00:a01:203'],
    ['::ff:10.1.2.3', '::ff:a01:203'],
  ])('%s is written %s', (text, canonical) => {
    expect(formatAddress(tryParseAddress(text)!)).toBe(canonical)
  })

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '1.2.3.x',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7::8::9',
    '1:2:3:4::5:6:7:8',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6::7:8',
    '1.2.3.4:1:2:3:4:5:6',
    '1:2:3:4:5:6:7:1.2.3.4',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '12345::',
    'g::',
    'fe80::1%eth0',
    '1.2.3.4::',
    'name',
  ])('%j is no address', (text) => {
    expect(tryParseAddress(text)).toBeUndefined()
  })

  test.each([
    [[0, 0, 0, 0]],
    [[...new Uint8Array(16)]],
    [[1, 2, 3]],
    [[]],
    [[224, 0, 0, 1]],
    [[255, 255, 255, 255]],
    [[0xff, 2, ...new Uint8Array(13), 1]],
    [[...new Uint8Array(10), 0xff, 0xff, 239, 1, 2, 3]],
  ])('%j is nothing to reach', (bytes) => {
    expect(formatAddress(Uint8Array.from(bytes))).toBeUndefined()
  })

  test('any bytes come back from their text, which is an IP literal', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      // Many zeros, for the abbreviations.
      fc
        .array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
        .map((list) => Uint8Array.from(list)),
    )
    fc.assert(
      fc.property(bytes, (address) => {
        const text = formatAddress(address)
        if (text === undefined) {
          const isMapped = address.length === 16 && isIPv4InIPv6(address)
          const [first = 0, isV4] = isMapped ? [address[12], true] : [address[0], address.length === 4]
          const isGroup = isV4 ? first >= 224 : first === 255
          const own = isMapped ? address.subarray(12) : address
          expect(isGroup || own.every((byte) => byte === 0)).toBe(true)
          return
        }
        expect(isIPv4(text) || isIPv6(text)).toBe(true)
        const again = tryParseAddress(text)!
        expect(formatAddress(again)).toBe(text)
        if (again.length === address.length) expect([...again]).toEqual([...address])
      }),
    )
  })
})

test('a place is an address and a port', () => {
  const place = { address: '10.0.0.1', port: 7 }
  expect(sameEndpoint(place, { ...place })).toBe(true)
  expect(sameEndpoint(place, { ...place, port: 8 })).toBe(false)
  expect(sameEndpoint(place, { ...place, address: '10.0.0.2' })).toBe(false)
  expect(keyOf(place)).toBe('10.0.0.1 7')
})

test.each([
  [[], [], true],
  [[1, 2], [1, 2], true],
  [[1, 2], [1, 3], false],
  [[1, 2], [3, 2], false],
  [[1, 2], [1], false],
  [[1], [1, 2], false],
])('bytes %j and %j are the same: %s', (a, b, same) => {
  expect(sameBytes(Uint8Array.from(a), Uint8Array.from(b))).toBe(same)
})

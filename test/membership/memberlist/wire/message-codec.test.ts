import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ErrorDetail } from '../../../../src/errors.ts'
import { encodeMessage, tryDecodeMessage } from '../../../../src/membership/memberlist/wire/message-codec.ts'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'
import { anyMessage } from './arbitraries.ts'
import { fromHex, vectorFile } from './recordings.ts'
import { thrownCode, thrownDetail, utf8 } from './values.ts'

const alive: Extract<Message, { kind: 'alive' }> = {
  kind: 'alive',
  incarnation: 7,
  node: 'a',
  address: Uint8Array.of(127, 0, 0, 1),
  port: 7946,
  meta: new Uint8Array(0),
  vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
}

/** A message of one type with the given msgpack body, in hex. */
function message(type: number, ...body: readonly string[]): Uint8Array {
  return Uint8Array.of(type, ...fromHex(body.join('')))
}

/** A msgpack text of at most 31 bytes, in hex. */
function raw(text: string): string {
  const bytes = utf8(text)
  return Buffer.from([0xa0 | bytes.length, ...bytes]).toString('hex')
}

describe('decode after encode', () => {
  test('gives the same message', () => {
    fc.assert(
      fc.property(anyMessage, (given) => {
        expect(tryDecodeMessage(encodeMessage(given))).toEqual(given)
      }),
    )
  })

  test('ignores bytes behind the message, but for a user message, which has no end of its own', () => {
    fc.assert(
      fc.property(anyMessage, fc.uint8Array({ minLength: 1, maxLength: 20 }), (given, behind) => {
        fc.pre(given.kind !== 'user')
        expect(tryDecodeMessage(Uint8Array.of(...encodeMessage(given), ...behind))).toEqual(given)
      }),
    )
  })
})

test('an indirect ping without a port names port 0', () => {
  const body = ['82', raw('SeqNo'), '05', raw('Target'), 'a47f000001']
  expect(tryDecodeMessage(message(1, ...body))).toMatchObject({ kind: 'indirect-ping', port: 0, node: '' })
})

describe('any bytes', () => {
  test('give a message, nothing, or WIRE_MALFORMED', () => {
    fc.assert(
      fc.property(fc.nat({ max: 13 }), fc.uint8Array({ maxLength: 200 }), (type, body) => {
        const code = thrownCode(() => tryDecodeMessage(Uint8Array.of(type, ...body)))
        expect([undefined, 'WIRE_MALFORMED']).toContain(code)
      }),
      { numRuns: 2000 },
    )
  })

  test.each([6, 7, 9, 10, 12, 13, 14, 99, 244, 255])('type %i is no message', (type) => {
    expect(tryDecodeMessage(message(type, '80'))).toBeUndefined()
  })
})

describe('what peers may write differently', () => {
  test('an absent field and a nil are the zero of their type', () => {
    const expected = { ...alive, port: 0 }
    const fields = [
      raw('Incarnation'),
      '07',
      raw('Node'),
      raw('a'),
      raw('Addr'),
      'a47f000001',
      raw('Vsn'),
      'a6010502000000',
    ]
    expect(tryDecodeMessage(message(4, '84', ...fields))).toEqual(expected)
    expect(tryDecodeMessage(message(4, '86', ...fields, raw('Meta'), 'c0', raw('Port'), 'c0'))).toEqual(
      expected,
    )
    expect(tryDecodeMessage(message(4, '85', ...fields, raw('Meta'), 'a0'))).toEqual(expected)
  })

  test('an empty cluster name is told apart from an absent one', () => {
    expect(tryDecodeMessage(encodeMessage(alive))).not.toHaveProperty('clusterName')
    expect(tryDecodeMessage(encodeMessage({ ...alive, clusterName: '' }))).toHaveProperty('clusterName', '')
  })

  test.each([
    ['uint 8', 'cc05'],
    ['uint 16', 'cd0005'],
    ['uint 32', 'ce00000005'],
    ['uint 64', 'cf0000000000000005'],
    ['int 8', 'd005'],
    ['int 16', 'd10005'],
    ['int 32', 'd200000005'],
    ['int 64', 'd30000000000000005'],
  ])('an integer may be a %s', (_, hex) => {
    expect(tryDecodeMessage(message(11, '81', raw('SeqNo'), hex))).toEqual({ kind: 'nack', seqNo: 5 })
  })

  test.each([
    ['raw 16', 'da0003616263'],
    ['raw 32', 'db00000003616263'],
    ['str 8', 'd903616263'],
    ['bin 8', 'c403616263'],
    ['bin 16', 'c50003616263'],
    ['bin 32', 'c600000003616263'],
  ])('text and bytes may be a %s', (_, hex) => {
    const payload = utf8('abc')
    expect(tryDecodeMessage(message(2, '82', raw('Payload'), hex, raw('SeqNo'), '01'))).toEqual({
      kind: 'ack',
      seqNo: 1,
      payload,
    })
    expect(tryDecodeMessage(message(0, '82', raw('Node'), hex, raw('SeqNo'), '01'))).toEqual({
      kind: 'ping',
      seqNo: 1,
      node: 'abc',
    })
  })

  test('a map may be a map 16 or a map 32', () => {
    expect(tryDecodeMessage(message(11, 'de0001', raw('SeqNo'), '05'))).toEqual({ kind: 'nack', seqNo: 5 })
    expect(tryDecodeMessage(message(11, 'df00000001', raw('SeqNo'), '05'))).toEqual({
      kind: 'nack',
      seqNo: 5,
    })
  })

  test('unknown fields of every msgpack type are passed over', () => {
    const values = [
      'c0',
      'c2',
      'c3',
      '7f',
      'ff',
      'cc80',
      'cd8000',
      'ce80000000',
      'cf8000000000000000',
      'd080',
      'd18000',
      'd280000000',
      'd38000000000000000',
      'ca00000000',
      'cb0000000000000000',
      'a161',
      'd90161',
      'da000161',
      'db0000000161',
      'c40161',
      'c5000161',
      'c60000000161',
      'c7010261',
      'c800010261',
      'c9000000010261',
      'd40261',
      'd5026161',
      'd60261616161',
      'd7026161616161616161',
      'd80261616161616161616161616161616161',
      '9101',
      'dc000101',
      'dd0000000101',
      '810101',
      'de00010101',
      'df000000010101',
      '9181a1619181a16290',
    ]
    for (const value of values) {
      expect(tryDecodeMessage(message(11, '82', raw('New'), value, raw('SeqNo'), '05'))).toEqual({
        kind: 'nack',
        seqNo: 5,
      })
    }
  })

  test('of a repeated field the last counts', () => {
    expect(tryDecodeMessage(message(11, '82', raw('SeqNo'), '05', raw('SeqNo'), '06'))).toEqual({
      kind: 'nack',
      seqNo: 6,
    })
  })

  test('field names that objects have by themselves are unknown fields', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(tryDecodeMessage(message(11, '82', raw(name), '9101', raw('SeqNo'), '05'))).toEqual({
        kind: 'nack',
        seqNo: 5,
      })
    }
  })

  test('more than six versions are cut to six', () => {
    const bytes = message(
      4,
      '84',
      raw('Incarnation'),
      '07',
      raw('Node'),
      raw('a'),
      raw('Addr'),
      'a47f000001',
      raw('Vsn'),
      'a70105020000000a',
    )
    expect(tryDecodeMessage(bytes)).toHaveProperty('vsn', Uint8Array.of(1, 5, 2, 0, 0, 0))
  })

  test('a ping source without address or port is left out', () => {
    const ping = { kind: 'ping', seqNo: 5, node: '' }
    expect(tryDecodeMessage(message(0, '82', raw('SeqNo'), '05', raw('SourceNode'), raw('x')))).toEqual(ping)
    const withoutPort = ['82', raw('SeqNo'), '05', raw('SourceAddr'), 'a47f000001']
    expect(tryDecodeMessage(message(0, ...withoutPort))).toEqual(ping)
    expect(tryDecodeMessage(message(0, '83', ...withoutPort.slice(1), raw('SourcePort'), '00'))).toEqual(ping)
  })

  test('integers as both generations of Go codecs write them are read alike', () => {
    for (const { value, 'v0.5.5': older, v2: newer } of vectorFile.integers) {
      const expected = { kind: 'nack', seqNo: value }
      expect(tryDecodeMessage(message(11, older))).toEqual(expected)
      expect(tryDecodeMessage(message(11, newer))).toEqual(expected)
      // The same, as the newer codec writes Go's int, which memberlist has in its headers: signed.
      const asInt = newer
        .replace('a54e6f646573', raw('SeqNo'))
        .slice(0, newer.indexOf('a55365714e6f'))
        .replace('82', '81')
      expect(tryDecodeMessage(message(11, asInt))).toEqual(expected)
      expect(Buffer.from(encodeMessage({ kind: 'nack', seqNo: value })).toString('hex')).toBe(
        '0b81' + older.slice(older.indexOf('a55365714e6f')),
      )
    }
  })
})

describe('malformed', () => {
  const seqNo = (hex: string) => message(11, '81', raw('SeqNo'), hex)
  const malformed: readonly (readonly [string, Uint8Array])[] = [
    ['no bytes', new Uint8Array(0)],
    ['no body', message(11)],
    ['a nil for a body', message(11, 'c0')],
    ['an array for a body', message(11, '9105')],
    ['a negative fixint', seqNo('ff')],
    ['a negative int 8', seqNo('d080')],
    ['a negative int 16', seqNo('d18000')],
    ['a negative int 32', seqNo('d280000000')],
    ['a negative int 64', seqNo('d38000000000000000')],
    ['2^32', seqNo('cf0000000100000000')],
    ['2^64 - 1', seqNo('cfffffffffffffffff')],
    ['a float', seqNo('ca40a00000')],
    ['a double', seqNo('cb4014000000000000')],
    ['text for an integer', seqNo('a135')],
    ['a missing sequence number', message(11, '80')],
    ['a nil sequence number', seqNo('c0')],
    ['a key that is no text', message(11, '810505')],
    ['a map of more entries than bytes', message(11, 'df7fffffff', raw('SeqNo'), '05')],
    ['text longer than what follows', message(2, '81', raw('Payload'), 'dbffffffff6161')],
    ['bytes for a boolean', message(1, '81', raw('Nack'), 'a101')],
    ['an unused msgpack type', message(11, '82', raw('New'), 'c1', raw('SeqNo'), '05')],
    ['an unknown array of more than can be', message(11, '82', raw('New'), 'ddffffffff', raw('SeqNo'), '05')],
    ['an unknown map of more than can be', message(11, '82', raw('New'), 'dfffffffff', raw('SeqNo'), '05')],
    ['more than 32 fields', message(11, 'de0021', ...Array.from({ length: 33 }, () => raw('SeqNo') + '05'))],
    ['a name that is not UTF-8', message(0, '82', raw('SeqNo'), '05', raw('Node'), 'a2c328')],
    ['a name of 1,025 bytes', message(0, '82', raw('SeqNo'), '05', raw('Node'), 'da0401', '61'.repeat(1025))],
    ['a suspect without a name', message(3, '81', raw('Incarnation'), '01')],
    ['a suspect with an empty name', message(3, '82', raw('Incarnation'), '01', raw('Node'), 'a0')],
    ['port 65,536', message(1, '81', raw('Port'), 'ce00010000')],
    ['an indirect ping without target', message(1, '81', raw('SeqNo'), '05')],
  ]
  test.each(malformed)('%s', (_, bytes) => {
    expect(thrownCode(() => tryDecodeMessage(bytes))).toBe('WIRE_MALFORMED')
  })

  test('the details of each are what a log line needs', () => {
    const details = malformed.map(([title, bytes]) => [title, thrownDetail(() => tryDecodeMessage(bytes))])
    expect(Object.fromEntries(details)).toEqual({
      'no bytes': {},
      'no body': { offset: 1 },
      'a nil for a body': { type: 192, offset: 1 },
      'an array for a body': { type: 145, offset: 1 },
      'a negative fixint': { type: 255, offset: 8 },
      'a negative int 8': { offset: 8 },
      'a negative int 16': { offset: 8 },
      'a negative int 32': { offset: 8 },
      'a negative int 64': { offset: 8 },
      '2^32': { value: 4294967296, max: 4294967295, offset: 8 },
      '2^64 - 1': { value: 18446744073709552000, max: 4294967295, offset: 8 },
      'a float': { type: 202, offset: 8 },
      'a double': { type: 203, offset: 8 },
      'text for an integer': { type: 161, offset: 8 },
      'a missing sequence number': { field: 'nack.SeqNo' },
      'a nil sequence number': { field: 'nack.SeqNo' },
      'a key that is no text': { type: 5, offset: 2 },
      'a map of more entries than bytes': { count: 2147483647, offset: 6 },
      'text longer than what follows': { length: 4294967295, offset: 10 },
      'bytes for a boolean': { type: 161, offset: 7 },
      'an unused msgpack type': { type: 193 },
      'an unknown array of more than can be': { offset: 11 },
      'an unknown map of more than can be': { offset: 11 },
      'more than 32 fields': { count: 33, max: 32 },
      'a name that is not UTF-8': { offset: 14 },
      'a name of 1,025 bytes': { length: 1025, maxBytes: 1024, offset: 14 },
      'a suspect without a name': { field: 'suspect.Node' },
      'a suspect with an empty name': { field: 'suspect.Node' },
      'port 65,536': { value: 65536, max: 65535, offset: 7 },
      'an indirect ping without target': { field: 'indirect ping.Target', length: 0 },
    })
  })

  test.each<[string, Partial<Record<'Addr' | 'Meta' | 'Vsn', string>>, ErrorDetail]>([
    ['an address of 3 bytes', { Addr: 'a3010203' }, { field: 'alive.Addr', length: 3 }],
    ['an address of 5 bytes', { Addr: 'a50102030405' }, { field: 'alive.Addr', length: 5 }],
    ['no address', { Addr: 'c0' }, { field: 'alive.Addr', length: 0 }],
    [
      'metadata of 513 bytes',
      { Meta: 'da0201' + '00'.repeat(513) },
      { field: 'alive.Meta', length: 513, max: 512 },
    ],
    ['versions of 5 bytes', { Vsn: 'a50105020000' }, { field: 'alive.Vsn', length: 5 }],
    ['no versions', { Vsn: 'c0' }, { field: 'alive.Vsn', length: 0 }],
  ])('alive: %s', (_, changed, detail) => {
    const fields = { Addr: 'a47f000001', Meta: 'a0', Vsn: 'a6010502000000', ...changed }
    const body = Object.entries(fields).map(([name, hex]) => raw(name) + hex)
    const bytes = message(4, '85', raw('Incarnation'), '07', raw('Node'), raw('a'), ...body)
    expect(thrownCode(() => tryDecodeMessage(bytes))).toBe('WIRE_MALFORMED')
    expect(thrownDetail(() => tryDecodeMessage(bytes))).toEqual(detail)
  })
})

describe('what cannot be sent is refused', () => {
  test.each<[string, Message]>([
    ['a negative number', { kind: 'nack', seqNo: -1 }],
    ['2^32', { kind: 'nack', seqNo: 2 ** 32 }],
    ['a fraction', { kind: 'nack', seqNo: 1.5 }],
    ['a lone surrogate', { kind: 'ping', seqNo: 1, node: 'a\ud800' }],
    ['a long name', { kind: 'ping', seqNo: 1, node: 'a'.repeat(1025) }],
    ['a long name in bytes only', { kind: 'ping', seqNo: 1, node: '\u20ac'.repeat(342) }],
    ['an empty name', { ...alive, node: '' }],
    ['an address of 5 bytes', { ...alive, address: new Uint8Array(5) }],
    ['five versions', { ...alive, vsn: new Uint8Array(5) }],
    ['port 65,536', { ...alive, port: 65_536 }],
    [
      'a source without port',
      { kind: 'ping', seqNo: 1, node: '', source: { address: new Uint8Array(4), port: 0, node: '' } },
    ],
  ])('%s', (_, given) => {
    expect(thrownCode(() => encodeMessage(given))).toBe('INTERNAL')
  })

  test('513 bytes of metadata', () => {
    expect(thrownCode(() => encodeMessage({ ...alive, meta: new Uint8Array(513) }))).toBe(
      'METADATA_TOO_LARGE',
    )
  })
})

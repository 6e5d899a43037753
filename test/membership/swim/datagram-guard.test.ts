import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkDatagram, isHost } from '../../../src/membership/swim/datagram-guard.ts'
import { compound, packBody, packet, rawPacket, update } from '../../support/swim-packets.ts'

const LIMITS = { maxBytes: 5600, maxIncarnation: 2_000_000_000_000 }
const check = (bytes: Uint8Array) => checkDatagram(bytes, LIMITS)
const reasonOf = (bytes: Uint8Array) => {
  const checked = check(bytes)
  return 'reason' in checked ? checked.reason : `accepted ${JSON.stringify(checked.messages)}`
}

const REASONS: ReadonlySet<string> = new Set([
  'empty',
  'oversized',
  'type-unknown',
  'compound-malformed',
  'compound-nested',
  'body-malformed',
  'seq-invalid',
  'host-invalid',
  'state-invalid',
  'incarnation-invalid',
  'metadata-invalid',
])

const host = '10.0.0.1:7946'
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

describe('what the library sends is accepted', () => {
  test.each([
    ['ping', packet('ping', { seq: 0 }), { kind: 'ping', data: { seq: 0 } }],
    ['ack', packet('ack', { seq: 2 ** 40 }), { kind: 'ack', data: { seq: 2 ** 40 } }],
    [
      'ping-req',
      packet('pingReq', { seq: 5, destination: host }),
      { kind: 'ping-req', data: { seq: 5, destination: host } },
    ],
    ['sync', packet('sync', update(host)), { kind: 'sync', data: update(host) }],
    [
      'update with a time as its incarnation',
      packet('update', update(host, { incarnation: 1_760_000_000_000, state: 2 })),
      { kind: 'update', data: update(host, { incarnation: 1_760_000_000_000, state: 2 }) },
    ],
    [
      'update without metadata',
      packet('update', update(host, { meta: undefined })),
      { kind: 'update', data: update(host, { meta: undefined }) },
    ],
    [
      'update with metadata as JSON',
      packet('update', update(host, { meta: '{"ServicePort":"1"}' })),
      { kind: 'update', data: update(host, { meta: '{"ServicePort":"1"}' }) },
    ],
    [
      'update with metadata of somebody else',
      packet('update', update(host, { meta: { Role: 'x', Tags: ['a', { b: null }] } })),
      { kind: 'update', data: update(host, { meta: { Role: 'x', Tags: ['a', { b: null }] } }) },
    ],
    ['unknown fields', packet('ping', { seq: 1, more: true }), { kind: 'ping', data: { seq: 1 } }],
  ])('%s', (_name, bytes, message) => {
    expect(check(bytes)).toEqual({ messages: [message] })
  })

  test('a compound, in order', () => {
    const bytes = compound(
      packet('ping', { seq: 1 }),
      packet('update', update(host)),
      packet('ack', { seq: 2 }),
    )
    expect(check(bytes)).toEqual({
      messages: [
        { kind: 'ping', data: { seq: 1 } },
        { kind: 'update', data: update(host) },
        { kind: 'ack', data: { seq: 2 } },
      ],
    })
  })
})

describe('all else is dropped with a reason', () => {
  const ping = packet('ping', { seq: 1 })
  const cut = (bytes: Buffer, change: (copy: Buffer) => void) => {
    const copy = Buffer.from(bytes)
    change(copy)
    return copy
  }
  const withMeta = (meta: unknown) => packet('update', update(host, { meta }))
  const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) })

  test.each<[string, string, Uint8Array]>([
    ['empty', 'no bytes', Buffer.alloc(0)],
    ['oversized', 'one byte too many', Buffer.alloc(LIMITS.maxBytes + 1, 10)],
    ['type-unknown', 'compressed', rawPacket(1, packBody({ seq: 1 }))],
    ['type-unknown', 'encrypted', rawPacket(2, packBody({ seq: 1 }))],
    ['type-unknown', 'the highest type', hex('ff')],
    ['compound-malformed', 'a compound without a count', hex('00 01')],
    ['compound-malformed', 'a compound of nothing', compound()],
    ['compound-malformed', 'a count too high', cut(compound(ping), (copy) => copy.writeUInt16LE(2, 1))],
    ['compound-malformed', 'a count too low', cut(compound(ping, ping), (copy) => copy.writeUInt16LE(1, 1))],
    ['compound-malformed', 'a count of 65,535', hex('00 ffff 0000')],
    ['compound-malformed', 'an empty part', compound(Buffer.alloc(0))],
    [
      'compound-malformed',
      'a part longer than the rest',
      cut(compound(ping), (copy) => copy.writeUInt16LE(99, 3)),
    ],
    ['compound-malformed', 'trailing bytes', Buffer.concat([compound(ping), hex('00')])],
    ['compound-nested', 'a compound in a compound', compound(compound(ping))],
    ['type-unknown', 'one unknown part among good ones', compound(ping, rawPacket(77, packBody({})))],
    ['body-malformed', 'no body', hex('0a')],
    ['body-malformed', 'null, which ends an unguarded process', hex('0a c0')],
    ['body-malformed', 'undefined', hex('0a d40000')],
    ['body-malformed', 'a number', hex('0a 01')],
    ['body-malformed', 'text', packet('ping', 'seq')],
    ['body-malformed', 'an array', packet('ping', [1])],
    ['body-malformed', 'bytes', hex('0a c40101')],
    ['body-malformed', 'a map that is cut off', ping.subarray(0, -1)],
    ['body-malformed', 'bytes after the map', Buffer.concat([ping, hex('00')])],
    ['body-malformed', 'a huge map', hex('0a df ffffffff')],
    ['body-malformed', 'a map of 65,535 pairs', hex('0a de ffff')],
    ['body-malformed', 'a huge array within', hex('0a 81 a3736571 dd ffffffff')],
    ['body-malformed', 'text longer than the rest', hex('0a 81 a3736571 db 7fffffff')],
    ['body-malformed', 'a key twice', hex('0a 82 a3736571 01 a3736571 02')],
    ['body-malformed', 'the key __proto__', hex('0a 82 a95f5f70726f746f5f5f 80 a3736571 01')],
    ['body-malformed', 'a key that is a number', hex('0a 81 01 01')],
    ['body-malformed', 'a key that is a map', hex('0a 81 80 01')],
    ['body-malformed', 'a key of 65 bytes', packet('ping', { seq: 1, ['k'.repeat(65)]: 1 })],
    ['body-malformed', 'text that is not UTF-8', hex('0a 81 a3736571 a1ff')],
    ['body-malformed', 'an extension type', hex('0a 81 a3736571 d6ff 00000000')],
    ['body-malformed', 'an extension of another value', hex('0a 81 a3736571 d4 0001')],
    ['body-malformed', 'a reserved byte', hex('0a 81 a3736571 c1')],
    ['body-malformed', 'an integer beyond 2^53', hex('0a 81 a3736571 cf 0020000000000000')],
    ['body-malformed', 'nesting beyond the limit', packet('ping', { seq: 1, a: nested(4) })],
    [
      'body-malformed',
      'too many values',
      packet('ping', { seq: 1, a: Array.from({ length: 128 }, () => 1) }),
    ],
    ['seq-invalid', 'no seq', packet('ping', {})],
    ['seq-invalid', 'a negative seq', packet('ack', { seq: -1 })],
    ['seq-invalid', 'a fractional seq', packet('ack', { seq: 0.5 })],
    ['seq-invalid', 'a seq as text', packet('ack', { seq: '1' })],
    ['seq-invalid', 'a seq of 2^53', packet('pingReq', { seq: 2 ** 53, destination: host })],
    ['seq-invalid', 'a seq that is no number', packet('ping', { seq: Number.NaN })],
    ['host-invalid', 'no destination', packet('pingReq', { seq: 1 })],
    ['host-invalid', 'a destination that is a map', packet('pingReq', { seq: 1, destination: {} })],
    ['host-invalid', 'no host', packet('update', { state: 0, incarnation: 0 })],
    ['host-invalid', 'a host name', packet('sync', update('localhost:1'))],
    ['host-invalid', 'the host __proto__', packet('update', update('__proto__'))],
    ['state-invalid', 'no state', packet('update', { host, incarnation: 0 })],
    ['state-invalid', 'a fourth state', packet('update', update(host, { state: 3 }))],
    ['state-invalid', 'a state as text', packet('update', update(host, { state: '0' }))],
    ['state-invalid', 'a sync of a faulty member', packet('sync', update(host, { state: 2 }))],
    ['incarnation-invalid', 'no incarnation', packet('update', { host, state: 0 })],
    ['incarnation-invalid', 'a negative one', packet('update', update(host, { incarnation: -1 }))],
    ['incarnation-invalid', 'a fractional one', packet('update', update(host, { incarnation: 1.5 }))],
    ['incarnation-invalid', 'an infinite one', packet('update', update(host, { incarnation: Infinity }))],
    [
      'incarnation-invalid',
      'the largest safe one',
      packet('update', update(host, { incarnation: 2 ** 53 - 1 })),
    ],
    [
      'incarnation-invalid',
      'one beyond the limit',
      packet('update', update(host, { incarnation: LIMITS.maxIncarnation + 1 })),
    ],
    ['metadata-invalid', 'a number as metadata', withMeta(5)],
    ['metadata-invalid', 'an array as metadata', withMeta([1])],
    [
      'metadata-invalid',
      'metadata of 513 bytes',
      withMeta({ ServicePort: '8000', Zone: 'z'.repeat(513 - 32) }),
    ],
    ['metadata-invalid', '513 bytes of JSON', withMeta(`{"ServicePort":"1"${' '.repeat(494)}}`)],
  ])('%s: %s', (reason, _what, bytes) => {
    expect(reasonOf(bytes)).toBe(reason)
  })

  test('the limits themselves are allowed', () => {
    const meta = { ServicePort: '8000', Zone: 'z'.repeat(512 - 32) }
    expect(JSON.stringify(meta)).toHaveLength(512)
    expect(check(withMeta(meta))).toHaveProperty('messages')
    expect(check(withMeta({ ...meta, Left: true }))).toHaveProperty('messages')
    expect(check(packet('update', update(host, { incarnation: LIMITS.maxIncarnation })))).toHaveProperty(
      'messages',
    )
    expect(check(packet('ping', { seq: 2 ** 53 - 1 }))).toHaveProperty('messages')
    expect(check(packet('ping', { seq: 1, a: nested(3) }))).toHaveProperty('messages')
  })
})

test.each([
  ['127.0.0.1:1', true],
  ['223.255.255.255:65535', true],
  ['0.0.0.0:7946', false],
  ['0.1.2.3:7946', false],
  ['224.0.0.1:7946', false],
  ['255.255.255.255:7946', false],
  ['10.0.0.1', false],
  ['10.0.0.1:', false],
  ['10.0.0.1:0', false],
  ['10.0.0.1:07946', false],
  ['10.0.0.1:65536', false],
  ['10.0.0.1:7946:1', false],
  ['10.0.0.01:7946', false],
  ['10.0.0.256:7946', false],
  [' 10.0.0.1:7946', false],
  ['10.0.0.1:7946 ', false],
  ['[::1]:7946', false],
  ['::1:7946', false],
  ['a:1', false],
  ['', false],
  [null, false],
  [7946, false],
])('isHost(%j) is %s', (value, expected) => {
  expect(isHost(value)).toBe(expected)
})

describe('whatever the bytes', () => {
  /** Holds for any outcome: nothing thrown, a listed reason or well-formed messages. */
  const holds = (bytes: Uint8Array) => {
    const checked = check(bytes)
    if ('reason' in checked) {
      expect(REASONS.has(checked.reason)).toBe(true)
      return
    }
    expect(checked.messages.length).toBeGreaterThan(0)
    for (const { data } of checked.messages) {
      if ('seq' in data) expect(Number.isSafeInteger(data.seq) && data.seq >= 0).toBe(true)
      else {
        expect(isHost(data.host)).toBe(true)
        expect([0, 1, 2]).toContain(data.state)
        expect(data.incarnation).toBeLessThanOrEqual(LIMITS.maxIncarnation)
        expect(JSON.stringify(data.meta ?? null).length).toBeLessThan(4096)
      }
      if ('destination' in data) expect(isHost(data.destination)).toBe(true)
    }
  }

  const anyBytes = fc.uint8Array({ maxLength: 1500 })
  const anyMessage = fc
    .tuple(fc.constantFrom(0, 1, 10, 11, 12, 13, 14), anyBytes)
    .map(([type, body]) => rawPacket(type, body))
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 5 }),
    fc.double(),
    fc.maxSafeNat(),
    fc.constantFrom(undefined, host, '0.0.0.0:1', 0, 1, 2, 2 ** 53, { ServicePort: '1' }),
  )
  const shaped = fc
    .tuple(
      fc.constantFrom('ping', 'pingReq', 'sync', 'ack', 'update' as const),
      fc.record(
        { seq: value, destination: value, host: value, state: value, incarnation: value, meta: value },
        { requiredKeys: [] },
      ),
    )
    .map(([type, body]) => packet(type, body))
  const valid = fc.constantFrom(
    packet('ping', { seq: 7 }),
    packet('pingReq', { seq: 7, destination: host }),
    packet('sync', update(host, { incarnation: 1_760_000_000_000 })),
    packet('update', update(host, { state: 1, incarnation: 1_760_000_000_000 })),
    compound(
      packet('ack', { seq: 1 }),
      packet('update', update(host)),
      packet('update', update('10.0.0.2:1')),
    ),
  )
  const mutated = fc
    .tuple(
      valid,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.option(fc.nat()),
      fc.uint8Array({ maxLength: 8 }),
    )
    .map(([bytes, changes, cutAt, tail]) => {
      const copy = Buffer.from(bytes)
      for (const [at, byte] of changes) copy[at % copy.length] = byte
      return Buffer.concat([cutAt === null ? copy : copy.subarray(0, cutAt % (copy.length + 1)), tail])
    })

  test.each([
    ['any bytes', anyBytes],
    ['any body under a known type', anyMessage],
    ['any values in the right fields', shaped],
    [
      'a compound of any such',
      fc.array(fc.oneof(anyMessage, shaped, valid)).map((parts) => compound(...parts)),
    ],
    ['good messages with bytes changed', mutated],
  ])('%s', (_name, datagrams: fc.Arbitrary<Uint8Array>) => {
    fc.assert(fc.property(datagrams, holds), { numRuns: 3000 })
  })
})

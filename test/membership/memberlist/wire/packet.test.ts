import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeCompound } from '../../../../src/membership/memberlist/wire/compound.ts'
import { encodeCompressed } from '../../../../src/membership/memberlist/wire/compression.ts'
import { DROP_REASONS, type DropReason } from '../../../../src/membership/memberlist/wire/drop.ts'
import { encrypt } from '../../../../src/membership/memberlist/wire/encryption.ts'
import { DEFAULT_LIMITS } from '../../../../src/membership/memberlist/wire/limits.ts'
import { encodeMessage } from '../../../../src/membership/memberlist/wire/message-codec.ts'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'
import {
  decodePacket,
  type PacketResult,
  type Reception,
} from '../../../../src/membership/memberlist/wire/packet-decoder.ts'
import {
  DEFAULT_PACKET_BYTES,
  encodePacket,
  encodePackets,
  packetRoomBytes,
} from '../../../../src/membership/memberlist/wire/packet-encoder.ts'
import { anyEncryption, anyLabel, anyMessage } from './arbitraries.ts'
import { concat, thrownCode, utf8 } from './values.ts'

const reception: Reception = { keyring: [], requireEncryption: false, label: '' }
const encoding = { compression: false, crc: false, label: '' }
const nack: Message = { kind: 'nack', seqNo: 9 }
const nackBytes = encodeMessage(nack)
const key = new Uint8Array(16).fill(1)
const otherKey = new Uint8Array(32).fill(2)
const nextNonce = () => new Uint8Array(12).fill(3)
const sealed = { key, version: 1 as const, nextNonce }

/** The reason of a drop; undefined when messages were decoded. */
function reasonOf(result: PacketResult): DropReason | undefined {
  return result.ok ? undefined : result.reason
}

describe('decode after encode', () => {
  test('gives the same messages, in datagrams of the size asked for', () => {
    fc.assert(
      fc.property(
        fc.array(anyMessage, { minLength: 1, maxLength: 20 }),
        fc.record({ compression: fc.boolean(), crc: fc.boolean(), label: anyLabel }),
        anyEncryption,
        fc.integer({ min: 800, max: 1400 }),
        (messages, options, encryption, maxBytes) => {
          const packets = encodePackets(messages, {
            ...options,
            maxBytes,
            ...(encryption === undefined ? {} : { encryption }),
          })
          const { label } = options
          const keyring = encryption === undefined ? [] : [otherKey, encryption.key]
          const decoded = packets.flatMap((packet) => {
            const result = decodePacket(packet, { keyring, requireEncryption: true, label })
            if (!result.ok) throw new Error(`dropped: ${result.reason}`)
            expect(result.faults).toEqual([])
            if (result.messages.length > 1) expect(packet.length).toBeLessThanOrEqual(maxBytes)
            return result.messages
          })
          expect(decoded).toEqual(messages)
        },
      ),
    )
  })

  test('tells of each message that is kept, with its size', () => {
    const told: unknown[] = []
    decodePacket(encodeCompound([nackBytes, new Uint8Array(0), nackBytes]), reception, (...args) => {
      told.push(args)
    })
    expect(told).toEqual([
      ['nack', nackBytes.length],
      ['nack', nackBytes.length],
    ])
  })

  test('takes a Buffer, and keeps no view into it', () => {
    const alive: Message = {
      kind: 'alive',
      incarnation: 1,
      node: 'a',
      address: Uint8Array.of(1, 2, 3, 4),
      port: 1,
      meta: utf8('meta'),
      vsn: new Uint8Array(6),
    }
    const user: Message = { kind: 'user', payload: utf8('payload') }
    const datagram = Buffer.from(encodePacket([alive, user], encoding))
    const result = decodePacket(datagram, reception)
    datagram.fill(0xff)
    expect(result).toEqual({ ok: true, messages: [alive, user], faults: [] })
  })
})

describe('splitting', () => {
  test('fills each datagram to the last byte', () => {
    const body = new Uint8Array(100).fill(8)
    const room = packetRoomBytes({ ...encoding, label: 'blue', crc: true, encryption: sealed })
    expect(room).toBe(DEFAULT_PACKET_BYTES - 29 - 5 - 6)
    expect(packetRoomBytes(encoding)).toBe(DEFAULT_PACKET_BYTES)
    const fits = Math.floor((room - 2) / 102)
    const bodies = Array.from({ length: fits * 2 + 1 }, () => body)
    const filler = new Uint8Array(room - 2 - fits * 102 - 2).fill(8)
    const options = { ...encoding, label: 'blue', crc: true, encryption: sealed }
    expect(encodePackets(bodies, options).length).toBe(3)
    expect(encodePackets([...bodies.slice(0, fits), filler], options).map((packet) => packet.length)).toEqual(
      [DEFAULT_PACKET_BYTES],
    )
  })

  test('puts 255 parts into a datagram at most', () => {
    const packets = encodePackets(
      Array.from({ length: 256 }, () => nack),
      { ...encoding, maxBytes: 60_000 },
    )
    expect(packets.map((packet) => decodePacket(packet, reception))).toMatchObject([
      { messages: { length: 255 } },
      { messages: { length: 1 } },
    ])
  })

  test('sends a message that is too long alone', () => {
    const long: Message = { kind: 'user', payload: new Uint8Array(2000) }
    const packets = encodePackets([nack, long, nack], encoding)
    expect(packets.map((packet) => packet.length)).toEqual([nackBytes.length, 2001, nackBytes.length])
    expect(encodePackets([long], encoding).map((packet) => packet.length)).toEqual([2001])
  })

  test('makes no datagram of nothing', () => {
    expect(encodePackets([], encoding)).toEqual([])
    expect(thrownCode(() => encodePacket([], encoding))).toBe('INTERNAL')
  })

  test('compresses only what becomes smaller', () => {
    expect(encodePacket([nack], { ...encoding, compression: true })).toEqual(nackBytes)
    const long = encodePacket([{ kind: 'user', payload: new Uint8Array(500) }], {
      ...encoding,
      compression: true,
    })
    expect(long[0]).toBe(9)
    expect(long.length).toBeLessThan(100)
  })
})

describe('what is dropped, and why', () => {
  const labelled = encodePacket([nack], { ...encoding, label: 'blue' })
  const encrypted = encodePacket([nack], { ...encoding, encryption: sealed })
  const sealedBlue = encodePacket([nack], { ...encoding, label: 'blue', encryption: sealed })
  const relabelled = sealedBlue.slice()
  relabelled.set(utf8('gold'), 2)
  const crcd = encodePacket([nack], { ...encoding, crc: true })
  const secret = { keyring: [key], requireEncryption: true, label: '' }
  const lenient = { ...secret, requireEncryption: false }
  const ping = encodeMessage({ kind: 'ping', seqNo: 1, node: 'a-member-with-a-long-name' })

  const cases: readonly (readonly [string, Uint8Array, Partial<Reception>, DropReason | undefined])[] = [
    ['a label where there must be none', labelled, {}, 'label-differs'],
    ['no label where there must be one', nackBytes, { label: 'blue' }, 'label-differs'],
    ['another label', labelled, { label: 'green' }, 'label-differs'],
    ['a longer label', labelled, { label: 'blue2' }, 'label-differs'],
    ['the same label as bytes', labelled, { label: utf8('blue') }, undefined],
    ['another label that is heard as well', labelled, { label: 'green', otherLabels: ['blue'] }, undefined],
    [
      'a label that is none of those heard',
      labelled,
      { label: 'green', otherLabels: ['red', ''] },
      'label-differs',
    ],
    ['no label, heard as well', nackBytes, { label: 'green', otherLabels: [''] }, undefined],
    [
      'encrypted without a label, heard as well',
      encrypted,
      { ...secret, label: 'green', otherLabels: [''] },
      undefined,
    ],
    [
      'encrypted under another label, heard as well',
      sealedBlue,
      { ...secret, label: 'green', otherLabels: ['', 'blue'] },
      undefined,
    ],
    [
      'encrypted under one label and sent with another',
      relabelled,
      { ...secret, label: 'blue', otherLabels: ['gold'] },
      'cannot-decrypt',
    ],
    ['a label that was checked before', nackBytes, { label: 'blue', skipInboundLabelCheck: true }, undefined],
    ['a second label', labelled, { label: 'blue', skipInboundLabelCheck: true }, 'label-differs'],
    ['a label and nothing else', labelled.subarray(0, 6), { label: 'blue' }, 'malformed'],
    ['a label that is cut off', labelled.subarray(0, 5), { label: 'blue' }, 'malformed'],
    ['an empty label', Uint8Array.of(244, 0, 11), {}, 'malformed'],
    ['encrypted, with the key', encrypted, secret, undefined],
    ['encrypted, with the key as the second', encrypted, { ...secret, keyring: [otherKey, key] }, undefined],
    ['encrypted, with another key', encrypted, { ...secret, keyring: [otherKey] }, 'cannot-decrypt'],
    [
      'encrypted, with another key, plain allowed',
      encrypted,
      { ...lenient, keyring: [otherKey] },
      'cannot-decrypt',
    ],
    ['encrypted, without a key', encrypted, {}, 'encrypted-unexpectedly'],
    [
      'encrypted under another label',
      encrypted,
      { ...secret, label: 'blue', skipInboundLabelCheck: true },
      'cannot-decrypt',
    ],
    ['encrypted and changed', encrypted.with(20, encrypted[20]! ^ 1), secret, 'cannot-decrypt'],
    ['encrypted and cut', encrypted.subarray(0, encrypted.length - 1), secret, 'cannot-decrypt'],
    ['plain where encryption is required', nackBytes, secret, 'not-encrypted'],
    ['a plain checksum where encryption is required', crcd, secret, 'not-encrypted'],
    ['a plain ping where encryption is required', ping, secret, 'not-encrypted'],
    ['plain where it is allowed', nackBytes, lenient, undefined],
    ['a plain ping where it is allowed', ping, lenient, undefined],
    ['plain and malformed where it is allowed', Uint8Array.of(11, 0x80), lenient, 'malformed'],
    ['a wrong checksum', crcd.with(3, crcd[3]! ^ 1), {}, 'crc-mismatch'],
    [
      'a wrong checksum inside encryption',
      encrypt(crcd.with(3, crcd[3]! ^ 1), sealed, new Uint8Array(0)),
      secret,
      'crc-mismatch',
    ],
    ['a checksum that is cut off', crcd.subarray(0, 4), {}, 'unknown-type'],
    ['a checksum of nothing', Uint8Array.of(12, 0, 0, 0, 0), {}, 'malformed'],
    ['a checksum inside a compound', encodeCompound([crcd]), {}, 'unknown-type'],
    ['nothing', new Uint8Array(0), {}, 'malformed'],
    ['nothing, where encryption is required', new Uint8Array(0), secret, 'malformed'],
    ['an encrypted nothing', encrypt(new Uint8Array(0), sealed, new Uint8Array(0)), secret, 'malformed'],
    ['a push/pull', Uint8Array.of(6, 0x80), {}, 'unknown-type'],
    ['an error message', Uint8Array.of(13, 0x80), {}, 'unknown-type'],
    ['an unknown type', Uint8Array.of(99), {}, 'unknown-type'],
    ['an unknown type where encryption is required', Uint8Array.of(99), secret, 'cannot-decrypt'],
    ['a compound of nothing', Uint8Array.of(7, 0), {}, undefined],
    ['a datagram above the limit', new Uint8Array(65_536).fill(8), {}, 'too-large'],
    [
      'another compression',
      Uint8Array.of(9, 0x82, 0xa4, ...utf8('Algo'), 1, 0xa3, ...utf8('Buf'), 0xa0),
      {},
      'malformed',
    ],
    ['a compression without content', Uint8Array.of(9, 0x80), {}, 'malformed'],
    ['a compression of nothing', encodeCompressed(new Uint8Array(0)), {}, 'malformed'],
    ['what may be encrypted by version 0', new Uint8Array(45), {}, 'encrypted-unexpectedly'],
    ['what is too short for version 0', new Uint8Array(44), {}, 'malformed'],
    ['what may be encrypted by version 1', new Uint8Array(29).fill(1, 0, 1), {}, 'encrypted-unexpectedly'],
    ['what is too short for version 1', new Uint8Array(28).fill(1, 0, 1), {}, 'malformed'],
  ]
  test.each(cases)('%s', (_, datagram, changes, expected) => {
    expect(reasonOf(decodePacket(datagram, { ...reception, ...changes }))).toBe(expected)
  })

  test('the details of each are what a log line needs', () => {
    const drops = cases.map(
      ([title, datagram, changes]) => [title, decodePacket(datagram, { ...reception, ...changes })] as const,
    )
    const details = drops.flatMap(([title, drop]) => (drop.ok ? [] : [[title, drop.detail] as const]))
    expect(Object.fromEntries(details)).toEqual({
      'a label where there must be none': { label: 'blue' },
      'a label that is none of those heard': { label: 'blue' },
      'encrypted under one label and sent with another': {},
      'no label where there must be one': { label: '' },
      'another label': { label: 'blue' },
      'a longer label': { label: 'blue' },
      'a second label': { label: 'blue' },
      'a label and nothing else': { message: 'a message has no type byte' },
      'a label that is cut off': { field: 'label', length: 5 },
      'an empty label': { message: 'a label header has an empty label' },
      'encrypted, with another key': {},
      'encrypted, with another key, plain allowed': {},
      'encrypted, without a key': {},
      'encrypted under another label': {},
      'encrypted and changed': {},
      'encrypted and cut': {},
      'plain where encryption is required': {},
      'a plain checksum where encryption is required': {},
      'a plain ping where encryption is required': {},
      'plain and malformed where it is allowed': { field: 'nack.SeqNo', message: 'a field is missing' },
      'a wrong checksum': { length: 9 },
      'a wrong checksum inside encryption': { length: 9 },
      'a checksum that is cut off': { type: 12 },
      'a checksum of nothing': { message: 'a message has no type byte' },
      'a checksum inside a compound': { type: 12 },
      nothing: { length: 0 },
      'nothing, where encryption is required': { length: 0 },
      'an encrypted nothing': { message: 'a message has no type byte' },
      'a push/pull': { type: 6 },
      'an error message': { type: 13 },
      'an unknown type': { type: 99 },
      'an unknown type where encryption is required': {},
      'a datagram above the limit': { length: 65536, max: 65535 },
      'another compression': { algorithm: 1, message: 'an unknown compression algorithm' },
      'a compression without content': { field: 'compress.Buf', message: 'a field is missing' },
      'a compression of nothing': { message: 'a message has no type byte' },
      'what may be encrypted by version 0': {},
      'what is too short for version 0': { type: 0, offset: 1, message: 'a msgpack map was expected' },
      'what may be encrypted by version 1': {},
      'what is too short for version 1': { type: 0, offset: 1, message: 'a msgpack map was expected' },
    })
    for (const [, drop] of drops) if (!drop.ok) expect(DROP_REASONS[drop.reason]).toMatch(/^[a-z].*[a-z]$/)
  })

  test.each([
    [[0, 0x80, 0xa0, 0x41], 'not-encrypted'],
    [[1, 0x8f, 0xbf, 0x5a], 'not-encrypted'],
    [[0, 0x7f, 0xa0, 0x41], 'cannot-decrypt'],
    [[0, 0x90, 0xa0, 0x41], 'cannot-decrypt'],
    [[1, 0x80, 0x9f, 0x41], 'cannot-decrypt'],
    [[1, 0x80, 0xc0, 0x41], 'cannot-decrypt'],
    [[0, 0x80, 0xa0, 0x40], 'cannot-decrypt'],
    [[0, 0x80, 0xa0, 0x5b], 'cannot-decrypt'],
    [[0, 0x80, 0xa0], 'cannot-decrypt'],
    [[1, 0x00, 0x00, 0x00], 'cannot-decrypt'],
    [[2, 0x00, 0x00, 0x00], 'not-encrypted'],
    [[13, 0x00, 0x00, 0x00], 'not-encrypted'],
    [[14, 0x80, 0xa0, 0x41], 'cannot-decrypt'],
  ])('what no key fits is plain or not by its first bytes: %j is %s', (bytes, expected) => {
    expect(reasonOf(decodePacket(Uint8Array.from(bytes), { ...reception, ...secret }))).toBe(expected)
  })

  test('what is plain where encryption is required is not decoded', () => {
    const limits = new Proxy(DEFAULT_LIMITS, {
      get: (all, name) =>
        name === 'maxPacketBytes' ? all.maxPacketBytes : expect.fail(`${String(name)} was asked for`),
    })
    const keyed = { keyring: [key], requireEncryption: true, label: '', limits }
    for (const type of [0, 2, 4, 7, 9, 12]) {
      const datagram = Uint8Array.of(type, 0x81, 0xa4, ...utf8('Node'), ...new Uint8Array(1300))
      expect(reasonOf(decodePacket(datagram, keyed))).toBe('not-encrypted')
    }
  })

  test('a drop for the label tells which one came', () => {
    const result = decodePacket(labelled, { ...reception, label: 'green' })
    expect(result).toEqual({ ok: false, reason: 'label-differs', detail: { label: 'blue' } })
  })
})

test('a drop for the size tells the size', () => {
  const drop = (datagram: Uint8Array, maxPacketBytes: number) =>
    decodePacket(datagram, { ...reception, limits: { ...DEFAULT_LIMITS, maxPacketBytes } })
  expect(drop(new Uint8Array(0), 10)).toEqual({ ok: false, reason: 'malformed', detail: { length: 0 } })
  expect(drop(new Uint8Array(11), 10)).toEqual({
    ok: false,
    reason: 'too-large',
    detail: { length: 11, max: 10 },
  })
  expect(drop(nackBytes, nackBytes.length).ok).toBe(true)
})

describe('parts of a compound', () => {
  test('that cannot be read do not take the others with them', () => {
    const bad = [Uint8Array.of(11, 0x80), new Uint8Array(0), Uint8Array.of(99)]
    const result = decodePacket(encodeCompound([bad[0]!, nackBytes, bad[1]!, bad[2]!, nackBytes]), reception)
    expect(result).toMatchObject({
      ok: true,
      messages: [nack, nack],
      faults: [
        { reason: 'malformed' },
        { reason: 'malformed' },
        { reason: 'unknown-type', detail: { type: 99 } },
      ],
    })
  })

  test('that are cut off do not take the ones before with them', () => {
    const datagram = encodeCompound([nackBytes, nackBytes, nackBytes])
    const result = decodePacket(datagram.subarray(0, datagram.length - 1), reception)
    expect(result).toMatchObject({
      ok: true,
      messages: [nack, nack],
      faults: [{ reason: 'malformed', detail: { missingParts: 1 } }],
    })
  })

  test('are not read on after too many that cannot be read', () => {
    const bad = Array.from({ length: DEFAULT_LIMITS.maxPacketFaults }, () => Uint8Array.of(99))
    const result = decodePacket(encodeCompound([nackBytes, ...bad, nackBytes]), reception)
    expect(result).toMatchObject({
      ok: true,
      messages: [nack],
      faults: { length: DEFAULT_LIMITS.maxPacketFaults },
    })
  })
})

describe('the limits of a datagram', () => {
  const wrapped = (times: number, wrap: (bytes: Uint8Array) => Uint8Array) => {
    let bytes = nackBytes
    for (let i = 0; i < times; i++) bytes = wrap(bytes)
    return bytes
  }

  test('wrappers may be nested so far and no further', () => {
    const { maxNesting } = DEFAULT_LIMITS
    for (const wrap of [encodeCompressed, (bytes: Uint8Array) => encodeCompound([bytes])]) {
      expect(decodePacket(wrapped(maxNesting, wrap), reception)).toMatchObject({ ok: true, messages: [nack] })
      expect(reasonOf(decodePacket(wrapped(maxNesting + 1, wrap), reception))).toBe('nested-too-deep')
    }
  })

  test('compounds in compounds make no more messages than one', () => {
    const inner = encodeCompound(Array.from({ length: 255 }, () => nackBytes))
    const result = decodePacket(encodeCompound([inner, inner, inner]), reception)
    expect(result).toMatchObject({ ok: true, messages: { length: DEFAULT_LIMITS.maxPacketMessages } })
    expect(result).toMatchObject({
      faults: [{ reason: 'too-large' }, ...Array.from({ length: 7 }, () => ({}))],
    })
  })

  test('decompression stops at its limit, over all parts together', () => {
    const user = (length: number): Message => ({ kind: 'user', payload: new Uint8Array(length) })
    const zeros = (length: number) => encodeCompressed(encodeMessage(user(length)))
    const max = DEFAULT_LIMITS.maxPacketExpandedBytes
    expect(decodePacket(zeros(max - 1), reception)).toMatchObject({ ok: true, messages: [{ kind: 'user' }] })
    expect(reasonOf(decodePacket(zeros(max), reception))).toBe('too-large')
    expect(
      decodePacket(encodeCompound([zeros(max / 2), zeros(max / 2), zeros(10)]), reception),
    ).toMatchObject({
      ok: true,
      messages: [{ payload: { length: max / 2 } }, { payload: { length: 10 } }],
      faults: [{ reason: 'too-large' }],
    })
  })

  test('an encrypted bomb is stopped as well', () => {
    const bomb = encrypt(encodeCompressed(new Uint8Array(1_000_000)), sealed, new Uint8Array(0))
    expect(reasonOf(decodePacket(bomb, { keyring: [key], requireEncryption: true, label: '' }))).toBe(
      'too-large',
    )
  })
})

test('any bytes give messages or a reason', () => {
  const starts = [0, 1, 2, 7, 9, 12, 244, 255]
  fc.assert(
    fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 100 }), (start, rest) => {
      const datagram = concat(Uint8Array.of(start), rest)
      for (const keyring of [[], [key]]) {
        expect(typeof decodePacket(datagram, { ...reception, keyring }).ok).toBe('boolean')
      }
    }),
    { numRuns: 3000 },
  )
})

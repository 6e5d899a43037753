import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeCompressed } from '../../../../src/membership/memberlist/wire/compression.ts'
import type { DropReason } from '../../../../src/membership/memberlist/wire/drop.ts'
import { labelBytes } from '../../../../src/membership/memberlist/wire/label.ts'
import { encrypt, encryptedLength } from '../../../../src/membership/memberlist/wire/encryption.ts'
import { DEFAULT_LIMITS } from '../../../../src/membership/memberlist/wire/limits.ts'
import { encodeMessage } from '../../../../src/membership/memberlist/wire/message-codec.ts'
import type {
  PushPull,
  PushPullNode,
  StreamMessage,
} from '../../../../src/membership/memberlist/wire/messages.ts'
import { encodePushPull } from '../../../../src/membership/memberlist/wire/push-pull.ts'
import {
  StreamDecoder,
  type StreamReception,
  type StreamResult,
} from '../../../../src/membership/memberlist/wire/stream-decoder.ts'
import {
  encodeStream,
  type StreamEncoding,
} from '../../../../src/membership/memberlist/wire/stream-encoder.ts'
import { anyEncryption, anyLabel, anyStreamMessage } from './arbitraries.ts'
import { fromHex } from './recordings.ts'
import { concat, thrownCode, utf8, toItsEnd } from './values.ts'

const reception: StreamReception = { keyring: [], requireEncryption: false, label: '', role: 'request' }
const encoding: StreamEncoding = { role: 'request', compression: false, label: '' }
const ping: StreamMessage = { kind: 'ping', seqNo: 1, node: 'a' }
const key = new Uint8Array(16).fill(1)
const sealed = { key, version: 1 as const, nextNonce: () => new Uint8Array(12).fill(3) }

const node: PushPullNode = {
  name: 'a',
  address: Uint8Array.of(127, 0, 0, 1),
  port: 7946,
  meta: new Uint8Array(0),
  incarnation: 1,
  state: 0,
  vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
}

function pushPull(changes: Partial<PushPull>): StreamMessage {
  return { kind: 'push-pull', pushPull: { join: false, nodes: [], userState: new Uint8Array(0), ...changes } }
}

/** The result of a stream that is sent in one piece and then ended. */
function decodeAll(bytes: Uint8Array, changes: Partial<StreamReception> = {}): StreamResult {
  return toItsEnd(new StreamDecoder({ ...reception, ...changes }), bytes)
}

function reasonOf(result: StreamResult | undefined): DropReason | undefined {
  return result === undefined || result.ok ? undefined : result.reason
}

describe('decode after encode', () => {
  test('gives the same message, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        anyStreamMessage,
        fc.record({
          role: fc.constantFrom('request' as const, 'response' as const),
          compression: fc.boolean(),
          label: anyLabel,
        }),
        anyEncryption,
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 }),
        (message, options, encryption, sizes) => {
          const bytes = encodeStream(message, {
            ...options,
            ...(encryption === undefined ? {} : { encryption }),
          })
          const decoder = new StreamDecoder({
            keyring: encryption === undefined ? [] : [encryption.key],
            requireEncryption: true,
            label: options.label,
            role: options.role,
          })
          let result: StreamResult | undefined
          for (let at = 0, i = 0; at < bytes.length; i++) {
            expect(result).toBeUndefined()
            const size = sizes[i % sizes.length]!
            result = decoder.push(bytes.subarray(at, at + size))
            at += size
          }
          expect(result).toEqual({ ok: true, message, label: labelBytes(options.label) })
        },
      ),
    )
  })

  test('takes Buffers, and keeps no view into them', () => {
    const message = pushPull({ nodes: [{ ...node, meta: utf8('meta') }], userState: utf8('state') })
    const bytes = Buffer.from(encodeStream(message, encoding))
    const result = decodeAll(bytes)
    bytes.fill(0xff)
    expect(result).toMatchObject({ ok: true, message })
  })

  test('ignores what comes behind the message', () => {
    const decoder = new StreamDecoder(reception)
    const result = decoder.push(concat(encodeStream(ping, encoding), utf8('and more')))
    expect(result).toMatchObject({ ok: true, message: ping })
    expect(decoder.push(utf8('and more'))).toBe(result)
    expect(decoder.end()).toBe(result)
  })
})

/** An encrypted message with any content. */
function frame(plain: Uint8Array): Uint8Array {
  const header = Uint8Array.of(10, 0, 0, 0, 0)
  new DataView(header.buffer).setUint32(1, encryptedLength(plain.length, 1))
  return concat(header, encrypt(plain, sealed, header))
}

describe('what is dropped, and why', () => {
  const labelled = encodeStream(ping, { ...encoding, label: 'blue' })
  const plain = encodeStream(ping, encoding)
  const encrypted = encodeStream(ping, { ...encoding, encryption: sealed })
  const blue = { ...encoding, label: 'blue', encryption: sealed }
  const sealedBlue = encodeStream(ping, blue)
  const answered = encodeStream(ping, { ...blue, role: 'response' })
  const secret = { keyring: [key], requireEncryption: true }
  const refusal = encodeStream({ kind: 'error', text: 'refused' }, encoding)
  const cases: readonly (readonly [string, Uint8Array, Partial<StreamReception>, DropReason | undefined])[] =
    [
      ['another label', labelled, { label: 'green' }, 'label-differs'],
      ['no label where there must be one', plain, { label: 'blue' }, 'label-differs'],
      ['a label where there must be none', labelled, {}, 'label-differs'],
      ['another label that is heard as well', labelled, { label: 'green', otherLabels: ['blue'] }, undefined],
      [
        'a label that is none of those heard',
        labelled,
        { label: 'green', otherLabels: [''] },
        'label-differs',
      ],
      ['no label, heard as well', plain, { label: 'green', otherLabels: [''] }, undefined],
      [
        'encrypted under another label, heard as well',
        sealedBlue,
        { ...secret, label: 'green', otherLabels: ['blue'] },
        undefined,
      ],
      [
        'an answer under a label that was not asked with',
        answered,
        { ...secret, role: 'response', label: 'green', otherLabels: ['blue'] },
        'cannot-decrypt',
      ],
      ['a label that was checked before', plain, { label: 'blue', skipInboundLabelCheck: true }, undefined],
      ['a second label', labelled, { label: 'blue', skipInboundLabelCheck: true }, 'label-differs'],
      ['an empty label', Uint8Array.of(244, 0), {}, 'malformed'],
      ['a label on an answer', labelled, { label: 'blue', role: 'response' }, 'unknown-type'],
      ['no label on an answer', plain, { label: 'blue', role: 'response' }, undefined],
      ['encrypted', encrypted, secret, undefined],
      [
        'encrypted, with another key',
        encrypted,
        { ...secret, keyring: [new Uint8Array(16)] },
        'cannot-decrypt',
      ],
      [
        'encrypted under another label',
        encrypted,
        { ...secret, label: 'blue', skipInboundLabelCheck: true },
        'cannot-decrypt',
      ],
      ['encrypted, without a key', encrypted, {}, 'encrypted-unexpectedly'],
      ['plain where encryption is required', plain, secret, 'not-encrypted'],
      ['plain where it is allowed', plain, { ...secret, requireEncryption: false }, undefined],
      ['encrypted, its first byte alone', encrypted.subarray(0, 1), {}, 'encrypted-unexpectedly'],
      ['encrypted and too short', fromHex('0a0000001c'), secret, 'malformed'],
      ['encrypted and too long', fromHex('0a01400001'), secret, 'too-large'],
      ['encrypted and cut', encrypted.subarray(0, encrypted.length - 1), secret, 'malformed'],
      ['encrypted twice', frame(encrypted), secret, 'unknown-type'],
      ['an encrypted nothing', frame(new Uint8Array(0)), secret, 'malformed'],
      [
        'compressed twice',
        encodeCompressed(encodeCompressed(encodeMessage({ kind: 'ack', seqNo: 1, payload: key }))),
        {},
        'nested-too-deep',
      ],
      [
        'compressed and cut before',
        encodeCompressed(encodeMessage({ kind: 'ping', seqNo: 1, node: 'a' }).subarray(0, 9)),
        {},
        'malformed',
      ],
      ['a compression of nothing', encodeCompressed(new Uint8Array(0)), {}, 'malformed'],
      ['nothing', new Uint8Array(0), {}, 'malformed'],
      ['an unknown type', Uint8Array.of(99), {}, 'unknown-type'],
      ['a compound', Uint8Array.of(7, 0), {}, 'unknown-type'],
      ['an alive', Uint8Array.of(4, 0x80), {}, 'unknown-type'],
      ['a plain refusal that nobody asked for', refusal, secret, 'not-encrypted'],
      ['a plain refusal as an answer', refusal, { ...secret, role: 'response' }, undefined],
      ['something else plain as an answer', plain, { ...secret, role: 'response' }, 'not-encrypted'],
      ['encrypted and empty', fromHex('0a0000001d'), secret, 'malformed'],
      [
        'an error text above the limit',
        concat(fromHex('0d81a54572726f72da1001'), new Uint8Array(4097)),
        {},
        'too-large',
      ],
      ['a user message above the limit', fromHex('0881aa557365724d73674c656ece01400001'), {}, 'too-large'],
      ['a user message of a negative length', fromHex('0881aa557365724d73674c656eff'), {}, 'malformed'],
      ['a user message without length', fromHex('0880'), {}, 'malformed'],
    ]
  test.each(cases)('%s', (_, bytes, changes, expected) => {
    expect(reasonOf(decodeAll(bytes, changes))).toBe(expected)
  })

  test('the details of each are what a log line needs', () => {
    const drops = cases.map(([title, bytes, changes]) => [title, decodeAll(bytes, changes)] as const)
    const details = drops.flatMap(([title, drop]) => (drop.ok ? [] : [[title, drop.detail] as const]))
    expect(Object.fromEntries(details)).toEqual({
      'another label': { label: 'blue' },
      'a label that is none of those heard': { label: 'blue' },
      'an answer under a label that was not asked with': { length: 45 },
      'no label where there must be one': { label: '' },
      'a label where there must be none': { label: 'blue' },
      'a second label': { label: 'blue' },
      'an empty label': { message: 'a label header has an empty label' },
      'a label on an answer': { type: 244 },
      'encrypted, with another key': { length: 45 },
      'encrypted under another label': { length: 45 },
      'encrypted, without a key': {},
      'plain where encryption is required': { type: 0 },
      'encrypted, its first byte alone': {},
      'encrypted and too short': { message: 'an encrypted message is too short', length: 28 },
      'encrypted and too long': {
        limit: 'maxStreamBytes',
        allowed: 8388608,
        message: 'more than maxStreamBytes (8388608) allows',
      },
      'encrypted and cut': { message: 'the stream is cut off', length: 49 },
      'encrypted twice': { type: 10 },
      'an encrypted nothing': { length: 0, message: 'a message is cut off' },
      'compressed twice': { max: 1 },
      'compressed and cut before': { offset: 7, message: 'a msgpack value claims more than there can be' },
      'a compression of nothing': { length: 0, message: 'a message is cut off' },
      nothing: { message: 'the stream is cut off', length: 0 },
      'an unknown type': { type: 99 },
      'a compound': { type: 7 },
      'an alive': { type: 4 },
      'a plain refusal that nobody asked for': { type: 13 },
      'something else plain as an answer': { type: 0 },
      'encrypted and empty': { message: 'the stream is cut off', length: 5 },
      'an error text above the limit': {
        limit: 'the error text',
        allowed: 4096,
        message: 'more than the error text (4096) allows',
      },
      'a user message above the limit': {
        limit: 'maxUserMessageBytes',
        allowed: 8388608,
        message: 'more than maxUserMessageBytes (8388608) allows',
      },
      'a user message of a negative length': {
        type: 255,
        offset: 13,
        message: 'an integer that is not negative was expected',
      },
      'a user message without length': { field: 'user.UserMsgLen', message: 'a field is missing' },
    })
  })

  test('an encrypted message may be as long as the limit, and no longer', () => {
    const limits = { ...DEFAULT_LIMITS, maxStreamBytes: 1000 }
    const reason = (frameBytes: number) =>
      reasonOf(decodeAll(frame(new Uint8Array(frameBytes - 29).fill(99)), { ...secret, limits }))
    expect([reason(1000), reason(1001)]).toEqual(['unknown-type', 'too-large'])
  })

  test('no more is held than a message, its label and its frame may take', () => {
    const limits = { ...DEFAULT_LIMITS, maxStreamBytes: 1000 }
    const bytes = new Uint8Array(2 + 255 + 5 + 1000)
    bytes.set(plain)
    expect(decodeAll(bytes, { limits })).toMatchObject({ ok: true })
    expect(reasonOf(decodeAll(concat(bytes, utf8('x')), { limits }))).toBe('too-large')
  })

  test('an error text that is not UTF-8 is read as well as it can be', () => {
    expect(decodeAll(fromHex('0d81a54572726f72a361ff62'))).toMatchObject({
      ok: true,
      message: { kind: 'error', text: 'a\ufffdb' },
    })
  })
})

describe('push/pull', () => {
  const header = (nodes: string, userState: string) =>
    fromHex(`0683a44a6f696ec2a54e6f646573${nodes}ac5573657253746174654c656e${userState}`)

  test.each<[string, Uint8Array, DropReason]>([
    ['more members than the limit', header('ce000186a1', '00'), 'too-large'],
    ['more user state than the limit', header('00', 'ce01400001'), 'too-large'],
    ['2^32 - 1 members', header('ceffffffff', '00'), 'too-large'],
    ['a negative number of members', header('ff', '00'), 'malformed'],
    ['a negative number of bytes', header('00', 'd0ff'), 'malformed'],
    ['members that are no maps', concat(header('01', '00'), Uint8Array.of(1)), 'malformed'],
    ['a member whose array cannot end', concat(header('01', '00'), fromHex('81a178ddffffffff')), 'malformed'],
    ['no number of members', fromHex('0680'), 'malformed'],
  ])('%s', (_, bytes, expected) => {
    // The answer comes at once: nothing waits for what was claimed.
    expect(reasonOf(new StreamDecoder(reception).push(bytes))).toBe(expected)
  })

  test('so many evicted members as a member holds are read, and no more', () => {
    const evicted = Array.from({ length: 1024 }, (_, i) => ({ name: `e${i}`, forMs: 2 ** 32 - 1 - i }))
    const fits = pushPull({ nodes: [node], evicted })
    expect(decodeAll(encodeStream(fits, encoding))).toMatchObject({ ok: true, message: fits })
    const more = pushPull({ evicted: [...evicted, { name: 'e', forMs: 1 }] })
    expect(reasonOf(decodeAll(encodeStream(more, encoding)))).toBe('too-large')
  })

  test.each([
    ['that is no map', '01'],
    ['that is cut off', '82a5466f724d7305'],
    ['without a name', '81a5466f724d7305'],
    ['without a time', '81a44e616d65a161'],
    ['for less than no time', '82a5466f724d73ffa44e616d65a161'],
    ['whose name is not UTF-8', '82a5466f724d7305a44e616d65a1ff'],
  ])('an evicted member %s', (_, hex) => {
    const length = (0xa0 + hex.length / 2).toString(16)
    const bytes = fromHex(
      `0684a745766963746564${length}${hex}a44a6f696ec2a54e6f64657300ac5573657253746174654c656e00`,
    )
    expect(reasonOf(new StreamDecoder(reception).push(bytes))).toBe('malformed')
  })

  test('a limit that is lower is kept', () => {
    const limits = { ...DEFAULT_LIMITS, maxNodes: 2, maxUserStateBytes: 3, maxStreamBytes: 1000 }
    const nodes = [node, node, node]
    expect(reasonOf(decodeAll(encodeStream(pushPull({ nodes }), encoding), { limits }))).toBe('too-large')
    const userState = utf8('abcd')
    expect(reasonOf(decodeAll(encodeStream(pushPull({ userState }), encoding), { limits }))).toBe('too-large')
    const fits = pushPull({ nodes: [node, node], userState: utf8('abc') })
    expect(decodeAll(encodeStream(fits, encoding), { limits })).toMatchObject({ ok: true, message: fits })
    const long = encodeStream({ kind: 'user', payload: new Uint8Array(990) }, encoding)
    expect(reasonOf(decodeAll(long, { limits }))).toBe('too-large')
  })

  test('a compressed one is bounded by what comes out', () => {
    const limits = { ...DEFAULT_LIMITS, maxStreamExpandedBytes: 100_000 }
    const bomb = encodeStream(
      { kind: 'user', payload: new Uint8Array(99_980) },
      { ...encoding, compression: true },
    )
    expect(decodeAll(bomb, { limits })).toMatchObject({ ok: true })
    const larger = encodeStream(
      { kind: 'user', payload: new Uint8Array(100_000) },
      { ...encoding, compression: true },
    )
    expect(reasonOf(decodeAll(larger, { limits }))).toBe('too-large')
  })

  test('a member that cannot be used is left out, and the others stay', () => {
    const good = encodePushPull({ join: true, nodes: [node], userState: new Uint8Array(0) })
    const goodNode = Buffer.from(good.subarray(good.indexOf(0x87))).toString('hex')
    const bad = [
      goodNode.replace('a44e616d65a161', 'a44e616d65a1ff'),
      goodNode.replace('a44e616d65a161', 'a44e616d65a0'),
      goodNode.replace('a44e616d65a161', 'a44e616d65da0401' + '61'.repeat(1025)),
      goodNode.replace('a441646472a47f000001', 'a441646472a37f0000'),
      goodNode.replace('a44d657461c0', 'a44d657461da0201' + '61'.repeat(513)),
      goodNode.replace('a5537461746500', 'a5537461746504'),
      goodNode.replace('a356736ea6010502000000', 'a356736ea50105020000'),
      '82a44e616d65a161a356736ea6010502000000',
      '82a44e616d65a161a441646472a47f000001',
      '80',
    ]
    expect(new Set(bad).has(goodNode)).toBe(false)
    const bytes = concat(header('0c', '02'), ...[goodNode, ...bad, goodNode].map(fromHex), utf8('us'))
    expect(decodeAll(bytes)).toEqual({
      ok: true,
      message: pushPull({ nodes: [node, node], userState: utf8('us') }),
      label: new Uint8Array(0),
    })
  })

  test('the longest name and the most metadata are taken', () => {
    const longest = { ...node, name: 'n'.repeat(1024), meta: new Uint8Array(512) }
    const message = pushPull({ nodes: [longest] })
    expect(decodeAll(encodeStream(message, encoding))).toMatchObject({ ok: true, message })
  })

  test('what is left out is zero, and of versions six are read', () => {
    const bare = '83a44e616d65a161a441646472a47f000001a356736ea701050200000009'
    const result = decodeAll(fromHex(`0681a54e6f64657301${bare}`))
    expect(result).toStrictEqual({
      ok: true,
      message: pushPull({ nodes: [{ ...node, port: 0, incarnation: 0 }] }),
      label: new Uint8Array(0),
    })
  })

  test('bytes in single steps are looked at once each', () => {
    const nodes = Array.from({ length: 3000 }, (_, index) => ({ ...node, name: `node-${index}` }))
    const bytes = encodeStream(pushPull({ nodes }), encoding)
    expect(bytes.length).toBeGreaterThan(150_000)
    const decoder = new StreamDecoder(reception)
    let result: StreamResult | undefined
    for (let at = 0; at < bytes.length; at++) result = decoder.push(bytes.subarray(at, at + 1))
    expect(result).toMatchObject({ ok: true, message: { pushPull: { nodes: { length: 3000 } } } })
  })

  test('what cannot be sent is refused', () => {
    const sent = (changes: Partial<PushPullNode>) => () =>
      encodeStream(pushPull({ nodes: [{ ...node, ...changes }] }), encoding)
    expect(thrownCode(sent({ state: 4 }))).toBe('INTERNAL')
    expect(thrownCode(sent({ name: '' }))).toBe('INTERNAL')
    expect(thrownCode(sent({ vsn: new Uint8Array(3) }))).toBe('INTERNAL')
    expect(thrownCode(sent({ meta: new Uint8Array(513) }))).toBe('METADATA_TOO_LARGE')
    expect(thrownCode(() => encodeStream({ kind: 'error', text: 'x'.repeat(4097) }, encoding))).toBe(
      'INTERNAL',
    )
  })
})

test.each([true, false])(
  'a large message (compressed: %s) is read in steps, and not begun before its turn',
  (compression) => {
    const nodes = Array.from({ length: 5000 }, (_, i) => ({ ...node, name: `m${i}` }))
    const message = pushPull({ join: true, nodes })
    const encryption = { key: new Uint8Array(32), version: 1, nextNonce: () => new Uint8Array(12) } as const
    const bytes = encodeStream(message, { ...encoding, compression, encryption })
    const decoder = new StreamDecoder({ ...reception, keyring: [encryption.key], requireEncryption: true })
    expect(decoder.push(bytes)).toBeUndefined()
    expect(decoder.isWorking).toBe(true)
    // What comes behind it changes nothing.
    expect(decoder.push(utf8('more'))).toBeUndefined()
    let steps = 0
    let result: StreamResult | undefined
    for (; decoder.isWorking; steps++) result = decoder.step()
    expect(steps).toBeGreaterThan(20)
    expect(result).toMatchObject({ ok: true, message })
    expect(decoder.step()).toBe(result)
  },
)
